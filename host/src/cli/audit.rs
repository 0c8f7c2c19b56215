//! `portcullis audit`.

use std::io::{self, Write};

use anyhow::Context;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::check::data_dir;
use crate::facts::TenantId;
use crate::store::{AuditFilter, AuditRecord, Store};
use crate::unicode;

/// Which changes, and how to show them.
#[derive(clap::Args)]
pub(super) struct AuditArguments {
    /// Of this tenant.
    #[arg(long, value_name = "ID")]
    tenant: Option<TenantId>,
    /// One JSON object a line, with what was there before and after.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: super::ConfigArguments,
}

/// Shows every change of the store, oldest first.
pub(super) async fn audit(arguments: &AuditArguments) -> anyhow::Result<()> {
    let store = Store::read(&data_dir(&arguments.config.config)?).await?;
    let filter = AuditFilter {
        tenant: arguments.tenant.clone(),
        page: None,
    };
    let mut out = io::BufWriter::new(io::stdout().lock());
    for record in store.audit(&filter).await? {
        match arguments.json {
            true => writeln!(out, "{}", serde_json::to_string(&record)?)?,
            false => writeln!(out, "{}", unicode::shown(&line(&record)))?,
        }
    }
    out.flush().context("standard output")
}

fn line(record: &AuditRecord) -> String {
    let made = OffsetDateTime::from_unix_timestamp(record.made);
    let made = made.ok().and_then(|time| time.format(&Rfc3339).ok());
    format!(
        "{} {} {}",
        made.unwrap_or_else(|| record.made.to_string()),
        record.who,
        record.change()
    )
}
