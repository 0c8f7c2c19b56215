//! `portcullis policy`.

mod enforce;

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Subcommand;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::api::{Ask, Client, items};
use super::change::ChangeArguments;
use super::document::{Draft, Seen};
use super::whose::TenantArguments;
use super::{changed, document, rows};
use crate::name::Name;

/// Policies of a tenant.
#[derive(clap::Args)]
pub(super) struct PolicyArguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    of: TenantArguments,
}

#[derive(Subcommand)]
enum Command {
    /// Show policies in the order of their creation.
    List {
        /// The first so many.
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
    /// Show one, as `set` reads it.
    Show {
        /// Its name.
        name: Name,
    },
    /// Make one, or write it anew.
    Set {
        /// Its name.
        name: Name,
        /// The keys of [[policy]], as TOML or JSON; - is standard input. It needs no name, and
        /// may have this one.
        file: PathBuf,
        #[command(flatten)]
        change: ChangeArguments,
    },
    /// Enforce one that is there, at once or for a share of sender domains that rises.
    Enforce(enforce::EnforceArguments),
    /// Remove one.
    Remove {
        /// Its name.
        name: Name,
        #[command(flatten)]
        change: ChangeArguments,
    },
}

#[derive(Deserialize)]
struct Policy {
    name: String,
    revision: i64,
    document: Map<String, Value>,
}

pub(super) async fn run(arguments: &PolicyArguments) -> anyhow::Result<()> {
    let client = Client::new(&arguments.of.api)?;
    let tenant = arguments.of.tenant(&client).await?;
    let json = arguments.of.json;
    let path = |name: &Name| ["tenants", &tenant, "policies", name.as_str()].map(str::to_owned);
    match &arguments.command {
        Command::List { limit } => {
            let ask = Ask::get(&["tenants", &tenant, "policies"]);
            list(&items(&client, ask, *limit).await?, json)
        }
        Command::Show { name } => {
            let answer = client.send(Ask::get(&path(name))).await?;
            if json {
                return rows::lines([answer.text()]);
            }
            let policy: Policy = answer.json()?;
            let Policy { name, revision, .. } = &policy;
            let comment = format!("{}, revision {revision}", of(name, &tenant));
            document::show(&comment, policy.document)
        }
        Command::Set { name, file, change } => {
            let path = path(name);
            let Draft { keys, seen } = draft(name, &tenant, file)?;
            let ask = Ask::put(&path).json(&keys)?;
            let answer = change.set(&client, ask, &path, seen.as_ref()).await?;
            changed::show(&answer, json)
        }
        Command::Enforce(arguments) => {
            let answer = enforce::run(&client, &tenant, arguments).await?;
            changed::show(&answer, json)
        }
        Command::Remove { name, change } => {
            let answer = change.remove(&client, &path(name)).await?;
            changed::show(&answer, json)
        }
    }
}

/// How it is called where it is shown.
fn of(name: &str, tenant: &str) -> String {
    format!("policy {name} of tenant {tenant}")
}

/// What is in this file, which may name the policy, as it has to for a replay; or what `show
/// --json` tells.
fn draft(name: &Name, tenant: &str, file: &Path) -> anyhow::Result<Draft> {
    let mut draft = document::draft(file, &of(name.as_str(), tenant))?;
    let mut named = draft.keys.remove("name");
    // Anything else of this name is for the host to refuse.
    let is_shown = draft.keys.get("document").is_some_and(Value::is_object);
    if is_shown && let Some(Value::Object(shown)) = draft.keys.remove("document") {
        let revision = draft.keys.get("revision").and_then(Value::as_i64);
        draft = Draft {
            keys: shown,
            seen: revision.map(|revision| Seen::new(file, revision)),
        };
        named = draft.keys.remove("name").or(named);
    }
    match named {
        Some(named) if named != name.as_str() => bail!(
            "{} has the name {named}, and this is about {name}: set that one, or leave the name out",
            file.display()
        ),
        _ => Ok(draft),
    }
}

fn list(items: &[Value], json: bool) -> anyhow::Result<()> {
    let head = [
        "policy",
        "revision",
        "direction",
        "from",
        "to",
        "mode",
        "option",
    ];
    rows::show(items, json, head, |policy: Policy| {
        let document = &policy.document;
        let text = |key: &str, without: &str| {
            let found = document.get(key).and_then(Value::as_str);
            found.unwrap_or(without).to_owned()
        };
        let is_off = document.get("enabled") == Some(&Value::Bool(false));
        let mode = if is_off {
            "off".to_owned()
        } else {
            text("mode", "enforce")
        };
        let option = match text("option", "") {
            option if option == "module" => format!("module {}", text("module", "")),
            option => option,
        };
        [
            policy.name.clone(),
            policy.revision.to_string(),
            text("direction", "inbound"),
            text("from", "everyone"),
            text("to", "everyone"),
            mode,
            option,
        ]
    })
}
