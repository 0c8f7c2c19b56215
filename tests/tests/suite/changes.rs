//! Changes through the admin API: in force, founded on what is there, whole or not at all.

mod kills;
mod meanwhile;
mod refused;

use std::fs;
use std::thread;

use portcullis_tests::api::{
    ADDRESS, Answer, JSON, REMOVE, over_network, over_socket, post, resend, send, token,
};
use portcullis_tests::client::Client;
use portcullis_tests::site::{Host, Site};
use serde_json::json;

use super::api::{managed, site};

/// A host without tenants.
fn empty() -> Host {
    Site::without_files().settings(ADDRESS).start()
}

fn rcpt(host: &Host, sender: &str, recipient: &str) -> String {
    let mut client = Client::connect(host.address("smtp"));
    client.ehlo();
    client.expect(&format!("MAIL FROM:<{sender}>"), "250");
    let reply = client.say(&format!("RCPT TO:<{recipient}>"));
    client.quit();
    reply
}

fn put(host: &Host, path: &str, body: &serde_json::Value) -> Answer {
    over_socket(host, path, &send("PUT", &body.to_string()))
}

/// The lines of what was changed, and that it is in force.
fn changes(answer: &Answer) -> Vec<String> {
    let json = answer.json();
    let took = json["in_force_ms"].as_f64().expect("it is in force");
    assert!(took > 0.0, "{json}");
    serde_json::from_value(json["changes"].clone()).expect("lines")
}

#[test]
fn what_is_changed_is_in_force_with_the_next_message() {
    let host = empty();
    let tenant = json!({ "domains": ["acme.example"], "own": { "contact": "ask acme" } });
    let made = put(&host, "/v1/tenants/acme", &tenant).expect(201);
    assert_eq!(changes(&made), ["+ tenant acme"]);
    assert_eq!(made.field("etag"), Some("\"1\""));
    assert!(rcpt(&host, "amy@partner.example", "ben@acme.example").starts_with("250"));

    let policy = json!({ "option": "enforced" });
    let made = put(&host, "/v1/tenants/acme/policies/all", &policy).expect(201);
    assert_eq!(changes(&made), ["+ tenant acme: policy all"]);
    let refused = rcpt(&host, "amy@partner.example", "ben@acme.example");
    assert!(
        refused.starts_with("530") && refused.contains("ask acme"),
        "{refused}"
    );

    put(
        &host,
        "/v1/tenants/acme/lists/partners",
        &json!({ "entries": ["old.example"] }),
    )
    .expect(201);
    let policy = json!({ "from": "list:partners", "option": "opportunistic" });
    put(&host, "/v1/tenants/acme/policies/partners", &policy).expect(201);
    let allow = json!({ "entries": { "partner.example": "" } }).to_string();
    let list = "/v1/tenants/acme/lists/partners";
    let allowed = over_socket(&host, list, &send("PATCH", &allow)).expect(200);
    assert_eq!(
        changes(&allowed),
        ["~ tenant acme: list partners: 1 entries new or changed, 0 removed"]
    );
    assert!(rcpt(&host, "amy@partner.example", "ben@acme.example").starts_with("250"));
    assert!(rcpt(&host, "amy@other.example", "ben@acme.example").starts_with("530"));
    let forbid = json!({ "entries": { "partner.example": null } }).to_string();
    over_socket(&host, list, &send("PATCH", &forbid)).expect(200);
    assert!(rcpt(&host, "amy@partner.example", "ben@acme.example").starts_with("530"));

    // The order of creation stays when a policy is written again.
    let policy = json!({ "option": "opportunistic" }).to_string();
    let path = "/v1/tenants/acme/policies/all";
    let changed = over_socket(&host, path, &resend("PUT", &policy)).expect(200);
    assert_eq!(
        changes(&changed),
        ["~ tenant acme: policy all: option \"enforced\" → \"opportunistic\""]
    );
    let all = over_socket(&host, path, &[]).expect(200).json();
    assert_eq!(all["place"], 0);
    assert!(rcpt(&host, "amy@other.example", "ben@acme.example").starts_with("250"));

    // What an operator does not name stays as it is.
    let domains = json!({ "domains": ["acme.example", "acme.test"] }).to_string();
    over_socket(&host, "/v1/tenants/acme", &resend("PUT", &domains)).expect(200);
    let kept = over_socket(&host, "/v1/tenants/acme", &[])
        .expect(200)
        .json();
    assert_eq!(kept["own"]["contact"], "ask acme", "{kept}");
    // What is the tenant's own is written without what operators write.
    let own = json!({ "defaults": { "decision": "enforced" } }).to_string();
    over_socket(&host, "/v1/tenants/acme/own", &resend("PUT", &own)).expect(200);
    over_socket(&host, path, &REMOVE).expect(200);
    over_socket(&host, path, &REMOVE).expect(404);
    assert!(rcpt(&host, "amy@other.example", "ben@acme.example").starts_with("530"));
    over_socket(&host, "/v1/tenants/acme", &REMOVE).expect(200);
    assert!(rcpt(&host, "amy@other.example", "ben@acme.example").starts_with("550"));

    let audit = over_socket(&host, "/v1/audit?tenant=acme", &[])
        .expect(200)
        .json();
    let steps = audit["items"].as_array().expect("items");
    assert!(steps.iter().all(|step| step["who"] == "socket"), "{audit}");
    let lines: Vec<&str> = steps
        .iter()
        .filter_map(|step| step["change"].as_str())
        .collect();
    for expected in [
        "+ tenant acme: list partners",
        "- tenant acme: policy all",
        "- tenant acme",
    ] {
        assert!(
            lines.iter().any(|line| line.starts_with(expected)),
            "{expected}: {lines:?}"
        );
    }
    host.stop();
}

#[test]
fn a_dry_run_shows_what_would_change_and_changes_nothing() {
    let host = managed();
    let policy = json!({ "option": "default" }).to_string();
    let path = "/v1/tenants/acme/policies/board";
    let dry = over_socket(
        &host,
        &format!("{path}?dry_run=true"),
        &resend("PUT", &policy),
    )
    .expect(200);
    assert_eq!(
        dry.json(),
        json!({
            "changes": ["~ tenant acme: policy board: option \"enforced\" → \"default\", to \"board@acme.example\" → (none)"],
            "warnings": [],
            "in_force_ms": null,
        })
    );
    assert_eq!(dry.field("etag"), None);
    let kept = over_socket(&host, path, &[]).expect(200);
    assert_eq!(kept.field("etag"), Some("\"1\""));
    assert!(rcpt(&host, "amy@sender.example", "board@acme.example").starts_with("530"));
    let faulty = json!({ "option": "enforce" }).to_string();
    over_socket(
        &host,
        &format!("{path}?dry_run=true"),
        &resend("PUT", &faulty),
    )
    .expect(422);
    host.stop();
}

#[test]
fn nobody_changes_what_somebody_else_has_changed_meanwhile() {
    let host = managed();
    let path = "/v1/tenants/acme/policies/board";
    let policy = json!({ "option": "default" }).to_string();
    let seen = over_socket(&host, path, &[]).expect(200);
    let tag = format!("If-Match: {}", seen.field("etag").expect("a revision"));
    let unseen = over_socket(&host, path, &send("PUT", &policy)).expect(428);
    assert!(unseen.detail().contains("If-Match"), "{unseen:?}");
    over_socket(
        &host,
        path,
        &[&send("PUT", &policy)[..], &["-H", "If-None-Match: *"]].concat(),
    )
    .expect(412);
    over_socket(
        &host,
        "/v1/tenants/acme/policies/none",
        &resend("PUT", &policy),
    )
    .expect(412);

    // Two administrators, and the same revision: one of them was first.
    let bodies = ["one", "two", "three", "four"]
        .map(|text| json!({ "option": "enforced", "narrative": text }).to_string());
    let answers: Vec<Answer> = thread::scope(|scope| {
        let asked = bodies.each_ref().map(|body| {
            let arguments = [&send("PUT", body)[..], &["-H", &tag]].concat();
            let host = &host;
            let asked = move || over_socket(host, path, &arguments.clone());
            scope.spawn(asked)
        });
        asked
            .map(|asked| asked.join().expect("it is answered"))
            .into()
    });
    let of = |code| answers.iter().filter(move |answer| answer.code == code);
    assert_eq!((of(200).count(), of(412).count()), (1, 3), "{answers:?}");
    for late in of(412) {
        let now = late.detail();
        assert!(now.contains("policy board has revision \"2\" now"), "{now}");
    }
    // What was seen before is no ground for anything else, either.
    for (path, arguments) in [
        (path, vec!["-X", "DELETE"]),
        ("/v1/tenants/acme", vec!["-X", "DELETE"]),
        ("/v1/tenants/acme/own", send("PUT", "{}")),
    ] {
        let stale = [&arguments[..], &["-H", &tag]].concat();
        let refused = over_socket(&host, path, &stale).expect(412);
        assert!(refused.detail().contains("now"), "{path}: {refused:?}");
    }
    let first = answers.iter().position(|answer| answer.code == 200);
    let first = &bodies[first.expect("one was")];
    let kept = over_socket(&host, path, &[]).expect(200).json();
    let kept = &kept["document"]["narrative"];
    assert!(
        first.contains(kept.as_str().expect("a text")),
        "{first} {kept}"
    );
    host.stop();
}

/// A file with so many entries of a list.
fn large_list(host: &Host, entries: usize) -> String {
    let lines: String = (0..entries).map(|n| format!("p{n}.example\n")).collect();
    let path = host.site().path("large.txt");
    let _ = fs::write(&path, lines);
    path.display().to_string()
}

#[test]
fn a_hundred_thousand_entries_are_replaced_at_once() {
    let host = managed();
    let file = format!("@{}", large_list(&host, 100_000));
    let arguments = [
        "-X",
        "PUT",
        "-H",
        "Content-Type: text/plain",
        "--data-binary",
        &file,
    ];
    let list = "/v1/tenants/acme/lists/many";
    let made = over_socket(&host, list, &arguments).expect(201);
    assert_eq!(
        changes(&made),
        ["+ tenant acme: list many: 100000 entries new or changed, 0 removed"]
    );
    let policy = json!({ "option": "enforced", "from": "list:many" });
    put(&host, "/v1/tenants/acme/policies/many", &policy).expect(201);
    assert!(rcpt(&host, "amy@p99999.example", "ben@acme.example").starts_with("530"));
    assert!(rcpt(&host, "amy@p100000.example", "ben@acme.example").starts_with("250"));
    let kept = over_socket(&host, list, &[]).expect(200).json();
    assert_eq!(kept["entries"], 100_000);
    // Over its limit a list stays as it is.
    let one_more = json!({ "entries": { "q.example": "" } }).to_string();
    let refused = over_socket(&host, list, &send("PATCH", &one_more)).expect(422);
    assert!(
        refused.detail().contains("over the limit of 100000"),
        "{refused:?}"
    );
    host.stop();
}

#[test]
fn files_that_have_the_last_word_are_not_changed() {
    let host = site().start();
    for (path, arguments) in [
        (
            "/v1/tenants/acme/policies/board",
            resend("PUT", "{\"option\":\"default\"}"),
        ),
        ("/v1/tenants/acme/lists/partners", REMOVE.to_vec()),
        ("/v1/tenants/bank", REMOVE.to_vec()),
    ] {
        let refused = over_socket(&host, path, &arguments).expect(409);
        assert!(
            refused.detail().contains("have the last word"),
            "{refused:?}"
        );
    }
    host.stop();
}

#[test]
fn a_body_that_is_cut_off_changes_nothing() {
    let host = managed();
    let mut client = Client::connect_silently(host.address("admin"));
    let (admin, _) = token(&host, "admin", "acme");
    // All of it would be a list.
    let body = "{\"entries\":[\"a.example\"]}";
    client.send(format!(
        "PUT /v1/tenants/acme/lists/partners HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {admin}\r\n\
         If-Match: *\r\n{}\r\nContent-Length: 1000\r\n\r\n{body}",
        JSON[1]
    ));
    client.vanish();
    let list = over_socket(&host, "/v1/tenants/acme/lists/partners", &[]).expect(200);
    assert_eq!(
        (list.field("etag"), &list.json()["entries"]),
        (Some("\"1\""), &json!(3))
    );
    host.stop();
}

#[test]
fn an_administrator_meets_only_what_is_its_own() {
    let host = managed();
    let (admin, _) = token(&host, "admin", "bank");
    let policy = json!({ "option": "enforced" }).to_string();
    for (path, code) in [
        ("/v1/tenants/acme/policies/new", 404),
        ("/v1/tenants/bank/policies/new", 201),
        // Only operators write domains, targets and sources.
        ("/v1/tenants/bank", 403),
        ("/v1/tenants/new", 404),
    ] {
        let answer = over_network(&host, path, &admin, &send("PUT", &policy));
        assert_eq!(answer.code, code, "{path}: {answer:?}");
    }
    let change = over_socket(&host, "/v1/audit?limit=1", &[])
        .expect(200)
        .json();
    let who = change["items"][0]["who"].as_str().expect("somebody");
    assert!(who.starts_with("token a-admin ("), "{who}");
    over_network(&host, "/v1/tokens", &admin, &post("{}")).expect(400);
    host.stop();
}
