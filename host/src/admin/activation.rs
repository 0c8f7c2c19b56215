//! Which revision of a module is active: chosen, rolled back, or none any more.
//!
//! **Only what is ready becomes active, and only where it takes the settings** of every
//! policy that asks it: these are checked before anything is changed.

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::ToSchema;

use super::Api;
use super::access::Caller;
use super::changes::{Change, Changed, How, Preconditions};
use super::input::{Asked, Given, Json, Named};
use super::modules::no_module;
use super::problem::Problem;
use super::{dry_runs, policies, tenants, uploads};
use crate::config::Authority;
use crate::digest::Digest;
use crate::engine::Module;
use crate::facts::TenantId;
use crate::name::Name;
use crate::server::ReloadError;
use crate::store::{KeptModule, Subject};

/// The revision that is to be active.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Activation {
    /// Its number.
    #[schema(minimum = 1, example = 2)]
    revision: i64,
}

/// Makes a revision of a module the active one, which the policies that ask the module ask
/// from then on, but for those that pin another.
#[utoipa::path(put, path = "/v1/tenants/{tenant}/modules/{module}/active", tag = "modules",
    params(("tenant" = String, Path, description = "The tenant's id."),
        ("module" = String, Path, description = "The module's name."), How, Preconditions),
    request_body = Activation,
    responses((status = 200, body = Changed,
        headers(("ETag" = String, description = "The module's revision.")))))]
pub(super) async fn activate(
    State(api): State<Api>,
    Extension(who): Extension<Caller>,
    Named((tenant, module)): Named<(String, String)>,
    Asked(how): Asked<How>,
    preconditions: Preconditions,
    Given(Activation { revision }): Given<Activation>,
) -> Result<Response, Problem> {
    let kept = kept(&api, &tenant, &module).await?;
    let change = kept.change(who, how, preconditions);
    make_active(&api, kept, change, revision).await
}

/// Makes the revision active that was before the active one.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/modules/{module}/rollback", tag = "modules",
    params(("tenant" = String, Path, description = "The tenant's id."),
        ("module" = String, Path, description = "The module's name."), How, Preconditions),
    responses((status = 200, body = Changed,
        headers(("ETag" = String, description = "The module's revision.")))))]
pub(super) async fn roll_back(
    State(api): State<Api>,
    Extension(who): Extension<Caller>,
    Named((tenant, module)): Named<(String, String)>,
    Asked(how): Asked<How>,
    preconditions: Preconditions,
) -> Result<Response, Problem> {
    let kept = kept(&api, &tenant, &module).await?;
    let none = Problem::new(
        StatusCode::CONFLICT,
        format!(
            "no revision of module {module:?} was active before: there is nothing to roll back to"
        ),
    );
    let Some(number) = kept.module.previous else {
        return Err(none);
    };
    // This is for loading it before anybody waits for it. Which one it is, is known when
    // it is this change's turn.
    let _loaded = load(&api, &kept, number).await?;
    let change = kept.change(who, how, preconditions);
    let name = kept.name()?;
    let changed = api.change_knowing(change, move |mut document, previous| {
        document.activate(&name, previous.ok_or(none)?);
        Ok(Some(document))
    });
    let names = policies::names(&api, &kept.tenant);
    changed.await.map_err(|problem| problem.naming(&names))
}

/// Removes a module with all of its revisions. Not while a policy asks it.
#[utoipa::path(delete, path = "/v1/tenants/{tenant}/modules/{module}", tag = "modules",
    params(("tenant" = String, Path, description = "The tenant's id."),
        ("module" = String, Path, description = "The module's name."), How, Preconditions),
    responses((status = 200, body = Changed)))]
pub(super) async fn remove(
    State(api): State<Api>,
    Extension(who): Extension<Caller>,
    Named((tenant, module)): Named<(String, String)>,
    Asked(how): Asked<How>,
    preconditions: Preconditions,
) -> Result<Response, Problem> {
    let kept = kept(&api, &tenant, &module).await?;
    if kept.module.active.is_none()
        && let Some(answer) = forget(&api, &kept, &who, how, &preconditions).await?
    {
        return Ok(answer);
    }
    let change = kept.change(who, how, preconditions);
    let changed = api.change(change, move |mut document| {
        let asking = document.policies_that_ask(&module);
        if !asking.is_empty() {
            return Err(Problem::new(
                StatusCode::CONFLICT,
                format!(
                    "module {module:?} is asked by policies: change or remove these first: {}",
                    asking.join(", ")
                ),
            ));
        }
        match document.remove_module(&module) {
            true => Ok(Some(document)),
            false => Err(no_module(document.id.as_str(), &module)),
        }
    });
    changed.await
}

/// A module that is there.
struct Kept {
    tenant: TenantId,
    module: KeptModule,
}

async fn kept(api: &Api, tenant: &str, module: &str) -> Result<Kept, Problem> {
    let id = tenants::known(api, tenant).await?;
    let found = api.host.store.module_with_revisions(&id, module).await?;
    let (module, _) = found.ok_or_else(|| no_module(tenant, module))?;
    Ok(Kept { tenant: id, module })
}

impl Kept {
    fn name(&self) -> Result<Name, Problem> {
        let name = self.module.name.parse();
        name.map_err(|_| no_module(self.tenant.as_str(), &self.module.name))
    }

    fn change(&self, who: Caller, how: How, preconditions: Preconditions) -> Change {
        Change {
            tenant: self.tenant.clone(),
            part: Subject::Module(self.module.name.clone()),
            who,
            how,
            preconditions,
        }
    }
}

async fn make_active(
    api: &Api,
    kept: Kept,
    change: Change,
    number: i64,
) -> Result<Response, Problem> {
    let (digest, _loaded) = load(api, &kept, number).await?;
    let name = kept.name()?;
    let changed = api.change(change, move |mut document| {
        document.activate(&name, digest);
        Ok(Some(document))
    });
    let names = policies::names(api, &kept.tenant);
    changed.await.map_err(|problem| problem.naming(&names))
}

/// What a host of another version compiled is compiled again, and nobody else's change
/// waits for it.
async fn load(api: &Api, kept: &Kept, number: i64) -> Result<(Digest, Arc<Module>), Problem> {
    let (_, digest) = uploads::ready(api, &kept.tenant, &kept.module.name, number).await?;
    let loaded = dry_runs::admitted(api, &kept.tenant, digest).await?;
    Ok((digest, loaded))
}

/// One that was never active is in no document: removing it changes nothing that is in
/// force. None where it has become active meanwhile.
async fn forget(
    api: &Api,
    seen: &Kept,
    who: &Caller,
    how: How,
    preconditions: &Preconditions,
) -> Result<Option<Response>, Problem> {
    if let Authority::Files(files) = &api.reloader.config().authority {
        return Err(ReloadError::Files(files.clone()).into());
    }
    let began = std::time::Instant::now();
    let _turn = api.reloader.turn(&seen.tenant).await;
    let Kept { tenant, module } = kept(api, seen.tenant.as_str(), &seen.module.name).await?;
    if module.active.is_some() {
        return Ok(None);
    }
    let part = Subject::Module(module.name.clone());
    preconditions.check(&part, Some(module.revision))?;
    if !how.is_dry_run() {
        let store = &api.host.store;
        if !store
            .forget_module(&tenant, &module.name, &who.name)
            .await?
        {
            return Err(no_module(tenant.as_str(), &module.name));
        }
    }
    let line = format!("- tenant {tenant}: {part}");
    let took = (!how.is_dry_run()).then(|| began.elapsed());
    Ok(Some(Json(Changed::of(vec![line], took)).into_response()))
}
