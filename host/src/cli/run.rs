//! `portcullis run`: one decision, and what the module did for it.

mod receipt;
mod shown;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::anyhow;
use serde_json::Value;

use super::api::ApiArguments;
use super::subject::SubjectArguments;
use super::{document, rows};
use crate::author::vectors::{self, Given, Outcome, Trial};
use crate::engine::Failure;
use crate::facts::ReceiptId;
use receipt::Past;

/// Which module, and what it is asked about.
#[derive(clap::Args)]
#[command(group(clap::ArgGroup::new("about").required(true).args(["facts", "case", "receipt"])))]
pub(super) struct RunArguments {
    #[command(flatten)]
    subject: SubjectArguments,
    /// A TOML file with [facts], and perhaps [settings] and [lists], as vectors have them.
    #[arg(long, value_name = "FILE")]
    facts: Option<PathBuf>,
    /// A case of the crate's vectors, or of --vectors, by its name.
    #[arg(long, value_name = "NAME")]
    case: Option<String>,
    /// The vectors that have the case.
    #[arg(long, value_name = "FILE", requires = "case")]
    vectors: Vec<PathBuf>,
    /// A receipt, whose facts are taken, and its settings and lists as far as they are
    /// known.
    #[arg(long, value_name = "ID")]
    receipt: Option<ReceiptId>,
    /// Settings in the place of those that are there, as TOML or JSON; - is standard input.
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// JSON, on one line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    api: ApiArguments,
}

/// Asks, and shows what came of it. A policy that gives no answer is shown, and is a
/// failure of this command.
pub(super) async fn run(arguments: &RunArguments) -> anyhow::Result<ExitCode> {
    let settings = arguments.settings.as_deref().map(document::object);
    let settings = settings.transpose()?.map(Value::Object);
    let (mut given, past) = asked_about(arguments).await?;
    if let Some(settings) = settings {
        given.settings = settings;
    }
    let subject = arguments.subject.load(arguments.limits()).await?;
    let mut trial = Trial::new(&subject.bench, &subject.module);
    let mut outcome = trial.ask(&given).await?;
    if let Some(past) = &past {
        while let Some(list) = missing(&outcome) {
            let Some(lists) = past.with(&given.lists, list).await? else {
                break;
            };
            given.lists = lists;
            outcome = trial.ask(&given).await?;
        }
        past.say_notes(&given, arguments.settings.is_some());
    }
    let lines = match arguments.json {
        true => vec![shown::json(&subject, &outcome).to_string()],
        false => shown::text(&subject, &outcome),
    };
    rows::read_or_not(rows::lines(lines))?;
    let answered = outcome.found().failure.is_none();
    Ok(ExitCode::from(u8::from(!answered)))
}

impl RunArguments {
    /// The configuration whose engine it is. A receipt of this machine is one of its host.
    fn limits(&self) -> Option<&Path> {
        self.api.named_config()
    }
}

/// What the module is asked about, and the receipt, if it is of one.
async fn asked_about(arguments: &RunArguments) -> anyhow::Result<(Given, Option<Past>)> {
    if let Some(path) = &arguments.facts {
        return Ok((vectors::given(path)?, None));
    }
    if let Some(name) = &arguments.case {
        return Ok((arguments.subject.case(&arguments.vectors, name)?, None));
    }
    let id = arguments.receipt.ok_or_else(|| anyhow!("name a receipt"))?;
    let (given, past) = Past::find(&arguments.api, id).await?;
    Ok((given, Some(past)))
}

/// The list that the module missed.
fn missing(outcome: &Outcome) -> Option<&str> {
    match &outcome.ran.result {
        Err(Failure::UnknownList(name)) => Some(name),
        _ => None,
    }
}
