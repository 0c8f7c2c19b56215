//! `portcullis receipts`: one line for each, or all of one.

mod detail;

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context, bail};
use serde_json::json;

use crate::decision::{Resolved, Verdict};
use crate::facts::{Origin, ReceiptId};
use crate::receipt::read::{Filter, Receipt, read};
use crate::receipt::{Monitored, VerdictEvent};
use crate::unicode;

/// Which receipts, and how to show them.
#[derive(clap::Args)]
pub(super) struct ReceiptsArguments {
    /// One receipt, by the id at the end of an SMTP reply; it is shown in full.
    id: Option<ReceiptId>,
    /// The configuration file, which names the data directory.
    #[arg(short, long, value_name = "FILE", default_value = "portcullis.toml")]
    config: PathBuf,
    /// The data directory, where there is no configuration file.
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    data_dir: Option<PathBuf>,
    /// Of this tenant.
    #[arg(long, value_name = "ID")]
    tenant: Option<String>,
    /// From this address or domain; "<>" is the null sender.
    #[arg(long, value_name = "ADDRESS")]
    sender: Option<String>,
    /// To this address or domain.
    #[arg(long, value_name = "ADDRESS")]
    recipient: Option<String>,
    /// Decided by this policy.
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,
    /// Only what was accepted.
    #[arg(long, conflicts_with = "refused")]
    accepted: bool,
    /// Only what was refused.
    #[arg(long)]
    refused: bool,
    /// From this day on (UTC).
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    since: Option<String>,
    /// Only the last so many.
    #[arg(long, value_name = "N")]
    last: Option<usize>,
    /// One JSON object a line: the verdict and, where there are, the second one about the
    /// content and the outcome.
    #[arg(long)]
    json: bool,
}

fn day(text: &str) -> Result<String, String> {
    let format = time::macros::format_description!("[year]-[month]-[day]");
    time::Date::parse(text, &format)
        .map(|_| text.to_owned())
        .map_err(|_| "write a day as YYYY-MM-DD".to_owned())
}

pub(super) fn receipts(arguments: &ReceiptsArguments) -> anyhow::Result<()> {
    let directory = data_directory(arguments)?.join("receipts");
    let found = read(&directory, &filter(arguments))?;
    if let (Some(id), true) = (&arguments.id, found.receipts.is_empty()) {
        bail!("no receipt {id} in {}", directory.display());
    }
    let skip = arguments
        .last
        .map_or(0, |last| found.receipts.len().saturating_sub(last));
    let mut out = io::BufWriter::new(io::stdout().lock());
    for receipt in found.receipts.iter().skip(skip) {
        match (arguments.json, &arguments.id) {
            (true, _) => writeln!(out, "{}", as_json(receipt))?,
            (false, Some(_)) => write!(out, "{}", detail::detail(receipt))?,
            (false, None) => writeln!(out, "{}", unicode::shown(&as_line(receipt)))?,
        }
    }
    out.flush().context("standard output")?;
    if found.unreadable > 0 {
        eprintln!(
            "portcullis: {} lines are no receipts and were passed over",
            found.unreadable
        );
    }
    Ok(())
}

fn data_directory(arguments: &ReceiptsArguments) -> anyhow::Result<PathBuf> {
    match &arguments.data_dir {
        Some(directory) => Ok(directory.clone()),
        None => super::check::data_dir(&arguments.config),
    }
}

fn filter(arguments: &ReceiptsArguments) -> Filter {
    Filter {
        id: arguments.id,
        tenant: arguments.tenant.clone(),
        sender: arguments.sender.clone(),
        recipient: arguments.recipient.clone(),
        policy: arguments.policy.clone(),
        accepted: match (arguments.accepted, arguments.refused) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        },
        since: arguments.since.clone(),
    }
}

fn as_json(receipt: &Receipt) -> serde_json::Value {
    match receipt {
        Receipt::Decided(verdict, content, outcome) => {
            json!({ "verdict": verdict, "content": content, "outcome": outcome })
        }
        Receipt::Relay(relay) => json!({ "relay": relay }),
    }
}

fn as_line(receipt: &Receipt) -> String {
    match receipt {
        Receipt::Decided(first, second, outcome) => {
            let v = second.as_ref().unwrap_or(first);
            let outcome = outcome
                .as_ref()
                .map(|o| format!("{:?}", o.outcome).to_lowercase());
            format!(
                "{} {} {} {} -> {} [{}] {} ({}{}){}: {}",
                v.time,
                v.id,
                v.facts.tenant,
                sender(v.facts.sender.as_ref()),
                v.facts.recipient,
                connection(v),
                decision(v),
                v.policy
                    .as_ref()
                    .map_or("no policy", |policy| policy.name.as_str()),
                v.monitored
                    .as_ref()
                    .map(|m| format!("; {} monitored: {}", m.policy.name, would(m)))
                    .unwrap_or_default(),
                outcome.map(|o| format!(" {o}")).unwrap_or_default(),
                v.reply,
            )
        }
        Receipt::Relay(r) => format!(
            "{} {} - {} -> {}: {}",
            r.time,
            r.id,
            sender(r.sender.as_ref()),
            r.recipient,
            r.reply
        ),
    }
}

fn sender(sender: Option<&crate::address::Mailbox>) -> String {
    sender.map_or("<>".to_owned(), ToString::to_string)
}

/// How the message came: `clear`, or the TLS version, and whether a proxy says so.
pub(super) fn connection(verdict: &VerdictEvent) -> String {
    match &verdict.facts.connection.tls {
        Some(tls) => match tls.origin {
            Origin::Socket => tls.version.to_string(),
            Origin::TrustedProxy => format!("{} to the proxy", tls.version),
            Origin::Proxy => format!("clear, {} to the proxy by its claim", tls.version),
        },
        None => "clear".to_owned(),
    }
}

/// What was decided, in a word, and whether it accepted.
pub(super) fn decision(event: &VerdictEvent) -> String {
    in_words(event.resolved.as_ref(), &event.verdict)
}

/// The same of a policy that was only monitored.
pub(super) fn would(monitored: &Monitored) -> String {
    in_words(monitored.resolved.as_ref(), &monitored.verdict)
}

fn in_words(resolved: Option<&Resolved>, verdict: &Verdict) -> String {
    let decision = match resolved {
        Some(Resolved::Opportunistic) => "opportunistic",
        Some(Resolved::Enforced(_)) => "enforced",
        None => "failed",
    };
    let accepted = if *verdict == Verdict::Accepted {
        "accepted"
    } else {
        "refused"
    };
    format!("{decision} {accepted}")
}
