//! Policies of a tenant.

use axum::extract::{Extension, State};
use axum::response::Response;

use super::Api;
use super::access::Caller;
use super::changes::{Change, Changed, How, Preconditions};
use super::input::{Asked, Given, Json, Named, Revised};
use super::page::{NumberedPart, Page};
use super::problem::Problem;
use super::shapes::PolicyKeys;
use super::tenants;
use crate::config::Object;
use crate::facts::TenantId;
use crate::store::{KeptPolicy, Subject};

/// A tenant's policies in the order of their creation.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/policies", tag = "policies",
    params(("tenant" = String, Path, description = "The tenant's id."), NumberedPart),
    responses((status = 200, body = Page<KeptPolicy>)))]
pub(super) async fn all(
    State(api): State<Api>,
    Named(tenant): Named<String>,
    Asked(part): Asked<NumberedPart>,
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
    let found = found.ok_or_else(|| no_policy(&tenant, &policy))?;
    Ok(Revised(found.revision, found))
}

/// Makes a policy, behind all others in the order of creation, or writes another in the
/// place of one. The keys are those of a file; the name is the path's.
#[utoipa::path(put, path = "/v1/tenants/{tenant}/policies/{policy}", tag = "policies",
    params(("tenant" = String, Path, description = "The tenant's id."),
        ("policy" = String, Path, description = "The policy's name."),
        How, Preconditions),
    request_body = PolicyKeys,
    responses((status = 200, body = Changed,
            headers(("ETag" = String, description = "The revision."))),
        (status = 201, body = Changed,
            headers(("ETag" = String, description = "The revision.")))))]
pub(super) async fn put(
    State(api): State<Api>,
    Extension(who): Extension<Caller>,
    Named((tenant, policy)): Named<(String, String)>,
    Asked(how): Asked<How>,
    preconditions: Preconditions,
    Given(keys): Given<Object>,
) -> Result<Response, Problem> {
    let change = Change {
        tenant: tenants::id(&tenant)?,
        part: Subject::Policy(policy.clone()),
        who,
        how,
        preconditions,
    };
    let changed = api.change(change, move |mut document| {
        document.put_policy(&policy, keys)?;
        Ok(Some(document))
    });
    changed.await.map_err(Problem::of_policy)
}

/// Removes a policy.
#[utoipa::path(delete, path = "/v1/tenants/{tenant}/policies/{policy}", tag = "policies",
    params(("tenant" = String, Path, description = "The tenant's id."),
        ("policy" = String, Path, description = "The policy's name."),
        How, Preconditions),
    responses((status = 200, body = Changed)))]
pub(super) async fn remove(
    State(api): State<Api>,
    Extension(who): Extension<Caller>,
    Named((tenant, policy)): Named<(String, String)>,
    Asked(how): Asked<How>,
    preconditions: Preconditions,
) -> Result<Response, Problem> {
    let change = Change {
        tenant: tenants::id(&tenant)?,
        part: Subject::Policy(policy.clone()),
        who,
        how,
        preconditions,
    };
    let none = no_policy(&tenant, &policy);
    let changed = api.change(change, move |mut document| {
        match document.remove_policy(&policy) {
            true => Ok(Some(document)),
            false => Err(none),
        }
    });
    changed.await
}

/// The names of a tenant's policies, in the order of their places.
pub(super) fn names(api: &Api, tenant: &TenantId) -> Vec<String> {
    let snapshot = api.host.snapshot.load();
    let policies = snapshot.tenant(tenant).map(|tenant| &tenant.policies);
    let names = policies.into_iter().flatten();
    names.map(|policy| policy.name.to_string()).collect()
}

fn no_policy(tenant: &str, policy: &str) -> Problem {
    Problem::not_found(format!("tenant {tenant:?} has no policy {policy:?}"))
}
