//! Directories that are there to stay, and private to the host and its group.
//!
//! A directory is an entry in another one: until that is synced, a crash can take it
//! away with all that was synced in it.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// For the host and its group: who reads mail or receipts there is put into the group.
const MODE: u32 = 0o750;

/// Makes a directory and what is missing above it, durably. One that is there is left
/// as it is.
///
/// # Errors
/// When a directory can be neither found, made nor synced.
pub fn make(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => return Err(io::ErrorKind::NotFound.into()),
    };
    make(parent)?;
    match DirBuilder::new().mode(MODE).create(path) {
        // Somebody else may be at it, too; both sync.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists || !path.is_dir() => Err(error),
        _ => sync(parent),
    }
}

/// Waits until the entries of a directory are on disk.
///
/// # Errors
/// As the system says.
pub fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_missing_is_made_and_kept_from_others() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("a/b/c");
        make(&path).expect("made");
        make(&path).expect("it is there");
        for path in [&*path, path.parent().expect("b")] {
            let mode = path.metadata().expect("it is there").permissions().mode();
            assert_eq!(mode & 0o007, 0, "{}", path.display());
        }
        std::fs::write(home.path().join("file"), "").expect("written");
        assert!(make(&home.path().join("file/below")).is_err());
    }
}
