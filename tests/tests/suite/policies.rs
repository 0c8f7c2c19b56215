//! The policy model on the real host: dates, override, monitor mode, exemptions, and
//! `portcullis explain` about what was decided.

use portcullis_tests::client::Client;
use portcullis_tests::program::portcullis;
use portcullis_tests::site::{Host, Site};
use portcullis_tests::tool;
use serde_json::Value;

use crate::engine::guest::breaks_down_with_settings;
use crate::metrics::scrape;

const SENDER: &str = "amy@bank.example";

/// A tenant with these tables.
fn acme(tables: &str) -> Site {
    Site::new().tenant("acme", &format!("domains = [\"acme.example\"]\n{tables}"))
}

/// What each of these recipients is told, in clear, in one transaction.
fn told(host: &Host, recipients: &[&str]) -> Vec<String> {
    let mut client = Client::connect(host.address("smtp"));
    client.ehlo();
    client.expect(&format!("MAIL FROM:<{SENDER}>"), "250");
    let replies = recipients
        .iter()
        .map(|recipient| client.say(&format!("RCPT TO:<{recipient}>")))
        .collect();
    client.quit();
    replies
}

/// The id of the receipt at the end of a refusal.
fn id(reply: &str) -> &str {
    let (_, id) = reply.rsplit_once('[').expect("a refusal names its receipt");
    id.trim_end().trim_end_matches(']')
}

fn explain(site: &Site, arguments: &[&str]) -> tool::Ran {
    let config = site.write().display().to_string();
    let mut all = vec!["explain", "--config", &config];
    all.extend(arguments);
    tool::run(&portcullis().display().to_string(), &all)
}

fn json(ran: &tool::Ran) -> Value {
    serde_json::from_str(&ran.stdout).expect("an object of JSON")
}

/// Of three policies each of which would refuse, one is over and one has not begun; the
/// one that overrides goes before the one for the very address.
#[test]
fn dates_and_override() {
    let dated = |name: &str, dates: &str| {
        format!(
            "[[policy]]\nname = \"{name}\"\nto = \"ann@acme.example\"\noption = \"enforced\"\n{dates}\n"
        )
    };
    let host = acme(
        &[
            dated("over", "valid_until = 2026-01-01T00:00:00Z"),
            dated("later", "valid_from = 2999-01-01T00:00:00+01:00"),
            dated("address", "from = \"amy@bank.example\"").replace("ann@", "ben@"),
            "[[policy]]\nname = \"broad\"\noption = \"opportunistic\"\noverride = true\n\
             valid_from = 2020-01-01T00:00:00Z\nsources = [\"127.0.0.0/8\"]\n\
             to = \"ben@acme.example\"\n"
                .to_owned(),
        ]
        .concat(),
    )
    .start();
    let replies = told(&host, &["ann@acme.example", "ben@acme.example"]);
    assert!(
        replies.iter().all(|reply| reply.starts_with("250")),
        "{replies:?}"
    );
    let site = host.stop().site;
    assert!(site.receipt("ann@acme.example")["verdict"]["policy"].is_null());
    let receipt = site.receipt("ben@acme.example");
    assert_eq!(receipt["verdict"]["policy"]["name"], "broad");
}

/// A policy in monitor mode is decided and recorded; reply, decision and counts are
/// those of the one in force.
#[test]
fn a_monitored_policy_changes_nothing() {
    let host = acme(
        "[[policy]]\nname = \"all\"\noption = \"opportunistic\"\n\
         [[policy]]\nname = \"trial\"\nfrom = \"bank.example\"\nmode = \"monitor\"\n\
         option = \"enforced\"\ncontact = \"ask the bank\"\n",
    )
    .settings("[metrics]\naddress = \"127.0.0.1:0\"")
    .start();
    assert!(told(&host, &["ann@acme.example"])[0].starts_with("250 2.1.5 Recipient ok"));
    let counts = scrape(&host);
    let count = |name: &str| counts.get(name).copied();
    assert_eq!(
        count(
            "monitored_decisions_total{tenant=acme,policy=trial,direction=inbound,stage=recipient,decision=enforced,verdict=refused,cause=plaintext,in_force=accepted}"
        ),
        Some(1.0)
    );
    let decided: f64 = counts
        .iter()
        .filter(|(name, _)| name.starts_with("decisions_total"))
        .map(|(_, count)| count)
        .sum();
    assert_eq!(decided, 1.0, "{counts:#?}");
    let site = host.stop().site;
    let verdict = &site.receipt("ann@acme.example")["verdict"];
    assert_eq!(verdict["verdict"], "accepted");
    assert_eq!(verdict["policy"]["name"], "all");
    let monitored = &verdict["monitored"];
    assert_eq!(monitored["policy"]["name"], "trial");
    assert_eq!(monitored["decision"], serde_json::json!({"enforced": []}));
    assert_eq!(monitored["reason"], "the policy is a constant");
    assert_eq!(monitored["verdict"]["refused"], "plaintext");
    let id = verdict["id"].as_str().expect("a receipt has an id");
    let reply = format!("530 5.7.0 Must issue a STARTTLS command first / ask the bank [{id}]");
    assert_eq!(monitored["reply"], reply.as_str());
    let data = site.path("data").display().to_string();
    let program = portcullis().display().to_string();
    let shown = |more: &[&str]| {
        let arguments = [&["receipts", "--data-dir", &data], more].concat();
        tool::run(&program, &arguments).expect_code(0).stdout
    };
    assert!(shown(&[]).contains("(all; trial monitored: enforced refused)"));
    let one = shown(&[id]);
    assert!(one.contains("\nmonitored    trial ("), "{one}");
    assert!(
        one.contains("\nwould be     enforced refused: the policy is a constant\n"),
        "{one}"
    );
}

/// More failures than a quarantine takes, of the very module that is asked in force: the
/// decision in force does not notice.
#[test]
fn a_monitored_module_that_breaks_down_costs_the_one_in_force_nothing() {
    let host = acme(
        "[[module]]\nname = \"guest\"\npath = \"../guest.wasm\"\n\
         [[policy]]\nname = \"calm\"\noption = \"module\"\nmodule = \"guest\"\n\
         [[policy]]\nname = \"wild\"\nfrom = \"external\"\nmode = \"monitor\"\n\
         option = \"module\"\nmodule = \"guest\"\nsettings = { wild = true }\n",
    )
    .file("guest.wasm", breaks_down_with_settings())
    .start();
    let recipients: Vec<String> = (0..12).map(|n| format!("user{n}@acme.example")).collect();
    let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
    let replies = told(&host, &recipients);
    assert!(
        replies.iter().all(|reply| reply.starts_with("250")),
        "{replies:?}"
    );
    let site = host.stop().site;
    let receipts = site.receipts();
    assert_eq!(receipts.len(), recipients.len());
    let code = |receipt: &Value| {
        let verdict = &receipt["verdict"];
        assert!(verdict["failure"].is_null(), "{verdict:#}");
        assert_eq!(verdict["policy"]["name"], "calm");
        assert_eq!(verdict["monitored"]["verdict"]["refused"], "policy-failed");
        verdict["monitored"]["failure"]["code"].clone()
    };
    assert_eq!(code(&receipts[0]), "trap");
    assert_eq!(
        code(&receipts[11]),
        "quarantined",
        "it is not asked again and again"
    );
}

#[test]
fn the_exempt_are_not_asked_about() {
    let enforced = "[[policy]]\nname = \"all\"\noption = \"enforced\"\n";
    let reports = "[exempt]\ntls_reports = [\"tls@acme.example\"]\n";
    for (exempt, recipients) in [
        ("", [("postmaster", true), ("tls", false)]),
        (reports, [("postmaster", true), ("tls", true)]),
        (
            "[exempt]\npostmaster = false\n",
            [("postmaster", false), ("tls", false)],
        ),
    ] {
        let host = acme(&format!("{exempt}{enforced}")).start();
        let names = recipients.map(|(name, _)| format!("{name}@acme.example"));
        let replies = told(&host, &names.each_ref().map(String::as_str));
        let site = host.stop().site;
        for (((_, is_exempt), name), reply) in recipients.iter().zip(&names).zip(&replies) {
            assert_eq!(
                reply.starts_with("250"),
                *is_exempt,
                "{exempt} {name}: {reply}"
            );
            let verdict = &site.receipt(name)["verdict"];
            assert_eq!(verdict["policy"].is_null(), *is_exempt);
            let reason = verdict["reason"].as_str().unwrap_or_default();
            assert_eq!(reason.ends_with("is exempt"), *is_exempt, "{reason}");
        }
    }
}

const TWO_POLICIES: &str = "[lists.banks]\nentries = [\"bank.example\"]\n\
    [[policy]]\nname = \"all\"\noption = \"opportunistic\"\n\
    [[policy]]\nname = \"bank\"\nfrom = \"list:banks\"\noption = \"enforced\"\n\
    [[policy]]\nname = \"over\"\nfrom = \"list:banks\"\noption = \"opportunistic\"\n\
    valid_until = 2026-01-01T00:00:00Z\n";

#[test]
fn a_receipt_is_explained_and_what_has_changed_is_said() {
    let host = acme(TWO_POLICIES).start();
    let replies = told(&host, &["ann@acme.example", "x@elsewhere.example"]);
    let (refused, relayed) = (id(&replies[0]).to_owned(), id(&replies[1]).to_owned());
    let site = host.stop().site;

    let shown = explain(&site, &[&refused]).expect_code(0).stdout;
    for line in [
        "1      bank    enforce  no        list:banks  everyone  any     applies",
        "2      all     enforce  no        everyone    everyone  any     others go before it",
        "-      over    enforce  -         list:banks  everyone  -       it expired at 2026-01-01T00:00:00Z",
        "applies      bank: enforced",
    ] {
        assert!(
            shown.lines().any(|found| found == line),
            "{line}\nin\n{shown}"
        );
    }
    let report = json(&explain(&site, &[&refused, "--json"]).expect_code(0));
    assert_eq!(report["receipt"], refused.as_str());
    assert_eq!(report["question"]["sender"], SENDER);
    assert_eq!(report["explanation"]["in_force"], "bank");
    assert_eq!(report["changes"], serde_json::json!([]));

    let relayed = explain(&site, &[&relayed]).expect_code(1).stderr;
    assert!(
        relayed.contains("no tenant has the domain of x@elsewhere.example"),
        "{relayed}"
    );
    let missing = explain(&site, &["01JD0000000000000000000000"])
        .expect_code(1)
        .stderr;
    assert!(
        missing.contains("no receipt 01JD0000000000000000000000 in"),
        "{missing}"
    );

    for (change, said) in [
        (
            TWO_POLICIES.replace("\"enforced\"", "\"enforced\"\nrequire = { tls = \"1.3\" }"),
            "bank applied as it was then (",
        ),
        (
            TWO_POLICIES.replace("\"bank\"", "\"banks\""),
            "then bank applied, which is gone, now banks",
        ),
        (
            TWO_POLICIES.replace("[\"bank", "[\"other.example\", \"bank"),
            "the list banks has been changed since",
        ),
        (
            TWO_POLICIES.replace(
                "\"opportunistic\"\n[[policy]]\nname = \"bank\"",
                "\"opportunistic\"\noverride = true\n[[policy]]\nname = \"bank\"",
            ),
            "then bank applied, now all",
        ),
    ] {
        let text = format!("domains = [\"acme.example\"]\n{change}");
        std::fs::write(site.path("tenants/acme.toml"), text).expect("written");
        let shown = explain(&site, &[&refused]).expect_code(3).stdout;
        let line = format!("changed      {said}");
        assert!(
            shown.lines().any(|found| found.starts_with(&line)),
            "{line}\nin\n{shown}"
        );
    }
}

#[test]
fn facts_are_explained_without_mail() {
    let site = acme(&format!(
        "{TWO_POLICIES}[[policy]]\nname = \"header\"\nbased_on = \"header\"\n\
         from = \"news@agency.example\"\noption = \"opportunistic\"\nmode = \"monitor\"\n"
    ));
    let ask = |more: &[&str]| {
        let facts = [
            "--tenant",
            "acme",
            "--to",
            "ann@acme.example",
            "--client",
            "192.0.2.1",
        ];
        explain(&site, &[&facts[..], more].concat())
    };
    for (more, in_force, monitored) in [
        (&["--from", SENDER][..], Some("bank"), None),
        (&["--from", "<>"], Some("all"), None),
        // It is later in the file than the other.
        (
            &["--from", SENDER, "--at", "2025-12-31T23:59:59Z"],
            Some("over"),
            None,
        ),
        (
            &["--from", SENDER, "--at", "2026-01-01T00:00:00Z"],
            Some("bank"),
            None,
        ),
        (&["--from", SENDER, "--direction", "outbound"], None, None),
        (
            &["--from", SENDER, "--header-from", "news@agency.example"],
            Some("bank"),
            Some("header"),
        ),
        (
            &["--from", SENDER, "--header-from", "<>"],
            Some("bank"),
            None,
        ),
    ] {
        let ran = ask(&[more, &["--json"]].concat()).expect_code(0);
        let explanation = &json(&ran)["explanation"];
        let name = |name: Option<&str>| name.map_or(Value::Null, Value::from);
        assert_eq!(explanation["in_force"], name(in_force), "{more:?}");
        assert_eq!(explanation["monitored"], name(monitored), "{more:?}");
    }
    let exempt = explain(
        &site,
        &[
            "--tenant",
            "acme",
            "--from",
            SENDER,
            "--to",
            "postmaster@acme.example",
            "--client",
            "::1",
        ],
    );
    let shown = exempt.expect_code(0).stdout;
    assert!(
        shown.contains("applies      no policy: the postmaster is exempt\n"),
        "{shown}"
    );
}

#[test]
fn what_cannot_be_explained_is_refused() {
    let site = acme(TWO_POLICIES);
    let facts = [
        "--from",
        SENDER,
        "--to",
        "ann@acme.example",
        "--client",
        "192.0.2.1",
    ];
    for (arguments, code, said) in [
        (vec![], 2, "required"),
        (vec!["01JD"], 2, "01JD"),
        (vec!["--tenant", "acme"], 2, "--from"),
        (
            [&["--tenant", "acne"], &facts[..]].concat(),
            1,
            "there is no tenant \"acne\"; did you mean \"acme\"?",
        ),
        (
            [&["--tenant", "acme", "--at", "2026-01-01"], &facts[..]].concat(),
            2,
            "such as 2026-01-01T00:00:00Z",
        ),
        (
            [&["--tenant", "acme", "--direction", "up"], &facts[..]].concat(),
            2,
            "inbound or outbound",
        ),
    ] {
        let ran = explain(&site, &arguments).expect_code(code);
        assert!(ran.stderr.contains(said), "{arguments:?}: {}", ran.stderr);
    }
    let site = site.tenant("broken", "domains = []");
    let ran = explain(&site, &[&["--tenant", "acme"], &facts[..]].concat()).expect_code(1);
    assert!(
        ran.stderr.contains("a tenant needs at least one domain"),
        "{}",
        ran.stderr
    );
}
