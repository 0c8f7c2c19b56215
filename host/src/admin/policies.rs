//! Policies of a tenant.

use axum::extract::State;

use super::Api;
use super::input::{Asked, Json, Named, Revised};
use super::page::{Page, Part};
use super::problem::Problem;
use super::tenants;
use crate::store::KeptPolicy;

/// A tenant's policies in the order of their creation.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/policies", tag = "policies",
    params(("tenant" = String, Path, description = "The tenant's id."), Part),
    responses((status = 200, body = Page<KeptPolicy>)))]
pub(super) async fn all(
    State(api): State<Api>,
    Named(tenant): Named<String>,
    Asked(part): Asked<Part>,
) -> Result<Json<Page<KeptPolicy>>, Problem> {
    let (after, limit) = part.numbered(-1)?;
    let tenant = tenants::known(&api, &tenant).await?;
    let found = api.host.store.policy_page(&tenant, after, limit).await?;
    Ok(Json(Page::of(found, limit, |policy: &KeptPolicy| {
        policy.place.to_string()
    })))
}

/// A policy. The `ETag` is its revision.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/policies/{policy}", tag = "policies",
    params(("tenant" = String, Path, description = "The tenant's id."),
        ("policy" = String, Path, description = "The policy's name.")),
    responses((status = 200, body = KeptPolicy,
        headers(("ETag" = String, description = "The revision.")))))]
pub(super) async fn one(
    State(api): State<Api>,
    Named((tenant, policy)): Named<(String, String)>,
) -> Result<Revised<KeptPolicy>, Problem> {
    let id = tenants::known(&api, &tenant).await?;
    let found = api.host.store.policy(&id, &policy).await?;
    let found = found
        .ok_or_else(|| Problem::not_found(format!("tenant {tenant:?} has no policy {policy:?}")))?;
    Ok(Revised(found.revision, found))
}
