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
    let tenant = "a".parse().expect("an id");
    let found = store.module_revision(&tenant, "m", 1).await.expect("read");
    assert!(found.is_none(), "{found:?}");
    // Numbers are never given twice, and a module has at most so many brothers.
    assert_eq!(received(&store, "n", b"one").await, Ok(1));
    let refused = received(&store, "o", b"one").await.expect_err("a quota");
    assert!(refused.contains("2 modules already"), "{refused}");
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
