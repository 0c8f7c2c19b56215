//! `portcullis webhook`.

use clap::Subcommand;
use serde::Deserialize;

use super::api::{Ask, Client};
use super::rows;
use super::whose::TenantArguments;

/// The webhook of a tenant.
#[derive(clap::Args)]
pub(super) struct WebhookArguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    of: TenantArguments,
}

#[derive(Subcommand)]
enum Command {
    /// Make a new secret to sign messages with, in the place of any other. It is printed
    /// now, and can never be seen again.
    Secret,
}

#[derive(Deserialize)]
struct Made {
    secret: String,
}

pub(super) async fn run(arguments: &WebhookArguments) -> anyhow::Result<()> {
    let client = Client::new(&arguments.of.api)?;
    let tenant = arguments.of.tenant(&client).await?;
    match arguments.command {
        Command::Secret => {
            let ask = Ask::post(&["tenants", &tenant, "webhook", "secret"]);
            let answer = client.send(ask).await?;
            if arguments.of.json {
                return rows::lines([answer.text()]);
            }
            let made: Made = answer.json()?;
            eprintln!("made the secret of {tenant}'s webhook; this is its text:");
            rows::lines([made.secret])
        }
    }
}
