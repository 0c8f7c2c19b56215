//! The queries, for SQLite.

#[cfg(test)]
#[path = "exercise.rs"]
pub(super) mod exercise;
#[path = "listing.rs"]
pub(super) mod listing;
#[path = "queries.rs"]
pub(super) mod queries;
#[path = "receipt_rows.rs"]
pub(super) mod receipt_rows;
#[path = "revision_rows.rs"]
pub(super) mod revision_rows;
#[path = "shadow_rows.rs"]
pub(super) mod shadow_rows;
#[path = "tenants.rs"]
pub(super) mod tenants;
#[path = "token_rows.rs"]
pub(super) mod token_rows;
#[path = "webhook_rows.rs"]
pub(super) mod webhook_rows;

pub(super) type Db = sqlx::Sqlite;
pub(super) type Connection = sqlx::SqliteConnection;

/// Takes the right to write at once: a transaction that reads first and cannot write
/// then would have to be done again.
pub(super) const BEGIN: &str = "BEGIN IMMEDIATE";

/// Adds rows of which none is there: an error ends the transaction. (SQLite else keeps a
/// copy of every page that it changes, to take the rows before the wrong one back.)
pub(super) const INSERT: &str = "INSERT OR FAIL";

/// Fails where nothing can be written, and writes nothing. (SQLite begins a transaction
/// on a file that it can only read as one that only reads.)
pub(super) async fn probe(c: &mut Connection) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM tenants WHERE id = ''")
        .execute(c)
        .await?;
    Ok(())
}

/// Begins a transaction that reads, which ends with the connection. (One sees the file as
/// it is when something is read for the first time.)
pub(super) async fn begin_reading(c: &mut Connection) -> Result<(), sqlx::Error> {
    sqlx::query("BEGIN").execute(&mut *c).await?;
    let count: Result<i64, _> = sqlx::query_scalar("SELECT COUNT(*) FROM tenants")
        .fetch_one(c)
        .await;
    count.map(drop)
}

/// Whether the file has a table of this name.
pub(super) async fn has_table(c: &mut Connection, name: &str) -> Result<bool, sqlx::Error> {
    let sql = "SELECT COUNT(*) FROM sqlite_schema WHERE type = 'table' AND name = $1";
    let count: i64 = sqlx::query_scalar(sql).bind(name).fetch_one(c).await?;
    Ok(count > 0)
}

/// Writes a copy of the whole into a file, which is empty or not there.
pub(super) async fn copy_into(c: &mut Connection, file: &str) -> Result<(), sqlx::Error> {
    sqlx::query("VACUUM INTO $1").bind(file).execute(c).await?;
    Ok(())
}

/// What is wrong with the file, if anything is.
pub(super) async fn damage(c: &mut Connection) -> Result<Option<String>, sqlx::Error> {
    let check = "PRAGMA integrity_check(1)";
    let found: String = sqlx::query_scalar(check).fetch_one(&mut *c).await?;
    if found != "ok" {
        return Ok(Some(found));
    }
    let check = "SELECT \"table\" FROM pragma_foreign_key_check LIMIT 1";
    let found: Option<String> = sqlx::query_scalar(check).fetch_optional(c).await?;
    Ok(found.map(|table| format!("a row of {table} refers to nothing")))
}

/// Brings all that was committed into the one file; whether that was done, which a
/// program that reads there keeps it from.
pub(super) async fn checkpoint(c: &mut Connection) -> Result<bool, sqlx::Error> {
    let pragma = "PRAGMA wal_checkpoint(TRUNCATE)";
    let (busy, ..): (i64, i64, i64) = sqlx::query_as(pragma).fetch_one(c).await?;
    Ok(busy == 0)
}
