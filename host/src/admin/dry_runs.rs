//! Asking a module about mail that is not there: for authors, before it is active. Nothing
//! of it is recorded, and no mail waits for it.

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::Api;
use super::access::Caller;
use super::input::{GivenLarge, Json, Named, within};
use super::modules::no_module;
use super::problem::Problem;
use super::shapes::{Decided, Id, NameText};
use super::{receipts, tenants, uploads};
use crate::config::Object;
use crate::decision::Decision;
use crate::digest::Digest;
use crate::engine::{LogLine, Module, Ran};
use crate::facts::{Facts, TenantId};
use crate::name::Name;
use crate::policy::Consultation;
use crate::receipt::read::Receipt;

/// A module, its settings, and what it is asked about.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DryRun {
    /// The module's name.
    #[schema(value_type = NameText, example = "partner-list")]
    module: Name,
    /// The number of a revision that is ready; without it the active one.
    #[schema(minimum = 1)]
    revision: Option<i64>,
    /// As in a policy.
    #[serde(default)]
    #[schema(value_type = Object)]
    settings: Object,
    /// Facts as in a receipt; either these or `receipt`.
    #[schema(value_type = Option<Object>)]
    facts: Option<Value>,
    /// The id of a receipt, whose facts are taken.
    #[schema(value_type = Option<Id>)]
    receipt: Option<String>,
}

/// What a module answered.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DryRunReport {
    /// The module's name.
    module: String,
    /// The revision that was asked.
    revision: i64,
    /// SHA-256 of its bytes.
    digest: String,
    /// What it decides, with the requirements, as in a receipt; null where it failed.
    #[schema(value_type = Option<Decided>)]
    decision: Option<Decision>,
    /// Why, in its words; null where it failed.
    reason: Option<String>,
    /// Why it gave no answer; null where it gave one.
    failure: Option<DryRunFailure>,
    /// Units of fuel that it used.
    fuel: u64,
    /// Microseconds that it ran.
    micros: u64,
    /// What it logged.
    #[schema(value_type = Vec<Object>)]
    log: Vec<LogLine>,
    /// How many lines beyond the limit it logged.
    log_dropped: u64,
}

/// Why a module gave no answer.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DryRunFailure {
    /// As in receipts, such as `trap` or `out-of-fuel`.
    code: &'static str,
    /// In words.
    detail: String,
}

/// Asks a revision of a module what it decides, with settings and facts that are given, or
/// those of a receipt, and the tenant's lists. Nothing is recorded.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/dry-runs", tag = "modules",
    params(("tenant" = String, Path, description = "The tenant's id.")),
    request_body = DryRun,
    responses((status = 200, body = DryRunReport),
        (status = 410, description = "An address in the receipt was erased.", body = Problem,
            content_type = "application/problem+json")))]
pub(super) async fn run(
    State(api): State<Api>,
    Extension(who): Extension<Caller>,
    Named(tenant): Named<String>,
    GivenLarge(wanted, _room): GivenLarge<DryRun>,
) -> Result<Json<DryRunReport>, Problem> {
    let id = tenants::known(&api, &tenant).await?;
    let _turn = api.dry_runs.take(&id, "dry run")?;
    let facts = facts(&api, &who, &id, wanted.facts, wanted.receipt).await?;
    let (number, digest) = revision(&api, &id, &wanted.module, wanted.revision).await?;
    let module = admitted(&api, &id, digest).await?;
    let settings = Value::Object(wanted.settings);
    let faults = api.host.engine.check_settings(&module, &settings).await?;
    if !faults.is_empty() {
        return Err(Problem::settings(&faults));
    }
    let asked = Consultation::new(wanted.module.clone(), &settings);
    let snapshot = api.host.snapshot.load_full();
    let lists = snapshot.tenant(&id).map(|tenant| Arc::clone(&tenant.lists));
    let lists = lists.unwrap_or_default();
    let ran = api
        .host
        .engine
        .try_out(&module, &asked.settings, &facts, &lists)
        .await;
    Ok(Json(DryRunReport::of(&wanted.module, number, digest, ran)))
}

/// Those that are given, or a receipt's, as this tenant's.
async fn facts(
    api: &Api,
    who: &Caller,
    tenant: &TenantId,
    given: Option<Value>,
    receipt: Option<String>,
) -> Result<Arc<Facts>, Problem> {
    match (given, receipt) {
        (Some(facts), None) => Ok(Arc::new(Facts {
            tenant: tenant.clone(),
            ..within("facts", facts)?
        })),
        (None, Some(id)) => {
            let found = receipts::find(api, who, &id).await?;
            let is_erased = found.is_erased();
            let facts = match found {
                Receipt::Decided(first, second, _) => second.unwrap_or(first).facts,
                Receipt::Relay(_) => return Err(none(&id)),
            };
            match facts.tenant == *tenant {
                true if is_erased => Err(Problem::erased(&id, "a module cannot be asked about it")),
                true => Ok(facts),
                false => Err(none(&id)),
            }
        }
        (Some(_), Some(_)) | (None, None) => Err(Problem::impossible(
            "give either \"facts\", or the id of a \"receipt\" whose facts are taken",
        )),
    }
}

fn none(receipt: &str) -> Problem {
    Problem::not_found(format!("there is no receipt {receipt:?} of this tenant's"))
}

async fn revision(
    api: &Api,
    tenant: &TenantId,
    module: &Name,
    wanted: Option<i64>,
) -> Result<(i64, Digest), Problem> {
    let name = module.as_str();
    let found = api.host.store.module_with_revisions(tenant, name).await?;
    let (kept, _) = found.ok_or_else(|| no_module(tenant.as_str(), name))?;
    let number = wanted.or(kept.active).ok_or_else(|| {
        Problem::new(
            StatusCode::CONFLICT,
            format!("no revision of module {name:?} is active: say which one is to be asked"),
        )
    })?;
    let (_, digest) = uploads::ready(api, tenant, name, number).await?;
    Ok((number, digest))
}

/// A revision that is ready, loaded.
pub(super) async fn admitted(
    api: &Api,
    tenant: &TenantId,
    digest: Digest,
) -> Result<Arc<Module>, Problem> {
    if let Some(known) = api.host.engine.admit_known(tenant, digest).await {
        return Ok(known);
    }
    // What a host of another version compiled is compiled again.
    let (host, of) = (Arc::clone(&api.host), tenant.clone());
    let compile = async move {
        let bytes = host.store.module(digest).await?;
        Ok(host.engine.admit(&of, &bytes).await?)
    };
    api.compiling.done(tenant, digest, compile).await
}

impl DryRunReport {
    fn of(module: &Name, revision: i64, digest: Digest, ran: Ran) -> Self {
        let (decision, reason, failure) = match ran.result {
            Ok(answer) => (Some(answer.decision), Some(answer.reason), None),
            Err(failure) => {
                let failure = DryRunFailure {
                    code: failure.code(),
                    detail: failure.to_string(),
                };
                (None, None, Some(failure))
            }
        };
        Self {
            module: module.to_string(),
            revision,
            digest: digest.to_string(),
            decision,
            reason,
            failure,
            fuel: ran.fuel,
            micros: u64::try_from(ran.elapsed.as_micros()).unwrap_or(u64::MAX),
            log: ran.log,
            log_dropped: ran.log_dropped,
        }
    }
}
