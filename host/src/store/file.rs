//! The file of SQLite: how it is opened, and by whom.
//!
//! The host holds the lock of the data directory for as long as it runs, so that there
//! is one writer; whoever else opens the file reads. **A transaction that was committed
//! outlives a loss of power** (`synchronous = FULL` with a write-ahead log).

use std::fs::{File, Permissions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use sqlx::migrate::Migrate;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection as _, Pool, SqliteConnection};

use super::error::Failure;
use super::migrations::{KNOWN, migrator};
use super::sqlite::{self, BEGIN, Connection, Db};
use super::tokens::now;
use crate::directory;

/// Its name in the data directory.
pub(super) const NAME: &str = "portcullis.db";

/// For the host's user alone: what tenants keep there is nobody else's.
pub(super) const MODE: u32 = 0o600;

/// Who brings a copy back.
const RESTORE: &str = "restore";

/// Longest wait for another program's lock.
const BUSY: Duration = Duration::from_secs(5);

/// What the connection that writes receipts may keep in memory, in KiB. Each receipt goes
/// into places all over its indexes: those of some hundred thousand receipts have room,
/// where SQLite's own 2 MB would have each of them read again.
const CACHE: u32 = 32 << 10;

/// Octets of a page of a new file. A receipt has one and a half thousand: pages of SQLite's
/// own size hold two and waste a quarter, and each is written for itself, twice.
const PAGE: u32 = 16 << 10;

/// One that writes, and some that read meanwhile.
const CONNECTIONS: u32 = 4;

/// Opens it for the host.
pub(super) async fn open(path: &Path) -> Result<Pool<Db>, Failure> {
    make(path)?;
    let pool = SqlitePoolOptions::new()
        .max_connections(CONNECTIONS)
        // The files beside it are made by the first connection and go with the last, and
        // a disk that is full meanwhile has no room for them again.
        .min_connections(1)
        .connect_with(writing(path, BUSY))
        .await?;
    // Whether somebody else has it is known before anything is done.
    pool.begin_with(BEGIN).await?.rollback().await?;
    migrator().run(&pool).await?;
    // And whether it can be written, and not when somebody wants a change.
    sqlite::probe(&mut *pool.acquire().await?).await?;
    Ok(pool)
}

/// Another connection for the host, to a store that it has opened: the one that writes
/// receipts.
pub(super) async fn connect(path: &Path, busy: Duration) -> Result<Connection, Failure> {
    let options = writing(path, busy).pragma("cache_size", format!("-{CACHE}"));
    Ok(SqliteConnection::connect_with(&options).await?)
}

/// Opens it for reading only.
pub(super) async fn read(path: &Path) -> Result<Pool<Db>, Failure> {
    if !path.try_exists()? {
        return Err(Failure::Missing);
    }
    // It is the same for as long as it is wanted: a transaction may be in it.
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(options(path).read_only(true))
        .await?;
    check_version(&mut *pool.acquire().await?).await?;
    Ok(pool)
}

/// Whether a host of this version can run on it.
pub(super) async fn check(path: &Path) -> Result<(), Failure> {
    let options = options(path).read_only(true);
    let mut connection = SqliteConnection::connect_with(&options).await?;
    if let Some(damage) = sqlite::damage(&mut connection).await? {
        return Err(Failure::Damaged(damage));
    }
    match check_version(&mut connection).await {
        Err(Failure::Older) => {}
        checked => checked?,
    }
    Ok(connection.close().await?)
}

/// Brings everything that was committed into this one file; whether that was done.
pub(super) async fn settle(path: &Path) -> Result<bool, Failure> {
    let mut connection = SqliteConnection::connect_with(&options(path)).await?;
    let settled = sqlite::checkpoint(&mut connection).await?;
    connection.close().await?;
    Ok(settled)
}

/// Adds to the audit of a file that nobody else has open; all of it is in the one file then.
pub(super) async fn note(path: &Path, what: &str) -> Result<(), Failure> {
    let mut connection = SqliteConnection::connect_with(&options(path)).await?;
    let values = [None, None];
    sqlite::queries::insert_audit(&mut connection, now(), [RESTORE, "", what], values).await?;
    sqlite::checkpoint(&mut connection).await?;
    Ok(connection.close().await?)
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY)
}

/// What is removed is written over, so that an address that was erased is nowhere in the
/// file.
fn writing(path: &Path, busy: Duration) -> SqliteConnectOptions {
    options(path)
        .busy_timeout(busy)
        .page_size(PAGE)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .pragma("secure_delete", "ON")
}

/// An empty file is an empty store. It is made here for the sake of its mode, which the
/// files beside it inherit.
fn make(path: &Path) -> Result<(), Failure> {
    let is_new = !path.exists();
    let mut options = File::options();
    let file = options.append(true).create(true).mode(MODE).open(path);
    match file {
        Ok(file) if is_new => {
            file.sync_all()?;
            if let Some(parent) = path.parent() {
                directory::sync(parent)?;
            }
        }
        Ok(file) if file.metadata()?.permissions().mode() & 0o777 != MODE => {
            file.set_permissions(Permissions::from_mode(MODE))?;
        }
        Ok(_) => {}
        // What it is that cannot be written is SQLite's to say.
        Err(_) if !is_new => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// What is older is read as it is by the host only, which brings it up to date.
async fn check_version(connection: &mut Connection) -> Result<(), Failure> {
    let known = migrator();
    if !sqlite::has_table(connection, &known.table_name).await? {
        return Err(Failure::Foreign);
    }
    let applied = connection
        .list_applied_migrations(&known.table_name)
        .await?;
    let found = applied.iter().map(|step| step.version).max();
    match found {
        Some(KNOWN) => Ok(()),
        Some(newer) if newer > KNOWN => Err(Failure::Newer(newer)),
        Some(_) => Err(Failure::Older),
        None => Err(Failure::Foreign),
    }
}
