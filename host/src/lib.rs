//! Portcullis, a WebAssembly-extensible policy host for receiving mail.
//!
//! The modules stand in the order in which a message meets them: a connection is
//! taken by `listen`, spoken to by [`smtp`] over [`tls`], described by [`facts`];
//! [`tenant`] says who owns a recipient, `policy` which of the owner's policies
//! applies, [`engine`] runs those that are WebAssembly, [`decision`] turns the answer
//! into a verdict, [`deliver`] hands accepted mail on, [`receipt`] keeps the evidence.
//! One pass, left to right: a later module never calls back into an earlier one.

pub mod address;
pub mod digest;

pub mod tls;
pub mod smtp;
pub mod facts;
pub mod tenant;
pub mod engine;
pub mod decision;
pub mod deliver;
pub mod receipt;
pub mod config;
pub mod policy;
pub mod listen;
pub mod host;
pub mod transaction;
pub mod server;
pub mod cli;
