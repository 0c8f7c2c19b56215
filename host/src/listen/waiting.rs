//! The sessions that wait for their client, in the order in which they have to go when
//! room is needed for others.
//!
//! What counts is how far a session has come, and since when it has come no further:
//! octets that trickle in, and commands to no purpose, are no progress. **Having come
//! far protects for [`PATIENCE`] alone**: who has made no progress for longer goes
//! before everybody who has, so that nobody holds a place with what is long past.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long a session may make no progress until it goes before all others. Postfix
/// gives clients as much for each command while it is under stress, and a mail server
/// that goes about its work needs a second.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// How far a session has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Not further than the greeting.
    Connected,
    /// EHLO or HELO was said.
    Greeted,
    /// A recipient was accepted once, and nothing is under way now.
    Proven,
    /// A transaction with accepted recipients is under way.
    Engaged,
}

/// A session's turn to go; among those that have come as far, the least goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    standing: Standing,
    since: Since,
}

/// When a session came no further, and which of those that came at one time it is.
type Since = (Instant, u64);

/// All that wait, each with what it is told by.
#[derive(Debug)]
pub(super) struct Waiting<T> {
    /// By how far they have come.
    queues: [BTreeMap<Since, T>; Standing::Engaged as usize + 1],
    next: u64,
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self {
            queues: Default::default(),
            next: 0,
        }
    }
}

impl<T> Waiting<T> {
    /// A session that waits, and made progress then.
    pub(super) fn enter(&mut self, standing: Standing, progress: Instant, told: T) -> Turn {
        let since = (progress, self.next);
        self.next += 1;
        self.queues[standing as usize].insert(since, told);
        Turn { standing, since }
    }

    /// It waits no longer; none if it has been taken.
    pub(super) fn leave(&mut self, turn: Turn) -> Option<T> {
        self.queues[turn.standing as usize].remove(&turn.since)
    }

    /// Takes the one that has to go first.
    pub(super) fn take_first(&mut self, now: Instant) -> Option<T> {
        let is_stale = |queue: &BTreeMap<Since, T>| {
            let first = queue.first_key_value();
            first.is_some_and(|((progress, _), _)| *progress + PATIENCE <= now)
        };
        let stale = self.queues.iter().position(is_stale);
        let first = stale.or_else(|| self.queues.iter().position(|queue| !queue.is_empty()))?;
        self.queues[first].pop_first().map(|(_, told)| told)
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.queues.iter().all(BTreeMap::is_empty)
    }
}

impl Turn {
    pub(super) fn standing(self) -> Standing {
        self.standing
    }

    /// When the session came no further.
    pub(super) fn progress(self) -> Instant {
        self.since.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_come_least_far_goes_first_and_among_equals_who_has_waited_longest() {
        let now = Instant::now();
        let mut waiting = Waiting::default();
        for (standing, name) in [
            (Standing::Engaged, "sender"),
            (Standing::Connected, "silent"),
            (Standing::Proven, "regular"),
            (Standing::Greeted, "hesitant"),
            (Standing::Connected, "silent, too"),
            (Standing::Greeted, "newcomer"),
        ] {
            waiting.enter(standing, now, name);
        }
        let hurried = waiting.enter(Standing::Connected, now, "hurried");
        assert_eq!(waiting.leave(hurried), Some("hurried"));
        assert_eq!(waiting.leave(hurried), None);
        let order: Vec<_> = std::iter::from_fn(|| waiting.take_first(now)).collect();
        let expected = [
            "silent",
            "silent, too",
            "hesitant",
            "newcomer",
            "regular",
            "sender",
        ];
        assert_eq!(order, expected);
    }

    #[test]
    fn who_has_made_no_progress_for_long_goes_before_everybody_who_has() {
        let start = Instant::now();
        let later = start + PATIENCE / 2;
        let mut waiting = Waiting::default();
        for (standing, progress, name) in [
            (Standing::Engaged, start, "once accepted"),
            (Standing::Engaged, later, "sender"),
            (Standing::Proven, start, "long idle"),
            (Standing::Connected, later, "newcomer"),
        ] {
            waiting.enter(standing, progress, name);
        }
        let not_yet = start + PATIENCE - Duration::from_nanos(1);
        assert_eq!(waiting.take_first(not_yet), Some("newcomer"));
        waiting.enter(Standing::Connected, later, "newcomer");
        let order: Vec<_> = std::iter::from_fn(|| waiting.take_first(start + PATIENCE)).collect();
        assert_eq!(order, ["long idle", "once accepted", "newcomer", "sender"]);
    }
}
