//! `portcullis audit`.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::api::{ApiArguments, Ask, Client, Target, items};
use super::{check, rows};
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
    /// Only the newest so many.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    #[command(flatten)]
    api: ApiArguments,
}

/// A change with its line, as the admin API tells it.
#[derive(Deserialize, Serialize)]
struct Shown {
    number: i64,
    made: i64,
    who: String,
    tenant: String,
    what: String,
    change: String,
    was: Option<Value>,
    became: Option<Value>,
}

/// Shows every change of the store, oldest first.
pub(super) async fn audit(arguments: &AuditArguments) -> anyhow::Result<()> {
    let mut found = match arguments.api.target()? {
        Target::Config(path) => on_disk(&check::data_dir(&path)?, arguments).await?,
        Target::Url(_) | Target::Socket(_) => asked(arguments).await?,
    };
    found.reverse();
    let shown = found.iter().map(|change| match arguments.json {
        true => serde_json::to_string(change),
        false => Ok(unicode::shown(&line(change))),
    });
    rows::lines(shown.collect::<Result<Vec<_>, _>>()?)
}

/// Newest first, as pages of the API are.
async fn on_disk(data_dir: &Path, arguments: &AuditArguments) -> anyhow::Result<Vec<Shown>> {
    let store = Store::read(data_dir).await?;
    let limit = arguments
        .limit
        .map_or(i64::MAX, |limit| i64::try_from(limit).unwrap_or(i64::MAX));
    let filter = AuditFilter {
        tenant: arguments.tenant.clone(),
        page: Some((i64::MAX, limit)),
    };
    let found = store.audit(&filter).await?;
    Ok(found.into_iter().map(Shown::of).collect())
}

async fn asked(arguments: &AuditArguments) -> anyhow::Result<Vec<Shown>> {
    let client = Client::new(&arguments.api)?;
    let ask = Ask::get(&["audit"]).with("tenant", arguments.tenant.as_ref());
    rows::read(&items(&client, ask, arguments.limit).await?)
}

impl Shown {
    fn of(record: AuditRecord) -> Self {
        Self {
            change: record.change(),
            number: record.number,
            made: record.made,
            who: record.who,
            tenant: record.tenant,
            what: record.what,
            was: record.was,
            became: record.became,
        }
    }
}

fn line(change: &Shown) -> String {
    format!(
        "{} {} {}",
        rows::time(change.made),
        change.who,
        change.change
    )
}
