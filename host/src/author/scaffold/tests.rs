//! What a new crate has in it. That it builds, and what it decides, is shown with cargo by
//! the suite `author`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::{CrateName, ScaffoldError, create, files, sdk};

fn name(text: &str) -> CrateName {
    text.parse().expect("a name")
}

fn sdk_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest-sdk")
}

fn on_disk(directory: &Path, below: &Path, found: &mut BTreeMap<PathBuf, String>) {
    for entry in fs::read_dir(directory.join(below)).expect("a directory") {
        let name = entry.expect("an entry").file_name();
        let path = below.join(&name);
        if name == "target" || name.to_string_lossy().starts_with('.') {
            continue;
        }
        if directory.join(&path).is_dir() {
            on_disk(directory, &path, found);
        } else {
            let text = fs::read_to_string(directory.join(&path)).expect("text");
            found.insert(path, text);
        }
    }
}

#[test]
fn the_sdk_in_the_binary_is_the_one_that_is_here() {
    let embedded: BTreeMap<_, _> = sdk::SDK
        .iter()
        .map(|(path, text)| (PathBuf::from(path), (*text).to_owned()))
        .collect();
    let mut here = BTreeMap::new();
    on_disk(&sdk_directory(), Path::new(""), &mut here);
    assert!(here.contains_key(Path::new("wit/facts.wit")));
    assert!(here.contains_key(Path::new("src/lib.rs")));
    assert_eq!(embedded, here);
}

/// Whatever is under the keys of dependencies, in the order of the file.
fn dependencies(manifest: &Table) -> BTreeMap<String, Value> {
    let targets = manifest.get("target").and_then(Value::as_table);
    let targets = targets.into_iter().flatten();
    let places = targets
        .filter_map(|(_, one)| one.as_table())
        .chain([manifest]);
    places
        .flat_map(|place| {
            ["dependencies", "dev-dependencies"]
                .into_iter()
                .filter_map(|key| place.get(key)?.as_table())
        })
        .flatten()
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

fn field<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    match value {
        Value::Table(table) => table.get(key),
        version => (key == "version").then_some(version),
    }
}

#[test]
fn the_manifest_of_the_sdk_stands_alone_and_follows_the_workspace() {
    let (_, text) = sdk::files()
        .into_iter()
        .find(|(path, _)| path == Path::new(sdk::MANIFEST))
        .expect("a manifest");
    let alone = sdk::table(&text);
    let here = fs::read_to_string(sdk_directory().join("Cargo.toml")).expect("a manifest");
    let here = sdk::table(&here);
    let workspace = sdk::table(sdk::WORKSPACE);
    let workspace = workspace["workspace"].as_table().expect("a workspace");
    assert!(!text.contains("workspace = true"), "{text}");
    assert!(!text.contains("[lints"), "{text}");
    for key in ["version", "edition", "rust-version", "license"] {
        assert_eq!(alone["package"][key], workspace["package"][key], "{key}");
    }
    assert_eq!(alone["features"], here["features"]);
    assert_eq!(alone["lib"], here["lib"]);
    let (alone, here) = (dependencies(&alone), dependencies(&here));
    assert_eq!(
        Vec::from_iter(alone.keys()),
        Vec::from_iter(here.keys()),
        "the same ones"
    );
    for (name, found) in alone {
        let Some(inherited) = workspace["dependencies"].get(&name) else {
            assert_eq!(found, here[&name], "{name}");
            continue;
        };
        for key in ["version", "default-features"] {
            assert_eq!(field(&found, key), field(inherited, key), "{name}: {key}");
        }
        assert_eq!(
            field(&found, "optional"),
            field(&here[&name], "optional"),
            "{name}"
        );
        for feature in field(inherited, "features")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let features = field(&found, "features").and_then(Value::as_array);
            assert!(
                features.is_some_and(|all| all.contains(feature)),
                "{name}: {feature}"
            );
        }
    }
}

#[test]
fn a_lock_has_all_that_its_packages_need_and_nothing_of_the_host() {
    let lock = super::lock::lock(&name("weekend"));
    let lock = sdk::table(&lock);
    let packages = lock["package"].as_array().expect("packages");
    let names: Vec<_> = packages
        .iter()
        .filter_map(|package| package["name"].as_str())
        .collect();
    for wanted in [
        "weekend",
        "portcullis-sdk",
        "serde",
        "wit-bindgen",
        "schemars",
    ] {
        assert!(names.contains(&wanted), "{wanted}");
    }
    for unwanted in ["portcullis", "wasmtime", "tokio"] {
        assert!(!names.contains(&unwanted), "{unwanted}");
    }
    for package in packages {
        let needs = package.get("dependencies").and_then(Value::as_array);
        for need in needs.into_iter().flatten().filter_map(Value::as_str) {
            let mut words = need.split(' ');
            let (name, version) = (words.next(), words.next());
            let found = packages.iter().filter(|one| {
                one["name"].as_str() == name
                    && version.is_none_or(|version| one["version"].as_str() == Some(version))
            });
            assert_eq!(found.count(), 1, "{package:?} needs {need}");
        }
    }
}

#[test]
fn every_file_is_of_the_crate_with_that_name() {
    let files = files(&name("weekend"));
    for (path, text) in &files {
        assert!(!text.contains(super::NAME), "{path:?}");
    }
    let paths: Vec<_> = files.iter().map(|(path, _)| path.as_path()).collect();
    for path in [
        "Cargo.toml",
        "Cargo.lock",
        "src/lib.rs",
        "sdk/src/lib.rs",
        "sdk/wit/world.wit",
    ] {
        assert!(paths.contains(&Path::new(path)), "{path}");
    }
}

#[test]
fn names_that_cargo_or_a_host_would_refuse_are_refused() {
    for good in ["weekend", "tls13-only", "a", &"a".repeat(63)] {
        assert!(good.parse::<CrateName>().is_ok(), "{good}");
        assert!(good.parse::<crate::name::Name>().is_ok(), "{good}");
    }
    for bad in [
        "",
        "1st",
        "-a",
        "Weekend",
        "week_end",
        "week end",
        "a/b",
        "../a",
        "ä",
        "fn",
        "test",
        "std",
        "serde",
        "portcullis-sdk",
        &"a".repeat(64),
    ] {
        let error = bad.parse::<CrateName>().expect_err(bad).to_string();
        assert!(error.starts_with(&format!("{bad:?} is ")), "{error}");
    }
}

#[test]
fn a_crate_is_written_whole_or_not_at_all() {
    let home = tempfile::tempdir().expect("a directory");
    let place = home.path().join("weekend");
    let count = create(&name("weekend"), &place).expect("a crate");
    let mut written = BTreeMap::new();
    on_disk(&place, Path::new(""), &mut written);
    // A hidden one is not looked for.
    assert_eq!(written.len() + 1, count);
    assert!(place.join(".gitignore").is_file());

    fs::write(place.join("src/lib.rs"), "changed").expect("a file");
    let again = create(&name("weekend"), &place);
    assert!(matches!(again, Err(ScaffoldError::Exists(_))), "{again:?}");
    let kept = fs::read_to_string(place.join("src/lib.rs")).expect("a file");
    assert_eq!(kept, "changed");

    let nowhere = create(&name("weekend"), &home.path().join("no/such/place"));
    assert!(
        matches!(nowhere, Err(ScaffoldError::NoParent(_))),
        "{nowhere:?}"
    );
    let left = fs::read_dir(home.path()).expect("a directory").count();
    assert_eq!(left, 1, "nothing half-written is left");
}
