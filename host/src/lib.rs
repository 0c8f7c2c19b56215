//! Portcullis, a WebAssembly-extensible policy host for receiving mail.
//!
//! The modules stand in the order in which a message meets them. A connection is taken
//! by [`listen`] and spoken to by [`smtp`] over [`tls`]; [`reverse_name`] asks DNS who
//! that is. What the host saw are its [`facts`], what it took is [`content`]. A
//! [`transaction`] finds for each recipient the [`tenant`] who owns it and the
//! [`policy`] that applies; [`engine`] runs those that are WebAssembly; [`decision`]
//! turns the answer into a verdict; [`deliver`] hands accepted mail on; [`receipt`]
//! keeps the evidence, a [`report`] tells what it comes to, [`warnings`] what to do before
//! mail breaks, and [`replay`] asks a change about it; when the reply is out a [`shadow`]
//! may be asked what it would have decided. Beside the way, [`log`] and [`metrics`] tell how
//! it goes, and [`server`] starts, reloads and stops it all, as signals and [`admin`] ask
//! for, which answers those who administer it, over [`http`] and
//! [`owner_socket`]; [`uploads`] has the modules that they send looked at. What an
//! [`author`] of policies does before that happens on a machine of theirs. One pass: a
//! later module never calls back into an earlier one.

pub mod config;

pub mod address;
mod blocking;
mod boxed;
pub mod digest;
pub mod directory;
pub mod name;
pub mod unicode;

pub mod listen;
pub mod smtp;
pub mod tls;

pub mod reverse_name;

pub mod content;

pub mod facts;

pub mod transaction;

pub mod store;

pub mod tenant;

pub mod lists;

pub mod policy;

pub mod engine;

pub mod decision;

pub mod deliver;

pub mod receipt;

pub mod replay;
pub mod report;
pub mod shadow;
pub mod warnings;

pub mod log;
pub mod metrics;

pub mod host;
pub mod server;

pub mod uploads;

pub mod admin;
pub mod http;
pub mod owner_socket;

pub mod author;

pub mod privileges;
pub mod supervisor;

pub mod cli;
