//! The store: everything persistent about tenants, in one file of the data directory.
//!
//! **What is in it is consistent after a kill at any moment**: a change is one
//! transaction, written through to the disk before it is said to be done. **Every change
//! is in the audit**, in the same transaction. **SQL stops here**: what goes in and comes
//! out are documents of tenants, which the reader of `config` judges as it judges files.
//! The mail side never reads the store; it reads the snapshot made of it.
//!
//! Read in this order: `migrations` (what is kept), `queries`, `tenants` (documents from
//! rows and back), `difference`, and `file` (SQLite and its errors); `administration` is
//! what the admin API reads, `revisions` what becomes of uploaded modules, and `token` who
//! may ask it.

mod administration;
mod audit;
mod backup;
mod difference;
mod erasure;
mod error;
mod file;
mod migrations;
#[cfg(test)]
mod postgres;
mod receipt_columns;
mod receipt_entry;
mod receipts;
mod retention;
mod revisions;
mod shadow_columns;
mod shadows;
mod sqlite;
mod then;
mod token;
mod tokens;
mod webhooks;

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

pub use administration::{
    KeptList, KeptModule, KeptPolicy, KeptTenant, ListEntry, ModuleRevision, Page,
};
pub use audit::{AuditFilter, AuditRecord};
pub use difference::{Change, Edit, Kept, Subject};
pub use erasure::Erased;
pub use error::StoreError;
pub(crate) use receipt_columns::Batch;
pub(crate) use receipt_entry::Entry;
pub use receipts::{ReceiptPage, ReceiptWriter, Scope};
pub use retention::Allowance;
pub use revisions::{Arrival, RevisionState, Upload, Waiting};
pub use shadows::{KeptShadow, ShadowAnswer, ShadowPair, ShadowSample, ShadowSender, ShadowSide};
pub use token::{NewToken, Role, Secret, Token};
pub use webhooks::{Due, Last};

use bytes::Bytes;
use sqlx::Connection as _;
use sqlx::pool::PoolConnection;
use tokio::sync::OnceCell;

use error::Failure;
use sqlite::{Db, tenants};

use crate::config::TenantDocument;
use crate::digest::Digest;
use crate::facts::{TenantId, unix_seconds};
use crate::lists::List;

/// The store of a host. A clone is another handle of the same.
#[derive(Clone, Debug)]
pub struct Store {
    path: PathBuf,
    /// Empty until it could be opened.
    pool: Arc<OnceCell<sqlx::Pool<Db>>>,
    /// Addresses that are not to come back.
    late: Arc<erasure::Late>,
}

/// Which version of a tenant there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// Counts its changes, from one.
    pub revision: i64,
    /// Of its document.
    pub digest: Digest,
}

/// Settings in which modules found no fault when they were asked.
#[derive(Clone, Debug)]
pub struct Checked {
    /// What the answers depend on beside module and settings.
    pub engine: Digest,
    /// Digests of module and settings.
    pub pairs: Vec<(Digest, Digest)>,
}

impl Checked {
    /// Nothing, by such an engine.
    pub fn nothing(engine: Digest) -> Self {
        Self {
            engine,
            pairs: Vec::new(),
        }
    }
}

impl Store {
    /// The file in this data directory.
    pub fn path(data_dir: &Path) -> PathBuf {
        data_dir.join(file::NAME)
    }

    /// Its file.
    pub fn file(&self) -> &Path {
        &self.path
    }

    /// Whether a host has made it.
    ///
    /// # Errors
    /// When nobody can say, most often since the caller may not look there.
    pub fn is_there(data_dir: &Path) -> Result<bool, StoreError> {
        let path = Self::path(data_dir);
        let there = path.try_exists();
        there.map_err(|error| Failure::from(error).at(&path))
    }

    /// The store of this data directory for the host, of which there is one. It is opened,
    /// and what is missing of it made, when it is wanted: again and again until it can be.
    pub fn of(data_dir: &Path) -> Self {
        Self {
            path: Self::path(data_dir),
            pool: Arc::default(),
            late: Arc::default(),
        }
    }

    /// The same, opened.
    ///
    /// # Errors
    /// When it cannot be read or written, is damaged, or a newer host's.
    pub async fn open(data_dir: &Path) -> Result<Self, StoreError> {
        let store = Self::of(data_dir);
        match store.connection().await {
            Ok(_) => Ok(store),
            Err(failure) => Err(failure.at(&store.path)),
        }
    }

    /// Opens the store of this data directory for reading, beside the host or without it.
    ///
    /// # Errors
    /// When there is none, or it cannot be read, is damaged, or a newer host's.
    pub async fn read(data_dir: &Path) -> Result<Self, StoreError> {
        let path = Self::path(data_dir);
        let opened = file::read(&path).await;
        match opened {
            Ok(pool) => Ok(Self {
                path,
                pool: Arc::new(OnceCell::new_with(Some(pool))),
                late: Arc::default(),
            }),
            Err(failure) => Err(failure.at(&path)),
        }
    }

    /// The same, as it is at this moment for as long as it is open: what somebody changes
    /// meanwhile is not seen at all.
    ///
    /// # Errors
    /// As above.
    pub async fn read_at_this_moment(data_dir: &Path) -> Result<Self, StoreError> {
        let store = Self::read(data_dir).await?;
        let begun = async {
            let mut connection = store.connection().await?;
            Ok(sqlite::begin_reading(&mut connection).await?)
        };
        let begun: Result<(), Failure> = begun.await;
        match begun {
            Ok(()) => Ok(store),
            Err(failure) => Err(failure.at(&store.path)),
        }
    }

    async fn connection(&self) -> Result<PoolConnection<Db>, Failure> {
        let opening = self.pool.get_or_try_init(|| file::open(&self.path));
        Ok(opening.await?.acquire().await?)
    }

    /// Which tenants there are.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn versions(&self) -> Result<BTreeMap<TenantId, Version>, StoreError> {
        let read = async {
            let mut connection = self.connection().await?;
            tenants::versions(&mut connection).await
        };
        read.await.map_err(|failure| failure.at(&self.path))
    }

    /// These tenants; those that there are not are left out. Lists that `known` has by
    /// their digests are not read.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn documents(
        &self,
        ids: impl IntoIterator<Item = &TenantId>,
        known: impl Fn(Digest) -> Option<Arc<List>>,
    ) -> Result<Vec<Kept>, StoreError> {
        let read = async {
            let mut connection = self.connection().await?;
            let mut found = Vec::new();
            for id in ids {
                found.extend(tenants::document(&mut connection, id, &known).await?);
            }
            Ok(found)
        };
        read.await
            .map_err(|failure: Failure| failure.at(&self.path))
    }

    /// The bytes of a module.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn module(&self, digest: Digest) -> Result<Bytes, StoreError> {
        let read = async {
            let mut connection = self.connection().await?;
            tenants::module(&mut connection, digest).await
        };
        read.await.map_err(|failure| failure.at(&self.path))
    }

    /// Every module whose bytes are kept.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn module_digests(&self) -> Result<Vec<Digest>, StoreError> {
        let read = async {
            let mut connection = self.connection().await?;
            tenants::modules(&mut connection).await
        };
        read.await.map_err(|failure| failure.at(&self.path))
    }

    /// Those of these pairs of module and settings in which no fault was found by such an
    /// engine.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn checked(
        &self,
        wanted: &[(Digest, Digest)],
        engine: Digest,
    ) -> Result<HashSet<(Digest, Digest)>, StoreError> {
        let read = async {
            let mut connection = self.connection().await?;
            tenants::checked(&mut connection, wanted, engine).await
        };
        read.await.map_err(|failure| failure.at(&self.path))
    }

    /// What makes the tenants these and no others.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn plan(&self, wanted: &[Arc<TenantDocument>]) -> Result<Vec<Edit>, StoreError> {
        let versions = self.versions().await?;
        let wanted: BTreeMap<&TenantId, &Arc<TenantDocument>> = wanted
            .iter()
            .map(|document| (&document.id, document))
            .collect();
        let mut edits = Vec::new();
        for (id, after) in &wanted {
            let version = versions.get(id);
            if version.is_none_or(|version| version.digest != after.digest()) {
                let before = self.before(id, after).await?;
                edits.extend(Edit::new(before, Some(Arc::clone(after))));
            }
        }
        let gone: Vec<_> = versions
            .keys()
            .filter(|id| !wanted.contains_key(id))
            .collect();
        let gone = self.documents(gone, |_| None).await?;
        edits.extend(
            gone.into_iter()
                .filter_map(|kept| Edit::new(Some(kept), None)),
        );
        Ok(edits)
    }

    /// Lists that stay as they are need not be read.
    async fn before(
        &self,
        id: &TenantId,
        after: &TenantDocument,
    ) -> Result<Option<Kept>, StoreError> {
        let known = |digest| {
            let mut lists = after.lists.iter().map(|(_, list)| list);
            lists.find(|list| list.digest() == digest).cloned()
        };
        let before = self.documents([id], known).await?;
        Ok(before.into_iter().next())
    }

    /// Does all of it, or nothing, and notes what was checked. When this returns it is on
    /// disk. `who` is for the audit. That a note alone cannot be made is no error: modules
    /// are asked again then.
    ///
    /// # Errors
    /// When it cannot be written, when somebody else has changed one of these tenants
    /// meanwhile, or when a domain is another tenant's.
    pub async fn carry_out(
        &self,
        edits: &[Edit],
        checked: &Checked,
        who: &str,
    ) -> Result<(), StoreError> {
        if edits.is_empty() && checked.pairs.is_empty() {
            return Ok(());
        }
        let written = self.write(edits, checked, who).await;
        match written.map_err(|failure| failure.at(&self.path)) {
            Err(error) if edits.is_empty() => {
                tracing::warn!(%error, "what modules said of settings could not be noted, so they are asked again");
                Ok(())
            }
            written => written,
        }
    }

    async fn write(&self, edits: &[Edit], checked: &Checked, who: &str) -> Result<(), Failure> {
        let now = unix_seconds(SystemTime::now());
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let mut connection = self.connection().await?;
        let write = async {
            let mut transaction = connection.begin_with(sqlite::BEGIN).await?;
            tenants::write(&mut transaction, edits, who, now).await?;
            tenants::note(&mut transaction, checked).await?;
            Ok(transaction.commit().await?)
        };
        let written: Result<(), Failure> = write.await;
        if written.is_err() {
            // SQLite ends a transaction by itself when the disk is full, which the
            // connection does not know of: nobody is to get it.
            connection.close_on_drop();
        }
        written
    }

    /// The audit, oldest first unless a page of it is asked for.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn audit(&self, filter: &AuditFilter) -> Result<Vec<AuditRecord>, StoreError> {
        let read = async {
            let mut connection = self.connection().await?;
            let tenant = filter.tenant.as_ref();
            audit::records(match filter.page {
                None => sqlite::queries::audit(&mut connection, tenant).await?,
                Some(page) => sqlite::listing::audit(&mut connection, tenant, page).await?,
            })
        };
        read.await
            .map_err(|failure: Failure| failure.at(&self.path))
    }

    /// Ends its connections; what was committed is in the one file then.
    pub async fn close(&self) {
        if let Some(pool) = self.pool.get() {
            pool.close().await;
        }
    }
}

#[cfg(test)]
mod tests;
