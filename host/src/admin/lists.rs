//! Lists of a tenant.

use std::collections::BTreeMap;

use axum::extract::{Extension, FromRequest, Request, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::Api;
use super::access::Caller;
use super::bodies::Room;
use super::changes::{Change, Changed, How, Preconditions};
use super::input::{
    Asked, GivenLarge, Json, LARGE, Named, Revised, content_type, is_json, is_kind, parse, unread,
};
use super::page::{Page, Part};
use super::problem::Problem;
use super::{policies, tenants};
use crate::lists::List;
use crate::store::{KeptList, ListEntry, Subject};
use crate::tenant::in_background;

/// A list that is sent.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SentList {
    /// An array of keys is a set, an object of keys and values a map.
    #[schema(value_type = Entries)]
    entries: Value,
}

/// Entries of a list.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it is there to be described")]
pub(super) enum Entries {
    Set(Vec<String>),
    Map(BTreeMap<String, String>),
}

/// Entries that are to be changed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListPatch {
    /// Keys with their new values, which are empty in a set; null removes a key.
    entries: BTreeMap<String, Option<String>>,
}

/// A list as it is sent: as JSON, or as the text of a list's file.
pub(super) struct WholeList(List, Room);

impl FromRequest<Api> for WholeList {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        let kind = content_type(request.headers());
        let is_text = kind.is_some_and(|kind| is_kind(kind, "text/plain"));
        if !is_text && !kind.is_some_and(is_json) {
            return Err(unread(
                kind,
                "send \"application/json\", or \"text/plain\" with an entry in each line",
            ));
        }
        let body = api.bodies.read(request.into_body(), LARGE).await?;
        // A hundred thousand entries take a while.
        let read = in_background(move || {
            let list = match is_text {
                true => of_text(body.bytes()),
                false => of_json(body.bytes()),
            };
            Ok(Self(list?, body.into_room()))
        });
        read.await
    }
}

fn of_text(bytes: &[u8]) -> Result<List, Problem> {
    let text = str::from_utf8(bytes)
        .map_err(|error| Problem::bad(format!("the text is not UTF-8: {error}")))?;
    List::read_text(text).map_err(|faults| Problem::faults(&faults))
}

fn of_json(bytes: &[u8]) -> Result<List, Problem> {
    let SentList { entries } = parse(bytes)?;
    of_entries(&entries)
}

/// A list of keys, or of keys and values.
pub(super) fn of_entries(entries: &Value) -> Result<List, Problem> {
    let no_text =
        |place, value: &Value| Problem::bad(format!("entries{place}: {value} is not text"));
    let entries: Vec<(&str, &str)> = match entries {
        Value::Array(keys) => {
            let keys = keys.iter().enumerate().map(|(index, key)| {
                let text = key.as_str();
                let text = text.ok_or_else(|| no_text(format!("[{index}]"), key))?;
                Ok((text, ""))
            });
            keys.collect::<Result<_, Problem>>()?
        }
        Value::Object(entries) => {
            let entries = entries.iter().map(|(key, value)| {
                let text = value.as_str();
                let text = text.ok_or_else(|| no_text(format!(".{key}"), value))?;
                Ok((key.as_str(), text))
            });
            entries.collect::<Result<_, Problem>>()?
        }
        other => {
            return Err(Problem::bad(format!(
                "entries: {other} is neither an array of keys nor an object of keys and values"
            )));
        }
    };
    List::read_entries(entries.into_iter()).map_err(|faults| Problem::faults(&faults))
}

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

/// Makes a list, or puts another in the place of one, with at most 100,000 entries: as
/// JSON, or as text with an entry in each line, as files of lists have it.
#[utoipa::path(put, path = "/v1/tenants/{tenant}/lists/{list}", tag = "lists",
    params(("tenant" = String, Path, description = "The tenant's id."),
        ("list" = String, Path, description = "The list's name."),
        How, Preconditions),
    request_body(content(
        (SentList = "application/json"),
        (String = "text/plain"))),
    responses((status = 200, body = Changed,
            headers(("ETag" = String, description = "The revision."))),
        (status = 201, body = Changed,
            headers(("ETag" = String, description = "The revision.")))))]
pub(super) async fn put(
    State(api): State<Api>,
    Extension(who): Extension<Caller>,
    Named((tenant, list)): Named<(String, String)>,
    Asked(how): Asked<How>,
    preconditions: Preconditions,
    WholeList(sent, room): WholeList,
) -> Result<Response, Problem> {
    let id = tenants::id(&tenant)?;
    let change = Change {
        tenant: id.clone(),
        part: Subject::List(list.clone()),
        who,
        how,
        preconditions,
    };
    let changed = api.change(change, move |mut document| {
        // It waits for the changes before it with all of its entries.
        let _room = room;
        document.put_list(&list, sent);
        Ok(Some(document))
    });
    let changed = changed.await;
    changed.map_err(|problem| problem.naming(&policies::names(&api, &id)))
}

/// Adds, changes and removes entries of a list. It needs no `If-Match`, since it says all
/// that it changes.
#[utoipa::path(patch, path = "/v1/tenants/{tenant}/lists/{list}", tag = "lists",
    params(("tenant" = String, Path, description = "The tenant's id."),
        ("list" = String, Path, description = "The list's name."),
        How, Preconditions),
    request_body = ListPatch,
    responses((status = 200, body = Changed,
        headers(("ETag" = String, description = "The revision.")))))]
pub(super) async fn patch(
    State(api): State<Api>,
    Extension(who): Extension<Caller>,
    Named((tenant, list)): Named<(String, String)>,
    Asked(how): Asked<How>,
    preconditions: Preconditions,
    GivenLarge(ListPatch { entries }, room): GivenLarge<ListPatch>,
) -> Result<Response, Problem> {
    let none = no_list(&tenant, &list);
    let id = tenants::id(&tenant)?;
    let change = Change {
        tenant: id.clone(),
        part: Subject::List(list.clone()),
        who,
        how,
        preconditions: preconditions.or_any(),
    };
    let changed = api.change(change, move |mut document| {
        let _room = room;
        let known = document.lists.get(&list).ok_or(none)?;
        let patched = known.patched(&entries);
        let patched = patched.map_err(|faults| Problem::faults(&faults))?;
        document.put_list(&list, patched);
        Ok(Some(document))
    });
    let changed = changed.await;
    changed.map_err(|problem| problem.naming(&policies::names(&api, &id)))
}

/// Removes a list.
#[utoipa::path(delete, path = "/v1/tenants/{tenant}/lists/{list}", tag = "lists",
    params(("tenant" = String, Path, description = "The tenant's id."),
        ("list" = String, Path, description = "The list's name."),
        How, Preconditions),
    responses((status = 200, body = Changed)))]
pub(super) async fn remove(
    State(api): State<Api>,
    Extension(who): Extension<Caller>,
    Named((tenant, list)): Named<(String, String)>,
    Asked(how): Asked<How>,
    preconditions: Preconditions,
) -> Result<Response, Problem> {
    let none = no_list(&tenant, &list);
    let id = tenants::id(&tenant)?;
    let change = Change {
        tenant: id.clone(),
        part: Subject::List(list.clone()),
        who,
        how,
        preconditions,
    };
    let changed = api.change(change, move |mut document| {
        match document.lists.remove(&list) {
            Some(_) => Ok(Some(document)),
            None => Err(none),
        }
    });
    let changed = changed.await;
    changed.map_err(|problem| problem.naming(&policies::names(&api, &id)))
}

fn no_list(tenant: &str, list: &str) -> Problem {
    Problem::not_found(format!("tenant {tenant:?} has no list {list:?}"))
}
