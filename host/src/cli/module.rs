//! `portcullis module`.

mod shadow;

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Subcommand;
use serde::Deserialize;
use serde_json::Value;

use super::api::{Ask, Client, items};
use super::change::ChangeArguments;
use super::revisions::{History, Ready, Revisions};
use super::whose::TenantArguments;
use super::{changed, document, rows};
use crate::name::Name;

/// Modules of a tenant.
#[derive(clap::Args)]
pub(super) struct ModuleArguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    of: TenantArguments,
}

#[derive(Subcommand)]
enum Command {
    /// Show modules by name.
    List {
        /// The first so many.
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
    /// Show the revisions of one, newest first.
    Show {
        /// Its name.
        name: Name,
    },
    /// Upload a revision, and wait until it is compiled or refused.
    Push {
        /// The module or component; - is standard input.
        file: PathBuf,
        /// The module's name; without it, that of the file.
        #[arg(long)]
        name: Option<Name>,
        /// Have it decide at once, if it is not refused.
        #[arg(long)]
        activate: bool,
    },
    /// Have a revision decide from now on.
    Activate {
        /// The module's name.
        name: Name,
        /// The number of the revision.
        revision: i64,
        #[command(flatten)]
        change: ChangeArguments,
    },
    /// Have the revision decide again that did so before.
    Rollback {
        /// The module's name.
        name: Name,
        #[command(flatten)]
        change: ChangeArguments,
    },
    /// Try a revision on live mail beside the active one, without effect; or show what it
    /// would have decided.
    Shadow {
        /// The module's name.
        name: Name,
        /// The number of the revision; without it, what the last one came to is shown.
        #[arg(conflicts_with = "stop")]
        revision: Option<i64>,
        /// Try none any more.
        #[arg(long)]
        stop: bool,
        #[command(flatten)]
        change: ChangeArguments,
    },
    /// Remove one with all its revisions.
    Remove {
        /// Its name.
        name: Name,
        #[command(flatten)]
        change: ChangeArguments,
    },
}

#[derive(Deserialize)]
struct Module {
    name: String,
    revision: i64,
    active: Option<i64>,
    digest: Option<String>,
    size: Option<i64>,
}

/// One module on one host, and for whom it is shown.
struct Place<'a> {
    client: &'a Client,
    revisions: Revisions<'a>,
    json: bool,
}

pub(super) async fn run(arguments: &ModuleArguments) -> anyhow::Result<()> {
    let client = Client::new(&arguments.of.api)?;
    let tenant = arguments.of.tenant(&client).await?;
    let json = arguments.of.json;
    let at = |name: &Name| Place {
        client: &client,
        revisions: Revisions::of(&client, &tenant, name),
        json,
    };
    match &arguments.command {
        Command::List { limit } => {
            let ask = Ask::get(&["tenants", &tenant, "modules"]);
            list(&items(&client, ask, *limit).await?, json)
        }
        Command::Show { name } => at(name).show().await,
        Command::Push {
            file,
            name,
            activate,
        } => {
            let name = name.clone().map_or_else(|| named(file), Ok)?;
            at(&name).push(file, *activate).await
        }
        Command::Activate {
            name,
            revision,
            change,
        } => at(name).activate(*revision, change).await,
        Command::Rollback { name, change } => {
            let place = at(name);
            let ask = Ask::post(&place.revisions.below("rollback"));
            let answer = change.put(&client, ask, place.revisions.path()).await?;
            changed::show(&answer, json)
        }
        Command::Shadow {
            name,
            revision,
            stop,
            change,
        } => at(name).shadow(*revision, *stop, change).await,
        Command::Remove { name, change } => {
            let answer = change.remove(&client, at(name).revisions.path()).await?;
            changed::show(&answer, json)
        }
    }
}

fn list(items: &[Value], json: bool) -> anyhow::Result<()> {
    let head = ["module", "revision", "active", "size", "digest"];
    rows::show(items, json, head, |module: Module| {
        let number = |number: Option<i64>| number.map_or("-".to_owned(), |n| n.to_string());
        [
            module.name,
            module.revision.to_string(),
            number(module.active),
            number(module.size),
            module.digest.unwrap_or_else(|| "-".to_owned()),
        ]
    })
}

/// The module's name, where only that of the file is said: `partner_list.wasm`, as cargo
/// builds it, is `partner-list`.
pub(super) fn named(file: &Path) -> anyhow::Result<Name> {
    let stem = file.file_stem().and_then(|stem| stem.to_str());
    let name = stem.unwrap_or_default().replace('_', "-").parse();
    name.context("the file's name makes no name for the module: say it with --name")
}

impl Place<'_> {
    async fn show(&self) -> anyhow::Result<()> {
        let answer = self.client.send(Ask::get(self.revisions.path())).await?;
        if self.json {
            return rows::lines([answer.text()]);
        }
        let History { active, revisions } = answer.json()?;
        let head = [
            "revision", "state", "size", "made", "by", "digest", "reason",
        ];
        let rows: Vec<_> = revisions
            .into_iter()
            .map(|revision| {
                let state = match active == Some(revision.number) {
                    true => "active".to_owned(),
                    false => revision.state,
                };
                [
                    revision.number.to_string(),
                    state,
                    revision.size.to_string(),
                    rows::time(revision.made),
                    revision.who,
                    revision.digest,
                    revision.reason.unwrap_or_default(),
                ]
            })
            .collect();
        rows::table(head, &rows)
    }

    async fn push(&self, file: &Path, activate: bool) -> anyhow::Result<()> {
        let Self {
            revisions, json, ..
        } = self;
        let sent = revisions.send(document::bytes(file)?).await?;
        let known = if sent.is_known {
            "has these bytes already, and "
        } else {
            ""
        };
        let Ready { number, answer } = revisions.settled(sent).await?;
        let name = revisions.name();
        match (activate, json) {
            (true, _) => self.activate(number, &ChangeArguments::default()).await,
            (false, true) => rows::lines([answer.text()]),
            (false, false) => rows::lines([format!(
                "revision {number} of {name} {known}is ready: portcullis module activate {name} {number}"
            )]),
        }
    }

    async fn shadow(
        &self,
        revision: Option<i64>,
        stop: bool,
        change: &ChangeArguments,
    ) -> anyhow::Result<()> {
        let path = self.revisions.below("shadow");
        let answer = match (revision, stop) {
            (Some(revision), _) => self.revisions.shadow(revision, change).await?,
            (None, true) => change.remove(self.client, &path).await?,
            (None, false) => {
                let answer = self.client.send(Ask::get(&path)).await?;
                return match self.json {
                    true => rows::lines([answer.text()]),
                    false => shadow::show(self.revisions.name(), answer.json()?),
                };
            }
        };
        changed::show(&answer, self.json)
    }

    async fn activate(&self, revision: i64, change: &ChangeArguments) -> anyhow::Result<()> {
        let answer = self.revisions.activate(revision, change).await?;
        changed::show(&answer, self.json)
    }
}
