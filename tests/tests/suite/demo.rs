//! `portcullis demo`, which is what a newcomer sees first.

use portcullis_tests::program::{portcullis, stock_policy, workspace};
use portcullis_tests::tool;

/// What a row shows: the scene, the connection, the certificate, who decided, and what.
const ROWS: [[&str; 5]; 18] = [
    [
        "a stranger in clear",
        "clear",
        "-",
        "partners (",
        "opportunistic accepted",
    ],
    [
        "a partner in clear",
        "clear",
        "-",
        "partners (",
        "enforced refused",
    ],
    [
        "the partner over TLS",
        "TLS 1.3",
        "-",
        "partners (",
        "enforced accepted",
    ],
    [
        "the same, implicit TLS",
        "TLS 1.3",
        "-",
        "partners (",
        "enforced accepted",
    ],
    [
        "one partner, two tenants",
        "alice@acme.example",
        "clear",
        "partners (",
        "enforced refused",
    ],
    [
        "one partner, two tenants",
        "bob@globex.example",
        "clear",
        "no policy",
        "opportunistic accepted",
    ],
    [
        "certificate due, none shown",
        "TLS 1.3",
        "-",
        "partners (",
        "enforced refused",
    ],
    [
        "a self-signed one",
        "TLS 1.3",
        "self-signed",
        "partners (",
        "enforced refused",
    ],
    [
        "somebody else's",
        "TLS 1.3",
        "trusted",
        "partners (",
        "enforced refused",
    ],
    [
        "the partner's own",
        "TLS 1.3",
        "trusted",
        "partners (",
        "enforced accepted",
    ],
    [
        "one certificate, two tenants",
        "alice@acme.example",
        "trusted",
        "partners",
        "enforced accepted",
    ],
    [
        "one certificate, two tenants",
        "ceo@globex.example",
        "untrusted",
        "board",
        "enforced refused",
    ],
    [
        "a pinned key",
        "TLS 1.3",
        "self-signed",
        "payroll (",
        "enforced accepted",
    ],
    [
        "another key than pinned",
        "TLS 1.3",
        "trusted",
        "payroll (",
        "enforced refused",
    ],
    [
        "TLS 1.2 where 1.3 is due",
        "TLS 1.2",
        "-",
        "research (",
        "enforced refused",
    ],
    [
        "classical key exchange",
        "TLS 1.3 x25519",
        "-",
        "research (",
        "enforced refused",
    ],
    [
        "post-quantum key exchange",
        "X25519MLKEM768",
        "-",
        "research (",
        "enforced accepted",
    ],
    [
        "nobody's recipient",
        "TLS 1.3",
        "-",
        "the host",
        "relaying refused",
    ],
];

#[test]
fn the_demo_ends_well_and_its_table_has_every_row() {
    // What it builds is then fresh.
    stock_policy("partner-list");
    let root = workspace().display().to_string();
    let program = portcullis().display().to_string();
    let ran = tool::run("env", &["-C", &root, &program, "demo", "--exit"]).expect_code(0);
    let rows = rows(&ran.stdout);
    let mut rows = rows.iter();
    for expected in ROWS {
        let row = rows.next().map_or("", String::as_str);
        assert!(
            row.starts_with(expected[0]),
            "{row:?} is not {expected:?}\n{}",
            ran.stdout
        );
        for part in expected {
            assert!(row.contains(part), "{part:?} is not in {row:?}");
        }
    }
    assert_eq!(
        rows.find(|row| row.contains('@')),
        None,
        "a row that is not expected"
    );
    assert!(
        ran.stdout.contains("18 recipients decided, 10 refused"),
        "{}",
        ran.stdout
    );
}

/// The table's rows, each with the lines below it that say who wrote to whom and why.
fn rows(stdout: &str) -> Vec<String> {
    let mut rows: Vec<String> = Vec::new();
    for line in stdout.lines().skip(1) {
        match rows.last_mut() {
            Some(row) if line.starts_with(' ') => row.push_str(line),
            _ => rows.push(line.to_owned()),
        }
    }
    rows
}
