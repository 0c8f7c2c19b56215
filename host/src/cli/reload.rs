//! `portcullis reload`.

use anyhow::Context;
use serde::Deserialize;
use serde_json::json;

use super::api::{ApiArguments, Ask, Client, Failure, LOADING, Target};
use super::check::{self, counted};
use super::rows;
use crate::config::Config;
use crate::unicode;

/// Which host, and how to show what became of it.
#[derive(clap::Args)]
pub(super) struct ReloadArguments {
    #[command(flatten)]
    api: ApiArguments,
    /// JSON, as the host answers it.
    #[arg(long)]
    json: bool,
}

#[derive(Deserialize)]
struct Loaded {
    file: String,
    tenants: usize,
    waiting: Vec<String>,
}

/// Asks the running host to load everything anew, which reads the files itself: what it
/// refuses is in its log and its metrics, too. Done means that it is in force; what has
/// faults is shown, and changes nothing.
pub(super) async fn reload(arguments: &ReloadArguments) -> anyhow::Result<()> {
    let path = match arguments.api.target()? {
        Target::Config(path) => Some(path),
        Target::Url(_) | Target::Socket(_) => None,
    };
    // Whatever else is wrong there, the host is to see it.
    let data_dir = path.as_deref().and_then(Config::read_data_dir);
    let client = match data_dir {
        Some(data_dir) => Client::of_data_directory(&data_dir),
        None => Client::new(&arguments.api).context("the host was not asked")?,
    };
    let file = path.as_deref().map(check::named).transpose()?;
    let ask = Ask::post(&["reload"]).json(&json!({ "file": file }))?;
    let answer = match (client.send(ask.within(LOADING)).await, path) {
        (Err(none @ Failure::NoHost(_)), Some(path)) => {
            // Its faults can be seen without a host.
            check::config(&path)?;
            return Err(none.into());
        }
        (answer, _) => answer?,
    };
    if arguments.json {
        return rows::lines([answer.text()]);
    }
    let loaded: Loaded = answer.json()?;
    for key in &loaded.waiting {
        let key = unicode::shown(key);
        eprintln!("portcullis: {key} is changed, which waits for a restart");
    }
    let tenants = counted(loaded.tenants, "tenant");
    let file = unicode::shown(&loaded.file);
    rows::lines([format!("reloaded {file}: {tenants}")])
}
