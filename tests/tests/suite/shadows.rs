//! A revision that is tried on live mail beside the active one: what it says would be
//! refused is what is refused once it is active, and until then nobody notices it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::{Duration, Instant};

use portcullis_tests::api::{
    ADDRESS, REMOVE, over_network, over_socket, ready, resend, send, stock, token, upload,
};
use portcullis_tests::client::{Client, Tls};
use portcullis_tests::program::portcullis;
use portcullis_tests::site::{Host, Site};
use portcullis_tests::tool;
use serde_json::{Value, json};

use crate::engine::guest::{guest_with_schema, never_answers};

const MODULE: &str = "/v1/tenants/acme/modules/m";
const SHADOW: &str = "/v1/tenants/acme/modules/m/shadow";

/// Longest wait for what is counted behind a reply's back.
const PATIENCE: Duration = Duration::from_secs(60);

/// A host whose tenant asks the first of these modules, and has the second one ready; with
/// a token for its author.
fn host(settings: &str, modules: [&str; 2]) -> (Host, String) {
    let metrics = "[metrics]\naddress = \"127.0.0.1:0\"";
    let host = Site::without_files()
        .settings(ADDRESS)
        .settings(metrics)
        .settings(settings)
        .start();
    let tenant = json!({ "domains": ["acme.example"] }).to_string();
    over_socket(&host, "/v1/tenants/acme", &send("PUT", &tenant)).expect(201);
    let list = json!({ "entries": { "tls.example": "tls" } }).to_string();
    let path = "/v1/tenants/acme/lists/partners";
    over_socket(&host, path, &send("PUT", &list)).expect(201);
    let (author, _) = token(&host, "author", "acme");
    for (number, module) in (1..).zip(modules) {
        assert_eq!(ready(&host, MODULE, &author, module), number);
    }
    activate(&host, 1);
    let policy = json!({ "option": "module", "module": "m" }).to_string();
    let path = "/v1/tenants/acme/policies/all";
    over_socket(&host, path, &send("PUT", &policy)).expect(201);
    (host, author)
}

fn activate(host: &Host, revision: i64) {
    let body = json!({ "revision": revision }).to_string();
    over_socket(host, &format!("{MODULE}/active"), &resend("PUT", &body)).expect(200);
}

/// Each sender with the domain that it has, and whether it comes with TLS.
fn senders() -> Vec<(String, bool)> {
    let mut senders: Vec<(String, bool)> = (0..6)
        .map(|n| (format!("amy@clear{n}.example"), false))
        .chain((0..4).map(|n| (format!("amy@secured{n}.example"), true)))
        .collect();
    // In the list, so that it has to come with TLS anyhow; and the null sender.
    senders.push(("amy@tls.example".to_owned(), false));
    senders.push((String::new(), false));
    senders
}

/// The code of the reply that each sender's recipient gets, by the sender's domain.
fn replies(host: &Host) -> BTreeMap<String, String> {
    let send = |(sender, secured): (String, bool)| {
        let mut client = match secured {
            true => Client::starttls(host.address("smtp"), &Tls::tls13()),
            false => Client::connect(host.address("smtp")),
        };
        if !secured {
            client.ehlo();
        }
        client.expect(&format!("MAIL FROM:<{sender}>"), "250");
        let reply = client.say("RCPT TO:<ben@acme.example>");
        client.quit();
        let domain = sender.split_once('@').map_or("", |(_, domain)| domain);
        (domain.to_owned(), reply[..3].to_owned())
    };
    senders().into_iter().map(send).collect()
}

/// What the candidate came to, when it is known of so many decisions.
fn shadow(host: &Host, author: &str, decisions: i64) -> Value {
    let began = Instant::now();
    loop {
        let found = over_network(host, SHADOW, author, &[]).expect(200).json();
        let number = |key: &str| found[key].as_i64().expect("a number");
        let known = number("decisions") + number("not_run");
        assert!(known <= decisions, "{found:#}");
        if known == decisions || began.elapsed() > PATIENCE {
            assert_eq!(known, decisions, "{found:#}");
            return found;
        }
    }
}

fn begin(host: &Host, author: &str, revision: i64) {
    let body = json!({ "revision": revision }).to_string();
    let done = over_network(host, SHADOW, author, &resend("PUT", &body)).expect(200);
    let expected = format!("+ tenant acme: shadow of module m: revision {revision}");
    assert_eq!(done.json()["changes"], json!([expected]), "{done:?}");
}

#[test]
fn whom_it_would_refuse_is_whom_it_refuses() {
    let (host, author) = host("", [&stock("partner-list"), &stock("certificate-match")]);
    let before = replies(&host);
    assert_eq!(
        (&*before["clear0.example"], &*before["tls.example"]),
        ("250", "530")
    );
    begin(&host, &author, 2);
    assert_eq!(replies(&host), before, "nobody notices it");
    let all = i64::try_from(senders().len()).expect("few");
    let found = shadow(&host, &author, all);
    assert_eq!(found["not_run"], 0, "{found:#}");
    assert_eq!(found["revision"], 2);
    let of = |verdict: &str, key: &str| -> BTreeSet<String> {
        let senders = found["senders"].as_array().expect("senders").iter();
        let some = senders.filter(|sender| sender[key] == verdict);
        let domain = |sender: &Value| sender["domain"].as_str().expect("a domain").to_owned();
        some.map(domain).collect()
    };
    let predicted = of("accepted", "was");
    assert!(of("accepted", "would").is_empty(), "{found:#}");
    assert_eq!(predicted.len(), 10, "{found:#}");
    assert_eq!(of("no-certificate", "would").len(), 4, "{found:#}");
    assert_eq!(found["senders_complete"], true);

    // A sample is shown with its receipt.
    let samples = found["samples"].as_array().expect("samples");
    assert_eq!(samples.len(), 11, "those that differ: {found:#}");
    let id = samples[0]["receipt"].as_str().expect("an id");
    let receipt = over_network(&host, &format!("/v1/receipts/{id}"), &author, &[]);
    let receipt = receipt.expect(200).json();
    let answer = &receipt["shadows"][0]["answer"];
    assert_eq!(
        answer["policy"]["module"]["digest"], found["digest"],
        "{receipt:#}"
    );
    // Beside the host, and asked of it.
    let socket = host.site().path("data/admin.sock").display().to_string();
    let program = portcullis().display().to_string();
    for shown in [
        host.site().run_with("receipts", &[id]),
        tool::run(&program, &["receipts", id, "--socket", &socket]),
    ] {
        let shown = shown.expect_code(0).stdout;
        assert!(shown.contains("\nshadow       all ("), "{shown}");
        assert!(
            shown.contains("\nwould be     enforced refused: "),
            "{shown}"
        );
    }
    let shown = host
        .site()
        .run_with("module", &["shadow", "m", "--tenant", "acme"]);
    let shown = shown.expect_code(0).stdout;
    for line in [
        "revision 2 of m is tried since 2",
        "12 decisions: 1 the same, 11 others; not asked about 0",
    ] {
        assert!(shown.contains(line), "{shown}");
    }
    for word in [
        "clear0.example",
        "secured3.example",
        "enforced (within) no-certificate",
    ] {
        assert!(shown.contains(word), "{word}: {shown}");
    }
    let counted = |result: &str| host.metric(&format!("shadow_decisions_total{{result={result}}}"));
    assert_eq!(
        [counted("agrees"), counted("differs"), counted("not-run")],
        [1.0, 11.0, 0.0]
    );

    // It is active, and with that not tried any more.
    activate(&host, 2);
    let after = replies(&host);
    let refused = |replies: &BTreeMap<String, String>| -> BTreeSet<String> {
        let refused = replies.iter().filter(|(_, code)| *code != "250");
        refused.map(|(domain, _)| domain.clone()).collect()
    };
    let new: BTreeSet<String> = refused(&after)
        .difference(&refused(&before))
        .cloned()
        .collect();
    assert_eq!(new, predicted);
    let ended = shadow(&host, &author, all);
    assert_eq!(ended["revision"], Value::Null, "{ended:#}");
    assert_eq!(ended["pairs"], found["pairs"]);
    host.stop();
}

/// One that never answers, on a host that stops and starts.
#[test]
fn a_candidate_that_never_answers_costs_live_mail_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let slow = directory.path().join("slow.wasm");
    fs::write(&slow, never_answers()).expect("written");
    let engine = "[engine]\nfuel = 10000000000\ndeadline_ms = 50";
    let (host, author) = host(
        engine,
        [&stock("partner-list"), &slow.display().to_string()],
    );
    let before = replies(&host);
    begin(&host, &author, 2);
    assert_eq!(replies(&host), before);
    let all = i64::try_from(senders().len()).expect("few");
    let found = shadow(&host, &author, all);
    let pairs = found["pairs"].as_array().expect("pairs");
    assert!(!pairs.is_empty(), "{found:#}");
    for pair in pairs {
        assert_eq!(pair["would"]["decision"], "failed (deadline)", "{found:#}");
        assert_eq!(pair["would"]["verdict"], "policy-failed", "{found:#}");
    }
    // After ten in a row it is not asked for a while; the active one is, all the time.
    assert_eq!(
        (&found["decisions"], &found["not_run"]),
        (&json!(10), &json!(2))
    );
    assert_eq!(replies(&host), before);
    assert_eq!(host.metric("engine_waits_total"), 0.0, "no decision waited");
    assert_eq!(host.metric("policy_failures_total{failure=deadline}"), 0.0);
    let all = 2 * all;
    shadow(&host, &author, all);
    // It is still tried by the next host.
    let host = host.stop().site.start();
    let found = shadow(&host, &author, all);
    assert_eq!(found["revision"], 2, "{found:#}");
    let before = found["decisions"].as_i64().expect("a number");
    assert_eq!(replies(&host).len(), 12);
    let found = shadow(&host, &author, all + 12);
    assert!(
        found["decisions"].as_i64().expect("a number") > before,
        "{found:#}"
    );
    let stopped = over_network(&host, SHADOW, &author, &REMOVE)
        .expect(200)
        .json();
    let expected = json!(["- tenant acme: shadow of module m: revision 2"]);
    assert_eq!(stopped["changes"], expected);
    replies(&host);
    let kept = shadow(&host, &author, all + 12);
    assert_eq!(
        (&kept["revision"], &kept["pairs"]),
        (&Value::Null, &found["pairs"])
    );
    // The next trial begins anew, and goes with its module.
    begin(&host, &author, 2);
    shadow(&host, &author, 0);
    over_socket(&host, "/v1/tenants/acme/policies/all", &REMOVE).expect(200);
    over_network(&host, MODULE, &author, &REMOVE).expect(200);
    over_network(&host, SHADOW, &author, &[]).expect(404);
    let audit = host.site().run_with("audit", &["--tenant", "acme"]);
    let audit = audit.expect_code(0).stdout;
    for line in [
        "+ tenant acme: shadow of module m",
        "- tenant acme: shadow of module m",
    ] {
        assert!(audit.contains(line), "{audit}");
    }
    host.stop();
}

#[test]
fn what_cannot_be_tried_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let strict = directory.path().join("strict.wasm");
    let schema = "{\"required\":[\"partners\"]}";
    fs::write(&strict, guest_with_schema(schema)).expect("written");
    let strict = strict.display().to_string();
    let (host, author) = host("", [&stock("partner-list"), &strict]);
    let (viewer, _) = token(&host, "viewer", "acme");
    let tenant = json!({ "domains": ["bank.example"] }).to_string();
    over_socket(&host, "/v1/tenants/bank", &send("PUT", &tenant)).expect(201);
    let (other, _) = token(&host, "author", "bank");
    let text = directory.path().join("text.wasm");
    fs::write(&text, "no module").expect("written");
    upload(&host, MODULE, &author, &text.display().to_string()).expect(202);
    let certificate = stock("certificate-match");
    assert_eq!(ready(&host, MODULE, &author, &certificate), 4);
    let never = "/v1/tenants/acme/modules/never";
    assert_eq!(ready(&host, never, &author, &certificate), 1);
    let trial = |path: &str, token: &str, body: &str| {
        over_network(&host, path, token, &resend("PUT", body))
    };
    let none = "/v1/tenants/acme/modules/none/shadow";
    let inactive = format!("{never}/shadow");
    for (path, token, body, code, said) in [
        (
            SHADOW,
            &author,
            "{\"revision\":1}",
            409,
            "revision 1 of module \"m\" is active",
        ),
        (
            SHADOW,
            &author,
            "{\"revision\":9}",
            404,
            "no revision \"9\"",
        ),
        (SHADOW, &author, "{\"revision\":3}", 409, "is not ready"),
        (
            SHADOW,
            &author,
            "{\"revision\":2}",
            422,
            "policy \"all\": settings: ",
        ),
        (SHADOW, &author, "{}", 400, "revision"),
        (SHADOW, &viewer, "{\"revision\":4}", 403, "for authors"),
        (
            SHADOW,
            &other,
            "{\"revision\":4}",
            404,
            "no tenant \"acme\"",
        ),
        (none, &author, "{\"revision\":1}", 404, "no module \"none\""),
        (
            inactive.as_str(),
            &author,
            "{\"revision\":1}",
            409,
            "make one active first",
        ),
    ] {
        let refused = trial(path, token, body).expect(code);
        assert!(
            refused.detail().contains(said),
            "{path} {body}: {refused:?}"
        );
    }
    over_network(&host, SHADOW, &author, &send("PUT", "{\"revision\":4}")).expect(428);
    over_network(&host, none, &viewer, &[]).expect(404);
    let path = format!("{SHADOW}?dry_run=true");
    let dry = trial(&path, &author, "{\"revision\":4}").expect(200).json();
    assert_eq!(dry["in_force_ms"], Value::Null, "{dry}");
    let seen = over_network(&host, SHADOW, &viewer, &[]).expect(200);
    assert_eq!(seen.json()["revision"], Value::Null);
    // Nothing is changed by what is so already; what is founded on the past is refused.
    let nothing = over_network(&host, SHADOW, &author, &REMOVE)
        .expect(200)
        .json();
    assert_eq!(nothing["changes"], json!([]));
    let tag = format!("If-Match: {}", seen.field("etag").expect("a tag"));
    let founded = [&send("PUT", "{\"revision\":4}")[..], &["-H", &tag]].concat();
    over_network(&host, SHADOW, &author, &founded).expect(200);
    over_network(&host, SHADOW, &author, &founded).expect(412);
    host.stop();

    // Where receipts are not in the store there is nowhere to count.
    let receipts = "[receipts]\nstore = false\nfiles = true";
    let (host, author) = self::host(receipts, [&stock("partner-list"), &certificate]);
    let refused = over_network(&host, SHADOW, &author, &resend("PUT", "{\"revision\":2}"));
    let refused = refused.expect(409);
    assert!(refused.detail().contains("receipts.store"), "{refused:?}");
    host.stop();
}

/// From the command line: begun, shown, stopped.
#[test]
fn it_is_begun_and_ended_from_the_command_line() {
    let (host, _) = host("", [&stock("partner-list"), &stock("certificate-match")]);
    let module = |arguments: &[&str]| {
        let all = [&["shadow", "m", "--tenant", "acme"], arguments].concat();
        host.site().run_with("module", &all).expect_code(0).stdout
    };
    let said = module(&[]);
    assert!(
        said.starts_with("no revision of m is tried\n0 decisions"),
        "{said}"
    );
    let said = module(&["2", "--dry-run"]);
    assert!(said.contains("nothing was changed, as asked"), "{said}");
    let said = module(&["2"]);
    assert!(
        said.starts_with("+ tenant acme: shadow of module m: revision 2\n1 change"),
        "{said}"
    );
    let said = module(&["--json"]);
    let said: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(said["revision"], 2);
    let said = module(&["--stop"]);
    assert!(
        said.starts_with("- tenant acme: shadow of module m: revision 2\n"),
        "{said}"
    );
    host.stop();
}
