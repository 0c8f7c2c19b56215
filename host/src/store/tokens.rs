//! The tokens of the store.

use std::time::SystemTime;

use sqlx::Connection as _;
use ulid::Ulid;

use super::administration::Page;
use super::error::Failure;
use super::sqlite::{self, Db, token_rows};
use super::token::{NewToken, Secret, Token};
use super::{Store, StoreError};
use crate::facts::{TenantId, unix_seconds};

impl Store {
    /// The token with this text, whether it has expired or not.
    ///
    /// # Errors
    /// When it cannot be looked for.
    pub async fn token_of(&self, text: &str) -> Result<Option<Token>, StoreError> {
        let mut connection = self.reader().await?;
        let found = token_rows::by_digest(&mut connection, Secret::digest_of(text)).await;
        self.named(found)
    }

    /// The token of this id.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn token(&self, id: &str) -> Result<Option<Token>, StoreError> {
        let mut connection = self.reader().await?;
        let found = token_rows::by_id(&mut connection, id).await;
        self.named(found)
    }

    /// Tokens of one tenant or all, by id.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn token_page(
        &self,
        tenant: Option<&TenantId>,
        page: &Page,
    ) -> Result<Vec<Token>, StoreError> {
        let mut connection = self.reader().await?;
        let found = token_rows::page(&mut connection, tenant, &page.after, page.limit).await;
        self.named(found)
    }

    /// Makes a token; its text is told here and never again. `who` is for the audit.
    ///
    /// # Errors
    /// When it cannot be written, when there is no such tenant, or when it has as many
    /// tokens as it may.
    pub async fn make_token(
        &self,
        new: NewToken,
        who: &str,
    ) -> Result<(Token, Secret), StoreError> {
        let secret = Secret::new().map_err(|_| {
            let error = std::io::Error::other("the system gives no random bits");
            Failure::from(error).at(&self.path)
        })?;
        let token = Token {
            id: Ulid::generate().to_string(),
            name: new.name,
            role: new.role,
            tenant: new.tenant,
            made: now(),
            who: who.to_owned(),
            expires: new.expires,
        };
        let mut connection = self.reader().await?;
        let write = async {
            let mut transaction = connection.begin_with(sqlite::BEGIN).await?;
            token_rows::insert(&mut transaction, &token, secret.digest()).await?;
            Ok(transaction.commit().await?)
        };
        let written: Result<(), Failure> = write.await;
        self.settled(connection, written)?;
        Ok((token, secret))
    }

    /// Forgets a token; false where it is gone already. `who` is for the audit.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn revoke(&self, token: &Token, who: &str) -> Result<bool, StoreError> {
        let mut connection = self.reader().await?;
        let write = async {
            let mut transaction = connection.begin_with(sqlite::BEGIN).await?;
            let done = token_rows::delete(&mut transaction, token, who, now()).await?;
            transaction.commit().await?;
            Ok(done)
        };
        let written: Result<bool, Failure> = write.await;
        self.settled(connection, written)
    }

    /// After a failed transaction nobody is to get the connection: SQLite ends one by
    /// itself when the disk is full, which the connection does not know of.
    pub(super) fn settled<T>(
        &self,
        mut connection: sqlx::pool::PoolConnection<Db>,
        written: Result<T, Failure>,
    ) -> Result<T, StoreError> {
        if written.is_err() {
            connection.close_on_drop();
        }
        self.named(written)
    }
}

pub(super) fn now() -> i64 {
    i64::try_from(unix_seconds(SystemTime::now())).unwrap_or(i64::MAX)
}
