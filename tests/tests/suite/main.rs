//! The end-to-end suite: one binary, real programs.

mod engine;
mod programs;
