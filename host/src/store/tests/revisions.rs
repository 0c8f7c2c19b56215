//! How much of modules is kept, and for how long.

use super::*;
use crate::name::Name;

const TENANT: &str = "domains = [\"a.example\"]\n\
                      [quotas]\nmodules = 2\nmodule_revisions = 3\n";

async fn received(store: &Store, module: &str, bytes: &[u8]) -> Result<i64, String> {
    let (tenant, module): (TenantId, Name) =
        ("a".parse().expect("an id"), module.parse().expect("a name"));
    let upload = Upload {
        tenant: &tenant,
        module: &module,
        bytes,
        digest: Digest::of(bytes),
    };
    let received = store.receive(&upload, "test").await;
    let (revision, _) = received.map_err(|error| error.to_string())?;
    Ok(revision.number)
}

/// The engine has looked at everything.
async fn look(store: &Store, state: RevisionState) {
    for waiting in store.waiting().await.expect("read") {
        let noted = store.note_revision(&waiting, state, None).await;
        assert!(noted.expect("noted"), "{waiting:?}");
    }
}

#[tokio::test]
async fn the_oldest_go_beyond_the_quota_and_none_that_is_needed() {
    let site = Site::new();
    site.write("a.toml", TENANT);
    let store = store(&site).await;
    apply(&store, &site).await;
    for (number, bytes) in (1..).zip(["one", "two", "three"]) {
        assert_eq!(received(&store, "m", bytes.as_bytes()).await, Ok(number));
    }
    // All of them wait.
    let refused = received(&store, "m", b"four").await.expect_err("a quota");
    assert!(refused.contains("quotas.module_revisions"), "{refused}");
    look(&store, RevisionState::Ready).await;
    assert_eq!(received(&store, "m", b"four").await, Ok(4));
    // Nothing goes for what may be refused, nor for what was.
    assert_eq!(numbers(&store).await, [4, 3, 2, 1]);
    look(&store, RevisionState::Refused).await;
    assert_eq!(numbers(&store).await, [4, 3, 2, 1]);
    assert_eq!(received(&store, "m", b"five").await, Ok(5));
    look(&store, RevisionState::Ready).await;
    assert_eq!(numbers(&store).await, [5, 4, 3, 2]);
    // Of what was refused the last are remembered.
    for (number, bytes) in (6..16_u8).zip(100..) {
        assert!(received(&store, "m", &[bytes]).await.is_ok(), "{number}");
        look(&store, RevisionState::Refused).await;
    }
    assert_eq!(numbers(&store).await, [15, 14, 13, 12, 11, 5, 3, 2]);
    // Numbers are never given twice, and a module has at most so many brothers.
    assert_eq!(received(&store, "n", b"one").await, Ok(1));
    let refused = received(&store, "o", b"one").await.expect_err("a quota");
    assert!(refused.contains("2 modules already"), "{refused}");
}

/// A byte of each of all modules counts, whichever they are of.
#[tokio::test]
async fn the_oldest_of_all_modules_go_beyond_the_bytes() {
    let site = Site::new();
    site.write(
        "a.toml",
        "domains = [\"a.example\"]\n[quotas]\nmodule_bytes = 65536\n",
    );
    let store = store(&site).await;
    apply(&store, &site).await;
    let third = 21 << 10;
    let received_at = async |made: u8, module: &str| {
        let (tenant, module): (_, Name) = (tenant(), module.parse().expect("a name"));
        let bytes = vec![made; third];
        let upload = Upload {
            tenant: &tenant,
            module: &module,
            digest: Digest::of(&bytes),
            bytes: &bytes,
        };
        let mut connection = store.connection().await.expect("open");
        let rows = sqlite::revision_rows::receive(&mut connection, &upload, "test", made.into());
        rows.await
            .map(|(number, _)| number)
            .map_err(|failure| failure.at(store.file()).to_string())
    };
    for (made, module, number) in [(1, "m", 1), (2, "m", 2), (3, "n", 1)] {
        assert_eq!(received_at(made, module).await, Ok(number));
    }
    // All of them wait, and may be sound.
    let refused = received_at(4, "m").await.expect_err("a quota");
    assert!(refused.contains("quotas.module_bytes"), "{refused}");
    look(&store, RevisionState::Ready).await;
    let name: Name = "m".parse().expect("a name");
    let first = Digest::of(&vec![1; third]);
    let active = edited(&store, |tenant| tenant.activate(&name, first)).await;
    active.expect("it is there");
    assert_eq!(received_at(4, "m").await, Ok(3));
    assert_eq!(
        numbers(&store).await,
        [3, 2, 1],
        "nothing goes for what may be refused"
    );
    look(&store, RevisionState::Ready).await;
    assert_eq!(
        numbers(&store).await,
        [3, 1],
        "the oldest but the active one"
    );
    assert_eq!(received_at(5, "n").await, Ok(2));
    look(&store, RevisionState::Ready).await;
    // What was the oldest is of another module.
    assert_eq!(numbers(&store).await, [3, 1]);
    let n = store.module_with_revisions(&tenant(), "n").await;
    let (_, n) = n.expect("read").expect("it is there");
    assert_eq!(n.iter().map(|one| one.number).collect::<Vec<_>>(), [2]);
    let large = received(&store, "m", &vec![9; 65_537])
        .await
        .expect_err("a quota");
    assert!(large.contains("quotas.module_bytes"), "{large}");
}

/// The revisions of `m`, newest first.
async fn numbers(store: &Store) -> Vec<i64> {
    let found = store.module_with_revisions(&tenant(), "m").await;
    let (_, revisions) = found.expect("read").expect("it is there");
    revisions.iter().map(|revision| revision.number).collect()
}

fn tenant() -> TenantId {
    "a".parse().expect("an id")
}

/// The tenant with this made of it.
async fn edited(store: &Store, edit: impl FnOnce(&mut TenantDocument)) -> Result<(), StoreError> {
    let id = tenant();
    let kept = store.documents([&id], |_| None).await.expect("read").pop();
    let mut after = match &kept {
        Some(kept) => (*kept.document).clone(),
        None => TenantDocument {
            domains: vec!["a.example".parse().expect("a domain")],
            ..TenantDocument::empty(id)
        },
    };
    edit(&mut after);
    let edit = Edit::new(kept, Some(Arc::new(after))).expect("it differs");
    let nothing = Checked::nothing(Digest::of(b"an engine"));
    store.carry_out(&[edit], &nothing, "test").await
}

fn asking(revision: &[u8]) -> crate::config::Object {
    let policy = serde_json::json!({
        "option": "module", "module": "m", "revision": Digest::of(revision),
    });
    serde_json::from_value(policy).expect("an object")
}

/// Between a look at the settings and the change there is time for it to go.
#[tokio::test]
async fn what_is_gone_is_neither_made_active_nor_pinned() {
    let site = Site::new();
    site.write("a.toml", TENANT);
    let store = store(&site).await;
    apply(&store, &site).await;
    for bytes in [b"one", b"two"] {
        assert!(received(&store, "m", bytes).await.is_ok());
    }
    look(&store, RevisionState::Ready).await;
    let name: Name = "m".parse().expect("a name");
    let gone = edited(&store, |tenant| tenant.activate(&name, Digest::of(b"gone"))).await;
    assert!(matches!(gone, Err(StoreError::Stale(_))), "{gone:?}");
    let two = edited(&store, |tenant| tenant.activate(&name, Digest::of(b"two"))).await;
    two.expect("it is there");
    for (revision, is_there) in [(b"gon", false), (b"one", true), (b"two", true)] {
        let pinned = edited(&store, |tenant| {
            tenant.put_policy("p", asking(revision)).expect("sound");
        });
        let pinned = pinned.await;
        assert_eq!(pinned.is_ok(), is_there, "{pinned:?}");
        assert!(
            is_there || matches!(pinned, Err(StoreError::Stale(_))),
            "{pinned:?}"
        );
    }
}

#[tokio::test]
async fn what_becomes_of_one_module_is_not_noted_of_the_next() {
    let site = Site::new();
    site.write("a.toml", TENANT);
    let store = store(&site).await;
    apply(&store, &site).await;
    assert_eq!(received(&store, "m", b"one").await, Ok(1));
    let waiting = store.waiting().await.expect("read").remove(0);
    let module = Subject::Module("m".to_owned());
    let first = store.revision(&tenant(), &module).await.expect("read");
    let gone = store.forget_module(&tenant(), "m", "test").await;
    assert!(gone.expect("forgotten"));
    assert_eq!(received(&store, "m", b"two").await, Ok(1));
    let second = store.revision(&tenant(), &module).await.expect("read");
    assert!(second > first, "{second:?} {first:?}");
    let refused = store.note_revision(&waiting, RevisionState::Refused, Some("no"));
    assert!(!refused.await.expect("noted"), "it was another");
    assert_eq!(store.waiting().await.expect("read").len(), 1);
}

/// Whoever has seen what was there before does not change what is there now.
#[tokio::test]
async fn no_revision_comes_back() {
    let site = Site::new();
    site.write("a.toml", TENANT);
    let store = store(&site).await;
    apply(&store, &site).await;
    let policy =
        || serde_json::from_value(serde_json::json!({ "option": "default" })).expect("keys");
    let list = || crate::lists::List::read_text("a.example").expect("sound");
    let parts = [
        Subject::Tenant,
        Subject::Policy("p".to_owned()),
        Subject::List("l".to_owned()),
    ];
    let mut seen: Vec<Vec<i64>> = vec![Vec::new(); parts.len()];
    for _ in 0..3 {
        edited(&store, |tenant| {
            tenant.put_policy("p", policy()).expect("sound");
            tenant.put_list("l", list());
        })
        .await
        .expect("written");
        for (part, seen) in parts.iter().zip(&mut seen) {
            let revision = store.revision(&tenant(), part).await.expect("read");
            let revision = revision.expect("it is there");
            assert!(
                seen.iter().all(|earlier| *earlier < revision),
                "{part}: {seen:?} {revision}"
            );
            seen.push(revision);
        }
        edited(&store, |tenant| {
            tenant.remove_policy("p");
            tenant.lists.remove("l");
        })
        .await
        .expect("written");
        let id = tenant();
        let kept = store.documents([&id], |_| None).await.expect("read").pop();
        let gone = Edit::new(kept, None).expect("it was there");
        let nothing = Checked::nothing(Digest::of(b"an engine"));
        store
            .carry_out(&[gone], &nothing, "test")
            .await
            .expect("gone");
    }
}

/// Nobody fills the disk with what the engine has not looked at.
#[tokio::test]
async fn so_many_of_a_tenant_wait_for_the_engine() {
    let site = Site::new();
    site.write("a.toml", "domains = [\"a.example\"]\n");
    let store = store(&site).await;
    apply(&store, &site).await;
    for number in 1..=16_u8 {
        assert!(received(&store, "m", &[number]).await.is_ok(), "{number}");
    }
    let refused = received(&store, "n", b"more").await.expect_err("too many");
    assert!(refused.starts_with("16 revisions wait"), "{refused}");
    assert_eq!(received(&store, "m", &[16]).await, Ok(16), "it is known");
    look(&store, RevisionState::Refused).await;
    assert!(received(&store, "n", b"more").await.is_ok());
}
