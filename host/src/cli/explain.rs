//! `portcullis explain`: which policy applies to mail, and why no other does.
//!
//! It selects among the policies on disk, of files or of the store, or has a running host
//! do so among those in force, and asks no module.
//!
//! Exit codes beside those of every subcommand: 3 when a receipt was explained, and what
//! decided it has changed since.

mod table;

use std::net::IpAddr;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::SystemTime;

use anyhow::{anyhow, bail};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::api::{ApiArguments, Ask, Client, Target};
use super::receipts::no_receipt;
use super::{check, rows};
use crate::address::{AddressError, Mailbox};
use crate::config::{self, Config, TenantConfig};
use crate::facts::{Direction, ReceiptId, Stage, TenantId, unix_seconds};
use crate::policy::{Explanation, Inquiry, Moment, Policy, explain};
use crate::receipt::filter::Filter;
use crate::receipt::read::Receipt;
use crate::receipt::source::Source;
use crate::receipt::{VerdictEvent, since};

/// clap makes sure of it.
const INCOMPLETE: &str = "name a receipt, or --tenant, --from, --to and --client";

/// What was decided by policies that are others by now.
const CHANGED: u8 = 3;

/// A receipt, or the facts that count.
#[derive(clap::Args)]
pub(super) struct ExplainArguments {
    /// A receipt, by the id at the end of an SMTP reply.
    #[arg(required_unless_present = "tenant")]
    id: Option<ReceiptId>,
    /// Without a receipt: the tenant whose policies are meant.
    #[arg(long, value_name = "ID", conflicts_with = "id", requires_all = ["from", "to", "client"])]
    tenant: Option<TenantId>,
    /// The envelope sender; "<>" is the null sender.
    #[arg(long, value_name = "ADDRESS", requires = "tenant")]
    from: Option<Address>,
    /// The recipient.
    #[arg(long, value_name = "ADDRESS", requires = "tenant")]
    to: Option<Mailbox>,
    /// The client's address.
    #[arg(long, value_name = "IP", requires = "tenant")]
    client: Option<IpAddr>,
    /// Which way the mail goes, as the tenant sees it: inbound or outbound.
    #[arg(long, value_name = "DIRECTION", requires = "tenant", value_parser = direction)]
    direction: Option<Direction>,
    /// An address of the header From, which may be given several times, or "<>" for a
    /// header without one: what applies at the end of data, not at RCPT TO.
    #[arg(long, value_name = "ADDRESS", requires = "tenant")]
    header_from: Vec<Address>,
    /// When, such as 2026-12-31T18:00:00Z; now unless given.
    #[arg(long, value_name = "TIME", requires = "tenant")]
    at: Option<Moment>,
    /// One JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    api: ApiArguments,
}

/// An address, or nobody's.
#[derive(Clone)]
struct Address(Option<Mailbox>);

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        match text {
            "<>" => Ok(Self(None)),
            address => address.parse().map(|mailbox| Self(Some(mailbox))),
        }
    }
}

pub(super) fn direction(text: &str) -> Result<Direction, String> {
    match text {
        "inbound" => Ok(Direction::Inbound),
        "outbound" => Ok(Direction::Outbound),
        _ => Err("write inbound or outbound".to_owned()),
    }
}

/// All that is shown.
#[derive(Serialize, Deserialize)]
struct Report {
    tenant: TenantId,
    /// The receipt that was asked about.
    receipt: Option<ReceiptId>,
    question: Inquiry,
    explanation: Explanation,
    /// What decided the receipt and is different by now; none without a receipt.
    changes: Option<Vec<String>>,
}

/// Explains, and says by the exit code whether a receipt would be decided by the same.
pub(super) async fn run(arguments: &ExplainArguments) -> anyhow::Result<ExitCode> {
    let report: Report = match arguments.api.target()? {
        Target::Config(path) => on_disk(&check::whole(&path).await?, arguments).await?,
        Target::Url(_) | Target::Socket(_) => in_force(arguments).await?,
    };
    let text = match arguments.json {
        true => serde_json::to_string(&report)?,
        false => table::text(&report).trim_end_matches('\n').to_owned(),
    };
    rows::read_or_not(rows::lines([text]))?;
    let is_changed = report.changes.is_some_and(|changes| !changes.is_empty());
    Ok(ExitCode::from(if is_changed { CHANGED } else { 0 }))
}

/// By what a running host has in force.
async fn in_force(arguments: &ExplainArguments) -> anyhow::Result<Report> {
    let client = Client::new(&arguments.api)?;
    let ask = match (arguments.id, asked(arguments)) {
        (Some(id), _) => Ask::get(&["receipts", &id.to_string(), "explanation"]),
        (None, Some((tenant, question))) => {
            let header = !arguments.header_from.is_empty();
            Ask::post(&["tenants", tenant.as_str(), "explanations"]).json(&json!({
                "from": question.sender,
                "to": question.recipient,
                "client": question.client,
                "direction": question.direction,
                "header_from": header.then_some(&question.header_from),
                "at": arguments.at,
            }))?
        }
        (None, None) => bail!(INCOMPLETE),
    };
    Ok(client.send(ask).await?.json()?)
}

async fn on_disk(config: &Config, arguments: &ExplainArguments) -> anyhow::Result<Report> {
    match (arguments.id, asked(arguments)) {
        (Some(id), _) => of_receipt(config, id).await,
        (None, Some((id, question))) => {
            let tenant = tenant(config, id)?;
            Ok(Report {
                tenant: tenant.id.clone(),
                receipt: None,
                explanation: explained(tenant, &question),
                question,
                changes: None,
            })
        }
        (None, None) => bail!(INCOMPLETE),
    }
}

async fn of_receipt(config: &Config, id: ReceiptId) -> anyhow::Result<Report> {
    let event = verdict(config, id).await?;
    let tenant = tenant(config, &event.facts.tenant)?;
    let question = Inquiry::new(&event.facts);
    let explanation = explained(tenant, &question);
    let changes = since::changes(&event, &explanation, &tenant.lists);
    Ok(Report {
        tenant: tenant.id.clone(),
        receipt: Some(id),
        question,
        explanation,
        changes: Some(changes),
    })
}

async fn verdict(config: &Config, id: ReceiptId) -> anyhow::Result<Box<VerdictEvent>> {
    let source = Source::open(config).await?;
    let found = source.one(&Filter::of(id)).await?;
    if found.as_ref().is_some_and(Receipt::is_erased) {
        bail!("an address of receipt {id} was erased, so it cannot be explained");
    }
    match found {
        Some(Receipt::Decided(first, second, _)) => Ok(second.unwrap_or(first)),
        Some(Receipt::Relay(relay)) => bail!(
            "no policy was asked for receipt {id}: no tenant has the domain of {}",
            relay.recipient
        ),
        None => bail!(no_receipt(id, &source)),
    }
}

/// Whose policies, and what is asked of them, unless it is about a receipt.
fn asked(arguments: &ExplainArguments) -> Option<(&TenantId, Inquiry)> {
    let ExplainArguments {
        tenant: Some(tenant),
        from: Some(Address(sender)),
        to: Some(recipient),
        client: Some(client),
        header_from,
        ..
    } = arguments
    else {
        return None;
    };
    let question = Inquiry {
        now: arguments
            .at
            .unwrap_or_else(|| Moment::new(unix_seconds(SystemTime::now()))),
        stage: if header_from.is_empty() {
            Stage::Recipient
        } else {
            Stage::Content
        },
        direction: arguments.direction.unwrap_or(Direction::Inbound),
        sender: sender.clone(),
        header_from: header_from.iter().filter_map(|a| a.0.clone()).collect(),
        recipient: recipient.clone(),
        client: *client,
    };
    Some((tenant, question))
}

fn tenant<'a>(config: &'a Config, id: &TenantId) -> anyhow::Result<&'a TenantConfig> {
    let found = config.tenants.iter().find(|tenant| tenant.id == *id);
    found.ok_or_else(|| {
        let known = config.tenants.iter().map(|tenant| tenant.id.as_str());
        let hint = config::similar(id.as_str(), known)
            .map(|known| format!("; did you mean {known:?}?"))
            .unwrap_or_default();
        anyhow!("there is no tenant {:?}{hint}", id.as_str())
    })
}

fn explained(tenant: &TenantConfig, question: &Inquiry) -> Explanation {
    let policies = tenant.policies.iter().map(|read| read.policy.clone());
    let policies: Vec<Policy> = policies.collect();
    let question = question.of(&tenant.domains, &tenant.lists);
    explain(&policies, &tenant.exempt, &question)
}
