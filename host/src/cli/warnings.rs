//! `portcullis warnings`: what to do before mail breaks.

use std::path::Path;
use std::time::SystemTime;

use anyhow::bail;
use serde::{Deserialize, Serialize};

use super::api::{Ask, Client, LOADING, Target};
use super::when::days;
use super::whose::TenantArguments;
use super::{check, rows};
use crate::facts::unix_seconds;
use crate::receipt::scan::{Scan, Span};
use crate::receipt::source::Source;
use crate::unicode;
use crate::warnings::{Evidence, RECENT};
use crate::warnings::{Inquiry, PERIOD, Warning, warnings};

/// Whose, and how far ahead.
#[derive(clap::Args)]
pub(super) struct WarningsArguments {
    /// Warn of certificates that end within so long, such as 30d or 4w; at most 365d.
    #[arg(long, value_name = "DAYS", value_parser = days, default_value = "30d")]
    within: u32,
    #[command(flatten)]
    of: TenantArguments,
}

#[derive(Deserialize, Serialize)]
struct Found {
    within_days: u32,
    unwatched: u64,
    items: Vec<Warning>,
}

/// Reads the receipts of this machine, unless a URL or a socket says which host to ask.
pub(super) async fn run(arguments: &WarningsArguments) -> anyhow::Result<()> {
    let found = match arguments.of.api.target()? {
        Target::Config(path) => on_disk(&path, arguments).await?,
        Target::Url(_) | Target::Socket(_) => asked(arguments).await?,
    };
    if found.unwatched > 0 {
        let unwatched = found.unwatched;
        eprintln!("portcullis: {unwatched} decisions are about more senders than are told apart");
    }
    if arguments.of.json {
        let lines = found.items.iter().map(serde_json::to_string);
        return rows::lines(lines.collect::<Result<Vec<_>, _>>()?);
    }
    match found.items.is_empty() {
        true => rows::lines(["nothing to warn of".to_owned()]),
        false => rows::lines(found.items.iter().flat_map(shown)),
    }
}

async fn on_disk(path: &Path, arguments: &WarningsArguments) -> anyhow::Result<Found> {
    let config = check::whole(path).await?;
    let Some(tenant) = arguments.of.named() else {
        bail!("say whose mail it is with --tenant");
    };
    let Some(known) = config.tenants.iter().find(|known| known.id == *tenant) else {
        bail!("there is no tenant {:?}", tenant.as_str());
    };
    let now = unix_seconds(SystemTime::now());
    let span = Span {
        tenant: tenant.clone(),
        from: Some(now.saturating_sub(PERIOD)),
        to: None,
    };
    let mut scan = Scan::new(Source::open(&config).await?, span);
    let mut evidence = Evidence::new(now.saturating_sub(RECENT));
    while let Some(receipts) = scan.next().await? {
        receipts.iter().for_each(|receipt| evidence.add(receipt));
    }
    let inquiry = Inquiry {
        now,
        within_days: arguments.within,
    };
    let policies = known.policies.iter().map(|read| &read.policy);
    Ok(Found {
        within_days: arguments.within,
        unwatched: evidence.unwatched(),
        items: warnings(tenant, policies, &evidence, inquiry),
    })
}

async fn asked(arguments: &WarningsArguments) -> anyhow::Result<Found> {
    let client = Client::new(&arguments.of.api)?;
    let tenant = arguments.of.tenant(&client).await?;
    let ask = Ask::get(&["tenants", &tenant, "warnings"])
        .with("within_days", Some(arguments.within))
        .within(LOADING);
    Ok(client.send(ask).await?.json()?)
}

/// A line with what is told of it, and one with what to do.
fn shown(warning: &Warning) -> [String; 2] {
    let said = [
        warning.since.map(|since| format!("since {since}")),
        warning.receipt.map(|receipt| format!("receipt {receipt}")),
    ];
    let said: Vec<String> = said.into_iter().flatten().collect();
    let said = match said.is_empty() {
        true => String::new(),
        false => format!(" ({})", said.join(", ")),
    };
    let (severity, kind) = (warning.severity.as_str(), warning.kind.as_str());
    [
        format!("{severity}: {kind}{said}"),
        format!("  {}", unicode::shown(&warning.text)),
    ]
}
