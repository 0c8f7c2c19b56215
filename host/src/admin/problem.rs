//! Every error as HTTP says it (RFC 9457). Texts name the value and what to do.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::receipt::read::ReadError;
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
    status: u16,
    /// What is wrong, and what to do.
    detail: String,
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            title: status.canonical_reason().unwrap_or_default(),
            status: status.as_u16(),
            detail: detail.into(),
        }
    }

    pub(super) fn bad(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
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
            "this token is a {role}'s, and this is for {least}s"
        ))
    }

    pub(super) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Tokens(_)
            | StoreError::Modules(_)
            | StoreError::Revisions { .. }
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
        response
    }
}
