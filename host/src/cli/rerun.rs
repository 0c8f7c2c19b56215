//! `portcullis rerun`: the decisions of a receipt, run again by what they were made of.

use std::process::ExitCode;

use serde::Deserialize;

use super::api::{ApiArguments, Ask, Client};
use super::rows;
use crate::decision::Decision;
use crate::facts::ReceiptId;
use crate::receipt::FailureRecord;
use crate::unicode;

/// Which receipt.
#[derive(clap::Args)]
pub(super) struct RerunArguments {
    /// The receipt, by the id at the end of an SMTP reply.
    id: ReceiptId,
    /// JSON, as the host answers it.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    api: ApiArguments,
}

#[derive(Deserialize)]
struct Report {
    same: Option<bool>,
    decisions: Vec<Again>,
}

#[derive(Deserialize)]
struct Again {
    stage: String,
    mode: String,
    policy: String,
    module: Option<String>,
    digest: Option<String>,
    then: Said,
    again: Option<Said>,
    same: Option<bool>,
    missing: Vec<String>,
}

#[derive(Deserialize)]
struct Said {
    decision: Option<Decision>,
    reason: Option<String>,
    failure: Option<FailureRecord>,
    fuel: Option<u64>,
}

/// Has a running host do it, and says by the exit code whether it came out the same.
pub(super) async fn run(arguments: &RerunArguments) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.api)?;
    let ask = Ask::post(&["receipts", &arguments.id.to_string(), "rerun"]);
    let answer = client.send(ask).await?;
    let report: Report = answer.json()?;
    rows::read_or_not(match arguments.json {
        true => rows::lines([answer.text()]),
        false => rows::lines(text(&report)?),
    })?;
    let is_same = report.same == Some(true);
    Ok(ExitCode::from(u8::from(!is_same)))
}

fn text(report: &Report) -> anyhow::Result<Vec<String>> {
    let mut lines = Vec::new();
    for again in &report.decisions {
        let Again {
            stage,
            mode,
            policy,
            ..
        } = again;
        lines.push(format!("{stage}: policy {policy} ({mode}){}", again.by()));
        lines.push(format!("  then   {}", again.then.in_words()?));
        let now = match (&again.again, again.same) {
            (Some(_), Some(true)) => "the same".to_owned(),
            (Some(said), _) => said.in_words()?,
            (None, _) => "not known".to_owned(),
        };
        lines.push(format!("  again  {now}"));
        let missing = again.missing.iter();
        lines.extend(missing.map(|what| format!("  not kept any more: {what}")));
    }
    let conclusion = match (report.decisions.len(), report.same) {
        (0, _) => "no policy applied, so there is nothing to be run again",
        (_, Some(true)) => "decision, reason and fuel are those of the receipt",
        (_, Some(false)) => {
            "it came out otherwise: see docs/store.md, \"Running a decision again\""
        }
        (_, None) => "it cannot be run again as it was",
    };
    lines.push(conclusion.to_owned());
    Ok(lines.iter().map(|line| unicode::shown(line)).collect())
}

impl Again {
    fn by(&self) -> String {
        match (&self.module, &self.digest) {
            (Some(module), Some(digest)) => format!(", module {module} with SHA-256 {digest}"),
            _ => String::new(),
        }
    }
}

impl Said {
    fn in_words(&self) -> anyhow::Result<String> {
        let mut words = match (&self.decision, &self.failure) {
            (Some(decision), _) => serde_json::to_string(decision)?,
            (None, Some(failure)) => format!("no answer ({}): {}", failure.code, failure.detail),
            (None, None) => "no answer".to_owned(),
        };
        if let Some(reason) = &self.reason {
            words += &format!(", since {reason:?}");
        }
        if let Some(fuel) = self.fuel {
            words += &format!(", with {fuel} units of fuel");
        }
        Ok(words)
    }
}
