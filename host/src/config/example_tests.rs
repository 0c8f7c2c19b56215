//! The files in `dist/` that operators copy: they are sound, have every key, and show
//! the defaults of the code.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::keys::{self, NUMBERS, SCHEMAS};
use super::tests::Files;

const HOST: &str = include_str!("../../../dist/portcullis.toml");
const TENANT: &str = include_str!("../../../dist/tenant.toml");

/// Ends a line that has no default to show, or shows another value.
const EXAMPLE: &str = "  # example";

/// The file with some of its commented lines taken in: a comment that is a key has no
/// space behind its mark.
fn with(text: &str, take: impl Fn(&str) -> bool) -> String {
    let line = |line: &str| match line.strip_prefix('#') {
        Some(key) if key.starts_with(|c: char| c == '[' || c.is_ascii_lowercase()) => {
            if take(line) {
                key.to_owned()
            } else {
                line.to_owned()
            }
        }
        _ => line.to_owned(),
    };
    let lines: Vec<String> = text.lines().map(line).collect();
    lines.join("\n")
}

fn is_example(line: &str) -> bool {
    line.ends_with(EXAMPLE)
}

/// The tenant with every key that it may have.
pub(crate) fn whole_tenant() -> String {
    with(TENANT, is_example)
}

/// Both files as a configuration, as the host sees it.
fn read(host: &str, tenant: &str) -> Result<String, String> {
    let files = Files::new();
    files.write("portcullis.toml", host);
    files.write("tenants/acme.toml", tenant);
    for named in ["mx.pem", "mx.key", "ca.pem", "tenants/ca.pem"] {
        files.write(named, "");
    }
    files.write("tenants/ca-crl.pem", "");
    files.write("tenants/partner_list.wasm", "");
    files.write("tenants/partner_list-1.wasm", "");
    files.write("tenants/suppliers.txt", "supplier.example\n");
    let mut config = files.read()?;
    for tenant in &mut config.tenants {
        // That a key is there is all that shows in these.
        let document = Arc::make_mut(&mut tenant.document);
        document.own.clear();
        document.operator.clear();
        document.policies.clear();
    }
    let home = files.path("").display().to_string();
    Ok(format!("{config:?}").replace(&home, ""))
}

#[test]
fn they_are_sound_as_they_are_and_with_all_examples() {
    read(HOST, TENANT).expect("no fault");
    let examples = read(&with(HOST, is_example), &whole_tenant());
    let examples = examples.expect("no fault");
    for taken in [
        "mail.example",
        "partner.example",
        "postmaster@acme",
        "supplier.example",
    ] {
        assert!(examples.contains(taken), "{taken}: {examples}");
    }
}

/// A line that is taken in changes nothing but that it is there.
#[test]
fn the_defaults_that_they_show_are_those_of_the_code() {
    let is_default = |line: &str| !is_example(line);
    assert_eq!(
        read(&with(HOST, is_default), &with(TENANT, is_default)).expect("no fault"),
        read(HOST, TENANT).expect("no fault")
    );
    let shown = format!("{}\n{}", with(HOST, |_| true), with(TENANT, |_| true));
    for number in NUMBERS {
        let line = format!("{} = {}", number.key, number.default);
        let is_shown = |found: &str| found.trim_end_matches(EXAMPLE) == line;
        assert!(shown.lines().any(is_shown), "{line}");
    }
}

#[test]
fn they_have_every_key() {
    let host = keys_by_table(HOST, keys::HOST.name, "");
    let tenant = keys_by_table(TENANT, keys::TENANT.name, " of a tenant");
    for schema in SCHEMAS {
        let name = schema.name;
        let shown = host.get(name).or(tenant.get(name));
        let known: BTreeSet<String> = schema.keys.iter().map(|key| (*key).to_owned()).collect();
        assert_eq!(shown, Some(&known), "in {name}");
    }
}

/// The keys under each heading, tables among them. `top` is what stands under none.
fn keys_by_table(text: &str, top: &str, of: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut tables: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut table = top.to_owned();
    for line in with(text, |_| true).lines() {
        if let Some(end) = line.find(']').filter(|_| line.starts_with('[')) {
            let path = line[..end].trim_matches('[');
            let parts: Vec<&str> = path.split('.').collect();
            let brackets = if line.starts_with("[[") {
                ("[[", "]]")
            } else {
                ("[", "]")
            };
            table = format!("{}{path}{}", brackets.0, brackets.1);
            match parts.as_slice() {
                ["defaults"] => table.push_str(of),
                ["lists", _] => table = keys::LIST.name.to_owned(),
                ["policy", "ramp"] => table = keys::RAMP.name.to_owned(),
                ["policy", "require"] => table = keys::REQUIRE.name.to_owned(),
                _ => {}
            }
            note(&mut tables, top, &parts);
            tables.entry(table.clone()).or_default();
        } else if let Some((key, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            tables
                .entry(table.clone())
                .or_default()
                .insert(key.to_owned());
        }
    }
    tables
}

/// A table is a key of the one that it is in.
fn note(tables: &mut BTreeMap<String, BTreeSet<String>>, top: &str, path: &[&str]) {
    let mut insert = |table: &str, key: &str| {
        let keys = tables.entry(table.to_owned()).or_default();
        keys.insert(key.to_owned());
    };
    if let [first, ..] = path {
        insert(top, first);
    }
    match path {
        ["tls", key] => insert(keys::TLS.name, key),
        ["admin", key] => insert(keys::ADMIN.name, key),
        ["sources", key] => insert(keys::SOURCES.name, key),
        ["targets", key] => insert(keys::TARGETS.name, key),
        ["policy", key] => insert(keys::POLICY.name, key),
        _ => {}
    }
}
