//! Sessions: how many there are, and how they ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

/// How a session ended, as [`ENDS`] has it in words.
#[derive(Clone, Copy, Debug)]
enum End {
    Lost,
    Quit,
    Closed,
    Handshake,
}

/// The words for [`End`], by its number.
pub(super) const ENDS: [&str; 4] = ["lost", "quit", "closed", "handshake-failed"];

/// What is counted of a listener.
#[derive(Debug, Default)]
pub struct ListenerCounts {
    pub(super) started: AtomicU64,
    pub(super) ended: [AtomicU64; ENDS.len()],
}

impl ListenerCounts {
    /// Sessions now. Each is counted at its start before it can be at its end, and
    /// read the other way round, so that this never falls below zero.
    pub(super) fn active(&self) -> u64 {
        let ended: u64 = self.ended.iter().map(|count| count.load(Relaxed)).sum();
        self.started.load(Relaxed).saturating_sub(ended)
    }
}

/// One session; it has ended when this is dropped. Unless told otherwise, because the
/// connection was lost.
#[derive(Debug)]
pub struct SessionMeter {
    counts: Arc<ListenerCounts>,
    end: AtomicU8,
}

impl SessionMeter {
    pub(super) fn start(counts: Arc<ListenerCounts>) -> Self {
        counts.started.fetch_add(1, Relaxed);
        Self {
            counts,
            end: AtomicU8::new(End::Lost as u8),
        }
    }

    /// The host closes the session with a reply of this code: 221 to QUIT, any other
    /// for a reason of its own.
    pub fn closing(&self, code: u16) {
        let end = if code == 221 { End::Quit } else { End::Closed };
        self.end.store(end as u8, Relaxed);
    }

    /// The session ends for its TLS handshake failed.
    pub fn handshake_failed(&self) {
        self.end.store(End::Handshake as u8, Relaxed);
    }
}

impl Drop for SessionMeter {
    fn drop(&mut self) {
        let end = usize::from(self.end.load(Relaxed));
        self.counts.ended[end].fetch_add(1, Relaxed);
    }
}
