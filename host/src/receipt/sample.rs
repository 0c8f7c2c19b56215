//! Events for tests, to be changed as the test needs it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use super::{
    Beside, Came, Event, Monitored, Outcome, OutcomeEvent, PolicyUsed, RelayCause, RelayEvent,
    Side, VerdictEvent,
};
use crate::decision::{Decision, Verdict};
use crate::digest::Digest;
use crate::facts::{FactSet, Facts, ReceiptId, Stage, sample};

/// Mail in clear to this recipient was accepted, since no policy matched.
pub(crate) fn verdict(recipient: &str) -> VerdictEvent {
    let recipient = recipient.parse().expect("a mailbox");
    let facts = Facts {
        id: ReceiptId::new(SystemTime::now()),
        ..sample::clear(&recipient)
    };
    VerdictEvent {
        id: facts.id,
        time: String::new(),
        node: "mx.example".to_owned(),
        facts: Arc::new(facts),
        policy: None,
        trust: Digest::of(b"trust"),
        lists: BTreeMap::new(),
        decision: Decision::Default,
        reason: "no policy matches".to_owned(),
        failure: None,
        resolved: None,
        default_of: None,
        verdict: Verdict::Accepted,
        reply: "250 2.1.5 Recipient ok".to_owned(),
        micros: 1,
        fuel: None,
        log: Vec::new(),
        log_dropped: 0,
        monitored: None,
        lacks: FactSet::default(),
        under: None,
    }
}

/// A policy of this name decided, in the revision that this text has for its digest.
pub(crate) fn policy(name: &str, revision: &str) -> Option<PolicyUsed> {
    Some(PolicyUsed {
        name: name.to_owned(),
        revision: Digest::of(revision.as_bytes()),
        ramp: None,
        module: None,
    })
}

/// A candidate would have decided so, where mail in clear was accepted.
pub(crate) fn beside(would: &'static str) -> Came {
    let side = |verdict| Side {
        decision: "default".to_owned(),
        verdict,
    };
    let event = verdict("a@a.example");
    Came::Answered(Box::new(Beside {
        stage: Stage::Recipient,
        sender_domain: "partner.example".to_owned(),
        was: side("accepted"),
        would: side(would),
        agrees: would == "accepted",
        answer: Monitored {
            policy: PolicyUsed {
                name: "p".to_owned(),
                revision: Digest::of(b"p"),
                ramp: None,
                module: None,
            },
            decision: event.decision,
            reason: "amy@partner.example is in a list".to_owned(),
            failure: None,
            resolved: None,
            default_of: None,
            verdict: event.verdict,
            reply: None,
            micros: 1,
            fuel: None,
            log: Vec::new(),
            log_dropped: 0,
        },
    }))
}

/// A policy of this name was only monitored, and would have accepted.
pub(crate) fn monitored(name: &str) -> Option<Box<Monitored>> {
    let policy = policy(name, name)?;
    Some(Box::new(Monitored {
        policy,
        decision: Decision::Default,
        reason: "the policy is a constant".to_owned(),
        failure: None,
        resolved: None,
        default_of: None,
        verdict: Verdict::Accepted,
        reply: None,
        micros: 1,
        fuel: None,
        log: Vec::new(),
        log_dropped: 0,
    }))
}

/// What became of the mail.
pub(crate) fn outcome(verdict: &VerdictEvent) -> Event {
    Event::Outcome(OutcomeEvent {
        id: verdict.id,
        time: String::new(),
        tenant: verdict.facts.tenant.clone(),
        outcome: Outcome::Delivered,
        reply: "250 2.0.0 kept".to_owned(),
        detail: String::new(),
    })
}

/// Relaying was refused with this reply.
pub(crate) fn relay(reply: &str) -> Event {
    let recipient = "x@elsewhere.example".parse().expect("a mailbox");
    let facts = sample::clear(&recipient);
    Event::Relay(Box::new(RelayEvent {
        id: ReceiptId::new(SystemTime::now()),
        time: String::new(),
        node: String::new(),
        connection: (*facts.connection).clone(),
        helo: facts.helo,
        sender: None,
        recipient,
        because: RelayCause::Foreign,
        reply: reply.to_owned(),
        unrecorded: 0,
    }))
}
