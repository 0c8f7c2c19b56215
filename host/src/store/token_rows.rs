//! Tokens from rows and back.

use serde_json::json;
use sqlx::{query_as, query_scalar};

use super::{Connection, Db, queries as sql};
use crate::digest::Digest;
use crate::facts::TenantId;
use crate::store::error::Failure;
use crate::store::token::Token;

type Result<T> = std::result::Result<T, Failure>;

/// Most tokens of one tenant, or of operators: people and programs, not messages.
const MOST: i64 = 100;

/// Id, name, role, tenant, time, author and end.
type Row = (
    String,
    String,
    String,
    Option<String>,
    i64,
    String,
    Option<i64>,
);

/// The token of this digest.
pub(in crate::store) async fn by_digest(
    c: &mut Connection,
    digest: Digest,
) -> Result<Option<Token>> {
    let sql = "SELECT id, name, role, tenant, made, who, expires FROM tokens WHERE hash = $1";
    let query = query_as::<Db, Row>(sql).bind(digest.to_string());
    query.fetch_optional(c).await?.map(token).transpose()
}

/// The token of this id.
pub(in crate::store) async fn by_id(c: &mut Connection, id: &str) -> Result<Option<Token>> {
    let sql = "SELECT id, name, role, tenant, made, who, expires FROM tokens WHERE id = $1";
    let query = query_as::<Db, Row>(sql).bind(id);
    query.fetch_optional(c).await?.map(token).transpose()
}

/// Those of one tenant or all, by id, from behind one on.
pub(in crate::store) async fn page(
    c: &mut Connection,
    tenant: Option<&TenantId>,
    after: &str,
    limit: i64,
) -> Result<Vec<Token>> {
    let all = "SELECT id, name, role, tenant, made, who, expires FROM tokens \
               WHERE id > $1 ORDER BY id LIMIT $2";
    let one = "SELECT id, name, role, tenant, made, who, expires FROM tokens \
               WHERE id > $1 AND tenant = $3 ORDER BY id LIMIT $2";
    let query = query_as::<Db, Row>(if tenant.is_some() { one } else { all });
    let query = query.bind(after).bind(limit);
    let rows = match tenant {
        None => query.fetch_all(c).await?,
        Some(tenant) => query.bind(tenant.as_str()).fetch_all(c).await?,
    };
    rows.into_iter().map(token).collect()
}

/// Keeps a token, and says so in the audit; the caller has a transaction.
pub(in crate::store) async fn insert(
    c: &mut Connection,
    token: &Token,
    digest: Digest,
) -> Result<()> {
    let tenant = token.tenant.as_ref().map(TenantId::as_str);
    if let Some(tenant) = &token.tenant
        && sql::tenant(c, tenant.as_str()).await?.is_none()
    {
        return Err(Failure::NoTenant(tenant.clone()));
    }
    if count(c, tenant).await? >= MOST {
        return Err(Failure::Tokens(MOST));
    }
    let sql = "INSERT INTO tokens (id, hash, name, role, tenant, made, who, expires) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let query = sqlx::query::<Db>(sql)
        .bind(&token.id)
        .bind(digest.to_string())
        .bind(&token.name)
        .bind(token.role.as_str())
        .bind(tenant);
    let query = query.bind(token.made).bind(&token.who).bind(token.expires);
    query.execute(&mut *c).await?;
    audit(c, token, true, &token.who, token.made).await
}

async fn count(c: &mut Connection, tenant: Option<&str>) -> Result<i64> {
    let counted = match tenant {
        None => {
            let sql = "SELECT COUNT(*) FROM tokens WHERE tenant IS NULL";
            query_scalar::<Db, _>(sql).fetch_one(c).await?
        }
        Some(tenant) => {
            let sql = "SELECT COUNT(*) FROM tokens WHERE tenant = $1";
            query_scalar::<Db, _>(sql).bind(tenant).fetch_one(c).await?
        }
    };
    Ok(counted)
}

/// Forgets a token, and says so in the audit; the caller has a transaction. False where
/// it is gone already.
pub(in crate::store) async fn delete(
    c: &mut Connection,
    token: &Token,
    who: &str,
    now: i64,
) -> Result<bool> {
    let sql = "DELETE FROM tokens WHERE id = $1";
    let done = sqlx::query::<Db>(sql)
        .bind(&token.id)
        .execute(&mut *c)
        .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    audit(c, token, false, who, now).await?;
    Ok(true)
}

async fn audit(c: &mut Connection, token: &Token, is_new: bool, who: &str, now: i64) -> Result<()> {
    let tenant = token.tenant.as_ref().map_or("", TenantId::as_str);
    let what = format!("token {}", token.name);
    let kept = json!({
        "id": token.id,
        "role": token.role.as_str(),
        "expires": token.expires,
    });
    let kept = kept.to_string();
    let values = match is_new {
        true => [None, Some(kept.as_str())],
        false => [Some(kept.as_str()), None],
    };
    Ok(sql::insert_audit(c, now, [who, tenant, &what], values).await?)
}

fn token((id, name, role, tenant, made, who, expires): Row) -> Result<Token> {
    let tenant = tenant.map(|tenant| {
        let read = tenant.parse();
        read.map_err(|_| Failure::damaged("a tenant's id", &tenant))
    });
    Ok(Token {
        role: role
            .parse()
            .map_err(|_| Failure::damaged("a role", &role))?,
        id,
        name,
        tenant: tenant.transpose()?,
        made,
        who,
        expires,
    })
}
