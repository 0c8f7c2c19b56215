//! Tenants.

use axum::extract::{Extension, State};
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::access::Caller;
use super::input::{Asked, Json, Named, Revised};
use super::page::{Page, Part};
use super::problem::Problem;
use crate::facts::TenantId;
use crate::store::KeptTenant;

/// A tenant among others.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TenantSummary {
    /// Its id.
    id: String,
    /// Counts the changes of the tenant and of everything it has, from one.
    revision: i64,
    /// SHA-256 that tells its document from every other.
    digest: String,
}

/// Tenants by id: all for operators, and for everybody else their own.
#[utoipa::path(get, path = "/v1/tenants", tag = "tenants", params(Part),
    responses((status = 200, body = Page<TenantSummary>)))]
pub(super) async fn all(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Asked(part): Asked<Part>,
) -> Result<Json<Page<TenantSummary>>, Problem> {
    let page = part.named()?;
    let found = match &caller.tenant {
        None => api.host.store.tenant_page(&page).await?,
        Some(own) if own.as_str() > page.after.as_str() => {
            let own = api.host.store.tenant(own).await?;
            own.into_iter()
                .map(|own| (own.id, own.revision, own.digest))
                .collect()
        }
        Some(_) => Vec::new(),
    };
    let summary = |(id, revision, digest)| TenantSummary {
        id,
        revision,
        digest,
    };
    let found = found.into_iter().map(summary).collect();
    Ok(Json(Page::of(
        found,
        page.limit,
        |tenant: &TenantSummary| tenant.id.clone(),
    )))
}

/// A tenant, without its policies, lists and modules. The `ETag` is its revision.
#[utoipa::path(get, path = "/v1/tenants/{tenant}", tag = "tenants",
    params(("tenant" = String, Path, description = "The tenant's id.")),
    responses((status = 200, body = KeptTenant,
        headers(("ETag" = String, description = "The revision.")))))]
pub(super) async fn one(
    State(api): State<Api>,
    Named(tenant): Named<String>,
) -> Result<Revised<KeptTenant>, Problem> {
    let found = match id(&tenant) {
        Ok(id) => api.host.store.tenant(&id).await?,
        Err(problem) => return Err(problem),
    };
    let found = found.ok_or_else(|| Problem::no_tenant(&tenant))?;
    Ok(Revised(found.revision, found))
}

/// What is no id is no tenant's.
pub(super) fn id(text: &str) -> Result<TenantId, Problem> {
    text.parse().map_err(|_| Problem::no_tenant(text))
}

/// The id of a tenant that is there.
pub(super) async fn known(api: &Api, text: &str) -> Result<TenantId, Problem> {
    let id = id(text)?;
    match api.host.store.tenant(&id).await? {
        Some(_) => Ok(id),
        None => Err(Problem::no_tenant(text)),
    }
}
