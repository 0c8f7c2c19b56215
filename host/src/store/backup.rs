//! A copy of the store while the host runs, and bringing one back while none does.
//!
//! **A copy is whole or not there**: it gets its name when it is on disk. **What is
//! brought back was looked at first**, what it replaces is kept, and its audit says so.

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
        let mut connection = self.connection().await?;
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
    // What the audit has of the time after the copy is not in it: that it goes on from there
    // is said.
    file::note(copy, &format!("restore from {}", from.display())).await?;
    Ok(File::open(copy)?.sync_all()?)
}

async fn replace(copy: &Path, here: &Path) -> Result<Option<PathBuf>, Failure> {
    let directory = here.parent().unwrap_or(Path::new("."));
    let owner = directory.metadata()?;
    if rustix::process::geteuid().is_root() {
        chown(copy, Some(owner.uid()), Some(owner.gid()))?;
    }
    let kept = if here.try_exists()? {
        Some(keep(here).await?)
    } else {
        keep_logs(here)?
    };
    fs::rename(copy, here)?;
    directory::sync(directory)?;
    Ok(kept)
}

/// Gives the store that is there another name beside its own, with all that was
/// committed, so that at no moment there is none.
async fn keep(here: &Path) -> Result<PathBuf, Failure> {
    // What is damaged, or open elsewhere, is kept as it is, with its log.
    let settled = matches!(file::settle(here).await, Ok(true));
    let kept = second_name(here)?;
    for end in logs_of(here)? {
        match settled {
            true => fs::remove_file(beside(here, end))?,
            false => fs::rename(beside(here, end), beside(&kept, end))?,
        }
    }
    Ok(kept)
}

/// The same for what is left of a store whose file was moved away; where the first of it
/// is then, if there was anything.
fn keep_logs(here: &Path) -> Result<Option<PathBuf>, Failure> {
    let ends = logs_of(here)?;
    let Some(first) = ends.first() else {
        return Ok(None);
    };
    for name in second_names(here)? {
        if !name.try_exists()? && logs_of(&name)?.is_empty() {
            for end in &ends {
                fs::rename(beside(here, end), beside(&name, end))?;
            }
            return Ok(Some(beside(&name, first)));
        }
    }
    Err(io::Error::from(io::ErrorKind::AlreadyExists).into())
}

/// What SQLite keeps beside a file. That of one store must never be taken for another's.
const LOGS: [&str; 3] = ["-wal", "-shm", "-journal"];

fn beside(here: &Path, end: &str) -> PathBuf {
    PathBuf::from(format!("{}{end}", here.display()))
}

/// Those that are there.
fn logs_of(here: &Path) -> io::Result<Vec<&'static str>> {
    let mut there = Vec::new();
    for end in LOGS {
        if beside(here, end).try_exists()? {
            there.push(end);
        }
    }
    Ok(there)
}

/// A name with the time in it that no other file has; the file has both then.
fn second_name(here: &Path) -> Result<PathBuf, Failure> {
    for kept in second_names(here)? {
        match fs::hard_link(here, &kept) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            linked => return Ok(linked.map(|()| kept)?),
        }
    }
    Err(io::Error::from(io::ErrorKind::AlreadyExists).into())
}

fn second_names(here: &Path) -> Result<impl Iterator<Item = PathBuf>, Failure> {
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    let now = OffsetDateTime::from(SystemTime::now()).format(&format);
    let first = format!(
        "{}.replaced-{}",
        here.display(),
        now.map_err(io::Error::other)?
    );
    let others = (2..).map({
        let first = first.clone();
        move |number: u32| PathBuf::from(format!("{first}-{number}"))
    });
    Ok(std::iter::once(PathBuf::from(first)).chain(others))
}
