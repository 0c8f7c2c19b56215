//! `portcullis list`.

use std::path::PathBuf;

use clap::Subcommand;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::api::{Ask, Client, items};
use super::change::ChangeArguments;
use super::document::Seen;
use super::whose::TenantArguments;
use super::{changed, document, rows};
use crate::name::Name;

/// Lists of a tenant.
#[derive(clap::Args)]
pub(super) struct ListArguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    of: TenantArguments,
}

#[derive(Subcommand)]
enum Command {
    /// Show lists by name, without their entries.
    List {
        /// The first so many.
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
    /// Show one, without its entries.
    Show {
        /// Its name.
        name: Name,
    },
    /// Show the entries of one by key, as `set` reads them.
    Entries {
        /// Its name.
        name: Name,
        /// The first so many.
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
    /// Make one, or put others in the place of all its entries.
    Set {
        /// Its name.
        name: Name,
        /// An entry in each line, a key or a key and a value with => between; or JSON with
        /// `entries`. - is standard input.
        file: PathBuf,
        #[command(flatten)]
        change: ChangeArguments,
    },
    /// Add entries, or give them other values.
    Add {
        /// The list's name.
        name: Name,
        /// A key, or KEY=VALUE.
        #[arg(required = true, value_name = "ENTRY")]
        entries: Vec<String>,
        #[command(flatten)]
        change: ChangeArguments,
    },
    /// Take entries out.
    Drop {
        /// The list's name.
        name: Name,
        /// Their keys.
        #[arg(required = true, value_name = "KEY")]
        keys: Vec<String>,
        #[command(flatten)]
        change: ChangeArguments,
    },
    /// Remove a list.
    Remove {
        /// Its name.
        name: Name,
        #[command(flatten)]
        change: ChangeArguments,
    },
}

#[derive(Deserialize)]
struct List {
    name: String,
    revision: i64,
    entries: i64,
    digest: String,
}

#[derive(Deserialize)]
struct Entry {
    key: String,
    value: String,
}

pub(super) async fn run(arguments: &ListArguments) -> anyhow::Result<()> {
    let client = Client::new(&arguments.of.api)?;
    let tenant = arguments.of.tenant(&client).await?;
    let json = arguments.of.json;
    let path = |name: &Name| ["tenants", &tenant, "lists", name.as_str()].map(str::to_owned);
    let answer = match &arguments.command {
        Command::List { limit } => {
            let ask = Ask::get(&["tenants", &tenant, "lists"]);
            return show(&items(&client, ask, *limit).await?, json);
        }
        Command::Show { name } => {
            let answer = client.send(Ask::get(&path(name))).await?;
            return show(&[answer.json()?], json);
        }
        Command::Entries { name, limit } => {
            // Before the entries, so that what changes meanwhile is missed by nobody.
            let List { revision, .. } = client.send(Ask::get(&path(name))).await?.json()?;
            let ask = Ask::get(&["tenants", &tenant, "lists", name.as_str(), "entries"]);
            let items = items(&client, ask, *limit).await?;
            // A part of a list is not what is to be set.
            let head = (limit.is_none() && !json)
                .then(|| format!("# {}, revision {}", of(name, &tenant), revision));
            return entries(head, &items, json);
        }
        Command::Set { name, file, change } => {
            let bytes = document::bytes(file)?;
            let kind = match document::is_json(&bytes) {
                true => "application/json",
                false => "text/plain",
            };
            let text = str::from_utf8(&bytes).unwrap_or_default();
            let seen = Seen::in_comment(file, text, &of(name, &tenant));
            let path = path(name);
            let ask = Ask::put(&path).body(kind, bytes);
            change.set(&client, ask, &path, seen.as_ref()).await?
        }
        Command::Add {
            name,
            entries,
            change,
        } => {
            let entries = entries.iter().map(|entry| {
                let (key, value) = entry.split_once('=').unwrap_or((entry, ""));
                (key.to_owned(), json!(value))
            });
            change.patch(&client, edit(&path(name), entries)?).await?
        }
        Command::Drop { name, keys, change } => {
            let entries = keys.iter().map(|key| (key.clone(), Value::Null));
            change.patch(&client, edit(&path(name), entries)?).await?
        }
        Command::Remove { name, change } => change.remove(&client, &path(name)).await?,
    };
    changed::show(&answer, json)
}

fn show(items: &[Value], json: bool) -> anyhow::Result<()> {
    let head = ["list", "revision", "entries", "digest"];
    rows::show(items, json, head, |list: List| {
        let (revision, entries) = (list.revision.to_string(), list.entries.to_string());
        [list.name, revision, entries, list.digest]
    })
}

/// How it is called where it is shown.
fn of(name: &Name, tenant: &str) -> String {
    format!("list {name} of tenant {tenant}")
}

/// As files of lists have them, behind a comment that says what it is.
fn entries(head: Option<String>, items: &[Value], json: bool) -> anyhow::Result<()> {
    if json {
        return rows::lines(items.iter().map(Value::to_string));
    }
    let line = |item: &Value| {
        let Entry { key, value } = Entry::deserialize(item)?;
        Ok(match value.as_str() {
            "" => rows::exact(&key),
            value => rows::exact(&format!("{key} => {value}")),
        })
    };
    let lines = items.iter().map(line).collect::<anyhow::Result<Vec<_>>>()?;
    rows::lines(head.into_iter().chain(lines))
}

/// It says all that it changes, so that it need not be founded on a revision.
fn edit(
    path: &[String],
    entries: impl Iterator<Item = (String, Value)>,
) -> serde_json::Result<Ask> {
    let entries: Map<String, Value> = entries.collect();
    Ask::patch(path).json(&json!({ "entries": entries }))
}
