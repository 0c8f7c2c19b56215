//! Ending a command early, so that what it made for itself goes with it.
//!
//! An author's commands have a directory for compiled modules, and children such as cargo:
//! they go with the values that own them, and a process that a signal ends drops none.

use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::timeout;

/// How long a command may take to let go: one that reads a terminal never does.
const GRACE: Duration = Duration::from_secs(2);

/// A signal has ended it.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub(super) struct Interrupted(u8);

impl Interrupted {
    /// 128 and the number of the signal, as shells have it.
    pub(super) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.0)
    }
}

/// The signals that end a command.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Waits for one; the exit code that it means.
    async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => 130,
            _ = self.terminate.recv() => 143,
        }
    }
}

/// Runs a command until it is done or a signal comes, and drops it then. Where it does not
/// let go of its thread, or a second signal comes, the process ends as it stands.
///
/// # Errors
/// The command's own, or [`Interrupted`].
pub(super) async fn unless_interrupted<T>(
    command: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let mut signals = Signals {
        interrupt: signal(SignalKind::interrupt())?,
        terminate: signal(SignalKind::terminate())?,
    };
    let (tell, mut told) = oneshot::channel();
    // It ends with the process, or ends it.
    tokio::spawn(async move {
        let code = signals.next().await;
        let _ = tell.send(code);
        let code = timeout(GRACE, signals.next()).await.unwrap_or(code);
        std::process::exit(code.into());
    });
    tokio::select! {
        biased;
        Ok(code) = &mut told => Err(Interrupted(code).into()),
        done = command => done,
    }
}
