//! The ticker: a thread that advances the engine's epoch, by which the time of a run is
//! measured. It is a thread and not a task, since it must tick while every worker
//! thread is inside a guest.

use std::io;
use std::thread;

use super::run::TICK;

/// Starts it. It holds the engine weakly and ends within a tick of the engine.
pub(super) fn start(engine: &wasmtime::Engine) -> io::Result<()> {
    let engine = engine.weak();
    thread::Builder::new()
        .name("epoch".to_owned())
        .spawn(move || {
            while let Some(engine) = engine.upgrade() {
                engine.increment_epoch();
                drop(engine);
                thread::sleep(TICK);
            }
        })?;
    Ok(())
}
