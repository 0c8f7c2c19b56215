//! The content of a message on its way through the house.
//!
//! The front of it is always in memory; **the header section ends in the front**, so
//! that whoever looks for forged fields or loops sees all of it. What is behind is in an
//! unnamed file: a host full of large messages needs disk, not memory.
//! **All that is in memory is bounded**: when it is used up content goes to disk
//! earlier, and when not even that is possible it is refused. **Nothing is left
//! behind**: the file has no name, so it is gone with the session, or with the host.

mod from;
pub mod header;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use from::{HeaderFrom, MAX_ADDRESSES};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::blocking::Share;

#[cfg(test)]
mod tests;

/// Most of a message that is held in memory, in octets. Nearly all mail is smaller, and
/// no header section of real mail is half as long.
pub const FRONT: usize = 1 << 20;

/// What is held in memory of every message that is longer, even when memory is short: a
/// header section has to end in it, and sendmail takes none that is half as long.
const SMALLEST_FRONT: usize = 64 << 10;

/// By how much a front grows: most mail needs one of these.
const LEASE: usize = 16 << 10;

/// How much is written to disk at once, in octets, where memory is not short; four leases.
const PIECE: usize = 64 << 10;

/// How much is read of a client at once, in octets, and so what comes between two calls of
/// [`Receiving::settle`]: a TLS record is at most 16 KiB, and most command groups are far
/// smaller.
pub const READ: usize = 8 << 10;

/// How long a disk may take for a piece. Beyond that the client is asked to come back.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Most threads at one time that wait for the disk of a spool.
const THREADS: usize = 256;

/// Where content is kept while it is received and delivered.
#[derive(Clone, Debug)]
pub struct Spool {
    directory: Arc<Path>,
    /// Leases for what a message cannot do without: four for its smallest front, and one for
    /// a piece that is on its way to disk. A host full of long fronts still takes the next
    /// message.
    essential: Arc<Semaphore>,
    /// Leases for whatever is asked for.
    ample: Arc<Semaphore>,
    threads: Share,
}

/// Content that is being received.
#[derive(Debug)]
pub struct Receiving {
    spool: Spool,
    front: Vec<u8>,
    leased: Vec<OwnedSemaphorePermit>,
    behind: Behind,
}

/// What is behind the front.
#[derive(Debug)]
enum Behind {
    Nothing,
    File(Writing),
    Failed(KeepError),
}

#[derive(Debug)]
struct Writing {
    file: Unnamed,
    /// Octets in it.
    written: u64,
    /// Octets that are to be written next.
    pending: Vec<u8>,
    room: Room,
}

/// What a piece has of the memory.
#[derive(Debug)]
struct Room {
    octets: usize,
    _leased: OwnedSemaphorePermit,
}

/// Why content cannot be kept. What the operator should know is logged where it
/// happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeepError {
    /// Neither memory nor disk has room.
    #[error("no room for the content")]
    NoRoom,
    /// The header section does not end in the front.
    #[error("header section over {FRONT} octets")]
    LongHeader,
    /// The disk fails in another way.
    #[error("the disk does not take the content")]
    Disk,
}

/// The content of a message as it came, dots unstuffed.
#[derive(Debug, Default)]
pub struct Content {
    front: Vec<u8>,
    behind: Option<(Unnamed, u64)>,
    _leased: Vec<OwnedSemaphorePermit>,
}

/// A file without a name.
#[derive(Debug)]
struct Unnamed {
    file: Option<File>,
    threads: Share,
}

impl Spool {
    /// Keeps at most `memory` octets of all messages together in memory, and the rest
    /// in files in `directory`. With 128 KiB for each message there is always room for what
    /// it cannot do without, whatever the others are.
    pub fn new(directory: PathBuf, memory: u64) -> Self {
        let leases = usize::try_from(memory).unwrap_or(usize::MAX) / LEASE;
        let ample = leases * 3 / 8;
        let part = |leases: usize| Arc::new(Semaphore::new(leases.min(Semaphore::MAX_PERMITS)));
        Self {
            directory: directory.into(),
            essential: part(leases - ample),
            ample: part(ample),
            threads: Share::new(THREADS),
        }
    }

    /// Begins a message. [`Receiving::error`] says at once if there is no memory for it.
    pub fn receive(&self) -> Receiving {
        let mut receiving = Receiving {
            spool: self.clone(),
            front: Vec::new(),
            leased: Vec::new(),
            behind: Behind::Nothing,
        };
        if !receiving.fits() {
            receiving.fail(KeepError::NoRoom);
        }
        receiving
    }

    fn lease_essential(&self) -> Option<OwnedSemaphorePermit> {
        let essential = Arc::clone(&self.essential).try_acquire_owned();
        essential.ok().or_else(|| self.lease_ample(1))
    }

    /// For a piece, which is smaller where memory is short.
    fn lease_piece(&self) -> Option<Room> {
        let large = self.lease_ample((PIECE / LEASE) as u32);
        let (octets, leased) = match large {
            Some(leased) => (PIECE, leased),
            None => (LEASE, self.lease_essential()?),
        };
        Some(Room {
            octets,
            _leased: leased,
        })
    }

    fn lease_ample(&self, leases: u32) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.ample).try_acquire_many_owned(leases).ok()
    }
}

impl Receiving {
    /// Where the next octets go; call [`Receiving::settle`] after each read.
    pub fn room(&mut self) -> &mut Vec<u8> {
        match &mut self.behind {
            Behind::File(writing) => &mut writing.pending,
            Behind::Nothing | Behind::Failed(_) => &mut self.front,
        }
    }

    /// Moves to disk what is too much for memory. What goes wrong is told by
    /// [`Receiving::error`] and at the end; until then whatever comes is thrown away.
    pub async fn settle(&mut self) {
        match &self.behind {
            Behind::Nothing => {
                if !self.fits() {
                    self.begin_file().await;
                }
            }
            Behind::File(writing) if writing.pending.len() + READ <= writing.room.octets => {}
            Behind::File(_) => self.write().await,
            Behind::Failed(_) => self.front = Vec::new(),
        }
    }

    /// What has gone wrong so far.
    pub fn error(&self) -> Option<KeepError> {
        match self.behind {
            Behind::Failed(error) => Some(error),
            Behind::Nothing | Behind::File(_) => None,
        }
    }

    /// Throws away what has come: the message will be refused.
    pub fn discard(&mut self) {
        self.front = Vec::new();
        self.leased = Vec::new();
        if let Behind::File(_) = self.behind {
            self.behind = Behind::Nothing;
        }
    }

    /// The whole of it.
    ///
    /// # Errors
    /// What went wrong, then or earlier.
    pub async fn finish(mut self) -> Result<Content, KeepError> {
        self.write().await;
        let behind = match self.behind {
            Behind::Nothing => None,
            Behind::File(Writing { file, written, .. }) => Some((file, written)),
            Behind::Failed(error) => return Err(error),
        };
        Ok(Content {
            front: self.front,
            behind,
            _leased: self.leased,
        })
    }

    /// Whether the front may grow by another read, which may go a little over.
    fn fits(&mut self) -> bool {
        let length = self.front.len();
        if length >= FRONT {
            return false;
        }
        while length >= self.leased.len() * LEASE {
            let lease = match length < SMALLEST_FRONT {
                true => self.spool.lease_essential(),
                false => self.spool.lease_ample(1),
            };
            let Some(lease) = lease else { return false };
            self.leased.push(lease);
            if length > 0 {
                // Growing by itself it would double what was leased.
                self.front.reserve_exact(2 * LEASE);
            }
        }
        true
    }

    async fn begin_file(&mut self) {
        if !header_ends_in(&self.front) {
            // With more memory its end might have been found.
            return self.fail(match self.front.len() < FRONT {
                true => KeepError::NoRoom,
                false => KeepError::LongHeader,
            });
        }
        let Some(room) = self.spool.lease_piece() else {
            return self.fail(KeepError::NoRoom);
        };
        let directory = Arc::clone(&self.spool.directory);
        let made = self.spool.threads.within(PATIENCE, move || {
            crate::directory::make(&directory)?;
            tempfile::tempfile_in(&directory)
        });
        match made.await {
            Ok(file) => {
                self.behind = Behind::File(Writing {
                    file: Unnamed {
                        file: Some(file),
                        threads: self.spool.threads.clone(),
                    },
                    written: 0,
                    pending: Vec::with_capacity(room.octets),
                    room,
                });
            }
            Err(error) => self.fail_on_disk(&error),
        }
    }

    async fn write(&mut self) {
        match std::mem::replace(&mut self.behind, Behind::Nothing) {
            Behind::File(writing) => {
                let threads = &self.spool.threads;
                match threads.within(PATIENCE, move || writing.write()).await {
                    Ok(writing) => self.behind = Behind::File(writing),
                    Err(error) => self.fail_on_disk(&error),
                }
            }
            behind => self.behind = behind,
        }
    }

    fn fail_on_disk(&mut self, error: &io::Error) {
        let path = self.spool.directory.display();
        tracing::error!(%path, %error, "content could not be kept on disk");
        self.fail(match error.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => KeepError::NoRoom,
            _ => KeepError::Disk,
        });
    }

    fn fail(&mut self, error: KeepError) {
        self.discard();
        self.behind = Behind::Failed(error);
    }
}

impl Writing {
    fn write(mut self) -> io::Result<Self> {
        self.file.get()?.write_all_at(&self.pending, self.written)?;
        self.written += self.pending.len() as u64;
        self.pending.clear();
        Ok(self)
    }
}

impl Unnamed {
    /// The file, which is there until it is dropped.
    fn get(&self) -> io::Result<&File> {
        let file = self.file.as_ref();
        file.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// To close the last descriptor of a long file is to give its blocks back, which is work
/// for a thread that may wait.
impl Drop for Unnamed {
    fn drop(&mut self) {
        if let (Some(file), Ok(runtime)) = (self.file.take(), Handle::try_current()) {
            self.threads.clone().by_and_by(&runtime, move || drop(file));
        }
    }
}

/// Whether content that begins so has the end of its header section in it.
fn header_ends_in(front: &[u8]) -> bool {
    front.starts_with(b"\r\n") || memchr::memmem::find(front, b"\r\n\r\n").is_some()
}

impl Content {
    /// Content that is wholly in memory.
    pub fn in_memory(octets: Vec<u8>) -> Self {
        Self {
            front: octets,
            ..Self::default()
        }
    }

    /// Content whose disk is gone.
    #[cfg(test)]
    pub fn unreadable() -> Self {
        Self {
            front: b"\r\n".to_vec(),
            behind: Some((
                Unnamed {
                    file: None,
                    threads: Share::new(1),
                },
                1,
            )),
            ..Self::default()
        }
    }

    /// All of its octets.
    pub fn len(&self) -> u64 {
        let behind = self.behind.as_ref().map_or(0, |(_, length)| *length);
        self.front.len() as u64 + behind
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The octets that are in memory.
    pub fn front(&self) -> &[u8] {
        &self.front
    }

    /// What comes of reading it in a thread that may wait for its disk, within this time.
    ///
    /// # Errors
    /// Those of the work, or that the disk does not answer.
    pub async fn in_thread<T: Send + 'static>(
        self: &Arc<Self>,
        patience: Duration,
        work: impl FnOnce(&Self) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let content = Arc::clone(self);
        match &self.behind {
            Some((file, _)) => {
                let threads = &file.threads;
                threads.within(patience, move || work(&content)).await
            }
            // It takes a moment of a thread, and waits for nothing.
            None => tokio::task::spawn_blocking(move || work(&content))
                .await
                .unwrap_or_else(|lost| Err(io::Error::other(lost))),
        }
    }

    /// Reads octets behind the front, from `offset` into the whole content on; 0 is the
    /// end. May wait for a disk: not for a thread that must not.
    ///
    /// # Errors
    /// The disk's.
    pub fn read_behind_front(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        match &self.behind {
            Some((file, _)) => file
                .get()?
                .read_at(buffer, offset.saturating_sub(self.front.len() as u64)),
            None => Ok(0),
        }
    }
}
