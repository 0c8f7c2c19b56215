//! What a policy's author does on their own machine: make a crate, build it, look at the
//! module, ask it about vectors, measure it.
//!
//! **Nothing here is on the way of a message**, and `serve` reaches none of it. What the
//! host would say of a module is what its own engine says, in the same compile worker, at
//! its default limits: there is no second opinion that could differ. What is deliberately
//! not here: compiling Rust, which is cargo's, and whose messages go through as they are.

pub mod bench;
pub mod build;
pub mod facts;
pub mod inspect;
pub mod scaffold;
pub mod vectors;
pub mod workbench;
