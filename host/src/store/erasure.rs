//! Erasing an address from receipts.
//!
//! **What is erased is nowhere in the file**: SQLite writes over what it removes, and the
//! log beside the file is emptied at the end. **Some receipts at a time, each time with the
//! audit's record in the same transaction**: whoever is interrupted begins again. **What
//! cannot be read is erased from as well** (`whole`), **and so is what is written later of
//! mail that was under way** (`late`).

mod late;
mod whole;

use std::time::{Duration, SystemTime};

use serde_json::{Value as Json, json};
use sqlx::Connection as _;

use super::error::Failure;
use super::sqlite::{self, Connection, queries, receipt_rows, shadow_rows};
use super::{Store, StoreError};
use crate::facts::{TenantId, unix_seconds};
use crate::receipt::eraser::Eraser;
pub(super) use late::Late;
pub(super) use whole::{Columned, Whole};

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
    /// How many of them cannot be read as receipts: damaged, or another version's. They are
    /// erased from all the same.
    pub unreadable: u64,
    /// Whether the log beside the file is empty; otherwise the address may be in there
    /// until the host is restarted.
    pub is_settled: bool,
}

/// What one step came to.
#[derive(Clone, Copy, Debug, Default)]
struct Step {
    receipts: u64,
    unreadable: u64,
}

impl Store {
    /// From now on, what is written of receipts that have begun goes without this address,
    /// in those of one tenant, or of all. What was handed over before this is to be on disk
    /// when [`Store::erase`] is called.
    pub fn erase_from_what_comes(&self, eraser: &Eraser, tenant: Option<&TenantId>) {
        self.late.remember(eraser, tenant);
    }

    /// That it is not to be erased after all.
    pub fn erase_nothing_from_what_comes(&self, eraser: &Eraser) {
        self.late.forget(eraser);
    }

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
        let (mut after, mut found, mut all) = (String::new(), Vec::new(), Step::default());
        loop {
            let page = self.wholes(tenant, &after).await?;
            let Some(last) = page.last() else { break };
            after.clone_from(&last.id);
            let has = page.into_iter().filter(|whole| whole.may_have(eraser));
            found.extend(has.map(|whole| whole.id));
            while found.len() >= CHUNK {
                let some: Vec<String> = found.drain(..CHUNK).collect();
                all += self.erase_from(eraser, &some, tenant, who, false).await?;
            }
        }
        let is_first = all.receipts == 0;
        all += self
            .erase_from(eraser, &found, tenant, who, is_first)
            .await?;
        self.forget_samples(eraser, tenant).await?;
        Ok(Erased {
            receipts: all.receipts,
            unreadable: all.unreadable,
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

    async fn wholes(&self, tenant: Option<&str>, after: &str) -> Result<Vec<Whole>, StoreError> {
        let mut connection = self.reader().await?;
        let page = receipt_rows::wholes(&mut connection, tenant, after, PAGE).await;
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
    ) -> Result<Step, StoreError> {
        let mut connection = self.reader().await?;
        let write = async {
            let mut transaction = connection.begin_with(sqlite::BEGIN).await?;
            let erased = erase_rows(&mut transaction, eraser, ids).await?;
            if erased.receipts > 0 || say_so {
                audit(&mut transaction, eraser, erased, tenant, who).await?;
            }
            transaction.commit().await?;
            Ok(erased)
        };
        let written: Result<Step, Failure> = write.await;
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

impl std::ops::AddAssign for Step {
    fn add_assign(&mut self, more: Self) {
        self.receipts += more.receipts;
        self.unreadable += more.unreadable;
    }
}

/// The caller has a transaction, so that what somebody adds meanwhile is not lost.
async fn erase_rows(c: &mut Connection, eraser: &Eraser, ids: &[String]) -> Result<Step, Failure> {
    let mut erased = Step::default();
    if ids.is_empty() {
        return Ok(erased);
    }
    for mut whole in receipt_rows::these(c, ids).await? {
        if whole.erase(eraser) {
            receipt_rows::replace(c, &whole).await?;
            shadow_rows::forget(c, &whole.id).await?;
            erased += Step {
                receipts: 1,
                unreadable: u64::from(!whole.is_readable()),
            };
        }
    }
    Ok(erased)
}

async fn audit(
    c: &mut Connection,
    eraser: &Eraser,
    erased: Step,
    tenant: Option<&str>,
    who: &str,
) -> Result<(), Failure> {
    let now = i64::try_from(unix_seconds(SystemTime::now())).unwrap_or(i64::MAX);
    let (digest, receipts) = (eraser.digest(), erased.receipts);
    let what = format!("erasure from {receipts} receipts of the address with SHA-256 {digest}");
    let mut became = json!({ "sha256": digest, "receipts": receipts });
    if erased.unreadable > 0 {
        became["unreadable"] = erased.unreadable.into();
    }
    let names = [who, tenant.unwrap_or(""), &what];
    let became = became.to_string();
    Ok(queries::insert_audit(c, now, names, [None, Some(&became)]).await?)
}
