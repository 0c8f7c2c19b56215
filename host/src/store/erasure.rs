//! Erasing an address from receipts.
//!
//! **What is erased is nowhere in the file**: SQLite writes over what it removes, and the
//! log beside the file is emptied at the end. **Some receipts at a time, each time with the
//! audit's record in the same transaction**: whoever is interrupted begins again.

use std::time::{Duration, SystemTime};

use serde_json::{Value as Json, json};
use sqlx::Connection as _;

use super::error::Failure;
use super::receipt_columns::{self, Row, Texts};
use super::sqlite::{self, Connection, queries, receipt_rows, shadow_rows};
use super::{Store, StoreError};
use crate::facts::{TenantId, unix_seconds};
use crate::receipt::eraser::Eraser;

/// Receipts that are read at a time.
const PAGE: i64 = 500;

/// Receipts that one transaction changes: some ten milliseconds.
const CHUNK: usize = 200;

/// How often the log is tried to be emptied, which whoever reads meanwhile keeps us from.
const TRIES: u32 = 30;
const PAUSE: Duration = Duration::from_secs(1);

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Erased {
    /// How many receipts had the address.
    pub receipts: u64,
    /// Whether the log beside the file is empty; otherwise the address may be in there
    /// until the host is restarted.
    pub is_settled: bool,
}

impl Store {
    /// Erases an address from the receipts of one tenant, or of all. `who` is for the audit.
    ///
    /// # Errors
    /// When it cannot be read or written. Then some receipts may have the address still.
    pub async fn erase(
        &self,
        eraser: &Eraser,
        tenant: Option<&TenantId>,
        who: &str,
    ) -> Result<Erased, StoreError> {
        let tenant = tenant.map(TenantId::as_str);
        let (mut after, mut found, mut receipts) = (String::new(), Vec::new(), 0);
        loop {
            let page = self.texts(tenant, &after).await?;
            let Some(last) = page.last() else { break };
            after.clone_from(&last.0);
            let has = page.iter().filter(|texts| may_have(eraser, texts));
            found.extend(has.map(|texts| texts.0.clone()));
            while found.len() >= CHUNK {
                let some: Vec<String> = found.drain(..CHUNK).collect();
                receipts += self.erase_from(eraser, &some, tenant, who, false).await?;
            }
        }
        let is_first = receipts == 0;
        receipts += self
            .erase_from(eraser, &found, tenant, who, is_first)
            .await?;
        self.forget_samples(eraser, tenant).await?;
        Ok(Erased {
            receipts,
            is_settled: self.settle().await,
        })
    }

    /// Removes what candidates have said of the address in receipts of others.
    async fn forget_samples(
        &self,
        eraser: &Eraser,
        tenant: Option<&str>,
    ) -> Result<(), StoreError> {
        let mut after = String::new();
        loop {
            let mut connection = self.reader().await?;
            let page = shadow_rows::receipts(&mut connection, tenant, &after, PAGE).await;
            let page = self.named(page)?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after.clone_from(last);
            for receipt in &page {
                let answers = shadow_rows::of_receipt(&mut connection, receipt).await;
                let has = |(.., answer): &(String, String, String)| {
                    let read: Result<Json, _> = serde_json::from_str(answer);
                    read.is_ok_and(|mut answer| eraser.erase(&mut answer))
                };
                if self.named(answers)?.iter().any(has) {
                    let forgotten = shadow_rows::forget(&mut connection, receipt).await;
                    self.named(forgotten)?;
                }
            }
        }
    }

    async fn texts(&self, tenant: Option<&str>, after: &str) -> Result<Vec<Texts>, StoreError> {
        let mut connection = self.reader().await?;
        let page = receipt_rows::texts(&mut connection, tenant, after, PAGE).await;
        self.named(page)
    }

    /// Erases it from these receipts, and says so in the audit; of none only where that
    /// has to be said, too.
    async fn erase_from(
        &self,
        eraser: &Eraser,
        ids: &[String],
        tenant: Option<&str>,
        who: &str,
        say_so: bool,
    ) -> Result<u64, StoreError> {
        let mut connection = self.reader().await?;
        let write = async {
            let mut transaction = connection.begin_with(sqlite::BEGIN).await?;
            let erased = erase_rows(&mut transaction, eraser, ids).await?;
            if erased > 0 || say_so {
                audit(&mut transaction, eraser, erased, tenant, who).await?;
            }
            transaction.commit().await?;
            Ok(erased)
        };
        let written: Result<u64, Failure> = write.await;
        self.settled(connection, written)
    }

    /// Whether all that was committed is in the one file, and nothing beside it.
    async fn settle(&self) -> bool {
        for _ in 0..TRIES {
            let settled = async {
                let mut connection = self.connection().await?;
                Ok(sqlite::checkpoint(&mut connection).await?)
            };
            let settled: Result<bool, Failure> = settled.await;
            if settled.unwrap_or(false) {
                return true;
            }
            tokio::time::sleep(PAUSE).await;
        }
        false
    }
}

fn may_have(eraser: &Eraser, (_, _, event, content, outcome): &Texts) -> bool {
    let rest = content.iter().chain(outcome);
    std::iter::once(event)
        .chain(rest)
        .any(|text| eraser.may_be_in(text))
}

/// The caller has a transaction, so that what somebody adds meanwhile is not lost.
async fn erase_rows(c: &mut Connection, eraser: &Eraser, ids: &[String]) -> Result<u64, Failure> {
    let mut erased = 0;
    if ids.is_empty() {
        return Ok(erased);
    }
    for texts in receipt_rows::these(c, ids).await? {
        if let Some(row) = erased_row(eraser, texts)? {
            receipt_rows::replace(c, &row).await?;
            shadow_rows::forget(c, &row.id).await?;
            erased += 1;
        }
    }
    Ok(erased)
}

/// The row with the mark in the address' place; none where it is not there.
fn erased_row(eraser: &Eraser, texts: Texts) -> Result<Option<Row>, Failure> {
    let (id, verdict, event, content, outcome) = texts;
    let mut is_there = false;
    let mut erase = |text: String| {
        let mut event: Json = serde_json::from_str(&text)
            .map_err(|_| Failure::damaged("a receipt that can be read", &id))?;
        is_there |= eraser.erase(&mut event);
        Ok::<_, Failure>(event.to_string())
    };
    let event = erase(event)?;
    let content = content.map(&mut erase).transpose()?;
    let outcome = outcome.map(&mut erase).transpose()?;
    if !is_there {
        return Ok(None);
    }
    let texts = (id, verdict, event, content, outcome);
    receipt_columns::row(texts).map(Some)
}

async fn audit(
    c: &mut Connection,
    eraser: &Eraser,
    receipts: u64,
    tenant: Option<&str>,
    who: &str,
) -> Result<(), Failure> {
    let now = i64::try_from(unix_seconds(SystemTime::now())).unwrap_or(i64::MAX);
    let digest = eraser.digest();
    let what = format!("erasure from {receipts} receipts of the address with SHA-256 {digest}");
    let became = json!({ "sha256": digest, "receipts": receipts }).to_string();
    let names = [who, tenant.unwrap_or(""), &what];
    Ok(queries::insert_audit(c, now, names, [None, Some(&became)]).await?)
}
