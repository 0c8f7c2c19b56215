//! What `deny.toml` says of licences and sources holds, also where cargo-deny is not
//! installed.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use portcullis_tests::program::workspace;
use portcullis_tests::tool::text;
use serde_json::Value;

#[test]
fn every_dependency_has_an_allowed_licence_and_source() {
    let deny = fs::read_to_string(workspace().join("deny.toml")).expect("deny.toml is there");
    let licences = array(&deny, "allow");
    let registries = array(&deny, "allow-registry");
    assert!(
        licences.contains("Apache-2.0") && registries.len() == 1,
        "deny.toml was read"
    );
    let metadata = metadata();
    let packages = metadata["packages"]
        .as_array()
        .expect("cargo lists packages");
    assert!(packages.len() > 100, "all of them");
    let mut wrong = Vec::new();
    for package in packages {
        let (name, licence) = (
            &package["name"],
            package["license"].as_str().unwrap_or_default(),
        );
        if !is_allowed(licence, &licences) {
            wrong.push(format!("{name}: licence {licence:?}"));
        }
        // Our own have none.
        let source = package["source"]
            .as_str()
            .map(|source| source.trim_start_matches("registry+"));
        if source.is_some_and(|source| !registries.contains(source)) {
            wrong.push(format!("{name}: from {source:?}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "not as deny.toml says:\n{}",
        wrong.join("\n")
    );
}

/// Not even where the feature is on, as it is for the examples of the cookbook.
#[test]
fn a_module_has_nothing_that_reads_vectors() {
    for (target, reads) in [
        (&[][..], true),
        (&["--target", "wasm32-unknown-unknown"], false),
    ] {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let tree = said(
            Command::new(cargo)
                .args(["tree", "--locked", "--offline", "--prefix", "none"])
                .args(["-e", "normal,dev", "-p", "cookbook"])
                .args(target),
        );
        assert!(tree.contains("portcullis-sdk "), "{tree}");
        let parsers = tree.lines().filter(|line| line.starts_with("toml "));
        assert_eq!(parsers.count() > 0, reads, "{target:?}\n{tree}");
    }
}

#[test]
fn licence_expressions_are_understood() {
    let allowed = ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"]
        .map(str::to_owned)
        .into();
    for (expression, expected) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("GPL-3.0 OR MIT", true),
        ("GPL-3.0/MIT", true),
        ("ISC AND MIT", true),
        ("ISC AND GPL-3.0", false),
        ("ISC AND (GPL-3.0 OR MIT)", true),
        ("(GPL-3.0 AND ISC) OR Apache-2.0 WITH LLVM-exception", true),
        ("Apache-2.0", false),
        ("", false),
    ] {
        assert_eq!(is_allowed(expression, &allowed), expected, "{expression}");
    }
}

fn metadata() -> Value {
    let version = said(Command::new("rustc").arg("-vV"));
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // What is built here has been fetched; what is built elsewhere may not have been.
    let metadata = said(
        Command::new(cargo)
            .args(["metadata", "--format-version", "1", "--locked", "--offline"])
            .args(["--filter-platform", host.unwrap_or_default()]),
    );
    serde_json::from_str(&metadata).expect("metadata is JSON")
}

fn said(command: &mut Command) -> String {
    let output = command.current_dir(workspace()).output();
    let output = output.expect("the toolchain that built this test is there");
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// The texts of an array of a TOML file that is written as ours is.
fn array(toml: &str, key: &str) -> BTreeSet<String> {
    let start = toml.find(&format!("\n{key} = [")).unwrap_or(toml.len());
    let array = toml[start..].split_once(']').map_or("", |(array, _)| array);
    array
        .split('"')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// Whether a licence expression (SPDX) can be satisfied; `/` is an old way to say OR.
fn is_allowed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let (alternatives, terms) = (
        split(&expression.replace('/', " OR "), " OR "),
        expression.trim(),
    );
    if alternatives.len() > 1 {
        return alternatives.iter().any(|one| is_allowed(one, allowed));
    }
    let parts = split(terms, " AND ");
    if parts.len() > 1 {
        return parts.iter().all(|one| is_allowed(one, allowed));
    }
    match terms
        .strip_prefix('(')
        .and_then(|inner| inner.strip_suffix(')'))
    {
        Some(inner) => is_allowed(inner, allowed),
        None => allowed.contains(terms),
    }
}

/// Splits where the separator stands outside of parentheses.
fn split(expression: &str, separator: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    for piece in expression.split_inclusive(separator) {
        let last = parts.last_mut().expect("it begins with one");
        last.push_str(piece);
        let open = last.matches('(').count() == last.matches(')').count();
        if open && last.ends_with(separator) {
            last.truncate(last.len() - separator.len());
            parts.push(String::new());
        }
    }
    parts
}
