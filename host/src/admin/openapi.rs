//! The description of the API (OpenAPI 3.1), made of the handlers themselves.
//!
//! **A handler says what is its own; what all have in common is said here, once**: who may
//! ask, which problems may come of it, and which form names, ids and tags have. So what
//! is described is what the guard, the readers of requests and `problem` do.

mod answers;
mod parameters;

use axum::http::Method;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Components, Info, OpenApi, PathItem};
use utoipa::{PartialSchema, ToSchema};

use super::access::{Rule, Who, rule_of};
use super::problem::Problem;
use super::routes;

const TITLE: &str = "Portcullis admin API";

const ABOUT: &str = "What the tenants of a Portcullis host are, what their mail met, and who may \
                     ask. What is another tenant's is not there: it is answered as what nobody \
                     has. A request that is no HTTP/1.1, or whose head is too large (431), is \
                     answered without a body.";

/// The name of the scheme of tokens.
const TOKEN: &str = "token";

/// The description.
pub fn description() -> OpenApi {
    let (_, mut description) = routes::described().split_for_parts();
    let mut info = Info::new(TITLE, env!("CARGO_PKG_VERSION"));
    info.description = Some(ABOUT.to_owned());
    description.info = info;
    let components = description.components.get_or_insert_with(Components::new);
    components.schemas.insert(
        Problem::name().into_owned(),
        <Problem as PartialSchema>::schema(),
    );
    let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    components.add_security_scheme(TOKEN, SecurityScheme::Http(scheme));
    let scopes: [&str; 0] = [];
    description.security = Some(vec![SecurityRequirement::new(TOKEN, scopes)]);
    for (path, item) in &mut description.paths.paths {
        for (method, operation) in operations(item) {
            // A test has it that every route has a row.
            let rule = rule_of(&method, path);
            describe(operation, &method, rule);
        }
    }
    description
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    let all = [
        (Method::GET, &mut item.get),
        (Method::PUT, &mut item.put),
        (Method::POST, &mut item.post),
        (Method::PATCH, &mut item.patch),
        (Method::DELETE, &mut item.delete),
    ];
    let all = all.into_iter();
    all.filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

fn describe(operation: &mut Operation, method: &Method, rule: Option<&Rule>) {
    if rule.is_some_and(|rule| rule.who == Who::Everybody) {
        operation.security = Some(Vec::new());
    }
    parameters::describe(operation);
    answers::describe(operation, method, rule);
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// Every `$ref` in it.
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str));
                members.values().for_each(|value| references(value, found));
            }
            Value::Array(elements) => elements.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn references_lead_somewhere() {
        let description = serde_json::to_value(description()).expect("JSON");
        let mut found = Vec::new();
        references(&description, &mut found);
        assert!(found.len() > 50, "{found:?}");
        for reference in found {
            let pointer = reference.strip_prefix('#').expect("it is in here");
            assert!(description.pointer(pointer).is_some(), "{reference}");
        }
    }
}
