//! Running the decisions of a receipt again, as they were made.

use axum::extract::{Extension, State};
use serde::Serialize;
use utoipa::ToSchema;

use super::access::Caller;
use super::input::{Json, Named};
use super::problem::Problem;
use super::shapes::{Decided, Id};
use super::{Api, dry_runs, receipts};
use crate::decision::Decision;
use crate::policy::Mode;
use crate::receipt::{FailureRecord, VerdictEvent};
use crate::replay::{Past, Rerun, Said};

/// What came of running the decisions of a receipt again.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RerunReport {
    /// The receipt.
    #[schema(value_type = Id)]
    receipt: String,
    /// Every decision came out as it is in the receipt; null where that is not known of one,
    /// and no other differs. With no decision there is nothing to differ.
    same: Option<bool>,
    /// Each decision by a policy, in the order in which they were made; none where no policy
    /// applied.
    decisions: Vec<RerunDecision>,
}

/// A decision, then and again.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RerunDecision {
    /// `recipient` for the one at `RCPT TO`, `content` for the one at the end of data.
    stage: &'static str,
    /// `monitor` where it was only recorded.
    #[schema(value_type = String)]
    mode: Mode,
    /// The policy's name.
    policy: String,
    /// SHA-256 of the policy as it was.
    revision: String,
    /// The module's name; null for a constant.
    module: Option<String>,
    /// SHA-256 of the module's bytes.
    digest: Option<String>,
    /// As the receipt has it.
    then: RerunAnswer,
    /// As it came out this time; null where that is not known.
    again: Option<RerunAnswer>,
    /// Decision, reason, failure and fuel are the same; null where that is not known.
    same: Option<bool>,
    /// What is not kept any more of what it was made of.
    missing: Vec<String>,
}

/// What a policy said.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RerunAnswer {
    /// What it decided, with the requirements; null where it gave no answer.
    #[schema(value_type = Option<Decided>)]
    decision: Option<Decision>,
    /// Why, in its words; null where it gave no answer.
    reason: Option<String>,
    /// Why it gave no answer; null where it gave one.
    failure: Option<RerunFailure>,
    /// Units of fuel that its module used; null for a constant.
    fuel: Option<u64>,
}

/// Why a policy gave no answer.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RerunFailure {
    /// As in receipts, such as `trap` or `out-of-fuel`.
    code: String,
    /// In words.
    detail: String,
}

/// Runs the decisions of a receipt again as they were made: by the policy, the module, the
/// settings and the lists that it names, whatever the tenant has by now, on its facts.
/// Nothing is recorded.
#[utoipa::path(post, path = "/v1/receipts/{receipt}/rerun", tag = "receipts",
    params(("receipt" = String, Path, description = "The id at the end of an SMTP reply.")),
    responses((status = 200, body = RerunReport),
        (status = 410, description = "An address in it was erased.", body = Problem,
            content_type = "application/problem+json")))]
pub(super) async fn rerun(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Named(receipt): Named<String>,
) -> Result<Json<RerunReport>, Problem> {
    let cannot = "its decision cannot be run again";
    let (first, second) = receipts::decided(&api, &caller, &receipt, cannot).await?;
    let _turn = api.dry_runs.take(&first.facts.tenant, "dry run")?;
    let mut decisions = Vec::new();
    for event in std::iter::once(&first).chain(&second) {
        for past in Past::of(event) {
            decisions.push(again(&api, event, past).await?);
        }
    }
    let any = |same| decisions.iter().any(|decision| decision.same == same);
    // One that differs counts before one that cannot be compared.
    let same = match any(Some(false)) {
        true => Some(false),
        false => (!any(None)).then_some(true),
    };
    Ok(Json(RerunReport {
        receipt: first.id.to_string(),
        same,
        decisions,
    }))
}

async fn again(api: &Api, event: &VerdictEvent, past: Past<'_>) -> Result<RerunDecision, Problem> {
    let mut then = past.load(&api.host.store).await?;
    let used = past.policy.module.as_ref().filter(|_| then.has_module);
    let module = match used {
        None => None,
        Some(used) => match dry_runs::admitted(api, &event.facts.tenant, used.digest).await {
            Ok(module) => Some(module),
            Err(problem) => {
                let Some(why) = problem.conflict() else {
                    return Err(problem);
                };
                let (name, digest) = (&used.name, used.digest);
                let refused =
                    format!("module {name} with SHA-256 {digest}, which this host refuses: {why}");
                then.missing.push(refused);
                None
            }
        },
    };
    let rerun = past.run(then, &api.host.engine, module.as_deref()).await;
    let same = past.is_same(&rerun);
    let Rerun { said, missing } = rerun;
    let used = past.policy.module.as_ref();
    Ok(RerunDecision {
        stage: past.stage().as_str(),
        mode: past.mode,
        policy: past.policy.name.clone(),
        revision: past.policy.revision.to_string(),
        module: used.map(|used| used.name.clone()),
        digest: used.map(|used| used.digest.to_string()),
        same,
        then: past.said.into(),
        again: said.map(Into::into),
        missing,
    })
}

impl From<Said> for RerunAnswer {
    fn from(said: Said) -> Self {
        let failure = said.failure.map(|failure| {
            let FailureRecord { code, detail } = failure;
            RerunFailure { code, detail }
        });
        Self {
            decision: said.decision,
            reason: said.reason,
            failure,
            fuel: said.fuel,
        }
    }
}
