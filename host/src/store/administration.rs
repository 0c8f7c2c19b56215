//! What the admin API reads of the store, a page at a time.

use std::collections::BTreeMap;
use std::ops::Bound;

use serde::Serialize;
use sqlx::Connection as _;
use utoipa::ToSchema;

use super::error::Failure;
use super::sqlite::{Connection, Db, listing};
use super::{RevisionState, Store, StoreError, Subject};
use crate::config::Object;
use crate::digest::Digest;
use crate::facts::TenantId;
use crate::tenant::in_background;

/// Which part of something long: from behind a key on, and how much of it.
#[derive(Clone, Debug)]
pub struct Page {
    /// The last that is known; empty for the beginning.
    pub after: String,
    /// How many.
    pub limit: i64,
}

/// A tenant as it is kept, without what it has many of.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Tenant)]
pub struct KeptTenant {
    /// Its id.
    pub id: String,
    /// Counts the changes of the tenant and of everything it has, from one.
    pub revision: i64,
    /// SHA-256 that tells its document from every other.
    pub digest: String,
    /// Mail to these is its mail.
    pub domains: Vec<String>,
    /// What operators write: targets, sources, quotas.
    #[schema(value_type = Object)]
    pub operator: Object,
    /// What the tenant writes, as in its file: contact, defaults, trust and the like.
    #[schema(value_type = Object)]
    pub own: Object,
}

/// A policy as it is kept.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Policy)]
pub struct KeptPolicy {
    /// Unique in the tenant.
    pub name: String,
    /// Its place in the order of creation.
    pub place: i64,
    /// The tenant's revision when it was changed last.
    pub revision: i64,
    /// Its keys, as in a file.
    #[schema(value_type = Object)]
    pub document: Object,
}

/// A list as it is kept, without its entries.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = List)]
pub struct KeptList {
    /// Unique in the tenant.
    pub name: String,
    /// The tenant's revision when it was changed last.
    pub revision: i64,
    /// SHA-256 over its entries, which receipts name.
    pub digest: String,
    /// How many entries it has.
    pub entries: i64,
}

/// An entry of a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ListEntry {
    /// What is looked up.
    pub key: String,
    /// What is found; empty in a set.
    pub value: String,
}

/// A module as it is kept.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Module)]
pub struct KeptModule {
    /// Unique in the tenant.
    pub name: String,
    /// The tenant's revision when it was changed last.
    pub revision: i64,
    /// The number of the revision that is active; null while none is.
    pub active: Option<i64>,
    /// The number of the one that was active before, for a roll back; null where none was.
    pub previous: Option<i64>,
    /// The number of the one that is tried beside the active one; null where none is.
    pub shadow: Option<i64>,
    /// SHA-256 of the active revision's bytes.
    pub digest: Option<String>,
    /// Their number.
    pub size: Option<i64>,
}

/// One revision of a module. Its bytes are never changed.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ModuleRevision {
    /// Counts from one.
    pub number: i64,
    /// SHA-256 of its bytes.
    pub digest: String,
    /// Their number.
    pub size: i64,
    /// When it was made, in seconds since 1970.
    pub made: i64,
    /// By whom.
    pub who: String,
    /// What became of it.
    pub state: RevisionState,
    /// Why it was refused; null otherwise.
    pub reason: Option<String>,
}

impl Store {
    /// Tenants by id.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn tenant_page(&self, page: &Page) -> Result<Vec<(String, i64, String)>, StoreError> {
        let mut connection = self.reader().await?;
        let rows = listing::tenants(&mut connection, &page.after, page.limit).await;
        self.named(rows)
    }

    /// A tenant; none where there is none of this id.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn tenant(&self, id: &TenantId) -> Result<Option<KeptTenant>, StoreError> {
        let mut connection = self.reader().await?;
        let read = async {
            // All of it at one moment.
            let mut transaction = connection.begin().await?;
            tenant(&mut transaction, id).await
        };
        self.named(read.await)
    }

    /// Policies of a tenant in the order of creation; the key is the place.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn policy_page(
        &self,
        tenant: &TenantId,
        after: i64,
        limit: i64,
    ) -> Result<Vec<KeptPolicy>, StoreError> {
        let mut connection = self.reader().await?;
        let rows = listing::policies(&mut connection, tenant.as_str(), after, limit).await;
        self.named(
            rows.map_err(Failure::from)
                .and_then(|rows| all(rows, policy)),
        )
    }

    /// A policy; none where there is none of this name.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn policy(
        &self,
        tenant: &TenantId,
        name: &str,
    ) -> Result<Option<KeptPolicy>, StoreError> {
        let mut connection = self.reader().await?;
        let row = listing::policy(&mut connection, tenant.as_str(), name).await;
        let found = row.map_err(Failure::from);
        self.named(found.and_then(|row| row.map(policy).transpose()))
    }

    /// Lists of a tenant by name.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn list_page(
        &self,
        tenant: &TenantId,
        page: &Page,
    ) -> Result<Vec<KeptList>, StoreError> {
        let mut connection = self.reader().await?;
        let rows = listing::lists(&mut connection, tenant.as_str(), &page.after, page.limit).await;
        let rows = self.named(rows)?;
        Ok(rows.into_iter().map(list).collect())
    }

    /// A list; none where there is none of this name.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn list(
        &self,
        tenant: &TenantId,
        name: &str,
    ) -> Result<Option<KeptList>, StoreError> {
        let mut connection = self.reader().await?;
        let row = listing::list(&mut connection, tenant.as_str(), name).await;
        Ok(self.named(row)?.map(list))
    }

    /// Entries of a list by key; none where there is no such list.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn entry_page(
        &self,
        tenant: &TenantId,
        name: &str,
        page: &Page,
    ) -> Result<Option<Vec<ListEntry>>, StoreError> {
        let mut connection = self.reader().await?;
        let read = entries(&mut connection, tenant, name, page);
        let read = read.await;
        self.named(read)
    }

    /// Modules of a tenant by name.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn module_page(
        &self,
        tenant: &TenantId,
        page: &Page,
    ) -> Result<Vec<KeptModule>, StoreError> {
        let mut connection = self.reader().await?;
        let rows = listing::modules(&mut connection, tenant.as_str(), &page.after, page.limit);
        let rows = rows.await;
        Ok(self.named(rows)?.into_iter().map(module).collect())
    }

    /// A module with its revisions, newest first; none where there is none of this name.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn module_with_revisions(
        &self,
        tenant: &TenantId,
        name: &str,
    ) -> Result<Option<(KeptModule, Vec<ModuleRevision>)>, StoreError> {
        let mut connection = self.reader().await?;
        let read = async {
            let mut transaction = connection.begin().await?;
            let found = listing::module(&mut transaction, tenant.as_str(), name).await?;
            let revisions = listing::revisions(&mut transaction, tenant.as_str(), name).await?;
            let revisions = all(revisions, revision)?;
            Ok::<_, Failure>(found.map(|found| (module(found), revisions)))
        };
        self.named(read.await)
    }

    /// The revision of a part of a tenant; none where there is no such part. What has no
    /// revision of its own has the tenant's.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn revision(
        &self,
        tenant: &TenantId,
        part: &Subject,
    ) -> Result<Option<i64>, StoreError> {
        let mut connection = self.reader().await?;
        let id = tenant.as_str();
        self.named(match part {
            Subject::Tenant | Subject::Key(_) => {
                let found = listing::tenant(&mut connection, id).await;
                found.map(|row| row.map(|(_, _, revision, _)| revision))
            }
            Subject::Policy(name) => {
                let found = listing::policy(&mut connection, id, name).await;
                found.map(|row| row.map(|(.., revision)| revision))
            }
            Subject::List(name) => {
                let found = listing::list(&mut connection, id, name).await;
                found.map(|row| row.map(|(.., revision)| revision))
            }
            Subject::Module(name) => {
                let found = listing::module(&mut connection, id, name).await;
                found.map(|row| row.map(|(.., revision)| revision))
            }
        })
    }

    /// The revision of a module that was active before the one that is; none where none
    /// was, or there is no such module.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn previous(
        &self,
        tenant: &TenantId,
        module: &str,
    ) -> Result<Option<Digest>, StoreError> {
        let mut connection = self.reader().await?;
        let found = listing::previous(&mut connection, tenant.as_str(), module).await;
        let found = self.named(found)?;
        let read = found.map(|text| {
            let read = text.parse();
            read.map_err(|_| Failure::damaged("a digest", &text))
        });
        self.named(read.transpose())
    }

    pub(super) async fn reader(&self) -> Result<sqlx::pool::PoolConnection<Db>, StoreError> {
        let acquired = self.connection().await;
        self.named(acquired)
    }

    pub(super) fn named<T>(&self, done: Result<T, impl Into<Failure>>) -> Result<T, StoreError> {
        done.map_err(|failure| failure.into().at(&self.path))
    }
}

async fn tenant(c: &mut Connection, id: &TenantId) -> Result<Option<KeptTenant>, Failure> {
    let Some((operator, own, revision, digest)) = listing::tenant(c, id.as_str()).await? else {
        return Ok(None);
    };
    Ok(Some(KeptTenant {
        id: id.to_string(),
        revision,
        digest,
        domains: listing::domains(c, id.as_str()).await?,
        operator: object(&operator)?,
        own: object(&own)?,
    }))
}

async fn entries(
    c: &mut Connection,
    tenant: &TenantId,
    name: &str,
    page: &Page,
) -> Result<Option<Vec<ListEntry>>, Failure> {
    let Some((_, digest, ..)) = listing::list(c, tenant.as_str(), name).await? else {
        return Ok(None);
    };
    // It is gone if it was replaced in between.
    let content = listing::content(c, &digest).await?;
    let content = content.unwrap_or_else(|| "{}".to_owned());
    let page = page.clone();
    // A hundred thousand entries take their time.
    let found = in_background(move || entries_of(&content, &page)).await;
    let found = found.map_err(|_| Failure::damaged("a list's content", &digest))?;
    Ok(Some(found))
}

fn entries_of(content: &str, page: &Page) -> serde_json::Result<Vec<ListEntry>> {
    let entries: BTreeMap<String, String> = serde_json::from_str(content)?;
    let from = match page.after.as_str() {
        "" => Bound::Unbounded,
        after => Bound::Excluded(after),
    };
    let wanted = entries.range::<str, _>((from, Bound::Unbounded));
    let wanted = wanted.take(usize::try_from(page.limit).unwrap_or(0));
    let entry = |(key, value): (&String, &String)| ListEntry {
        key: key.clone(),
        value: value.clone(),
    };
    Ok(wanted.map(entry).collect())
}

fn all<R, T>(rows: Vec<R>, read: impl Fn(R) -> Result<T, Failure>) -> Result<Vec<T>, Failure> {
    rows.into_iter().map(read).collect()
}

fn policy((name, place, document, revision): listing::PolicyRow) -> Result<KeptPolicy, Failure> {
    Ok(KeptPolicy {
        name,
        place,
        revision,
        document: object(&document)?,
    })
}

fn list((name, digest, entries, revision): listing::ListRow) -> KeptList {
    KeptList {
        name,
        revision,
        digest,
        entries,
    }
}

fn module(
    (name, active, previous, shadow, digest, size, revision): listing::ModuleRow,
) -> KeptModule {
    let number = |number: i64| (number > 0).then_some(number);
    KeptModule {
        name,
        revision,
        active: number(active),
        previous: number(previous),
        shadow: number(shadow),
        digest,
        size,
    }
}

pub(super) fn revision(
    (number, digest, size, made, who, state, reason): listing::RevisionRow,
) -> Result<ModuleRevision, Failure> {
    Ok(ModuleRevision {
        number,
        digest,
        size,
        made,
        who,
        state: state
            .parse()
            .map_err(|()| Failure::damaged("a state", &state))?,
        reason,
    })
}

fn object(text: &str) -> Result<Object, Failure> {
    serde_json::from_str(text).map_err(|_| Failure::damaged("a document", text))
}
