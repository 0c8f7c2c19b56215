//! Receipts of the store.

use std::time::Duration;

use sqlx::{Connection as _, SqliteConnection};

use super::error::Failure;
use super::receipt_columns::{self, Batch, Texts};
use super::receipt_entry::Entry;
use super::shadow_columns::Shadowed;
use super::sqlite::{self, receipt_rows, shadow_rows};
use super::{Store, StoreError, file};
use crate::facts::{ReceiptId, TenantId};
use crate::name::Name;
use crate::receipt::Event;
use crate::receipt::filter::Filter;
use crate::receipt::read::Receipt;
use crate::receipt::source::Part;
use crate::tenant::in_background;

/// Longest wait for somebody else's transaction before a batch is said not to be written.
/// Changes of the configuration take less.
const BUSY: Duration = Duration::from_secs(1);

/// Writes receipts. It has a connection of its own, so that whoever reads much does not
/// keep receipts waiting.
#[derive(Debug)]
pub struct ReceiptWriter {
    store: Store,
    connection: Option<SqliteConnection>,
    /// What became of the last batch is not known: it may be there.
    unsure: bool,
    /// Tells it from other writers.
    id: String,
    /// How many events of candidates it has written.
    shadowed: i64,
}

impl ReceiptWriter {
    /// For this store, which is opened when there is something to write.
    pub fn new(store: Store) -> Self {
        Self {
            store,
            connection: None,
            unsure: false,
            id: ulid::Ulid::generate().to_string(),
            shadowed: 0,
        }
    }

    /// Writes all of it in one transaction; when this returns it is on disk. Those that
    /// no row can be made of are given.
    ///
    /// # Errors
    /// When it cannot be written. Write it again then: what is there is not written twice.
    pub async fn write(&mut self, events: &[Event]) -> Result<Vec<ReceiptId>, StoreError> {
        let (mut batch, mut wrong) = (Batch::default(), Vec::new());
        for event in events {
            match Entry::of(event.clone()) {
                Ok(entry) => batch.take(entry),
                Err(_) => wrong.push(event.id()),
            }
        }
        self.write_batch(&mut batch).await?;
        Ok(wrong)
    }

    /// The same with a batch. What an address was erased from in it stays so.
    ///
    /// # Errors
    /// When it cannot be written. Write it again then, with what has come since.
    pub(crate) async fn write_batch(&mut self, batch: &mut Batch) -> Result<(), StoreError> {
        self.store.late.erase_from(batch);
        let written = self.write_rows(batch).await;
        self.unsure = written.is_err();
        if self.unsure {
            // SQLite ends a transaction by itself when the disk is full, which the
            // connection does not know of.
            self.connection = None;
        }
        self.shadowed = written.map_err(|failure| failure.at(&self.store.path))?;
        Ok(())
    }

    /// How many events of candidates are written then. They are in their order, so what is
    /// there already is the beginning of these.
    async fn write_rows(&mut self, batch: &Batch) -> Result<i64, Failure> {
        let connection = match &mut self.connection {
            Some(open) => open,
            None => {
                // Whoever is first makes it, or brings it up to date.
                let store = &self.store;
                store
                    .pool
                    .get_or_try_init(|| file::open(&store.path))
                    .await?;
                let opened = file::connect(&self.store.path, BUSY).await?;
                self.connection.insert(opened)
            }
        };
        let mut transaction = connection.begin_with(sqlite::BEGIN).await?;
        if self.unsure {
            let ids: Vec<String> = batch.new.iter().map(|row| row.id.clone()).collect();
            let known = receipt_rows::known(&mut transaction, &ids).await?;
            let mut rest = batch.clone();
            rest.leave_out(&known.into_iter().collect());
            receipt_rows::keep(&mut transaction, &rest).await?;
        } else {
            receipt_rows::keep(&mut transaction, batch).await?;
        }
        let mut shadowed = self.shadowed;
        if !batch.shadows.is_empty() {
            if self.unsure {
                shadowed = shadow_rows::written(&mut transaction, &self.id).await?;
            }
            let there = usize::try_from(shadowed - self.shadowed).unwrap_or(0);
            let mut rest = Shadowed::of(batch.shadows.iter().skip(there));
            self.store.late.erase_from_shadowed(&mut rest);
            shadowed += rest.events;
            shadow_rows::keep(&mut transaction, &rest, &self.id, shadowed).await?;
        }
        transaction.commit().await?;
        Ok(shadowed)
    }

    /// As if nobody knew what became of the last batch.
    #[cfg(test)]
    pub(crate) fn doubt(&mut self) {
        self.unsure = true;
    }

    /// As if nobody knew that so many events of candidates were written.
    #[cfg(test)]
    pub(crate) fn rewind(&mut self, events: i64) {
        self.shadowed -= events;
    }

    /// Ends its connection.
    pub async fn close(self) {
        if let Some(connection) = self.connection {
            // What was committed is on disk.
            let _ = connection.close().await;
        }
    }
}

/// Some receipts, one after the other.
#[derive(Debug, Default)]
pub struct ReceiptPage {
    /// Those that can be read, in their order.
    pub receipts: Vec<Receipt>,
    /// How many cannot: damaged, or another version's.
    pub unreadable: u64,
    /// The last, readable or not; none where there is nothing behind it.
    pub last: Option<ReceiptId>,
}

/// What became of the mail in a policy's scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Recipients that were decided.
    pub mail: u64,
    /// Those that the policy refused.
    pub refused: u64,
}

impl Store {
    /// Receipts that pass, in their order. They are parsed beside the threads that
    /// sessions share.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn receipts(&self, filter: &Filter, part: Part) -> Result<Vec<Receipt>, StoreError> {
        let rows = self.receipt_rows(filter, part).await?;
        let parse = || rows.into_iter().map(receipt_columns::receipt).collect();
        let receipts: Result<_, Failure> = in_background(parse).await;
        self.named(receipts)
    }

    /// The same, of which those that cannot be read are passed over.
    ///
    /// # Errors
    /// When there is nothing to be read.
    pub async fn receipt_page(
        &self,
        filter: &Filter,
        part: Part,
    ) -> Result<ReceiptPage, StoreError> {
        let rows = self.receipt_rows(filter, part).await?;
        let last = rows.last().filter(|_| rows.len() >= part.limit);
        let last: Option<Result<ReceiptId, Failure>> = last.map(|(id, ..)| {
            let read = id.parse();
            read.map_err(|_| Failure::damaged("the id of a receipt", id))
        });
        let last = self.named(last.transpose())?;
        let found = rows.len();
        let parse = || rows.into_iter().map(receipt_columns::receipt);
        let receipts: Vec<Receipt> = in_background(move || parse().flatten().collect()).await;
        Ok(ReceiptPage {
            unreadable: u64::try_from(found - receipts.len()).unwrap_or(u64::MAX),
            receipts,
            last,
        })
    }

    /// How many receipts pass.
    ///
    /// # Errors
    /// When they cannot be counted.
    pub async fn count_receipts(&self, filter: &Filter) -> Result<u64, StoreError> {
        let mut connection = self.reader().await?;
        let count = receipt_rows::count_those(&mut connection, filter).await;
        let count = self.named(count)?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    async fn receipt_rows(&self, filter: &Filter, part: Part) -> Result<Vec<Texts>, StoreError> {
        let mut connection = self.reader().await?;
        let rows = receipt_rows::find(&mut connection, filter, part).await;
        self.named(rows)
    }

    /// How much mail there was in the scope of a tenant's policy since this second, from
    /// 1970 on, whether it was enforced or only monitored, and how much it refused.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn scope(
        &self,
        tenant: &TenantId,
        policy: &Name,
        since: u64,
    ) -> Result<Scope, StoreError> {
        let mut connection = self.reader().await?;
        let from = ReceiptId::first_of(since).to_string();
        let (tenant, policy) = (tenant.as_str(), policy.as_str());
        let counted = receipt_rows::scope(&mut connection, tenant, policy, &from).await;
        let (mail, refused) = self.named(counted)?;
        let number = |count| u64::try_from(count).unwrap_or(0);
        Ok(Scope {
            mail: number(mail),
            refused: number(refused),
        })
    }

    /// Whether it has any.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn has_receipts(&self) -> Result<bool, StoreError> {
        let mut connection = self.reader().await?;
        let any = receipt_rows::any(&mut connection).await;
        self.named(any)
    }
}
