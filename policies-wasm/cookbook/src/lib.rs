//! Ten policies for real needs. Each is an example of this crate and a module of its own,
//! `examples/NAME.rs`, with its vectors in `vectors/NAME.toml`; `docs/cookbook.md` says
//! when to use which, and when the host does it without a module.
//!
//! To make one yours, copy its file to `src/lib.rs` of a crate of your own.
