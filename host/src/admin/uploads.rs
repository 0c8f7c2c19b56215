//! Uploading modules, and what becomes of them.

use std::time::Duration;

use axum::extract::{Extension, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::access::Caller;
use super::input::{Asked, Json, Named, content_type, is_kind, unread};
use super::modules::no_module;
use super::problem::Problem;
use super::tenants;
use crate::config::Authority;
use crate::digest::Digest;
use crate::facts::TenantId;
use crate::name::Name;
use crate::server::ReloadError;
use crate::store::{Arrival, ModuleRevision, Upload};

/// The media type of modules.
const WASM: &str = "application/wasm";

/// Longest wait for what becomes of a revision: within the time of a connection.
const LONGEST: u64 = 50;

/// Nothing can be said of an upload but the bytes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// How long to wait.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Patience {
    /// Seconds to wait for a state that is not `received` or `compiling`.
    #[serde(default)]
    #[param(minimum = 0, maximum = 50)]
    wait: u64,
}

/// A module: a component, or a core module as compilers make it.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
pub(super) struct Wasm(#[expect(dead_code, reason = "it is there to be described")] Vec<u8>);

/// Uploads a revision of a module, which need not be there yet. It is compiled by and by:
/// ask where `Location` says for what becomes of it. Bytes that are kept already are the
/// revision that they were.
#[utoipa::path(put, path = "/v1/tenants/{tenant}/modules/{module}", tag = "modules",
    params(("tenant" = String, Path, description = "The tenant's id."),
        ("module" = String, Path, description = "The module's name.")),
    request_body(content = Wasm, content_type = "application/wasm"),
    responses(
        (status = 200, description = "These bytes are kept already.", body = ModuleRevision,
            headers(("Location" = String, description = "Where the revision is."))),
        (status = 202, description = "They are kept, and will be looked at.", body = ModuleRevision,
            headers(("Location" = String, description = "Where the revision is.")))))]
pub(super) async fn put(
    State(api): State<Api>,
    Extension(who): Extension<Caller>,
    Named((tenant, module)): Named<(String, String)>,
    Asked(Nothing {}): Asked<Nothing>,
    request: Request,
) -> Result<Response, Problem> {
    let id = tenants::known(&api, &tenant).await?;
    let name: Result<Name, _> = module.parse();
    let name = name.map_err(|error| Problem::bad(error.to_string()))?;
    if let Authority::Files(files) = &api.reloader.config().authority {
        return Err(ReloadError::Files(files.clone()).into());
    }
    let kind = content_type(request.headers());
    if !kind.is_some_and(|kind| is_kind(kind, WASM)) {
        return Err(unread(kind, "send a module, as \"application/wasm\""));
    }
    let place = api.uploads.place(&id).ok_or_else(|| {
        Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "this tenant is sending several modules just now: try again in a moment",
        )
    })?;
    let limit = api.host.engine.module_size();
    let body = api.bodies.read(request.into_body(), limit).await?;
    let (uploads, module) = (api.uploads.clone(), name.clone());
    // It goes on where the client goes away: what was received is looked at.
    let received = api.changes.spawn(async move {
        let upload = Upload {
            tenant: &id,
            module: &module,
            bytes: body.bytes(),
            digest: Digest::of(body.bytes()),
        };
        let received = uploads.receive(&upload, &who.name).await;
        drop(place);
        received
    });
    // It does not panic, and nobody aborts it.
    let received = received
        .await
        .map_err(|_| Problem::from(ReloadError::Stopping))?;
    let (revision, arrival) = received?;
    let status = match arrival {
        Arrival::Known => StatusCode::OK,
        Arrival::New | Arrival::Again => StatusCode::ACCEPTED,
    };
    let number = revision.number;
    let location = format!("/v1/tenants/{tenant}/modules/{name}/revisions/{number}");
    Ok((status, [(header::LOCATION, location)], Json(revision)).into_response())
}

/// A revision of a module, and what became of it.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/modules/{module}/revisions/{number}",
    tag = "modules",
    params(("tenant" = String, Path, description = "The tenant's id."),
        ("module" = String, Path, description = "The module's name."),
        ("number" = i64, Path, description = "The revision's number."), Patience),
    responses((status = 200, body = ModuleRevision)))]
pub(super) async fn revision(
    State(api): State<Api>,
    Named((tenant, module, number)): Named<(String, String, String)>,
    Asked(Patience { wait }): Asked<Patience>,
) -> Result<Json<ModuleRevision>, Problem> {
    let id = tenants::known(&api, &tenant).await?;
    if wait > LONGEST {
        return Err(Problem::bad(format!(
            "wait: {wait} is not from 0 to {LONGEST}"
        )));
    }
    let none = || no_revision(&tenant, &module, &number);
    let known: i64 = number.parse().map_err(|_| none())?;
    let patience = Duration::from_secs(wait);
    let found = api.uploads.settled(&id, &module, known, patience).await?;
    found.map(Json).ok_or_else(none)
}

/// A revision that policies may ask.
pub(super) async fn ready(
    api: &Api,
    tenant: &TenantId,
    module: &str,
    number: i64,
) -> Result<(ModuleRevision, Digest), Problem> {
    let found = api
        .host
        .store
        .module_revision(tenant, module, number)
        .await?;
    let found = found.ok_or_else(|| no_revision(tenant.as_str(), module, &number.to_string()))?;
    let why = match (&found.reason, found.state.is_waiting()) {
        (Some(reason), _) => format!("it was refused: {reason}"),
        (None, true) => "it is not compiled yet: ask for it with \"wait\"".to_owned(),
        (None, false) => {
            let digest = found.digest.parse();
            let digest = digest.map_err(|_| no_module(tenant.as_str(), module))?;
            return Ok((found, digest));
        }
    };
    Err(Problem::new(
        StatusCode::CONFLICT,
        format!("revision {number} of module {module:?} is not ready: {why}"),
    ))
}

fn no_revision(tenant: &str, module: &str, number: &str) -> Problem {
    Problem::not_found(format!(
        "tenant {tenant:?} has no revision {number:?} of module {module:?}"
    ))
}
