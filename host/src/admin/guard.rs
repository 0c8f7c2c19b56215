//! Before every handler: who asks, and whether they may.

use std::time::SystemTime;

use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{MatchedPath, RawPathParams, Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Api;
use super::access::{Caller, OWNER, RULES, Rule, Who, rule_of};
use super::problem::Problem;
use crate::facts::unix_seconds;
use crate::store::Role;

/// Which way a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Over the socket, from the host's own user or root.
    Owner,
    /// Over the network, from anybody.
    Network,
}

/// Lets through who may, with a [`Caller`] in the request.
pub(super) async fn guard(
    State((api, origin)): State<(Api, Origin)>,
    path: Option<MatchedPath>,
    parameters: Result<RawPathParams, RawPathParamsRejection>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(path) = path else {
        return next.run(request).await;
    };
    let Some(rule) = rule_of(request.method(), path.as_str()) else {
        return other_method(request.method(), path.as_str());
    };
    let parameters = match parameters {
        Ok(parameters) => parameters,
        Err(error) => return Problem::bad(error.body_text()).into_response(),
    };
    let tenant = parameters.iter().find(|(name, _)| *name == "tenant");
    let tenant = tenant.map(|(_, tenant)| tenant);
    match admit(&api, origin, rule, tenant, request.headers()).await {
        Ok(Some(caller)) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Ok(None) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// A path that is there, and a method that is not.
fn other_method(method: &Method, path: &str) -> Response {
    let known: Vec<&str> = RULES
        .iter()
        .filter(|rule| rule.path == path)
        .map(|rule| rule.method.as_str())
        .collect();
    let allowed = known.join(", ");
    let problem = Problem::method(method.as_str(), &allowed);
    ([(header::ALLOW, allowed)], problem).into_response()
}

async fn admit(
    api: &Api,
    origin: Origin,
    rule: &Rule,
    tenant: Option<&str>,
    headers: &HeaderMap,
) -> Result<Option<Caller>, Problem> {
    let least = match rule.who {
        Who::Everybody => return Ok(None),
        Who::AtLeast(least) => least,
        Who::Owner => Role::Operator,
    };
    let caller = caller(api, origin, headers).await?;
    let is_owner = origin == Origin::Owner && !headers.contains_key(header::AUTHORIZATION);
    if rule.who == Who::Owner && !is_owner {
        return Err(Problem::forbidden(
            "this is for whoever owns the host: ask over its socket, without a token",
        ));
    }
    if let Some(tenant) = tenant
        && !caller.may_see(tenant)
    {
        return Err(Problem::no_tenant(tenant));
    }
    if caller.role < least {
        return Err(Problem::role(caller.role, least));
    }
    api.rate.count(rule, &caller)?;
    Ok(Some(caller))
}

async fn caller(api: &Api, origin: Origin, headers: &HeaderMap) -> Result<Caller, Problem> {
    let Some(given) = headers.get(header::AUTHORIZATION) else {
        return match origin {
            Origin::Owner => Ok(owner()),
            Origin::Network => Err(Problem::unauthorized(
                "this needs a token: send it as \"Authorization: Bearer TOKEN\"",
            )),
        };
    };
    let text = given.to_str().ok().and_then(bearer).ok_or_else(|| {
        Problem::unauthorized("send the token as \"Authorization: Bearer TOKEN\"")
    })?;
    let token = api.host.store.token_of(text).await?;
    // Of those two it is not said which: there is nothing to learn from trying.
    let valid = token.filter(|token| !token.is_over(now()));
    let token = valid.ok_or_else(|| {
        Problem::unauthorized("this token is not known here, or it has expired: ask for another")
    })?;
    Ok(Caller {
        name: format!("token {} ({})", token.name, token.id),
        role: token.role,
        tenant: token.tenant,
    })
}

/// Whoever can open the socket owns the host.
fn owner() -> Caller {
    Caller {
        name: OWNER.to_owned(),
        role: Role::Operator,
        tenant: None,
    }
}

/// RFC 6750, section 2.1; the scheme's name in any case (RFC 9110, section 11.1).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim_start_matches(' ');
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

fn now() -> i64 {
    i64::try_from(unix_seconds(SystemTime::now())).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_as_bearers() {
        for (value, expected) in [
            ("Bearer abc", Some("abc")),
            ("bearer  abc", Some("abc")),
            ("Basic abc", None),
            ("Bearer", None),
            ("Bearer ", None),
            ("abc", None),
        ] {
            assert_eq!(bearer(value), expected, "{value:?}");
        }
    }
}
