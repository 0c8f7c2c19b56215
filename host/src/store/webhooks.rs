//! What webhooks are told of, in the store, so that a restart repeats nothing.

use sqlx::Connection as _;
use ulid::{Generator, Overflow};

use super::error::Failure;
use super::sqlite::{self, webhook_rows};
use super::tokens::now;
use super::{Store, StoreError};
use crate::facts::TenantId;

/// The last that a webhook was told, or is to be told, of a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Last {
    /// What it is about.
    pub subject: String,
    /// Whether it is there; else it has ended.
    pub is_there: bool,
    /// What is said.
    pub body: String,
}

/// A message whose time has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// Its id: the same at each attempt.
    pub id: String,
    /// Whose.
    pub tenant: TenantId,
    /// What is said.
    pub body: String,
    /// How often it was tried.
    pub attempts: usize,
}

impl Store {
    /// The text of the secret of a tenant's webhook.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn webhook_secret(&self, tenant: &TenantId) -> Result<Option<String>, StoreError> {
        let mut connection = self.reader().await?;
        let found = webhook_rows::secret(&mut connection, tenant.as_str()).await;
        self.named(found)
    }

    /// Gives a tenant's webhook this secret. `who` is for the audit.
    ///
    /// # Errors
    /// When it cannot be written, or there is no such tenant.
    pub async fn put_webhook_secret(
        &self,
        tenant: &TenantId,
        secret: &str,
        who: &str,
    ) -> Result<(), StoreError> {
        let mut connection = self.reader().await?;
        let write = async {
            let mut transaction = connection.begin_with(sqlite::BEGIN).await?;
            webhook_rows::put_secret(&mut transaction, tenant, secret, who, now()).await?;
            Ok(transaction.commit().await?)
        };
        let written: Result<(), Failure> = write.await;
        self.settled(connection, written)
    }

    /// Has a tenant's webhook told what `news` makes of the last of each subject; what is over
    /// is forgotten.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub async fn tell_webhook(
        &self,
        tenant: &TenantId,
        news: impl FnOnce(&[Last]) -> Vec<Last>,
    ) -> Result<(), StoreError> {
        let mut connection = self.reader().await?;
        let write = async {
            let mut transaction = connection.begin_with(sqlite::BEGIN).await?;
            let last = webhook_rows::last(&mut transaction, tenant.as_str()).await?;
            // Their order is that of their ids, also within a millisecond.
            let mut ids = Generator::new();
            for message in news(&last) {
                let id = ids.generate();
                let id = id.unwrap_or_else(Overflow::commit_overflow_increment);
                let id = id.to_string();
                let tenant = tenant.as_str();
                webhook_rows::insert(&mut transaction, tenant, &id, &message, now()).await?;
            }
            webhook_rows::tidy(&mut transaction, tenant.as_str()).await?;
            Ok(transaction.commit().await?)
        };
        let written: Result<(), Failure> = write.await;
        self.settled(connection, written)
    }

    /// Forgets all that a tenant's webhook was told and is to be told.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn forget_webhook(&self, tenant: &TenantId) -> Result<(), StoreError> {
        let mut connection = self.reader().await?;
        let done = webhook_rows::forget(&mut connection, tenant.as_str()).await;
        self.settled(connection, done)
    }

    /// Messages that are due at this second since 1970, at most so many, and when the next
    /// is.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn due_webhooks(&self, limit: i64) -> Result<(Vec<Due>, Option<i64>), StoreError> {
        let mut connection = self.reader().await?;
        let read = async {
            let due = webhook_rows::due(&mut connection, now(), limit).await?;
            Ok((due, webhook_rows::next(&mut connection).await?))
        };
        let found: Result<_, Failure> = read.await;
        self.named(found)
    }

    /// A message was tried once more: it is over, or due again in so many seconds.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn webhook_attempted(
        &self,
        message: &Due,
        again: Option<u64>,
    ) -> Result<(), StoreError> {
        let attempts = i64::try_from(message.attempts + 1).unwrap_or(i64::MAX);
        let seconds = again.map(|wait| i64::try_from(wait).unwrap_or(i64::MAX));
        let due = seconds.map(|wait| now().saturating_add(wait));
        let mut connection = self.reader().await?;
        let done = webhook_rows::attempted(&mut connection, &message.id, attempts, due).await;
        self.settled(connection, done)
    }
}
