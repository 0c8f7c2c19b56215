//! Receipts on their way to where they are kept: a bounded queue, and one thread that
//! writes.
//!
//! An event is put into words where it happens. What has come is written together and is on
//! disk within a second: a sync for each event would cost more than the decisions that they
//! record. **What is not taken, by the
//! store or by the disk of the day files, stays in memory, whole and in order, and is
//! tried again.** That is bounded: when it is full the queue fills, then those who decide
//! about recipients wait, and then they ask clients to come back, so that there is room for
//! what becomes of the mail that was accepted before. Only what finds no room for ten
//! seconds then is lost, and that is said.

mod days;
mod kept;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::Thread;

use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::Event;
use crate::store::{Entry, Store};
pub use writer::Writer;

/// Events that may wait to be written: some 6 MB, or a second of a busy host.
const QUEUE: usize = 2048;

/// Recipients are decided only while so many events have room: it is for what becomes of
/// those who were accepted before.
const RESERVE: usize = QUEUE / 2;

/// What is no part of a receipt is taken only while so many have room, so that it never
/// takes the last place of a recipient's.
const SPARE: usize = QUEUE / 4 * 3;

/// The writer is woken when only so many have room: as often as there is something to do,
/// since to wake costs a busy host more than to take an event.
const GATHERED: usize = QUEUE / 8 * 7;

/// Where receipts are written.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// The store, if they are kept there.
    pub store: Option<Store>,
    /// The directory of day files, if these are written, and for how many days they are
    /// kept.
    pub files: Option<(PathBuf, u32)>,
}

/// Hands events over to be written.
#[derive(Clone, Debug)]
pub struct Journal {
    queue: mpsc::Sender<Handed>,
    words: Words,
    /// The thread that takes from the queue.
    writer: Thread,
    counts: Arc<Counts>,
    /// The queue has more room than before.
    room: Arc<Notify>,
}

/// What goes through the queue.
#[derive(Debug)]
enum Handed {
    Event(Written),
    /// Whoever waits until all that came before it is on disk.
    Barrier(oneshot::Sender<()>),
}

/// Of an event what is written, for each place.
#[derive(Debug)]
struct Written {
    /// Its line in a day file.
    line: Option<Vec<u8>>,
    /// What it comes to in the store.
    entry: Option<Entry>,
}

/// Puts events into the words of the places where they are kept.
#[derive(Clone, Copy, Debug)]
struct Words {
    store: bool,
    files: bool,
}

/// What became of events.
#[derive(Debug, Default)]
struct Counts {
    written: AtomicU64,
    lost: AtomicU64,
    write_errors: AtomicU64,
    /// Recipients who were asked to come back.
    deferred: AtomicU64,
}

/// How the journal is doing.
#[derive(Clone, Copy, Debug)]
pub struct State {
    /// Events written since the start.
    pub written: u64,
    /// Events that could not be written.
    pub lost: u64,
    /// Times that the disk or the store did not take what was written; it is tried again.
    pub write_errors: u64,
    /// Recipients who were asked to come back, since their receipts found no room.
    pub deferred: u64,
    /// Events that wait to be written.
    pub waiting: u64,
    /// Most that may wait.
    pub limit: u64,
    /// Whether nobody writes any more.
    pub is_closed: bool,
}

/// The directory of receipts cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot write receipts in {path}: {source}")]
pub struct JournalError {
    path: PathBuf,
    source: std::io::Error,
}

impl Journal {
    /// Starts the thread that writes there. The caller is within the runtime on which the
    /// store is used.
    ///
    /// # Errors
    /// When the day files cannot be written.
    pub fn start(places: Places) -> Result<(Self, Writer), JournalError> {
        let (queue, receiver) = mpsc::channel(QUEUE);
        let words = Words {
            store: places.store.is_some(),
            files: places.files.is_some(),
        };
        let (counts, room) = (Arc::default(), Arc::default());
        let writer = Writer::start(places, receiver, Arc::clone(&counts), Arc::clone(&room))?;
        let journal = Self {
            queue,
            words,
            writer: writer.thread(),
            counts,
            room,
        };
        Ok((journal, writer))
    }

    /// Whether there is room for the receipts of another recipient; waits for it, until
    /// then at the longest. That there is none is counted.
    pub async fn has_room(&self, until: Instant) -> bool {
        while self.queue.capacity() < RESERVE {
            let more = self.room.notified();
            // Once more, for what was written before this was waited for.
            if self.queue.capacity() >= RESERVE {
                break;
            }
            if timeout_at(until, more).await.is_err() {
                self.counts.deferred.fetch_add(1, Relaxed);
                return false;
            }
        }
        true
    }

    /// Hands an event over; waits while the queue is full, until then at the longest.
    /// What is lost is counted and logged.
    pub async fn record(&self, event: Event, until: Instant) {
        let id = event.id();
        let Some(written) = self.words.of(event) else {
            self.counts.lost.fetch_add(1, Relaxed);
            return;
        };
        self.call_the_writer();
        match timeout_at(until, self.queue.send(Handed::Event(written))).await {
            Ok(Ok(())) => return,
            Ok(Err(_)) => {
                tracing::error!(receipt.id = %id, "the receipt writer is gone, a receipt is lost");
            }
            Err(_) => {
                tracing::error!(receipt.id = %id, "receipts are not taken, and one is lost");
            }
        }
        self.counts.lost.fetch_add(1, Relaxed);
    }

    /// Hands an event over that is no part of a receipt, where there is room for it beside
    /// the receipts of recipients to come; whether there was.
    pub fn offer(&self, event: Event) -> bool {
        self.call_the_writer();
        let has_room = self.queue.capacity() >= SPARE;
        let written = has_room.then(|| self.words.of(event)).flatten();
        written.is_some_and(|written| self.queue.try_send(Handed::Event(written)).is_ok())
    }

    /// Where enough has come, the writer takes it.
    fn call_the_writer(&self) {
        if self.queue.capacity() < GATHERED {
            self.writer.unpark();
        }
    }

    /// Waits until all that was handed over before is on disk, until then at the longest;
    /// whether it is.
    pub async fn flush(&self, until: Instant) -> bool {
        let (tell, told) = oneshot::channel();
        let flushed =
            async { self.queue.send(Handed::Barrier(tell)).await.is_ok() && told.await.is_ok() };
        timeout_at(until, flushed).await.unwrap_or(false)
    }

    /// How it is doing.
    pub fn state(&self) -> State {
        let free = self.queue.capacity();
        State {
            written: self.counts.written.load(Relaxed),
            lost: self.counts.lost.load(Relaxed),
            write_errors: self.counts.write_errors.load(Relaxed),
            deferred: self.counts.deferred.load(Relaxed),
            waiting: QUEUE.saturating_sub(free) as u64,
            limit: QUEUE as u64,
            is_closed: self.queue.is_closed(),
        }
    }
}

impl Words {
    /// Says it, or why it cannot be said: in JSON, which no event is that a host makes.
    fn of(self, event: Event) -> Option<Written> {
        let id = event.id();
        let written = self.write(event);
        let said = written.inspect_err(|error| {
            tracing::error!(receipt.id = %id, %error, "a receipt could not be written");
        });
        said.ok()
    }

    fn write(self, event: Event) -> serde_json::Result<Written> {
        // What candidates say is in the store alone.
        let in_files = self.files && !matches!(event, Event::Shadow(_));
        let line = in_files.then(|| serde_json::to_vec(&event)).transpose()?;
        let entry = self.store.then(|| Entry::of(event)).transpose()?;
        Ok(Written { line, entry })
    }
}

#[cfg(test)]
mod tests;
