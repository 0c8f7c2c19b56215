//! `portcullis reload`.

use serde::Deserialize;
use serde_json::json;

use super::api::{ApiArguments, Ask, Client, LOADING, Target};
use super::check::{self, counted};
use super::rows;
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

/// Asks the running host to load everything anew. Done means that it is in force; what
/// has faults is shown, and changes nothing.
pub(super) async fn reload(arguments: &ReloadArguments) -> anyhow::Result<()> {
    let file = match arguments.api.target()? {
        Target::Config(path) => {
            // The host reads it again; read here, it shows its faults without a host.
            check::config(&path)?;
            Some(check::named(&path)?)
        }
        Target::Url(_) | Target::Socket(_) => None,
    };
    let client = Client::new(&arguments.api)?;
    let ask = Ask::post(&["reload"]).json(&json!({ "file": file }))?;
    let answer = client.send(ask.within(LOADING)).await?;
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
