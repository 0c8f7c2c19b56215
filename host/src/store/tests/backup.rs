//! Copies of the store, and bringing them back.

use super::*;

#[tokio::test]
async fn a_backup_is_restored_and_what_it_replaces_is_kept() {
    let site = Site::new();
    site.write("a.toml", "domains = [\"a.example\"]");
    let store = store(&site).await;
    apply(&store, &site).await;
    let then = digests(&store).await;
    let copy = site.path().join("copy.db");
    store.backup(&copy).await.expect("a copy");
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &copy.metadata().expect("it is there").permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
    assert!(store.backup(&copy).await.is_err(), "it is there already");
    site.write("a.toml", "domains = [\"b.example\"]");
    apply(&store, &site).await;
    let now = digests(&store).await;
    store.close().await;
    let kept = Store::restore(&copy, site.path()).await.expect("restored");
    let kept = kept.expect("something was there before");
    assert_eq!(digests(&self::store(&site).await).await, then);
    let restored = self::store(&site).await;
    let audit = restored
        .audit(&AuditFilter::default())
        .await
        .expect("the audit");
    restored.close().await;
    let last = audit.last().expect("it goes on");
    let what = format!("restore from {}", copy.display());
    assert_eq!(
        (last.who.as_str(), last.what.as_str()),
        ("restore", what.as_str())
    );
    // And back again.
    Store::restore(&kept, site.path()).await.expect("restored");
    assert_eq!(digests(&self::store(&site).await).await, now);
    let left: Vec<_> = fs::read_dir(site.path())
        .expect("a directory")
        .flatten()
        .collect();
    let hidden = left
        .iter()
        .filter(|e| e.file_name().as_encoded_bytes().starts_with(b"."));
    assert_eq!(hidden.count(), 0, "nothing is left behind: {left:?}");
}

/// The log that an unclean end has left is no part of the store that is brought back.
#[tokio::test]
async fn a_log_without_its_store_is_moved_aside() {
    let site = Site::new();
    site.write("a.toml", "domains = [\"a.example\"]");
    let store = store(&site).await;
    apply(&store, &site).await;
    let then = digests(&store).await;
    let copy = site.path().join("copy.db");
    store.backup(&copy).await.expect("a copy");
    site.write("a.toml", "domains = [\"b.example\"]");
    apply(&store, &site).await;
    let log = fs::read(site.path().join("portcullis.db-wal")).expect("it is there");
    store.close().await;
    fs::remove_file(Store::path(site.path())).expect("removed");
    fs::write(site.path().join("portcullis.db-wal"), &log).expect("written");
    let kept = Store::restore(&copy, site.path()).await.expect("restored");
    let kept = kept.expect("the log was there before");
    assert_eq!(fs::read(kept).expect("it is there"), log);
    assert!(!site.path().join("portcullis.db-wal").exists());
    assert_eq!(digests(&self::store(&site).await).await, then);
}

/// Somebody reads it meanwhile, so what was committed last is in its log still.
#[tokio::test]
async fn a_store_that_is_read_is_replaced_and_kept_whole() {
    let site = Site::new();
    site.write("a.toml", "domains = [\"a.example\"]");
    let store = store(&site).await;
    apply(&store, &site).await;
    let copy = site.path().join("copy.db");
    store.backup(&copy).await.expect("a copy");
    let reader = Store::read(site.path()).await.expect("a reader");
    let mut reading = reader.connection().await.expect("a connection");
    sqlx::query("BEGIN")
        .execute(&mut *reading)
        .await
        .expect("begun");
    let found = sqlx::query("SELECT id FROM tenants").fetch_all(&mut *reading);
    assert_eq!(found.await.expect("read").len(), 1);
    site.write("a.toml", "domains = [\"b.example\"]");
    apply(&store, &site).await;
    let now = digests(&store).await;
    store.close().await;
    let kept = Store::restore(&copy, site.path()).await.expect("restored");
    let kept = kept.expect("something was there before");
    drop(reading);
    reader.close().await;
    let other = TempDir::new().expect("a directory");
    for end in ["", "-wal"] {
        let from = format!("{}{end}", kept.display());
        let to = format!("{}{end}", Store::path(other.path()).display());
        fs::copy(from, to).expect("it was kept");
    }
    let whole = Store::open(other.path()).await.expect("a store");
    assert_eq!(digests(&whole).await, now);
}

#[tokio::test]
async fn what_is_no_sound_store_is_not_restored() {
    let site = Site::new();
    let store = store(&site).await;
    let copy = site.path().join("copy.db");
    store.backup(&copy).await.expect("a copy");
    store.close().await;
    let sound = fs::read(&copy).expect("it is there");
    let mut damaged = sound.clone();
    let middle = damaged.len() / 2;
    damaged[middle..].fill(0x5a);
    let (text, cut) = (
        b"not a database, whatever its name is".to_vec(),
        sound[..8192].to_vec(),
    );
    for (bytes, what) in [(damaged, "damaged"), (text, "text"), (cut, "cut short")] {
        fs::write(&copy, bytes).expect("written");
        let refused = Store::restore(&copy, site.path()).await.expect_err(what);
        assert!(
            refused.to_string().contains("it is damaged"),
            "{what}: {refused}"
        );
    }
    let refused = Store::restore(&site.path().join("none"), site.path()).await;
    assert!(
        refused.is_err_and(|error| error.to_string().contains("No such file")
            || error.to_string().contains("not found"))
    );
    assert!(
        Store::open(site.path()).await.is_ok(),
        "what was there is there"
    );
}
