//! What a candidate would have decided beside a decision that stands: events of the store
//! alone, which counts them and keeps some as samples.

use crate::decision::{Decision, Requirement, Verdict};
use crate::digest::Digest;
use crate::facts::{ReceiptId, Stage, TenantId};
use crate::receipt::{FailureRecord, Monitored};

/// A decision in words of which there are few, so that decisions can be counted by them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Side {
    /// `default`, `opportunistic`, `enforced` with the kinds of its requirements, or
    /// `failed` with the code of the failure.
    pub decision: String,
    /// `accepted`, or the word of the refusal.
    pub verdict: &'static str,
}

/// Which revisions were asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ShadowOf {
    /// Whose.
    pub tenant: TenantId,
    /// Of which module.
    pub module: String,
    /// That which is tried.
    pub candidate: Digest,
    /// That which decided.
    pub active: Digest,
}

/// Something of a candidate to keep.
#[derive(Clone, Debug)]
pub struct ShadowEvent {
    /// Of which one.
    pub of: ShadowOf,
    /// The receipt of the decision, or of the last of them.
    pub receipt: ReceiptId,
    /// What came of it.
    pub came: Came,
}

/// What came of asking a candidate.
#[derive(Clone, Debug)]
pub enum Came {
    /// So many decisions it was not asked about: there was no room, or no instance.
    NotRun(u64),
    /// It answered, or failed.
    Answered(Box<Beside>),
}

/// Two decisions about the same facts.
#[derive(Clone, Debug)]
pub struct Beside {
    /// When it was decided.
    pub stage: Stage,
    /// Domain of the envelope sender; empty for the null sender.
    pub sender_domain: String,
    /// What was decided.
    pub was: Side,
    /// What would have been.
    pub would: Side,
    /// Whether the two are the same to the last requirement.
    pub agrees: bool,
    /// The candidate's answer.
    pub answer: Monitored,
}

impl Side {
    /// What was decided, and came of it.
    pub fn of(decision: &Decision, failure: Option<&FailureRecord>, verdict: &Verdict) -> Self {
        let decision = match (failure, decision) {
            (Some(failure), _) => format!("failed ({})", failure.code),
            (None, Decision::Default) => "default".to_owned(),
            (None, Decision::Opportunistic) => "opportunistic".to_owned(),
            (None, Decision::Enforced(requirements)) => enforced(requirements.iter()),
        };
        let verdict = match verdict {
            Verdict::Accepted => "accepted",
            Verdict::Refused(refusal) => refusal.word(),
        };
        Self { decision, verdict }
    }
}

/// Names and keys are left out: there may be as many as there are senders.
fn enforced<'a>(requirements: impl Iterator<Item = &'a Requirement>) -> String {
    let mut words: Vec<String> = requirements
        .map(|requirement| match requirement {
            Requirement::AtLeast(version) => version.to_string(),
            Requirement::PostQuantum => "post-quantum".to_owned(),
            Requirement::Presented => "presented".to_owned(),
            Requirement::Trusted => "trusted".to_owned(),
            Requirement::Covers(_) => "covers".to_owned(),
            Requirement::Within(_) => "within".to_owned(),
            Requirement::Pinned(_) => "pinned".to_owned(),
        })
        .collect();
    words.dedup();
    match words.is_empty() {
        true => "enforced".to_owned(),
        false => format!("enforced ({})", words.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::{Refusal, Requirements};

    #[test]
    fn decisions_are_few_words() {
        let within = |domain: &str| Requirement::Within(domain.parse().expect("a domain"));
        let requirements: Requirements = [
            Requirement::Trusted,
            within("a.example"),
            within("b.example"),
        ]
        .into_iter()
        .collect();
        let failure = FailureRecord {
            code: "trap".to_owned(),
            detail: "unreachable".to_owned(),
        };
        let refused = Verdict::Refused(Refusal::PolicyFailed);
        for (decision, failure, verdict, expected) in [
            (
                Decision::Default,
                None,
                Verdict::Accepted,
                "default accepted",
            ),
            (
                Decision::Enforced(requirements),
                None,
                Verdict::Refused(Refusal::Plaintext),
                "enforced (trusted, within) plaintext",
            ),
            (
                Decision::Enforced(Requirements::default()),
                None,
                Verdict::Accepted,
                "enforced accepted",
            ),
            (
                Decision::Default,
                Some(&failure),
                refused,
                "failed (trap) policy-failed",
            ),
        ] {
            let side = Side::of(&decision, failure, &verdict);
            assert_eq!(format!("{} {}", side.decision, side.verdict), expected);
        }
    }
}
