//! Receipts whose time is over, and what goes with them.
//!
//! **A little at a time**: each transaction removes some hundred receipts, so that neither
//! a change of the configuration nor receipts that come wait for it.

use sqlx::Connection as _;

use super::error::Failure;
use super::sqlite::{self, queries, receipt_rows};
use super::{Store, StoreError};
use crate::config::{Object, Retention};
use crate::digest::Digest;
use crate::facts::ReceiptId;

/// Receipts that one transaction removes: some ten milliseconds.
const CHUNK: i64 = 500;

/// Most settings of which it is remembered that a module takes them: five for each of
/// twenty thousand policies, and some twenty megabytes.
const CHECKED: i64 = 100_000;

/// What a tenant may keep.
#[derive(Clone, Debug)]
pub struct Allowance {
    /// Empty for refused relaying, which is the operators'.
    tenant: String,
    /// What is older goes.
    oldest: ReceiptId,
    /// Most receipts.
    most: i64,
}

impl Store {
    /// What everybody of whom there are receipts may keep; for so many days, where nothing
    /// else is said. `now` is in seconds since 1970.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn allowances(&self, keep_days: u32, now: u64) -> Result<Vec<Allowance>, StoreError> {
        let mut connection = self.reader().await?;
        let read = async {
            let counts = receipt_rows::counts(&mut connection).await?;
            let operators = receipt_rows::operators(&mut connection).await?;
            let allowance = |(tenant, _): (String, i64)| {
                let known = operators.iter().find(|(id, _)| *id == tenant);
                let retention = match known {
                    // Of a tenant that is gone the host decides, as of relaying.
                    None => Retention::DEFAULT,
                    Some((_, operator)) => Retention::of(&object(operator)?),
                };
                let days = retention.days.unwrap_or(keep_days.into());
                let first = now.saturating_sub(days.saturating_mul(86_400));
                Ok(Allowance {
                    tenant,
                    oldest: ReceiptId::first_of(first),
                    most: i64::try_from(retention.receipts).unwrap_or(i64::MAX),
                })
            };
            counts.into_iter().map(allowance).collect()
        };
        let read: Result<_, Failure> = read.await;
        self.named(read)
    }

    /// Removes some of the oldest receipts that are over the allowance; how many, which is
    /// none when there are no more.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn expire(&self, allowance: &Allowance) -> Result<i64, StoreError> {
        let mut connection = self.reader().await?;
        let write = async {
            let mut transaction = connection.begin_with(sqlite::BEGIN).await?;
            let tenant = allowance.tenant.as_str();
            let oldest = allowance.oldest.to_string();
            let c = &mut *transaction;
            let mut removed = receipt_rows::expire(c, tenant, Some(&oldest), CHUNK).await?;
            if removed == 0 {
                let counts = receipt_rows::counts(&mut transaction).await?;
                let found = counts.iter().find(|(id, _)| id == tenant);
                let over = found.map_or(0, |(_, count)| count - allowance.most);
                if over > 0 {
                    let some = over.min(CHUNK);
                    removed = receipt_rows::expire(&mut transaction, tenant, None, some).await?;
                }
            }
            transaction.commit().await?;
            Ok(removed)
        };
        let written: Result<i64, Failure> = write.await;
        self.settled(connection, written)
    }

    /// When the newest receipt was made of those that were made before this second since
    /// 1970; none where there is none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn newest_receipt_before(&self, second: u64) -> Result<Option<u64>, StoreError> {
        let mut connection = self.reader().await?;
        let before = ReceiptId::first_of(second).to_string();
        let found = receipt_rows::newest_before(&mut connection, &before).await;
        let found: Option<String> = self.named(found)?;
        let id = found.and_then(|id| id.parse().ok());
        Ok(id.map(|id: ReceiptId| id.made()))
    }

    /// Removes what neither a tenant nor a receipt needs any more; `now` is in seconds
    /// since 1970.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn tidy(&self, now: u64) -> Result<(), StoreError> {
        let mut connection = self.reader().await?;
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let write = async {
            let mut transaction = connection.begin_with(sqlite::BEGIN).await?;
            receipt_rows::forget(&mut transaction).await?;
            queries::sweep(&mut transaction, now).await?;
            queries::prune_checked(&mut transaction, CHECKED).await?;
            Ok(transaction.commit().await?)
        };
        let written: Result<(), Failure> = write.await;
        self.settled(connection, written)
    }

    /// How many receipts there are of each tenant of whom there are any; the empty id
    /// stands for refused relaying.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn receipt_counts(&self) -> Result<Vec<(String, i64)>, StoreError> {
        let mut connection = self.reader().await?;
        let counts = receipt_rows::counts(&mut connection).await;
        self.named(counts)
    }

    /// A policy as it was in this revision, as JSON; none where no receipt needs it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn policy_of(&self, revision: Digest) -> Result<Option<String>, StoreError> {
        let mut connection = self.reader().await?;
        let found = receipt_rows::policy(&mut connection, &revision.to_string()).await;
        self.named(found)
    }
}

fn object(text: &str) -> Result<Object, Failure> {
    serde_json::from_str(text).map_err(|_| Failure::damaged("a document", text))
}
