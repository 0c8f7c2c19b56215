//! `docs/sdk.md` beside what it is about: the interface has every fact and requirement that
//! the page has, and the page every one of the interface, with the SDK's types.

use std::collections::BTreeMap;
use std::fs;

use portcullis_tests::program::workspace;

fn read(path: &str) -> String {
    fs::read_to_string(workspace().join(path)).expect("the file is there")
}

/// The methods of a resource, with underscores for hyphens.
fn methods(wit: &str, resource: &str) -> Vec<String> {
    let (_, rest) = wit
        .split_once(&format!("  resource {resource} {{\n"))
        .expect("the interface has this resource");
    let lines = rest.lines().take_while(|line| *line != "  }");
    let named = lines.filter_map(|line| line.trim().split_once(": func("));
    named.map(|(name, _)| name.replace('-', "_")).collect()
}

/// The type that a method of the SDK returns.
fn returned(sdk: &str, method: &str) -> String {
    let (_, rest) = sdk
        .split_once(&format!("    pub fn {method}(&self"))
        .unwrap_or_else(|| unreachable!("the SDK has no {method}"));
    let (_, rest) = rest.split_once(") -> ").expect("it returns something");
    rest.split(" {").next().unwrap_or_default().to_owned()
}

/// The cells of the rows below this heading: names, each on its own, with the cell beside
/// them.
fn rows(page: &str, heading: &str) -> BTreeMap<String, String> {
    let (_, rest) = page
        .split_once(&format!("\n{heading}\n"))
        .unwrap_or_else(|| unreachable!("the page has no {heading:?}"));
    let section = rest.split("\n#").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let cells = rows.map(|row| row.split('|').map(str::trim).collect::<Vec<_>>());
    cells
        .flat_map(|cells| {
            let names = cells[1].split(", ").map(|name| name.trim_matches('`'));
            let beside = cells[2].trim_matches('`').to_owned();
            names
                .map(|name| (name.to_owned(), beside.clone()))
                .collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn the_page_has_the_facts_of_the_interface() {
    let (page, wit) = (read("docs/sdk.md"), read("wit/facts.wit"));
    for (resource, name) in [
        ("message", "Message"),
        ("tls", "Tls"),
        ("certificate", "Certificate"),
    ] {
        let sdk = read(&format!("guest-sdk/src/{resource}.rs"));
        let expected: BTreeMap<String, String> = methods(&wit, resource)
            .into_iter()
            .map(|method| (method.clone(), returned(&sdk, &method)))
            .collect();
        assert!(expected.len() > 9, "{expected:?}");
        assert_eq!(rows(&page, &format!("### `{name}`")), expected, "{name}");
    }
}

#[test]
fn the_page_has_the_requirements_of_the_interface() {
    let (page, wit) = (read("docs/sdk.md"), read("wit/demands.wit"));
    let found: Vec<(String, String)> = rows(&page, "## The answer")
        .into_iter()
        .map(|(method, vector)| {
            let name = method.split('(').next().unwrap_or_default();
            let word = vector.split(' ').next().unwrap_or_default();
            (name.to_owned(), word.replace('-', "_"))
        })
        .collect();
    let mut expected = methods(&wit, "requirements");
    expected.sort();
    assert_eq!(expected.len(), 7);
    let expected: Vec<_> = expected
        .into_iter()
        .map(|name| (name.clone(), name))
        .collect();
    assert_eq!(found, expected);
}
