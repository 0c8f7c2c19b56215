//! What turns clients away, by name: for the reply, the metric and the log.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A limit that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Sessions in all.
    Sessions,
    /// Sessions of one client.
    ClientSessions,
    /// Sessions of one network.
    NetworkSessions,
    /// New sessions of one client in a time.
    ClientSessionRate,
    /// New handshakes of one client in a time.
    ClientHandshakeRate,
    /// Commands in error of one session.
    Errors,
    /// Sessions that leave room for newcomers: the one that goes first is closed.
    MakeRoom,
}

/// How often one kind of line may be logged: a flood must not fill the disk.
const PACE: Duration = Duration::from_secs(1);

impl Limit {
    /// Every one.
    pub const ALL: [Self; 7] = [
        Self::Sessions,
        Self::ClientSessions,
        Self::NetworkSessions,
        Self::ClientSessionRate,
        Self::ClientHandshakeRate,
        Self::Errors,
        Self::MakeRoom,
    ];

    /// Its key in the configuration, where it has one.
    pub fn word(self) -> &'static str {
        match self {
            Self::Sessions => "sessions",
            Self::ClientSessions => "client_sessions",
            Self::NetworkSessions => "network_sessions",
            Self::ClientSessionRate => "client_session_rate",
            Self::ClientHandshakeRate => "client_handshake_rate",
            Self::Errors => "errors",
            Self::MakeRoom => "make_room",
        }
    }
}

/// Lets one line a second through for each limit, and counts the rest.
#[derive(Debug, Default)]
pub(super) struct Notices([Mutex<Pace>; Limit::ALL.len()]);

/// When a kind of line was logged last, and how often it was not since.
#[derive(Debug, Default)]
pub(super) struct Pace {
    last: Option<Instant>,
    unsaid: u64,
}

impl Notices {
    /// Says that a client was turned away, or counts it for the next line.
    pub(super) fn notice(&self, limit: Limit, client: IpAddr) {
        let pace = &self.0[limit as usize];
        let mut pace = pace.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(unsaid) = pace.admit(Instant::now()) else {
            return;
        };
        drop(pace);
        let word = limit.word();
        match limit {
            Limit::Errors => {
                tracing::info!(%client, unsaid, "a client made too many errors");
            }
            Limit::MakeRoom => {
                tracing::warn!(%client, unsaid, "a session was closed to make room for others");
            }
            _ => tracing::warn!(limit = word, %client, unsaid, "a limit turned a client away"),
        }
    }
}

impl Pace {
    /// Whether this one is said, and how many before it were not.
    pub(super) fn admit(&mut self, now: Instant) -> Option<u64> {
        if self.last.is_some_and(|last| now < last + PACE) {
            self.unsaid += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_leaves_a_line_a_second_and_a_count() {
        let start = Instant::now();
        let mut pace = Pace::default();
        assert_eq!(pace.admit(start), Some(0));
        let said = (0..1000).filter(|ms| pace.admit(start + Duration::from_millis(*ms)).is_some());
        assert_eq!(said.count(), 0);
        assert_eq!(pace.admit(start + PACE), Some(1000));
        assert_eq!(pace.admit(start + PACE * 2), Some(0));
    }

    #[test]
    fn each_has_a_word_and_a_pace_of_its_own() {
        let mut words = Limit::ALL.map(Limit::word).to_vec();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Limit::ALL.len());
        for (index, limit) in Limit::ALL.into_iter().enumerate() {
            assert_eq!(limit as usize, index);
        }
    }
}
