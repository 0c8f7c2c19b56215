//! Loading the configuration, all tenants and the certificates anew.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::input::{Given, Json};
use super::problem::Problem;
use crate::server::{ReloadError, Reloader};
use crate::store::StoreError;

/// What is to be loaded.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ReloadRequest)]
pub(super) struct Wanted {
    /// The configuration's file, of which the host makes sure that it is the one that it
    /// was started with; without it, it is that one.
    #[schema(value_type = Option<String>, example = "/etc/portcullis/portcullis.toml")]
    file: Option<PathBuf>,
}

/// What is in force now.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Loaded {
    /// The configuration's file, as the host names it.
    file: String,
    /// How many tenants there are.
    tenants: usize,
    /// Keys whose new value waits for a restart.
    waiting: Vec<&'static str>,
}

/// Loads the configuration, all tenants and the certificates anew. When this answers, they
/// are in force; what has a fault changes nothing, and `faults` has all of them.
#[utoipa::path(post, path = "/v1/reload", tag = "node", request_body = Wanted,
    responses((status = 200, body = Loaded)))]
pub(super) async fn reload(
    State(api): State<Api>,
    Given(wanted): Given<Wanted>,
) -> Result<Json<Loaded>, Problem> {
    same_file(&api.reloader, wanted.file.as_deref())?;
    let reloader = Arc::clone(&api.reloader);
    let done = api.load(async move { reloader.reload().await }).await;
    let done = done.map_err(|error| refused(&error))?;
    Ok(Json(Loaded {
        file: api.reloader.config().file.display().to_string(),
        tenants: done.tenants,
        waiting: done.waiting,
    }))
}

/// Whoever names another file means other settings than would be put in force.
pub(super) fn same_file(reloader: &Reloader, asked: Option<&Path>) -> Result<(), Problem> {
    let Some(asked) = asked else {
        return Ok(());
    };
    let running = Arc::clone(&reloader.config().file);
    match (running.canonicalize(), asked.canonicalize()) {
        (Ok(real), Ok(wanted)) if real != wanted => Err(Problem::new(
            StatusCode::CONFLICT,
            format!(
                "the host runs on {}, not on {}; nothing was changed",
                running.display(),
                asked.display()
            ),
        )),
        // What cannot be found is a fault that the reload itself reports.
        _ => Ok(()),
    }
}

/// Why everything is as it was before. It is told to operators alone, who may know all
/// of it.
pub(super) fn refused(error: &ReloadError) -> Problem {
    let status = match error {
        ReloadError::Faults(faults) => return Problem::of_files(faults),
        ReloadError::Files(_)
        | ReloadError::Store(StoreError::Stale(_) | StoreError::Domain { .. }) => {
            StatusCode::CONFLICT
        }
        ReloadError::Planned => StatusCode::PRECONDITION_FAILED,
        ReloadError::Store(_) => {
            tracing::error!(%error, "the admin API could not use the store");
            StatusCode::SERVICE_UNAVAILABLE
        }
        // The store may have it, and so may the next host.
        ReloadError::Stopping | ReloadError::Busy => {
            return Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string());
        }
    };
    Problem::new(status, format!("{error}; nothing was changed"))
}
