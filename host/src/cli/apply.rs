//! `portcullis apply`.

use std::path::PathBuf;

use serde_json::json;

use super::api::{ApiArguments, Ask, Client, LOADING, Target};
use super::changed;
use super::check;

/// Which tree, and whether to show only.
#[derive(clap::Args)]
pub(super) struct ApplyArguments {
    /// A directory with a directory `tenants` in it, as `export` writes it. The host
    /// has to be able to read it, and it is asked over its socket.
    directory: PathBuf,
    /// Show what would change, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// JSON, as the host answers it.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    api: ApiArguments,
}

/// Has the running host make its store equal to a tree of files. Done means that it is
/// in force.
pub(super) async fn apply(arguments: &ApplyArguments) -> anyhow::Result<()> {
    let file = match arguments.api.target()? {
        Target::Config(path) => Some(check::named(&path)?),
        Target::Url(_) | Target::Socket(_) => None,
    };
    let client = Client::new(&arguments.api)?;
    let tree = json!({
        "directory": check::named(&arguments.directory)?,
        "dry_run": arguments.dry_run,
        "file": file,
    });
    let ask = Ask::post(&["apply"]).json(&tree)?.within(LOADING);
    changed::show(&client.send(ask).await?, arguments.json)
}
