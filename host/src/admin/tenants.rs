//! Tenants.

use axum::extract::{Extension, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::access::Caller;
use super::changes::{Change, Changed, How, Preconditions};
use super::input::{Asked, GivenLarge, Json, Named, Revised};
use super::page::{Page, Part};
use super::policies;
use super::problem::Problem;
use super::shapes::{DomainName, NameText, OperatorKeys, OwnKeys};
use crate::address::Domain;
use crate::config::{Half, Object};
use crate::facts::TenantId;
use crate::store::{KeptTenant, Subject};

/// A tenant that is sent, without what it has many of.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SentTenant {
    /// Mail to these is its mail. At least one, and no other tenant's.
    #[schema(value_type = Vec<DomainName>, min_items = 1, example = json!(["acme.example"]))]
    domains: Vec<String>,
    /// What operators write: targets, sources, quotas. Without it that stays as it is.
    #[schema(value_type = Option<OperatorKeys>)]
    operator: Option<Object>,
    /// What the tenant writes, as in its file: contact, defaults, trust and the like.
    /// Without it that stays as it is.
    #[schema(value_type = Option<OwnKeys>)]
    own: Option<Object>,
}

/// A tenant among others.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TenantSummary {
    /// Its id.
    #[schema(value_type = NameText)]
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

/// Makes a tenant, or writes another in the place of one, which keeps its policies, lists
/// and modules.
#[utoipa::path(put, path = "/v1/tenants/{tenant}", tag = "tenants",
    params(("tenant" = String, Path, description = "The tenant's id."), How, Preconditions),
    request_body = SentTenant,
    responses((status = 200, body = Changed,
            headers(("ETag" = String, description = "The revision."))),
        (status = 201, body = Changed,
            headers(("ETag" = String, description = "The revision.")))))]
pub(super) async fn put(
    State(api): State<Api>,
    Extension(who): Extension<Caller>,
    Named(tenant): Named<String>,
    Asked(how): Asked<How>,
    preconditions: Preconditions,
    GivenLarge(sent, room): GivenLarge<SentTenant>,
) -> Result<Response, Problem> {
    let id: Result<TenantId, _> = tenant.parse();
    let id = id.map_err(|error| Problem::bad(error.to_string()))?;
    let change = Change {
        tenant: id.clone(),
        part: Subject::Tenant,
        who,
        how,
        preconditions,
    };
    let SentTenant {
        domains,
        operator,
        own,
    } = sent;
    let domains = parsed(&domains)?;
    let changed = api.change(change, move |mut document| {
        let _room = room;
        document.domains = domains;
        for (half, keys) in [(Half::Operator, operator), (Half::Own, own)] {
            if let Some(keys) = keys {
                document.write(half, keys)?;
            }
        }
        Ok(Some(document))
    });
    let changed = changed.await;
    changed.map_err(|problem| problem.naming(&policies::names(&api, &id)))
}

/// Writes what is a tenant's own: contact, defaults, trust, exempt recipients.
#[utoipa::path(put, path = "/v1/tenants/{tenant}/own", tag = "tenants",
    params(("tenant" = String, Path, description = "The tenant's id."), How, Preconditions),
    request_body = OwnKeys,
    responses((status = 200, body = Changed,
        headers(("ETag" = String, description = "The tenant's revision.")))))]
pub(super) async fn put_own(
    State(api): State<Api>,
    Extension(who): Extension<Caller>,
    Named(tenant): Named<String>,
    Asked(how): Asked<How>,
    preconditions: Preconditions,
    GivenLarge(own, room): GivenLarge<Object>,
) -> Result<Response, Problem> {
    let id = id(&tenant)?;
    let change = Change {
        tenant: id.clone(),
        part: Subject::Key("own".to_owned()),
        who,
        how,
        preconditions,
    };
    let changed = api.change(change, move |mut document| {
        let _room = room;
        document.write(Half::Own, own)?;
        Ok(Some(document))
    });
    let changed = changed.await;
    changed.map_err(|problem| problem.naming(&policies::names(&api, &id)))
}

/// Removes a tenant with everything that it has, its tokens too. Mail to its domains is
/// refused from then on.
#[utoipa::path(delete, path = "/v1/tenants/{tenant}", tag = "tenants",
    params(("tenant" = String, Path, description = "The tenant's id."), How, Preconditions),
    responses((status = 200, body = Changed)))]
pub(super) async fn remove(
    State(api): State<Api>,
    Extension(who): Extension<Caller>,
    Named(tenant): Named<String>,
    Asked(how): Asked<How>,
    preconditions: Preconditions,
) -> Result<Response, Problem> {
    let change = Change {
        tenant: id(&tenant)?,
        part: Subject::Tenant,
        who,
        how,
        preconditions,
    };
    let none = Problem::no_tenant(&tenant);
    let (removed, tenant) = (!how.is_dry_run(), change.tenant.clone());
    let changed = api.change(change, move |document| match document.domains.is_empty() {
        // What is not there is empty, and what is there has a domain.
        true => Err(none),
        false => Ok(None),
    });
    let answer = changed.await?;
    if removed {
        api.replays.forget(&tenant);
    }
    Ok(answer)
}

fn parsed(domains: &[String]) -> Result<Vec<Domain>, Problem> {
    let domains = domains.iter().enumerate().map(|(index, domain)| {
        let parsed: Result<Domain, _> = domain.parse();
        parsed.map_err(|error| Problem::impossible(format!("domains[{index}]: {error}")))
    });
    domains.collect()
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
