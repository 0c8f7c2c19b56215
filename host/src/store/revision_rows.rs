//! Revisions of modules from rows and back: received, admitted, active, gone.
//!
//! **A revision's number and bytes are never changed**; what becomes of it is. One that is
//! active, was active before, is tried, is pinned by a policy or waits for the engine does not
//! go.

use std::collections::BTreeSet;

use serde_json::json;
use sqlx::{query_as, query_scalar};

use super::{Connection, Db, queries as sql};
use crate::config::{ModuleConfig, ModuleContent, ModuleQuotas, Object, OtherRevision, pins};
use crate::config::{Position, TenantDocument};
use crate::digest::Digest;
use crate::facts::TenantId;
use crate::store::error::Failure;
use crate::store::revisions::{Arrival, RevisionState, Upload, WAITING, Waiting};

type Result<T> = std::result::Result<T, Failure>;

/// Revisions of a module that were refused and are remembered, for whoever asks why.
const REFUSED: usize = 5;

/// A revision among those of its module.
struct Kept {
    number: i64,
    digest: Digest,
    state: RevisionState,
}

impl Kept {
    fn is_ready(&self, digest: Digest) -> bool {
        self.digest == digest && self.state == RevisionState::Ready
    }
}

/// A tenant's modules that have an active revision, in the order of their places, with the
/// others that policies may pin.
pub(in crate::store) async fn modules(
    c: &mut Connection,
    tenant: &TenantId,
) -> Result<Vec<ModuleConfig>> {
    let sql = "SELECT m.name, r.digest FROM modules m JOIN module_revisions r \
               ON r.tenant = m.tenant AND r.name = m.name AND r.number = m.active \
               WHERE m.tenant = $1 ORDER BY m.place";
    let query = query_as::<Db, (String, String)>(sql).bind(tenant.as_str());
    let active = query.fetch_all(&mut *c).await?;
    let sql = "SELECT r.name, r.digest FROM modules m JOIN module_revisions r \
               ON r.tenant = m.tenant AND r.name = m.name AND r.number <> m.active \
               WHERE m.tenant = $1 AND r.state = 'ready' ORDER BY r.number";
    let query = query_as::<Db, (String, String)>(sql).bind(tenant.as_str());
    let mut others = Vec::new();
    for (name, digest) in query.fetch_all(&mut *c).await? {
        others.push((name, read_digest(&digest)?));
    }
    let module = |(name, digest): (String, String)| {
        let at = Position::tenant(tenant);
        let others = others.iter().filter(|(of, _)| *of == name);
        Ok(ModuleConfig {
            content: ModuleContent::Stored(read_digest(&digest)?),
            others: others
                .map(|(_, digest)| OtherRevision {
                    content: ModuleContent::Stored(*digest),
                    at: at.clone(),
                })
                .collect(),
            name: name
                .parse()
                .map_err(|_| Failure::damaged("a module's name", &name))?,
            at,
        })
    };
    active.into_iter().map(module).collect()
}

/// Makes this digest the active revision: one that is kept again, or else a new one.
pub(in crate::store) async fn activate(
    c: &mut Connection,
    document: &TenantDocument,
    module: &ModuleConfig,
    who: &str,
    now: i64,
) -> Result<()> {
    let (tenant, name) = (document.id.as_str(), module.name.as_str());
    let known = all(c, tenant, name).await?;
    let is_there = known.iter().any(|kept| kept.is_ready(module.digest()));
    if matches!(module.content, ModuleContent::Stored(_)) && !is_there {
        // It went while somebody looked at the settings.
        return Err(Failure::Stale(document.id.clone()));
    }
    let number = admitted(c, tenant, name, &module.content, who, now).await?;
    let sql = "UPDATE modules SET previous = active, active = $3, \
               shadow = CASE WHEN shadow = $3 THEN 0 ELSE shadow END, \
               revision = (SELECT revision FROM tenants WHERE id = $1) \
               WHERE tenant = $1 AND name = $2 AND active <> $3";
    let query = sqlx::query::<Db>(sql).bind(tenant).bind(name).bind(number);
    query.execute(&mut *c).await?;
    Ok(())
}

/// Keeps the revisions that policies pin, which files bring along; whether there were any.
pub(in crate::store) async fn keep_pinned(
    c: &mut Connection,
    document: &TenantDocument,
    module: &ModuleConfig,
    who: &str,
    now: i64,
) -> Result<bool> {
    let mut kept = false;
    let (tenant, name) = (document.id.as_str(), module.name.as_str());
    let pins = document.pinned(module);
    let known = match pins.is_empty() {
        true => Vec::new(),
        false => all(c, tenant, name).await?,
    };
    for pinned in pins {
        let of_file = |other: &&OtherRevision| {
            other.content.digest() == pinned && matches!(other.content, ModuleContent::Given { .. })
        };
        if let Some(other) = module.others.iter().find(of_file) {
            admitted(c, tenant, name, &other.content, who, now).await?;
            kept = true;
        } else if !known.iter().any(|kept| kept.is_ready(pinned)) && module.digest() != pinned {
            // It went while somebody looked at the settings.
            return Err(Failure::Stale(document.id.clone()));
        }
    }
    Ok(kept)
}

/// The number of a revision that was found to be sound; a new one where none is kept.
async fn admitted(
    c: &mut Connection,
    tenant: &str,
    name: &str,
    content: &ModuleContent,
    who: &str,
    now: i64,
) -> Result<i64> {
    let digest = content.digest();
    let all = all(c, tenant, name).await?;
    let mut known = all.iter().filter(|kept| kept.digest == digest);
    if let Some(known) = known.find(|kept| kept.state != RevisionState::Refused) {
        set_state(c, [tenant, name], known.number, RevisionState::Ready, None).await?;
        return Ok(known.number);
    }
    make_module(c, tenant, name).await?;
    let size = match content {
        ModuleContent::Given { bytes, .. } => {
            sql::put_module_content(c, &digest.to_string(), bytes).await?;
            size_of(bytes)
        }
        ModuleContent::Stored(_) => size_of_kept(c, digest).await?,
    };
    let state = RevisionState::Ready;
    insert(c, [tenant, name, who], (digest, size), state, now).await
}

/// Removes the oldest revisions beyond the tenant's quota that nobody needs.
pub(in crate::store) async fn prune(
    c: &mut Connection,
    document: &TenantDocument,
    module: &ModuleConfig,
) -> Result<()> {
    let (tenant, name) = (document.id.as_str(), module.name.as_str());
    let quotas = ModuleQuotas::of(&document.operator);
    let needed = Needed {
        pins: pins(&document.policies, name),
        ..needed(c, tenant, name).await?
    };
    make_room(c, [tenant, name], quotas.revisions, &needed).await?;
    shrink(c, tenant, &document.policies, quotas.bytes, None).await
}

/// Keeps an upload; the caller has a transaction. The same bytes again are the same
/// revision, and one that was refused is tried again.
pub(in crate::store) async fn receive(
    c: &mut Connection,
    upload: &Upload<'_>,
    who: &str,
    now: i64,
) -> Result<(i64, Arrival)> {
    let (tenant, name) = (upload.tenant.as_str(), upload.module.as_str());
    let Some((operator, ..)) = sql::tenant(c, tenant).await? else {
        return Err(Failure::NoTenant(upload.tenant.clone()));
    };
    let quotas = ModuleQuotas::of(&read_object(&operator)?);
    let all = all(c, tenant, name).await?;
    let known = all.iter().rfind(|kept| kept.digest == upload.digest);
    if let Some(known) = known
        && known.state != RevisionState::Refused
    {
        return Ok((known.number, Arrival::Known));
    }
    if waiting_of(c, tenant).await? >= WAITING {
        return Err(Failure::Waiting(WAITING));
    }
    let policies = policies(c, tenant).await?;
    let others = all_of(c, tenant, &policies).await?;
    let needed_bytes = others.iter().filter(|one| one.is_needed);
    let needed_bytes: i64 = needed_bytes.map(|one| one.size).sum();
    if needed_bytes.saturating_add(size_of(upload.bytes)) > quotas.bytes {
        return Err(Failure::ModuleBytes(quotas.bytes));
    }
    let digest = upload.digest.to_string();
    if let Some(known) = known {
        sql::put_module_content(c, &digest, upload.bytes).await?;
        let state = RevisionState::Received;
        set_state(c, [tenant, name], known.number, state, None).await?;
        let what = format!("module {name} revision {}", known.number);
        let [was, became] = [known.state, state].map(|state| json!({ "state": state }).to_string());
        let values = [Some(was.as_str()), Some(became.as_str())];
        sql::insert_audit(c, now, [who, tenant, &what], values).await?;
        return Ok((known.number, Arrival::Again));
    }
    if all.is_empty() && !has_module(c, tenant, name).await? {
        if count_modules(c, tenant).await? >= quotas.modules {
            return Err(Failure::Modules(quotas.modules));
        }
        make_module(c, tenant, name).await?;
    }
    // Nothing goes for what may be refused; but if it is sound, there has to be room.
    let needed = needed(c, tenant, name).await?;
    let most = usize::try_from(quotas.revisions).unwrap_or(usize::MAX);
    if all.iter().filter(|kept| needed.has(kept)).count() >= most {
        return Err(Failure::Revisions {
            module: upload.module.to_string(),
            most: quotas.revisions,
        });
    }
    sql::put_module_content(c, &digest, upload.bytes).await?;
    let kept = (upload.digest, size_of(upload.bytes));
    let state = RevisionState::Received;
    let number = insert(c, [tenant, name, who], kept, state, now).await?;
    let what = format!("module {name} revision {number}");
    let became = json!({ "digest": digest, "size": kept.1 }).to_string();
    sql::insert_audit(c, now, [who, tenant, &what], [None, Some(&became)]).await?;
    sql::sweep(c, now).await?;
    Ok((number, Arrival::New))
}

/// What waits for the engine, the oldest first.
pub(in crate::store) async fn waiting(c: &mut Connection) -> Result<Vec<Waiting>> {
    let sql = "SELECT tenant, name, number, digest FROM module_revisions \
               WHERE state IN ('received', 'compiling') ORDER BY made, tenant, name, number";
    let rows = query_as::<Db, (String, String, i64, String)>(sql);
    let rows = rows.fetch_all(c).await?;
    let row = |(tenant, module, number, digest): (String, String, i64, String)| {
        Ok(Waiting {
            tenant: tenant
                .parse()
                .map_err(|_| Failure::damaged("a tenant's id", &tenant))?,
            digest: read_digest(&digest)?,
            module,
            number,
        })
    };
    rows.into_iter().map(row).collect()
}

/// Notes what became of one that waits; false where it waits no more. Bytes of what was
/// refused are not kept.
pub(in crate::store) async fn note(
    c: &mut Connection,
    waiting: &Waiting,
    state: RevisionState,
    reason: Option<&str>,
) -> Result<bool> {
    let (tenant, name) = (waiting.tenant.as_str(), waiting.module.as_str());
    // Another module of this name may have come meanwhile.
    let sql = "SELECT state FROM module_revisions \
               WHERE tenant = $1 AND name = $2 AND number = $3 AND digest = $4";
    let query = query_scalar::<Db, String>(sql).bind(tenant).bind(name);
    let query = query.bind(waiting.number).bind(waiting.digest.to_string());
    let found = query.fetch_optional(&mut *c).await?;
    let waits = [RevisionState::Received, RevisionState::Compiling];
    if !found.is_some_and(|found| waits.iter().any(|state| state.as_str() == found)) {
        return Ok(false);
    }
    set_state(c, [tenant, name], waiting.number, state, reason).await?;
    match state {
        RevisionState::Refused => {
            forget_refused(c, tenant, name).await?;
            sql::drop_module_content(c, &waiting.digest.to_string()).await?;
        }
        RevisionState::Ready => {
            let operator = sql::tenant(c, tenant).await?.map(|(operator, ..)| operator);
            let operator = read_object(operator.as_deref().unwrap_or("{}"))?;
            let quotas = ModuleQuotas::of(&operator);
            let mut needed = needed(c, tenant, name).await?;
            needed.numbers.push(waiting.number);
            make_room(c, [tenant, name], quotas.revisions, &needed).await?;
            let policies = policies(c, tenant).await?;
            let spared = Some((name, waiting.number));
            shrink(c, tenant, &policies, quotas.bytes, spared).await?;
        }
        RevisionState::Received | RevisionState::Compiling => {}
    }
    Ok(true)
}

/// Removes a module that was never active; the caller has a transaction. False where there
/// is none.
pub(in crate::store) async fn forget(
    c: &mut Connection,
    tenant: &TenantId,
    name: &str,
    who: &str,
    now: i64,
) -> Result<bool> {
    let revisions = all(c, tenant.as_str(), name).await?.len();
    let sql = "DELETE FROM modules WHERE tenant = $1 AND name = $2 AND active = 0";
    let query = sqlx::query::<Db>(sql).bind(tenant.as_str()).bind(name);
    if query.execute(&mut *c).await?.rows_affected() == 0 {
        return Ok(false);
    }
    // The next one of this name is another.
    let sql = "UPDATE tenants SET revision = revision + 1 WHERE id = $1";
    let query = sqlx::query::<Db>(sql).bind(tenant.as_str());
    query.execute(&mut *c).await?;
    let what = format!("module {name}");
    let was = json!({ "revisions": revisions }).to_string();
    sql::insert_audit(c, now, [who, tenant.as_str(), &what], [Some(&was), None]).await?;
    sql::sweep(c, now).await?;
    Ok(true)
}

/// What does not go.
struct Needed {
    /// Active, active before, or tried.
    numbers: Vec<i64>,
    pins: BTreeSet<Digest>,
}

impl Needed {
    fn has(&self, kept: &Kept) -> bool {
        self.numbers.contains(&kept.number)
            || self.pins.contains(&kept.digest)
            || kept.state.is_waiting()
    }
}

async fn needed(c: &mut Connection, tenant: &str, name: &str) -> Result<Needed> {
    let sql = "SELECT active, previous, shadow FROM modules WHERE tenant = $1 AND name = $2";
    let query = query_as::<Db, (i64, i64, i64)>(sql).bind(tenant).bind(name);
    let (active, previous, shadow) = query.fetch_optional(&mut *c).await?.unwrap_or_default();
    Ok(Needed {
        numbers: vec![active, previous, shadow],
        pins: pins(&policies(c, tenant).await?, name),
    })
}

/// Removes the oldest that are not needed, so that at most so many are left. Those that were
/// refused have no bytes and do not count.
async fn make_room(
    c: &mut Connection,
    [tenant, name]: [&str; 2],
    keep: i64,
    needed: &Needed,
) -> Result<()> {
    let mut all = all(c, tenant, name).await?;
    all.retain(|kept| kept.state != RevisionState::Refused);
    let keep = usize::try_from(keep).unwrap_or(usize::MAX);
    let surplus = all.len().saturating_sub(keep);
    let gone = all.iter().filter(|kept| !needed.has(kept)).take(surplus);
    for kept in gone {
        delete(c, [tenant, name], kept.number).await?;
    }
    Ok(())
}

/// A revision among all of its tenant's.
struct Weighed {
    name: String,
    number: i64,
    size: i64,
    is_needed: bool,
}

/// Name, number, digest, size and state of a revision, and which of its module's are active,
/// were before, and are tried.
type WeighedRow = (String, i64, String, i64, String, i64, i64, i64);

/// Those of all modules that have bytes, the oldest first.
async fn all_of(c: &mut Connection, tenant: &str, policies: &[Object]) -> Result<Vec<Weighed>> {
    let sql = "SELECT r.name, r.number, r.digest, r.size, r.state, m.active, m.previous, m.shadow \
               FROM module_revisions r JOIN modules m ON m.tenant = r.tenant AND m.name = r.name \
               WHERE r.tenant = $1 AND r.state <> 'refused' ORDER BY r.made, r.name, r.number";
    let query = query_as::<Db, WeighedRow>(sql);
    let rows = query.bind(tenant).fetch_all(c).await?;
    let weighed = |(name, number, digest, size, state, active, previous, shadow): WeighedRow| {
        let needed = Needed {
            numbers: vec![active, previous, shadow],
            pins: pins(policies, &name),
        };
        let kept = Kept {
            number,
            digest: read_digest(&digest)?,
            state: read_state(&state)?,
        };
        let is_needed = needed.has(&kept);
        Ok(Weighed {
            name,
            number,
            size,
            is_needed,
        })
    };
    rows.into_iter().map(weighed).collect()
}

/// Removes the oldest of all modules that are not needed, so that all have at most so many
/// bytes. This one stays, which somebody has uploaded just now.
async fn shrink(
    c: &mut Connection,
    tenant: &str,
    policies: &[Object],
    most: i64,
    spared: Option<(&str, i64)>,
) -> Result<()> {
    let all = all_of(c, tenant, policies).await?;
    let mut bytes: i64 = all.iter().map(|one| one.size).sum();
    let may_go = |one: &&Weighed| !one.is_needed && spared != Some((&one.name, one.number));
    for one in all.iter().filter(may_go) {
        if bytes <= most {
            break;
        }
        delete(c, [tenant, &one.name], one.number).await?;
        bytes -= one.size;
    }
    Ok(())
}

/// Removes those that were refused, but for the last ones.
async fn forget_refused(c: &mut Connection, tenant: &str, name: &str) -> Result<()> {
    let mut all = all(c, tenant, name).await?;
    all.retain(|kept| kept.state == RevisionState::Refused);
    let surplus = all.len().saturating_sub(REFUSED);
    for kept in all.iter().take(surplus) {
        delete(c, [tenant, name], kept.number).await?;
    }
    Ok(())
}

async fn delete(c: &mut Connection, [tenant, name]: [&str; 2], number: i64) -> Result<()> {
    let sql = "DELETE FROM module_revisions WHERE tenant = $1 AND name = $2 AND number = $3";
    let query = sqlx::query::<Db>(sql).bind(tenant).bind(name).bind(number);
    query.execute(c).await?;
    Ok(())
}

/// The revisions of a module that are kept, the oldest first.
async fn all(c: &mut Connection, tenant: &str, name: &str) -> Result<Vec<Kept>> {
    let sql = "SELECT number, digest, state FROM module_revisions \
               WHERE tenant = $1 AND name = $2 ORDER BY number";
    let query = query_as::<Db, (i64, String, String)>(sql).bind(tenant);
    let rows = query.bind(name).fetch_all(c).await?;
    let kept = |(number, digest, state): (i64, String, String)| {
        Ok(Kept {
            number,
            digest: read_digest(&digest)?,
            state: read_state(&state)?,
        })
    };
    rows.into_iter().map(kept).collect()
}

/// Adds a revision, and says which number it has.
async fn insert(
    c: &mut Connection,
    [tenant, name, who]: [&str; 3],
    (digest, size): (Digest, i64),
    state: RevisionState,
    made: i64,
) -> Result<i64> {
    let sql = "UPDATE modules SET newest = newest + 1 WHERE tenant = $1 AND name = $2";
    let query = sqlx::query::<Db>(sql).bind(tenant).bind(name);
    query.execute(&mut *c).await?;
    let sql = "SELECT newest FROM modules WHERE tenant = $1 AND name = $2";
    let query = query_scalar::<Db, i64>(sql).bind(tenant).bind(name);
    let number = query.fetch_one(&mut *c).await?;
    let sql = "INSERT INTO module_revisions \
               (tenant, name, number, digest, size, content, state, made, who) \
               VALUES ($1, $2, $3, $4, $5, $4, $6, $7, $8)";
    let query = sqlx::query::<Db>(sql).bind(tenant).bind(name).bind(number);
    let query = query.bind(digest.to_string()).bind(size);
    let query = query.bind(state.as_str()).bind(made).bind(who);
    query.execute(c).await?;
    Ok(number)
}

/// What was refused has no bytes, and everything else has its own.
async fn set_state(
    c: &mut Connection,
    [tenant, name]: [&str; 2],
    number: i64,
    state: RevisionState,
    reason: Option<&str>,
) -> Result<()> {
    let kept = "UPDATE module_revisions SET state = $4, reason = $5, content = digest \
                WHERE tenant = $1 AND name = $2 AND number = $3";
    let refused = "UPDATE module_revisions SET state = $4, reason = $5, content = NULL \
                   WHERE tenant = $1 AND name = $2 AND number = $3";
    let sql = match state {
        RevisionState::Refused => refused,
        _ => kept,
    };
    let query = sqlx::query::<Db>(sql).bind(tenant).bind(name).bind(number);
    query.bind(state.as_str()).bind(reason).execute(c).await?;
    Ok(())
}

/// A module without an active revision, unless there is one of this name. Its own revision
/// begins where the tenant's is, so that no module of this name had it before.
async fn make_module(c: &mut Connection, tenant: &str, name: &str) -> Result<()> {
    let sql = "INSERT INTO modules (tenant, name, place, active, previous, revision) \
               SELECT $1, $2, (SELECT COALESCE(MAX(place), -1) + 1 FROM modules WHERE tenant = $1), \
               0, 0, revision FROM tenants WHERE id = $1 ON CONFLICT (tenant, name) DO NOTHING";
    let query = sqlx::query::<Db>(sql).bind(tenant).bind(name);
    query.execute(c).await?;
    Ok(())
}

async fn has_module(c: &mut Connection, tenant: &str, name: &str) -> Result<bool> {
    let sql = "SELECT COUNT(*) FROM modules WHERE tenant = $1 AND name = $2";
    let query = query_scalar::<Db, i64>(sql).bind(tenant).bind(name);
    Ok(query.fetch_one(c).await? > 0)
}

async fn count_modules(c: &mut Connection, tenant: &str) -> Result<i64> {
    let sql = "SELECT COUNT(*) FROM modules WHERE tenant = $1";
    Ok(query_scalar::<Db, _>(sql).bind(tenant).fetch_one(c).await?)
}

async fn waiting_of(c: &mut Connection, tenant: &str) -> Result<i64> {
    let sql = "SELECT COUNT(*) FROM module_revisions \
               WHERE state IN ('received', 'compiling') AND tenant = $1";
    Ok(query_scalar::<Db, _>(sql).bind(tenant).fetch_one(c).await?)
}

async fn size_of_kept(c: &mut Connection, digest: Digest) -> Result<i64> {
    let sql = "SELECT size FROM module_contents WHERE digest = $1";
    let query = query_scalar::<Db, i64>(sql).bind(digest.to_string());
    let size = query.fetch_optional(c).await?;
    size.ok_or_else(|| Failure::damaged("a module's content", &digest.to_string()))
}

async fn policies(c: &mut Connection, tenant: &str) -> Result<Vec<Object>> {
    let policies = sql::policies(c, tenant).await?;
    policies.iter().map(|policy| read_object(policy)).collect()
}

/// No module has 2^63 bytes.
fn size_of(bytes: &[u8]) -> i64 {
    i64::try_from(bytes.len()).unwrap_or(i64::MAX)
}

fn read_object(text: &str) -> Result<Object> {
    serde_json::from_str(text).map_err(|_| Failure::damaged("a document", text))
}

fn read_digest(text: &str) -> Result<Digest> {
    let read = text.parse();
    read.map_err(|_| Failure::damaged("a digest", text))
}

fn read_state(text: &str) -> Result<RevisionState> {
    let read = text.parse();
    read.map_err(|()| Failure::damaged("a state", text))
}
