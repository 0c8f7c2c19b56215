//! Every error as HTTP says it (RFC 9457). Texts name the value and what to do.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::config::{EditError, Fault};
use crate::engine::{AdmissionError, SettingsFault};
use crate::receipt::read::ReadError;
use crate::server::ReloadError;
use crate::store::{Role, StoreError};

/// Its media type.
pub(super) const MEDIA_TYPE: &str = "application/problem+json";

/// What went wrong, as a problem of RFC 9457 whose type is `about:blank`: the status says
/// of which kind it is.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Problem {
    /// The status' own name.
    title: &'static str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What is wrong, and what to do.
    detail: String,
    /// Every fault of what was sent, where there may be several.
    #[serde(skip_serializing_if = "Option::is_none")]
    faults: Option<Vec<String>>,
    /// For the field `Retry-After`, in seconds.
    #[serde(skip)]
    retry_after: Option<u64>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            title: status.canonical_reason().unwrap_or_default(),
            status: status.as_u16(),
            detail: detail.into(),
            faults: None,
            retry_after: None,
        }
    }

    /// The request is sound, and the files that it is about are not.
    pub(super) fn of_files(faults: &[Fault]) -> Self {
        let plural = if faults.len() == 1 { "" } else { "s" };
        let detail = format!("{} fault{plural}; nothing was changed", faults.len());
        Self {
            faults: Some(faults.iter().map(ToString::to_string).collect()),
            ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
        }
    }

    /// What was sent is understood, and cannot be.
    pub(super) fn faults(faults: &[Fault]) -> Self {
        Self::lines(faults.iter().map(line).collect())
    }

    /// The same in these words, of which there is one at least.
    pub(super) fn lines(lines: Vec<String>) -> Self {
        let detail = match lines.as_slice() {
            [one] => one.clone(),
            lines => format!("there are {} faults: each is in \"faults\"", lines.len()),
        };
        Self {
            faults: Some(lines),
            ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
        }
    }

    /// The same where only a policy was sent: its keys are named as it has them.
    pub(super) fn of_policy(mut self) -> Self {
        for fault in self.faults.iter_mut().flatten() {
            *fault = of_policy(fault).to_owned();
        }
        self.detail = of_policy(&self.detail).to_owned();
        self
    }

    /// The same where something else was sent than the policies whose settings are wrong:
    /// these are named, in the order of their places.
    pub(super) fn naming(mut self, policies: &[String]) -> Self {
        for fault in self.faults.iter_mut().flatten() {
            *fault = naming(fault, policies);
        }
        self.detail = naming(&self.detail, policies);
        self
    }

    /// Settings that a module does not take.
    pub(super) fn settings(faults: &[SettingsFault]) -> Self {
        let lines = faults.iter().map(|SettingsFault { path, message }| {
            // The path is a JSON Pointer, which is empty or begins with a slash.
            format!("settings{path}: {message}")
        });
        Self::lines(lines.collect())
    }

    #[cfg(test)]
    pub(super) fn status(&self) -> u16 {
        self.status
    }

    /// What stands in the way, where it is the state of what is there.
    pub(super) fn conflict(&self) -> Option<&str> {
        (self.status == StatusCode::CONFLICT.as_u16()).then_some(self.detail.as_str())
    }

    pub(super) fn bad(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// It has the form that it should have, and cannot be.
    pub(super) fn impossible(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }

    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// What a receipt had is not in it any more, and therefore something is not possible.
    pub(super) fn erased(receipt: &str, consequence: &str) -> Self {
        Self::new(
            StatusCode::GONE,
            format!("an address of receipt {receipt} was erased, so {consequence}"),
        )
    }

    /// The same, with the seconds after which it is worth another try.
    pub(super) fn again_after(mut self, wait: Duration) -> Self {
        // Less than a second is one, and what has a rest of one is one more.
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        self.retry_after = Some(seconds.max(1));
        self
    }

    pub(super) fn no_route(path: &str) -> Self {
        Self::not_found(format!(
            "there is no {path:?} here: GET /v1/openapi.json says what there is"
        ))
    }

    pub(super) fn no_tenant(id: &str) -> Self {
        Self::not_found(format!("there is no tenant {id:?}"))
    }

    pub(super) fn method(method: &str, allowed: &str) -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            format!("{method} is not for this path: use {allowed}"),
        )
    }

    pub(super) fn unauthorized(detail: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, detail)
    }

    pub(super) fn role(role: Role, least: Role) -> Self {
        Self::forbidden(format!(
            "this token is {}'s, and this is for {least}s",
            role.with_article()
        ))
    }

    pub(super) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail)
    }
}

/// Where it is, within what was sent, and what.
fn line(fault: &Fault) -> String {
    let Fault { at, message } = fault;
    match (at.line, at.key.as_str()) {
        (Some(line), _) => format!("line {line}: {message}"),
        (None, "") => message.clone(),
        (None, key) => format!("{key}: {message}"),
    }
}

/// With the name of the policy in the place of a beginning such as `policy[3].`.
fn naming(fault: &str, policies: &[String]) -> String {
    let place = fault.strip_prefix("policy[").and_then(|place| {
        let (number, _) = place.split_once(']')?;
        policies.get(number.parse::<usize>().ok()?)
    });
    match place {
        Some(name) => format!("policy {name:?}: {}", of_policy(fault)),
        None => fault.to_owned(),
    }
}

/// Without a beginning such as `policy[3].`.
fn of_policy(fault: &str) -> &str {
    let place = fault.strip_prefix("policy[");
    let key = place.and_then(|place| {
        let (number, rest) = place.split_once(']')?;
        let is_number = number.bytes().all(|digit| digit.is_ascii_digit());
        let key = rest.strip_prefix('.').or_else(|| rest.strip_prefix(": "))?;
        is_number.then_some(key)
    });
    key.unwrap_or(fault)
}

impl From<EditError> for Problem {
    fn from(error: EditError) -> Self {
        Self::impossible(error.to_string())
    }
}

impl From<ReloadError> for Problem {
    fn from(error: ReloadError) -> Self {
        match error {
            ReloadError::Faults(faults) => Self::faults(&faults),
            ReloadError::Store(error) => error.into(),
            ReloadError::Files(_) => Self::new(StatusCode::CONFLICT, error.to_string()),
            ReloadError::Planned => Self::new(StatusCode::PRECONDITION_FAILED, error.to_string()),
            ReloadError::Busy => Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
                .again_after(Duration::from_secs(10)),
            ReloadError::Stopping => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the host is stopping: ask again when it runs",
            ),
        }
    }
}

impl From<AdmissionError> for Problem {
    fn from(error: AdmissionError) -> Self {
        let status = match &error {
            AdmissionError::Refused(_) => StatusCode::CONFLICT,
            AdmissionError::Busy => StatusCode::SERVICE_UNAVAILABLE,
            AdmissionError::Internal(_) => {
                tracing::error!(%error, "the admin API could not use the engine");
                return Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "the module cannot be run just now: the host's log says why",
                );
            }
        };
        Self::new(status, error.to_string())
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Tokens(_)
            | StoreError::Modules(_)
            | StoreError::Revisions { .. }
            | StoreError::ModuleBytes(_)
            | StoreError::Stale(_)
            | StoreError::Domain { .. } => Self::new(StatusCode::CONFLICT, error.to_string()),
            StoreError::Waiting(_) => Self::new(StatusCode::TOO_MANY_REQUESTS, error.to_string()),
            StoreError::NoTenant(_) => Self::not_found(error.to_string()),
            // Its file is the operators' affair, and is in the log.
            _ => {
                tracing::error!(%error, "the admin API could not use the store");
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "the store cannot be used just now: the host's log says why",
                )
            }
        }
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        tracing::error!(%error, "the admin API could not read receipts");
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "receipts cannot be read just now: the host's log says why",
        )
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status);
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, [(header::CONTENT_TYPE, MEDIA_TYPE)], body).into_response();
        if status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, scheme);
        }
        if let Some(seconds) = self.retry_after {
            let value = HeaderValue::from(seconds);
            response.headers_mut().insert(header::RETRY_AFTER, value);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_named_where_it_was_not_sent() {
        let names = ["one".to_owned(), "two".to_owned()];
        for (fault, expected) in [
            (
                "policy[1].settings.a: none",
                "policy \"two\": settings.a: none",
            ),
            ("policy[2].settings.a: none", "policy[2].settings.a: none"),
            (
                "policy: 2 are over the quota",
                "policy: 2 are over the quota",
            ),
        ] {
            assert_eq!(naming(fault, &names), expected);
        }
    }

    #[test]
    fn faults_of_a_policy_are_named_by_its_own_keys() {
        for (fault, expected) in [
            ("policy[12].settings.list: none", "settings.list: none"),
            ("policy[0]: \"module\" is missing", "\"module\" is missing"),
            (
                "policy: 2 are over the quota",
                "policy: 2 are over the quota",
            ),
            ("policy[x].a: b", "policy[x].a: b"),
            ("lists.policy[0].a", "lists.policy[0].a"),
        ] {
            assert_eq!(of_policy(fault), expected);
        }
    }
}
