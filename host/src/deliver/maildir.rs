//! A maildir of a tenant.
//!
//! A message is written to `tmp` and synced, renamed into `new`, and `new` is synced:
//! **what is reported as delivered survives a crash**.
//!
//! A disk may hang. **The client hears within the time for a delivery**, and the work
//! goes on in a thread of its own: there are few such threads for each maildir, so that
//! a disk that hangs holds up its own tenants alone.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use entries::Entries;

use super::DeliveryError;
use super::late::Late;
use super::parcel::Parcel;
use super::until::Until;
use crate::blocking::Share;
use crate::content::Content;
use crate::directory;

mod entries;

#[cfg(test)]
mod tests;

/// How long a disk may take to say whether a maildir is there. Beyond that the client
/// is asked to come back.
const PATIENCE: Duration = Duration::from_secs(30);

/// Most threads at one time that work on a maildir. Two cores and a disk are busy with
/// fewer.
const THREADS: usize = 16;

/// And on all maildirs together: eighty whose disk hangs, and others still have some.
pub(super) const ALL_THREADS: usize = 1280;

/// How long a maildir that could be written is taken to be one that can: to look again
/// for each message costs as much as a third of its delivery.
const TRUSTED: Duration = Duration::from_secs(1);

/// Mail is for the host and its group: whoever reads it is put into that group.
const FILE_MODE: u32 = 0o640;

/// How much of a long message is copied at once.
const PIECE: usize = 256 * 1024;

/// A maildir.
#[derive(Debug)]
pub struct Maildir {
    path: PathBuf,
    delivery_timeout: Duration,
    threads: Share,
    all_threads: Share,
    /// Of `new`.
    entries: Arc<Entries>,
    /// When it could be written; never, or not since something failed.
    seen: Mutex<Option<Instant>>,
}

impl Maildir {
    /// The maildir at `path`, in which a delivery may take so long, and its part of what all
    /// maildirs have.
    pub(super) fn new(path: PathBuf, delivery_timeout: Duration, all_threads: Share) -> Self {
        Self {
            entries: Arc::new(Entries::of(path.join("new"))),
            path,
            delivery_timeout,
            threads: Share::new(THREADS),
            all_threads,
            seen: Mutex::default(),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it can take mail; it is made if need be.
    ///
    /// # Errors
    /// When it cannot, or the disk does not say in time.
    pub(super) async fn open(&self) -> Result<(), DeliveryError> {
        if self.seen().is_some_and(|seen| seen.elapsed() < TRUSTED) {
            return Ok(());
        }
        let opened = self.look().await;
        *self.seen() = opened.is_ok().then(Instant::now);
        opened
    }

    /// Makes what is missing, and tries whether files can be made.
    ///
    /// # Errors
    /// When they cannot, or the disk does not say in time.
    pub(super) async fn look(&self) -> Result<(), DeliveryError> {
        let deadline = Instant::now() + PATIENCE;
        let path = self.path.clone();
        let mut work = self.start(deadline, move || make(&path)).await?;
        timeout_at(deadline, &mut work).await.map_or_else(
            |_| Err(self.timeout()),
            |done| done.unwrap_or_else(|error| lost(&error)),
        )
    }

    /// Delivers as a file of this name, and gives its path. If the disk does not answer in
    /// time, `late` learns what becomes of the message.
    ///
    /// # Errors
    /// When the message is not there, or not yet.
    pub(super) async fn deliver(
        &self,
        name: String,
        parcel: Parcel,
        until: &Until,
        late: Late,
    ) -> Result<PathBuf, DeliveryError> {
        let delivered = self.store(name, parcel, until, late).await;
        if delivered.is_err() {
            *self.seen() = None;
        }
        delivered
    }

    async fn store(
        &self,
        name: String,
        parcel: Parcel,
        until: &Until,
        late: Late,
    ) -> Result<PathBuf, DeliveryError> {
        let deadline = until.due.min(Instant::now() + self.delivery_timeout);
        let (maildir, entries) = (self.path.clone(), Arc::clone(&self.entries));
        let starting = self.start(deadline, move || write(&maildir, &entries, &name, &parcel));
        let started = until.unless_cut_off(pin!(starting)).await;
        let mut work = started.unwrap_or_else(|| Err(self.timeout()))?;
        let done = pin!(timeout_at(deadline, &mut work));
        match until.unless_cut_off(done).await {
            Some(Ok(done)) => done.unwrap_or_else(|error| lost(&error)),
            Some(Err(_)) | None => {
                late.watch(work).await;
                Err(self.timeout())
            }
        }
    }

    /// Starts work in a thread that may wait, once there is one.
    async fn start<T: Send + 'static>(
        &self,
        deadline: Instant,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<JoinHandle<T>, DeliveryError> {
        let shares = [&self.threads, &self.all_threads];
        let started = Share::start(&shares, deadline, work).await;
        started.ok_or_else(|| self.timeout())
    }

    /// An instant is whole whatever happened to the thread that held it.
    fn seen(&self) -> MutexGuard<'_, Option<Instant>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn timeout(&self) -> DeliveryError {
        DeliveryError::Timeout {
            path: self.path.clone(),
        }
    }
}

fn lost<T>(lost: &tokio::task::JoinError) -> Result<T, DeliveryError> {
    Err(DeliveryError::Lost(lost.to_string()))
}

fn make(maildir: &Path) -> Result<(), DeliveryError> {
    for part in ["tmp", "new", "cur"] {
        let path = maildir.join(part);
        directory::make(&path)
            .and_then(|()| writable(&path))
            .map_err(|source| DeliveryError::storage(path, source))?;
    }
    Ok(())
}

fn writable(path: &Path) -> io::Result<()> {
    use rustix::fs::Access;
    Ok(rustix::fs::access(
        path,
        Access::WRITE_OK | Access::EXEC_OK,
    )?)
}

/// The whole of a delivery.
fn write(
    maildir: &Path,
    entries: &Entries,
    name: &str,
    parcel: &Parcel,
) -> Result<PathBuf, DeliveryError> {
    let temporary = maildir.join("tmp").join(name);
    let delivered = maildir.join("new").join(name);
    write_synced(&temporary, parcel)
        .map_err(|source| (&temporary, source))
        .and_then(|()| fs::rename(&temporary, &delivered).map_err(|source| (&delivered, source)))
        .map_err(|(path, source)| {
            // Whatever stays in tmp is no mail; readers clean it up after 36 hours.
            let _ = fs::remove_file(&temporary);
            DeliveryError::storage(path.clone(), source)
        })?;
    if let Err(source) = entries.sync() {
        // The client sends it again, and it would be there twice.
        if let Err(error) = fs::remove_file(&delivered) {
            tracing::warn!(path = %delivered.display(), %error, "a message that may come again could not be removed");
        }
        return Err(DeliveryError::storage(delivered, source));
    }
    Ok(delivered)
}

fn write_synced(path: &Path, parcel: &Parcel) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(path)?;
    let mut slices: Vec<IoSlice<'_>> = parcel.slices().map(IoSlice::new).collect();
    write_all_vectored(&mut file, &mut slices)?;
    write_behind_front(&mut file, parcel.content())?;
    file.sync_all()
}

fn write_all_vectored(file: &mut File, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
    IoSlice::advance_slices(&mut slices, 0);
    while !slices.is_empty() {
        match file.write_vectored(slices) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut slices, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn write_behind_front(file: &mut File, content: &Content) -> io::Result<()> {
    let mut offset = content.front().len() as u64;
    let mut buffer = Vec::new();
    while offset < content.len() {
        buffer.resize(PIECE, 0);
        match content.read_behind_front(offset, &mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                file.write_all(&buffer[..read])?;
                offset += read as u64;
            }
        }
    }
    Ok(())
}
