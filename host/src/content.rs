//! The content of a message on its way through the house.
//!
//! The front of it, in which the header section lies, is always in memory. What is
//! behind is in an unnamed file: a host full of large messages needs disk, not memory.
//! **All fronts together are bounded**: when the memory for them is used up, content
//! goes to disk earlier. **Nothing is left behind**: the file has no name, so it is gone
//! with the session, or with the host.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Most of a message that is held in memory, in octets. Nearly all mail is smaller, and
/// no header section of real mail is half as long.
pub const FRONT: usize = 1 << 20;

/// What a message may hold without asking for more: enough for the header section of
/// ordinary mail, even when all other memory is used up.
const FREE: usize = 64 << 10;

/// By how much memory grows.
const LEASE: usize = 64 << 10;

/// How much is written to disk at once.
const PIECE: usize = 256 << 10;

/// Where content is kept while it is received and delivered.
#[derive(Clone, Debug)]
pub struct Spool {
    directory: Arc<Path>,
    /// One for each [`LEASE`].
    memory: Arc<Semaphore>,
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
    File {
        file: File,
        /// Octets in it.
        written: u64,
        /// Octets that are to be written next.
        pending: Vec<u8>,
    },
    Failed(io::Error),
}

/// The content of a message as it came, dots unstuffed.
#[derive(Debug, Default)]
pub struct Content {
    front: Vec<u8>,
    behind: Option<(File, u64)>,
    _leased: Vec<OwnedSemaphorePermit>,
}

impl Spool {
    /// Keeps `memory` octets of all messages together in memory, beside a little of
    /// each, and the rest in files in `directory`.
    pub fn new(directory: PathBuf, memory: u64) -> Self {
        let leases = usize::try_from(memory).unwrap_or(usize::MAX) / LEASE;
        Self {
            directory: directory.into(),
            memory: Arc::new(Semaphore::new(leases.min(Semaphore::MAX_PERMITS))),
        }
    }

    /// Begins a message.
    pub fn receive(&self) -> Receiving {
        Receiving {
            spool: self.clone(),
            front: Vec::new(),
            leased: Vec::new(),
            behind: Behind::Nothing,
        }
    }
}

impl Receiving {
    /// Where the next octets go; call [`Receiving::settle`] after some have come.
    pub fn room(&mut self) -> &mut Vec<u8> {
        match &mut self.behind {
            Behind::File { pending, .. } => pending,
            Behind::Nothing | Behind::Failed(_) => &mut self.front,
        }
    }

    /// Moves to disk what is too much for memory. An error shows at the end.
    pub async fn settle(&mut self) {
        match &mut self.behind {
            Behind::Nothing => {
                if !self.fits() {
                    self.begin_file().await;
                }
            }
            Behind::File { pending, .. } if pending.len() >= PIECE => self.write().await,
            Behind::Failed(_) => self.front = Vec::new(),
            Behind::File { .. } => {}
        }
    }

    /// Throws away what has come: the message will be refused.
    pub fn discard(&mut self) {
        self.front = Vec::new();
        self.leased = Vec::new();
        self.behind = Behind::Nothing;
    }

    /// The whole of it.
    ///
    /// # Errors
    /// The disk's.
    pub async fn finish(mut self) -> io::Result<Content> {
        if let Behind::File { .. } = &self.behind {
            self.write().await;
        }
        let behind = match self.behind {
            Behind::Nothing => None,
            Behind::File { file, written, .. } => Some((file, written)),
            Behind::Failed(error) => return Err(error),
        };
        Ok(Content {
            front: self.front,
            behind,
            _leased: self.leased,
        })
    }

    /// Whether the front may grow by another read.
    fn fits(&mut self) -> bool {
        if self.front.len() >= FRONT {
            return false;
        }
        while self.front.len() >= FREE + self.leased.len() * LEASE {
            match Arc::clone(&self.spool.memory).try_acquire_owned() {
                Ok(lease) => self.leased.push(lease),
                Err(_) => return false,
            }
        }
        true
    }

    async fn begin_file(&mut self) {
        let directory = Arc::clone(&self.spool.directory);
        let made = blocking(move || {
            crate::directory::make(&directory)?;
            tempfile::tempfile_in(&directory)
        });
        self.behind = match made.await {
            Ok(file) => Behind::File {
                file,
                written: 0,
                pending: Vec::new(),
            },
            Err(error) => self.failed(error),
        };
    }

    async fn write(&mut self) {
        let behind = std::mem::replace(&mut self.behind, Behind::Nothing);
        let Behind::File {
            mut file,
            written,
            mut pending,
        } = behind
        else {
            self.behind = behind;
            return;
        };
        let wrote = blocking(move || {
            file.write_all(&pending)?;
            let written = written + pending.len() as u64;
            pending.clear();
            Ok(Behind::File {
                file,
                written,
                pending,
            })
        });
        self.behind = match wrote.await {
            Ok(behind) => behind,
            Err(error) => self.failed(error),
        };
    }

    fn failed(&mut self, error: io::Error) -> Behind {
        tracing::error!(path = %self.spool.directory.display(), %error, "content could not be kept on disk");
        self.discard();
        Behind::Failed(error)
    }
}

impl Content {
    /// Content that is wholly in memory.
    pub fn in_memory(octets: Vec<u8>) -> Self {
        Self {
            front: octets,
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

    /// Whether the header section ends in the front. Where all is in the front, it does.
    pub fn has_whole_header(&self) -> bool {
        self.behind.is_none()
            || self.front.starts_with(b"\r\n")
            || memchr::memmem::find(&self.front, b"\r\n\r\n").is_some()
    }

    /// Reads octets behind the front, from `offset` into the whole content on; 0 is the
    /// end. May wait for a disk: not for a thread that must not.
    ///
    /// # Errors
    /// The disk's.
    pub fn read_behind_front(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        match &self.behind {
            Some((file, _)) => file.read_at(buffer, offset.saturating_sub(self.front.len() as u64)),
            None => Ok(0),
        }
    }
}

/// Disks are waited for by threads that may wait.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|lost| Err(io::Error::other(lost)))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn receive(spool: &Spool, octets: &[u8]) -> io::Result<Content> {
        let mut receiving = spool.receive();
        for piece in octets.chunks(8 << 10) {
            receiving.room().extend_from_slice(piece);
            receiving.settle().await;
        }
        receiving.finish().await
    }

    fn whole(content: &Content) -> Vec<u8> {
        let mut octets = content.front().to_vec();
        let mut buffer = [0; 1000];
        loop {
            let read = content
                .read_behind_front(octets.len() as u64, &mut buffer)
                .expect("the file can be read");
            if read == 0 {
                return octets;
            }
            octets.extend_from_slice(&buffer[..read]);
        }
    }

    fn octets(length: usize) -> Vec<u8> {
        (0..length).map(|at| (at % 251) as u8).collect()
    }

    #[tokio::test]
    async fn long_content_comes_back_whole_and_leaves_no_file() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("spool");
        let spool = Spool::new(path.clone(), 64 << 20);
        for length in [0, 1000, FRONT, FRONT + 1, (3 << 20) + 17] {
            let sent = octets(length);
            let content = receive(&spool, &sent).await.expect("kept");
            assert_eq!(content.len(), length as u64);
            assert!(content.front().len() <= FRONT + (8 << 10), "{length}");
            assert!(whole(&content) == sent, "{length}");
        }
        let left = std::fs::read_dir(path).expect("it was made").count();
        assert_eq!(left, 0);
    }

    #[tokio::test]
    async fn fronts_share_what_memory_there_is() {
        let directory = tempfile::tempdir().expect("a directory");
        let spool = Spool::new(directory.path().to_owned(), 2 * LEASE as u64);
        let sent = octets(300 << 10);
        let first = receive(&spool, &sent).await.expect("kept");
        let second = receive(&spool, &sent).await.expect("kept");
        assert_eq!(first.front().len(), FREE + 2 * LEASE);
        assert_eq!(second.front().len(), FREE, "the first has the rest");
        assert!(whole(&second) == sent);
        drop(first);
        let third = receive(&spool, &sent).await.expect("kept");
        assert_eq!(third.front().len(), FREE + 2 * LEASE, "given back");
    }

    #[tokio::test]
    async fn a_disk_that_fails_is_an_error_at_the_end() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("not-a-directory");
        std::fs::write(&file, "").expect("written");
        let spool = Spool::new(file, 64 << 20);
        assert!(receive(&spool, &octets(2 << 20)).await.is_err());
        assert!(receive(&spool, &octets(1000)).await.is_ok());
    }

    #[test]
    fn where_the_header_section_ends() {
        let behind = || Some((tempfile::tempfile().expect("a file"), 1));
        for (front, whole) in [
            ("A: b\r\n\r\nbody", true),
            ("\r\nbody", true),
            ("A: b\r\nC: d\r\n", false),
        ] {
            let content = Content {
                front: front.into(),
                behind: behind(),
                _leased: Vec::new(),
            };
            assert_eq!(content.has_whole_header(), whole, "{front:?}");
        }
        assert!(Content::in_memory(b"A: b\r\n".to_vec()).has_whole_header());
    }
}
