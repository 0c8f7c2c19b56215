//! `portcullis demo`, which is what a newcomer sees first.

use portcullis_tests::program::{portcullis, stock_policy, workspace};
use portcullis_tests::tool;

/// What a row shows: the scene, the connection, the certificate, who decided, and what.
const ROWS: [[&str; 5]; 18] = [
    [
        "a stranger in clear",
        "clear",
        "-",
        "partners (module",
        "opportunistic accepted",
    ],
    [
        "a partner in clear",
        "clear",
        "-",
        "partners (module",
        "enforced refused",
    ],
    [
        "the partner over TLS",
        "TLS 1.3",
        "-",
        "partners (module",
        "enforced accepted",
    ],
    [
        "the same, implicit TLS",
        "TLS 1.3",
        "-",
        "partners (module",
        "enforced accepted",
    ],
    [
        "one partner, two tenants",
        "alice@acme.example",
        "clear",
        "partners (module",
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
        "partners (module",
        "enforced refused",
    ],
    [
        "a self-signed one",
        "TLS 1.3",
        "self-signed",
        "partners (module",
        "enforced refused",
    ],
    [
        "somebody else's",
        "TLS 1.3",
        "trusted",
        "partners (module",
        "enforced refused",
    ],
    [
        "the partner's own",
        "TLS 1.3",
        "trusted",
        "partners (module",
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
        "payroll (module",
        "enforced accepted",
    ],
    [
        "another key than pinned",
        "TLS 1.3",
        "trusted",
        "payroll (module",
        "enforced refused",
    ],
    [
        "TLS 1.2 where 1.3 is due",
        "TLS 1.2",
        "-",
        "research (module",
        "enforced refused",
    ],
    [
        "classical key exchange",
        "TLS 1.3 x25519",
        "-",
        "research (module",
        "enforced refused",
    ],
    [
        "post-quantum key exchange",
        "X25519MLKEM768",
        "-",
        "research (module",
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
    let mut rows = ran
        .stdout
        .lines()
        .skip(1)
        .filter(|line| !line.starts_with(' '));
    for expected in ROWS {
        let row = rows.next().unwrap_or_default();
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
