//! Tokens: made, listed, revoked. **The text of one is in the answer that makes it and
//! nowhere else.**

use std::time::SystemTime;

use axum::extract::{Extension, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::access::Caller;
use super::audit::of_tenant;
use super::input::{Asked, Given, Json, Named};
use super::page::{self, Page};
use super::problem::Problem;
use super::shapes::{Id, NameText, Time, TokenRole};
use super::tenants;
use crate::facts::{TenantId, unix_seconds};
use crate::name::Name;
use crate::policy::Moment;
use crate::store::{self, NewToken, Role, Token};

/// Which tokens.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct TokenPart {
    /// Only of this tenant.
    tenant: Option<String>,
    /// At most so many.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// The `next` of the page before, as it is; without it the first page.
    after: Option<String>,
}

/// A token that is asked for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TokenRequest)]
pub(super) struct Wanted {
    /// What people call it: 1 to 63 of a-z, 0-9 and `-`.
    #[schema(value_type = NameText, example = "backup-script")]
    name: Name,
    /// `viewer`, `author`, `admin` or `operator`.
    #[schema(value_type = TokenRole, example = "viewer")]
    role: String,
    /// Whose it is; operators' tokens have none. Without it that of the token which asks.
    #[schema(value_type = Option<NameText>)]
    tenant: Option<String>,
    /// From when on it is worth nothing, such as `2027-01-01T00:00:00Z`; without it, it
    /// is good until it is revoked.
    #[schema(value_type = Option<Time>)]
    expires: Option<Moment>,
}

/// What is kept of a token.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TokenRecord {
    /// What the API calls it.
    #[schema(value_type = Id)]
    id: String,
    /// What people call it.
    name: String,
    /// `viewer`, `author`, `admin` or `operator`.
    #[schema(value_type = TokenRole)]
    role: &'static str,
    /// Whose it is; null for operators.
    tenant: Option<String>,
    /// When it was made, in seconds since 1970.
    made: i64,
    /// By whom.
    who: String,
    /// From when on it is worth nothing, in seconds since 1970; null for never.
    expires: Option<i64>,
}

/// A token that was made.
#[derive(Serialize, ToSchema)]
pub(super) struct MadeToken {
    /// Its text. It is told here and never again.
    token: String,
    #[serde(flatten)]
    record: TokenRecord,
}

/// Tokens: all for operators, else those of the own tenant. Without their texts, which
/// nobody has.
#[utoipa::path(get, path = "/v1/tokens", tag = "tokens", params(TokenPart),
    responses((status = 200, body = Page<TokenRecord>)))]
pub(super) async fn all(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Asked(part): Asked<TokenPart>,
) -> Result<Json<Page<TokenRecord>>, Problem> {
    let page = store::Page {
        limit: page::limit(part.limit)?,
        after: part.after.unwrap_or_default(),
    };
    let tenant = of_tenant(&caller, part.tenant.as_deref())?;
    let found = api.host.store.token_page(tenant.as_ref(), &page).await?;
    let found = found.into_iter().map(TokenRecord::of).collect();
    Ok(Json(Page::of(found, page.limit, |token: &TokenRecord| {
        token.id.clone()
    })))
}

/// Makes a token. Its text is in this answer and nowhere else.
#[utoipa::path(post, path = "/v1/tokens", tag = "tokens", request_body = Wanted,
    responses((status = 201, body = MadeToken,
        headers(("Location" = String, description = "Where its record is.")))))]
pub(super) async fn make(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Given(wanted): Given<Wanted>,
) -> Result<Response, Problem> {
    let new = permitted(&caller, &wanted)?;
    let (token, secret) = api.host.store.make_token(new, &caller.name).await?;
    tracing::info!(
        token.id,
        token.name,
        token.role = token.role.as_str(),
        tenant.id = token.tenant.as_ref().map(TenantId::as_str),
        who = caller.name,
        "a token for the admin API was made"
    );
    let location = format!("/v1/tokens/{}", token.id);
    let made = MadeToken {
        token: secret.reveal(),
        record: TokenRecord::of(token),
    };
    let headers = [
        (header::LOCATION, location),
        // RFC 6750, section 5.3: what carries a token is not for caches.
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    Ok((StatusCode::CREATED, headers, Json(made)).into_response())
}

/// What is kept of a token.
#[utoipa::path(get, path = "/v1/tokens/{id}", tag = "tokens",
    params(("id" = String, Path, description = "The token's id, which is not its text.")),
    responses((status = 200, body = TokenRecord)))]
pub(super) async fn one(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Named(id): Named<String>,
) -> Result<Json<TokenRecord>, Problem> {
    let token = find(&api, &caller, &id).await?;
    Ok(Json(TokenRecord::of(token)))
}

/// Revokes a token: it is worth nothing from the next request on.
#[utoipa::path(delete, path = "/v1/tokens/{id}", tag = "tokens",
    params(("id" = String, Path, description = "The token's id, which is not its text.")),
    responses((status = 204)))]
pub(super) async fn revoke(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Named(id): Named<String>,
) -> Result<StatusCode, Problem> {
    let token = find(&api, &caller, &id).await?;
    if !api.host.store.revoke(&token, &caller.name).await? {
        return Err(no_token(&id));
    }
    tracing::info!(
        token.id,
        token.name,
        tenant.id = token.tenant.as_ref().map(TenantId::as_str),
        who = caller.name,
        "a token for the admin API was revoked"
    );
    Ok(StatusCode::NO_CONTENT)
}

async fn find(api: &Api, caller: &Caller, id: &str) -> Result<Token, Problem> {
    let found = api.host.store.token(id).await?;
    let seen = found.filter(|token| match &token.tenant {
        None => caller.is_operator(),
        Some(tenant) => caller.may_see(tenant.as_str()),
    });
    seen.ok_or_else(|| no_token(id))
}

fn no_token(id: &str) -> Problem {
    Problem::not_found(format!("there is no token with the id {id:?}"))
}

/// Nobody makes a token that may do more than the own one.
fn permitted(caller: &Caller, wanted: &Wanted) -> Result<NewToken, Problem> {
    let role: Role = wanted
        .role
        .parse()
        .map_err(|error| Problem::bad(format!("role: {error}")))?;
    if role > caller.role {
        return Err(Problem::forbidden(format!(
            "role: a token of {} makes none of {}",
            caller.role.with_article(),
            role.with_article()
        )));
    }
    let tenant = match &wanted.tenant {
        Some(tenant) if !caller.may_see(tenant) => return Err(Problem::no_tenant(tenant)),
        Some(tenant) => Some(tenants::id(tenant)?),
        None => caller.tenant.clone(),
    };
    match (role, &tenant) {
        (Role::Operator, Some(_)) => {
            return Err(Problem::impossible(
                "tenant: an operator's token is for all tenants: leave it out",
            ));
        }
        (Role::Viewer | Role::Author | Role::Admin, None) => {
            return Err(Problem::impossible(format!(
                "tenant: say whose token it is: {}'s is one tenant's",
                role.with_article()
            )));
        }
        _ => {}
    }
    Ok(NewToken {
        name: wanted.name.to_string(),
        role,
        tenant,
        expires: wanted.expires.map(later).transpose()?,
    })
}

/// What has ended already was hardly meant.
fn later(end: Moment) -> Result<i64, Problem> {
    if end.unix_seconds() <= unix_seconds(SystemTime::now()) {
        return Err(Problem::impossible(format!(
            "expires: {end} is not after now"
        )));
    }
    i64::try_from(end.unix_seconds())
        .map_err(|_| Problem::impossible("expires: that is further off than can be kept"))
}

impl TokenRecord {
    fn of(token: Token) -> Self {
        Self {
            id: token.id,
            name: token.name,
            role: token.role.as_str(),
            tenant: token.tenant.as_ref().map(ToString::to_string),
            made: token.made,
            who: token.who,
            expires: token.expires,
        }
    }
}
