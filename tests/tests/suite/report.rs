//! How mail came, told of real mail: by the command line, by the API, and as a page in a
//! browser.

use std::fs;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use portcullis_tests::api::{ADDRESS, over_network, over_socket, token};
use portcullis_tests::browser;
use portcullis_tests::certificate::Authority;
use portcullis_tests::client::{Client, Tls};
use portcullis_tests::site::{Host, Site};
use serde_json::{Value, json};

/// Longest wait for receipts, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A name that is as long as names are.
const LONG: &str = "a-very-long-label-of-a-partner-who-likes-to-be-precise.\
                    departments-of-many-words.subsidiaries.partner.example";

/// As A-labels, and as it is read.
const BOOKS: (&str, &str) = ("xn--bcher-kva.example", "bücher.example");

const ACME: &str = "domains = [\"acme.example\"]\n\
    [trust]\nanchors = [\"ca.pem\"]\n\
    [[policy]]\nname = \"board\"\nto = \"board@acme.example\"\noption = \"enforced\"\n\
    [[policy]]\nname = \"tried\"\nfrom = \"old.example\"\noption = \"enforced\"\nmode = \"monitor\"\n";

/// A host that has had mail: how many recipients were decided of acme.
fn with_mail() -> (Host, u64) {
    let authority = Authority::new("Partners");
    let host = Site::new()
        .settings(ADDRESS)
        .settings("[delivery]\nkind = \"discard\"")
        .file("tenants/ca.pem", authority.pem())
        .tenant("acme", ACME)
        .tenant("bank", "domains = [\"bank.example\"]")
        .start();
    let smtp = host.address("smtp");
    let clear = || {
        let mut client = Client::connect(smtp);
        client.ehlo();
        client
    };
    let partner = Tls::tls13().with(&Arc::new(authority.issue(&["mx.partner.example"])));
    let mails = [
        (clear(), "amy@old.example", "ann@acme.example", "250"),
        (clear(), "amy@old.example", "ben@acme.example", "250"),
        (clear(), "amy@old.example", "board@acme.example", "530"),
        (clear(), "amy@old.example", "ann@bank.example", "250"),
        (clear(), "", "ann@acme.example", "250"),
        (
            Client::starttls(smtp, &Tls::tls12()),
            "zoe@b\u{fc}cher.example",
            "ann@acme.example",
            "250",
        ),
        (
            Client::starttls(smtp, &partner),
            "amy@partner.example",
            "board@acme.example",
            "250",
        ),
    ];
    for (mut client, sender, recipient, code) in mails {
        let utf8 = if sender.is_ascii() { "" } else { " SMTPUTF8" };
        client.expect(&format!("MAIL FROM:<{sender}>{utf8}"), "250");
        client.expect(&format!("RCPT TO:<{recipient}>"), code);
        client.quit();
    }
    let mut client = Client::starttls(smtp, &Tls::tls13());
    client.expect(&format!("MAIL FROM:<x@{LONG}>"), "250");
    client.expect("RCPT TO:<ann@acme.example>", "250");
    client.quit();
    (host, 7)
}

/// What the command says when all receipts are there.
fn told(host: &Host, messages: u64) -> Value {
    let began = Instant::now();
    loop {
        let ran = host
            .site()
            .run_with("report", &["--tenant", "acme", "--json"]);
        let told: Value = serde_json::from_str(&ran.expect_code(0).stdout).expect("JSON");
        if told["total"]["messages"] == messages {
            return told;
        }
        assert!(began.elapsed() < PATIENCE, "{told:#}");
        thread::yield_now();
    }
}

fn sender<'a>(report: &'a Value, name: &str) -> &'a Value {
    let all = report["senders"].as_array().expect("senders");
    let found = all.iter().find(|sender| sender["sender"] == name);
    found.unwrap_or_else(|| unreachable!("{name} in {report:#}"))
}

#[test]
fn a_report_tells_how_mail_came() {
    let (host, messages) = with_mail();
    let report = told(&host, messages);
    let total = &report["total"];
    assert_eq!(total["clear"], 4);
    assert_eq!(total["versions"], json!({ "TLS 1.2": 1, "TLS 1.3": 2 }));
    assert_eq!(total["refusals"], json!({ "plaintext": 1 }));
    assert_eq!(total["certificates"]["covering"], 1);
    let old = sender(&report, "old.example");
    assert_eq!(report["senders"][0], *old, "the largest comes first");
    assert_eq!((&old["messages"], &old["clear"]), (&json!(3), &json!(3)));
    assert_eq!(
        (&old["monitored"], &old["would_be_refused"]),
        (&json!(3), &json!(2))
    );
    let partner = sender(&report, "partner.example");
    assert_eq!(partner["certificates"]["trusted"], 1);
    assert!(partner["certificates"]["last_expires"].is_string());
    assert_eq!(sender(&report, "<>")["clear"], 1);
    assert_eq!(sender(&report, BOOKS.0)["versions"]["TLS 1.2"], 1);
    let days = report["days"].as_array().expect("days");
    assert!((30..=31).contains(&days.len()), "{}", days.len());
    let of_days = days.iter().map(|day| day["refused"].as_u64().unwrap_or(0));
    assert_eq!(of_days.sum::<u64>(), 1);

    // The host tells the same, whoever may see the tenant, and nobody else.
    let (viewer, _) = token(&host, "viewer", "acme");
    let (other, _) = token(&host, "viewer", "bank");
    let path = "/v1/tenants/acme/report";
    let asked = over_network(&host, path, &viewer, &[]).expect(200).json();
    for part in ["total", "senders", "others", "left_out"] {
        assert_eq!(asked[part], report[part], "{part}");
    }
    over_network(&host, path, &other, &[]).expect(404);
    over_network(&host, "/v1/tenants/nobody/report", &viewer, &[]).expect(404);
    for (query, code, said) in [
        ("from=yesterday", 400, "is not a time"),
        (
            "from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z",
            422,
            "is not after",
        ),
        ("from=2020-01-01T00:00:00Z", 422, "more than a year"),
        ("direction=up", 400, "direction"),
        ("since=30d", 400, "unknown field"),
    ] {
        let answer = over_network(&host, &format!("{path}?{query}"), &viewer, &[]);
        let detail = answer.expect(code).detail();
        assert!(detail.contains(said), "{query}: {detail}");
    }
    let none = over_socket(
        &host,
        &format!("{path}?from=2026-01-01T00:00:00Z&to=2026-01-03T00:00:00Z&direction=inbound"),
        &[],
    );
    let none = none.expect(200).json();
    assert_eq!(
        (&none["total"]["messages"], &none["senders"]),
        (&json!(0), &json!([]))
    );
    assert_eq!(none["days"].as_array().map(Vec::len), Some(2));
    host.stop();
}

#[test]
fn a_report_is_a_table_and_a_spreadsheet() {
    let (host, messages) = with_mail();
    told(&host, messages);
    let site = host.stop().site;
    // No host runs.
    let report = |arguments: &[&str]| {
        let all = [&["--tenant", "acme"][..], arguments].concat();
        site.run_with("report", &all)
    };
    let table = report(&[]).expect_code(0).stdout;
    let lines: Vec<&str> = table.lines().collect();
    assert!(
        lines[0].starts_with("42.9 % of 7 messages came over TLS; 2 of 5 senders never did."),
        "{table}"
    );
    assert!(lines[2].starts_with("sender "), "{table}");
    let row = |name: &str| {
        let line = lines.iter().find(|line| line.starts_with(name));
        line.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    let old = row("old.example");
    assert_eq!(
        old.as_deref(),
        Some("old.example 3 100 % 0 % 0 % 0 % 0 % 0 % – 1 2")
    );
    assert!(row("together").is_some_and(|line| line.starts_with("together 7 57.1 %")));
    let widths: Vec<usize> = lines[2..].iter().map(|line| line.chars().count()).collect();
    assert!(widths.iter().all(|width| *width == widths[0]), "{table}");

    let csv = report(&["--csv"]).expect_code(0).stdout;
    let mut lines = csv.lines();
    assert!(
        lines
            .next()
            .is_some_and(|head| head.starts_with("sender,direction,messages,clear,"))
    );
    assert_eq!(lines.clone().count(), 5);
    assert!(
        lines.any(|line| line.starts_with("old.example,inbound,3,3,0,")),
        "{csv}"
    );

    for (arguments, code, said) in [
        (&["--since", "yesterday"][..], 2, "how long ago, such as 7d"),
        (
            &["--since", "2026-02-01", "--until", "2026-01-01"],
            1,
            "is not after",
        ),
        (&["--since", "2020-01-01"], 1, "more than a year"),
        (&["--csv", "--html", "x.html"], 2, "cannot be used with"),
        (
            &["--html", "/nowhere/x.html"],
            1,
            "cannot write /nowhere/x.html",
        ),
    ] {
        let ran = report(arguments).expect_code(code);
        assert!(ran.stderr.contains(said), "{arguments:?}: {}", ran.stderr);
    }
    let ran = site
        .run_with("report", &["--tenant", "nobody"])
        .expect_code(1);
    assert!(
        ran.stderr.contains("there is no tenant \"nobody\""),
        "{}",
        ran.stderr
    );
    let ran = site.run_with("report", &[]).expect_code(1);
    assert!(ran.stderr.contains("--tenant"), "{}", ran.stderr);
    let ran = report(&["--since", "2026-01-01", "--until", "2026-01-02"]).expect_code(0);
    assert!(
        ran.stdout.starts_with("No mail in this time."),
        "{}",
        ran.stdout
    );
}

#[test]
fn the_page_needs_nothing_else_and_prints() {
    let (host, messages) = with_mail();
    told(&host, messages);
    let site = host.stop().site;
    let page = site.path("report.html");
    let write = || {
        let file = page.display().to_string();
        site.run_with("report", &["--tenant", "acme", "--html", &file])
            .expect_code(0)
    };
    let ran = write();
    assert!(
        ran.stdout.starts_with("42.9 % of 7 messages"),
        "{}",
        ran.stdout
    );
    // The one that was there goes, and nothing else is left beside it.
    let before = fs::read_dir(site.directory()).expect("it is there").count();
    write();
    let after = fs::read_dir(site.directory()).expect("it is there").count();
    assert_eq!(before, after);

    let shown = browser::show(&page);
    assert_eq!((shown.console, shown.requests), (vec![], vec![]));
    for text in [
        "<title>How mail came: acme</title>",
        "<strong>42.9 %</strong>",
        "2 of 5 senders never did.",
        "old.example",
        "partner.example",
        BOOKS.0,
        BOOKS.1,
        LONG,
        "TLS 1.2",
        "x25519",
        "plaintext",
        "&lt;&gt;",
    ] {
        assert!(shown.dom.contains(text), "{text} in {}", shown.dom);
    }
    let pages = browser::print(&page, &site.path("report.pdf"));
    assert!((1..=3).contains(&pages), "{pages} pages");
    for (name, dark) in [("light.png", false), ("dark.png", true)] {
        browser::picture(&page, &site.path(name), 1280, 1800, dark);
    }
    let picture = |name: &str| fs::read(site.path(name)).expect("the browser has written it");
    let (light, dark) = (picture("light.png"), picture("dark.png"));
    assert!(light.starts_with(b"\x89PNG") && dark.starts_with(b"\x89PNG"));
    assert_ne!(light, dark, "whoever likes it dark has it dark");
}

/// What the test above would see of a page that is not whole in itself.
#[test]
fn a_page_that_asks_and_fails_is_seen_to() {
    let directory = tempfile::tempdir().expect("there is room for a directory");
    let page = directory.path().join("page.html");
    let text = "<!DOCTYPE html><title>x</title><img src='http://elsewhere.example/x.png'>\
                <script>console.error('broken')</script>";
    fs::write(&page, text).expect("it is new");
    let shown = browser::show(&page);
    let asked = |line: &String| line.contains("http://elsewhere.example/x.png");
    assert!(shown.requests.iter().any(asked), "{shown:?}");
    assert!(
        shown.console.iter().any(|line| line.contains("broken")),
        "{shown:?}"
    );
}
