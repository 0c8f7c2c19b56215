//! Rust's target for policies, added where it is missing.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What policies are compiled for: nothing of a system is there to be imported.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// Rust cannot build for it.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// No Rust at all.
    #[error("rustc cannot be run: {0}; policies are built with Rust, see https://rustup.rs")]
    NoRust(io::Error),
    /// A Rust that is not rustup's.
    #[error(
        "this Rust does not have the target {TARGET}, which policies are built for, and there is no rustup to add it: install Rust with https://rustup.rs, or the target as your distribution has it (Debian: apt-get install libstd-rust-dev-wasm32)"
    )]
    NoRustup,
    /// Most often there is no network.
    #[error(
        "policies are built for {TARGET}, and rustup could not add it, as it says above: with a network, run\n\n    rustup target add {TARGET}"
    )]
    NotAdded,
}

/// Adds the target to the toolchain that is used in this directory, unless it is there.
///
/// # Errors
/// With what to do where it cannot be added.
pub fn add(directory: &Path) -> Result<(), TargetError> {
    if is_there(directory)? {
        return Ok(());
    }
    eprintln!("Adding the target {TARGET} ...");
    let added = Command::new("rustup")
        .current_dir(directory)
        .args(["target", "add", TARGET])
        .status();
    match added {
        Err(_) => Err(TargetError::NoRustup),
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(TargetError::NotAdded),
    }
}

/// A toolchain without the target says so only when it cannot find `core`.
fn is_there(directory: &Path) -> Result<bool, TargetError> {
    let asked = Command::new("rustc")
        .current_dir(directory)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
        .map_err(TargetError::NoRust)?;
    let libraries = PathBuf::from(String::from_utf8_lossy(&asked.stdout).trim());
    Ok(asked.status.success() && libraries.is_dir())
}
