//! `portcullis receipts`: one line for each, or all of one.

mod asked;
mod detail;

use std::io::{self, Write};
use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::{Context, bail};
use serde_json::json;

use super::api::{ApiArguments, Target};
use super::check;
use super::when::since;
use crate::decision::{Resolved, Verdict};
use crate::facts::{Origin, ReceiptId, TenantId};
use crate::receipt::filter::{AddressFilter, Filter};
use crate::receipt::read::Receipt;
use crate::receipt::source::{self, Part, Source};
use crate::receipt::{Monitored, VerdictEvent};
use crate::unicode;

/// Receipts that are in memory at a time.
const PAGE: usize = 1000;

/// Which receipts, and how to show them.
#[derive(clap::Args)]
pub(super) struct ReceiptsArguments {
    /// One receipt, by the id at the end of an SMTP reply; it is shown in full.
    id: Option<ReceiptId>,
    /// The data directory, where there is no configuration file.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["config", "url", "socket"])]
    data_dir: Option<PathBuf>,
    /// Look into the day files, also where receipts are in the store.
    #[arg(long, conflicts_with_all = ["url", "socket"])]
    files: bool,
    /// Of this tenant.
    #[arg(long, value_name = "ID")]
    tenant: Option<TenantId>,
    /// From this address or domain; "<>" is the null sender.
    #[arg(long, value_name = "ADDRESS")]
    sender: Option<AddressFilter>,
    /// To this address or domain.
    #[arg(long, value_name = "ADDRESS")]
    recipient: Option<AddressFilter>,
    /// From a client of this address.
    #[arg(long, value_name = "IP")]
    client: Option<IpAddr>,
    /// Decided by this policy, the last time.
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,
    /// Only what was accepted.
    #[arg(long, conflicts_with = "refused")]
    accepted: bool,
    /// Only what was refused here. What a next hop refused was accepted here, and its outcome
    /// says so.
    #[arg(long)]
    refused: bool,
    /// From then on: a day (UTC), a time, or how long ago, such as 2026-12-31,
    /// 2026-12-31T18:00:00Z, 7d, 12h or 30m.
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<u64>,
    /// Before then.
    #[arg(long, value_name = "TIME", value_parser = since)]
    until: Option<u64>,
    /// Only the last so many.
    #[arg(long, value_name = "N")]
    last: Option<usize>,
    /// One JSON object a line: the verdict and, where there are, the second one about the
    /// content and the outcome.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    api: ApiArguments,
}

/// Shows those of this machine, unless a URL or a socket says which host to ask.
pub(super) async fn receipts(arguments: &ReceiptsArguments) -> anyhow::Result<()> {
    let is_here = arguments.data_dir.is_some() || arguments.files;
    if !is_here && !matches!(arguments.api.target()?, Target::Config(_)) {
        return asked::show(arguments).await;
    }
    let source = source(arguments).await?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    match arguments.id {
        Some(id) => show_one(&mut out, &source, id, arguments).await?,
        None => show_many(&mut out, &source, arguments).await?,
    }
    out.flush().context("standard output")
}

/// What there is to say where a receipt is not to be found.
pub(super) fn no_receipt(id: ReceiptId, source: &Source) -> String {
    let place = source.place().display();
    format!("no receipt {id} in {place}; one of the last second may not be written yet")
}

/// All of one, and the policy that decided as it was then.
async fn show_one(
    out: &mut impl Write,
    source: &Source,
    id: ReceiptId,
    arguments: &ReceiptsArguments,
) -> anyhow::Result<()> {
    let Some(receipt) = source.one(&filter(arguments)).await? else {
        bail!(no_receipt(id, source));
    };
    let shadows = source.shadows(&receipt).await?;
    if arguments.json {
        let mut json = as_json(&receipt);
        if !shadows.is_empty() {
            json["shadows"] = json!(shadows);
        }
        writeln!(out, "{json}")?;
    } else {
        let policy = source.policy(&receipt).await?;
        let answers = shadows.into_iter().map(|shadow| {
            let answer = serde_json::from_value(shadow.answer);
            answer.map(|answer| (shadow.stage, answer))
        });
        let answers = answers.collect::<Result<Vec<_>, _>>()?;
        let shown = detail::detail(&receipt, policy.as_deref(), &answers);
        write!(out, "{shown}")?;
    }
    Ok(())
}

async fn show_many(
    out: &mut impl Write,
    source: &Source,
    arguments: &ReceiptsArguments,
) -> anyhow::Result<()> {
    let filter = filter(arguments);
    let mut part = Part {
        newest_first: arguments.last.is_some(),
        after: None,
        limit: match (arguments.last, source) {
            (Some(last), _) => last,
            (None, Source::Store(_)) => PAGE,
            // Files are read once.
            (None, Source::Files(_)) => usize::MAX,
        },
    };
    loop {
        let mut found = source.find(&filter, part).await?;
        part.after = found.receipts.last().map(Receipt::id);
        let is_end = part.newest_first || found.receipts.len() < part.limit;
        if part.newest_first {
            found.receipts.reverse();
        }
        for receipt in &found.receipts {
            let line = match arguments.json {
                true => as_json(receipt).to_string(),
                false => unicode::shown(&as_line(receipt)),
            };
            writeln!(out, "{line}")?;
        }
        if found.unreadable > 0 {
            let lines = found.unreadable;
            eprintln!("portcullis: {lines} lines are no receipts and were passed over");
        }
        if is_end {
            return Ok(());
        }
    }
}

async fn source(arguments: &ReceiptsArguments) -> anyhow::Result<Source> {
    let data_dir = match &arguments.data_dir {
        Some(directory) => directory.clone(),
        None => {
            let config = check::host(arguments.api.config_file())?;
            if !arguments.files {
                return Ok(Source::open(&config).await?);
            }
            config.data_dir
        }
    };
    match arguments.files {
        true => Ok(Source::Files(source::directory(&data_dir))),
        false => Ok(Source::guess(&data_dir).await?),
    }
}

fn filter(arguments: &ReceiptsArguments) -> Filter {
    Filter {
        id: arguments.id,
        tenant: arguments.tenant.clone(),
        sender: arguments.sender.clone(),
        recipient: arguments.recipient.clone(),
        client: arguments.client,
        policy: arguments.policy.clone(),
        accepted: match (arguments.accepted, arguments.refused) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        },
        from: arguments.since,
        to: arguments.until,
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
