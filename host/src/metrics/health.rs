//! Whether the host can do its work just now.

use std::fmt;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::host::{Host, Shutdown};

/// How long the engine may take to have an instance free: as long as a decision waits
/// by default, and well within the patience of whoever probes.
const ENGINE_PATIENCE: Duration = Duration::from_millis(500);

/// What keeps the host from being ready; nothing, when it is. That listeners are bound
/// need not be asked: before they are, nobody answers here.
#[derive(Debug)]
pub(super) struct Health(Vec<&'static str>);

impl Health {
    pub(super) async fn of(host: &Host, shutdown: &Shutdown) -> Self {
        let mut faults = Vec::new();
        if shutdown.is_draining() {
            faults.push("draining: the host is stopping and takes no new sessions");
        }
        if host.metrics.lacks_certificate.load(Relaxed) {
            faults.push("certificate: a listener needs one and none is usable");
        }
        if !host.engine.is_answering(ENGINE_PATIENCE).await {
            faults.push("engine: no instance is free for a decision");
        }
        if host.journal.state().is_closed {
            faults.push("receipts: the writer is gone");
        }
        Self(faults)
    }

    pub(super) fn is_ready(&self) -> bool {
        self.0.is_empty()
    }
}

/// A line for each fault, or `ok`.
impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_ready() {
            return writeln!(f, "ok");
        }
        self.0.iter().try_for_each(|fault| writeln!(f, "{fault}"))
    }
}
