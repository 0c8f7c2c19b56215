//! A file that is written whole, or not at all.

use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, ensure};

/// What everybody may who may read files of this user: the umask takes the rest.
const MODE: u32 = 0o666;

/// Puts this in the place of what is there, if anything is.
///
/// # Errors
/// When it cannot be written. What is there stays as it is then.
pub(super) fn write(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let there = path.symlink_metadata();
    ensure!(
        there.is_err() || there.is_ok_and(|there| there.is_file()),
        "{} is no file: name one that is, or is to be",
        path.display()
    );
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let written = (|| {
        let mut file = tempfile::Builder::new()
            .permissions(Permissions::from_mode(MODE))
            .tempfile_in(directory.unwrap_or(Path::new(".")))?;
        file.write_all(content)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)
    })();
    written.with_context(|| format!("cannot write {}", path.display()))?;
    Ok(())
}
