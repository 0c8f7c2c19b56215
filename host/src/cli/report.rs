//! `portcullis report`: how a tenant's mail came, by sender.

mod table;
mod whole;

use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::{Context, bail};

use super::api::{Ask, Client, LOADING, Target};
use super::when::since;
use super::whose::TenantArguments;
use super::{check, rows};
use crate::facts::{Direction, TenantId, unix_seconds};
use crate::policy::Moment;
use crate::receipt::scan::{Scan, Span};
use crate::receipt::source::Source;
use crate::report::{self, Folding, Inquiry, LeftOut, Period, Report};

/// Which mail, and how it is shown.
#[derive(clap::Args)]
pub(super) struct ReportArguments {
    /// From then on: a time, a day (UTC), or such as 12h, 30d, 4w; 30 days before the end
    /// unless given.
    #[arg(long, value_name = "WHEN", value_parser = since)]
    since: Option<u64>,
    /// Before then; until now unless given.
    #[arg(long, value_name = "WHEN", value_parser = since)]
    until: Option<u64>,
    /// Only mail that goes this way, as the tenant sees it: inbound or outbound.
    #[arg(long, value_name = "DIRECTION", value_parser = super::explain::direction)]
    direction: Option<Direction>,
    /// A line for each sender, for a spreadsheet.
    #[arg(long, conflicts_with_all = ["json", "html"])]
    csv: bool,
    /// A page with charts into this file, which needs nothing else and prints well.
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    html: Option<PathBuf>,
    #[command(flatten)]
    of: TenantArguments,
}

/// Reads the receipts of this machine, unless a URL or a socket says which host to ask.
pub(super) async fn run(arguments: &ReportArguments) -> anyhow::Result<()> {
    let report = match arguments.of.api.target()? {
        Target::Config(path) => on_disk(&path, arguments).await?,
        Target::Url(_) | Target::Socket(_) => asked(arguments).await?,
    };
    if let Some(path) = &arguments.html {
        whole::write(path, report::page(&report).as_bytes())?;
        println!("{}", report.summary());
        return Ok(());
    }
    if arguments.csv {
        return table::csv(&report, io::stdout().lock()).context("standard output");
    }
    match arguments.of.json {
        true => rows::lines([serde_json::to_string(&report)?]),
        false => table::show(&report),
    }
}

async fn on_disk(path: &std::path::Path, arguments: &ReportArguments) -> anyhow::Result<Report> {
    let config = check::host(path)?;
    let Some(tenant) = arguments.of.named() else {
        bail!("say whose mail it is with --tenant");
    };
    let now = unix_seconds(SystemTime::now());
    let inquiry = Inquiry {
        tenant: tenant.clone(),
        period: arguments.period(now)?,
        direction: arguments.direction,
    };
    let span = Span {
        tenant: tenant.clone(),
        from: Some(inquiry.period.from()),
        to: Some(inquiry.period.to()),
    };
    let mut scan = Scan::new(Source::open(&config).await?, span);
    let mut folding = Folding::new(inquiry, report::SENDERS);
    while let Some(receipts) = scan.next().await? {
        receipts.iter().for_each(|receipt| folding.add(receipt));
    }
    let report = folding.finish(LeftOut::of(&scan), Moment::new(now));
    if report.total.messages == 0 {
        is_there(path, tenant).await?;
    }
    Ok(report)
}

/// Whoever has receipts has been there; of whoever has none it is looked up.
async fn is_there(path: &std::path::Path, tenant: &TenantId) -> anyhow::Result<()> {
    let config = check::whole(path).await?;
    if !config.tenants.iter().any(|known| known.id == *tenant) {
        bail!("there is no tenant {:?}", tenant.as_str());
    }
    Ok(())
}

async fn asked(arguments: &ReportArguments) -> anyhow::Result<Report> {
    let client = Client::new(&arguments.of.api)?;
    let tenant = arguments.of.tenant(&client).await?;
    // What is said to be now is the host's.
    let ask = Ask::get(&["tenants", &tenant, "report"])
        .with("from", arguments.since.map(Moment::new))
        .with("to", arguments.until.map(Moment::new))
        .with("direction", arguments.direction.map(Direction::as_str))
        .within(LOADING);
    Ok(client.send(ask).await?.json()?)
}

impl ReportArguments {
    fn period(&self, now: u64) -> anyhow::Result<Period> {
        Ok(Period::of(self.since, self.until, now)?)
    }
}
