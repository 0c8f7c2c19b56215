//! `portcullis replay`: whom a change would refuse, by the mail of the past.

mod shown;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::bail;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use super::api::{Answer, Ask, Client, Failure};
use super::whose::TenantArguments;
use super::{check, document, rows, when};
use crate::name::Name;
use crate::policy::Moment;
use crate::replay::Findings;
use crate::unicode;

/// How long a question waits for the end, in seconds: whoever watches sees how far it is.
const WATCHED: u64 = 1;
const UNWATCHED: u64 = 30;

/// Senders that are shown unless it is said.
const SENDERS: usize = 50;

/// A candidate, and the receipts that it is asked about.
#[derive(clap::Args)]
pub(super) struct ReplayArguments {
    /// Receipts from then on: a day (UTC), a time, or how long ago, such as 2026-12-31,
    /// 2026-12-31T18:00:00Z, 7d, 12h or 30m.
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = when::since)]
    since: u64,
    /// Receipts before then.
    #[arg(long, value_name = "TIME", value_parser = when::since)]
    until: Option<u64>,
    #[command(flatten)]
    candidate: CandidateArguments,
    /// When the candidate is taken to be in force, such as 2026-12-31T18:00:00Z: dates of
    /// policies are judged then. Now unless given.
    #[arg(long, value_name = "TIME")]
    at: Option<Moment>,
    /// Show so many senders of those that would be refused.
    #[arg(long, value_name = "N", default_value_t = SENDERS)]
    senders: usize,
    #[command(flatten)]
    of: TenantArguments,
}

/// What would be.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct CandidateArguments {
    /// This policy in the place of the one of its name, or behind all others: the keys of
    /// [[policy]], its name included, as TOML or JSON; - is standard input.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Without this policy.
    #[arg(long, value_name = "POLICY")]
    without: Option<Name>,
    /// This revision of a module in the place of the active one.
    #[arg(long, value_name = "NAME@REVISION")]
    module: Option<Revision>,
    /// What this directory has for the tenant, as `apply` reads it. The host has to be
    /// able to read it, and it is asked over its socket.
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
}

/// A revision of a module.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Revision {
    name: Name,
    number: i64,
}

/// Not a revision of a module.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no revision of a module: write one such as partner-list@3")]
struct RevisionError(String);

impl FromStr for Revision {
    type Err = RevisionError;

    fn from_str(text: &str) -> Result<Self, RevisionError> {
        let none = || RevisionError(text.to_owned());
        let (name, number) = text.rsplit_once('@').ok_or_else(none)?;
        Ok(Self {
            name: name.parse().map_err(|_| none())?,
            number: number.parse().ok().filter(|n| *n > 0).ok_or_else(none)?,
        })
    }
}

/// As the host tells it.
#[derive(Deserialize)]
struct Replay {
    id: String,
    state: String,
    from: Option<String>,
    to: Option<String>,
    at: String,
    done: u64,
    of: Option<u64>,
    reason: Option<String>,
    result: Option<Findings>,
}

pub(super) async fn run(arguments: &ReplayArguments) -> anyhow::Result<()> {
    let client = Client::new(&arguments.of.api)?;
    let request = arguments.request()?;
    let tenant = arguments.of.tenant(&client).await?;
    // From here on: whoever interrupts this does not leave a replay behind.
    let mut interrupts = signal(SignalKind::interrupt())?;
    let path = ["tenants", &tenant, "replays"];
    let begun = client.send(Ask::post(&path).json(&request)?).await?;
    let begun: Replay = begun.json()?;
    let path = [path.as_slice(), &[begun.id.as_str()]].concat();
    let answer = tokio::select! {
        ended = ended(&client, &path) => ended?,
        _ = interrupts.recv() => {
            client.send(Ask::delete(&path)).await?;
            bail!("cancelled, here and on the host");
        }
    };
    let replay: Replay = answer.json()?;
    match (replay.state.as_str(), &replay.result) {
        ("done", Some(_)) if arguments.of.json => rows::lines([answer.text()]),
        ("done", Some(findings)) => shown::show(&tenant, &replay, findings, arguments.senders),
        ("cancelled", _) => bail!("it was cancelled on the host"),
        (state, _) => {
            let reason = replay.reason.as_deref().unwrap_or(state);
            bail!("it came to no end: {}", unicode::shown(reason))
        }
    }
}

/// Waits for the end, and says meanwhile how far it is where somebody watches.
async fn ended(client: &Client, path: &[&str]) -> anyhow::Result<Answer> {
    let is_watched = io::stderr().is_terminal();
    let wait = if is_watched { WATCHED } else { UNWATCHED };
    loop {
        let answer = client.send(Ask::get(path).with("wait", Some(wait))).await;
        let answer = answer.map_err(gone)?;
        let Replay {
            state, done, of, ..
        } = answer.json()?;
        if is_watched {
            // Written over by the next, or taken away.
            let said = match (state.as_str(), of) {
                ("running", Some(of)) => format!("\r{done} of {of} receipts"),
                ("running", None) => format!("\r{done} receipts"),
                _ => "\r\x1b[K".to_owned(),
            };
            eprint!("{said}");
            io::stderr().flush()?;
        }
        if state != "running" {
            return Ok(answer);
        }
    }
}

/// A host that was restarted knows nothing of it.
fn gone(failure: Failure) -> anyhow::Error {
    match failure.is_not_there() {
        true => anyhow::Error::new(failure).context("the replay was lost: was the host restarted?"),
        false => failure.into(),
    }
}

impl ReplayArguments {
    fn request(&self) -> anyhow::Result<Value> {
        let moment = |seconds| Moment::new(seconds).to_string();
        let mut request = json!({ "from": moment(self.since) });
        if let Some(until) = self.until {
            request["to"] = moment(until).into();
        }
        if let Some(at) = self.at {
            request["at"] = at.to_string().into();
        }
        let candidate = &self.candidate;
        if let Some(file) = &candidate.policy {
            request["policy"] = document::object(file)?.into();
        }
        if let Some(policy) = &candidate.without {
            request["without"] = policy.as_str().into();
        }
        if let Some(Revision { name, number }) = &candidate.module {
            request["module"] = json!({ "name": name.as_str(), "revision": number });
        }
        if let Some(directory) = &candidate.directory {
            request["directory"] = check::named(directory)?.into();
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_has_a_name_and_a_number() {
        let found: Revision = "partner-list@3".parse().expect("one");
        assert_eq!((found.name.as_str(), found.number), ("partner-list", 3));
        for text in [
            "partner-list",
            "@3",
            "partner-list@",
            "x@0",
            "x@-1",
            "x@y",
            "X@1",
        ] {
            assert!(text.parse::<Revision>().is_err(), "{text}");
        }
    }
}
