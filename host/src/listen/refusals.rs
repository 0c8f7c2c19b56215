//! Connections that are closed before they are sessions, and sessions that are none of mail,
//! in the log: anybody can make one, as often as they like.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::limit::Pace;
use super::peer::NoPeer;

/// Lets one line a second through for each reason, and counts the rest.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// As many as there are words for reasons, and protocols.
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
        if let Some(unsaid) = self.admit(why.word(), Instant::now()) {
            tracing::info!(listener, peer.addr = %address, reason = %why, unsaid, "no session");
        }
    }

    /// Says within a session's span that its client speaks another protocol, or counts it for
    /// the next line.
    pub(super) fn foreign(&self, protocol: &'static str) {
        if let Some(unsaid) = self.admit(protocol, Instant::now()) {
            tracing::warn!(protocol, unsaid, "a client does not speak SMTP");
        }
    }

    /// Whether this one is said, and how many before it were not.
    fn admit(&self, word: &'static str, now: Instant) -> Option<u64> {
        let mut paces = self.paces.lock().unwrap_or_else(PoisonError::into_inner);
        paces.entry(word).or_default().admit(now)
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
        assert_eq!(refusals.admit(NoPeer::Untrusted.word(), start), Some(0));
        for _ in 0..1000 {
            assert_eq!(refusals.admit(NoPeer::Untrusted.word(), start), None);
        }
        assert_eq!(refusals.admit(NoPeer::TimedOut.word(), start), Some(0));
        let later = start + Duration::from_secs(1);
        assert_eq!(refusals.admit(NoPeer::Untrusted.word(), later), Some(1000));
    }
}
