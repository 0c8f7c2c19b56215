//! The thread that takes events from the queue and writes them.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc, oneshot};

use super::days::{Days, today};
use super::kept::Kept;
use super::{Counts, Handed, JournalError, Places, Written};
use crate::directory;

/// How often what has come is synced: within the second that is promised, with as much
/// time for the writing itself.
const SYNC_EVERY: Duration = Duration::from_millis(500);

/// How long the thread sleeps while there is little to take: the end is noticed as soon.
const GATHER: Duration = Duration::from_millis(50);

/// How often what is left at the end is tried.
const LAST_TRIES: u32 = 3;

/// The thread that writes. Wait for it with [`Writer::finish`] when the last
/// [`Journal`](super::Journal) is gone, so that every receipt is on disk.
#[derive(Debug)]
pub struct Writer(JoinHandle<()>);

/// Where events go. All of them take an event, or it stays in the queue.
struct Sinks {
    store: Option<Kept>,
    files: Option<Days>,
    /// Those who wait until all that was taken is on disk.
    barriers: Vec<oneshot::Sender<()>>,
    counts: Arc<Counts>,
    room: Arc<Notify>,
}

impl Writer {
    /// Starts the thread. Whoever waits for room in the queue is told when there is more.
    pub(super) fn start(
        places: Places,
        receiver: mpsc::Receiver<Handed>,
        counts: Arc<Counts>,
        room: Arc<Notify>,
    ) -> Result<Self, JournalError> {
        let Places { store, files } = places;
        let files = match files {
            None => None,
            Some((path, keep_days)) => {
                let mut days = Days::new(path.clone(), keep_days, Arc::clone(&counts));
                // Each is counted once.
                days.counts_written = store.is_none();
                let made = directory::make(&path).and_then(|()| days.open(&today()));
                made.map_err(|source| JournalError { path, source })?;
                Some(days)
            }
        };
        let store = store.map(|store| Kept::new(store, Handle::current(), Arc::clone(&counts)));
        let sinks = Sinks {
            store,
            files,
            barriers: Vec::new(),
            counts,
            room,
        };
        let thread = std::thread::Builder::new()
            .name("receipts".into())
            .spawn(move || write_all(receiver, sinks));
        let thread = thread.map_err(|source| JournalError {
            path: "a thread".into(),
            source,
        })?;
        Ok(Self(thread))
    }

    /// The thread, which is unparked when there is much to take.
    pub(super) fn thread(&self) -> Thread {
        self.0.thread().clone()
    }

    /// Waits until everything is written.
    pub fn finish(self) {
        if self.0.join().is_err() {
            tracing::error!("the receipt writer ended early");
        }
    }
}

fn write_all(mut receiver: mpsc::Receiver<Handed>, mut sinks: Sinks) {
    while let Some(handed) = receiver.blocking_recv() {
        sinks.take(handed);
        let mut begun = Instant::now();
        // What was not taken is tried again, whether more comes or not.
        while !write_for_a_while(&mut receiver, &mut sinks, &mut begun) {
            if receiver.is_closed() {
                write_the_last(&mut receiver, &mut sinks);
                return sinks.end();
            }
        }
    }
    sinks.end();
}

/// Writes what comes until it is time to sync, and syncs. Whether there is nothing left
/// that could be written. What comes while it syncs waits since then: `begun`.
fn write_for_a_while(
    receiver: &mut mpsc::Receiver<Handed>,
    sinks: &mut Sinks,
    begun: &mut Instant,
) -> bool {
    let due = *begun + SYNC_EVERY;
    while !receiver.is_closed() && Instant::now() < due {
        std::thread::park_timeout(GATHER);
        sinks.fill(receiver);
        sinks.write();
    }
    sinks.fill(receiver);
    *begun = Instant::now();
    sinks.sync()
}

/// Nobody hands anything over any more: what is in the queue and in memory is written, or
/// given up after some tries.
fn write_the_last(receiver: &mut mpsc::Receiver<Handed>, sinks: &mut Sinks) {
    let mut tries = 0;
    while tries < LAST_TRIES {
        sinks.fill(receiver);
        match sinks.sync() {
            true if receiver.is_empty() => return,
            true => tries = 0,
            false => tries += 1,
        }
    }
    while let Ok(handed) = receiver.try_recv() {
        sinks.lose(u64::from(matches!(handed, Handed::Event(_))));
    }
    sinks.give_up();
}

impl Sinks {
    fn take(&mut self, handed: Handed) {
        match handed {
            Handed::Event(written) => self.keep(written),
            Handed::Barrier(barrier) => self.barriers.push(barrier),
        }
    }

    fn keep(&mut self, written: Written) {
        if let Some((files, line)) = self.files.as_mut().zip(written.line) {
            files.take(&line);
        }
        if let Some((store, entry)) = self.store.as_mut().zip(written.entry) {
            store.take(entry);
        }
    }

    /// Takes of the queue what there is room for.
    fn fill(&mut self, receiver: &mut mpsc::Receiver<Handed>) {
        while self.has_room()
            && let Ok(handed) = receiver.try_recv()
        {
            self.take(handed);
            // Those who record as fast as they can wait for the disk, not for memory.
            if self.files.as_ref().is_some_and(Days::is_much) {
                self.write();
            }
        }
        self.room.notify_waiters();
    }

    fn has_room(&self) -> bool {
        self.files.as_ref().is_none_or(Days::has_room)
            && self.store.as_ref().is_none_or(Kept::has_room)
    }

    /// Writes what is not to wait. What goes wrong is said when it is time to sync, not
    /// each time that the thread wakes.
    fn write(&mut self) {
        if let Some(files) = &mut self.files {
            let _ = files.write();
        }
        if let Some(store) = &mut self.store {
            store.write_what_is_much();
        }
    }

    /// Whether all that was taken is on disk.
    fn sync(&mut self) -> bool {
        let files = self.files.as_mut().is_none_or(Days::sync);
        let store = self.store.as_mut().is_none_or(Kept::sync);
        if files && store {
            for barrier in self.barriers.drain(..) {
                // Whoever waits no more does not need to know.
                let _ = barrier.send(());
            }
        }
        files && store
    }

    fn lose(&self, events: u64) {
        self.counts.lost.fetch_add(events, Relaxed);
    }

    fn give_up(&mut self) {
        let files = self.files.as_ref().map_or(0, Days::waiting);
        let store = self.store.as_ref().map_or(0, Kept::waiting);
        let events = files.max(store);
        self.lose(events);
        tracing::error!(
            events,
            "receipts are lost, since they could not be written before the end"
        );
    }

    fn end(self) {
        if let Some(store) = self.store {
            store.end();
        }
    }
}
