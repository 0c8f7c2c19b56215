//! What is left to be asked when the reply is out: a candidate, about what the active
//! revision of its module has decided.
//!
//! **Nothing of it has an effect**: the permit that it comes to is dropped where it is made.

use std::sync::Arc;
use std::time::Instant;

use super::ask::{Answered, used};
use super::conclude::{Asked, would};
use super::evidence::Conclusion;
use crate::decision::{Decision, Resolved, TlsOffer, Verdict};
use crate::engine::{Engine, Failure};
use crate::facts::Facts;
use crate::name::Name;
use crate::policy::{Choice, Policy};
use crate::receipt::{
    Beside, Came, FailureRecord, Monitored, ShadowEvent, ShadowOf, Side, VerdictEvent,
};
use crate::shadow::{Candidate, Shadows};
use crate::tenant::Tenant;

/// Most that waits for one reply: a message to as many recipients is rare.
pub(super) const GROUP: usize = 256;

/// A decision that stands, and the candidate to be asked about it.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    pub(crate) of: ShadowOf,
    pub(crate) candidate: Arc<Candidate>,
    tenant: Arc<Tenant>,
    policy: Name,
    host_default: Resolved,
    facts: Arc<Facts>,
    offer: TlsOffer,
    decision: Decision,
    failure: Option<FailureRecord>,
    verdict: Verdict,
}

/// Why there is no answer.
pub(crate) enum NotRun {
    /// No instance was to spare: another moment may be better.
    Busy,
    /// It does not make sense to ask it just now.
    Out,
}

impl Standing {
    /// What there is to be asked beside this verdict, if its module has a candidate, and the
    /// policy asks whichever revision is active.
    pub(super) fn of(shadows: &Shadows, asked: Asked<'_>, event: &VerdictEvent) -> Option<Self> {
        let used = event.policy.as_ref()?;
        let active = used.module.as_ref()?;
        let tenant = asked.tenant;
        let candidate = shadows.candidate(&tenant.id, &active.name)?;
        if candidate.digest() == active.digest {
            return None;
        }
        let policy = policy(tenant, &used.name)?;
        let Choice::Module(consultation) = &policy.option else {
            return None;
        };
        if consultation.revision.is_some() {
            return None;
        }
        Some(Self {
            of: ShadowOf {
                tenant: tenant.id.clone(),
                module: active.name.clone(),
                candidate: candidate.digest(),
                active: active.digest,
            },
            candidate,
            tenant: Arc::clone(tenant),
            policy: policy.name.clone(),
            host_default: asked.host_default.clone(),
            facts: Arc::clone(asked.facts),
            offer: asked.offer,
            decision: event.decision.clone(),
            failure: event.failure.clone(),
            verdict: event.verdict.clone(),
        })
    }

    /// That the candidate was not asked about so many decisions, of which this is the last.
    pub(crate) fn not_run(&self, decisions: u64) -> ShadowEvent {
        self.event(Came::NotRun(decisions))
    }

    /// Asks the candidate.
    pub(crate) async fn ask(&self, engine: &Engine, node: &str) -> Result<ShadowEvent, NotRun> {
        let started = Instant::now();
        let policy = policy(&self.tenant, self.policy.as_str()).ok_or(NotRun::Out)?;
        let Choice::Module(consultation) = &policy.option else {
            return Err(NotRun::Out);
        };
        let (module, settings) = (&self.candidate.module, &consultation.settings);
        let lists = &self.tenant.lists;
        let ran = engine.monitor(module, settings, &self.facts, lists).await;
        match &ran.result {
            Err(Failure::Unavailable { .. }) => return Err(NotRun::Busy),
            // What the host did not get done says nothing of the candidate.
            Err(failure) if failure.is_passing() => return Err(NotRun::Out),
            _ => {}
        }
        let asked = Some((module.digest(), consultation));
        let used = used(&self.tenant, policy, &self.facts, asked);
        let contact = policy.contact.clone();
        let contact = contact.or_else(|| self.tenant.contact.clone());
        let conclusion = Conclusion {
            tenant: &self.tenant,
            host_default: &self.host_default,
            facts: Arc::clone(&self.facts),
            answered: Answered::ran(used, ran, policy.on_failure, contact),
            offer: self.offer,
            started,
        };
        let answer = would(conclusion.draw(node)).ok_or(NotRun::Out)?;
        Ok(self.event(Came::Answered(Box::new(self.beside(answer)))))
    }

    fn beside(&self, answer: Monitored) -> Beside {
        let code = |failure: &Option<FailureRecord>| failure.as_ref().map(|f| f.code.clone());
        let sender = self.facts.sender.as_ref();
        let domain = sender.and_then(|sender| sender.domain());
        Beside {
            stage: self.facts.stage,
            sender_domain: domain.map(ToString::to_string).unwrap_or_default(),
            was: Side::of(&self.decision, self.failure.as_ref(), &self.verdict),
            would: Side::of(&answer.decision, answer.failure.as_ref(), &answer.verdict),
            agrees: answer.decision == self.decision
                && answer.verdict == self.verdict
                && code(&answer.failure) == code(&self.failure),
            answer,
        }
    }

    fn event(&self, came: Came) -> ShadowEvent {
        ShadowEvent {
            of: self.of.clone(),
            receipt: self.facts.id,
            came,
        }
    }
}

fn policy<'t>(tenant: &'t Tenant, name: &str) -> Option<&'t Policy> {
    let mut policies = tenant.policies.iter();
    policies.find(|policy| policy.name.as_str() == name)
}
