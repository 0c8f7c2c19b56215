//! `portcullis demo`, which is what a newcomer sees first.

use portcullis_tests::program::{portcullis, stock_policy, workspace};
use portcullis_tests::tool;

#[test]
fn the_demo_ends_well_and_shows_every_kind_of_decision() {
    // What it builds is then fresh.
    stock_policy("partner-list");
    let root = workspace().display().to_string();
    let program = portcullis().display().to_string();
    let ran = tool::run("env", &["-C", &root, &program, "demo", "--exit"]).expect_code(0);
    for shown in [
        "250",
        "530 5.7.0",
        "550 5.7.1",
        "partner-list",
        "TLS 1.3",
        "clear",
    ] {
        assert!(
            ran.stdout.contains(shown),
            "{shown} is not in\n{}",
            ran.stdout
        );
    }
    assert!(ran.stdout.lines().count() > 10, "{}", ran.stdout);
}
