//! Directories that are there to stay, and private to the host and its group.
//!
//! A directory is an entry in another one: until that is synced, a crash can take it
//! away with all that was synced in it. **So one that is found is not taken to be there to
//! stay**: whoever made it may have failed to sync it, or be about to. It is, once this
//! process has synced it; those above it are, since nothing is made in one that is not.

use std::collections::HashSet;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

/// For the host and its group: who reads mail or receipts there is put into the group.
const MODE: u32 = 0o750;

/// Those whose entries this process knows to be on disk: a handful, and some for each
/// tenant.
static SYNCED: LazyLock<Mutex<HashSet<PathBuf>>> = LazyLock::new(Mutex::default);

/// Makes a directory and what is missing above it, durably. One that is there is left
/// as it is.
///
/// # Errors
/// When a directory can be neither found, made nor synced.
pub fn make(path: &Path) -> io::Result<()> {
    let found = path.is_dir();
    if found && synced().contains(path) {
        return Ok(());
    }
    let parent = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        // The root is nobody's entry.
        None if found => return Ok(()),
        None => return Err(io::ErrorKind::NotFound.into()),
    };
    if !found {
        // Whatever is known of it is of one that is gone.
        synced().remove(path);
        make(parent)?;
        make_one(path)?;
    }
    match sync(parent) {
        // It was made by somebody else: the host makes none where it may not read.
        Err(error) if found && error.kind() == io::ErrorKind::PermissionDenied => {}
        synced => synced?,
    }
    synced().insert(path.to_owned());
    Ok(())
}

fn make_one(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(MODE).create(path) {
        // Somebody else may be at it, too; both sync.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        made => made,
    }
}

/// The set is whole whatever happened to the thread that held it.
fn synced() -> MutexGuard<'static, HashSet<PathBuf>> {
    SYNCED.lock().unwrap_or_else(PoisonError::into_inner)
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
