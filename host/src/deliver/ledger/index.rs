//! The ledger in memory.

use std::collections::{HashMap, VecDeque};

use super::Record;
use super::copies::{Addressed, Pair};
use crate::deliver::sharing::Company;
use crate::digest::Digest;

/// Most copies that are remembered; each takes some 200 octets.
const MAX_COPIES: usize = 100_000;

/// Most copies of one sender to one recipient. More would make every look slow, and
/// no real pair has so many messages of mixed outcome in five days.
const MAX_OF_PAIR: usize = 256;

/// What is known of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::deliver) enum State {
    /// Its target has it.
    Delivered,
    /// Its target refused it for good, and others of the same message fared otherwise.
    Refused(RefusalKind),
    /// It was put off while others of the same message fared otherwise.
    Deferred {
        /// And not for the first time: hiccups are the rule, and need no measures.
        again: bool,
    },
    /// A target that does not answer may have it or not.
    UnderWay,
}

/// The codes of a refusal: those refused alike may be refused together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::deliver) struct RefusalKind {
    /// The three digits.
    pub(in crate::deliver) code: u16,
    /// The second and third part of the enhanced status code; zeros where it is not
    /// known.
    pub(in crate::deliver) enhanced: (u16, u16),
}

/// How a recipient stands with a sender, whatever the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::deliver) struct Standing {
    /// With whom it may share a transaction.
    pub(in crate::deliver) company: Company,
    /// It may have the message already.
    pub(in crate::deliver) may_have: bool,
    /// It is to let others go first.
    pub(in crate::deliver) yields: bool,
}

impl Standing {
    /// Of whom nothing is remembered: the rule.
    pub(super) const UNKNOWN: Self = Self {
        company: Company::Anyone,
        may_have: false,
        yields: false,
    };
}

/// The ledger in memory. Times are in seconds since 1970.
#[derive(Debug)]
pub(super) struct Index {
    keep: u64,
    pairs: HashMap<Pair, Vec<Entry>>,
    /// Oldest first. What was put again since is in here twice.
    order: VecDeque<(u64, Addressed)>,
}

#[derive(Debug)]
struct Entry {
    digest: Digest,
    state: State,
    yields: u8,
    at: u64,
}

impl Index {
    pub(super) fn new(keep: u64) -> Self {
        Self {
            keep,
            pairs: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Takes a record, newer than all before. What is under way stays so until it has
    /// arrived.
    pub(super) fn put(&mut self, record: &Record) {
        let Addressed { pair, digest } = record.copy;
        let entries = self.pairs.entry(pair).or_default();
        let known = entries.iter().position(|entry| entry.digest == digest);
        match (known, record.state) {
            (Some(at), _) if entries[at].state == State::UnderWay => {}
            (Some(at), Some(state)) => {
                entries[at].state = state;
                entries[at].at = record.at;
                entries[at].yields = 0;
            }
            (Some(at), None) => drop(entries.swap_remove(at)),
            (None, Some(state)) => {
                if entries.len() >= MAX_OF_PAIR {
                    entries.remove(0);
                }
                entries.push(Entry {
                    digest,
                    state,
                    yields: 0,
                    at: record.at,
                });
            }
            (None, None) => {}
        }
        if entries.is_empty() {
            self.pairs.remove(&pair);
        }
        if record.state.is_some() {
            self.order.push_back((record.at, record.copy));
        }
        self.shed(record.at);
    }

    /// Lets go what is too old or too much.
    fn shed(&mut self, now: u64) {
        while let Some((at, copy)) = self.order.front().copied()
            && (at.saturating_add(self.keep) <= now || self.order.len() > MAX_COPIES)
        {
            self.order.pop_front();
            self.remove(copy, |entry| entry.at == at);
        }
    }

    fn remove(&mut self, copy: Addressed, only: impl Fn(&Entry) -> bool) {
        if let Some(entries) = self.pairs.get_mut(&copy.pair) {
            entries.retain(|entry| entry.digest != copy.digest || !only(entry));
            if entries.is_empty() {
                self.pairs.remove(&copy.pair);
            }
        }
    }

    pub(super) fn forget_under_way(&mut self, copies: &[Addressed]) {
        for copy in copies {
            self.remove(*copy, |entry| entry.state == State::UnderWay);
        }
    }

    pub(super) fn knows(&self, pair: Pair, now: u64) -> bool {
        self.fresh(pair, now).next().is_some()
    }

    pub(super) fn state(&self, copy: &Addressed, now: u64) -> Option<State> {
        let mut entries = self.fresh(copy.pair, now);
        let found = entries.find(|entry| entry.digest == copy.digest);
        found.map(|entry| entry.state)
    }

    /// Of which message is not known, so all count: where they differ, the recipient
    /// shares with nobody, which is right for any of them.
    pub(super) fn standing(&self, pair: Pair, now: u64) -> Standing {
        let mut standing = Standing::UNKNOWN;
        let mut company = None;
        for entry in self.fresh(pair, now) {
            let one = entry.state.company();
            let all = *company.get_or_insert(one);
            company = Some(if all == one { all } else { Company::Nobody });
            standing.may_have |= matches!(entry.state, State::Delivered | State::UnderWay);
            standing.yields |= entry.yields > 0;
        }
        standing.company = company.unwrap_or(Company::Anyone);
        standing
    }

    pub(super) fn has_yielded(&mut self, pair: Pair) {
        for entry in self.pairs.get_mut(&pair).into_iter().flatten() {
            entry.yields = entry.yields.saturating_sub(1);
        }
    }

    pub(super) fn let_yield(&mut self, copy: &Addressed, turns: u8) {
        let entries = self.pairs.get_mut(&copy.pair).into_iter().flatten();
        for entry in entries.filter(|entry| entry.digest == copy.digest) {
            entry.yields = turns;
        }
    }

    fn fresh(&self, pair: Pair, now: u64) -> impl Iterator<Item = &Entry> {
        let keep = self.keep;
        let entries = self.pairs.get(&pair).into_iter().flatten();
        entries.filter(move |entry| entry.at.saturating_add(keep) > now)
    }
}

impl State {
    fn company(self) -> Company {
        match self {
            Self::Delivered | Self::UnderWay | Self::Deferred { again: false } => Company::Anyone,
            Self::Deferred { again: true } => Company::Deferred,
            Self::Refused(kind) => Company::Refused(kind),
        }
    }
}
