//! What the host remembers of messages whose recipients came to different ends: one
//! copy delivered, another refused or put off.
//!
//! The end of data has one reply for all recipients. Where they differ it is 451, and
//! the client sends the message again to all of them. The ledger lets that end well:
//! **a copy that was delivered is not delivered again**, and those who were refused or
//! put off come apart from the others, so that each gets its own reply in the end
//! (see [`super::sharing`]).
//!
//! **What was delivered is on disk before the reply that asks for more.** A message
//! whose recipients fare alike costs a look into an index in memory: no hash of its
//! content, no file.
//!
//! **Bounded**: five days, and 100,000 copies (some 20 MB of memory); the oldest go
//! first, and those may then come twice.

mod copies;
mod disk;
mod index;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use copies::Pair;
pub(super) use copies::{Addressed, ContentHash};
use disk::Days;
use index::Index;
pub(super) use index::{RefusalKind, Standing, State};

use crate::address::Mailbox;
use crate::facts::unix_seconds;

/// How long copies are remembered: as long as mail servers try to deliver a message
/// (RFC 5321, section 4.5.4.1, says four to five days).
const KEEP: Duration = Duration::from_secs(5 * 24 * 60 * 60);

/// Batches of records that may wait for the disk. Each is a session that waits for its
/// reply, so there are never more than sessions.
const QUEUE: usize = 256;

/// How long the reply may wait for the ledger.
const PATIENCE: Duration = Duration::from_secs(30);

/// The ledger of a host.
#[derive(Debug)]
pub struct Ledger {
    index: Mutex<Index>,
    writer: mpsc::Sender<Batch>,
    /// Those who wait to hear what became of copies under way.
    watching: TaskTracker,
}

/// Why the ledger cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Its directory.
    #[error("the ledger in {path}: {source}", path = .path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A record.
    #[error("a record of the ledger is not on disk: {0}")]
    Record(String),
}

/// What is known of one copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) copy: Addressed,
    /// None when there is nothing to remember any more.
    pub(super) state: Option<State>,
    /// In seconds since 1970.
    pub(super) at: u64,
}

/// Records that go to disk together.
struct Batch {
    records: Vec<Record>,
    /// Who waits until they are there.
    written: Option<oneshot::Sender<Result<(), String>>>,
}

impl Ledger {
    /// Reads what is in `directory`, which is made if need be, and starts the thread
    /// that writes to it. The thread ends with the ledger.
    ///
    /// # Errors
    /// When the directory cannot be made, read or written.
    pub fn open(directory: &Path) -> Result<Arc<Self>, LedgerError> {
        let fault = |source| LedgerError::Directory {
            path: directory.to_owned(),
            source,
        };
        let now = unix_seconds(SystemTime::now());
        let mut index = Index::new(KEEP.as_secs());
        let mut days = Days::open(directory, KEEP).map_err(fault)?;
        days.read(now, |record| index.put(&record)).map_err(fault)?;
        days.day_of(now).map_err(fault)?;
        let (writer, batches) = mpsc::channel(QUEUE);
        std::thread::Builder::new()
            .name("ledger".into())
            .spawn(move || write_all(batches, days))
            .map_err(fault)?;
        Ok(Arc::new(Self {
            index: Mutex::new(index),
            writer,
            watching: TaskTracker::new(),
        }))
    }

    /// How this recipient stands with this sender.
    pub(super) fn standing(&self, sender: Option<&Mailbox>, recipient: &Mailbox) -> Standing {
        // Nearly always, and then nothing has to be hashed.
        if self.index().is_empty() {
            return Standing::UNKNOWN;
        }
        let pair = Pair::of(sender, recipient);
        self.index().standing(pair, now())
    }

    /// Whether anything is remembered of this sender and any of these.
    pub(super) fn knows_any<'a>(
        &self,
        sender: Option<&Mailbox>,
        mut recipients: impl Iterator<Item = &'a Mailbox>,
    ) -> bool {
        if self.index().is_empty() {
            return false;
        }
        recipients.any(|recipient| {
            let pair = Pair::of(sender, recipient);
            self.index().knows(pair, now())
        })
    }

    /// What is known of this copy.
    pub(super) fn state(&self, of: &Addressed) -> Option<State> {
        self.index().state(of, now())
    }

    /// One of the turns that this recipient gives others is over.
    pub(super) fn has_yielded(&self, sender: Option<&Mailbox>, recipient: &Mailbox) {
        let pair = Pair::of(sender, recipient);
        self.index().has_yielded(pair);
    }

    /// This recipient gives others so many turns before its own, until it comes to an
    /// end. In memory alone: all that may be lost is time. A copy that came to an end, or
    /// may have, stays what it is: one that was delivered must not come twice.
    pub(super) fn let_yield(&self, of: &Addressed, turns: u8) {
        let mut index = self.index();
        if matches!(index.state(of, now()), None | Some(State::Deferred { .. })) {
            let state = State::Deferred { again: true };
            index.put(&record(*of, Some(state)));
        }
        index.let_yield(of, turns);
    }

    /// This copy may be there one day: where it was sent does not answer.
    pub(super) fn under_way(&self, of: &Addressed) {
        self.index().put(&record(*of, Some(State::UnderWay)));
    }

    /// Waits in the background until it is known what became of copies under way.
    pub(super) fn watch(&self, watching: impl Future<Output = ()> + Send + 'static) {
        self.watching.spawn(watching);
    }

    /// Waits until it is known of all copies under way, or never will be. There are to be no
    /// more by then.
    pub async fn settled(&self) {
        self.watching.close();
        self.watching.wait().await;
    }

    /// Of how many places it is not known yet whether copies are there.
    pub fn unsettled(&self) -> usize {
        self.watching.len()
    }

    /// What was under way has arrived, or never will. There is no moment at which a copy
    /// that arrived is neither: whoever asks then would deliver it again.
    pub(super) async fn arrived(&self, of: &[Addressed], delivered: bool) {
        let states = of.iter().map(|copy| (*copy, Some(State::Delivered)));
        let states = if delivered {
            states.collect()
        } else {
            Vec::new()
        };
        let records = {
            let mut index = self.index();
            index.forget_under_way(of);
            remember(&mut index, states)
        };
        if delivered && let Err(error) = self.write(records).await {
            tracing::error!(%error, "copies that came late may come twice");
        }
    }

    /// Remembers these states, and waits until they are on disk.
    ///
    /// # Errors
    /// When the disk does not take them, or not in time. They are remembered in memory
    /// all the same.
    pub(super) async fn record(
        &self,
        states: Vec<(Addressed, Option<State>)>,
    ) -> Result<(), LedgerError> {
        if states.is_empty() {
            return Ok(());
        }
        let records = remember(&mut self.index(), states);
        self.write(records).await
    }

    /// Has records written, and waits until they are on disk.
    async fn write(&self, records: Vec<Record>) -> Result<(), LedgerError> {
        let (written, answer) = oneshot::channel();
        let batch = Batch {
            records,
            written: Some(written),
        };
        let on_disk = async {
            let lost = |_| LedgerError::Record("its writer is gone".into());
            self.writer.send(batch).await.map_err(|_| lost(()))?;
            let written = answer.await.map_err(|_| lost(()))?;
            written.map_err(LedgerError::Record)
        };
        let late = || LedgerError::Record("the disk does not answer".into());
        tokio::time::timeout(PATIENCE, on_disk)
            .await
            .unwrap_or_else(|_| Err(late()))
    }

    /// Remembers these states, and waits for nothing: all that may be lost is time.
    pub(super) fn note(&self, states: Vec<(Addressed, Option<State>)>) {
        if states.is_empty() {
            return;
        }
        let records = remember(&mut self.index(), states);
        // A full queue is no reason to wait, nor is a writer that is gone.
        let _ = self.writer.try_send(Batch {
            records,
            written: None,
        });
    }

    /// What a panic left behind is whole: every change is one call.
    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn remember(index: &mut Index, states: Vec<(Addressed, Option<State>)>) -> Vec<Record> {
    let records = states.into_iter().map(|(copy, state)| {
        let record = record(copy, state);
        index.put(&record);
        record
    });
    records.collect()
}

fn now() -> u64 {
    unix_seconds(SystemTime::now())
}

fn record(copy: Addressed, state: Option<State>) -> Record {
    Record {
        copy,
        state,
        at: now(),
    }
}

/// Writes what is there, syncs once, and tells all who wait.
fn write_all(mut batches: mpsc::Receiver<Batch>, mut days: Days) {
    while let Some(first) = batches.blocking_recv() {
        let mut together = vec![first];
        while together.len() < QUEUE
            && let Ok(next) = batches.try_recv()
        {
            together.push(next);
        }
        let sync = together.iter().any(|batch| batch.written.is_some());
        let records = together.iter().flat_map(|batch| &batch.records);
        let written = days
            .append(records, sync)
            .map_err(|error| error.to_string());
        for waiting in together.into_iter().filter_map(|batch| batch.written) {
            // Whoever does not wait any more has told the client already.
            let _ = waiting.send(written.clone());
        }
    }
}

#[cfg(test)]
mod tests;
