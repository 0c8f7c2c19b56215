//! What is wrong with a store, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use sqlx::migrate::MigrateError;

use super::migrations::KNOWN;
use crate::address::Domain;
use crate::facts::TenantId;

/// Longest part of a damaged value that is shown, in characters.
const SHOWN: usize = 60;

/// Why a store cannot be used, or a change not be made. Then nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no file.
    #[error("store {path}: there is none yet: it is made when a host starts on this data directory", path = .0.display())]
    Missing(PathBuf),
    /// Another program writes.
    #[error("store {path}: another program has it locked: end that one, and try again", path = .0.display())]
    Locked(PathBuf),
    /// No room.
    #[error("store {path}: the disk is full: make room, and try again", path = .0.display())]
    Full(PathBuf),
    /// No right to write.
    #[error("store {path}: it cannot be written: give the file to the host's user, on a disk that is mounted for writing", path = .0.display())]
    ReadOnly(PathBuf),
    /// No right to open it.
    #[error("store {path}: it cannot be opened: run this as root or as the host's user, to whom the file and its directory belong", path = .0.display())]
    Denied(PathBuf),
    /// A database, but none of ours.
    #[error("store {path}: it is no store of Portcullis: name a file that \"portcullis backup\" made", path = .0.display())]
    Foreign(PathBuf),
    /// Not a database, or no longer.
    #[error("store {path}: it is damaged ({detail}): bring a backup back with \"portcullis restore\"", path = .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is seen of it.
        detail: String,
    },
    /// Of a newer host.
    #[error("store {path}: a newer version of Portcullis made it (schema {found}, this one knows {KNOWN}): install that version, or bring an older backup back with \"portcullis restore\"", path = .path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: i64,
    },
    /// Of an older host.
    #[error("store {path}: an older version of Portcullis made it: start a host of this version on it first", path = .0.display())]
    Older(PathBuf),
    /// Somebody else was first.
    #[error("tenant {0} was changed meanwhile: look at it again")]
    Stale(TenantId),
    /// A domain belongs to one tenant.
    #[error("domain {domain} belongs to tenant {other}")]
    Domain {
        /// Which.
        domain: Domain,
        /// Whose it is; for operators only.
        other: TenantId,
    },
    /// So many tokens a tenant has, or the operators have.
    #[error("there are {0} tokens already, which is as many as may be: revoke one first")]
    Tokens(i64),
    /// So many modules a tenant may have.
    #[error(
        "there are {0} modules already, which is as many as may be (quotas.modules): remove one first"
    )]
    Modules(i64),
    /// So many revisions of a module, none of which may go.
    #[error(
        "module {module:?} has as many revisions as it may ({most}, quotas.module_revisions), and each is active, was active before, is tried, is pinned by a policy, or waits to be compiled: take a pin away, or ask the operator for more"
    )]
    Revisions {
        /// Which module.
        module: String,
        /// How many it may have.
        most: i64,
    },
    /// So large all revisions of all modules may be, and none of the others may go.
    #[error(
        "this tenant's modules have as many bytes as they may ({0}, quotas.module_bytes), and each revision that is left is active, was active before, is tried, is pinned by a policy, or waits to be compiled: remove a module, or ask the operator for more"
    )]
    ModuleBytes(i64),
    /// So many revisions of a tenant may wait for the engine.
    #[error(
        "{0} revisions wait to be compiled, which is as many as may be: try again when some of them are ready"
    )]
    Waiting(i64),
    /// There is no such tenant.
    #[error("there is no tenant {:?}", .0.as_str())]
    NoTenant(TenantId),
    /// The system does not let us.
    #[error("store {path}: {source}", path = .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Anything else.
    #[error("store {path}: {source}", path = .path.display())]
    Sql {
        /// The file.
        path: PathBuf,
        /// What the database says.
        source: sqlx::Error,
    },
}

impl StoreError {
    /// Whether a host whose tenants stand in files runs without the store meanwhile. Not
    /// where somebody has to say what is to become of what is in it.
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Locked(_)
                | Self::Full(_)
                | Self::ReadOnly(_)
                | Self::Denied(_)
                | Self::Io { .. }
                | Self::Sql { .. }
        )
    }
}

/// The same, before it is said of which file.
#[derive(Debug)]
pub(super) enum Failure {
    Missing,
    Older,
    Foreign,
    Damaged(String),
    Newer(i64),
    Stale(TenantId),
    Domain { domain: Domain, other: TenantId },
    Tokens(i64),
    Modules(i64),
    Revisions { module: String, most: i64 },
    ModuleBytes(i64),
    Waiting(i64),
    NoTenant(TenantId),
    Io(io::Error),
    Sql(sqlx::Error),
}

impl Failure {
    /// A value that no host has written so.
    pub(super) fn damaged(what: &str, value: &str) -> Self {
        let shown: String = value.chars().take(SHOWN).collect();
        Self::Damaged(format!("{shown:?} is not {what}"))
    }

    /// Of this file.
    pub(super) fn at(self, path: &Path) -> StoreError {
        let path = path.to_owned();
        match self {
            Self::Missing => StoreError::Missing(path),
            Self::Older => StoreError::Older(path),
            Self::Foreign => StoreError::Foreign(path),
            Self::Damaged(detail) => StoreError::Damaged { path, detail },
            Self::Newer(found) => StoreError::Newer { path, found },
            Self::Stale(tenant) => StoreError::Stale(tenant),
            Self::Domain { domain, other } => StoreError::Domain { domain, other },
            Self::Tokens(most) => StoreError::Tokens(most),
            Self::Modules(most) => StoreError::Modules(most),
            Self::Revisions { module, most } => StoreError::Revisions { module, most },
            Self::ModuleBytes(most) => StoreError::ModuleBytes(most),
            Self::Waiting(most) => StoreError::Waiting(most),
            Self::NoTenant(tenant) => StoreError::NoTenant(tenant),
            Self::Io(source) => of_system(source, path),
            Self::Sql(source) => of_sqlite(source, path),
        }
    }
}

fn of_system(source: io::Error, path: PathBuf) -> StoreError {
    match source.kind() {
        io::ErrorKind::PermissionDenied => StoreError::Denied(path),
        io::ErrorKind::ReadOnlyFilesystem => StoreError::ReadOnly(path),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full(path),
        _ => StoreError::Io { path, source },
    }
}

/// Whether the file's disk has no room for what SQLite keeps beside the file, which is at
/// least 32 KiB: it calls that an error of reading and writing, or of opening.
fn has_no_room(path: &Path) -> bool {
    const BESIDE: u64 = 32 << 10;
    let disk = path.parent().map(rustix::fs::statvfs);
    disk.is_some_and(|disk| {
        disk.is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) < BESIDE)
    })
}

/// By the primary result code, which is the low byte of SQLite's extended ones
/// (<https://www.sqlite.org/rescode.html>).
fn of_sqlite(source: sqlx::Error, path: PathBuf) -> StoreError {
    let of_database = source.as_database_error();
    let code = of_database.and_then(|error| error.code()?.parse::<u32>().ok());
    match code.map(|code| code & 0xff) {
        // SQLITE_BUSY, SQLITE_LOCKED
        Some(5 | 6) => StoreError::Locked(path),
        // SQLITE_READONLY
        Some(8) => StoreError::ReadOnly(path),
        // SQLITE_FULL
        Some(13) => StoreError::Full(path),
        // SQLITE_IOERR, SQLITE_CANTOPEN
        Some(10 | 14) if has_no_room(&path) => StoreError::Full(path),
        Some(14) => StoreError::Denied(path),
        // SQLITE_CORRUPT, SQLITE_NOTADB
        Some(11 | 26) => StoreError::Damaged {
            path,
            detail: of_database
                .map(|error| error.message().to_owned())
                .unwrap_or_default(),
        },
        _ => StoreError::Sql { path, source },
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<MigrateError> for Failure {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::VersionMissing(found) => Self::Newer(found),
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
                Self::Sql(error)
            }
            other => Self::Damaged(other.to_string()),
        }
    }
}
