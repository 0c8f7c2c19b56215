//! Making the store equal to a tree of files.

use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::changes::Changed;
use super::input::{Given, Json};
use super::problem::Problem;
use super::reload::{refused, same_file};
use super::shapes::Sha256;
use crate::digest::Digest;

/// The tree that the tenants are to be those of.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Tree {
    /// A directory with a directory `tenants` in it, which the host can read.
    #[schema(value_type = String, example = "/srv/tenants/today")]
    directory: PathBuf,
    /// Only say what would change.
    #[serde(default)]
    dry_run: bool,
    /// The `plan` of a dry run: what is done is that and nothing else.
    #[schema(value_type = Option<Sha256>)]
    plan: Option<Digest>,
    /// The configuration's file, as for a reload.
    #[schema(value_type = Option<String>)]
    file: Option<PathBuf>,
}

/// What a tree changes.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AppliedTree {
    #[serde(flatten)]
    changed: Changed,
    /// What tells these changes from all others.
    #[schema(value_type = Sha256)]
    plan: Digest,
}

/// Makes the tenants those of a tree of files and no others. It is for whoever owns the
/// host, over the socket and without a token, since the host reads the files.
#[utoipa::path(post, path = "/v1/apply", tag = "node", request_body = Tree,
    responses((status = 200, body = AppliedTree),
        (status = 412, description = "It would be another plan.", body = Problem,
            content_type = "application/problem+json")))]
pub(super) async fn apply(
    State(api): State<Api>,
    Given(tree): Given<Tree>,
) -> Result<Json<AppliedTree>, Problem> {
    let Tree {
        directory,
        dry_run,
        plan,
        file,
    } = tree;
    if !directory.is_absolute() {
        return Err(Problem::bad(format!(
            "directory: {directory:?} is not absolute, and the host has a working directory of its own"
        )));
    }
    same_file(&api.reloader, file.as_deref())?;
    let reloader = Arc::clone(&api.reloader);
    let applied = api.load(async move { reloader.apply(&directory, dry_run, plan).await });
    let applied = applied.await.map_err(|error| refused(&error))?;
    let changed = Changed::of(applied.changes, applied.took);
    Ok(Json(AppliedTree {
        changed: changed.warning(applied.warnings),
        plan: applied.plan,
    }))
}
