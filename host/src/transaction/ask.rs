//! Asking the policy that applies, constant or module: about mail that waits for the answer,
//! or about mail of the past (`replay`).

use std::sync::Arc;

use super::content::PATIENCE;
use crate::decision::Decision;
use crate::digest::Digest;
use crate::engine::{Engine, Failure, LogLine, Ran};
use crate::facts::{FactSet, Facts};
use crate::policy::{Choice, Consultation, Mode, OnFailure, Policy, Selected};
use crate::receipt::{FailureRecord, ModuleUsed, PolicyUsed};
use crate::tenant::{Held, Tenant, Wait};

/// Why a policy decides that asks no module.
pub(crate) const CONSTANT: &str = "the policy is a constant";

/// Who runs modules.
#[derive(Clone, Copy)]
pub(crate) enum Runner<'a> {
    /// The engine, for mail that is there.
    Mail(&'a Engine),
    /// The engine beside that, for mail of the past.
    Replay(&'a Engine),
}

/// What came of asking.
#[derive(Debug)]
pub(crate) struct Answered {
    /// The policy that applied.
    pub(super) policy: Option<PolicyUsed>,
    /// What was decided; Default where no policy applied or it failed.
    pub(super) decision: Decision,
    /// Why, in the policy's words or ours.
    pub(super) reason: String,
    /// Why there is no answer, and what that means.
    pub(crate) failure: Option<(FailureRecord, OnFailure)>,
    /// The failure is the host's, which might have done better another time.
    pub(crate) is_passing: bool,
    /// What a module read of the facts that may be missing where it is asked again.
    pub(crate) reads: FactSet,
    /// What it cost, where a module ran.
    pub(super) fuel: Option<u64>,
    /// What the module logged.
    pub(super) log: Vec<LogLine>,
    /// How many lines beyond the limit it logged.
    pub(super) log_dropped: u64,
    /// A line for the reply that refuses.
    pub(super) contact: Option<String>,
}

/// Asks the policy that applies to these facts, if one does. Without anybody to run it a
/// module has failed.
pub(crate) async fn ask(
    tenant: &Tenant,
    selected: &Selected<'_>,
    facts: &Arc<Facts>,
    runner: Option<Runner<'_>>,
) -> Answered {
    let nobody = |decision, reason| {
        let contact = tenant.contact.clone();
        Answered::constant(None, decision, contact, reason)
    };
    match (selected.exempt, selected.in_force) {
        (Some(exemption), _) => nobody(Decision::Opportunistic, exemption.reason()),
        (None, Some(policy)) => consult(tenant, policy, Mode::Enforce, facts, runner).await,
        (None, None) => nobody(Decision::Default, "no policy matches"),
    }
}

/// Asks this policy, whose answer counts or is only recorded.
pub(crate) async fn consult(
    tenant: &Tenant,
    policy: &Policy,
    mode: Mode,
    facts: &Arc<Facts>,
    runner: Option<Runner<'_>>,
) -> Answered {
    let contact = policy.contact.clone().or_else(|| tenant.contact.clone());
    match &policy.option {
        Choice::Constant(decision) => {
            let used = used(tenant, policy, facts, None);
            Answered::constant(Some(used), decision.clone(), contact, CONSTANT)
        }
        Choice::Module(consultation) => {
            let held = tenant.module(consultation);
            let module = held.map(|held| (held.digest(), consultation));
            let used = used(tenant, policy, facts, module);
            let ran = match (runner, held) {
                (None, _) => Ran::not_run(Failure::Overdue { limit: PATIENCE }),
                (Some(_), None) => Ran::not_run(Failure::Host("the module is not loaded".into())),
                (Some(runner), Some(held)) => {
                    runner.run(mode, held, consultation, tenant, facts).await
                }
            };
            Answered::ran(used, ran, policy.on_failure, contact)
        }
    }
}

impl Runner<'_> {
    async fn run(
        self,
        mode: Mode,
        held: &Held,
        consultation: &Consultation,
        tenant: &Tenant,
        facts: &Arc<Facts>,
    ) -> Ran {
        let wait = match (self, mode) {
            (Self::Mail(_), Mode::Enforce) => Wait::Mail,
            (Self::Mail(_), Mode::Monitor) => Wait::No,
            (Self::Replay(_), _) => Wait::Long,
        };
        let module = match held.module(consultation.settings_digest, wait).await {
            Ok(module) => module,
            Err(failure) => return Ran::not_run(failure),
        };
        let (settings, lists) = (&consultation.settings, &tenant.lists);
        match (self, mode) {
            (Self::Mail(engine), Mode::Enforce) => {
                engine.decide(module, settings, facts, lists).await
            }
            (Self::Mail(engine), Mode::Monitor) => {
                engine.monitor(module, settings, facts, lists).await
            }
            (Self::Replay(engine), _) => engine.replay(module, settings, facts, lists).await,
        }
    }
}

/// By which policy and module.
pub(super) fn used(
    tenant: &Tenant,
    policy: &Policy,
    facts: &Facts,
    module: Option<(Digest, &Consultation)>,
) -> PolicyUsed {
    PolicyUsed {
        name: policy.name.to_string(),
        revision: tenant.revision(policy),
        ramp: policy.stand(&tenant.question(facts)),
        module: module.map(|(digest, consultation)| ModuleUsed {
            name: consultation.module.to_string(),
            digest,
            settings: consultation.settings_digest,
        }),
    }
}

impl Answered {
    fn constant(
        policy: Option<PolicyUsed>,
        decision: Decision,
        contact: Option<String>,
        reason: &str,
    ) -> Self {
        Self {
            policy,
            decision,
            reason: reason.to_owned(),
            failure: None,
            is_passing: false,
            reads: FactSet::default(),
            fuel: None,
            log: Vec::new(),
            log_dropped: 0,
            contact,
        }
    }

    pub(super) fn ran(
        policy: PolicyUsed,
        ran: Ran,
        on_failure: OnFailure,
        contact: Option<String>,
    ) -> Self {
        let is_passing = ran.result.as_ref().is_err_and(Failure::is_passing);
        let (decision, reason, failure) = match ran.result {
            Ok(answer) => (answer.decision, answer.reason, None),
            Err(failure) => {
                let record = FailureRecord {
                    code: failure.code().to_owned(),
                    detail: failure.to_string(),
                };
                (
                    Decision::Default,
                    failed(on_failure),
                    Some((record, on_failure)),
                )
            }
        };
        Self {
            policy: Some(policy),
            decision,
            reason,
            failure,
            is_passing,
            reads: ran.reads,
            fuel: Some(ran.fuel),
            log: ran.log,
            log_dropped: ran.log_dropped,
            contact,
        }
    }
}

fn failed(on_failure: OnFailure) -> String {
    let meaning = match on_failure {
        OnFailure::Defer => "defer",
        OnFailure::Enforced => "enforced",
        OnFailure::Opportunistic => "opportunistic",
    };
    format!("the policy failed, which means {meaning}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::sample;
    use crate::tenant::tests::{Bench, mailbox};

    #[tokio::test]
    async fn without_time_a_module_has_failed_and_a_constant_has_not() {
        let bench = Bench::new();
        bench.write("module.wasm", "no module");
        bench.write(
            "tenants/acme.toml",
            "domains = [\"acme.example\"]\n[[module]]\nname = \"m\"\npath = \"../module.wasm\"\n\
             [[policy]]\nname = \"asks\"\noption = \"module\"\nmodule = \"m\"\n\
             on_failure = \"opportunistic\"\n\
             [[policy]]\nname = \"says\"\noption = \"opportunistic\"\n",
        );
        let loaded = bench.load_what_can_be().await.expect("no fault");
        let recipient = mailbox("ann@acme.example");
        let tenant = loaded.snapshot.owner(&recipient).expect("loaded");
        let facts = Arc::new(sample::clear(&recipient));
        let (asks, says) = (&tenant.policies[0], &tenant.policies[1]);
        let (record, on_failure) = consult(tenant, asks, Mode::Enforce, &facts, None)
            .await
            .failure
            .expect("it was not run");
        assert_eq!(record.code, "deadline");
        assert_eq!(on_failure, OnFailure::Opportunistic);
        let answered = consult(tenant, says, Mode::Enforce, &facts, None).await;
        assert!(answered.failure.is_none());
    }
}
