//! The SDK out of this binary, with a manifest that stands alone.

use std::path::PathBuf;

use toml::{Table, Value};

/// Every file of `guest-sdk/`, as `build.rs` found them.
pub(super) const SDK: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/sdk.rs"));
/// Which of them inherits from the workspace.
pub(super) const MANIFEST: &str = "Cargo.toml";
/// What it inherits from.
pub(super) const WORKSPACE: &str = include_str!("../../../../Cargo.toml");
/// Whose licence goes with it.
const LICENSE: &str = include_str!("../../../../LICENSE");

/// What stands above the manifest.
const HEADER: &str = "\
# Portcullis' SDK as it came with `portcullis new`. To have a newer one, make a crate with
# a newer portcullis and put its `sdk` in the place of this.

";

/// The files, with their paths.
pub(super) fn files() -> Vec<(PathBuf, String)> {
    let all = SDK.iter().map(|(path, text)| {
        let text = match *path {
            MANIFEST => standalone(text),
            _ => (*text).to_owned(),
        };
        (PathBuf::from(path), text)
    });
    all.chain([("LICENSE".into(), LICENSE.to_owned())])
        .collect()
}

/// The manifest with what it inherits written out.
fn standalone(manifest: &str) -> String {
    let table = resolved(&table(manifest), &table(WORKSPACE));
    let text = toml::to_string(&table);
    HEADER.to_owned() + &text.expect("what was read from TOML is written as TOML")
}

/// Both were read by cargo when this was built.
pub(super) fn table(text: &str) -> Table {
    text.parse().expect("cargo has read it")
}

fn resolved(manifest: &Table, workspace: &Table) -> Table {
    let workspace = workspace.get("workspace").and_then(Value::as_table);
    let workspace = workspace.cloned().unwrap_or_default();
    let mut table = manifest.clone();
    // Those are for whoever changes the SDK, with the compiler that it was made with.
    table.remove("lints");
    if let Some(package) = table.get_mut("package").and_then(Value::as_table_mut) {
        inherit(package, &workspace, "package");
    }
    for dependencies in dependencies(&mut table) {
        inherit(dependencies, &workspace, "dependencies");
    }
    table
}

/// Every table of dependencies, those for some targets too.
fn dependencies(table: &mut Table) -> Vec<&mut Table> {
    const KINDS: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];
    let mut found = Vec::new();
    for (key, value) in table.iter_mut() {
        let Some(value) = value.as_table_mut() else {
            continue;
        };
        if KINDS.contains(&key.as_str()) {
            found.push(value);
        } else if key == "target" {
            let targets = value.iter_mut().filter_map(|(_, one)| one.as_table_mut());
            found.extend(targets.flat_map(dependencies));
        }
    }
    found
}

/// Puts what the workspace says in the place of `workspace = true`; what stands beside
/// that is added to it.
fn inherit(keys: &mut Table, workspace: &Table, from: &str) {
    let all = workspace.get(from).and_then(Value::as_table);
    for (key, value) in keys.iter_mut() {
        let inherits = value.get("workspace").and_then(Value::as_bool);
        let inherited = all.and_then(|all| all.get(key));
        if let (Some(true), Some(inherited)) = (inherits, inherited) {
            *value = merged(value, inherited);
        }
    }
}

fn merged(own: &Value, inherited: &Value) -> Value {
    let own = own.as_table().into_iter().flatten();
    let mut own: Table = own
        .filter(|(key, _)| *key != "workspace")
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    if own.is_empty() {
        return inherited.clone();
    }
    let mut whole = match inherited {
        Value::Table(table) => table.clone(),
        version => Table::from_iter([("version".to_owned(), version.clone())]),
    };
    if let (Some(Value::Array(more)), Some(Value::Array(features))) =
        (own.get_mut("features"), whole.get("features"))
    {
        more.extend(features.iter().cloned());
    }
    whole.extend(own);
    Value::Table(whole)
}
