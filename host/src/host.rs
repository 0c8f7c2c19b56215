//! What all sessions of a running host share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;

use crate::content::Spool;
use crate::deliver::{Ledger, Targets};
use crate::engine::Engine;
use crate::facts::unix_seconds;
use crate::metrics::Metrics;
use crate::receipt::journal::Journal;
use crate::reverse_name::ReverseNames;
use crate::shadow::Shadows;
use crate::store::Store;
use crate::tenant::Snapshot;
use crate::tls::FailedHandshakes;

/// Refusals of relaying that leave a receipt, per second: enough to see what is going
/// on; the rest are counted in the next that is written.
const RELAY_RECEIPTS_PER_SECOND: u64 = 10;

/// What all sessions share.
pub struct Host {
    /// Its name in greetings, trace fields and receipts.
    pub hostname: String,
    /// Runs modules.
    pub engine: Arc<Engine>,
    /// Keeps content that is being received.
    pub spool: Spool,
    /// Where accepted mail goes. The next snapshot keeps those that did not change.
    pub targets: Targets,
    /// Remembers messages of mixed outcome.
    pub ledger: Arc<Ledger>,
    /// Keeps receipts.
    pub journal: Journal,
    /// Bounds the receipts that strangers can cause.
    pub relay_receipts: RelayReceipts,
    /// Looks clients' names up, where the operator wants to know them.
    pub reverse_names: Option<Arc<ReverseNames>>,
    /// Whose TLS handshakes failed of late.
    pub failed_handshakes: FailedHandshakes,
    /// Asks candidates about what was decided.
    pub shadows: Arc<Shadows>,
    /// What it counts.
    pub metrics: Arc<Metrics>,
    /// Keeps the tenants.
    pub store: Store,
    /// The tenants as they are now. A transaction keeps the one it began with.
    pub snapshot: ArcSwap<Snapshot>,
}

/// Tells sessions that the host is stopping, in two steps.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    drain: CancellationToken,
    cut_off: CancellationToken,
}

impl Shutdown {
    /// Idle sessions are to end; those that are receiving content may go on.
    pub fn drain(&self) {
        self.drain.cancel();
    }

    /// All sessions are to end.
    pub fn cut(&self) {
        self.cut_off.cancel();
    }

    /// Whether idle sessions are to end.
    pub fn is_draining(&self) -> bool {
        self.drain.is_cancelled()
    }

    /// For one session, which may be told to end before.
    pub fn of_session(&self) -> CancellationToken {
        self.drain.child_token()
    }

    /// Waits until idle sessions are to end.
    pub async fn draining(&self) {
        self.drain.cancelled().await;
    }

    /// For what ends soon after all sessions are to end.
    pub fn cutting_off(&self) -> CancellationToken {
        self.cut_off.clone()
    }

    /// Waits until all sessions are to end.
    pub async fn cut_off(&self) {
        self.cut_off.cancelled().await;
    }
}

/// Lets a few receipts a second through and counts the rest.
#[derive(Debug, Default)]
pub struct RelayReceipts {
    second: AtomicU64,
    admitted: AtomicU64,
    unrecorded: AtomicU64,
}

impl RelayReceipts {
    /// Whether this one is recorded, and how many before it were not.
    pub fn admit(&self, now: SystemTime) -> Option<u64> {
        let second = unix_seconds(now);
        if self.second.swap(second, Ordering::Relaxed) != second {
            self.admitted.store(0, Ordering::Relaxed);
        }
        if self.admitted.fetch_add(1, Ordering::Relaxed) >= RELAY_RECEIPTS_PER_SECOND {
            self.unrecorded.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(self.unrecorded.swap(0, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_flood_leaves_few_receipts_and_a_count() {
        let receipts = RelayReceipts::default();
        let at = |second| std::time::UNIX_EPOCH + Duration::from_secs(second);
        let admitted = (0..25).filter(|_| receipts.admit(at(1)).is_some()).count();
        assert_eq!(admitted, 10);
        assert_eq!(receipts.admit(at(2)), Some(15));
        assert_eq!(receipts.admit(at(2)), Some(0));
    }
}
