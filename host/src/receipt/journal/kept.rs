//! Receipts into the store, a batch in a transaction.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tokio::runtime::Handle;

use super::Counts;
use crate::store::{Batch, Entry, ReceiptWriter, Store};

/// Most events of a batch, some 4 MB: a tenth of a second of writing, which a change of
/// the configuration waits for at the longest.
const BATCH: usize = 2048;

/// What is to be written to the store.
pub(super) struct Kept {
    writer: ReceiptWriter,
    /// Where the store's connections are at home.
    runtime: Handle,
    batch: Batch,
    /// The store did not take it; it is tried again when it is time to sync.
    failed: bool,
    counts: Arc<Counts>,
}

impl Kept {
    pub(super) fn new(store: Store, runtime: Handle, counts: Arc<Counts>) -> Self {
        Self {
            writer: ReceiptWriter::new(store),
            runtime,
            batch: Batch::default(),
            failed: false,
            counts,
        }
    }

    /// Whether it takes more.
    pub(super) fn has_room(&self) -> bool {
        self.batch.len() < BATCH
    }

    /// Takes what an event comes to, which is written later.
    pub(super) fn take(&mut self, entry: Entry) {
        self.batch.take(entry);
    }

    /// Writes a batch that is full.
    pub(super) fn write_what_is_much(&mut self) {
        if !self.has_room() && !self.failed {
            self.sync();
        }
    }

    /// Whether all that was taken is on disk.
    pub(super) fn sync(&mut self) -> bool {
        if self.batch.len() == 0 {
            return true;
        }
        let writing = self.writer.write_batch(&mut self.batch);
        let written = self.runtime.block_on(writing);
        self.failed = written.is_err();
        match written {
            Ok(()) => {
                let written = std::mem::take(&mut self.batch);
                self.counts.written.fetch_add(written.len() as u64, Relaxed);
            }
            Err(error) => {
                tracing::error!(%error, "receipts could not be written to the store");
                self.counts.write_errors.fetch_add(1, Relaxed);
            }
        }
        !self.failed
    }

    /// Events that are not in the store.
    pub(super) fn waiting(&self) -> u64 {
        self.batch.len() as u64
    }

    pub(super) fn end(self) {
        self.runtime.block_on(self.writer.close());
    }
}
