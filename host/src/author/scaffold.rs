//! The crate of a new policy: `portcullis new`.
//!
//! **It builds wherever it is, whatever is published**: the SDK with its interface comes
//! out of this binary, and so do the versions of everything else, in its `Cargo.lock`. It
//! is written whole or not at all.

mod lock;
mod name;
mod sdk;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::{fs, io};

pub use name::{CrateName, CrateNameError};

/// What a crate begins with, beside the SDK and its `Cargo.lock`.
const TEMPLATE: [(&str, &str); 5] = [
    (
        "Cargo.toml",
        include_str!("scaffold/template/manifest.toml"),
    ),
    ("src/lib.rs", include_str!("scaffold/template/policy.rs")),
    (
        "vectors.toml",
        include_str!("scaffold/template/vectors.toml"),
    ),
    ("README.md", include_str!("scaffold/template/README.md")),
    (".gitignore", "/target\n"),
];
/// Where the name goes.
const NAME: &str = "@NAME@";

/// No crate was made.
#[derive(Debug, thiserror::Error)]
pub enum ScaffoldError {
    /// Something is there.
    #[error(
        "{0} is there already, and nothing of it was changed: name another, or say with --path where the crate goes"
    )]
    Exists(PathBuf),
    /// No place to put it.
    #[error("there is no directory {0} to put it in: make it first")]
    NoParent(PathBuf),
    /// It cannot be written.
    #[error("{path} cannot be written: {error}")]
    Write {
        /// The directory of the crate.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

/// Makes the crate of a policy in this directory, which must not be there; how many files
/// it has.
///
/// # Errors
/// Where there is something already, or it cannot be written: then nothing of it is.
pub fn create(name: &CrateName, directory: &Path) -> Result<usize, ScaffoldError> {
    let fault = |error| ScaffoldError::Write {
        path: directory.to_owned(),
        error,
    };
    let whole = std::path::absolute(directory).map_err(fault)?;
    if fs::symlink_metadata(&whole).is_ok() {
        return Err(ScaffoldError::Exists(directory.to_owned()));
    }
    let parent = whole.parent().unwrap_or(Path::new("/"));
    if !parent.is_dir() {
        return Err(ScaffoldError::NoParent(parent.to_owned()));
    }
    let files = files(name);
    write(parent, &whole, &files).map_err(fault)?;
    Ok(files.len())
}

/// Beside its place, and then there at once.
fn write(parent: &Path, whole: &Path, files: &[(PathBuf, String)]) -> io::Result<()> {
    let temporary = tempfile::Builder::new()
        .prefix(".portcullis-new-")
        .tempdir_in(parent)?;
    // One more below it, since the temporary one is for its owner's eyes alone.
    let written = temporary.path().join("crate");
    for (path, text) in files {
        let path = written.join(path);
        fs::create_dir_all(path.parent().unwrap_or(&written))?;
        fs::write(path, text)?;
    }
    fs::rename(written, whole)
}

/// All files of a crate of this name.
fn files(name: &CrateName) -> Vec<(PathBuf, String)> {
    let template = TEMPLATE.iter().map(|(path, text)| {
        let text = text.replace(NAME, name.as_str());
        (PathBuf::from(path), text)
    });
    let lock = (PathBuf::from("Cargo.lock"), lock::lock(name));
    let sdk = sdk::files()
        .into_iter()
        .map(|(path, text)| (Path::new("sdk").join(path), text));
    template.chain([lock]).chain(sdk).collect()
}
