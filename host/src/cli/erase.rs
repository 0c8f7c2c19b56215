//! `portcullis erase`.

use serde::Deserialize;
use serde_json::json;

use super::api::{ApiArguments, Ask, Client};
use super::check::counted;
use super::rows;
use crate::address::Mailbox;

/// Whose address.
#[derive(clap::Args)]
pub(super) struct EraseArguments {
    /// The address.
    address: Mailbox,
    #[command(flatten)]
    api: ApiArguments,
    /// JSON, as the host answers it.
    #[arg(long)]
    json: bool,
}

#[derive(Deserialize)]
struct Done {
    /// None where it is not done yet.
    receipts: Option<usize>,
    #[serde(default)]
    unreadable: Option<usize>,
}

/// Has a running host erase an address from receipts.
pub(super) async fn run(arguments: &EraseArguments) -> anyhow::Result<()> {
    let client = Client::new(&arguments.api)?;
    let ask = Ask::post(&["erasures"]).json(&json!({ "address": arguments.address }))?;
    let answer = client.send(ask).await?;
    if arguments.json {
        return rows::lines([answer.text()]);
    }
    let done: Done = answer.json()?;
    let line = match (done.receipts, done.unreadable) {
        (Some(receipts), None | Some(0)) => {
            format!("erased the address from {}", counted(receipts, "receipt"))
        }
        (Some(receipts), Some(unreadable)) => format!(
            "erased the address from {}, of which {unreadable} cannot be read as receipts",
            counted(receipts, "receipt")
        ),
        (None, _) => {
            "there are many receipts, and the host is at it: the audit has its end".to_owned()
        }
    };
    rows::lines([line])
}
