//! The reference in `docs/` and the code say the same.

use std::collections::BTreeSet;

use super::keys::{NUMBERS, SCHEMAS};
use super::tests::Files;

const REFERENCE: &str = include_str!("../../../docs/configuration.md");

/// A row of a table: the cells between the bars.
type Row<'a> = Vec<&'a str>;

/// The rows under the heading of this name.
fn rows(name: &str) -> Vec<Row<'static>> {
    REFERENCE
        .lines()
        .skip_while(|line| heading(line).as_deref() != Some(name))
        .skip(1)
        .take_while(|line| heading(line).is_none())
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect()
}

/// Of the second level or below: a single `#` is a comment in an example.
fn heading(line: &str) -> Option<String> {
    let text = line.strip_prefix("##")?;
    Some(
        text.trim_start_matches('#')
            .replace('`', "")
            .trim()
            .to_owned(),
    )
}

#[test]
fn every_key_is_described_and_every_described_key_is_known() {
    for schema in SCHEMAS {
        let described: BTreeSet<String> = rows(schema.name)
            .iter()
            .map(|row| row[1].replace('`', ""))
            .collect();
        let known: BTreeSet<String> = schema.keys.iter().map(|key| (*key).to_owned()).collect();
        assert_eq!(described, known, "in the table of {}", schema.name);
    }
}

#[test]
fn every_table_is_of_a_known_kind() {
    let tables = REFERENCE
        .lines()
        .filter(|l| l.starts_with("| key "))
        .count();
    assert_eq!(tables, SCHEMAS.len());
}

#[test]
fn defaults_and_ranges_of_numbers_are_those_of_the_code() {
    let rows: Vec<Row<'_>> = SCHEMAS
        .iter()
        .flat_map(|schema| rows(schema.name))
        .collect();
    for number in NUMBERS {
        let key = format!("`{}`", number.key);
        let row = rows.iter().find(|row| row[1] == key).expect("described");
        assert_eq!(row[3], number.default.to_string(), "default of {key}");
        let range = format!("{} to {}", number.min, number.max);
        assert_eq!(row[4], range, "range of {key}");
    }
}

#[test]
fn the_example_is_sound() {
    let files = Files::new();
    for named in [
        "mx.pem",
        "mx.key",
        "tenants/ca.pem",
        "tenants/partner_list.wasm",
    ] {
        files.write(named, "");
    }
    let mut names = Vec::new();
    for block in REFERENCE.split("```toml\n").skip(1) {
        let text = block.split("```").next().expect("a fence at the end");
        let name = text
            .lines()
            .next()
            .expect("its name")
            .trim_start_matches("# ");
        files.write(name, text);
        names.push(name.to_owned());
    }
    assert_eq!(names, ["portcullis.toml", "tenants/acme.toml"]);
    let config = files.read().expect("no fault");
    assert_eq!(config.tenants[0].policies.len(), 3);
}
