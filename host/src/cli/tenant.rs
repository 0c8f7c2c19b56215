//! `portcullis tenant`.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::api::{ApiArguments, Ask, Client, items};
use super::change::ChangeArguments;
use super::document::{Draft, Seen};
use super::{changed, document, rows};
use crate::facts::TenantId;

/// Tenants.
#[derive(clap::Args)]
pub(super) struct TenantsArguments {
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
    /// Show tenants by id.
    List {
        /// The first so many.
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
    /// Show one without its policies, lists and modules, as `set` reads it.
    Show {
        /// Its id.
        id: TenantId,
    },
    /// Show what decides about its mail just now, by the digests that receipts name; of all
    /// tenants, which revision of each is in force.
    Running {
        /// Its id; without it all tenants, for operators.
        id: Option<TenantId>,
    },
    /// Make one, or write it anew: `domains`, `operator` and `own`.
    Set {
        /// Its id.
        id: TenantId,
        /// TOML or JSON; - is standard input.
        file: PathBuf,
        /// Write only what is the tenant's own: the file has the keys of `own`, or is what
        /// `show` says, of which the rest is left alone.
        #[arg(long)]
        own: bool,
        #[command(flatten)]
        change: ChangeArguments,
    },
    /// Remove one with everything that it has.
    Remove {
        /// Its id.
        id: TenantId,
        #[command(flatten)]
        change: ChangeArguments,
    },
}

#[derive(Deserialize)]
struct Row {
    id: String,
    revision: i64,
    digest: String,
}

#[derive(Deserialize)]
struct Tenant {
    id: String,
    revision: i64,
    domains: Value,
    operator: Value,
    own: Value,
}

#[derive(Deserialize)]
struct Running {
    revision: Option<i64>,
    digest: String,
    trust: String,
    policies: Vec<Part>,
    lists: Vec<Part>,
    modules: Vec<Part>,
}

#[derive(Deserialize)]
struct Part {
    name: String,
    /// Of what has revisions of its own, where it is known.
    revision: Option<i64>,
    digest: String,
    /// Of a module.
    state: Option<String>,
}

#[derive(Deserialize)]
struct RunningRow {
    id: String,
    revision: Option<i64>,
    digest: String,
    modules_pending: usize,
}

pub(super) async fn run(arguments: &TenantsArguments) -> anyhow::Result<()> {
    let client = Client::new(&arguments.api)?;
    let json = arguments.json;
    match &arguments.command {
        Command::List { limit } => list(&client, *limit, json).await,
        Command::Show { id } => show(&client, id, json).await,
        Command::Running { id: Some(id) } => running(&client, id, json).await,
        Command::Running { id: None } => all_running(&client, json).await,
        Command::Set {
            id,
            file,
            own,
            change,
        } => {
            let tenant = ["tenants", id.as_str()];
            let half = ["tenants", id.as_str(), "own"];
            let path = if *own { &half[..] } else { &tenant[..] };
            let Draft { keys, seen } = draft(id, file)?;
            let keys = if *own { own_part(keys) } else { keys };
            let ask = Ask::put(path).json(&keys)?;
            let answer = change.set(&client, ask, &tenant, seen.as_ref()).await?;
            changed::show(&answer, json)
        }
        Command::Remove { id, change } => {
            let answer = change.remove(&client, &["tenants", id.as_str()]).await?;
            changed::show(&answer, json)
        }
    }
}

/// What is in this file; or what `show --json` tells, where that is of this tenant.
fn draft(id: &TenantId, file: &Path) -> anyhow::Result<Draft> {
    let mut draft = document::draft(file, &format!("tenant {id}"))?;
    let is_shown = draft.keys.get("id").and_then(Value::as_str) == Some(id.as_str());
    if is_shown && let Some(revision) = draft.keys.get("revision").and_then(Value::as_i64) {
        draft.seen = Some(Seen::new(file, revision));
        for told in ["id", "revision", "digest"] {
            draft.keys.remove(told);
        }
    }
    Ok(draft)
}

/// What `show` has of it, or the whole, where it stands alone.
fn own_part(mut document: Map<String, Value>) -> Map<String, Value> {
    match document.remove("own") {
        Some(Value::Object(own)) => own,
        Some(other) => {
            document.insert("own".to_owned(), other);
            document
        }
        None => document,
    }
}

async fn list(client: &Client, limit: Option<usize>, json: bool) -> anyhow::Result<()> {
    let found = items(client, Ask::get(&["tenants"]), limit).await?;
    let row = |row: Row| [row.id, row.revision.to_string(), row.digest];
    rows::show(&found, json, ["tenant", "revision", "digest"], row)
}

async fn show(client: &Client, id: &TenantId, json: bool) -> anyhow::Result<()> {
    let answer = client.send(Ask::get(&["tenants", id.as_str()])).await?;
    if json {
        return rows::lines([answer.text()]);
    }
    let tenant: Tenant = answer.json()?;
    let comment = format!("tenant {}, revision {}", tenant.id, tenant.revision);
    let parts = [
        ("domains", tenant.domains),
        ("operator", tenant.operator),
        ("own", tenant.own),
    ];
    let parts = parts.map(|(key, value)| (key.to_owned(), value));
    document::show(&comment, Map::from_iter(parts))
}

async fn running(client: &Client, id: &TenantId, json: bool) -> anyhow::Result<()> {
    let answer = client
        .send(Ask::get(&["tenants", id.as_str(), "running"]))
        .await?;
    if json {
        return rows::lines([answer.text()]);
    }
    let running: Running = answer.json()?;
    let whole = |name: &str, revision, digest| Part {
        name: name.to_owned(),
        revision,
        digest,
        state: None,
    };
    let parts = [
        (
            "tenant",
            vec![whole(id.as_str(), running.revision, running.digest)],
        ),
        ("trust", vec![whole("", None, running.trust)]),
        ("policy", running.policies),
        ("list", running.lists),
        ("module", running.modules),
    ];
    let rows: Vec<[String; 5]> = parts
        .into_iter()
        .flat_map(|(kind, parts)| parts.into_iter().map(|part| part.row(kind)))
        .collect();
    rows::table(["what", "name", "revision", "state", "digest"], &rows)
}

impl Part {
    fn row(self, kind: &str) -> [String; 5] {
        let revision = self.revision.map_or_else(String::new, |it| it.to_string());
        let state = self.state.unwrap_or_default();
        [kind.to_owned(), self.name, revision, state, self.digest]
    }
}

async fn all_running(client: &Client, json: bool) -> anyhow::Result<()> {
    let found = items(client, Ask::get(&["running"]), None).await?;
    let row = |row: RunningRow| {
        let revision = row.revision.map_or_else(String::new, |it| it.to_string());
        let pending = row.modules_pending.to_string();
        [row.id, revision, pending, row.digest]
    };
    rows::show(
        &found,
        json,
        ["tenant", "revision", "pending", "digest"],
        row,
    )
}
