//! What a module is, and what the host would say of it: `portcullis inspect`.
//!
//! Any file may be looked at. What it is made of is read here, by a parser that takes any
//! bytes; the verdict is the engine's, whose compile worker sees them as it sees an upload.

mod anatomy;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

pub use anatomy::{Anatomy, Form, Function, Section};

use super::workbench::Workbench;
use crate::digest::Digest;
use crate::engine::{AdmissionError, Manifest};

/// The largest file that is looked at, in bytes: many times what a host takes, so that an
/// author sees what makes a module so large.
const LARGEST: u64 = 256 << 20;

/// What is known of a module.
#[derive(Debug)]
pub struct Examined {
    /// In bytes.
    pub size: u64,
    /// SHA-256 of it: what names it on a host.
    pub digest: Digest,
    /// What it is made of, or why that cannot be read.
    pub anatomy: Result<Anatomy, String>,
    /// What it says of itself, or what the host would say at upload.
    pub verdict: Result<Manifest, String>,
}

/// A file that is not looked at.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("{path} cannot be read: {error}")]
    Unreadable {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// No module is so large.
    #[error(
        "{path} has over {LARGEST} bytes, and no module does: is it the .wasm file that cargo wrote"
    )]
    TooLarge {
        /// Which one.
        path: PathBuf,
    },
}

/// Reads a file that is to be looked at.
///
/// # Errors
/// Where it cannot be read, or is larger than anything that is a module.
pub fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes));
    let path = path.to_owned();
    match read {
        Ok(length) if length as u64 > LARGEST => Err(FileError::TooLarge { path }),
        Ok(_) => Ok(bytes),
        Err(error) => Err(FileError::Unreadable { path, error }),
    }
}

/// Looks at a module.
///
/// # Errors
/// When the engine could not look at it, which says nothing of the module.
pub async fn examine(bench: &Workbench, bytes: &[u8]) -> Result<Examined, AdmissionError> {
    let verdict = match bench.admit(bytes).await {
        Ok(module) => Ok(module.manifest().clone()),
        Err(AdmissionError::Refused(reason)) => Err(reason),
        Err(error) => return Err(error),
    };
    Ok(Examined {
        size: bytes.len() as u64,
        digest: Digest::of(bytes),
        anatomy: Anatomy::read(bytes),
        verdict,
    })
}
