//! Tenants from rows and back.

use std::collections::{BTreeMap, HashSet};
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use ulid::Ulid;

use super::{Connection, queries as sql, revision_rows as rows};
use crate::config::{Object, TenantDocument};
use crate::digest::Digest;
use crate::facts::TenantId;
use crate::lists::{List, Lists};
use crate::store::difference::{Change, Edit, Kept, list_content, name_of};
use crate::store::error::Failure;
use crate::store::{Checked, Version};
use crate::tenant::in_background;

type Result<T> = std::result::Result<T, Failure>;

/// Which tenants there are, and in which version.
pub(in crate::store) async fn versions(c: &mut Connection) -> Result<BTreeMap<TenantId, Version>> {
    let mut versions = BTreeMap::new();
    for (id, revision, digest) in sql::tenants(c).await? {
        let digest = read("a digest", &digest)?;
        versions.insert(read("a tenant's id", &id)?, Version { revision, digest });
    }
    Ok(versions)
}

/// A tenant; none where there is none of this id. Lists that are known by their digest
/// are not read again.
pub(in crate::store) async fn document(
    c: &mut Connection,
    id: &TenantId,
    known: &impl Fn(Digest) -> Option<Arc<List>>,
) -> Result<Option<Kept>> {
    let Some((operator, own, revision, digest)) = sql::tenant(c, id.as_str()).await? else {
        return Ok(None);
    };
    let domains = sql::domains(c, id.as_str()).await?;
    let domains: Result<_> = domains
        .iter()
        .map(|domain| read("a domain", domain))
        .collect();
    let policies = sql::policies(c, id.as_str()).await?;
    let policies: Result<_> = policies.iter().map(|policy| object(policy)).collect();
    let document = TenantDocument {
        id: id.clone(),
        domains: domains?,
        operator: object(&operator)?,
        own: object(&own)?,
        lists: lists(c, id, known).await?,
        modules: rows::modules(c, id).await?,
        policies: policies?,
    };
    same(
        "the document",
        read("a digest", &digest)?,
        document.digest(),
    )?;
    let document = Arc::new(document);
    Ok(Some(Kept { document, revision }))
}

async fn lists(
    c: &mut Connection,
    tenant: &TenantId,
    known: &impl Fn(Digest) -> Option<Arc<List>>,
) -> Result<Lists> {
    let mut lists = Vec::new();
    for (name, digest) in sql::lists(c, tenant.as_str()).await? {
        let digest = read("a digest", &digest)?;
        let list = match known(digest) {
            Some(known) => known,
            None => list(c, digest).await?,
        };
        lists.push((name, list));
    }
    Ok(lists.into_iter().collect())
}

/// The list with this digest.
pub(in crate::store) async fn list(c: &mut Connection, digest: Digest) -> Result<Arc<List>> {
    let name = digest.to_string();
    let content = sql::list_content(c, &name).await?;
    let content = content.ok_or_else(|| Failure::damaged("a list's content", &name))?;
    // A hundred thousand entries take their time.
    let list = in_background(move || serde_json::from_str(&content).map(List::new)).await;
    let list = list.map_err(|_| Failure::damaged("a list's content", &name))?;
    same("a list's content", digest, list.digest())?;
    Ok(Arc::new(list))
}

/// What is kept by a digest is what was put in, or the disk has lost something of it.
fn same(what: &'static str, noted: Digest, found: Digest) -> Result<()> {
    if noted == found {
        Ok(())
    } else {
        Err(Failure::damaged(what, &noted.to_string()))
    }
}

/// The bytes of a module.
pub(in crate::store) async fn module(c: &mut Connection, digest: Digest) -> Result<Bytes> {
    let name = digest.to_string();
    let content = sql::module_content(c, &name).await?;
    let content = content.ok_or_else(|| Failure::damaged("a module's content", &name))?;
    same("a module's content", digest, Digest::of(&content))?;
    Ok(content.into())
}

/// Every module whose bytes are kept.
pub(in crate::store) async fn modules(c: &mut Connection) -> Result<Vec<Digest>> {
    let found = sql::modules(c).await?;
    found
        .iter()
        .map(|digest| read("a digest", digest))
        .collect()
}

/// Those of these pairs of module and settings in which no fault was found.
pub(in crate::store) async fn checked(
    c: &mut Connection,
    wanted: &[(Digest, Digest)],
    engine: Digest,
) -> Result<HashSet<(Digest, Digest)>> {
    let engine = engine.to_string();
    let mut known = HashSet::new();
    for (module, settings) in wanted {
        let pair = [module.to_string(), settings.to_string()];
        if sql::is_checked(c, [&pair[0], &pair[1], &engine]).await? {
            known.insert((*module, *settings));
        }
    }
    Ok(known)
}

/// Notes what was found.
pub(in crate::store) async fn note(c: &mut Connection, checked: &Checked) -> Result<()> {
    let engine = checked.engine.to_string();
    sql::forget_checked(c, &engine).await?;
    for (module, settings) in &checked.pairs {
        let (module, settings) = (module.to_string(), settings.to_string());
        sql::put_checked(c, [&module, &settings, &engine]).await?;
    }
    Ok(())
}

/// Does all of it, and writes the audit; the caller has a transaction. Domains may pass
/// from one of these tenants to another.
pub(in crate::store) async fn write(
    c: &mut Connection,
    edits: &[Edit],
    who: &str,
    now: i64,
) -> Result<()> {
    for edit in edits {
        sql::delete_domains(c, edit.id().as_str()).await?;
    }
    for edit in edits {
        write_one(c, edit, who, now).await?;
        for change in &edit.changes {
            audit(c, edit.id(), change, who, now).await?;
        }
    }
    Ok(sql::sweep(c, now).await?)
}

async fn write_one(c: &mut Connection, edit: &Edit, who: &str, now: i64) -> Result<()> {
    let id = edit.id().as_str();
    let Some(after) = &edit.after else {
        let revision = edit.before.as_ref().map_or(0, |before| before.revision);
        let deleted = sql::delete_tenant(c, id, revision).await?;
        return fresh(deleted, edit.id());
    };
    let text = |object: &Object| serde_json::Value::Object(object.clone()).to_string();
    let (operator, own) = (text(&after.operator), text(&after.own));
    let digest = after.digest().to_string();
    let row = [operator.as_str(), &own, &digest];
    match &edit.before {
        None => sql::insert_tenant(c, id, row)
            .await
            .map_err(|error| taken(error, edit.id()))?,
        Some(before) => {
            let updated = sql::update_tenant(c, id, before.revision, row).await?;
            fresh(updated, edit.id())?;
        }
    }
    write_domains(c, after).await?;
    let before = edit.before.as_ref().map(|kept| &*kept.document);
    write_lists(c, before, after).await?;
    write_modules(c, before, after, who, now).await?;
    write_policies(c, before, after).await
}

/// Whoever wrote in between has to be looked at first.
fn fresh(written: bool, id: &TenantId) -> Result<()> {
    if written {
        Ok(())
    } else {
        Err(Failure::Stale(id.clone()))
    }
}

fn taken(error: sqlx::Error, id: &TenantId) -> Failure {
    match error.as_database_error() {
        Some(error) if error.is_unique_violation() => Failure::Stale(id.clone()),
        _ => error.into(),
    }
}

async fn write_domains(c: &mut Connection, tenant: &TenantDocument) -> Result<()> {
    for (domain, place) in tenant.domains.iter().zip(0..) {
        if let Some(other) = sql::owner(c, domain.as_str()).await? {
            let other = read("a tenant's id", &other)?;
            return Err(Failure::Domain {
                domain: domain.clone(),
                other,
            });
        }
        sql::insert_domain(c, tenant.id.as_str(), place, domain.as_str()).await?;
    }
    Ok(())
}

async fn write_lists(
    c: &mut Connection,
    before: Option<&TenantDocument>,
    after: &TenantDocument,
) -> Result<()> {
    let id = after.id.as_str();
    let old = |name: &str| before.and_then(|before| before.lists.get(name));
    for (name, list) in after.lists.iter() {
        if old(name).is_none_or(|old| old.digest() != list.digest()) {
            let digest = list.digest().to_string();
            let entries = i64::try_from(list.len()).unwrap_or(i64::MAX);
            let content = Arc::clone(list);
            let content = in_background(move || list_content(&content)).await;
            sql::put_list_content(c, &digest, entries, &content).await?;
            sql::put_list(c, id, name, &digest).await?;
        }
    }
    for (name, _) in before.into_iter().flat_map(|before| before.lists.iter()) {
        if after.lists.get(name).is_none() {
            sql::delete_list(c, id, name).await?;
        }
    }
    Ok(())
}

async fn write_modules(
    c: &mut Connection,
    before: Option<&TenantDocument>,
    after: &TenantDocument,
    who: &str,
    now: i64,
) -> Result<()> {
    let id = after.id.as_str();
    let before = before.map_or(&[][..], |before| &before.modules);
    for (place, module) in (0..).zip(&after.modules) {
        let name = module.name.as_str();
        let old = before.iter().find(|old| old.name == module.name);
        let pinned = rows::keep_pinned(c, after, module, who, now).await?;
        let differs = old.is_none_or(|old| old.digest() != module.digest());
        if differs {
            rows::activate(c, after, module, who, now).await?;
        }
        if pinned || differs {
            rows::prune(c, after, module).await?;
        }
        sql::place_module(c, id, name, place).await?;
    }
    for old in before {
        if !after.modules.iter().any(|module| module.name == old.name) {
            sql::delete_module(c, id, old.name.as_str()).await?;
        }
    }
    Ok(())
}

async fn write_policies(
    c: &mut Connection,
    before: Option<&TenantDocument>,
    after: &TenantDocument,
) -> Result<()> {
    let id = after.id.as_str();
    let before = before.map_or(&[][..], |before| &before.policies);
    for (place, policy) in (0..).zip(&after.policies) {
        let name = name_of(policy);
        let old = before.iter().find(|old| name_of(old) == name);
        if old != Some(policy) {
            let document = serde_json::Value::Object(policy.clone()).to_string();
            let ulid = Ulid::generate().to_string();
            sql::put_policy(c, [id, name, &ulid], &document).await?;
        }
        sql::place_policy(c, id, name, place).await?;
    }
    for old in before.iter().map(name_of) {
        if !after.policies.iter().any(|policy| name_of(policy) == old) {
            sql::delete_policy(c, id, old).await?;
        }
    }
    Ok(())
}

async fn audit(
    c: &mut Connection,
    tenant: &TenantId,
    change: &Change,
    who: &str,
    now: i64,
) -> Result<()> {
    let text = |json: &Option<serde_json::Value>| json.as_ref().map(ToString::to_string);
    let (was, became) = (text(&change.was), text(&change.became));
    let what = change.what.to_string();
    let values = [was.as_deref(), became.as_deref()];
    Ok(sql::insert_audit(c, now, [who, tenant.as_str(), &what], values).await?)
}

fn object(text: &str) -> Result<Object> {
    serde_json::from_str(text).map_err(|_| Failure::damaged("a document", text))
}

fn read<T: FromStr>(what: &'static str, text: &str) -> Result<T> {
    text.parse().map_err(|_| Failure::damaged(what, text))
}
