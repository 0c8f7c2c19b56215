//! How each policy that enforces something was met, by whom: what warnings are drawn from.
//!
//! Only what was decided *enforced* counts, in force or in monitor mode, and not what a
//! failing policy meant. **Memory is bounded** in policies and senders; what came beyond is
//! counted, so that it can be said.

use std::collections::HashMap;

use crate::decision::{Refusal, Requirement, Requirements, Resolved, Verdict};
use crate::digest::Digest;
use crate::facts::{Facts, ReceiptId};
use crate::receipt::read::Receipt;
use crate::receipt::{PolicyUsed, VerdictEvent};
use crate::report::sender;

/// Senders that are told apart of one policy: a policy for everybody meets strangers, who
/// are not to take the room of others' partners.
const SENDERS_OF_POLICY: usize = 5_000;

/// The same of all policies together. Each takes half a kilobyte.
const SENDERS: usize = 20_000;

/// Certificates that are told apart of one sender: its mail servers may have one each.
const CERTIFICATES: usize = 4;

/// Seconds that are *recent*.
pub const RECENT: u64 = 86_400;

/// How policies were met in a period.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// From this second on, what happened is recent.
    recent: u64,
    policies: HashMap<String, HashMap<String, Met>>,
    /// The policies that demanded something of each sender last: in force, and monitored.
    deciders: HashMap<String, Vec<String>>,
    senders: usize,
    unwatched: u64,
}

/// How one sender met one policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Met {
    /// Accepted before what is recent.
    pub accepted_before: u64,
    /// Accepted of late.
    pub accepted_of_late: u64,
    /// Refused before what is recent, or would have been.
    pub refused_before: u64,
    /// Refused of late, or would have been.
    pub refused_of_late: u64,
    /// When the first was decided, in seconds since 1970.
    pub first: u64,
    /// When the first was refused since the last that was accepted.
    pub failing_since: Option<u64>,
    /// The last refusal.
    pub refusal: Option<(Refusal, ReceiptId)>,
    /// Whether what was decided last was in force, and not only monitored.
    pub is_enforced: bool,
    /// Whether the last that came of this sender was decided by this policy.
    pub is_current: bool,
    /// Certificates with which a requirement about them was met.
    pub certificates: Vec<Seen>,
}

/// A certificate that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Of the whole certificate.
    pub sha256: Digest,
    /// When it ends, in seconds since 1970.
    pub not_after: i64,
    /// When it was seen last.
    pub last: u64,
    /// In which receipt.
    pub receipt: ReceiptId,
    /// Its key is pinned, and nothing else is required of it.
    pub only_pinned: bool,
}

/// A decision that is about what is required.
#[derive(Clone, Copy)]
struct Judged<'a> {
    policy: &'a PolicyUsed,
    requirements: &'a Requirements,
    verdict: &'a Verdict,
    facts: &'a Facts,
    in_force: bool,
}

impl Evidence {
    /// None yet. What is decided at this second since 1970 or later is recent.
    pub fn new(recent: u64) -> Self {
        Self {
            recent,
            policies: HashMap::new(),
            deciders: HashMap::new(),
            senders: 0,
            unwatched: 0,
        }
    }

    /// Takes the next receipt; the order is that of time.
    pub fn add(&mut self, receipt: &Receipt) {
        let Receipt::Decided(first, second, _) = receipt else {
            return;
        };
        let last = second.as_ref().unwrap_or(first);
        let of_last: Vec<_> = judged(last).collect();
        // What one policy decided twice about a message it decided once, and last.
        let of_first = second.iter().flat_map(|_| judged(first)).filter(|judged| {
            let mut known = of_last.iter();
            known.all(|known| known.policy.name != judged.policy.name)
        });
        for judged in of_first.chain(of_last.iter().copied()) {
            self.take(&judged);
        }
        self.leave(&sender(&last.facts), &of_last);
    }

    /// Whoever else demanded something of this sender before does not now.
    fn leave(&mut self, sender: &str, demanding: &[Judged<'_>]) {
        let Some(before) = self.deciders.get_mut(sender) else {
            return;
        };
        let now = |name: &String| demanding.iter().any(|judged| judged.policy.name == *name);
        for gone in before.iter().filter(|name| !now(name)) {
            let senders = self.policies.get_mut(gone);
            if let Some(met) = senders.and_then(|senders| senders.get_mut(sender)) {
                met.is_current = false;
            }
        }
        if !(before.len() == demanding.len() && before.iter().all(now)) {
            let names = demanding.iter().map(|judged| judged.policy.name.clone());
            *before = names.collect();
        }
    }

    fn take(&mut self, judged: &Judged<'_>) {
        let recent = self.recent;
        match self.met(&judged.policy.name, judged.facts) {
            Some(met) => met.take(judged, recent),
            None => self.unwatched += 1,
        }
    }

    /// What there is of this policy and sender; none where there is no more room.
    fn met(&mut self, policy: &str, facts: &Facts) -> Option<&mut Met> {
        let name = sender(facts);
        let known = self.policies.get(policy);
        let is_known = known.is_some_and(|senders| senders.contains_key(&name));
        let of_policy = known.map_or(0, HashMap::len);
        if !is_known {
            if self.senders >= SENDERS || of_policy >= SENDERS_OF_POLICY {
                return None;
            }
            self.senders += 1;
        }
        if !self.deciders.contains_key(&name) {
            self.deciders.insert(name.clone(), Vec::new());
        }
        let senders = self.policies.entry(policy.to_owned()).or_default();
        Some(senders.entry(name).or_insert_with(|| Met {
            first: facts.now,
            ..Met::default()
        }))
    }

    /// How each sender met this policy, by its name.
    pub fn of(&self, policy: &str) -> Vec<(&str, &Met)> {
        let senders = self.policies.get(policy).into_iter().flatten();
        let mut senders: Vec<_> = senders.map(|(name, met)| (name.as_str(), met)).collect();
        senders.sort_by_key(|(name, _)| *name);
        senders
    }

    /// Decisions about senders beyond those that are told apart.
    pub fn unwatched(&self) -> u64 {
        self.unwatched
    }
}

/// What an event says of this kind: of the policy in force, and of the one that is monitored.
fn judged(event: &VerdictEvent) -> impl Iterator<Item = Judged<'_>> {
    Judged::in_force(event)
        .into_iter()
        .chain(Judged::monitored(event))
}

impl<'a> Judged<'a> {
    fn in_force(event: &'a VerdictEvent) -> Option<Self> {
        let policy = event.policy.as_ref();
        let resolved = event.resolved.as_ref().filter(|_| event.failure.is_none());
        Self::of(policy, resolved, &event.verdict, (&event.facts, true))
    }

    fn monitored(event: &'a VerdictEvent) -> Option<Self> {
        let monitored = event.monitored.as_ref()?;
        let resolved = monitored.resolved.as_ref();
        let resolved = resolved.filter(|_| monitored.failure.is_none());
        let policy = Some(&monitored.policy);
        Self::of(policy, resolved, &monitored.verdict, (&event.facts, false))
    }

    fn of(
        policy: Option<&'a PolicyUsed>,
        resolved: Option<&'a Resolved>,
        verdict: &'a Verdict,
        (facts, in_force): (&'a Facts, bool),
    ) -> Option<Self> {
        match (policy, resolved) {
            (Some(policy), Some(Resolved::Enforced(requirements))) => Some(Self {
                policy,
                requirements,
                verdict,
                facts,
                in_force,
            }),
            _ => None,
        }
    }

    /// Whether a certificate is required whose end matters; if so, whether only its key is.
    fn only_pins(&self) -> Option<bool> {
        let trusts = |required: &Requirement| {
            matches!(
                required,
                Requirement::Trusted | Requirement::Covers(_) | Requirement::Within(_)
            )
        };
        let pins = |required: &Requirement| matches!(required, Requirement::Pinned(_));
        let mut all = self.requirements.iter();
        if all.any(trusts) {
            return Some(false);
        }
        self.requirements.iter().any(pins).then_some(true)
    }
}

impl Met {
    fn take(&mut self, judged: &Judged<'_>, recent: u64) {
        let now = judged.facts.now;
        let is_recent = now >= recent;
        self.is_current = true;
        if self.is_enforced != judged.in_force {
            // What was only monitored refused nobody, and the other way round.
            *self = Self {
                first: now,
                accepted_before: self.accepted_before,
                accepted_of_late: self.accepted_of_late,
                certificates: std::mem::take(&mut self.certificates),
                is_enforced: judged.in_force,
                is_current: true,
                ..Self::default()
            };
        }
        match judged.verdict {
            Verdict::Accepted => {
                self.failing_since = None;
                match is_recent {
                    true => self.accepted_of_late += 1,
                    false => self.accepted_before += 1,
                }
                self.see(judged);
            }
            Verdict::Refused(refusal) => {
                self.failing_since.get_or_insert(now);
                self.refusal = Some((refusal.clone(), judged.facts.id));
                match is_recent {
                    true => self.refused_of_late += 1,
                    false => self.refused_before += 1,
                }
            }
        }
    }

    fn see(&mut self, judged: &Judged<'_>) {
        let facts = judged.facts;
        let (Some(only_pinned), Some(certificate)) = (judged.only_pins(), facts.certificate())
        else {
            return;
        };
        let seen = Seen {
            sha256: certificate.sha256,
            not_after: certificate.not_after,
            last: facts.now,
            receipt: facts.id,
            only_pinned,
        };
        self.certificates
            .retain(|known| known.sha256 != seen.sha256);
        if self.certificates.len() == CERTIFICATES {
            // The one that was not seen for longest.
            self.certificates.remove(0);
        }
        self.certificates.push(seen);
    }

    /// All that were accepted.
    pub fn accepted(&self) -> u64 {
        self.accepted_before + self.accepted_of_late
    }

    /// All that were refused, or would have been.
    pub fn refused(&self) -> u64 {
        self.refused_before + self.refused_of_late
    }
}
