//! Files that the configuration names: bounded, and regular files only, so that a name
//! such as `/dev/zero` or a pipe is a fault and not a hang.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system says so.
    #[error("{path:?} cannot be read: {reason}")]
    Io {
        /// The file.
        path: String,
        /// What the system says.
        reason: io::Error,
    },
    /// A directory, a device, a pipe.
    #[error("{0:?} is not a file")]
    NotAFile(String),
    /// Over the limit for its kind.
    #[error("{path:?} has {size} bytes, over the limit of {limit}")]
    TooLarge {
        /// The file.
        path: String,
        /// Its size.
        size: u64,
        /// The limit.
        limit: u64,
    },
}

/// The bytes of a file of at most `limit` bytes.
///
/// # Errors
/// When it cannot be read, is no regular file, or is larger.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>, ReadError> {
    let file = open(path, limit)?;
    let mut bytes = Vec::new();
    // It may grow while it is read.
    let size = file
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|reason| ReadError::Io {
            path: path.display().to_string(),
            reason,
        })? as u64;
    if size > limit {
        return Err(too_large(path, size, limit));
    }
    Ok(bytes)
}

/// Whether [`read`] would begin.
///
/// # Errors
/// As [`read`].
pub(super) fn probe(path: &Path, limit: u64) -> Result<(), ReadError> {
    open(path, limit).map(drop)
}

/// The kind is looked at first: opening a pipe would wait for its writer.
fn open(path: &Path, limit: u64) -> Result<File, ReadError> {
    let io = |reason| ReadError::Io {
        path: path.display().to_string(),
        reason,
    };
    let metadata = path.metadata().map_err(io)?;
    if !metadata.is_file() {
        return Err(ReadError::NotAFile(path.display().to_string()));
    }
    if metadata.len() > limit {
        return Err(too_large(path, metadata.len(), limit));
    }
    File::open(path).map_err(io)
}

fn too_large(path: &Path, size: u64, limit: u64) -> ReadError {
    ReadError::TooLarge {
        path: path.display().to_string(),
        size,
        limit,
    }
}
