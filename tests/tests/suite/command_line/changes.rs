//! Tenants, policies, lists, modules and tokens, changed from the command line.

use std::fs;

use portcullis_tests::api::ADDRESS;
use portcullis_tests::program::{portcullis, stock_policy};
use portcullis_tests::site::{Host, Site};
use portcullis_tests::tool::{self, Ran};
use serde_json::Value;

use super::{as_owner, json, run, site, token, url, with_token};

/// A host whose store has the last word, and a directory for what is sent to it.
pub(super) fn managed() -> Host {
    Site::without_files().settings(ADDRESS).start()
}

/// What a change says, without how long it took.
fn changed(ran: Ran) -> String {
    let said = ran.expect_code(0).stdout;
    let (lines, took) = said
        .rsplit_once(", in force after ")
        .expect("it is in force");
    assert!(took.trim_end().ends_with(" ms"), "{said}");
    lines.to_owned()
}

#[test]
fn tenants_policies_and_lists_are_changed() {
    let host = managed();
    let file = |name: &str, text: &str| {
        host.write(name, text);
        host.site().path(name).display().to_string()
    };
    let owner = |arguments: &[&str]| as_owner(&host, arguments);
    let tenant = "domains = [\"acme.example\"]\n[own]\ncontact = \"call us\"\n";
    let tenant = file("acme.toml", tenant);
    let set = ["tenant", "set", "acme", &tenant];
    let tried = owner(&[&set[..], &["--dry-run"]].concat())
        .expect_code(0)
        .stdout;
    assert_eq!(
        tried,
        "+ tenant acme\n1 change; nothing was changed, as asked\n"
    );
    owner(&["tenant", "show", "acme"]).expect_code(4);
    assert_eq!(changed(owner(&set)), "+ tenant acme\n1 change");
    assert_eq!(changed(owner(&set)), "0 changes");

    let admin = token(&host, "admin");
    let ask = |arguments: &[&str]| with_token(&host, &admin, arguments);
    let own = file("own.json", "{\"contact\": \"write to us\"}");
    let said = changed(ask(&["tenant", "set", "acme", &own, "--own"]));
    assert_eq!(
        said,
        "~ tenant acme: contact: \"call us\" → \"write to us\"\n1 change"
    );
    // What is shown of it can be sent back, of which only its own is written.
    for arguments in [
        &["tenant", "show", "acme"][..],
        &["tenant", "show", "acme", "--json"],
    ] {
        let shown = ask(arguments)
            .expect_code(0)
            .stdout
            .replace("write to us", "write soon");
        let whole = file("whole.toml", &shown);
        let tried = ask(&["tenant", "set", "acme", &whole, "--own", "--dry-run"]);
        let tried = tried.expect_code(0).stdout;
        assert_eq!(
            tried,
            "~ tenant acme: contact: \"write to us\" → \"write soon\"\n1 change; nothing was changed, as asked\n"
        );
    }
    ask(&set).expect_code(1);

    let list = file("partners.list", "# partners\na.example\nb.example => two\n");
    let said = changed(ask(&["list", "set", "partners", &list]));
    assert_eq!(
        said,
        "+ tenant acme: list partners: 2 entries new or changed, 0 removed\n1 change"
    );
    let said = changed(ask(&[
        "list",
        "add",
        "partners",
        "c.example",
        "a.example=one",
    ]));
    let counted = "~ tenant acme: list partners: 2 entries new or changed, 0 removed\n1 change";
    assert_eq!(said, counted);
    changed(ask(&["list", "drop", "partners", "b.example"]));
    let entries = ask(&["list", "entries", "partners"]).expect_code(0).stdout;
    let (head, rest) = entries.split_once('\n').expect("a first line");
    assert!(
        head.starts_with("# list partners of tenant acme, revision "),
        "{head}"
    );
    assert_eq!(rest, "a.example => one\nc.example\n");
    let first = ask(&["list", "entries", "partners", "--limit", "1"]);
    assert_eq!(
        first.expect_code(0).stdout,
        "a.example => one\n",
        "no whole list"
    );

    let policy = file(
        "p.toml",
        "from = \"list:partners\"\noption = \"enforced\"\n",
    );
    let set = ["policy", "set", "partners", &policy];
    assert_eq!(
        changed(ask(&set)),
        "+ tenant acme: policy partners\n1 change"
    );
    let shown = ask(&["policy", "show", "partners"]).expect_code(0).stdout;
    assert!(
        shown.starts_with("# policy partners of tenant acme, revision "),
        "{shown}"
    );
    // The file may have the name, as for a replay, if it is this one.
    let named = file(
        "named.toml",
        "name = \"partners\"\nfrom = \"list:partners\"\noption = \"enforced\"\n",
    );
    let set_named = |name: &str| ask(&["policy", "set", name, &named]);
    assert_eq!(changed(set_named("partners")), "0 changes");
    let other = set_named("others").expect_code(1).stderr;
    assert!(
        other.contains("has the name \"partners\", and this is about others"),
        "{other}"
    );
    // What is shown can be set, from standard input too.
    let edited = shown.replace("enforced", "opportunistic");
    let program = portcullis().display().to_string();
    let config = host.site().path("portcullis.toml").display().to_string();
    let words = [
        &program, "policy", "set", "partners", "-", "--config", &config, "--json",
    ];
    let ran = tool::run_with_input("env", &words, edited.as_bytes()).expect_code(0);
    let line = "~ tenant acme: policy partners: option \"enforced\" → \"opportunistic\"";
    assert_eq!(json(&ran)[0]["changes"][0], line);
    let explain = "explain --tenant acme --from x@a.example --to y@acme.example --client ::1";
    let words: Vec<&str> = explain.split(' ').collect();
    let explained = ask(&words).expect_code(0).stdout;
    assert!(
        explained.contains("applies      partners: opportunistic\n"),
        "{explained}"
    );

    // Somebody else was first.
    for stale in [
        [&set[..], &["--if-match", "1"]].concat(),
        vec!["policy", "remove", "partners", "--if-match", "1"],
        vec!["list", "add", "partners", "x.example", "--if-match", "1"],
        vec!["policy", "set", "none", &policy, "--if-match", "1"],
    ] {
        let refused = ask(&stale).expect_code(5).stderr;
        assert!(refused.starts_with("portcullis: "), "{stale:?}: {refused}");
    }
    let shown = ask(&["policy", "show", "partners"]).expect_code(0).stdout;
    let (_, revision) = shown
        .lines()
        .next()
        .and_then(|line| line.rsplit_once(' '))
        .expect("the first line has it");
    changed(ask(&[&set[..], &["--if-match", revision]].concat()));

    // What is wrong with it is said, all of it, and nothing is changed.
    let wrong = file("wrong.toml", "form = \"everyone\"\noption = \"enforce\"\n");
    let refused = ask(&["policy", "set", "partners", &wrong])
        .expect_code(1)
        .stderr;
    assert!(
        refused.contains("form: ") && refused.contains("option: "),
        "{refused}"
    );
    let wrong = file("wrong.toml", "option = \n");
    let refused = ask(&["policy", "set", "partners", &wrong])
        .expect_code(1)
        .stderr;
    assert!(
        refused.contains("wrong.toml: ") && refused.contains("line 1, column"),
        "{refused}"
    );
    let refused = ask(&["list", "remove", "partners"]).expect_code(1).stderr;
    assert_eq!(
        refused.lines().count(),
        1,
        "a fault is said once: {refused}"
    );
    assert!(refused.contains("partners"), "{refused}");
    let refused = ask(&["policy", "set", "partners", "/nowhere/p.toml"])
        .expect_code(1)
        .stderr;
    assert!(
        refused.contains("cannot read /nowhere/p.toml: "),
        "{refused}"
    );

    assert_eq!(
        changed(ask(&["policy", "remove", "partners"])),
        "- tenant acme: policy partners\n1 change"
    );
    changed(ask(&["list", "remove", "partners"]));
    ask(&["list", "remove", "partners"]).expect_code(4);
    ask(&["tenant", "remove", "acme"]).expect_code(1);
    assert_eq!(
        changed(owner(&["tenant", "remove", "acme"])),
        "- tenant acme\n1 change"
    );
    owner(&["tenant", "remove", "acme"]).expect_code(4);
    host.stop();
}

#[test]
fn modules_are_pushed_chosen_and_rolled_back() {
    let host = managed();
    host.write("acme.toml", "domains = [\"acme.example\"]\n");
    host.write("A b.wasm", "no module");
    let path = |name: &str| host.site().path(name).display().to_string();
    as_owner(&host, &["tenant", "set", "acme", &path("acme.toml")]).expect_code(0);
    let author = token(&host, "author");
    let ask = |arguments: &[&str]| with_token(&host, &author, arguments);
    let first = stock_policy("partner-list").display().to_string();
    let second = stock_policy("modern-tls").display().to_string();
    let pushed = ask(&["module", "push", &first]).expect_code(0).stdout;
    let ready = "revision 1 of partner-list is ready: portcullis module activate partner-list 1\n";
    assert_eq!(pushed, ready);
    let activated = changed(ask(&["module", "activate", "partner-list", "1"]));
    assert!(activated.contains("module partner-list"), "{activated}");
    // The same bytes are the same revision.
    let again = ask(&["module", "push", &first]).expect_code(0).stdout;
    assert!(
        again.contains("has these bytes already, and is ready: "),
        "{again}"
    );
    let again = ask(&["module", "push", &first, "--json"]).expect_code(0);
    let again = &json(&again)[0];
    assert_eq!(
        (&again["number"], &again["state"]),
        (&Value::from(1), &Value::from("ready"))
    );
    let push = [
        "module",
        "push",
        &second,
        "--name",
        "partner-list",
        "--activate",
    ];
    let activated = changed(ask(&push));
    assert!(activated.ends_with("\n1 change"), "{activated}");
    let shown = || {
        ask(&["module", "show", "partner-list"])
            .expect_code(0)
            .stdout
    };
    let lines = |shown: String| -> Vec<String> {
        let start = |line: &str| {
            line.split_whitespace()
                .take(2)
                .collect::<Vec<_>>()
                .join(" ")
        };
        shown.lines().map(start).collect()
    };
    assert_eq!(lines(shown()), ["revision state", "2 active", "1 ready"]);
    changed(ask(&["module", "rollback", "partner-list"]));
    assert_eq!(lines(shown()), ["revision state", "2 ready", "1 active"]);
    let listed = ask(&["module", "list"]).expect_code(0).stdout;
    let row: Vec<&str> = listed
        .lines()
        .nth(1)
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    assert_eq!((row[0], row[2]), ("partner-list", "1"), "{listed}");

    // A refusal is for the author to read.
    let broken = ["module", "push", &path("A b.wasm"), "--name", "broken"];
    let refused = ask(&broken).expect_code(1).stderr;
    assert!(
        refused.starts_with("portcullis: revision 1 of broken is refused: "),
        "{refused}"
    );
    let unnamed = ask(&["module", "push", &path("A b.wasm")])
        .expect_code(1)
        .stderr;
    assert!(unnamed.contains("say it with --name"), "{unnamed}");
    let refused = ask(&["module", "activate", "broken", "1"])
        .expect_code(1)
        .stderr;
    assert!(
        refused.contains("is not ready: it was refused"),
        "{refused}"
    );
    ask(&["module", "activate", "partner-list", "7"]).expect_code(4);
    ask(&["module", "activate", "partner-list", "2", "--if-match", "1"]).expect_code(5);
    let viewer = token(&host, "viewer");
    let refused = with_token(&host, &viewer, &["module", "push", &first])
        .expect_code(1)
        .stderr;
    assert!(refused.contains("this is for authors"), "{refused}");
    changed(ask(&["module", "remove", "broken"]));
    changed(ask(&["module", "remove", "partner-list"]));
    ask(&["module", "show", "partner-list"]).expect_code(4);
    host.stop();
}

#[test]
fn tokens_are_made_and_revoked() {
    let host = site().start();
    let admin = token(&host, "admin");
    let made = [
        "token",
        "create",
        "script",
        "--role",
        "viewer",
        "--expires",
        "2100-01-01T00:00:00Z",
        "--json",
    ];
    let made = with_token(&host, &admin, &made).expect_code(0);
    let made = &json(&made)[0];
    let (id, text) = (
        made["id"].as_str().expect("an id"),
        made["token"].as_str().expect("a text"),
    );
    let file = host.site().path("token");
    fs::write(&file, format!("{text}\n")).expect("written");
    let file = file.display().to_string();
    let ask = [
        "tenant",
        "list",
        "--url",
        &url(&host),
        "--token-file",
        &file,
    ];
    run(&[], &ask).expect_code(0);
    let listed = with_token(&host, &admin, &["token", "list"])
        .expect_code(0)
        .stdout;
    assert!(
        listed.contains(id) && listed.contains("2100-01-01T00:00:00Z"),
        "{listed}"
    );
    assert!(!listed.contains(text), "{listed}");
    with_token(&host, &admin, &["token", "revoke", id]).expect_code(0);
    let refused = run(&[], &ask).expect_code(1).stderr;
    assert!(
        refused.starts_with("portcullis: this token is not known here"),
        "{refused}"
    );
    // More than it may do itself.
    let more = ["token", "create", "all", "--role", "operator"];
    let refused = with_token(&host, &admin, &more).expect_code(1).stderr;
    assert!(refused.contains("makes none of an operator"), "{refused}");
    host.stop();
}

type Words = &'static [&'static str];

/// Two who both look, edit and set: the second is told, whatever it is that they set.
#[test]
fn what_was_shown_is_set_only_where_it_is_still_so() {
    let host = managed();
    let ask = |arguments: &[&str]| as_owner(&host, &[arguments, &["--tenant", "acme"]].concat());
    let tenant = |arguments: &[&str]| as_owner(&host, arguments);
    let file = |name: &str, text: &str| {
        host.write(name, text);
        host.site().path(name).display().to_string()
    };
    let acme = file("acme.toml", "domains = [\"acme.example\"]\n");
    tenant(&["tenant", "set", "acme", &acme]).expect_code(0);
    let policy = file("p.toml", "option = \"enforced\"\n");
    let list = file("l.list", "a.example\n");
    ask(&["policy", "set", "all", &policy]).expect_code(0);
    ask(&["list", "set", "partners", &list]).expect_code(0);
    let (plain, json): (Words, Words) = (&[], &["--json"]);
    let policy_set: Words = &["policy", "set", "all"];
    let tenant_set: Words = &["tenant", "set", "acme"];
    let rows: [(Words, Words, Words, [&str; 2]); 5] = [
        (
            &["policy", "show", "all"],
            plain,
            policy_set,
            ["enforced", "default"],
        ),
        (
            &["policy", "show", "all"],
            json,
            policy_set,
            ["default", "enforced"],
        ),
        (
            &["list", "entries", "partners"],
            plain,
            &["list", "set", "partners"],
            ["a.ex", "b.ex"],
        ),
        (
            &["tenant", "show", "acme"],
            plain,
            tenant_set,
            ["acme.e", "new.e"],
        ),
        (
            &["tenant", "show", "acme"],
            json,
            tenant_set,
            ["new.e", "newer.e"],
        ),
    ];
    for (show, how, set, [from, to]) in rows {
        let run = |arguments: &[&str]| match arguments[0] {
            "tenant" => tenant(arguments),
            _ => ask(arguments),
        };
        let shown = run(&[show, how].concat()).expect_code(0).stdout;
        let edited = file("edited", &shown.replace(from, to));
        let other = file(
            "other",
            &format!("{}\n", shown.replace(from, "x.e").trim_end()),
        );
        changed(run(&[set, &[edited.as_str()]].concat()));
        let refused = run(&[set, &[other.as_str()]].concat())
            .expect_code(5)
            .stderr;
        assert!(
            refused.contains("other has revision ") && refused.contains("--if-match"),
            "{set:?}: {refused}"
        );
        let now = run(&[show, how].concat()).expect_code(0).stdout;
        assert!(now.contains(to) && !now.contains("x.e"), "{set:?}: {now}");
    }
    // Under another name it says nothing of a revision.
    let shown = ask(&["policy", "show", "all"]).expect_code(0).stdout;
    let shown = file("shown.toml", &shown.replace("name = \"all\"\n", ""));
    ask(&["policy", "set", "all", &shown, "--if-match", "1"]).expect_code(5);
    changed(ask(&["policy", "set", "copy", &shown]));
    host.stop();
}
