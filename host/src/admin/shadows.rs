//! Trying a revision of a module on live mail, beside the active one and without effect.
//!
//! **It is no part of the tenant's document**: files neither have it nor take it away, and
//! making the revision active, or removing the module, ends it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Extension, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio::time::{Duration, timeout};
use utoipa::ToSchema;

use super::Api;
use super::access::Caller;
use super::changes::{Changed, How, Preconditions};
use super::input::{Asked, Given, Json, Named, Revised};
use super::modules::no_module;
use super::problem::Problem;
use super::{dry_runs, tenants, uploads};
use crate::config::Authority;
use crate::engine::{Module, SettingsFault};
use crate::facts::TenantId;
use crate::policy::Choice;
use crate::receipt::source::Source;
use crate::server::ReloadError;
use crate::store::{KeptModule, KeptShadow, Subject};

/// Longest that a revision may take to look at the settings of all policies that ask it.
const LOOKING: Duration = Duration::from_secs(40);

/// The revision that is to be tried.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Trial {
    /// Its number.
    #[schema(minimum = 1, example = 3)]
    revision: i64,
}

/// What the revision that is tried beside the active one came to, or the one that was tried
/// last. The `ETag` is the module's revision.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/modules/{module}/shadow", tag = "modules",
    params(("tenant" = String, Path, description = "The tenant's id."),
        ("module" = String, Path, description = "The module's name.")),
    responses((status = 200, body = KeptShadow,
        headers(("ETag" = String, description = "The module's revision.")))))]
pub(super) async fn one(
    State(api): State<Api>,
    Named((tenant, module)): Named<(String, String)>,
) -> Result<Revised<KeptShadow>, Problem> {
    let id = tenants::known(&api, &tenant).await?;
    let found = api.host.store.shadow(&id, &module).await?;
    let (revision, shadow) = found.ok_or_else(|| no_module(&tenant, &module))?;
    Ok(Revised(revision, shadow))
}

/// Tries a revision of a module on live mail, beside the active one: after each decision of
/// that, and without effect. What the one came to that was tried before is forgotten.
#[utoipa::path(put, path = "/v1/tenants/{tenant}/modules/{module}/shadow", tag = "modules",
    params(("tenant" = String, Path, description = "The tenant's id."),
        ("module" = String, Path, description = "The module's name."), How, Preconditions),
    request_body = Trial,
    responses((status = 200, body = Changed,
        headers(("ETag" = String, description = "The module's revision.")))))]
pub(super) async fn put(
    State(api): State<Api>,
    Extension(who): Extension<Caller>,
    Named((tenant, module)): Named<(String, String)>,
    Asked(how): Asked<How>,
    preconditions: Preconditions,
    Given(Trial { revision }): Given<Trial>,
) -> Result<Response, Problem> {
    let trial = Some(revision);
    change(&api, who, [&tenant, &module], how, preconditions, trial).await
}

/// Tries no revision of a module any more. What it came to can still be asked for.
#[utoipa::path(delete, path = "/v1/tenants/{tenant}/modules/{module}/shadow", tag = "modules",
    params(("tenant" = String, Path, description = "The tenant's id."),
        ("module" = String, Path, description = "The module's name."), How, Preconditions),
    responses((status = 200, body = Changed,
        headers(("ETag" = String, description = "The module's revision.")))))]
pub(super) async fn remove(
    State(api): State<Api>,
    Extension(who): Extension<Caller>,
    Named((tenant, module)): Named<(String, String)>,
    Asked(how): Asked<How>,
    preconditions: Preconditions,
) -> Result<Response, Problem> {
    change(&api, who, [&tenant, &module], how, preconditions, None).await
}

async fn change(
    api: &Api,
    who: Caller,
    [tenant, module]: [&str; 2],
    how: How,
    preconditions: Preconditions,
    trial: Option<i64>,
) -> Result<Response, Problem> {
    let began = Instant::now();
    if let Authority::Files(files) = &api.reloader.config().authority {
        return Err(ReloadError::Files(files.clone()).into());
    }
    let id = tenants::known(api, tenant).await?;
    kept(api, &id, module).await?;
    let _loaded = match trial {
        None => None,
        Some(number) => Some(ready(api, &id, module, number).await?),
    };
    // It goes on where the client goes away: nobody leaves half of it behind.
    let work = Work {
        api: api.clone(),
        who,
        how,
        preconditions,
        trial,
        began,
    };
    let (id, module) = (id.clone(), module.to_owned());
    // Whoever goes away while this waits takes nobody else's place.
    let place = Arc::clone(&api.places).acquire_owned().await;
    let work = api.changes.spawn(async move {
        let _place = place;
        work.carry_out(&id, &module).await
    });
    // It does not panic, and nobody aborts it.
    work.await
        .map_err(|_| Problem::from(ReloadError::Stopping))?
}

async fn kept(api: &Api, tenant: &TenantId, module: &str) -> Result<KeptModule, Problem> {
    let found = api.host.store.module_with_revisions(tenant, module).await?;
    let (kept, _) = found.ok_or_else(|| no_module(tenant.as_str(), module))?;
    Ok(kept)
}

/// A revision that can be tried, loaded.
async fn ready(
    api: &Api,
    tenant: &TenantId,
    module: &str,
    number: i64,
) -> Result<Arc<Module>, Problem> {
    if matches!(api.receipts, Source::Files(_)) {
        return Err(conflict(
            "receipts are not kept in the store here (receipts.store), where it is counted what a revision would have decided",
        ));
    }
    let (_, digest) = uploads::ready(api, tenant, module, number).await?;
    let loaded = dry_runs::admitted(api, tenant, digest).await?;
    let looked = timeout(LOOKING, look_at_settings(api, tenant, module, &loaded)).await;
    looked.map_err(|_| Problem::from(ReloadError::Busy))??;
    Ok(loaded)
}

/// Whether it takes the settings of every policy that would ask it if it were active.
async fn look_at_settings(
    api: &Api,
    tenant: &TenantId,
    module: &str,
    candidate: &Module,
) -> Result<(), Problem> {
    let snapshot = api.host.snapshot.load_full();
    let policies = snapshot.tenant(tenant).map(|tenant| &tenant.policies);
    let (mut known, mut faults) = (BTreeMap::new(), Vec::new());
    for policy in policies.into_iter().flatten() {
        let Choice::Module(asked) = &policy.option else {
            continue;
        };
        if asked.module.as_str() != module || asked.revision.is_some() {
            continue;
        }
        let found = match known.get(&asked.settings_digest).cloned() {
            Some(found) => found,
            None => {
                let settings = serde_json::from_str(&asked.settings).unwrap_or_default();
                api.host.engine.check_settings(candidate, &settings).await?
            }
        };
        let name = policy.name.as_str();
        let line = |fault: &SettingsFault| format!("policy {name:?}: settings: {fault}");
        faults.extend(found.iter().map(line));
        known.insert(asked.settings_digest, found);
    }
    match faults.is_empty() {
        true => Ok(()),
        false => Err(Problem::lines(faults)),
    }
}

fn conflict(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::CONFLICT, detail)
}

/// A change that is made to its end.
struct Work {
    api: Api,
    who: Caller,
    how: How,
    preconditions: Preconditions,
    trial: Option<i64>,
    began: Instant,
}

impl Work {
    async fn carry_out(self, tenant: &TenantId, module: &str) -> Result<Response, Problem> {
        let host = &self.api.host;
        let turn = self.api.reloader.turn(tenant).await;
        let before = kept(&self.api, tenant, module).await?;
        let part = Subject::Module(module.to_owned());
        self.preconditions.check(&part, Some(before.revision))?;
        self.check(&before)?;
        let differs = before.shadow != self.trial;
        let is_done = differs && !self.how.is_dry_run();
        if is_done {
            let store = &host.store;
            let set = store.set_shadow(tenant, module, self.trial, &self.who.name);
            if !set.await? {
                return Err(no_module(tenant.as_str(), module));
            }
        }
        let after = kept(&self.api, tenant, module).await?;
        // Whoever changes something else of this tenant waits for nothing of this.
        drop(turn);
        if is_done {
            host.shadows.take_up().await;
        }
        let lines = match differs {
            true => vec![line(tenant, module, before.shadow, self.trial)],
            false => Vec::new(),
        };
        let took = (!self.how.is_dry_run()).then(|| self.began.elapsed());
        let mut response = Json(Changed::of(lines, took)).into_response();
        if let Ok(tag) = format!("\"{}\"", after.revision).parse() {
            response.headers_mut().insert(header::ETAG, tag);
        }
        Ok(response)
    }

    fn check(&self, module: &KeptModule) -> Result<(), Problem> {
        let name = &module.name;
        match (self.trial, module.active) {
            (Some(_), None) => Err(conflict(format!(
                "no revision of module {name:?} is active, so there is none to be compared with: make one active first"
            ))),
            (Some(number), Some(active)) if number == active => Err(conflict(format!(
                "revision {number} of module {name:?} is active: name another one"
            ))),
            _ => Ok(()),
        }
    }
}

fn line(tenant: &TenantId, module: &str, was: Option<i64>, becomes: Option<i64>) -> String {
    let of = format!("tenant {tenant}: shadow of module {module}");
    match (was, becomes) {
        (None, Some(new)) => format!("+ {of}: revision {new}"),
        (Some(old), None) => format!("- {of}: revision {old}"),
        (old, new) => {
            let text = |number: Option<i64>| number.map_or("(none)".to_owned(), |n| n.to_string());
            format!("~ {of}: revision {} → {}", text(old), text(new))
        }
    }
}
