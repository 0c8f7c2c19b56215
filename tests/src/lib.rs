//! The harness of the end-to-end suites: starts the real binary on a configuration of
//! the test's own, and talks to it.
//!
//! **Every test stands alone**: a directory of its own, ports that the kernel chooses,
//! processes that end with the test. Nothing here waits for time to pass: what is
//! waited for is an event, with a bound.
//!
//! Deliberately not here: anything of the host's own code. The host is a black box.

pub mod api;
pub mod browser;
pub mod certificate;
pub mod client;
pub mod dns;
pub mod dovecot;
pub mod fault;
pub mod haproxy;
pub mod held;
pub mod hop;
pub mod locked;
pub mod operate;
pub mod page;
mod peer;
pub mod postfix;
pub mod program;
pub mod receiver;
pub mod site;
pub mod tool;
