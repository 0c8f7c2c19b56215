//! The entries of a directory, made durable for several at one time.
//!
//! **A sync counts for whoever came before it began.** Whoever comes while one is under
//! way waits for the next, which is then that of all who came meanwhile: sixteen
//! deliveries at one time need two or three syncs of their directory, not sixteen.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::directory;

/// The entries of a directory.
pub(super) struct Entries {
    sync: Box<dyn Fn() -> io::Result<()> + Send + Sync>,
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Default)]
struct State {
    under_way: bool,
    /// The sync that begins next, which nobody has begun.
    next: Arc<Turn>,
}

/// One sync: what became of it, once it has ended.
#[derive(Default)]
struct Turn(OnceLock<Result<(), Failed>>);

/// An error for several.
#[derive(Clone)]
enum Failed {
    System(i32),
    Other(io::ErrorKind, String),
}

impl Entries {
    /// Those of the directory at `path`, which is opened for each sync: it may be
    /// another one by then.
    pub(super) fn of(path: PathBuf) -> Self {
        Self::synced_by(move || directory::sync(&path))
    }

    fn synced_by(sync: impl Fn() -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self {
            sync: Box::new(sync),
            state: Mutex::default(),
            ended: Condvar::new(),
        }
    }

    /// Waits until the entries that are there now are on disk.
    ///
    /// # Errors
    /// When they are not, as the system says.
    pub(super) fn sync(&self) -> io::Result<()> {
        let mut state = self.lock();
        let turn = Arc::clone(&state.next);
        loop {
            if let Some(result) = turn.0.get() {
                return result.clone().map_err(Into::into);
            }
            if !state.under_way {
                state.under_way = true;
                state.next = Arc::default();
                drop(state);
                return self.take(&turn);
            }
            state = self
                .ended
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn take(&self, turn: &Turn) -> io::Result<()> {
        let result = (self.sync)().map_err(Failed::from);
        // Only who takes a turn sets its result.
        let _ = turn.0.set(result.clone());
        self.lock().under_way = false;
        self.ended.notify_all();
        result.map_err(Into::into)
    }

    /// The state is whole at every moment.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(code) => Self::System(code),
            None => Self::Other(error.kind(), error.to_string()),
        }
    }
}

impl From<Failed> for io::Error {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::System(code) => Self::from_raw_os_error(code),
            Failed::Other(kind, text) => Self::new(kind, text),
        }
    }
}

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entries").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::sync::mpsc::{Receiver, channel};
    use std::thread;

    use super::*;

    /// Each sync says that it began, and ends as it is told.
    fn directed() -> (
        Arc<Entries>,
        Receiver<()>,
        std::sync::mpsc::Sender<io::Result<()>>,
    ) {
        let (began, begins) = channel();
        let (end, ends) = channel();
        let ends = Mutex::new(ends);
        let entries = Entries::synced_by(move || {
            began.send(()).expect("the test waits for it");
            ends.lock()
                .expect("no panic")
                .recv()
                .expect("the test says how it ends")
        });
        (Arc::new(entries), begins, end)
    }

    #[test]
    fn whoever_comes_meanwhile_shares_the_next_one_and_its_end() {
        let (entries, begins, end) = directed();
        let sync = |entries: &Arc<Entries>| {
            let entries = Arc::clone(entries);
            thread::spawn(move || entries.sync())
        };
        let first = sync(&entries);
        begins.recv().expect("it began");
        let others: Vec<_> = (0..5).map(|_| sync(&entries)).collect();
        // All wait for the same turn: each holds it.
        while Arc::strong_count(&entries.lock().next) < 6 {
            thread::yield_now();
        }
        end.send(Ok(())).expect("it waits");
        assert!(first.join().expect("no panic").is_ok());
        begins.recv().expect("one of them began");
        end.send(Err(io::Error::from_raw_os_error(5)))
            .expect("it waits");
        for other in others {
            let error = other.join().expect("no panic").expect_err("it failed");
            assert_eq!(error.raw_os_error(), Some(5));
        }
        assert!(begins.try_recv().is_err(), "and no third one");
        let last = sync(&entries);
        begins.recv().expect("it began");
        end.send(Ok(())).expect("it waits");
        assert!(
            last.join().expect("no panic").is_ok(),
            "an error is not kept"
        );
    }

    #[test]
    fn every_sync_begins_after_it_was_asked_for() {
        let begun = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&begun);
        let entries = Arc::new(Entries::synced_by(move || {
            counted.fetch_add(1, SeqCst);
            thread::yield_now();
            Ok(())
        }));
        let asking: Vec<_> = (0..8)
            .map(|_| {
                let (entries, begun) = (Arc::clone(&entries), Arc::clone(&begun));
                thread::spawn(move || {
                    for _ in 0..200 {
                        let before = begun.load(SeqCst);
                        entries.sync().expect("it does not fail");
                        assert!(begun.load(SeqCst) > before);
                    }
                })
            })
            .collect();
        for asked in asking {
            asked.join().expect("no panic");
        }
    }
}
