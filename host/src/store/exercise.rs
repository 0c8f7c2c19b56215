//! What every database has to do, asked of each of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Connection, tenants};
use crate::address::Domain;
use crate::config::{ModuleConfig, ModuleContent, Object, Position, TenantDocument};
use crate::digest::Digest;
use crate::facts::TenantId;
use crate::lists::{List, Lists};
use crate::store::error::Failure;
use crate::store::{Checked, Edit, Kept, Version, audit};

/// A tenant with something of everything.
fn document(id: &str, domain: &str, contact: &str, module: &[u8]) -> TenantDocument {
    let object = |text: &str| serde_json::from_str::<Object>(text).expect("an object");
    let id: TenantId = id.parse().expect("an id");
    let entries = BTreeMap::from([("a.example".to_owned(), format!("{contact}\0ü"))]);
    let lists: Lists = [("partners".to_owned(), List::new(entries))]
        .into_iter()
        .collect();
    TenantDocument {
        domains: vec![domain.parse::<Domain>().expect("a domain")],
        operator: object(r#"{"targets":{"inbound":{"kind":"discard"}}}"#),
        own: object(&serde_json::json!({ "contact": contact }).to_string()),
        lists,
        modules: vec![ModuleConfig {
            name: "m".parse().expect("a name"),
            content: ModuleContent::Given {
                bytes: module.into(),
                digest: Digest::of(module),
            },
            at: Position::tenant(&id),
        }],
        policies: ["two", "one"]
            .map(|name| object(&format!(r#"{{"name":"{name}","option":"default"}}"#)))
            .into(),
        id,
    }
}

async fn kept(c: &mut Connection, id: &TenantId) -> Option<Kept> {
    tenants::document(c, id, &|_| None)
        .await
        .expect("it can be read")
}

async fn version(c: &mut Connection, id: &TenantId) -> Option<Version> {
    let versions = tenants::versions(c).await.expect("they can be read");
    versions.get(id).copied()
}

async fn edit(c: &mut Connection, after: &TenantDocument) -> Vec<Edit> {
    let before = kept(c, &after.id).await;
    Edit::new(before, Some(Arc::new(after.clone())))
        .into_iter()
        .collect()
}

/// The whole life of two tenants.
pub(in crate::store) async fn exercise(c: &mut Connection) {
    let one = document("a", "a.example", "one", b"first");
    let edits = edit(c, &one).await;
    tenants::write(c, &edits, "test", 1).await.expect("written");
    let found = version(c, &one.id).await.expect("it is there");
    assert_eq!((found.revision, found.digest), (1, one.digest()));
    let found = kept(c, &one.id).await.expect("it is there").document;
    assert_eq!(found.digest(), one.digest());

    let two = document("a", "A2.example", "two", b"second");
    let edits = edit(c, &two).await;
    tenants::write(c, &edits, "test", 2).await.expect("written");
    let found = kept(c, &two.id).await.expect("it is there");
    assert_eq!((found.revision, found.document.digest()), (2, two.digest()));
    let second = Digest::of(b"second");
    let bytes = tenants::module(c, second).await.expect("the bytes");
    assert_eq!(&*bytes, b"second");

    checked(c, second).await;
    refusals(c, &edits, &two).await;

    let gone = Edit::new(kept(c, &two.id).await, None)
        .into_iter()
        .collect::<Vec<_>>();
    tenants::write(c, &gone, "test", 3).await.expect("written");
    assert!(kept(c, &two.id).await.is_none());
    assert!(
        tenants::module(c, second).await.is_err(),
        "it went with its tenant"
    );
    let rows = super::queries::audit(c, Some(&two.id))
        .await
        .expect("the audit");
    let records = audit::records(rows).unwrap_or_default();
    let numbers: Vec<i64> = records.iter().map(|record| record.number).collect();
    assert_eq!(numbers, (1..).take(records.len()).collect::<Vec<i64>>());
    let last = records.last().expect("there are some");
    assert!(last.became.is_none() && last.made == 3, "{last:?}");
    let all = super::queries::audit(c, None).await.expect("the audit");
    assert_eq!(all.len(), records.len());
}

async fn checked(c: &mut Connection, module: Digest) {
    let (engine, settings) = (Digest::of(b"engine"), Digest::of(b"settings"));
    let pairs = vec![(module, settings)];
    for _ in 0..2 {
        let checked = Checked {
            engine,
            pairs: pairs.clone(),
        };
        tenants::note(c, &checked).await.expect("noted");
    }
    let known = tenants::checked(c, module, engine).await.expect("read");
    assert!(known.contains(&settings) && known.len() == 1);
}

/// What is based on an older revision, and a domain of another's.
async fn refusals(c: &mut Connection, stale: &[Edit], owner: &TenantDocument) {
    let refused = tenants::write(c, stale, "test", 9).await;
    assert!(matches!(refused, Err(Failure::Stale(_))), "{refused:?}");
    // What was refused is taken back by the caller's transaction; there is none here.
    sqlx::query("INSERT INTO domains (domain, tenant, place) VALUES ($1, $2, 0)")
        .bind("a2.example")
        .bind("a")
        .execute(&mut *c)
        .await
        .expect("it is gone");
    let mut other = document("b", "a2.example", "b", b"first");
    other.id = "b".parse().expect("an id");
    let edits = edit(c, &other).await;
    let refused = tenants::write(c, &edits, "test", 9).await;
    let Err(Failure::Domain { other, .. }) = refused else {
        unreachable!("{refused:?}");
    };
    assert_eq!(other, owner.id);
    sqlx::query("DELETE FROM tenants WHERE id = 'b'")
        .execute(&mut *c)
        .await
        .expect("what was written of it");
}
