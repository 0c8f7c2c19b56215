//! When policies apply, whether they do, and whom they are not asked about.

use super::tests::{Files, faults_of, sound};
use crate::facts::{Direction, Stage};
use crate::policy::{BasedOn, Exempt, Inquiry, Mode, Moment, Policy, Validity, select};

fn policy(keys: &str) -> Policy {
    let text = format!("[[policy]]\nname = \"p\"\noption = \"default\"\n{keys}");
    sound(&text).tenants[0].policies[0].policy.clone()
}

#[test]
fn every_field_has_its_default() {
    let policy = policy("");
    assert_eq!(policy.valid, Validity::PERPETUAL);
    assert_eq!((policy.overrides, policy.bidirectional), (false, false));
    assert_eq!(
        (policy.mode, policy.based_on),
        (Mode::Enforce, BasedOn::Envelope)
    );
}

#[test]
fn every_field_is_read() {
    let policy = policy(
        "valid_from = 2026-11-26 08:00:00+01:00\nvalid_until = \"2026-11-26T07:00:01Z\"\n\
         override = true\nbidirectional = true\nmode = \"monitor\"\nbased_on = \"both\"",
    );
    let moment = |seconds| Some(Moment::new(seconds));
    let valid = Validity::new(moment(1_795_676_400), moment(1_795_676_401));
    assert_eq!(Ok(policy.valid), valid);
    assert_eq!((policy.overrides, policy.bidirectional), (true, true));
    assert_eq!(
        (policy.mode, policy.based_on),
        (Mode::Monitor, BasedOn::Both)
    );
}

#[test]
fn faults_of_fields() {
    for (keys, expected) in [
        (
            "valid_from = 2026-01-01",
            "valid_from: 2026-01-01 is a day: write its time and offset from UTC too, such as 2026-01-01T00:00:00Z",
        ),
        (
            "valid_from = 2026-01-01T12:00:00",
            "valid_from: \"2026-01-01T12:00:00\" has no offset from UTC: write 2026-01-01T12:00:00Z, or such as 2026-01-01T12:00:00+02:00",
        ),
        (
            "valid_until = 12:00:00",
            "valid_until: \"12:00:00\" is not a time: write such as 2026-12-31T18:00:00+01:00",
        ),
        (
            "valid_until = \"next week\"",
            "valid_until: \"next week\" is not a time: write such as 2026-12-31T18:00:00+01:00",
        ),
        (
            "valid_until = 1893456000",
            "valid_until: found an integer, expected a time, such as 2026-12-31T18:00:00Z",
        ),
        (
            "valid_until = 2026-01-01T00:00:00Z\nvalid_from = 2026-01-01T01:00:00+01:00",
            "valid_until: 2026-01-01T00:00:00Z is not after 2026-01-01T00:00:00Z, from when on it is valid: it would never apply",
        ),
        (
            "valid_until = 2026-01-01T00:00:00Z\nvalid_from = 2027-01-01T00:00:00Z",
            "valid_until: 2026-01-01T00:00:00Z is not after 2027-01-01T00:00:00Z, from when on it is valid: it would never apply",
        ),
        (
            "mode = \"monitored\"",
            "mode: \"monitored\" is none of \"enforce\", \"monitor\"; did you mean \"monitor\"?",
        ),
        (
            "override = 1",
            "override: found an integer, expected true or false",
        ),
    ] {
        let text = format!("[[policy]]\nname = \"p\"\noption = \"default\"\n{keys}");
        let expected = format!("tenants/a.toml:5: policy[0].{expected}");
        assert_eq!(faults_of(&text), expected, "{keys}");
    }
}

#[test]
fn whom_a_tenant_exempts() {
    assert_eq!(sound("").tenants[0].exempt, Exempt::default());
    let config = sound("[exempt]\npostmaster = false\ntls_reports = [\"tls@A.example\"]");
    let exempt = &config.tenants[0].exempt;
    assert!(!exempt.postmaster);
    assert_eq!(
        exempt.tls_reports,
        ["tls@a.example".parse().expect("a mailbox")]
    );
}

#[test]
fn faults_of_exemptions() {
    for (address, expected) in [
        ("a", "\"a\" is not a mailbox: write local-part@domain"),
        (
            "tls@b.example",
            "tls@b.example is in none of the tenant's domains: name an address at which it receives mail here",
        ),
        (
            "tls@[192.0.2.1]",
            "tls@[192.0.2.1] is in none of the tenant's domains: name an address at which it receives mail here",
        ),
    ] {
        let text = format!("[exempt]\ntls_reports = [{address:?}]");
        let expected = format!("tenants/a.toml:3: exempt.tls_reports[0]: {expected}");
        assert_eq!(faults_of(&text), expected, "{address}");
    }
}

const GUIDE: &str = include_str!("../../../docs/policies.md");

/// The configuration in each example of the guide.
fn examples() -> impl Iterator<Item = &'static str> {
    let blocks = GUIDE.split("```toml\n").skip(1);
    blocks.map(|block| block.split("```").next().expect("a fence at the end"))
}

#[test]
fn the_examples_of_the_guide_are_sound() {
    let around = "[lists.partners]\nentries = [\"p.example\"]\n\
                  [[module]]\nname = \"partner-list\"\npath = \"m.wasm\"\n";
    assert!(examples().count() > 8);
    for example in examples() {
        let files = Files::new();
        let text = format!("domains = [\"acme.example\"]\n{around}{example}");
        files.write("tenants/acme.toml", text);
        // Of these bytes is the digest that is pinned there.
        files.write("tenants/m.wasm", "test");
        files
            .read()
            .unwrap_or_else(|faults| unreachable!("{faults}\n{example}"));
    }
}

/// The rows of the worked examples are what is selected.
#[test]
fn the_worked_examples_of_the_guide_are_true() {
    let example = examples().find(|example| example.starts_with("# acme"));
    let files = Files::new();
    let text = format!(
        "domains = [\"acme.example\"]\n{}",
        example.expect("the example")
    );
    files.write("tenants/acme.toml", text);
    let config = files.read().expect("no fault");
    let tenant = &config.tenants[0];
    let policies: Vec<Policy> = tenant
        .policies
        .iter()
        .map(|read| read.policy.clone())
        .collect();
    let rows = GUIDE
        .lines()
        .filter(|line| line.starts_with("| `") && line.contains('@'));
    let mut count = 0;
    for row in rows {
        let cells: Vec<&str> = row
            .split('|')
            .map(|cell| cell.trim().trim_matches('`'))
            .collect();
        let inquiry = Inquiry {
            now: Moment::new(1_800_000_000),
            stage: Stage::Recipient,
            direction: Direction::Inbound,
            sender: Some(cells[1].parse().expect("a sender")),
            header_from: Vec::new(),
            recipient: cells[2].parse().expect("a recipient"),
            client: cells[3].parse().expect("a client"),
        };
        let question = inquiry.of(&tenant.domains, &tenant.lists);
        let selected = select(&policies, &tenant.exempt, &question).in_force;
        let name = selected.map_or("none", |policy| policy.name.as_str());
        assert_eq!(name, cells[4], "{row}");
        count += 1;
    }
    assert_eq!(count, 10);
}
