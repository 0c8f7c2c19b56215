//! Connections that are closed before they are sessions, in the log: on a listener that
//! has proxies anybody can make one, as often as they like.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::limit::Pace;
use super::peer::NoPeer;

/// Lets one line a second through for each reason, and counts the rest.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// As many as there are words for reasons.
    paces: Mutex<HashMap<&'static str, Pace>>,
}

impl Refusals {
    /// Says that a connection was no session, or counts it for the next line. Health
    /// checks of balancers may do no more than connect, every other second.
    pub(super) fn note(&self, listener: &str, address: SocketAddr, why: &NoPeer) {
        if let NoPeer::Closed | NoPeer::Io(_) = why {
            tracing::debug!(listener, peer.addr = %address, reason = %why, "no session");
            return;
        }
        if let Some(unsaid) = self.admit(why, Instant::now()) {
            tracing::info!(listener, peer.addr = %address, reason = %why, unsaid, "no session");
        }
    }

    /// Whether this one is said, and how many before it were not.
    fn admit(&self, why: &NoPeer, now: Instant) -> Option<u64> {
        let mut paces = self.paces.lock().unwrap_or_else(PoisonError::into_inner);
        paces.entry(why.word()).or_default().admit(now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_flood_for_one_reason_leaves_a_line_a_second_and_hides_no_other() {
        let start = Instant::now();
        let refusals = Refusals::default();
        assert_eq!(refusals.admit(&NoPeer::Untrusted, start), Some(0));
        for _ in 0..1000 {
            assert_eq!(refusals.admit(&NoPeer::Untrusted, start), None);
        }
        assert_eq!(refusals.admit(&NoPeer::TimedOut, start), Some(0));
        let later = start + Duration::from_secs(1);
        assert_eq!(refusals.admit(&NoPeer::Untrusted, later), Some(1000));
    }
}
