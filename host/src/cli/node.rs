//! `portcullis node`.

use serde::Deserialize;

use super::api::{ApiArguments, Ask, Client};
use super::check::counted;
use super::rows;
use crate::unicode;

/// Which host.
#[derive(clap::Args)]
pub(super) struct NodeArguments {
    #[command(flatten)]
    api: ApiArguments,
    /// JSON, as the host answers it.
    #[arg(long)]
    json: bool,
}

#[derive(Deserialize)]
struct Node {
    hostname: String,
    version: String,
    tenants: usize,
    modules_pending: usize,
}

/// Shows what a running host is.
pub(super) async fn run(arguments: &NodeArguments) -> anyhow::Result<()> {
    let client = Client::new(&arguments.api)?;
    let answer = client.send(Ask::get(&["node"])).await?;
    if arguments.json {
        return rows::lines([answer.text()]);
    }
    let node: Node = answer.json()?;
    let tenants = counted(node.tenants, "tenant");
    let pending = match node.modules_pending {
        0 => String::new(),
        pending => format!(", {} not compiled yet", counted(pending, "module")),
    };
    let Node {
        hostname, version, ..
    } = node;
    let line = format!("{hostname}: portcullis {version}, {tenants}{pending}");
    rows::lines([unicode::shown(&line)])
}
