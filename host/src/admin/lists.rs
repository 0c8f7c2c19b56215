//! Lists of a tenant.

use axum::extract::State;

use super::Api;
use super::input::{Asked, Json, Named, Revised};
use super::page::{Page, Part};
use super::problem::Problem;
use super::tenants;
use crate::store::{KeptList, ListEntry};

/// A tenant's lists by name, without their entries.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/lists", tag = "lists",
    params(("tenant" = String, Path, description = "The tenant's id."), Part),
    responses((status = 200, body = Page<KeptList>)))]
pub(super) async fn all(
    State(api): State<Api>,
    Named(tenant): Named<String>,
    Asked(part): Asked<Part>,
) -> Result<Json<Page<KeptList>>, Problem> {
    let page = part.named()?;
    let tenant = tenants::known(&api, &tenant).await?;
    let found = api.host.store.list_page(&tenant, &page).await?;
    Ok(Json(Page::of(found, page.limit, |list: &KeptList| {
        list.name.clone()
    })))
}

/// A list without its entries. The `ETag` is its revision.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/lists/{list}", tag = "lists",
    params(("tenant" = String, Path, description = "The tenant's id."),
        ("list" = String, Path, description = "The list's name.")),
    responses((status = 200, body = KeptList,
        headers(("ETag" = String, description = "The revision.")))))]
pub(super) async fn one(
    State(api): State<Api>,
    Named((tenant, list)): Named<(String, String)>,
) -> Result<Revised<KeptList>, Problem> {
    let id = tenants::known(&api, &tenant).await?;
    let found = api.host.store.list(&id, &list).await?;
    let found = found.ok_or_else(|| no_list(&tenant, &list))?;
    Ok(Revised(found.revision, found))
}

/// Entries of a list, by key.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/lists/{list}/entries", tag = "lists",
    params(("tenant" = String, Path, description = "The tenant's id."),
        ("list" = String, Path, description = "The list's name."), Part),
    responses((status = 200, body = Page<ListEntry>)))]
pub(super) async fn entries(
    State(api): State<Api>,
    Named((tenant, list)): Named<(String, String)>,
    Asked(part): Asked<Part>,
) -> Result<Json<Page<ListEntry>>, Problem> {
    let page = part.named()?;
    let id = tenants::known(&api, &tenant).await?;
    let found = api.host.store.entry_page(&id, &list, &page).await?;
    let found = found.ok_or_else(|| no_list(&tenant, &list))?;
    Ok(Json(Page::of(found, page.limit, |entry: &ListEntry| {
        entry.key.clone()
    })))
}

fn no_list(tenant: &str, list: &str) -> Problem {
    Problem::not_found(format!("tenant {tenant:?} has no list {list:?}"))
}
