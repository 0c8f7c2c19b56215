//! What the host tells of itself: metrics, health, and the log as JSON.

mod modules;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use portcullis_tests::api::{ADDRESS, over_network, over_socket, send};
use portcullis_tests::client::{Client, Tls};
use portcullis_tests::hop::Hop;
use portcullis_tests::site::{Host, Site};
use portcullis_tests::tool;
use serde_json::Value;

const METRICS: &str = "[metrics]\naddress = \"127.0.0.1:0\"";

/// Longest wait for what is counted behind a reply's back.
const PATIENCE: Duration = Duration::from_secs(30);

/// One tenant that enforces TLS for its board alone.
fn site() -> Site {
    Site::new().settings(METRICS).tenant(
        "acme",
        "domains = [\"acme.example\"]\n\
         [[policy]]\nname = \"board\"\nto = \"board@acme.example\"\noption = \"enforced\"",
    )
}

#[test]
fn what_is_counted_is_exactly_what_was_done() {
    let host = site().start();
    let smtp = host.address("smtp");

    let mut clear = Client::connect(smtp);
    clear.ehlo();
    clear.expect("MAIL FROM:<amy@sender.example>", "250");
    clear.expect("RCPT TO:<board@acme.example>", "530");
    clear.expect("RCPT TO:<bob@elsewhere.example>", "550");
    clear.expect("RSET", "250");
    let message = "Subject: two\r\n\r\nlines\r\n";
    let to = ["bob@acme.example", "cy@acme.example"];
    let reply = clear.deliver("amy@sender.example", &to, message);
    assert!(reply.starts_with("250"), "{reply}");
    clear.quit();

    let mut secured = Client::starttls(smtp, &Tls::post_quantum());
    secured.expect("MAIL FROM:<amy@sender.example>", "250");
    secured.expect("RCPT TO:<board@acme.example>", "250");
    secured.quit();

    let mut garbled = Client::connect(smtp);
    garbled.ehlo();
    garbled.expect("STARTTLS", "220");
    garbled.send("this is no handshake\r\n");
    garbled.drain();

    let mut lost = Client::connect(smtp);
    lost.ehlo();
    lost.vanish();

    let expected = [
        ("sessions_active{listener=smtp}", 0.0),
        ("sessions_total{listener=smtp}", 4.0),
        ("sessions_ended_total{listener=smtp,how=quit}", 2.0),
        ("sessions_ended_total{listener=smtp,how=lost}", 1.0),
        (
            "sessions_ended_total{listener=smtp,how=handshake-failed}",
            1.0,
        ),
        ("sessions_ended_total{listener=smtp,how=closed}", 0.0),
        (
            "tls_handshakes_total{version=1.3,key_exchange=X25519MLKEM768,resumed=no}",
            1.0,
        ),
        ("tls_handshake_failures_total{reason=not TLS}", 1.0),
        // Four greetings, and two to STARTTLS.
        ("replies_total{code=220}", 6.0),
        ("replies_total{code=221}", 2.0),
        ("replies_total{code=354}", 1.0),
        ("replies_total{code=530}", 1.0),
        ("replies_total{code=550}", 1.0),
        ("messages_received_total", 1.0),
        ("received_bytes_total", message.len() as f64),
        ("relaying_refused_total", 1.0),
        (
            "decisions_total{tenant=acme,policy=board,direction=inbound,stage=recipient,decision=enforced,verdict=refused,cause=plaintext}",
            1.0,
        ),
        (
            "decisions_total{tenant=acme,policy=board,direction=inbound,stage=recipient,decision=enforced,verdict=accepted,cause=none}",
            1.0,
        ),
        (
            "decisions_total{tenant=acme,policy=(none),direction=inbound,stage=recipient,decision=default,verdict=accepted,cause=none}",
            2.0,
        ),
        ("decision_duration_seconds_count{kind=constant}", 4.0),
        ("decision_duration_seconds_count{kind=module}", 0.0),
        ("policy_failures_total{failure=trap}", 0.0),
        ("outcomes_total{outcome=delivered}", 2.0),
        ("outcomes_total{outcome=abandoned}", 1.0),
        (
            "deliveries_total{target=maildir,direction=inbound,outcome=delivered}",
            2.0,
        ),
        ("delivery_duration_seconds_count{target=maildir}", 2.0),
        // Four verdicts, three outcomes, one refused relaying.
        ("receipts_written_total", 8.0),
        ("receipts_lost_total", 0.0),
        ("receipts_waiting", 0.0),
        ("engine_instances", 0.0),
        ("log_lines_lost_total", 0.0),
    ];
    let found = scrape_until(&host, "receipts_written_total", 8.0);
    let wrong: Vec<String> = expected
        .iter()
        .filter(|(name, value)| found.get(*name) != Some(value))
        .map(|(name, value)| format!("{name}: expected {value}, found {:?}", found.get(*name)))
        .collect();
    assert!(wrong.is_empty(), "{}\n{found:#?}", wrong.join("\n"));
    let decisions = found.keys().filter(|name| name.starts_with("decisions_"));
    assert_eq!(decisions.count(), 3, "and no others");
    let expiry = found["certificate_expiry_timestamp_seconds{certificate=mx.host.example}"];
    assert!(expiry > 1.7e9, "{expiry}");
}

#[test]
fn what_next_hops_do_is_counted_by_its_kind_and_outcome() {
    for (hop, kind) in [(Hop::lmtp(), "lmtp"), (Hop::smtp(), "smtp")] {
        let target = format!("domains = [\"acme.example\"]\n{}", hop.target(""));
        let host = Site::new()
            .settings(METRICS)
            .tenant("acme", &target)
            .start();
        for (answer, expected) in [
            ("250 2.0.0 taken", "250 "),
            ("250 2.0.0 taken", "250 "),
            ("552 5.2.2 too much", "552 5.2.2 "),
            ("452 4.2.2 full", "452 4.2.2 "),
        ] {
            hop.answer(if kind == "lmtp" { ". bob@" } else { "." }, &[answer]);
            let mut client = Client::connect(host.address("smtp"));
            client.ehlo();
            let message = "Subject: x\r\n\r\n";
            let reply = client.deliver("amy@sender.example", &["bob@acme.example"], message);
            assert!(reply.starts_with(expected), "{kind}, {answer}: {reply}");
            client.quit();
        }
        // Four verdicts and what became of each.
        let found = scrape_until(&host, "receipts_written_total", 8.0);
        for (outcome, count) in [("delivered", 2.0), ("refused", 1.0), ("deferred", 1.0)] {
            let delivery =
                format!("deliveries_total{{target={kind},direction=inbound,outcome={outcome}}}");
            assert_eq!(found.get(&delivery), Some(&count), "{delivery}: {found:#?}");
            let outcomes = format!("outcomes_total{{outcome={outcome}}}");
            assert_eq!(found.get(&outcomes), Some(&count), "{outcomes}: {found:#?}");
        }
        let timed = format!("delivery_duration_seconds_count{{target={kind}}}");
        assert_eq!(found.get(&timed), Some(&4.0), "{found:#?}");
        host.stop();
    }
}

#[test]
fn the_page_is_what_prometheus_reads() {
    let host = site().start();
    let page = get_as(
        &host,
        "/metrics",
        "application/openmetrics-text;version=1.0.0",
    );
    assert_eq!(page.code, 200);
    assert!(
        page.head.contains("application/openmetrics-text"),
        "{}",
        page.head
    );
    assert!(page.body.ends_with("# EOF\n"));
    for line in page.body.lines() {
        let sound = match line.strip_prefix("# ") {
            Some(comment) => ["HELP ", "TYPE ", "EOF"]
                .iter()
                .any(|k| comment.starts_with(k)),
            None => line.starts_with("portcullis_") && sample(line).is_some(),
        };
        assert!(sound, "{line}");
    }
    let older = get(&host, "/metrics");
    let kind = "text/plain; version=0.0.4";
    assert!(older.head.contains(kind), "{}", older.head);
    assert!(!older.body.contains("# EOF"));
    let ended = host.stop();
    assert!(!ended.log.contains("ERROR"), "{}", ended.log);
}

#[test]
fn a_host_that_drains_is_alive_and_not_ready() {
    let host = site().start();
    assert_eq!(
        (get(&host, "/livez").code, get(&host, "/readyz").code),
        (200, 200)
    );
    let mut client = Client::connect(host.address("smtp"));
    client.ehlo();
    client.expect("MAIL FROM:<amy@sender.example>", "250");
    client.expect("RCPT TO:<bob@acme.example>", "250");
    client.expect("DATA", "354");
    host.terminate();
    let began = Instant::now();
    let ready = loop {
        let ready = get(&host, "/readyz");
        if ready.code != 200 || began.elapsed() > PATIENCE {
            break ready;
        }
    };
    assert_eq!(ready.code, 503);
    assert!(ready.body.starts_with("draining: "), "{}", ready.body);
    assert_eq!(get(&host, "/livez").code, 200);
    client.expect("Subject: last\r\n\r\nwords\r\n.", "250");
    drop(client);
    assert_eq!(host.wait().status.code(), Some(0));
}

#[test]
fn a_host_without_the_certificate_it_needs_is_not_ready() {
    let unusable = "[[tls.certificate]]\nchain = \"mx.pem\"\nkey = \"mx.pem\"";
    let host = site()
        .file("mx.pem", "not PEM\n")
        .settings(unusable)
        .start();
    let ready = get(&host, "/readyz");
    assert_eq!(ready.code, 503);
    assert!(ready.body.starts_with("certificate: "), "{}", ready.body);
    assert_eq!(get(&host, "/livez").code, 200);
    drop(host);

    let needs_none = Site::default()
        .listener("smtp", "none", "")
        .file("mx.pem", "not PEM\n")
        .settings(METRICS)
        .settings(unusable)
        .start();
    assert_eq!(get(&needs_none, "/readyz").code, 200);
}

#[test]
fn an_address_that_others_reach_needs_leave() {
    let remote = "[metrics]\naddress = \"0.0.0.0:9925\"\n";
    let ran = Site::new().settings(remote).run("check").expect_code(1);
    assert!(ran.stderr.contains("metrics.address"), "{}", ran.stderr);
    assert!(ran.stderr.contains("allow_remote"), "{}", ran.stderr);
    let allowed = format!("{remote}allow_remote = true");
    Site::new().settings(&allowed).run("check").expect_code(0);
}

#[test]
fn who_asks_badly_is_answered_and_nobody_else_waits() {
    let host = site().start();
    let address = host.address("metrics").to_string();
    let field = format!("X-Long: {}", "x".repeat(64 << 10));
    for (arguments, expected) in [
        (vec!["-X", "POST", "--data", "x"], "405"),
        (vec!["-H", &field], "431"),
    ] {
        let url = format!("http://{address}/metrics");
        let mut all = vec!["-sS", "-o", "/dev/null", "-w", "%{http_code}", &url];
        all.extend(arguments);
        assert_eq!(tool::run("curl", &all).stdout, expected);
    }
    assert_eq!(get(&host, "/nothing").code, 404);
    // More than may be open at a time, and silent: each is closed in its time.
    let silent: Vec<_> = (0..20)
        .map(|_| Client::connect_silently(host.address("metrics")))
        .collect();
    assert_eq!(get(&host, "/livez").code, 200);
    drop(silent);
}

#[test]
fn lines_of_json_have_the_fields_of_their_session() {
    let host = site().settings("[log]\nformat = \"json\"").start();
    for recipient in ["board@acme.example", "bob@acme.example"] {
        let mut client = Client::connect(host.address("smtp"));
        client.ehlo();
        client.expect("MAIL FROM:<amy@sender.example>", "250");
        client.say(&format!("RCPT TO:<{recipient}>"));
        client.expect("RSET", "250");
        client.expect("MAIL FROM:<amy@sender.example>", "250");
        client.say(&format!("RCPT TO:<{recipient}>"));
        client.quit();
    }
    let ended = host.stop();
    let lines: Vec<Value> = ended
        .log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| unreachable!("{e}: {line}")))
        .collect();
    let decided: Vec<&Value> = lines
        .iter()
        .filter(|line| line["message"] == "decided")
        .collect();
    assert_eq!(decided.len(), 4, "{}", ended.log);
    let of = |field: &str| -> Vec<&Value> { decided.iter().map(|line| &line[field]).collect() };
    let sessions = of("session.id");
    assert!(
        sessions
            .iter()
            .all(|id| id.as_str().is_some_and(|id| id.len() == 26))
    );
    assert_eq!(sessions[0], sessions[1]);
    assert_eq!(sessions[2], sessions[3]);
    assert_ne!(sessions[0], sessions[2]);
    assert_eq!(of("transaction.number"), [1, 2, 1, 2]);
    assert_eq!(of("tenant.id"), ["acme"; 4]);
    assert_eq!(of("listener"), ["smtp"; 4]);
    assert_eq!(
        (&decided[0]["policy.id"], &decided[2]["policy.id"]),
        (&"board".into(), &Value::Null)
    );
    for line in decided {
        let (id, reply) = (line["receipt.id"].as_str(), line["reply"].as_str());
        assert!(reply.is_some_and(|reply| reply.starts_with("530") || reply.starts_with("250")));
        let receipts = ended.site.receipts();
        let known = receipts
            .iter()
            .any(|receipt| receipt["verdict"]["id"].as_str() == id);
        assert!(known, "{line}");
    }
}

/// Runs a program with a standard error that is open, and that nobody reads.
const DEAF: &str = "import os, sys\n\
    read, write = os.pipe()\n\
    if os.fork() == 0:\n\
    \tos.dup2(write, 2)\n\
    \tos.execv(sys.argv[1], sys.argv[1:])\n\
    os.close(write)\n\
    sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))";

#[test]
fn a_log_that_nobody_reads_holds_nothing_up_and_its_losses_are_counted() {
    let host = site().start_under(&["python3", "-c", DEAF]);
    let mut client = Client::connect(host.address("smtp"));
    client.ehlo();
    // A line for each: more than a pipe, and then the queue, can hold.
    for _ in 0..10 {
        client.expect("MAIL FROM:<amy@sender.example>", "250");
        let group = "RCPT TO:<bob@acme.example>\r\n".repeat(1_000);
        client.send(group);
        for _ in 0..1_000 {
            let reply = client.reply();
            assert!(reply.starts_with("250 2.1.5"), "{reply}");
        }
        client.expect("RSET", "250");
    }
    client.quit();
    assert!(scrape(&host)["log_lines_lost_total"] > 0.0);
    assert_eq!(get(&host, "/readyz").code, 200);
    host.stop();
}

/// An answer over HTTP.
struct Answer {
    code: u16,
    head: String,
    body: String,
}

fn get(host: &Host, path: &str) -> Answer {
    get_as(host, path, "*/*")
}

fn get_as(host: &Host, path: &str, kind: &str) -> Answer {
    let accept = format!("Accept: {kind}");
    let url = format!("http://{}{path}", host.address("metrics"));
    let ran = tool::run(
        "curl",
        &["-sS", "-i", "--max-time", "60", "-H", &accept, &url],
    )
    .expect_code(0);
    let (head, body) = ran
        .stdout
        .split_once("\r\n\r\n")
        .expect("an answer has a head");
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Answer {
        code: code.expect("a status line has a code"),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

/// Every sample by its name and labels, without the prefix and the quotes.
pub(super) fn scrape(host: &Host) -> BTreeMap<String, f64> {
    let page = get(host, "/metrics").body;
    page.lines().filter_map(sample).collect()
}

/// Scrapes until something that the host counts in the background has this value.
fn scrape_until(host: &Host, name: &str, value: f64) -> BTreeMap<String, f64> {
    let began = Instant::now();
    loop {
        let found = scrape(host);
        let over = found["sessions_active{listener=smtp}"] == 0.0;
        if (over && found.get(name) == Some(&value)) || began.elapsed() > PATIENCE {
            return found;
        }
    }
}

fn sample(line: &str) -> Option<(String, f64)> {
    let (name, value) = line.strip_prefix("portcullis_")?.rsplit_once(' ')?;
    Some((name.replace('"', ""), value.parse().ok()?))
}

/// What whoever asks chooses (names, methods, paths) is no label.
#[test]
fn requests_to_the_admin_api_are_counted_by_route() {
    let host = Site::without_files()
        .settings(METRICS)
        .settings(ADDRESS)
        .start();
    let tenant = r#"{"domains":["acme.example"]}"#;
    let path = "/v1/tenants/acme";
    let dry = format!("{path}?dry_run=true");
    over_socket(&host, &dry, &send("PUT", tenant)).expect(200);
    over_socket(&host, path, &send("PUT", tenant)).expect(201);
    over_socket(&host, path, &[]).expect(200);
    over_socket(&host, "/v1/tenants/bank", &[]).expect(404);
    over_network(&host, path, "", &[]).expect(401);
    over_network(&host, "/v1/nothing", "", &[]).expect(404);
    over_network(&host, path, "", &["-X", "BREW"]).expect(405);
    for (answered, count) in [
        ("method=PUT,route=/v1/tenants/{tenant},status=200", 1.0),
        ("method=PUT,route=/v1/tenants/{tenant},status=201", 1.0),
        ("method=GET,route=/v1/tenants/{tenant},status=200", 1.0),
        ("method=GET,route=/v1/tenants/{tenant},status=404", 1.0),
        ("method=GET,route=/v1/tenants/{tenant},status=401", 1.0),
        ("method=(other),route=(other),status=404", 1.0),
        ("method=(other),route=(other),status=405", 1.0),
    ] {
        let name = format!("admin_requests_total{{{answered}}}");
        assert_eq!(host.metric(&name), count, "{name}");
    }
    assert_eq!(host.metric("admin_request_duration_seconds_count"), 7.0);
    // A dry run is in force at no time.
    assert_eq!(host.metric("admin_change_duration_seconds_count"), 1.0);
    host.stop();
}
