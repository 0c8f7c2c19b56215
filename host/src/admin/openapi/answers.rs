//! The problems that may come of a request, by what it is made of; and what stands in the
//! head of answers.

use axum::http::{Method, StatusCode};
use utoipa::ToSchema;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::ObjectBuilder;
use utoipa::openapi::{ContentBuilder, Header, Ref, RefOr, Response, Type};

use super::parameters;
use crate::admin::access::{Rule, Who};
use crate::admin::problem::{MEDIA_TYPE, Problem};
use crate::store::Role;

/// An `ETag` is the number of a revision.
const TAG: &str = "^\"[1-9][0-9]*\"$";

/// Says which problems may come of it, and which form the fields of heads have.
pub(super) fn describe(operation: &mut Operation, method: &Method, rule: Option<&Rule>) {
    for status in problems(operation, method, rule) {
        let code = status.as_str().to_owned();
        let responses = &mut operation.responses.responses;
        responses
            .entry(code)
            .or_insert_with(|| RefOr::T(problem(status)));
    }
    for response in operation.responses.responses.values_mut() {
        if let RefOr::T(response) = response {
            describe_head(response);
        }
    }
}

/// What may go wrong with what is asked so.
fn problems(operation: &Operation, method: &Method, rule: Option<&Rule>) -> Vec<StatusCode> {
    let who = rule.map(|rule| rule.who);
    let is_guarded = who != Some(Who::Everybody);
    let has_body = operation.request_body.is_some();
    let is_founded = parameters::has(operation, &ParameterIn::Header, "If-Match");
    let names_tenant = parameters::has(operation, &ParameterIn::Query, "tenant");
    let in_path = parameters::any(operation, &ParameterIn::Path);
    let changes = *method != Method::GET;
    // Tenants change something so often; of modules there is more that takes its time.
    let makes_work = changes && is_guarded && who != Some(Who::Owner);
    let any = operation.parameters.iter().flatten().next().is_some() || has_body;
    [
        (StatusCode::BAD_REQUEST, any),
        (StatusCode::UNAUTHORIZED, is_guarded),
        (
            StatusCode::FORBIDDEN,
            is_guarded && who != Some(Who::AtLeast(Role::Viewer)),
        ),
        (StatusCode::NOT_FOUND, in_path || names_tenant || has_body),
        (StatusCode::CONFLICT, changes),
        (StatusCode::PRECONDITION_FAILED, is_founded),
        (StatusCode::PAYLOAD_TOO_LARGE, has_body),
        (StatusCode::UNSUPPORTED_MEDIA_TYPE, has_body),
        (StatusCode::UNPROCESSABLE_ENTITY, has_body || is_founded),
        (
            StatusCode::PRECONDITION_REQUIRED,
            is_founded && *method != Method::PATCH,
        ),
        (StatusCode::TOO_MANY_REQUESTS, makes_work),
        (StatusCode::SERVICE_UNAVAILABLE, is_guarded),
    ]
    .into_iter()
    .filter_map(|(status, may_come)| may_come.then_some(status))
    .collect()
}

fn problem(status: StatusCode) -> Response {
    let schema = Ref::from_schema_name(Problem::name());
    let content = ContentBuilder::new().schema(Some(schema)).build();
    let problem = ResponseBuilder::new()
        .description(meaning(status))
        .content(MEDIA_TYPE, content);
    match status {
        StatusCode::UNAUTHORIZED => problem.header("WWW-Authenticate", text("`Bearer`")).build(),
        _ => problem.build(),
    }
}

fn meaning(status: StatusCode) -> &'static str {
    match status {
        StatusCode::BAD_REQUEST => "It has not the form that is described here.",
        StatusCode::UNAUTHORIZED => "It has no token, or one that is not known.",
        StatusCode::FORBIDDEN => "The token's role is not enough.",
        StatusCode::NOT_FOUND => "It is not there, or it is another tenant's.",
        StatusCode::CONFLICT => "It does not go with what is there.",
        StatusCode::PRECONDITION_FAILED => {
            "It is not as it was seen: somebody else has changed it, or it is not there, or is there already."
        }
        StatusCode::PAYLOAD_TOO_LARGE => "The body is too large.",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "The body is of another kind than is read here.",
        StatusCode::UNPROCESSABLE_ENTITY => "It has the right form, and cannot be.",
        StatusCode::PRECONDITION_REQUIRED => "What is there is changed only with `If-Match`.",
        StatusCode::TOO_MANY_REQUESTS => {
            "Too much of this kind is under way for this tenant, or it has changed too much of late."
        }
        StatusCode::SERVICE_UNAVAILABLE => "It cannot be done just now.",
        _ => "What went wrong.",
    }
}

fn text(about: &str) -> Header {
    let text = ObjectBuilder::new().schema_type(Type::String).build();
    HeaderBuilder::new()
        .schema(Some(text))
        .description(Some(about))
        .build()
}

fn describe_head(response: &mut Response) {
    let Some(RefOr::T(tag)) = response.headers.get_mut("ETag") else {
        return;
    };
    let form = ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(TAG))
        .build();
    tag.schema = Some(form.into());
}
