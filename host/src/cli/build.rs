//! `portcullis build`.

use std::path::PathBuf;

use serde_json::json;

use super::inspect;
use super::rows;
use crate::author::build::{Built, Project};

/// Which crate.
#[derive(clap::Args)]
pub(super) struct BuildArguments {
    /// The directory of the crate.
    #[arg(long, value_name = "DIR", default_value = ".")]
    path: PathBuf,
    /// JSON, on one line.
    #[arg(long)]
    json: bool,
}

/// Builds the crate; what came of it is on standard output, cargo's messages and advice
/// are on standard error.
pub(super) async fn run(arguments: &BuildArguments) -> anyhow::Result<()> {
    let built = Project::find(&arguments.path)?.build().await?;
    if arguments.json {
        return rows::lines([json(&built).to_string()]);
    }
    for advice in &built.advice {
        rows::aside(format_args!("note: in [profile.release], {advice}"));
    }
    let path = built.module.display().to_string();
    rows::lines(inspect::head(&path, &built.examined))
}

fn json(built: &Built) -> serde_json::Value {
    let mut object = inspect::json(&built.examined);
    object["path"] = json!(built.module);
    object["advice"] = json!(built.advice);
    object
}
