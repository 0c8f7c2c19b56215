//! Receipts into rows, and rows that are looked for.

use sqlx::{QueryBuilder, query_as, query_scalar};

use super::{Connection, Db, INSERT};
use crate::receipt::filter::{AddressFilter, Filter};
use crate::receipt::source::Part;
use crate::store::erasure::{Columned, Whole};
use crate::store::receipt_columns::{Batch, Later, Texts};
use crate::store::receipt_entry::{ACCEPTED, Row};

type Result<T> = std::result::Result<T, sqlx::Error>;

/// Rows that one statement writes: as many make the statement's own cost small, and are
/// well within the values that a statement may have.
const ROWS: usize = 50;

/// Writes a batch; the caller has a transaction, which ends with an error. Receipts that are there already stay as
/// they are, and are not counted again: whoever does not know what became of a batch may
/// write it again.
pub(in crate::store) async fn keep(c: &mut Connection, batch: &Batch) -> Result<()> {
    for (tenant, receipts) in batch.counts() {
        count(c, tenant, receipts).await?;
    }
    for rows in batch.new.chunks(ROWS) {
        insert(c, rows).await?;
    }
    for later in &batch.later {
        update(c, later).await?;
    }
    for (need, last) in &batch.needs {
        let sql = "INSERT INTO receipt_needs (kind, digest, tenant, last) VALUES ($1, $2, $3, $4) \
                   ON CONFLICT (kind, digest, tenant) DO UPDATE SET last = CASE \
                   WHEN excluded.last > receipt_needs.last THEN excluded.last \
                   ELSE receipt_needs.last END";
        let query = sqlx::query::<Db>(sql)
            .bind(need.kind)
            .bind(need.digest.to_string())
            .bind(&need.tenant);
        query.bind(last).execute(&mut *c).await?;
    }
    for (digest, content) in &batch.policies {
        let sql = "INSERT INTO policy_contents (digest, content) VALUES ($1, $2) \
                   ON CONFLICT (digest) DO NOTHING";
        let query = sqlx::query::<Db>(sql).bind(digest.to_string());
        query.bind(content).execute(&mut *c).await?;
    }
    Ok(())
}

async fn insert(c: &mut Connection, rows: &[Row]) -> Result<()> {
    let mut query = QueryBuilder::<Db>::new(INSERT);
    query.push(
        " INTO receipts (id, tenant, direction, sender_domain, sender_local, \
         recipient_domain, recipient_local, client, policy, monitored, verdict, event, content, \
         outcome) ",
    );
    query.push_values(rows, |mut values, row| {
        values
            .push_bind(&row.id)
            .push_bind(&row.tenant)
            .push_bind(row.direction)
            .push_bind(&row.sender.0)
            .push_bind(&row.sender.1)
            .push_bind(&row.recipient.0)
            .push_bind(&row.recipient.1)
            .push_bind(&row.client)
            .push_bind(&row.decided.policy)
            .push_bind(&row.decided.monitored)
            .push_bind(row.decided.verdict)
            .push_bind(&row.event)
            .push_bind(&row.content)
            .push_bind(&row.outcome);
    });
    query.build().execute(c).await.map(drop)
}

async fn update(c: &mut Connection, later: &Later) -> Result<()> {
    match later {
        Later::Content {
            id, decided, event, ..
        } => {
            let sql = "UPDATE receipts SET policy = $2, monitored = $3, verdict = $4, content = $5 \
                       WHERE id = $1";
            let query = sqlx::query::<Db>(sql).bind(id).bind(&decided.policy);
            let query = query.bind(&decided.monitored);
            let query = query.bind(decided.verdict).bind(event);
            query.execute(c).await.map(drop)
        }
        Later::Outcome { id, event, .. } => {
            let sql = "UPDATE receipts SET outcome = $2 WHERE id = $1";
            let query = sqlx::query::<Db>(sql).bind(id).bind(event);
            query.execute(c).await.map(drop)
        }
    }
}

/// So many more of a tenant, or fewer.
async fn count(c: &mut Connection, tenant: &str, more: i64) -> Result<()> {
    let sql = "INSERT INTO receipt_counts (tenant, receipts) VALUES ($1, $2) \
               ON CONFLICT (tenant) DO UPDATE SET receipts = receipt_counts.receipts + $2";
    let query = sqlx::query::<Db>(sql).bind(tenant).bind(more);
    query.execute(c).await.map(drop)
}

/// The receipts of mail in a policy's scope from this id on: all, and those that it refused.
pub(in crate::store) async fn scope(
    c: &mut Connection,
    tenant: &str,
    policy: &str,
    from: &str,
) -> Result<(i64, i64)> {
    let sql = "SELECT (SELECT COUNT(*) FROM receipts \
               WHERE tenant = $1 AND policy = $2 AND id >= $3) \
               + (SELECT COUNT(*) FROM receipts \
               WHERE tenant = $1 AND monitored = $2 AND id >= $3), \
               (SELECT COUNT(*) FROM receipts \
               WHERE tenant = $1 AND policy = $2 AND id >= $3 AND verdict <> 'accepted')";
    let query = query_as::<Db, _>(sql).bind(tenant).bind(policy);
    query.bind(from).fetch_one(c).await
}

/// Which of these are there.
pub(in crate::store) async fn known(c: &mut Connection, ids: &[String]) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for ids in ids.chunks(ROWS) {
        let mut query = QueryBuilder::<Db>::new("SELECT id FROM receipts WHERE id IN (");
        let mut list = query.separated(", ");
        for id in ids {
            list.push_bind(id);
        }
        query.push(")");
        let some: Vec<String> = query.build_query_scalar().fetch_all(&mut *c).await?;
        found.extend(some);
    }
    Ok(found)
}

/// How many there are of each tenant.
pub(in crate::store) async fn counts(c: &mut Connection) -> Result<Vec<(String, i64)>> {
    let sql = "SELECT tenant, receipts FROM receipt_counts ORDER BY tenant";
    query_as::<Db, _>(sql).fetch_all(c).await
}

/// Id and operator's part of every tenant.
pub(in crate::store) async fn operators(c: &mut Connection) -> Result<Vec<(String, String)>> {
    let sql = "SELECT id, operator FROM tenants";
    query_as::<Db, _>(sql).fetch_all(c).await
}

/// Removes the oldest of a tenant whose ids are less than this, or all if there is none,
/// and at most so many; how many it were. The caller has a transaction.
pub(in crate::store) async fn expire(
    c: &mut Connection,
    tenant: &str,
    before: Option<&str>,
    limit: i64,
) -> Result<i64> {
    let mut query = QueryBuilder::<Db>::new(
        "DELETE FROM receipts WHERE id IN (SELECT id FROM receipts WHERE tenant = ",
    );
    query.push_bind(tenant);
    if let Some(before) = before {
        query.push(" AND id < ").push_bind(before);
    }
    query.push(" ORDER BY id LIMIT ").push_bind(limit);
    query.push(")");
    let done = query.build().execute(&mut *c).await?;
    let removed = i64::try_from(done.rows_affected()).unwrap_or(limit);
    if removed > 0 {
        count(c, tenant, -removed).await?;
    }
    Ok(removed)
}

/// The newest whose id is less than this.
pub(in crate::store) async fn newest_before(
    c: &mut Connection,
    before: &str,
) -> Result<Option<String>> {
    let sql = "SELECT id FROM receipts WHERE id < $1 ORDER BY id DESC LIMIT 1";
    let query = query_scalar::<Db, _>(sql).bind(before);
    query.fetch_optional(c).await
}

/// Forgets what no receipt needs any more, and tenants that have none.
pub(in crate::store) async fn forget(c: &mut Connection) -> Result<()> {
    for sql in [
        "DELETE FROM receipt_counts WHERE receipts <= 0",
        "DELETE FROM receipt_needs WHERE NOT EXISTS (SELECT 1 FROM receipts r \
         WHERE r.tenant = receipt_needs.tenant AND r.id <= receipt_needs.last)",
        "DELETE FROM policy_contents WHERE NOT EXISTS (SELECT 1 FROM receipt_needs n \
         WHERE n.kind = 'policy' AND n.digest = policy_contents.digest)",
    ] {
        sqlx::query::<Db>(sql).execute(&mut *c).await?;
    }
    Ok(())
}

/// The text of a policy by its revision.
pub(in crate::store) async fn policy(c: &mut Connection, digest: &str) -> Result<Option<String>> {
    let sql = "SELECT content FROM policy_contents WHERE digest = $1";
    let query = query_scalar::<Db, _>(sql).bind(digest);
    query.fetch_optional(c).await
}

/// Receipts by id from behind one on, of one tenant or all: those who look for something
/// in all of them.
pub(in crate::store) async fn wholes(
    c: &mut Connection,
    tenant: Option<&str>,
    after: &str,
    limit: i64,
) -> Result<Vec<Whole>> {
    let mut query = QueryBuilder::<Db>::new(WHOLE);
    query.push(" WHERE id > ").push_bind(after);
    if let Some(tenant) = tenant {
        query.push(" AND tenant = ").push_bind(tenant);
    }
    query.push(" ORDER BY id LIMIT ").push_bind(limit);
    let rows: Vec<Columned> = query.build_query_as().fetch_all(c).await?;
    Ok(rows.into_iter().map(Whole::from).collect())
}

/// These receipts.
pub(in crate::store) async fn these(c: &mut Connection, ids: &[String]) -> Result<Vec<Whole>> {
    let mut query = QueryBuilder::<Db>::new(WHOLE);
    query.push(" WHERE id IN (");
    let mut list = query.separated(", ");
    for id in ids {
        list.push_bind(id);
    }
    query.push(")");
    let rows: Vec<Columned> = query.build_query_as().fetch_all(c).await?;
    Ok(rows.into_iter().map(Whole::from).collect())
}

/// What a [`Whole`] is made of.
const WHOLE: &str = "SELECT id, verdict, event, content, outcome, sender_domain, \
                     sender_local, recipient_domain, recipient_local FROM receipts";

/// Puts these in the place of the events of a receipt, and the addresses that are in them.
pub(in crate::store) async fn replace(c: &mut Connection, row: &Whole) -> Result<()> {
    let sql = "UPDATE receipts SET sender_domain = $2, sender_local = $3, \
               recipient_domain = $4, recipient_local = $5, event = $6, content = $7, \
               outcome = $8 WHERE id = $1";
    let query = sqlx::query::<Db>(sql).bind(&row.id);
    let query = query.bind(&row.sender.0).bind(&row.sender.1);
    let query = query.bind(&row.recipient.0).bind(&row.recipient.1);
    let query = query.bind(&row.event).bind(&row.content);
    query.bind(&row.outcome).execute(c).await.map(drop)
}

/// Whether there is any.
pub(in crate::store) async fn any(c: &mut Connection) -> Result<bool> {
    let sql = "SELECT id FROM receipts LIMIT 1";
    let found: Option<String> = query_scalar::<Db, _>(sql).fetch_optional(c).await?;
    Ok(found.is_some())
}

/// Those that pass, in their order.
pub(in crate::store) async fn find(
    c: &mut Connection,
    filter: &Filter,
    part: Part,
) -> Result<Vec<Texts>> {
    let mut query = search(filter, part);
    query.build_query_as().fetch_all(c).await
}

/// How many pass. An index tells.
pub(in crate::store) async fn count_those(c: &mut Connection, filter: &Filter) -> Result<i64> {
    let mut query = QueryBuilder::new("SELECT COUNT(*) FROM receipts WHERE ");
    let all = Part {
        newest_first: false,
        after: None,
        limit: usize::MAX,
    };
    conditions(&mut query, filter, all);
    query.build_query_scalar().fetch_one(c).await
}

/// The statement of a search. What passes is found in an index alone; only rows that are
/// wanted are read.
pub(in crate::store) fn search(filter: &Filter, part: Part) -> QueryBuilder<Db> {
    let order = if part.newest_first { "DESC" } else { "ASC" };
    let mut query = QueryBuilder::new(
        "SELECT id, verdict, event, content, outcome FROM receipts WHERE id IN \
         (SELECT id FROM receipts WHERE ",
    );
    conditions(&mut query, filter, part);
    // In the order of an expression that no index has: what passes is looked up by what is
    // asked for, and not by going through all that there is in the order of ids.
    let key = if is_specific(filter) {
        "id || ''"
    } else {
        "id"
    };
    query.push(format_args!(" ORDER BY {key} {order} LIMIT "));
    query.push_bind(i64::try_from(part.limit).unwrap_or(i64::MAX));
    query.push(format_args!(") ORDER BY id {order}"));
    query
}

/// Whether few pass, as a rule.
fn is_specific(filter: &Filter) -> bool {
    filter.sender.is_some()
        || filter.recipient.is_some()
        || filter.client.is_some()
        || filter.policy.is_some()
        || (filter.accepted == Some(false) && filter.tenant.is_none())
}

fn conditions(query: &mut QueryBuilder<Db>, filter: &Filter, part: Part) {
    match &filter.tenant {
        Some(tenant) => drop(query.push("tenant = ").push_bind(tenant.to_string())),
        // Every index but that of ids begins with the tenant.
        None if is_specific(filter) => {
            query.push("tenant IN (SELECT tenant FROM receipt_counts)");
        }
        None => drop(query.push("1 = 1")),
    }
    address(query, "sender", filter.sender.as_ref());
    address(query, "recipient", filter.recipient.as_ref());
    if let Some(client) = filter.client {
        let client = client.to_canonical().to_string();
        query.push(" AND client = ").push_bind(client);
    }
    if let Some(policy) = &filter.policy {
        query.push(" AND policy = ").push_bind(policy.clone());
    }
    match filter.accepted {
        Some(true) => drop(query.push(format_args!(" AND verdict = '{ACCEPTED}'"))),
        // As the index has it.
        Some(false) => drop(query.push(format_args!(" AND verdict <> '{ACCEPTED}'"))),
        None => {}
    }
    let (first, end) = filter.ids();
    let behind = if part.newest_first { "<" } else { ">" };
    for (operator, id) in [
        ("=", filter.id),
        (">=", first),
        ("<", end),
        (behind, part.after),
    ] {
        if let Some(id) = id {
            query.push(format_args!(" AND id {operator} "));
            query.push_bind(id.to_string());
        }
    }
}

fn address(query: &mut QueryBuilder<Db>, whose: &str, wanted: Option<&AddressFilter>) {
    let Some(wanted) = wanted else { return };
    query.push(format_args!(" AND {whose}_domain = "));
    query.push_bind(wanted.domain.clone());
    if let Some(local) = &wanted.local {
        query.push(format_args!(" AND {whose}_local = "));
        query.push_bind(local.clone());
    }
}
