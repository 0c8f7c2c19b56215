//! Compiled modules on disk: only what this host wrote is ever loaded.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::{Duration, SystemTime};

use super::guest::{Bench, guest};
use crate::digest::Digest;
use crate::engine::{AdmissionError, Engine, EngineError, EngineSettings};

/// Stores two modules; returns where they are.
async fn store(bench: &Bench) -> [(Digest, PathBuf); 2] {
    let mut stored = Vec::new();
    for body in ["", "(i32.store8 (i32.const 260) (i32.const 1))"] {
        let bytes = guest(body);
        let digest = Digest::of(&bytes);
        let compiled = bench.compile(&bytes).expect("admitted");
        let cache = &bench.engine.cache;
        cache.store(digest, &compiled).await.expect("stored");
        let name = digest.to_string();
        let mut files = fs::read_dir(&bench.engine.settings.cache).expect("a directory");
        let file = files.find_map(|file| {
            let path = file.expect("a file").path();
            path.to_string_lossy().contains(&name).then_some(path)
        });
        stored.push((digest, file.expect("the stored file")));
    }
    stored.try_into().expect("two")
}

#[tokio::test]
async fn what_was_stored_is_found() {
    let bench = Bench::new();
    let [(digest, path), _] = store(&bench).await;
    assert!(bench.engine.find(digest).await.is_some());
    let mode = fs::metadata(&path).expect("a file").permissions().mode();
    assert_eq!(mode & 0o077, 0, "for its owner alone");
}

#[tokio::test]
async fn a_changed_file_is_not_there() {
    let bench = Bench::new();
    let [(digest, path), _] = store(&bench).await;
    let sound = fs::read(&path).expect("a file");
    let step = (sound.len() / 400).max(1);
    for place in (0..100).chain((100..sound.len()).step_by(step)) {
        let mut flipped = sound.clone();
        flipped[place] ^= 1;
        fs::write(&path, flipped).expect("written");
        assert!(
            bench.engine.cache.load(digest).await.is_none(),
            "flipped at {place}"
        );
    }
    for length in (0..100).chain((100..sound.len()).step_by(step)) {
        fs::write(&path, &sound[..length]).expect("written");
        assert!(
            bench.engine.cache.load(digest).await.is_none(),
            "cut at {length}"
        );
    }
    fs::write(&path, &sound).expect("written");
    assert!(
        bench.engine.cache.load(digest).await.is_some(),
        "whole again"
    );
}

#[tokio::test]
async fn exchanged_files_are_not_there() {
    let bench = Bench::new();
    let [(a, first), (b, second)] = store(&bench).await;
    let contents = fs::read(&first).expect("a file");
    fs::copy(&second, &first).expect("copied");
    fs::write(&second, contents).expect("written");
    assert!(bench.engine.find(a).await.is_none());
    assert!(bench.engine.find(b).await.is_none());
}

#[tokio::test]
async fn another_key_is_another_host() {
    let (bench, other) = (Bench::new(), Bench::new());
    let [(digest, path), _] = store(&bench).await;
    let name = path.file_name().expect("a name");
    fs::copy(&path, other.engine.settings.cache.join(name)).expect("copied");
    assert!(other.engine.find(digest).await.is_none());
}

#[test]
fn an_open_directory_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(directory.path(), open).expect("changed");
    let error = refusal(directory.path());
    assert!(error.contains("mode 755"), "{error}");
}

/// Whoever may not give a directory away finds one of root's.
#[test]
fn a_directory_of_somebody_else_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let private = fs::Permissions::from_mode(0o700);
    fs::set_permissions(directory.path(), private).expect("changed");
    let error = match chown(directory.path(), Some(1), None) {
        Ok(()) => refusal(directory.path()),
        Err(_) => refusal(Path::new("/root")),
    };
    assert!(error.contains("belongs to user"), "{error}");
}

fn refusal(cache: &Path) -> String {
    let mut settings = EngineSettings::new(cache.to_owned());
    settings.instances = 1;
    match Engine::new(settings) {
        Err(EngineError::Cache(error)) => error.to_string(),
        Err(error) => format!("not a fault of the cache: {error}"),
        Ok(_) => "opened".to_owned(),
    }
}

#[tokio::test]
async fn a_start_removes_what_nobody_reads() {
    let bench = Bench::new();
    let [(digest, path), _] = store(&bench).await;
    let cache = bench.engine.settings.cache.clone();
    let write = |name: &str, age: u64| {
        let file = fs::File::create(cache.join(name)).expect("a file");
        let then = SystemTime::now() - Duration::from_secs(age);
        file.set_modified(then).expect("changed");
    };
    let other = format!("{digest}-0123456789abcdef.module");
    write(&other, 0);
    write(".new-crashed", 3_600);
    write(".new-now", 0);
    write("notes", 3_600);
    let settings = bench.engine.settings.clone();
    let again = Engine::new(settings).expect("an engine");
    for (name, is_kept) in [
        (other.as_str(), false),
        (".new-crashed", false),
        (".new-now", true),
        ("notes", true),
        ("cache.key", true),
    ] {
        assert_eq!(cache.join(name).exists(), is_kept, "{name}");
    }
    assert!(path.exists() && again.find(digest).await.is_some());
}

#[tokio::test]
async fn what_no_module_needs_goes_unless_it_is_new_or_loaded() {
    let bench = Bench::new();
    let [(first, kept), (second, gone)] = store(&bench).await;
    let age = |path: &Path| {
        let then = SystemTime::now() - Duration::from_secs(7_200);
        let file = fs::File::options().write(true).open(path).expect("a file");
        file.set_modified(then).expect("changed");
    };
    let key = bench.engine.settings.cache.join("cache.key");
    age(&key);
    let prune = async |needed: &[Digest]| {
        let pruned = bench.engine.prune_cache(needed.iter().copied()).await;
        pruned.expect("it can be written")
    };
    assert_eq!(prune(&[]).await, (0, false), "both are new");
    age(&kept);
    age(&gone);
    let loaded = bench.engine.find(second).await;
    assert!(loaded.is_some());
    assert_eq!(prune(&[first]).await, (0, false), "it is loaded");
    drop(loaded);
    assert_eq!(prune(&[first]).await, (1, false));
    assert!(kept.exists() && !gone.exists() && key.exists());
}

#[tokio::test]
async fn a_tenant_has_one_check_at_a_time_whatever_is_compiled() {
    let bench = Bench::new();
    let module = bench.module(&guest(""));
    let settings = serde_json::json!({});
    let checking = module.share.checking.lock().await;
    let mut check = pin!(bench.engine.check_settings(&module, &settings));
    tokio::select! {
        biased;
        checked = &mut check => unreachable!("{checked:?} while another is made"),
        () = tokio::task::yield_now() => {}
    }
    drop(checking);
    let _compiling = module.share.compiling.lock().await;
    // This engine has no worker to check with.
    let checked = check.await;
    assert!(
        matches!(checked, Err(AdmissionError::Internal(_))),
        "{checked:?}"
    );
}
