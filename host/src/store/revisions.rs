//! Revisions of modules: kept when they are received, noted what becomes of them.
//!
//! Receiving one is a change of its own: it is in the audit, and the tenant's document is
//! as it was. It becomes part of the document when it is made active, by an
//! [`Edit`](super::Edit).

use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use sqlx::Connection as _;
use utoipa::ToSchema;

use super::error::Failure;
use super::sqlite::{self, listing, revision_rows};
use super::tokens::now;
use super::{ModuleRevision, Store, StoreError};
use crate::digest::Digest;
use crate::facts::TenantId;
use crate::name::Name;

/// Most revisions of one tenant that wait for the engine: nobody fills the disk with what
/// the engine has not looked at.
pub(super) const WAITING: i64 = 16;

/// A module that somebody uploads.
#[derive(Clone, Copy, Debug)]
pub struct Upload<'a> {
    /// Whose.
    pub tenant: &'a TenantId,
    /// Of which module; it need not be there yet.
    pub module: &'a Name,
    /// The bytes.
    pub bytes: &'a [u8],
    /// Their SHA-256.
    pub digest: Digest,
}

/// What an upload turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// A new revision.
    New,
    /// One that was refused before, to be looked at again.
    Again,
    /// One that is kept.
    Known,
}

/// What became of a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RevisionState {
    /// It waits for the engine.
    Received,
    /// The engine looks at it.
    Compiling,
    /// The engine does not take it.
    Refused,
    /// It can be made active, and policies may pin it.
    Ready,
}

/// A revision that waits for the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Whose.
    pub tenant: TenantId,
    /// Of which module.
    pub module: String,
    /// Which.
    pub number: i64,
    /// Of its bytes.
    pub digest: Digest,
}

impl RevisionState {
    const ALL: [Self; 4] = [Self::Received, Self::Compiling, Self::Refused, Self::Ready];

    /// As it is kept and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Compiling => "compiling",
            Self::Refused => "refused",
            Self::Ready => "ready",
        }
    }

    /// Whether the engine has still to say something.
    pub fn is_waiting(self) -> bool {
        matches!(self, Self::Received | Self::Compiling)
    }
}

impl fmt::Display for RevisionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for RevisionState {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut all = Self::ALL.into_iter();
        all.find(|state| state.as_str() == text).ok_or(())
    }
}

impl Store {
    /// Keeps an upload as a revision: which one it is, and what it turned out to be. When
    /// this returns it is on disk. `who` is for the audit.
    ///
    /// # Errors
    /// When it cannot be written, when there is no such tenant, or when it is over what
    /// the tenant may keep.
    pub async fn receive(
        &self,
        upload: &Upload<'_>,
        who: &str,
    ) -> Result<(ModuleRevision, Arrival), StoreError> {
        let mut connection = self.reader().await?;
        let write = async {
            let mut transaction = connection.begin_with(sqlite::BEGIN).await?;
            let done = revision_rows::receive(&mut transaction, upload, who, now()).await?;
            transaction.commit().await?;
            Ok(done)
        };
        let written: Result<(i64, Arrival), Failure> = write.await;
        let (number, arrival) = self.settled(connection, written)?;
        let revision = self.module_revision(upload.tenant, upload.module.as_str(), number);
        match revision.await? {
            Some(revision) => Ok((revision, arrival)),
            None => Err(StoreError::Stale(upload.tenant.clone())),
        }
    }

    /// A revision; none where there is none of this number.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn module_revision(
        &self,
        tenant: &TenantId,
        module: &str,
        number: i64,
    ) -> Result<Option<ModuleRevision>, StoreError> {
        let mut connection = self.reader().await?;
        let row = listing::revision(&mut connection, tenant.as_str(), module, number).await;
        let row = self.named(row)?;
        self.named(row.map(super::administration::revision).transpose())
    }

    /// The revisions that wait for the engine, the oldest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn waiting(&self) -> Result<Vec<Waiting>, StoreError> {
        let mut connection = self.reader().await?;
        let found = revision_rows::waiting(&mut connection).await;
        self.named(found)
    }

    /// Notes what became of a revision that waits; false where it waits no more.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn note_revision(
        &self,
        waiting: &Waiting,
        state: RevisionState,
        reason: Option<&str>,
    ) -> Result<bool, StoreError> {
        let mut connection = self.reader().await?;
        let write = async {
            let mut transaction = connection.begin_with(sqlite::BEGIN).await?;
            let done = revision_rows::note(&mut transaction, waiting, state, reason).await?;
            transaction.commit().await?;
            Ok(done)
        };
        let written: Result<bool, Failure> = write.await;
        self.settled(connection, written)
    }

    /// Removes a module that was never active; false where there is none. `who` is for the
    /// audit.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn forget_module(
        &self,
        tenant: &TenantId,
        module: &str,
        who: &str,
    ) -> Result<bool, StoreError> {
        let mut connection = self.reader().await?;
        let write = async {
            let mut transaction = connection.begin_with(sqlite::BEGIN).await?;
            let done = revision_rows::forget(&mut transaction, tenant, module, who, now()).await?;
            transaction.commit().await?;
            Ok(done)
        };
        let written: Result<bool, Failure> = write.await;
        self.settled(connection, written)
    }
}
