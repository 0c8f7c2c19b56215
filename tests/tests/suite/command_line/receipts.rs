//! Receipts and explanations of a host that is asked over its API.

use portcullis_tests::api::refusal;

use super::{ACME, as_owner, json, site, token, with_token};

#[test]
fn receipts_are_found_and_explained_on_another_machine() {
    let host = site().start();
    let id = refusal(&host, "board@acme.example");
    refusal(&host, "ben@elsewhere.example");
    let viewer = token(&host, "viewer");
    let operator = token(&host, "operator");
    let ask = |arguments: &[&str]| with_token(&host, &viewer, arguments);
    // As on this machine, but for the order of what the policy was.
    let one = ask(&["receipts", &id]).expect_code(0).stdout;
    let here = as_owner(&host, &["receipts", &id]).expect_code(0).stdout;
    let until = |text: &str| text.split("as it was").next().map(str::to_owned);
    assert_eq!(until(&one), until(&here));
    assert!(one.contains("as it was    {"), "{one}");
    assert!(one.contains("policy       board ("), "{one}");
    let verdict = ask(&["receipts", &id, "--json"]).expect_code(0);
    assert_eq!(json(&verdict)[0]["verdict"]["policy"]["name"], "board");
    // A tenant sees its own, an operator all, oldest first.
    let own = ask(&["receipts"]).expect_code(0).stdout;
    assert!(own.lines().count() == 1 && own.contains(&id), "{own}");
    let all = with_token(&host, &operator, &["receipts"])
        .expect_code(0)
        .stdout;
    assert_eq!(all, as_owner(&host, &["receipts"]).expect_code(0).stdout);
    assert_eq!(all.lines().count(), 2, "{all}");
    for (arguments, found) in [
        (vec!["--sender", "amy@sender.example"], 1),
        (vec!["--sender", "<>"], 0),
        (
            vec!["--recipient", "acme.example", "--client", "127.0.0.1"],
            1,
        ),
        (vec!["--recipient", "bank.example"], 0),
        (
            vec!["--policy", "board", "--refused", "--since", "2026-01-01"],
            1,
        ),
        (vec!["--accepted"], 0),
        (vec!["--until", "2026-01-01T00:00:00Z"], 0),
        (vec!["--since", "1h"], 1),
        (vec!["--until", "1h"], 0),
        (vec!["--tenant", "acme", "--last", "5"], 1),
    ] {
        let ran = ask(&[&["receipts", "--json"], &arguments[..]].concat()).expect_code(0);
        assert_eq!(json(&ran).len(), found, "{arguments:?}: {}", ran.stdout);
    }
    let last = with_token(&host, &operator, &["receipts", "--last", "1"])
        .expect_code(0)
        .stdout;
    assert_eq!(all.lines().nth(1), last.lines().next());
    ask(&["receipts", "--tenant", "bank"]).expect_code(4);
    ask(&["receipts", "01KJM3AAAAAAAAAAAAAAAAAAAA"]).expect_code(4);

    let explained = ask(&["explain", &id]).expect_code(0).stdout;
    assert!(
        explained.contains(&format!("receipt      {id}\n")),
        "{explained}"
    );
    let shorter = ACME.replace(
        "to = \"board@acme.example\"\noption = \"enforced\"",
        "option = \"default\"",
    );
    host.write("tenants/acme.toml", shorter);
    as_owner(&host, &["reload"]).expect_code(0);
    let explained = ask(&["explain", &id]).expect_code(3).stdout;
    assert!(
        explained.contains("changed      board applied as it was then"),
        "{explained}"
    );
    let here = as_owner(&host, &["explain", &id]).expect_code(3).stdout;
    assert_eq!(explained, here);
    host.stop();
}
