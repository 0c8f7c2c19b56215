//! Warnings before mail breaks, of real mail: by the command line, by the API, as metrics.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use portcullis_tests::api::{ADDRESS, over_network, token};
use portcullis_tests::certificate::Authority;
use portcullis_tests::client::{Client, Tls};
use portcullis_tests::site::{Host, Site};
use portcullis_tests::tool;
use serde_json::Value;

/// Longest wait for receipts, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

const ACME: &str = "domains = [\"acme.example\"]\n\
    [trust]\nanchors = [\"ca.pem\"]\n\
    [[policy]]\nname = \"partners\"\nfrom = \"partner.example\"\noption = \"enforced\"\n\
    require = { certificate = \"trusted\" }\n\
    [[policy]]\nname = \"tried\"\nfrom = \"old.example\"\noption = \"enforced\"\nmode = \"monitor\"\n\
    [[policy]]\nname = \"bank\"\nfrom = \"bank.example\"\noption = \"enforced\"\n\
    require = { pins = [\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"] }\n";

/// What the command says.
fn told(site: &Site, arguments: &[&str]) -> Vec<Value> {
    let all = [&["--tenant", "acme", "--json"][..], arguments].concat();
    let ran = site.run_with("warnings", &all).expect_code(0);
    let parse = |line| serde_json::from_str(line).expect("a warning is a line of JSON");
    ran.stdout.lines().map(parse).collect()
}

/// Severity, kind and policy of each.
fn shown(warnings: &[Value]) -> Vec<[&str; 3]> {
    let of = |warning| ["severity", "kind", "policy"].map(|key| word(warning, key));
    warnings.iter().map(of).collect()
}

fn word<'a>(warning: &'a Value, key: &str) -> &'a str {
    warning[key].as_str().expect("a text")
}

fn rcpt(mut client: Client, sender: &str, code: &str) {
    client.expect(&format!("MAIL FROM:<{sender}>"), "250");
    client.expect("RCPT TO:<ann@acme.example>", code);
    client.quit();
}

fn clear(host: &Host) -> Client {
    let mut client = Client::connect(host.address("smtp"));
    client.ehlo();
    client
}

#[test]
fn administrators_are_warned_before_mail_breaks() {
    let authority = Authority::new("Partners");
    let ending = Arc::new(authority.issue_for_days(&["mx.partner.example"], 10));
    let host = Site::new()
        .settings(ADDRESS)
        .settings("[delivery]\nkind = \"discard\"\n[metrics]\naddress = \"127.0.0.1:0\"")
        .file("tenants/ca.pem", authority.pem())
        .tenant("acme", ACME)
        .tenant("other", "domains = [\"other.example\"]")
        .start();
    let single = ["notice", "single-pin", "bank"];
    assert_eq!(shown(&told(host.site(), &[])), [single]);
    let partner = Client::starttls(host.address("smtp"), &Tls::tls13().with(&ending));
    rcpt(partner, "amy@partner.example", "250");
    rcpt(clear(&host), "amy@old.example", "250");
    rcpt(clear(&host), "amy@bank.example", "530");
    let all = [
        ["critical", "never-met", "bank"],
        ["warning", "never-met", "tried"],
        ["warning", "certificate-expires", "partners"],
        single,
    ];
    let began = Instant::now();
    let found = loop {
        let found = told(host.site(), &[]);
        if shown(&found) == all {
            break found;
        }
        assert!(began.elapsed() < PATIENCE, "{found:#?}");
        thread::yield_now();
    };
    let ends = &found[2];
    assert_eq!(ends["sender"], "partner.example");
    assert!(word(ends, "text").contains("ends in 9 days"), "{ends}");
    // The receipt that is named shows it.
    let receipt = word(&found[0], "receipt");
    let ran = host.site().run_with("receipts", &[receipt]).expect_code(0);
    assert!(ran.stdout.contains("amy@bank.example"), "{}", ran.stdout);
    assert_eq!(
        shown(&told(host.site(), &["--within", "5d"])),
        [all[0], all[1], all[3]]
    );
    let text = host
        .site()
        .run_with("warnings", &["--tenant", "acme"])
        .expect_code(0);
    assert!(
        text.stdout.starts_with("critical: never-met (since 20"),
        "{}",
        text.stdout
    );
    let none = host
        .site()
        .run_with("warnings", &["--tenant", "other"])
        .expect_code(0);
    assert_eq!(none.stdout, "nothing to warn of\n");
    for (arguments, code, said) in [
        (&["--within", "10"][..], 2, "is not such as 30d or 4w"),
        (&["--within", "2y"], 2, "is not such as 30d or 4w"),
        (&["--tenant", "nobody"], 1, "there is no tenant \"nobody\""),
        (&[], 1, "--tenant"),
    ] {
        let ran = host
            .site()
            .run_with("warnings", arguments)
            .expect_code(code);
        assert!(ran.stderr.contains(said), "{arguments:?}: {}", ran.stderr);
    }

    let (viewer, _) = token(&host, "viewer", "acme");
    let (other, _) = token(&host, "viewer", "other");
    let path = "/v1/tenants/acme/warnings";
    let asked = over_network(&host, path, &viewer, &[]).expect(200).json();
    assert_eq!(asked["items"], Value::Array(found));
    assert_eq!(
        (&asked["within_days"], &asked["unwatched"]),
        (&30.into(), &0.into())
    );
    let few = over_network(&host, &format!("{path}?within_days=5"), &viewer, &[]);
    let few = few.expect(200).json();
    assert_eq!(few["items"].as_array().map(Vec::len), Some(3));
    over_network(&host, path, &other, &[]).expect(404);
    for (query, said) in [
        ("0", "is not from 1 to 365"),
        ("366", "is not from 1 to 365"),
        ("x", ""),
    ] {
        let answer = over_network(&host, &format!("{path}?within_days={query}"), &viewer, &[]);
        assert!(answer.expect(400).detail().contains(said), "{query}");
    }

    // A host looks when it starts.
    let host = host.stop().site.start();
    let url = format!("http://{}/metrics", host.address("metrics"));
    let began = Instant::now();
    loop {
        let page = tool::run("curl", &["-s", &url]).stdout;
        let has = |kind: &str, severity: &str| {
            let labels = format!("tenant=\"acme\",kind=\"{kind}\",severity=\"{severity}\"");
            page.contains(&format!("portcullis_warnings{{{labels}}} 1\n"))
        };
        if has("never-met", "critical") && has("single-pin", "notice") {
            assert!(has("certificate-expires", "warning"), "{page}");
            break;
        }
        assert!(began.elapsed() < PATIENCE, "{page}");
        thread::yield_now();
    }
    host.stop();
}
