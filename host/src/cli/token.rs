//! `portcullis token`.

use clap::Subcommand;
use serde::Deserialize;
use serde_json::json;

use super::api::{ApiArguments, Ask, Client, items};
use super::rows;
use crate::facts::TenantId;
use crate::name::Name;
use crate::policy::Moment;
use crate::store::Role;

/// Tokens for the admin API.
#[derive(clap::Args)]
pub(super) struct TokenArguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    api: ApiArguments,
    /// JSON, as the host answers it; of what there are many of, a line each.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Show tokens, without their texts.
    List {
        /// Of this tenant.
        #[arg(long, value_name = "ID")]
        tenant: Option<TenantId>,
        /// The first so many.
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
    /// Make one. Its text is printed now, and can never be seen again.
    Create {
        /// What people call it.
        name: Name,
        /// What it may do: viewer, author, admin or operator.
        #[arg(long)]
        role: Role,
        /// Whose it is; operators' tokens have none.
        #[arg(long, value_name = "ID")]
        tenant: Option<TenantId>,
        /// From when on it is worth nothing, such as 2027-01-01T00:00:00Z.
        #[arg(long, value_name = "TIME")]
        expires: Option<Moment>,
    },
    /// Revoke one: it is worth nothing from the next request on.
    Revoke {
        /// Its id, as `list` shows it.
        id: String,
    },
}

#[derive(Deserialize)]
struct Token {
    id: String,
    name: String,
    role: String,
    tenant: Option<String>,
    made: i64,
    who: String,
    expires: Option<i64>,
}

#[derive(Deserialize)]
struct Made {
    token: String,
    id: String,
}

pub(super) async fn run(arguments: &TokenArguments) -> anyhow::Result<()> {
    let client = Client::new(&arguments.api)?;
    match &arguments.command {
        Command::List { tenant, limit } => {
            let ask = Ask::get(&["tokens"]).with("tenant", tenant.as_ref());
            let found = items(&client, ask, *limit).await?;
            let head = ["id", "name", "role", "tenant", "made", "by", "expires"];
            rows::show(&found, arguments.json, head, row)
        }
        Command::Create {
            name,
            role,
            tenant,
            expires,
        } => {
            let wanted = json!({
                "name": name.as_str(),
                "role": role.as_str(),
                "tenant": tenant.as_ref().map(TenantId::as_str),
                "expires": expires.map(|end| end.to_string()),
            });
            let answer = client.send(Ask::post(&["tokens"]).json(&wanted)?).await?;
            if arguments.json {
                return rows::lines([answer.text()]);
            }
            let made: Made = answer.json()?;
            eprintln!(
                "made token {}; this is its text, which nobody keeps:",
                made.id
            );
            rows::lines([made.token])
        }
        Command::Revoke { id } => {
            client.send(Ask::delete(&["tokens", id])).await?;
            match arguments.json {
                true => Ok(()),
                false => rows::lines([format!("revoked token {id}")]),
            }
        }
    }
}

fn row(token: Token) -> [String; 7] {
    [
        token.id,
        token.name,
        token.role,
        token.tenant.unwrap_or_else(|| "-".to_owned()),
        rows::time(token.made),
        token.who,
        token.expires.map_or_else(|| "never".to_owned(), rows::time),
    ]
}
