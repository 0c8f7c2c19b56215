//! Candidates, and what they came to, into rows and back.

use serde_json::json;
use sqlx::{query_as, query_scalar};

use super::{Connection, Db, queries as sql};
use crate::facts::TenantId;
use crate::receipt::ShadowOf;
use crate::store::shadow_columns::{Pair, SAMPLES, SENDERS, Sample, Sender, Shadowed};

type Result<T> = std::result::Result<T, sqlx::Error>;

/// Number, digest and beginning of a candidate.
pub(in crate::store) type CandidateRow = (i64, String, i64);

/// Candidate and active revision, what was and would have been decided with the verdicts,
/// whether they agree, and how often.
pub(in crate::store) type PairRow = (String, String, String, String, String, String, i64, i64);

/// Domain, verdicts and how often.
pub(in crate::store) type SenderRow = (String, String, String, i64);

/// Receipt, stage, what was and would have been decided with the verdicts, and the answer.
pub(in crate::store) type SampleRow = (String, String, String, String, String, String, String);

/// Every candidate: tenant, module, digest.
pub(in crate::store) async fn all(c: &mut Connection) -> Result<Vec<(String, String, String)>> {
    let sql = "SELECT m.tenant, m.name, r.digest FROM modules m JOIN module_revisions r \
               ON r.tenant = m.tenant AND r.name = m.name AND r.number = m.shadow \
               WHERE m.shadow > 0 AND m.shadow <> m.active ORDER BY m.tenant, m.name";
    query_as::<Db, _>(sql).fetch_all(c).await
}

/// That of a module.
pub(in crate::store) async fn one(
    c: &mut Connection,
    tenant: &str,
    module: &str,
) -> Result<Option<CandidateRow>> {
    let sql = "SELECT r.number, r.digest, m.shadow_since FROM modules m JOIN module_revisions r \
               ON r.tenant = m.tenant AND r.name = m.name AND r.number = m.shadow \
               WHERE m.tenant = $1 AND m.name = $2 AND m.shadow > 0";
    let query = query_as::<Db, _>(sql).bind(tenant).bind(module);
    query.fetch_optional(c).await
}

/// Begins to try a revision, or none any more; the caller has a transaction. What the one
/// before came to is forgotten when another begins. False where there is no such module.
pub(in crate::store) async fn set(
    c: &mut Connection,
    tenant: &TenantId,
    module: &str,
    number: Option<i64>,
    who: &str,
    now: i64,
) -> Result<bool> {
    let id = tenant.as_str();
    let was = one(&mut *c, id, module).await?;
    let sql = "UPDATE tenants SET revision = revision + 1 WHERE id = $1";
    sqlx::query::<Db>(sql).bind(id).execute(&mut *c).await?;
    let sql = "UPDATE modules SET shadow = $3, shadow_since = $4, \
               revision = (SELECT revision FROM tenants WHERE id = $1) \
               WHERE tenant = $1 AND name = $2";
    let query = sqlx::query::<Db>(sql).bind(id).bind(module);
    let query = query.bind(number.unwrap_or(0)).bind(now);
    if query.execute(&mut *c).await?.rows_affected() == 0 {
        return Ok(false);
    }
    if number.is_some() {
        for sql in [
            "DELETE FROM shadow_counts WHERE tenant = $1 AND module = $2",
            "DELETE FROM shadow_senders WHERE tenant = $1 AND module = $2",
            "DELETE FROM shadow_samples WHERE tenant = $1 AND module = $2",
        ] {
            let query = sqlx::query::<Db>(sql).bind(id).bind(module);
            query.execute(&mut *c).await?;
        }
    }
    let text = |number: i64| json!({ "revision": number }).to_string();
    let (was, became) = (was.map(|(number, ..)| text(number)), number.map(text));
    let what = format!("shadow of module {module}");
    let values = [was.as_deref(), became.as_deref()];
    sql::insert_audit(c, now, [who, id, &what], values).await?;
    Ok(true)
}

/// How many events this writer has written.
pub(in crate::store) async fn written(c: &mut Connection, writer: &str) -> Result<i64> {
    let sql = "SELECT events FROM shadow_writers WHERE id = $1";
    let found = query_scalar::<Db, i64>(sql).bind(writer);
    Ok(found.fetch_optional(c).await?.unwrap_or(0))
}

/// Writes what candidates came to in a batch, after which this writer has written so many;
/// the caller has a transaction. What is of a module that is gone goes nowhere.
pub(in crate::store) async fn keep(
    c: &mut Connection,
    shadowed: &Shadowed,
    writer: &str,
    written: i64,
) -> Result<()> {
    let sql = "DELETE FROM shadow_writers WHERE id <> $1";
    sqlx::query::<Db>(sql).bind(writer).execute(&mut *c).await?;
    let sql = "INSERT INTO shadow_writers (id, events) VALUES ($1, $2) \
               ON CONFLICT (id) DO UPDATE SET events = excluded.events";
    let query = sqlx::query::<Db>(sql).bind(writer).bind(written);
    query.execute(&mut *c).await?;
    for (pair, decisions) in &shadowed.counts {
        count(c, pair, *decisions).await?;
    }
    for (sender, decisions) in &shadowed.senders {
        count_sender(c, sender, *decisions).await?;
    }
    for one in &shadowed.samples {
        sample(c, one).await?;
    }
    Ok(())
}

async fn count(c: &mut Connection, pair: &Pair, decisions: i64) -> Result<()> {
    let Pair {
        of,
        was,
        would,
        agrees,
    } = pair;
    let sql = "INSERT INTO shadow_counts (tenant, module, candidate, active, \
               was, was_verdict, would, would_verdict, agrees, decisions) \
               SELECT m.tenant, m.name, $3, $4, $5, $6, $7, $8, $9, $10 FROM modules m \
               WHERE m.tenant = $1 AND m.name = $2 ON CONFLICT \
               (tenant, module, candidate, active, was, was_verdict, would, would_verdict, agrees) \
               DO UPDATE SET decisions = shadow_counts.decisions + excluded.decisions";
    let query = sqlx::query::<Db>(sql)
        .bind(of.tenant.as_str())
        .bind(&of.module)
        .bind(of.candidate.to_string())
        .bind(of.active.to_string())
        .bind(&was.decision)
        .bind(was.verdict)
        .bind(&would.decision)
        .bind(would.verdict);
    let query = query.bind(i64::from(*agrees)).bind(decisions);
    query.execute(c).await.map(drop)
}

async fn count_sender(c: &mut Connection, sender: &Sender, decisions: i64) -> Result<()> {
    let Sender {
        of,
        domain,
        was,
        would,
    } = sender;
    let values = [
        of.tenant.to_string(),
        of.module.clone(),
        of.candidate.to_string(),
        of.active.to_string(),
        domain.clone(),
        (*was).to_owned(),
        (*would).to_owned(),
    ];
    let known = "UPDATE shadow_senders SET decisions = decisions + $8 \
                 WHERE tenant = $1 AND module = $2 AND candidate = $3 AND active = $4 \
                 AND domain = $5 AND was_verdict = $6 AND would_verdict = $7";
    let mut query = sqlx::query::<Db>(known);
    for value in &values {
        query = query.bind(value);
    }
    let updated = query.bind(decisions).execute(&mut *c).await?;
    if updated.rows_affected() > 0 || senders_of(c, of).await? >= SENDERS {
        return Ok(());
    }
    let new = "INSERT INTO shadow_senders (tenant, module, candidate, active, domain, \
               was_verdict, would_verdict, decisions) \
               SELECT m.tenant, m.name, $3, $4, $5, $6, $7, $8 FROM modules m \
               WHERE m.tenant = $1 AND m.name = $2";
    let mut query = sqlx::query::<Db>(new);
    for value in &values {
        query = query.bind(value);
    }
    query.bind(decisions).execute(c).await.map(drop)
}

async fn senders_of(c: &mut Connection, of: &ShadowOf) -> Result<i64> {
    let sql = "SELECT COUNT(*) FROM shadow_senders \
               WHERE tenant = $1 AND module = $2 AND candidate = $3";
    let query = query_scalar::<Db, i64>(sql).bind(of.tenant.as_str());
    let query = query.bind(&of.module).bind(of.candidate.to_string());
    query.fetch_one(c).await
}

/// Keeps one, unless there are enough of its pair, or its receipt is not there.
async fn sample(c: &mut Connection, sample: &Sample) -> Result<()> {
    let Sample {
        receipt,
        stage,
        pair,
        answer,
    } = sample;
    let of = &pair.of;
    let values = [
        of.tenant.to_string(),
        of.module.clone(),
        of.candidate.to_string(),
        of.active.to_string(),
        pair.was.decision.clone(),
        pair.was.verdict.to_owned(),
        pair.would.decision.clone(),
        pair.would.verdict.to_owned(),
    ];
    let sql = "SELECT COUNT(*) FROM shadow_samples \
               WHERE tenant = $1 AND module = $2 AND candidate = $3 AND active = $4 \
               AND was = $5 AND was_verdict = $6 AND would = $7 AND would_verdict = $8";
    let mut query = query_scalar::<Db, i64>(sql);
    for value in &values {
        query = query.bind(value);
    }
    let known = query.fetch_one(&mut *c).await?;
    if usize::try_from(known).unwrap_or(SAMPLES) >= SAMPLES {
        return Ok(());
    }
    let sql = "INSERT INTO shadow_samples (tenant, module, candidate, active, \
               was, was_verdict, would, would_verdict, receipt, stage, answer) \
               SELECT m.tenant, m.name, $3, $4, $5, $6, $7, $8, r.id, $10, $11 \
               FROM modules m, receipts r \
               WHERE m.tenant = $1 AND m.name = $2 AND r.id = $9 \
               ON CONFLICT (receipt, stage, module, candidate) DO NOTHING";
    let mut query = sqlx::query::<Db>(sql);
    for value in &values {
        query = query.bind(value);
    }
    let query = query.bind(receipt).bind(stage).bind(answer);
    query.execute(c).await.map(drop)
}

/// Pairs of decisions of a module's candidate, the most frequent first.
pub(in crate::store) async fn pairs(
    c: &mut Connection,
    tenant: &str,
    module: &str,
) -> Result<Vec<PairRow>> {
    let sql = "SELECT candidate, active, was, was_verdict, would, would_verdict, agrees, decisions \
               FROM shadow_counts WHERE tenant = $1 AND module = $2 \
               ORDER BY decisions DESC, was, was_verdict, would, would_verdict, agrees, active";
    let query = query_as::<Db, _>(sql).bind(tenant).bind(module);
    query.fetch_all(c).await
}

/// Senders whose mail would have had another verdict, those with the most mail first.
pub(in crate::store) async fn senders(
    c: &mut Connection,
    tenant: &str,
    module: &str,
) -> Result<Vec<SenderRow>> {
    let sql = "SELECT domain, was_verdict, would_verdict, CAST(SUM(decisions) AS BIGINT) \
               FROM shadow_senders WHERE tenant = $1 AND module = $2 \
               GROUP BY domain, was_verdict, would_verdict \
               ORDER BY 4 DESC, domain, was_verdict, would_verdict";
    let query = query_as::<Db, _>(sql).bind(tenant).bind(module);
    query.fetch_all(c).await
}

/// Samples of a module's candidate, the newest first.
pub(in crate::store) async fn samples(
    c: &mut Connection,
    tenant: &str,
    module: &str,
    limit: i64,
) -> Result<Vec<SampleRow>> {
    let sql = "SELECT receipt, stage, was, was_verdict, would, would_verdict, answer \
               FROM shadow_samples WHERE tenant = $1 AND module = $2 \
               ORDER BY receipt DESC, stage LIMIT $3";
    let query = query_as::<Db, _>(sql).bind(tenant).bind(module);
    query.bind(limit).fetch_all(c).await
}

/// What candidates would have decided about a receipt: module, stage, answer.
pub(in crate::store) async fn of_receipt(
    c: &mut Connection,
    receipt: &str,
) -> Result<Vec<(String, String, String)>> {
    let sql = "SELECT module, stage, answer FROM shadow_samples \
               WHERE receipt = $1 ORDER BY stage DESC, module, candidate";
    query_as::<Db, _>(sql).bind(receipt).fetch_all(c).await
}

/// Receipts that have samples, from behind one on, of one tenant or all.
pub(in crate::store) async fn receipts(
    c: &mut Connection,
    tenant: Option<&str>,
    after: &str,
    limit: i64,
) -> Result<Vec<String>> {
    let all = "SELECT DISTINCT receipt FROM shadow_samples WHERE receipt > $1 \
               ORDER BY receipt LIMIT $2";
    let one = "SELECT DISTINCT receipt FROM shadow_samples WHERE receipt > $1 AND tenant = $3 \
               ORDER BY receipt LIMIT $2";
    let query = query_scalar::<Db, _>(if tenant.is_some() { one } else { all });
    let query = query.bind(after).bind(limit);
    match tenant {
        None => query.fetch_all(c).await,
        Some(tenant) => query.bind(tenant).fetch_all(c).await,
    }
}

/// Removes the samples of a receipt.
pub(in crate::store) async fn forget(c: &mut Connection, receipt: &str) -> Result<()> {
    let sql = "DELETE FROM shadow_samples WHERE receipt = $1";
    sqlx::query::<Db>(sql)
        .bind(receipt)
        .execute(c)
        .await
        .map(drop)
}
