//! What webhooks are told, from rows and back.

use sqlx::{query_as, query_scalar};

use super::{Connection, Db, queries as sql};
use crate::facts::TenantId;
use crate::store::error::Failure;
use crate::store::webhooks::{Due, Last};

type Result<T> = std::result::Result<T, Failure>;

/// The text of the secret that a tenant has.
pub(in crate::store) async fn secret(c: &mut Connection, tenant: &str) -> Result<Option<String>> {
    let sql = "SELECT secret FROM webhook_secrets WHERE tenant = $1";
    let query = query_scalar::<Db, _>(sql).bind(tenant);
    Ok(query.fetch_optional(c).await?)
}

/// Gives a tenant this secret in the place of any other, and says so in the audit; the caller
/// has a transaction.
pub(in crate::store) async fn put_secret(
    c: &mut Connection,
    tenant: &TenantId,
    secret: &str,
    who: &str,
    now: i64,
) -> Result<()> {
    if sql::tenant(c, tenant.as_str()).await?.is_none() {
        return Err(Failure::NoTenant(tenant.clone()));
    }
    let sql = "INSERT INTO webhook_secrets (tenant, secret) VALUES ($1, $2) \
               ON CONFLICT (tenant) DO UPDATE SET secret = excluded.secret";
    let query = sqlx::query::<Db>(sql).bind(tenant.as_str()).bind(secret);
    query.execute(&mut *c).await?;
    let what = [who, tenant.as_str(), "webhook secret"];
    // The audit has no secret.
    Ok(sql::insert_audit(c, now, what, [None, Some("{}")]).await?)
}

/// The last message of each subject of a tenant.
pub(in crate::store) async fn last(c: &mut Connection, tenant: &str) -> Result<Vec<Last>> {
    let sql = "SELECT subject, appeared, body FROM webhook_messages m WHERE tenant = $1 \
               AND NOT EXISTS (SELECT 1 FROM webhook_messages n WHERE n.tenant = m.tenant \
               AND n.subject = m.subject AND n.id > m.id) ORDER BY id";
    let query = query_as::<Db, (String, i64, String)>(sql).bind(tenant);
    let rows = query.fetch_all(c).await?;
    let last = rows.into_iter().map(|(subject, appeared, body)| Last {
        subject,
        is_there: appeared != 0,
        body,
    });
    Ok(last.collect())
}

/// Keeps a message that is due at once, in the place of what was said of its subject before:
/// what did not arrive by now is not so any more. The caller has a transaction.
pub(in crate::store) async fn insert(
    c: &mut Connection,
    tenant: &str,
    id: &str,
    last: &Last,
    now: i64,
) -> Result<()> {
    let sql = "DELETE FROM webhook_messages WHERE tenant = $1 AND subject = $2";
    let query = sqlx::query::<Db>(sql).bind(tenant).bind(&last.subject);
    query.execute(&mut *c).await?;
    let sql = "INSERT INTO webhook_messages (id, tenant, subject, appeared, body, attempts, due) \
               VALUES ($1, $2, $3, $4, $5, 0, $6)";
    let query = sqlx::query::<Db>(sql).bind(id).bind(tenant);
    let query = query.bind(&last.subject).bind(i64::from(last.is_there));
    query.bind(&last.body).bind(now).execute(c).await?;
    Ok(())
}

/// Forgets messages that are over and say nothing of how things are now; the caller has a
/// transaction.
pub(in crate::store) async fn tidy(c: &mut Connection, tenant: &str) -> Result<()> {
    let sql = "DELETE FROM webhook_messages WHERE tenant = $1 AND due IS NULL \
               AND (appeared = 0 OR EXISTS (SELECT 1 FROM webhook_messages n \
               WHERE n.tenant = webhook_messages.tenant \
               AND n.subject = webhook_messages.subject AND n.id > webhook_messages.id))";
    sqlx::query::<Db>(sql).bind(tenant).execute(c).await?;
    Ok(())
}

/// Forgets all messages of a tenant.
pub(in crate::store) async fn forget(c: &mut Connection, tenant: &str) -> Result<()> {
    let sql = "DELETE FROM webhook_messages WHERE tenant = $1";
    sqlx::query::<Db>(sql).bind(tenant).execute(c).await?;
    Ok(())
}

/// Messages that are due, of each tenant the oldest, those first that wait for longest.
pub(in crate::store) async fn due(c: &mut Connection, now: i64, limit: i64) -> Result<Vec<Due>> {
    let sql = "SELECT id, tenant, body, attempts FROM webhook_messages \
               WHERE id IN (SELECT MIN(id) FROM webhook_messages WHERE due <= $1 GROUP BY tenant) \
               ORDER BY due, id LIMIT $2";
    let query = query_as::<Db, (String, String, String, i64)>(sql);
    let rows = query.bind(now).bind(limit).fetch_all(c).await?;
    let due = rows.into_iter().map(|(id, tenant, body, attempts)| {
        let read = tenant.parse();
        Ok(Due {
            tenant: read.map_err(|_| Failure::damaged("a tenant's id", &tenant))?,
            attempts: usize::try_from(attempts).unwrap_or(0),
            id,
            body,
        })
    });
    due.collect()
}

/// When the next is due; none where none is.
pub(in crate::store) async fn next(c: &mut Connection) -> Result<Option<i64>> {
    let sql = "SELECT MIN(due) FROM webhook_messages";
    Ok(query_scalar::<Db, _>(sql).fetch_one(c).await?)
}

/// So many attempts were made of one, and it is due again then, or over.
pub(in crate::store) async fn attempted(
    c: &mut Connection,
    id: &str,
    attempts: i64,
    due: Option<i64>,
) -> Result<()> {
    let sql = "UPDATE webhook_messages SET attempts = $2, due = $3 WHERE id = $1";
    let query = sqlx::query::<Db>(sql).bind(id).bind(attempts).bind(due);
    query.execute(c).await?;
    Ok(())
}
