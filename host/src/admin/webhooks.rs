//! The secret with which messages to a tenant's webhook are signed.

use axum::extract::{Extension, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::access::Caller;
use super::input::{Json, Named};
use super::problem::Problem;
use super::{Api, tenants};
use crate::warnings::webhook::SigningSecret;

/// A secret that was made.
#[derive(Serialize, ToSchema)]
pub(super) struct MadeSecret {
    /// Its text, as libraries for Standard Webhooks take it. It is told here and never again.
    #[schema(pattern = "^whsec_[A-Za-z0-9+/]+=*$")]
    secret: String,
}

/// Makes a new secret for the tenant's webhook, in the place of any other: from then on
/// messages are signed with it. Without one none is sent.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/webhook/secret", tag = "tenants",
    params(("tenant" = String, Path, description = "The tenant's id.")),
    responses((status = 201, body = MadeSecret)))]
pub(super) async fn make(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Named(tenant): Named<String>,
) -> Result<Response, Problem> {
    let tenant = tenants::known(&api, &tenant).await?;
    let secret = SigningSecret::fresh().map_err(|_| {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the system gives no random bits just now",
        )
    })?;
    let text = secret.text();
    let store = &api.host.store;
    store
        .put_webhook_secret(&tenant, &text, &caller.name)
        .await?;
    tracing::info!(tenant.id = %tenant, who = caller.name, "a secret for a webhook was made");
    api.look.notify_one();
    // What carries a secret is not for caches.
    let headers = [(header::CACHE_CONTROL, "no-store")];
    let made = MadeSecret { secret: text };
    Ok((StatusCode::CREATED, headers, Json(made)).into_response())
}
