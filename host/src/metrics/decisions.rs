//! Decisions of tenants' policies, counted in numbers that the tenant itself holds: a
//! count is found without a lock, and gone when the last snapshot with it is.
//!
//! **The number of series is bounded**: beyond [`MAX_POLICIES`] policies are counted
//! together.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, Weak};

use super::lock;
use crate::decision::{Decision, Refusal, Verdict};
use crate::facts::{Direction, Facts, Stage, TenantId};
use crate::name::Name;
use crate::receipt::{FailureRecord, Monitored, VerdictEvent};

/// Policies that are counted each for itself, of all tenants together. Each has some
/// three to five series, and collectors manage tens of thousands of a host.
pub const MAX_POLICIES: usize = 2_000;

/// The label where no policy applied. Names cannot have parentheses.
const NO_POLICY: &str = "(none)";
/// The label of tenant and policy beyond the limit.
const OTHER: &str = "(other)";

/// Which way the mail goes, and when it is decided.
const WAYS: [(Direction, Stage); 4] = [
    (Direction::Inbound, Stage::Recipient),
    (Direction::Inbound, Stage::Content),
    (Direction::Outbound, Stage::Recipient),
    (Direction::Outbound, Stage::Content),
];

/// What was decided; `failed` where the policy gave no answer.
const DECISIONS: [&str; 4] = ["default", "opportunistic", "enforced", "failed"];

/// Why it was refused; `none` where it was not.
const CAUSES: [&str; 13] = [
    "none",
    "plaintext",
    "plaintext-only",
    "tls-unavailable",
    "version",
    "not-post-quantum",
    "no-certificate",
    "untrusted",
    "wrong-name",
    "pin-mismatch",
    "policy-failed",
    "claimed-tls",
    "claimed-certificate",
];

/// Why policies give no answer, as [`crate::engine::Failure::code`] has it.
pub(super) const FAILURES: [&str; 12] = [
    "error",
    "trap",
    "out-of-fuel",
    "deadline",
    "memory",
    "too-much",
    "unknown-list",
    "bad-requirement",
    "unavailable",
    "not-compiled",
    "quarantined",
    "host",
];

/// The counts of all policies of all tenants.
#[derive(Debug, Default)]
pub struct Decisions {
    known: Mutex<BTreeMap<PolicyLabels, Weak<PolicySeries>>>,
    other: Arc<PolicySeries>,
}

/// Tenant and name of a policy.
type PolicyLabels = (TenantId, Box<str>);

/// The counts of a tenant's policies. The tenant holds them.
#[derive(Debug)]
pub struct TenantSeries {
    policies: HashMap<Box<str>, Arc<PolicySeries>>,
    /// Where no policy applies.
    none: Arc<PolicySeries>,
}

/// The counts of one policy.
#[derive(Debug, Default)]
pub(super) struct PolicySeries {
    decided: Counts,
    /// What it would have decided, by what the verdict in force was: accepted, then
    /// refused. Most policies are never monitored.
    monitored: OnceLock<Box<[Counts; VERDICTS.len()]>>,
}

/// By direction and stage, decision and cause.
type Counts = [OneWay; WAYS.len()];

const VERDICTS: [&str; 2] = ["accepted", "refused"];

/// One count with its labels.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) tenant: String,
    pub(super) policy: String,
    /// The verdict in force, where this one was only monitored.
    pub(super) in_force: Option<&'static str>,
    pub(super) direction: &'static str,
    pub(super) stage: &'static str,
    pub(super) decision: &'static str,
    pub(super) verdict: &'static str,
    pub(super) cause: &'static str,
    pub(super) count: u64,
}

impl Decisions {
    /// The counts of this tenant's policies: those that are there already go on.
    pub fn tenant<'a>(
        &self,
        id: &TenantId,
        policies: impl Iterator<Item = &'a Name>,
    ) -> TenantSeries {
        let mut known = lock(&self.known);
        let mut series = |policy: &str| {
            let key = (id.clone(), policy.into());
            if let Some(there) = known.get(&key).and_then(Weak::upgrade) {
                return there;
            }
            if known.len() >= MAX_POLICIES {
                known.retain(|_, series| series.strong_count() > 0);
            }
            if known.len() >= MAX_POLICIES {
                return Arc::clone(&self.other);
            }
            let new = Arc::default();
            known.insert(key, Arc::downgrade(&new));
            new
        };
        TenantSeries {
            none: series(NO_POLICY),
            policies: policies
                .map(|name| (name.as_str().into(), series(name.as_str())))
                .collect(),
        }
    }

    /// Every count that is not zero.
    pub(super) fn samples(&self) -> Vec<Sample> {
        let mut samples = Vec::new();
        for ((tenant, policy), series) in lock(&self.known).iter() {
            if let Some(series) = series.upgrade() {
                series.collect(tenant.as_str(), policy, &mut samples);
            }
        }
        self.other.collect(OTHER, OTHER, &mut samples);
        samples
    }
}

impl TenantSeries {
    pub(super) fn count(&self, event: &VerdictEvent) {
        let policy = event.policy.as_ref();
        let series = policy
            .and_then(|policy| self.policies.get(policy.name.as_str()))
            .unwrap_or(&self.none);
        count(
            &series.decided[way(&event.facts)],
            &event.failure,
            &event.decision,
            &event.verdict,
        );
    }

    pub(super) fn count_monitored(&self, monitored: &Monitored, in_force: &VerdictEvent) {
        let name = monitored.policy.name.as_str();
        let Some(series) = self.policies.get(name) else {
            return;
        };
        let counts = &series.monitored.get_or_init(Box::default)[verdict(&in_force.verdict)];
        let Monitored {
            failure,
            decision,
            verdict,
            ..
        } = monitored;
        count(&counts[way(&in_force.facts)], failure, decision, verdict);
    }
}

impl PolicySeries {
    fn collect(&self, tenant: &str, policy: &str, samples: &mut Vec<Sample>) {
        let decided = std::iter::once((None, &self.decided));
        let monitored = self.monitored.get().into_iter();
        let monitored = monitored.flat_map(|counts| VERDICTS.into_iter().map(Some).zip(&**counts));
        for (in_force, counts) in decided.chain(monitored) {
            for ((direction, stage), decision, verdict, cause, count) in not_zero(counts) {
                samples.push(Sample {
                    tenant: tenant.to_owned(),
                    policy: policy.to_owned(),
                    in_force,
                    direction: direction.as_str(),
                    stage: stage.as_str(),
                    decision,
                    verdict,
                    cause,
                    count,
                });
            }
        }
    }
}

/// Way, decision, verdict, cause, and how often.
type Counted = (
    (Direction, Stage),
    &'static str,
    &'static str,
    &'static str,
    u64,
);

fn not_zero(counts: &Counts) -> impl Iterator<Item = Counted> {
    let decisions = WAYS.iter().zip(counts).flat_map(|(way, counts)| {
        let each = DECISIONS.iter().zip(counts);
        each.map(move |(decision, causes)| (way, decision, causes))
    });
    decisions.flat_map(|(way, decision, causes)| {
        let causes = CAUSES.iter().zip(causes).enumerate();
        causes.filter_map(move |(index, (cause, count))| {
            let (count, verdict) = (count.load(Relaxed), VERDICTS[usize::from(index > 0)]);
            (count > 0).then_some((*way, *decision, verdict, *cause, count))
        })
    })
}

/// The counts of one direction and stage.
type OneWay = [[AtomicU64; CAUSES.len()]; DECISIONS.len()];

fn count(counts: &OneWay, failure: &Option<FailureRecord>, answer: &Decision, verdict: &Verdict) {
    counts[decision(failure.as_ref(), answer)][cause(verdict)].fetch_add(1, Relaxed);
}

/// The index in [`WAYS`].
fn way(facts: &Facts) -> usize {
    let direction = match facts.direction {
        Direction::Inbound => 0,
        Direction::Outbound => 2,
    };
    match facts.stage {
        Stage::Recipient => direction,
        Stage::Content => direction + 1,
    }
}

/// The index in [`VERDICTS`].
fn verdict(verdict: &Verdict) -> usize {
    usize::from(*verdict != Verdict::Accepted)
}

/// The index in [`DECISIONS`].
fn decision(failure: Option<&FailureRecord>, decision: &Decision) -> usize {
    match (failure, decision) {
        (Some(_), _) => 3,
        (None, Decision::Default) => 0,
        (None, Decision::Opportunistic) => 1,
        (None, Decision::Enforced(_)) => 2,
    }
}

/// The index in [`CAUSES`].
fn cause(verdict: &Verdict) -> usize {
    match verdict {
        Verdict::Accepted => 0,
        Verdict::Refused(refusal) => match refusal {
            Refusal::Plaintext => 1,
            Refusal::PlaintextOnly => 2,
            Refusal::TlsUnavailable => 3,
            Refusal::Version { .. } => 4,
            Refusal::NotPostQuantum { .. } => 5,
            Refusal::NoCertificate { .. } => 6,
            Refusal::Untrusted { .. } => 7,
            Refusal::WrongName { .. } => 8,
            Refusal::PinMismatch { .. } => 9,
            Refusal::PolicyFailed => 10,
            Refusal::ClaimedTls => 11,
            Refusal::ClaimedCertificate => 12,
        },
    }
}

/// The code as a label.
pub(super) fn failure(record: &FailureRecord) -> &'static str {
    let known = FAILURES.iter().find(|code| **code == record.code);
    known.copied().unwrap_or("host")
}
