//! The file: what it is, who may have it, and what it says when it is none.

use super::*;

#[tokio::test]
async fn a_file_that_cannot_be_a_store_says_why() {
    let site = Site::new();
    let path = Store::path(site.path());
    let missing = Store::read(site.path()).await.expect_err("no host has run");
    assert!(
        missing.to_string().contains("there is none yet"),
        "{missing}"
    );
    fs::write(
        &path,
        "this is no database, and long enough to be looked at. ".repeat(99),
    )
    .expect("written");
    let damaged = Store::open(site.path()).await.expect_err("it is text");
    assert!(damaged.to_string().contains("restore"), "{damaged}");
    fs::remove_file(&path).expect("removed");
    fs::create_dir(&path).expect("it is new");
    assert!(Store::open(site.path()).await.is_err());
}

#[tokio::test]
async fn a_database_of_another_program_is_no_store() {
    let site = Site::new();
    let other = site.path().join("other.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(&other)
        .create_if_missing(true);
    let mut database = sqlx::SqliteConnection::connect_with(&options)
        .await
        .expect("a database");
    let made = sqlx::query("CREATE TABLE tenants (id TEXT)").execute(&mut database);
    made.await.expect("a table");
    database.close().await.expect("closed");
    let empty = site.path().join("empty.db");
    fs::write(&empty, "").expect("written");
    for file in [other, empty] {
        let refused = Store::restore(&file, site.path())
            .await
            .expect_err("it is none");
        assert!(matches!(refused, StoreError::Foreign(_)), "{refused}");
        assert!(!Store::path(site.path()).exists());
    }
}

/// SQLite does not notice a bit that the disk has turned over within a value.
#[tokio::test]
async fn what_is_not_what_was_put_in_is_damaged() {
    let site = Site::new();
    site.write("acme.toml", ACME).write("m.wasm", "one");
    let store = store(&site).await;
    apply(&store, &site).await;
    let id = "acme".parse().expect("an id");
    let module = Digest::of(b"one");
    for (turn, back) in [
        (
            "UPDATE tenants SET own = replace(own, 'see', 'sea')",
            "UPDATE tenants SET own = replace(own, 'sea', 'see')",
        ),
        (
            "UPDATE list_contents SET content = replace(content, 'within', 'without')",
            "UPDATE list_contents SET content = replace(content, 'without', 'within')",
        ),
        (
            "UPDATE module_contents SET content = x'6f6e66'",
            "UPDATE module_contents SET content = x'6f6e65'",
        ),
    ] {
        let mut connection = store.connection().await.expect("a connection");
        let done = sqlx::query(turn).execute(&mut *connection).await;
        assert_eq!(done.expect("turned over").rows_affected(), 1);
        let read = match store.documents([&id], |_| None).await {
            Ok(_) => store.module(module).await.map(drop),
            Err(error) => Err(error),
        };
        assert!(
            matches!(read, Err(StoreError::Damaged { .. })),
            "{turn}: {read:?}"
        );
        let done = sqlx::query(back).execute(&mut *connection).await;
        done.expect("turned back");
        store
            .documents([&id], |_| None)
            .await
            .expect("it is sound again");
        store.module(module).await.expect("it is sound again");
    }
}

/// A loop of links is what nobody may follow, whoever asks.
#[tokio::test]
async fn a_store_that_nobody_can_look_at_is_not_taken_for_none() {
    let site = Site::new();
    let link = site.path().join("loop");
    std::os::unix::fs::symlink(&link, &link).expect("a link");
    Store::is_there(&link).expect_err("nobody can say");
    let refused = Store::read(&link).await.expect_err("nobody can read it");
    assert!(matches!(refused, StoreError::Io { .. }), "{refused}");
    let denied = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
    let said = Failure::from(denied).at(&link).to_string();
    assert!(
        said.contains("run this as root or as the host's user"),
        "{said}"
    );
}

#[tokio::test]
async fn a_newer_store_is_left_alone() {
    let site = Site::new();
    let store = store(&site).await;
    sqlx::query("UPDATE _sqlx_migrations SET version = 99 WHERE version = $1")
        .bind(migrations::KNOWN)
        .execute(&mut *store.connection().await.expect("it is open"))
        .await
        .expect("it is ours");
    store.close().await;
    for opened in [
        Store::open(site.path()).await,
        Store::read(site.path()).await,
    ] {
        let newer = opened.expect_err("it is newer").to_string();
        let expected = format!("schema 99, this one knows {}", migrations::KNOWN);
        assert!(newer.contains(&expected), "{newer}");
    }
}

#[tokio::test]
async fn a_store_that_somebody_else_has_locked_says_so() {
    let site = Site::new();
    let one = store(&site).await;
    site.write("a.toml", "domains = [\"a.example\"]");
    let edits = one.plan(&site.documents()).await.expect("a plan");
    let other = store(&site).await;
    let mut holding = other.connection().await.expect("a connection");
    let held = holding.begin_with(sqlite::BEGIN).await.expect("the lock");
    let locked = one
        .carry_out(&edits, &nothing(), "test")
        .await
        .expect_err("it is locked");
    assert!(matches!(locked, StoreError::Locked(_)), "{locked}");
    let checked = Checked {
        engine: Digest::of(b"engine"),
        pairs: vec![(Digest::of(b"module"), Digest::of(b"{}"))],
    };
    let noted = one.carry_out(&[], &checked, "test").await;
    noted.expect("a note that cannot be made is no error");
    held.rollback().await.expect("given back");
    one.carry_out(&edits, &nothing(), "test")
        .await
        .expect("it is free again");
}

#[tokio::test]
async fn nobody_else_may_read_it() {
    use std::os::unix::fs::PermissionsExt;

    let site = Site::new();
    let path = Store::path(site.path());
    for _ in 0..2 {
        let store = store(&site).await;
        apply(&store, &site).await;
        for entry in fs::read_dir(site.path()).expect("a directory").flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let mode = entry.metadata().expect("it is there").permissions().mode() & 0o777;
            assert!(
                !name.starts_with("portcullis.db") || mode == 0o600,
                "{name} {mode:o}"
            );
        }
        store.close().await;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("ours");
    }
}
