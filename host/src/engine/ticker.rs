//! The ticker: a thread that advances the engine's epoch, by which the time of a run is
//! measured. It is a thread and not a task, since it must tick while every worker
//! thread is inside a guest. **When nothing was running at a hundred ticks in a row it
//! sleeps until something does**: a host without modules is not woken for them.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};

use super::run::TICK;

/// Ticks at which nothing was running after which it sleeps: to wake it costs a run more
/// than a few ticks cost the host.
const IDLE: u32 = 100;

/// Measures time for those who hold a [`Running`] of it.
#[derive(Clone, Debug)]
pub(super) struct Ticker(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    running: AtomicUsize,
    asleep: AtomicBool,
    thread: OnceLock<Thread>,
}

/// Something runs for as long as this is there.
#[derive(Debug)]
pub(super) struct Running(Ticker);

impl Ticker {
    /// Starts it. Its thread ends within a tick of the engine, or of the last who has it.
    pub(super) fn start(engine: &wasmtime::Engine) -> io::Result<Self> {
        let (ticker, engine) = (Self::stopped(), engine.weak());
        let shared = Arc::downgrade(&ticker.0);
        thread::Builder::new()
            .name("epoch".to_owned())
            .spawn(move || {
                if let Some(shared) = shared.upgrade() {
                    shared.thread.get_or_init(thread::current);
                }
                let mut idle = 0;
                while let Some((engine, shared)) = engine.upgrade().zip(shared.upgrade()) {
                    engine.increment_epoch();
                    idle = if shared.is_idle() { idle + 1 } else { 0 };
                    let sleeps = idle >= IDLE && shared.may_sleep();
                    drop((engine, shared));
                    if sleeps {
                        thread::park();
                        idle = 0;
                    }
                    thread::sleep(TICK);
                }
            })?;
        Ok(ticker)
    }

    /// One that never ticks, for whoever measures time otherwise.
    pub(super) fn stopped() -> Self {
        Self(Arc::default())
    }

    #[cfg(test)]
    pub(super) fn is_asleep(&self) -> bool {
        self.0.asleep.load(SeqCst)
    }

    /// Something begins to run.
    pub(super) fn run(&self) -> Running {
        self.0.running.fetch_add(1, SeqCst);
        if self.0.asleep.load(SeqCst) {
            self.0.wake();
        }
        Running(self.clone())
    }
}

impl Shared {
    fn is_idle(&self) -> bool {
        self.running.load(SeqCst) == 0
    }

    /// Whether the thread may sleep: whoever begins a run from now on wakes it.
    fn may_sleep(&self) -> bool {
        self.asleep.store(true, SeqCst);
        let may = self.is_idle();
        if !may {
            self.asleep.store(false, SeqCst);
        }
        may
    }

    fn wake(&self) {
        self.asleep.store(false, SeqCst);
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.wake();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.0.running.fetch_sub(1, SeqCst);
    }
}
