//! What the admin API reads: rows in pages, each with its revision.

use sqlx::{query_as, query_scalar};

use super::{Connection, Db};
use crate::facts::TenantId;
use crate::store::audit::Row;

type Result<T> = std::result::Result<T, sqlx::Error>;

/// Name, place, document and revision of a policy.
pub(in crate::store) type PolicyRow = (String, i64, String, i64);

/// Name, digest, entries and revision of a list.
pub(in crate::store) type ListRow = (String, String, i64, i64);

/// Name, active, previous and tried revision (0 for none), digest and size of the active one,
/// and the revision of a module itself.
pub(in crate::store) type ModuleRow = (String, i64, i64, i64, Option<String>, Option<i64>, i64);

/// Number, digest, size, time, author, state of a revision, and why it was refused.
pub(in crate::store) type RevisionRow = (i64, String, i64, i64, String, String, Option<String>);

/// Id, revision and digest of tenants, from behind an id on.
pub(in crate::store) async fn tenants(
    c: &mut Connection,
    after: &str,
    limit: i64,
) -> Result<Vec<(String, i64, String)>> {
    let sql = "SELECT id, revision, digest FROM tenants WHERE id > $1 ORDER BY id LIMIT $2";
    let query = query_as::<Db, _>(sql).bind(after).bind(limit);
    query.fetch_all(c).await
}

/// The operator's part of a tenant, its own, revision and digest.
pub(in crate::store) async fn tenant(
    c: &mut Connection,
    id: &str,
) -> Result<Option<(String, String, i64, String)>> {
    let sql = "SELECT operator, own, revision, digest FROM tenants WHERE id = $1";
    query_as::<Db, _>(sql).bind(id).fetch_optional(c).await
}

pub(in crate::store) async fn domains(c: &mut Connection, tenant: &str) -> Result<Vec<String>> {
    let sql = "SELECT domain FROM domains WHERE tenant = $1 ORDER BY place";
    query_scalar::<Db, _>(sql).bind(tenant).fetch_all(c).await
}

/// In the order of creation, from behind a place on.
pub(in crate::store) async fn policies(
    c: &mut Connection,
    tenant: &str,
    after: i64,
    limit: i64,
) -> Result<Vec<PolicyRow>> {
    let sql = "SELECT name, place, document, revision FROM policies \
               WHERE tenant = $1 AND place > $2 ORDER BY place LIMIT $3";
    let query = query_as::<Db, _>(sql).bind(tenant).bind(after).bind(limit);
    query.fetch_all(c).await
}

pub(in crate::store) async fn policy(
    c: &mut Connection,
    tenant: &str,
    name: &str,
) -> Result<Option<PolicyRow>> {
    let sql = "SELECT name, place, document, revision FROM policies \
               WHERE tenant = $1 AND name = $2";
    let query = query_as::<Db, _>(sql).bind(tenant).bind(name);
    query.fetch_optional(c).await
}

pub(in crate::store) async fn lists(
    c: &mut Connection,
    tenant: &str,
    after: &str,
    limit: i64,
) -> Result<Vec<ListRow>> {
    let sql = "SELECT l.name, l.content, c.entries, l.revision FROM lists l \
               JOIN list_contents c ON c.digest = l.content \
               WHERE l.tenant = $1 AND l.name > $2 ORDER BY l.name LIMIT $3";
    let query = query_as::<Db, _>(sql).bind(tenant).bind(after).bind(limit);
    query.fetch_all(c).await
}

pub(in crate::store) async fn list(
    c: &mut Connection,
    tenant: &str,
    name: &str,
) -> Result<Option<ListRow>> {
    let sql = "SELECT l.name, l.content, c.entries, l.revision FROM lists l \
               JOIN list_contents c ON c.digest = l.content \
               WHERE l.tenant = $1 AND l.name = $2";
    let query = query_as::<Db, _>(sql).bind(tenant).bind(name);
    query.fetch_optional(c).await
}

/// The entries of a list of this digest.
pub(in crate::store) async fn content(c: &mut Connection, digest: &str) -> Result<Option<String>> {
    let sql = "SELECT content FROM list_contents WHERE digest = $1";
    let query = query_scalar::<Db, _>(sql).bind(digest);
    query.fetch_optional(c).await
}

/// By name, from behind a name on.
pub(in crate::store) async fn modules(
    c: &mut Connection,
    tenant: &str,
    after: &str,
    limit: i64,
) -> Result<Vec<ModuleRow>> {
    let sql = "SELECT m.name, m.active, m.previous, m.shadow, r.digest, r.size, m.revision \
               FROM modules m \
               LEFT JOIN module_revisions r \
               ON r.tenant = m.tenant AND r.name = m.name AND r.number = m.active \
               WHERE m.tenant = $1 AND m.name > $2 ORDER BY m.name LIMIT $3";
    let query = query_as::<Db, _>(sql).bind(tenant).bind(after).bind(limit);
    query.fetch_all(c).await
}

pub(in crate::store) async fn module(
    c: &mut Connection,
    tenant: &str,
    name: &str,
) -> Result<Option<ModuleRow>> {
    let sql = "SELECT m.name, m.active, m.previous, m.shadow, r.digest, r.size, m.revision \
               FROM modules m \
               LEFT JOIN module_revisions r \
               ON r.tenant = m.tenant AND r.name = m.name AND r.number = m.active \
               WHERE m.tenant = $1 AND m.name = $2";
    let query = query_as::<Db, _>(sql).bind(tenant).bind(name);
    query.fetch_optional(c).await
}

/// The digest of the revision that was active before the one that is.
pub(in crate::store) async fn previous(
    c: &mut Connection,
    tenant: &str,
    name: &str,
) -> Result<Option<String>> {
    let sql = "SELECT r.digest FROM modules m JOIN module_revisions r \
               ON r.tenant = m.tenant AND r.name = m.name AND r.number = m.previous \
               WHERE m.tenant = $1 AND m.name = $2";
    let query = query_scalar::<Db, _>(sql).bind(tenant).bind(name);
    query.fetch_optional(c).await
}

/// Newest first.
pub(in crate::store) async fn revisions(
    c: &mut Connection,
    tenant: &str,
    name: &str,
) -> Result<Vec<RevisionRow>> {
    let sql = "SELECT number, digest, size, made, who, state, reason FROM module_revisions \
               WHERE tenant = $1 AND name = $2 ORDER BY number DESC";
    let query = query_as::<Db, _>(sql).bind(tenant).bind(name);
    query.fetch_all(c).await
}

pub(in crate::store) async fn revision(
    c: &mut Connection,
    tenant: &str,
    name: &str,
    number: i64,
) -> Result<Option<RevisionRow>> {
    let sql = "SELECT number, digest, size, made, who, state, reason FROM module_revisions \
               WHERE tenant = $1 AND name = $2 AND number = $3";
    let query = query_as::<Db, _>(sql).bind(tenant).bind(name);
    query.bind(number).fetch_optional(c).await
}

/// So many records before a number, newest first, of one tenant or of all.
pub(in crate::store) async fn audit(
    c: &mut Connection,
    tenant: Option<&TenantId>,
    (before, limit): (i64, i64),
) -> Result<Vec<Row>> {
    let all = "SELECT number, made, who, tenant, what, was, became FROM audit \
               WHERE number < $1 ORDER BY number DESC LIMIT $2";
    let one = "SELECT number, made, who, tenant, what, was, became FROM audit \
               WHERE number < $1 AND tenant = $3 ORDER BY number DESC LIMIT $2";
    let query = query_as::<Db, _>(if tenant.is_some() { one } else { all });
    let query = query.bind(before).bind(limit);
    match tenant {
        None => query.fetch_all(c).await,
        Some(tenant) => query.bind(tenant.as_str()).fetch_all(c).await,
    }
}
