//! What every database has to do, asked of each of them.

use std::collections::HashMap;
use std::sync::Arc;

use super::{
    Connection, listing, receipt_rows, revision_rows, shadow_rows, tenants, token_rows,
    webhook_rows,
};
use crate::address::Domain;
use crate::config::{ModuleConfig, ModuleContent, Object, Position, TenantDocument};
use crate::digest::Digest;
use crate::facts::TenantId;
use crate::lists::{List, Lists};
use crate::receipt::filter::Filter;
use crate::receipt::source::Part;
use crate::receipt::{
    Came, Event, ModuleUsed, PolicyUsed, ShadowEvent, ShadowOf, VerdictEvent, sample,
};
use crate::store::error::Failure;
use crate::store::receipt_columns::Batch;
use crate::store::shadow_columns::Shadowed;
use crate::store::{
    Arrival, Checked, Edit, Kept, Last, NewToken, RevisionState, Role, Token, Upload, Version,
    audit,
};

/// A tenant with something of everything.
fn document(id: &str, domain: &str, contact: &str, module: &[u8]) -> TenantDocument {
    let object = |text: &str| serde_json::from_str::<Object>(text).expect("an object");
    let id: TenantId = id.parse().expect("an id");
    let entries = HashMap::from([("a.example".to_owned(), format!("{contact}\0ü"))]);
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
                bytes: module.to_vec().into(),
                digest: Digest::of(module),
            },
            others: Vec::new(),
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

    listings(c).await;
    uploads(c, &one).await;
    token_rows_of(c, &one.id).await;
    webhooks(c, &one.id).await;

    let two = document("a", "A2.example", "two", b"second");
    let edits = edit(c, &two).await;
    tenants::write(c, &edits, "test", 2).await.expect("written");
    let found = kept(c, &two.id).await.expect("it is there");
    // A module that was forgotten meanwhile counts, too.
    assert_eq!((found.revision, found.document.digest()), (3, two.digest()));
    let second = Digest::of(b"second");
    let bytes = tenants::module(c, second).await.expect("the bytes");
    assert_eq!(&*bytes, b"second");

    checked(c, second).await;
    shadows(c, &two).await;
    refusals(c, &edits, &two).await;

    let gone = Edit::new(kept(c, &two.id).await, None)
        .into_iter()
        .collect::<Vec<_>>();
    tenants::write(c, &gone, "test", 3).await.expect("written");
    assert!(kept(c, &two.id).await.is_none());
    receipts(c, second).await;
    let rows = super::queries::audit(c, Some(&two.id))
        .await
        .expect("the audit");
    let records = audit::records(rows).unwrap_or_default();
    let last = records.last().expect("there are some");
    assert!(last.became.is_none() && last.made == 3, "{last:?}");
    let all = super::queries::audit(c, None).await.expect("the audit");
    let numbers: Vec<i64> = all.iter().map(|row| row.0).collect();
    assert_eq!(numbers, (1..).take(all.len()).collect::<Vec<i64>>());
    // The operators' token is in it, too.
    assert_eq!(all.len(), records.len() + 2);
    let before = all.last().map_or(0, |row| row.0);
    let page = listing::audit(c, None, (before, 2)).await.expect("a page");
    let numbers: Vec<i64> = page.iter().map(|row| row.0).collect();
    assert_eq!(numbers, [before - 1, before - 2]);
    let page = listing::audit(c, Some(&two.id), (1000, 1))
        .await
        .expect("a page");
    assert_eq!(page.first().map(|row| row.0), Some(last.number));
    let left = token_rows::page(c, None, "", 10).await.expect("the tokens");
    assert!(left.is_empty(), "they went with their tenant: {left:?}");
}

/// What there is of the tenant `a`, a row at a time.
async fn listings(c: &mut Connection) {
    let tenants = listing::tenants(c, "", 10).await.expect("tenants");
    assert_eq!(tenants.first().map(|row| row.1), Some(1));
    let none = listing::tenants(c, "a", 10).await.expect("tenants");
    assert!(none.is_empty(), "{none:?}");
    let tenant = listing::tenant(c, "a").await.expect("a tenant");
    assert_eq!(tenant.map(|row| row.2), Some(1));
    let domains = listing::domains(c, "a").await.expect("domains");
    assert_eq!(domains, ["a.example"]);
    let first = listing::policies(c, "a", -1, 1).await.expect("policies");
    let second = listing::policies(c, "a", 0, 10).await.expect("policies");
    let names = first.iter().chain(&second).map(|row| row.0.as_str());
    assert_eq!(names.collect::<Vec<_>>(), ["two", "one"]);
    let policy = listing::policy(c, "a", "one").await.expect("a policy");
    assert_eq!(policy.as_ref(), second.first());
    let lists = listing::lists(c, "a", "", 10).await.expect("lists");
    let list = listing::list(c, "a", "partners").await.expect("a list");
    assert_eq!(lists.first(), list.as_ref());
    let digest = list.expect("it is there").1;
    let content = listing::content(c, &digest).await.expect("entries");
    assert!(content.is_some_and(|content| content.contains("a.example")));
    let modules = listing::modules(c, "a", "", 10).await.expect("modules");
    let module = listing::module(c, "a", "m").await.expect("a module");
    assert_eq!(modules.first(), module.as_ref());
    let previous = listing::previous(c, "a", "m").await.expect("read");
    assert_eq!(previous, None, "none was active before");
    let revisions = listing::revisions(c, "a", "m").await.expect("revisions");
    assert_eq!(revisions.first().map(|row| (row.0, row.2)), Some((1, 5)));
}

/// A module is received, refused, received again, and removed. The tenant is as it was.
async fn uploads(c: &mut Connection, tenant: &TenantDocument) {
    let (id, module) = (&tenant.id, "up".parse().expect("a name"));
    let upload = Upload {
        tenant: id,
        module: &module,
        bytes: b"upload",
        digest: Digest::of(b"upload"),
    };
    let received = async |c: &mut Connection| {
        let received = revision_rows::receive(c, &upload, "test", 7).await;
        received.expect("it is kept")
    };
    assert_eq!(received(c).await, (1, Arrival::New));
    assert_eq!(received(c).await, (1, Arrival::Known));
    let waiting = revision_rows::waiting(c).await.expect("read");
    let [one] = waiting.as_slice() else {
        unreachable!("{waiting:?}");
    };
    assert_eq!((one.module.as_str(), one.number), ("up", 1));
    let row = listing::module(c, "a", "up").await.expect("a module");
    let row = row.expect("it is there");
    assert_eq!((row.1, row.4, row.6), (0, None, 1), "none is active");
    let refused = RevisionState::Refused;
    let noted = revision_rows::note(c, one, RevisionState::Compiling, None).await;
    assert!(noted.expect("noted"));
    let noted = revision_rows::note(c, one, refused, Some("why")).await;
    assert!(noted.expect("noted"));
    let noted = revision_rows::note(c, one, RevisionState::Ready, None).await;
    assert!(!noted.expect("read"), "it does not wait any more");
    let row = listing::revision(c, "a", "up", 1).await.expect("read");
    let row = row.expect("it is there");
    assert_eq!((row.2, row.5.as_str()), (6, "refused"));
    assert_eq!(row.6.as_deref(), Some("why"));
    let bytes = tenants::module(c, upload.digest).await;
    assert!(bytes.is_err(), "they are not kept");
    assert_eq!(received(c).await, (1, Arrival::Again));
    let bytes = tenants::module(c, upload.digest).await;
    assert_eq!(&*bytes.expect("the bytes"), b"upload");
    let noted = revision_rows::note(c, one, RevisionState::Ready, None).await;
    assert!(noted.expect("noted"));
    let found = kept(c, id).await.expect("it is there").document;
    assert_eq!(found.digest(), tenant.digest());
    for expected in [true, false] {
        let gone = revision_rows::forget(c, id, "up", "test", 8).await;
        assert_eq!(gone.expect("removed"), expected);
    }
    let active = revision_rows::forget(c, id, "m", "test", 8).await;
    assert!(!active.expect("read"), "it is in force");
    let nobody = "nobody".parse().expect("an id");
    let lost = Upload {
        tenant: &nobody,
        ..upload
    };
    let refused = revision_rows::receive(c, &lost, "test", 9).await;
    assert!(matches!(refused, Err(Failure::NoTenant(_))), "{refused:?}");
}

/// Tokens of a tenant, which stays, and of operators, which goes.
async fn token_rows_of(c: &mut Connection, tenant: &TenantId) {
    let token = |id: &str, new: NewToken| Token {
        id: id.to_owned(),
        name: new.name,
        role: new.role,
        tenant: new.tenant,
        made: 5,
        who: "test".to_owned(),
        expires: new.expires,
    };
    let new = |role, tenant: Option<&TenantId>| NewToken {
        name: "t".to_owned(),
        role,
        tenant: tenant.cloned(),
        expires: tenant.map(|_| 9),
    };
    let (own, all) = (Digest::of(b"own"), Digest::of(b"all"));
    let one = token("1", new(Role::Viewer, Some(tenant)));
    let two = token("2", new(Role::Operator, None));
    token_rows::insert(c, &one, own).await.expect("kept");
    token_rows::insert(c, &two, all).await.expect("kept");
    let nobody = "nobody".parse().expect("an id");
    let lost = token("3", new(Role::Viewer, Some(&nobody)));
    let refused = token_rows::insert(c, &lost, Digest::of(b"lost")).await;
    assert!(matches!(refused, Err(Failure::NoTenant(_))), "{refused:?}");
    let found = token_rows::by_digest(c, own).await.expect("read");
    let found = found.expect("it is there");
    assert_eq!((found.id.as_str(), found.expires), ("1", Some(9)));
    assert_eq!(found.tenant.as_ref(), Some(tenant));
    let found = token_rows::by_id(c, "2").await.expect("read");
    assert_eq!(found.map(|token| token.role), Some(Role::Operator));
    let page = token_rows::page(c, None, "1", 10).await.expect("a page");
    assert_eq!(page.len(), 1, "{page:?}");
    let page = token_rows::page(c, Some(tenant), "", 10)
        .await
        .expect("a page");
    assert_eq!(page.len(), 1, "{page:?}");
    for expected in [true, false] {
        let gone = token_rows::delete(c, &two, "test", 6).await;
        assert_eq!(gone.expect("deleted"), expected);
    }
}

/// Receipts of a tenant that needs this module, from the first to the last of them.
async fn receipts(c: &mut Connection, module: Digest) {
    let (one, two) = (
        sample::verdict("a@a.example"),
        sample::verdict("b@a.example"),
    );
    let one = VerdictEvent {
        monitored: sample::monitored("board"),
        ..one
    };
    let two = VerdictEvent {
        policy: sample::policy("board", "board").map(|used| PolicyUsed {
            module: Some(ModuleUsed {
                name: "m".to_owned(),
                digest: module,
                settings: module,
            }),
            ..used
        }),
        ..two
    };
    let events = [
        Event::Verdict(Box::new(one.clone())),
        Event::Verdict(Box::new(two.clone())),
        sample::outcome(&one),
        sample::relay("no"),
    ];
    let mut batch = Batch::of(&events);
    batch
        .policies
        .insert(Digest::of(b"board"), "board".to_owned());
    receipt_rows::keep(c, &batch).await.expect("written");
    let batch = Batch::of(&[sample::outcome(&two), Event::Content(Box::new(two.clone()))]);
    receipt_rows::keep(c, &batch).await.expect("written");
    let ids = [one.id, two.id].map(|id| id.to_string());
    let known = receipt_rows::known(c, &ids).await.expect("known");
    assert_eq!(known.len(), 2);
    assert!(receipt_rows::any(c).await.expect("read"));
    for (from, expected) in [(&ids[0], (2, 0)), (&ids[1], (1, 0))] {
        let scope = receipt_rows::scope(c, "acme", "board", from).await;
        assert_eq!(scope.expect("counted"), expected);
    }
    searches(c, &two).await;
    let page = receipt_rows::wholes(c, Some("acme"), &ids[0], 10)
        .await
        .expect("a page");
    assert_eq!(page.len(), 1);
    let these = receipt_rows::these(c, &ids).await.expect("these");
    for row in these {
        receipt_rows::replace(c, &row).await.expect("replaced");
        let kept = receipt_rows::these(c, std::slice::from_ref(&row.id)).await;
        assert_eq!(kept.expect("these"), [row]);
    }
    let newest = receipt_rows::newest_before(c, &ids[1]).await.expect("read");
    assert_eq!(newest.as_ref(), Some(&ids[0]));
    let board = Digest::of(b"board").to_string();
    // Its tenant is gone since the third second; the receipt needs the module still.
    for needed in [true, false] {
        super::queries::sweep(c, 3 + 2 * 3600).await.expect("swept");
        receipt_rows::forget(c).await.expect("forgotten");
        let bytes = tenants::module(c, module).await;
        assert_eq!(bytes.is_ok(), needed);
        let name = module.to_string();
        let is_there = super::queries::has_module_content(c, &name).await;
        assert_eq!(is_there.expect("read"), needed);
        let policy = receipt_rows::policy(c, &board).await.expect("read");
        assert_eq!(policy.is_some(), needed);
        let gone = receipt_rows::expire(c, "acme", Some(&ids[1]), 10).await;
        assert_eq!(gone.expect("expired"), i64::from(needed));
        receipt_rows::expire(c, "acme", None, 10)
            .await
            .expect("expired");
        receipt_rows::forget(c).await.expect("forgotten");
    }
    let counts = receipt_rows::counts(c).await.expect("counts");
    assert_eq!(counts, [(String::new(), 1)]);
    assert_eq!(receipt_rows::operators(c).await.expect("tenants").len(), 0);
}

async fn searches(c: &mut Connection, two: &VerdictEvent) {
    let part = Part {
        newest_first: true,
        after: None,
        limit: 10,
    };
    let all = Filter {
        id: Some(two.id),
        tenant: Some(two.facts.tenant.clone()),
        sender: "partner.example".parse().ok(),
        recipient: "B@a.example".parse().ok(),
        client: Some(two.facts.connection.client.ip()),
        policy: Some("board".to_owned()),
        accepted: Some(true),
        from: Some(1),
        to: Some(two.id.made() + 1),
    };
    let found = receipt_rows::find(c, &all, part).await.expect("found");
    let [texts] = found.as_slice() else {
        unreachable!("{found:?}");
    };
    assert!(texts.3.is_some() && texts.4.is_some(), "{texts:?}");
    let count = receipt_rows::count_those(c, &all).await.expect("counted");
    assert_eq!(count, 1);
    let every = receipt_rows::find(c, &Filter::default(), part).await;
    assert_eq!(every.expect("found").len(), 3);
    let refused = Filter {
        accepted: Some(false),
        ..Filter::default()
    };
    let after = Part {
        after: Some(two.id),
        newest_first: false,
        ..part
    };
    let found = receipt_rows::find(c, &refused, after).await.expect("found");
    assert_eq!(found.len(), 1, "the refused relaying came behind it");
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
    let wanted = [(module, settings), (module, engine)];
    let known = tenants::checked(c, &wanted, engine).await.expect("read");
    assert_eq!(known.into_iter().collect::<Vec<_>>(), pairs);
    for (most, left) in [(1, 1), (0, 0)] {
        let pruned = super::queries::prune_checked(c, most).await;
        pruned.expect("pruned");
        let known = tenants::checked(c, &wanted, engine).await.expect("read");
        assert_eq!(known.len(), left);
    }
    let modules = tenants::modules(c).await.expect("read");
    assert!(modules.contains(&module));
}

/// What a webhook is told, and when.
async fn webhooks(c: &mut Connection, id: &TenantId) {
    let (tenant, said) = (id.as_str(), |subject: &str, is_there| Last {
        subject: subject.to_owned(),
        is_there,
        body: format!("{subject} {is_there}"),
    });
    assert_eq!(webhook_rows::secret(c, tenant).await.expect("read"), None);
    for text in ["one", "two"] {
        let put = webhook_rows::put_secret(c, id, text, "test", 1).await;
        put.expect("written");
    }
    let secret = webhook_rows::secret(c, tenant).await.expect("read");
    assert_eq!(secret.as_deref(), Some("two"));
    let nobody = "nobody".parse().expect("an id");
    let put = webhook_rows::put_secret(c, &nobody, "x", "test", 1).await;
    assert!(matches!(put, Err(Failure::NoTenant(_))), "{put:?}");
    for (message, last, due) in [
        ("1", said("x", true), 5),
        ("2", said("y", true), 4),
        ("3", said("x", false), 6),
    ] {
        let put = webhook_rows::insert(c, tenant, message, &last, due).await;
        put.expect("written");
    }
    let last = webhook_rows::last(c, tenant).await.expect("read");
    assert_eq!(last, [said("y", true), said("x", false)]);
    let due = async |c: &mut Connection, now, limit| {
        let due = webhook_rows::due(c, now, limit).await.expect("read");
        due.into_iter()
            .map(|due| (due.id, due.attempts))
            .collect::<Vec<_>>()
    };
    let id = |id: &str, attempts| (id.to_owned(), attempts);
    // What was said of a subject before is not said any more.
    assert_eq!(due(c, 5, 9).await, [id("2", 0)]);
    assert_eq!(due(c, 6, 9).await, [id("2", 0)], "one of each tenant");
    assert_eq!(webhook_rows::next(c).await.expect("read"), Some(4));
    let attempted = webhook_rows::attempted(c, "2", 1, Some(7)).await;
    attempted.expect("written");
    assert_eq!(due(c, 6, 9).await, [id("3", 0)]);
    assert_eq!(due(c, 7, 9).await, [id("2", 1)]);
    for message in ["2", "3"] {
        let attempted = webhook_rows::attempted(c, message, 2, None).await;
        attempted.expect("written");
    }
    webhook_rows::tidy(c, tenant).await.expect("tidied");
    // What is there is known, what has ended is forgotten.
    let last = webhook_rows::last(c, tenant).await.expect("read");
    assert_eq!(last, [said("y", true)]);
    assert_eq!(webhook_rows::next(c).await.expect("read"), None);
    webhook_rows::forget(c, tenant).await.expect("forgotten");
    assert!(
        webhook_rows::last(c, tenant)
            .await
            .expect("read")
            .is_empty()
    );
}

/// A candidate is tried beside the active revision, and what it came to is kept.
async fn shadows(c: &mut Connection, tenant: &TenantDocument) {
    let (id, module) = (&tenant.id, "m".parse().expect("a name"));
    let upload = Upload {
        tenant: id,
        module: &module,
        bytes: b"candidate",
        digest: Digest::of(b"candidate"),
    };
    let received = revision_rows::receive(c, &upload, "test", 7).await;
    let (number, _) = received.expect("kept");
    for waiting in revision_rows::waiting(c).await.expect("read") {
        let noted = revision_rows::note(c, &waiting, RevisionState::Ready, None).await;
        assert!(noted.expect("noted"));
    }
    let set = shadow_rows::set(c, id, "none", Some(1), "test", 8).await;
    assert!(!set.expect("read"), "there is no such module");
    let set = shadow_rows::set(c, id, "m", Some(number), "test", 8).await;
    assert!(set.expect("set"));
    let digest = upload.digest.to_string();
    let all = shadow_rows::all(c).await.expect("read");
    assert_eq!(all, [("a".to_owned(), "m".to_owned(), digest.clone())]);
    let one = shadow_rows::one(c, "a", "m").await.expect("read");
    assert_eq!(one, Some((number, digest, 8)));
    let verdict = sample::verdict("a@a.example");
    let batch = Batch::of(&[Event::Verdict(Box::new(verdict.clone()))]);
    receipt_rows::keep(c, &batch).await.expect("written");
    let of = ShadowOf {
        tenant: id.clone(),
        module: "m".to_owned(),
        candidate: upload.digest,
        active: Digest::of(b"second"),
    };
    let event = |came| ShadowEvent {
        of: of.clone(),
        receipt: verdict.id,
        came,
    };
    let events = [
        event(sample::beside("plaintext")),
        event(sample::beside("accepted")),
        event(Came::NotRun(3)),
    ];
    let shadowed = Shadowed::of(events.iter());
    for written in [3, 6] {
        let kept = shadow_rows::keep(c, &shadowed, "writer", written).await;
        kept.expect("written");
    }
    let written = shadow_rows::written(c, "writer").await.expect("read");
    assert_eq!(written, 6);
    let pairs = shadow_rows::pairs(c, "a", "m").await.expect("read");
    let counts: Vec<_> = pairs.iter().map(|row| (row.5.as_str(), row.7)).collect();
    assert_eq!(counts, [("", 6), ("accepted", 2), ("plaintext", 2)]);
    let senders = shadow_rows::senders(c, "a", "m").await.expect("read");
    let [sender] = senders.as_slice() else {
        unreachable!("{senders:?}");
    };
    assert_eq!((sender.2.as_str(), sender.3), ("plaintext", 2));
    let samples = shadow_rows::samples(c, "a", "m", 10).await.expect("read");
    assert_eq!(samples.len(), 1, "one of each receipt: {samples:?}");
    let receipt = verdict.id.to_string();
    let answers = shadow_rows::of_receipt(c, &receipt).await.expect("read");
    assert_eq!(answers.len(), 1);
    for tenant in [None, Some("a")] {
        let found = shadow_rows::receipts(c, tenant, "", 10).await;
        assert_eq!(found.expect("read"), [receipt.as_str()]);
    }
    // It goes with its receipt, or before.
    shadow_rows::forget(c, "none").await.expect("nothing");
    let gone = receipt_rows::expire(c, "acme", None, 10).await;
    assert_eq!(gone.expect("expired"), 1);
    receipt_rows::forget(c).await.expect("forgotten");
    let samples = shadow_rows::samples(c, "a", "m", 10).await.expect("read");
    assert!(samples.is_empty(), "{samples:?}");
    // Another trial begins anew; none leaves what there was.
    let none = shadow_rows::set(c, id, "m", None, "test", 9).await;
    assert!(none.expect("set") && shadow_rows::all(c).await.expect("read").is_empty());
    assert!(
        !shadow_rows::pairs(c, "a", "m")
            .await
            .expect("read")
            .is_empty()
    );
    let again = shadow_rows::set(c, id, "m", Some(number), "test", 9).await;
    assert!(again.expect("set"));
    assert!(
        shadow_rows::pairs(c, "a", "m")
            .await
            .expect("read")
            .is_empty()
    );
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
