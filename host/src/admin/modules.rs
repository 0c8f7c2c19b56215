//! Modules of a tenant and their revisions.

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::input::{Asked, Json, Named, Revised};
use super::page::{Page, Part};
use super::problem::Problem;
use super::tenants;
use crate::store::{KeptModule, ModuleRevision};

/// A module with all of its revisions that are kept.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ModuleHistory {
    #[serde(flatten)]
    module: KeptModule,
    /// Newest first.
    revisions: Vec<ModuleRevision>,
}

/// A tenant's modules by name.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/modules", tag = "modules",
    params(("tenant" = String, Path, description = "The tenant's id."), Part),
    responses((status = 200, body = Page<KeptModule>)))]
pub(super) async fn all(
    State(api): State<Api>,
    Named(tenant): Named<String>,
    Asked(part): Asked<Part>,
) -> Result<Json<Page<KeptModule>>, Problem> {
    let page = part.named()?;
    let tenant = tenants::known(&api, &tenant).await?;
    let found = api.host.store.module_page(&tenant, &page).await?;
    Ok(Json(Page::of(found, page.limit, |module: &KeptModule| {
        module.name.clone()
    })))
}

/// A module with its revisions. The `ETag` is the revision of the module itself.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/modules/{module}", tag = "modules",
    params(("tenant" = String, Path, description = "The tenant's id."),
        ("module" = String, Path, description = "The module's name.")),
    responses((status = 200, body = ModuleHistory,
        headers(("ETag" = String, description = "The revision.")))))]
pub(super) async fn one(
    State(api): State<Api>,
    Named((tenant, module)): Named<(String, String)>,
) -> Result<Revised<ModuleHistory>, Problem> {
    let id = tenants::known(&api, &tenant).await?;
    let found = api.host.store.module_with_revisions(&id, &module).await?;
    let (module, revisions) = found.ok_or_else(|| no_module(&tenant, &module))?;
    Ok(Revised(
        module.revision,
        ModuleHistory { module, revisions },
    ))
}

pub(super) fn no_module(tenant: &str, module: &str) -> Problem {
    Problem::not_found(format!("tenant {tenant:?} has no module {module:?}"))
}
