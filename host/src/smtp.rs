//! SMTP as the receiving side speaks it (RFC 5321).
//!
//! **Protocol code is pure**: `line`, `command`, `data` and `session` touch no
//! socket, clock or lookup. Bytes and answers go in, replies and requests come out.
//! Only `drive` waits for anything.

pub mod chunk;
pub mod command;
pub mod data;
pub mod drive;
pub mod envelope;
pub mod line;
pub mod listener;
pub mod profile;
pub mod reply;
pub mod session;
