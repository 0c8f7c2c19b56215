//! Candidates: what they came to is counted once, some of it kept, and nothing for too long.

use super::*;
use crate::name::Name;
use crate::receipt::eraser::Eraser;
use crate::receipt::sample::{beside, verdict};
use crate::receipt::{Came, Event, ShadowEvent, ShadowOf, VerdictEvent};

const TENANT: &str = "domains = [\"acme.example\"]\n[quotas]\nmodule_revisions = 3\n\
                      [[module]]\nname = \"m\"\npath = \"m.wasm\"\n";

fn acme() -> TenantId {
    "acme".parse().expect("an id")
}

/// A tenant whose module has a second revision, which is ready.
async fn with_candidate(site: &Site) -> Store {
    site.write("m.wasm", "first").write("acme.toml", TENANT);
    let store = store(site).await;
    apply(&store, site).await;
    assert_eq!(uploaded(&store, b"second").await, 2);
    store
}

async fn uploaded(store: &Store, bytes: &[u8]) -> i64 {
    let module: Name = "m".parse().expect("a name");
    let upload = Upload {
        tenant: &acme(),
        module: &module,
        bytes,
        digest: Digest::of(bytes),
    };
    let (revision, _) = store.receive(&upload, "test").await.expect("kept");
    for waiting in store.waiting().await.expect("read") {
        let noted = store.note_revision(&waiting, RevisionState::Ready, None);
        assert!(noted.await.expect("noted"));
    }
    revision.number
}

fn of(candidate: &[u8]) -> ShadowOf {
    ShadowOf {
        tenant: acme(),
        module: "m".to_owned(),
        candidate: Digest::of(candidate),
        active: Digest::of(b"first"),
    }
}

fn shadow(beside_of: &VerdictEvent, came: Came) -> Event {
    Event::Shadow(Box::new(ShadowEvent {
        of: of(b"second"),
        receipt: beside_of.id,
        came,
    }))
}

fn event(verdict: &VerdictEvent) -> Event {
    Event::Verdict(Box::new(verdict.clone()))
}

async fn kept(store: &Store) -> KeptShadow {
    let found = store.shadow(&acme(), "m").await.expect("read");
    found.expect("there is such a module").1
}

#[tokio::test]
async fn what_may_be_there_is_not_counted_twice() {
    let site = Site::new();
    let store = with_candidate(&site).await;
    store
        .set_shadow(&acme(), "m", Some(2), "test")
        .await
        .expect("set");
    let one = verdict("one@acme.example");
    let mut writer = ReceiptWriter::new(store.clone());
    let first = [event(&one), shadow(&one, beside("plaintext"))];
    writer.write(&first).await.expect("written");
    // What is tried again may have more behind it by then.
    writer.doubt();
    writer.rewind(1);
    let more = [
        &first[..],
        &[
            shadow(&one, Came::NotRun(5)),
            shadow(&one, beside("accepted")),
        ],
    ]
    .concat();
    writer.write(&more).await.expect("written");
    let next = [shadow(&one, beside("accepted"))];
    writer.write(&next).await.expect("written");
    writer.close().await;
    let kept = kept(&store).await;
    let counts = [kept.decisions, kept.agree, kept.differ, kept.not_run];
    assert_eq!(counts, [3, 2, 1, 5]);
    assert_eq!(kept.revision, Some(2));
    assert_eq!(kept.senders.len(), 1);
    assert!(kept.senders_complete);
    // Another writer counts from its own beginning.
    let mut writer = ReceiptWriter::new(store.clone());
    writer.doubt();
    writer.write(&next).await.expect("written");
    writer.close().await;
    assert_eq!(self::kept(&store).await.agree, 3);
}

#[tokio::test]
async fn some_of_those_that_differ_are_kept_and_go_with_their_receipts() {
    let site = Site::new();
    let store = with_candidate(&site).await;
    store
        .set_shadow(&acme(), "m", Some(2), "test")
        .await
        .expect("set");
    let mut writer = ReceiptWriter::new(store.clone());
    let verdicts: Vec<_> = (0..25).map(|_| verdict("a@acme.example")).collect();
    for some in verdicts.chunks(5) {
        let mut events: Vec<_> = some.iter().map(event).collect();
        events.extend(some.iter().map(|one| shadow(one, beside("plaintext"))));
        writer.write(&events).await.expect("written");
    }
    // Of one whose receipt was lost there is none.
    let lost = verdict("lost@acme.example");
    let events = [shadow(&lost, beside("untrusted"))];
    writer.write(&events).await.expect("written");
    writer.close().await;
    let kept = self::kept(&store).await;
    assert_eq!((kept.differ, kept.samples.len()), (26, 20));
    let first = &verdicts[0];
    let shown = store.shadows_of(first.id).await.expect("read");
    assert_eq!(
        shown[0].answer["reason"],
        "amy@partner.example is in a list"
    );
    // The address of somebody whom only the answer names is erased with it.
    let someone = Eraser::new(&"amy@partner.example".parse().expect("an address"));
    let other = "bank".parse().expect("an id");
    store
        .erase(&someone, Some(&other), "test")
        .await
        .expect("erased");
    assert_eq!(self::kept(&store).await.samples.len(), 20);
    store
        .erase(&someone, Some(&acme()), "test")
        .await
        .expect("erased");
    assert!(self::kept(&store).await.samples.is_empty());
}

#[tokio::test]
async fn a_revision_that_is_tried_stays_until_it_is_active() {
    let site = Site::new();
    let store = with_candidate(&site).await;
    store
        .set_shadow(&acme(), "m", Some(2), "test")
        .await
        .expect("set");
    for bytes in [b"3rd", b"4th", b"5th"] {
        uploaded(&store, bytes).await;
    }
    let numbers = async || {
        let found = store.module_with_revisions(&acme(), "m").await;
        let (module, revisions) = found.expect("read").expect("it is there");
        let numbers: Vec<i64> = revisions.iter().map(|one| one.number).collect();
        (module.active, module.shadow, numbers)
    };
    assert_eq!(numbers().await, (Some(1), Some(2), vec![5, 2, 1]));
    assert_eq!(store.shadows().await.expect("read").len(), 1);
    let active = activated(&store, b"5th").await;
    active.expect("it is there");
    assert_eq!(numbers().await, (Some(5), Some(2), vec![5, 2, 1]));
    let active = activated(&store, b"second").await;
    active.expect("it is there");
    assert_eq!(numbers().await.1, None);
    assert!(store.shadows().await.expect("read").is_empty());
    // What is written of it after its module is gone goes nowhere.
    fs::remove_file(site.path().join("tenants/acme.toml")).expect("removed");
    apply(&store, &site).await;
    let mut writer = ReceiptWriter::new(store.clone());
    let late = verdict("late@acme.example");
    let events = [event(&late), shadow(&late, beside("plaintext"))];
    writer.write(&events).await.expect("written");
    writer.close().await;
    assert!(store.shadow(&acme(), "m").await.expect("read").is_none());
}

async fn activated(store: &Store, bytes: &[u8]) -> Result<(), StoreError> {
    let kept = store.documents([&acme()], |_| None).await?.pop();
    let kept = kept.expect("it is there");
    let mut after = (*kept.document).clone();
    after.activate(&"m".parse().expect("a name"), Digest::of(bytes));
    let edit = Edit::new(Some(kept), Some(Arc::new(after))).expect("it differs");
    store.carry_out(&[edit], &nothing(), "test").await
}
