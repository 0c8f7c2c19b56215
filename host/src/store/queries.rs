//! Every statement of SQL, one function each, the same for every database.
//!
//! This file is compiled once for each of them, with its own `Db`, so that there is one
//! text of each query and no layer in between.

use sqlx::query::Query;
use sqlx::{Database, query_as, query_scalar};

use super::{Connection, Db};
use crate::facts::TenantId;
use crate::store::audit::Row;

type Result<T> = std::result::Result<T, sqlx::Error>;
type Arguments = <Db as Database>::Arguments;

/// How long what no tenant has any more is kept, in seconds: a transaction that began
/// before ends, and the receipts that name it are written by then.
const LINGER: i64 = 3600;

/// Every tenant: id, revision, digest.
pub(super) async fn tenants(c: &mut Connection) -> Result<Vec<(String, i64, String)>> {
    let sql = "SELECT id, revision, digest FROM tenants ORDER BY id";
    query_as::<Db, _>(sql).fetch_all(c).await
}

/// A tenant's own row: the operator's part, its own, the revision, the digest of all.
pub(super) async fn tenant(
    c: &mut Connection,
    id: &str,
) -> Result<Option<(String, String, i64, String)>> {
    let sql = "SELECT operator, own, revision, digest FROM tenants WHERE id = $1";
    query_as::<Db, _>(sql).bind(id).fetch_optional(c).await
}

pub(super) async fn domains(c: &mut Connection, tenant: &str) -> Result<Vec<String>> {
    let sql = "SELECT domain FROM domains WHERE tenant = $1 ORDER BY place";
    query_scalar::<Db, _>(sql).bind(tenant).fetch_all(c).await
}

/// Name and digest of each list.
pub(super) async fn lists(c: &mut Connection, tenant: &str) -> Result<Vec<(String, String)>> {
    let sql = "SELECT name, content FROM lists WHERE tenant = $1 ORDER BY name";
    query_as::<Db, _>(sql).bind(tenant).fetch_all(c).await
}

pub(in crate::store) async fn list_content(
    c: &mut Connection,
    digest: &str,
) -> Result<Option<String>> {
    let sql = "SELECT content FROM list_contents WHERE digest = $1";
    query_scalar::<Db, _>(sql)
        .bind(digest)
        .fetch_optional(c)
        .await
}

/// Whether the bytes of a module are there.
pub(in crate::store) async fn has_module_content(c: &mut Connection, digest: &str) -> Result<bool> {
    let sql = "SELECT digest FROM module_contents WHERE digest = $1";
    let found: Option<String> = query_scalar::<Db, _>(sql)
        .bind(digest)
        .fetch_optional(c)
        .await?;
    Ok(found.is_some())
}

/// The bytes of a module.
pub(in crate::store) async fn module_content(
    c: &mut Connection,
    digest: &str,
) -> Result<Option<Vec<u8>>> {
    let sql = "SELECT content FROM module_contents WHERE digest = $1";
    query_scalar::<Db, _>(sql)
        .bind(digest)
        .fetch_optional(c)
        .await
}

pub(super) async fn modules(c: &mut Connection) -> Result<Vec<String>> {
    let sql = "SELECT digest FROM module_contents";
    query_scalar::<Db, _>(sql).fetch_all(c).await
}

/// The documents, in the order of creation.
pub(super) async fn policies(c: &mut Connection, tenant: &str) -> Result<Vec<String>> {
    let sql = "SELECT document FROM policies WHERE tenant = $1 ORDER BY place";
    query_scalar::<Db, _>(sql).bind(tenant).fetch_all(c).await
}

/// The owner of a domain.
pub(super) async fn owner(c: &mut Connection, domain: &str) -> Result<Option<String>> {
    let sql = "SELECT tenant FROM domains WHERE domain = $1";
    query_scalar::<Db, _>(sql)
        .bind(domain)
        .fetch_optional(c)
        .await
}

pub(super) async fn insert_tenant(
    c: &mut Connection,
    id: &str,
    [operator, own, digest]: [&str; 3],
) -> Result<()> {
    // One of this id that was there before had no more revisions than records of them.
    let sql = "INSERT INTO tenants (id, operator, own, digest, revision) \
               SELECT $1, $2, $3, $4, COUNT(*) + 1 FROM audit WHERE tenant = $1";
    run(
        c,
        statement(sql)
            .bind(id)
            .bind(operator)
            .bind(own)
            .bind(digest),
    )
    .await?;
    Ok(())
}

/// Whether it still had this revision.
pub(super) async fn update_tenant(
    c: &mut Connection,
    id: &str,
    revision: i64,
    [operator, own, digest]: [&str; 3],
) -> Result<bool> {
    let sql = "UPDATE tenants SET operator = $3, own = $4, digest = $5, revision = revision + 1 \
               WHERE id = $1 AND revision = $2";
    let bound = statement(sql).bind(id).bind(revision);
    run(c, bound.bind(operator).bind(own).bind(digest)).await
}

/// Whether it still had this revision. What belongs to it goes with it.
pub(super) async fn delete_tenant(c: &mut Connection, id: &str, revision: i64) -> Result<bool> {
    let sql = "DELETE FROM tenants WHERE id = $1 AND revision = $2";
    run(c, statement(sql).bind(id).bind(revision)).await
}

pub(super) async fn delete_domains(c: &mut Connection, tenant: &str) -> Result<()> {
    let sql = "DELETE FROM domains WHERE tenant = $1";
    run(c, statement(sql).bind(tenant)).await.map(drop)
}

pub(super) async fn insert_domain(
    c: &mut Connection,
    tenant: &str,
    place: i64,
    domain: &str,
) -> Result<()> {
    let sql = "INSERT INTO domains (domain, tenant, place) VALUES ($1, $2, $3)";
    run(c, statement(sql).bind(domain).bind(tenant).bind(place)).await?;
    Ok(())
}

pub(super) async fn put_list_content(
    c: &mut Connection,
    digest: &str,
    entries: i64,
    content: &str,
) -> Result<()> {
    let sql = "INSERT INTO list_contents (digest, entries, content) VALUES ($1, $2, $3) \
               ON CONFLICT (digest) DO NOTHING";
    run(c, statement(sql).bind(digest).bind(entries).bind(content)).await?;
    Ok(())
}

pub(super) async fn put_list(
    c: &mut Connection,
    tenant: &str,
    name: &str,
    digest: &str,
) -> Result<()> {
    // Revisions of what a tenant has are its own: none comes back with another of this name.
    let sql = "INSERT INTO lists (tenant, name, content, revision) \
               SELECT id, $2, $3, revision FROM tenants WHERE id = $1 \
               ON CONFLICT (tenant, name) DO UPDATE \
               SET content = excluded.content, revision = excluded.revision";
    run(c, statement(sql).bind(tenant).bind(name).bind(digest)).await?;
    Ok(())
}

pub(super) async fn delete_list(c: &mut Connection, tenant: &str, name: &str) -> Result<()> {
    let sql = "DELETE FROM lists WHERE tenant = $1 AND name = $2";
    run(c, statement(sql).bind(tenant).bind(name))
        .await
        .map(drop)
}

pub(super) async fn put_module_content(
    c: &mut Connection,
    digest: &str,
    content: &[u8],
) -> Result<()> {
    let sql = "INSERT INTO module_contents (digest, size, content) VALUES ($1, $2, $3) \
               ON CONFLICT (digest) DO NOTHING";
    // No module has 2^63 bytes.
    let size = i64::try_from(content.len()).unwrap_or(i64::MAX);
    run(c, statement(sql).bind(digest).bind(size).bind(content)).await?;
    Ok(())
}

pub(super) async fn place_module(
    c: &mut Connection,
    tenant: &str,
    name: &str,
    place: i64,
) -> Result<()> {
    let sql = "UPDATE modules SET place = $3 WHERE tenant = $1 AND name = $2";
    run(c, statement(sql).bind(tenant).bind(name).bind(place)).await?;
    Ok(())
}

pub(super) async fn delete_module(c: &mut Connection, tenant: &str, name: &str) -> Result<()> {
    let sql = "DELETE FROM modules WHERE tenant = $1 AND name = $2";
    run(c, statement(sql).bind(tenant).bind(name))
        .await
        .map(drop)
}

/// An edit keeps the id.
pub(super) async fn put_policy(
    c: &mut Connection,
    [tenant, name, id]: [&str; 3],
    document: &str,
) -> Result<()> {
    let sql = "INSERT INTO policies (tenant, name, id, place, document, revision) \
               SELECT t.id, $2, $3, 0, $4, t.revision FROM tenants t WHERE t.id = $1 \
               ON CONFLICT (tenant, name) DO UPDATE \
               SET document = excluded.document, revision = excluded.revision";
    let bound = statement(sql).bind(tenant).bind(name).bind(id);
    run(c, bound.bind(document)).await?;
    Ok(())
}

pub(super) async fn place_policy(
    c: &mut Connection,
    tenant: &str,
    name: &str,
    place: i64,
) -> Result<()> {
    let sql = "UPDATE policies SET place = $3 WHERE tenant = $1 AND name = $2";
    run(c, statement(sql).bind(tenant).bind(name).bind(place)).await?;
    Ok(())
}

pub(super) async fn delete_policy(c: &mut Connection, tenant: &str, name: &str) -> Result<()> {
    let sql = "DELETE FROM policies WHERE tenant = $1 AND name = $2";
    run(c, statement(sql).bind(tenant).bind(name))
        .await
        .map(drop)
}

/// Whether a module was found to take these settings.
pub(super) async fn is_checked(
    c: &mut Connection,
    [module, settings, engine]: [&str; 3],
) -> Result<bool> {
    let sql = "SELECT COUNT(*) FROM checked_settings \
               WHERE module = $1 AND settings = $2 AND engine = $3";
    let query = query_scalar::<Db, i64>(sql).bind(module).bind(settings);
    Ok(query.bind(engine).fetch_one(c).await? > 0)
}

pub(super) async fn put_checked(
    c: &mut Connection,
    [module, settings, engine]: [&str; 3],
) -> Result<()> {
    let sql = "INSERT INTO checked_settings (module, settings, engine) VALUES ($1, $2, $3) \
               ON CONFLICT (module, settings, engine) DO NOTHING";
    run(c, statement(sql).bind(module).bind(settings).bind(engine))
        .await
        .map(drop)
}

/// Forgets what other engines have found.
pub(super) async fn forget_checked(c: &mut Connection, engine: &str) -> Result<()> {
    let sql = "DELETE FROM checked_settings WHERE engine <> $1";
    run(c, statement(sql).bind(engine)).await.map(drop)
}

/// Forgets what modules were found to take that no tenant has any more, and of the rest what
/// is beyond so many: of that they are asked again.
pub(in crate::store) async fn prune_checked(c: &mut Connection, most: i64) -> Result<()> {
    let unused = "DELETE FROM checked_settings WHERE NOT EXISTS \
        (SELECT 1 FROM module_revisions r WHERE r.content = checked_settings.module)";
    run(c, statement(unused)).await?;
    let count = query_scalar::<Db, i64>("SELECT COUNT(*) FROM checked_settings");
    if count.fetch_one(&mut *c).await? <= most {
        return Ok(());
    }
    // Digests are in no order, so that nobody's are kept for the sake of the order.
    let surplus = "DELETE FROM checked_settings WHERE settings >= (SELECT settings \
        FROM checked_settings ORDER BY settings LIMIT 1 OFFSET $1)";
    run(c, statement(surplus).bind(most)).await.map(drop)
}

/// Removes contents that no tenant has had for some time and no receipt needs; `now` is in
/// seconds since 1970.
pub(in crate::store) async fn sweep(c: &mut Connection, now: i64) -> Result<()> {
    let used_again = "DELETE FROM unused_contents WHERE \
        EXISTS (SELECT 1 FROM lists l WHERE l.content = unused_contents.digest) OR \
        EXISTS (SELECT 1 FROM module_revisions r WHERE r.content = unused_contents.digest)";
    run(c, statement(used_again)).await?;
    let lists = "INSERT INTO unused_contents (digest, since) SELECT digest, $1 \
        FROM list_contents WHERE NOT EXISTS \
        (SELECT 1 FROM lists l WHERE l.content = list_contents.digest) \
        ON CONFLICT (digest) DO NOTHING";
    run(c, statement(lists).bind(now)).await?;
    let modules = "INSERT INTO unused_contents (digest, since) SELECT digest, $1 \
        FROM module_contents WHERE NOT EXISTS \
        (SELECT 1 FROM module_revisions r WHERE r.content = module_contents.digest) \
        ON CONFLICT (digest) DO NOTHING";
    run(c, statement(modules).bind(now)).await?;
    let before = now.saturating_sub(LINGER);
    for unneeded in [
        "DELETE FROM list_contents WHERE digest IN \
         (SELECT digest FROM unused_contents WHERE since <= $1) AND NOT EXISTS \
         (SELECT 1 FROM receipt_needs n WHERE n.kind = 'list' AND n.digest = list_contents.digest)",
        "DELETE FROM module_contents WHERE digest IN \
         (SELECT digest FROM unused_contents WHERE since <= $1) AND NOT EXISTS \
         (SELECT 1 FROM receipt_needs n \
         WHERE n.kind = 'module' AND n.digest = module_contents.digest)",
    ] {
        run(c, statement(unneeded).bind(before)).await?;
    }
    let gone = "DELETE FROM unused_contents WHERE \
        NOT EXISTS (SELECT 1 FROM list_contents l WHERE l.digest = unused_contents.digest) AND \
        NOT EXISTS (SELECT 1 FROM module_contents m WHERE m.digest = unused_contents.digest)";
    run(c, statement(gone)).await.map(drop)
}

/// Removes the bytes of a module that has never decided anything, unless somebody has or
/// had the same.
pub(super) async fn drop_module_content(c: &mut Connection, digest: &str) -> Result<()> {
    let sql = "DELETE FROM module_contents WHERE digest = $1 \
        AND NOT EXISTS (SELECT 1 FROM module_revisions r WHERE r.content = $1) \
        AND NOT EXISTS (SELECT 1 FROM unused_contents u WHERE u.digest = $1)";
    run(c, statement(sql).bind(digest)).await.map(drop)
}

/// Adds to the audit.
pub(in crate::store) async fn insert_audit(
    c: &mut Connection,
    made: i64,
    [who, tenant, what]: [&str; 3],
    [was, became]: [Option<&str>; 2],
) -> Result<()> {
    let sql = "INSERT INTO audit (number, made, who, tenant, what, was, became) \
               SELECT COALESCE(MAX(number), 0) + 1, $1, $2, $3, $4, $5, $6 FROM audit";
    let bound = statement(sql).bind(made).bind(who).bind(tenant);
    run(c, bound.bind(what).bind(was).bind(became)).await?;
    Ok(())
}

fn statement<'q>(sql: &'static str) -> Query<'q, Db, Arguments> {
    sqlx::query::<Db>(sql)
}

/// Whether a row was written.
async fn run(c: &mut Connection, query: Query<'_, Db, Arguments>) -> Result<bool> {
    Ok(query.execute(c).await?.rows_affected() > 0)
}

/// The audit, of one tenant or of all.
pub(in crate::store) async fn audit(
    c: &mut Connection,
    tenant: Option<&TenantId>,
) -> Result<Vec<Row>> {
    let all = "SELECT number, made, who, tenant, what, was, became FROM audit ORDER BY number";
    let one = "SELECT number, made, who, tenant, what, was, became FROM audit \
               WHERE tenant = $1 ORDER BY number";
    match tenant {
        None => query_as::<Db, _>(all).fetch_all(c).await,
        Some(tenant) => {
            query_as::<Db, _>(one)
                .bind(tenant.as_str())
                .fetch_all(c)
                .await
        }
    }
}
