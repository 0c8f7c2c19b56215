//! A copy of the store while the host runs, and bringing one back while none does.
//!
//! **A copy is whole or not there**: it gets its name when it is on disk. **What is
//! brought back was looked at first**, and what it replaces is kept.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use time::OffsetDateTime;
use time::macros::format_description;

use super::error::Failure;
use super::file::{self, MODE, NAME};
use super::{Store, StoreError, sqlite};
use crate::directory;

impl Store {
    /// Copies it into a new file, as it is at this moment.
    ///
    /// # Errors
    /// When that file is there, or cannot be written.
    pub async fn backup(&self, to: &Path) -> Result<(), StoreError> {
        let copied = self.copy(to).await;
        copied.map_err(|failure| failure.at(to))
    }

    async fn copy(&self, to: &Path) -> Result<(), Failure> {
        if to.exists() {
            return Err(io::Error::other("it is there already: name a new file").into());
        }
        let parent = match to.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        // An empty file is what SQLite takes for a new one; this one has the right mode.
        let new = tempfile::Builder::new()
            .prefix(".backup-")
            .tempfile_in(parent)?;
        let path = new.path().to_str();
        let path = path.ok_or_else(|| io::Error::other("its path is not UTF-8"))?;
        let mut connection = self.pool.acquire().await?;
        sqlite::copy_into(&mut connection, path).await?;
        new.as_file().sync_all()?;
        new.persist_noclobber(to).map_err(|error| error.error)?;
        Ok(directory::sync(parent)?)
    }

    /// Puts a copy in the place of the store of this data directory, on which no host
    /// runs; the caller has made sure of that. Gives the file that has what was there
    /// before, if there was anything.
    ///
    /// # Errors
    /// When the copy is damaged, no store or a newer host's, or cannot be put there.
    /// Then nothing was changed.
    pub async fn restore(from: &Path, data_dir: &Path) -> Result<Option<PathBuf>, StoreError> {
        let here = Self::path(data_dir);
        // In a directory of its own, for SQLite may put files beside it.
        let made = tempfile::Builder::new()
            .prefix(".restore-")
            .tempdir_in(data_dir);
        let scratch = made.map_err(|error| Failure::from(error).at(&here))?;
        let copy = scratch.path().join(NAME);
        fetch(from, &copy)
            .await
            .map_err(|failure| failure.at(from))?;
        replace(&copy, &here)
            .await
            .map_err(|failure| failure.at(&here))
    }
}

/// Copies a file and looks at the copy.
async fn fetch(from: &Path, copy: &Path) -> Result<(), Failure> {
    if !from.is_file() {
        return Err(io::Error::from(io::ErrorKind::NotFound).into());
    }
    fs::copy(from, copy)?;
    fs::set_permissions(copy, Permissions::from_mode(MODE))?;
    file::check(copy).await?;
    Ok(File::open(copy)?.sync_all()?)
}

async fn replace(copy: &Path, here: &Path) -> Result<Option<PathBuf>, Failure> {
    let directory = here.parent().unwrap_or(Path::new("."));
    let owner = directory.metadata()?;
    if rustix::process::geteuid().is_root() {
        chown(copy, Some(owner.uid()), Some(owner.gid()))?;
    }
    let kept = if here.exists() {
        Some(keep(here).await?)
    } else {
        None
    };
    fs::rename(copy, here)?;
    directory::sync(directory)?;
    Ok(kept)
}

/// Gives the store that is there another name beside its own, with all that was
/// committed, so that at no moment there is none.
async fn keep(here: &Path) -> Result<PathBuf, Failure> {
    // What is damaged is kept as it is, with its log.
    let settled = file::settle(here).await.is_ok();
    let kept = second_name(here)?;
    let beside = |end: &str| PathBuf::from(format!("{}{end}", here.display()));
    for end in ["-wal", "-shm"] {
        let log = beside(end);
        if log.exists() {
            // A log of the one must never be taken for the other's.
            match settled {
                true => fs::remove_file(&log)?,
                false => fs::rename(&log, format!("{}{end}", kept.display()))?,
            }
        }
    }
    Ok(kept)
}

/// A name with the time in it that no other file has; the file has both then.
fn second_name(here: &Path) -> Result<PathBuf, Failure> {
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    let now = OffsetDateTime::from(SystemTime::now()).format(&format);
    let now = now.map_err(io::Error::other)?;
    for number in 1.. {
        let number = if number == 1 {
            String::new()
        } else {
            format!("-{number}")
        };
        let kept = PathBuf::from(format!("{}.replaced-{now}{number}", here.display()));
        match fs::hard_link(here, &kept) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            linked => return Ok(linked.map(|()| kept)?),
        }
    }
    Err(io::Error::from(io::ErrorKind::AlreadyExists).into())
}
