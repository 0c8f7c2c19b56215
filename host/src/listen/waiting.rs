//! The sessions that wait for their client, in the order in which they have to go when
//! room is needed for others.
//!
//! What counts is how far a session has come, then since when it has come no further:
//! octets that trickle in, and commands to no purpose, are no progress.

use std::collections::BTreeMap;

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

/// A session's turn to go; those with the least go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Turn {
    standing: Standing,
    since: u64,
}

/// All that wait, each with what it is told by.
#[derive(Debug)]
pub(super) struct Waiting<T> {
    by_turn: BTreeMap<Turn, T>,
    next: u64,
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self {
            by_turn: BTreeMap::new(),
            next: 0,
        }
    }
}

impl<T> Waiting<T> {
    /// A session that waits from now on.
    pub(super) fn enter(&mut self, standing: Standing, told: T) -> Turn {
        let turn = Turn {
            standing,
            since: self.next,
        };
        self.next += 1;
        self.by_turn.insert(turn, told);
        turn
    }

    /// It waits no longer; none if it has been taken.
    pub(super) fn leave(&mut self, turn: Turn) -> Option<T> {
        self.by_turn.remove(&turn)
    }

    /// Takes the one that has to go first.
    pub(super) fn take_first(&mut self) -> Option<T> {
        self.by_turn.pop_first().map(|(_, told)| told)
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.by_turn.is_empty()
    }
}

impl Turn {
    pub(super) fn standing(self) -> Standing {
        self.standing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_come_least_far_goes_first_and_among_equals_who_has_waited_longest() {
        let mut waiting = Waiting::default();
        for (standing, name) in [
            (Standing::Engaged, "sender"),
            (Standing::Connected, "silent"),
            (Standing::Proven, "regular"),
            (Standing::Greeted, "hesitant"),
            (Standing::Connected, "silent, too"),
            (Standing::Greeted, "newcomer"),
        ] {
            waiting.enter(standing, name);
        }
        let hurried = waiting.enter(Standing::Connected, "hurried");
        assert_eq!(waiting.leave(hurried), Some("hurried"));
        assert_eq!(waiting.leave(hurried), None);
        let order: Vec<_> = std::iter::from_fn(|| waiting.take_first()).collect();
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
}
