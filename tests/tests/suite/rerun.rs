//! A receipt is enough to run its decision again: by the policy, the module, the settings and
//! the lists of then, when the tenant has nothing of them any more.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use portcullis_tests::api::{
    ADDRESS, REMOVE, over_network, over_socket, post, ready, resend, send, stock, token,
};
use portcullis_tests::client::Client;
use portcullis_tests::site::{Host, Site};
use portcullis_tests::tool;
use serde_json::{Value, json};

const PARTNER: &str = "amy@partner.example";

/// A reply to mail from the partner in clear.
fn reply(host: &Host) -> String {
    let mut client = Client::connect(host.address("smtp"));
    client.ehlo();
    client.expect(&format!("MAIL FROM:<{PARTNER}>"), "250");
    let reply = client.say("RCPT TO:<ben@acme.example>");
    client.quit();
    reply
}

fn put(host: &Host, path: &str, body: &Value) {
    let body = body.to_string();
    let put = over_socket(host, path, &resend("PUT", &body));
    if put.code == 412 {
        over_socket(host, path, &send("PUT", &body)).expect(201);
    } else {
        put.expect(200);
    }
}

/// A tenant whose module decides about the partner by a setting and a list, and monitors a
/// constant.
fn decided() -> (Host, String) {
    let host = Site::without_files().settings(ADDRESS).start();
    put(
        &host,
        "/v1/tenants/acme",
        &json!({ "domains": ["acme.example"] }),
    );
    let list = json!({ "entries": ["partner.example"] });
    put(&host, "/v1/tenants/acme/lists/partners", &list);
    let (author, _) = token(&host, "author", "acme");
    let module = "/v1/tenants/acme/modules/checks";
    let first = ready(&host, module, &author, &stock("partner-list"));
    put(
        &host,
        &format!("{module}/active"),
        &json!({ "revision": first }),
    );
    let asks =
        json!({ "option": "module", "module": "checks", "settings": { "list": "partners" } });
    put(&host, "/v1/tenants/acme/policies/asks", &asks);
    let watches = json!({ "from": "partner.example", "option": "enforced", "mode": "monitor" });
    put(&host, "/v1/tenants/acme/policies/watches", &watches);
    let reply = reply(&host);
    assert!(reply.starts_with("530"), "{reply}");
    let (_, id) = reply.rsplit_once('[').expect("the id of the receipt");
    let id = id.trim_end().trim_end_matches(']').to_owned();
    let began = Instant::now();
    while over_socket(&host, &format!("/v1/receipts/{id}"), &[]).code != 200 {
        assert!(began.elapsed() < Duration::from_secs(20), "no receipt {id}");
        thread::yield_now();
    }
    (host, id)
}

/// Everything that decided is another thing by now, or gone.
fn change_all(host: &Host) {
    let all = json!({ "option": "default" });
    put(host, "/v1/tenants/acme/policies/asks", &all);
    for path in ["policies/watches", "modules/checks"] {
        over_socket(host, &format!("/v1/tenants/acme/{path}"), &REMOVE).expect(200);
    }
    let list = json!({ "entries": ["somebody-else.example"] });
    put(host, "/v1/tenants/acme/lists/partners", &list);
}

fn rerun(host: &Host, id: &str) -> Value {
    let path = format!("/v1/receipts/{id}/rerun");
    over_socket(host, &path, &["-X", "POST"]).expect(200).json()
}

/// At the end of data only a policy that is monitored was asked: the verdict of RCPT, which
/// stands beside it, is run again once.
#[test]
fn what_stands_beside_a_monitored_decision_is_not_run_again() {
    let (host, _) = decided();
    let watches = json!({ "based_on": "header", "option": "enforced", "mode": "monitor" });
    put(&host, "/v1/tenants/acme/policies/headers", &watches);
    let mut client = Client::connect(host.address("smtp"));
    client.ehlo();
    let message = "From: ann@other.example\r\nSubject: x\r\n\r\nx\r\n";
    let reply = client.deliver("amy@other.example", &["ben@acme.example"], message);
    assert!(reply.starts_with("250"), "{reply}");
    client.quit();
    let ended = host.stop();
    let receipts = ended.site.receipts_by(&["--last", "1"]);
    let id = receipts[0]["verdict"]["id"].as_str().expect("an id");
    let host = ended.site.start();
    let again = rerun(&host, id);
    let decisions = again["decisions"].as_array().expect("decisions");
    let each = decisions.iter().map(|decision| {
        ["stage", "policy", "mode"].map(|key| decision[key].as_str().unwrap_or_default())
    });
    let each: Vec<_> = each.collect();
    assert_eq!(
        each,
        [
            ["recipient", "asks", "enforce"],
            ["content", "headers", "monitor"]
        ],
        "{again}"
    );
    assert_eq!(again["same"], true, "{again}");
    host.stop();
}

#[test]
fn a_decision_is_run_again_by_what_it_was_made_of() {
    let (host, id) = decided();
    let before = rerun(&host, &id);
    assert_eq!(before["same"], true, "{before}");
    change_all(&host);
    assert!(
        reply(&host).starts_with("250"),
        "nothing of it decides any more"
    );
    // Nor is what was compiled of the module there, which has to be made of the store.
    let site = host.stop().site;
    fs::remove_dir_all(site.path("data/modules")).expect("it is there");
    let host = site.start();
    let again = rerun(&host, &id);
    let decisions = again["decisions"].as_array().expect("decisions");
    let [asks, watches] = decisions.as_slice() else {
        unreachable!("{again}");
    };
    assert_eq!(again["same"], true, "{again}");
    let of = |decision: &Value| {
        ["policy", "mode", "stage"].map(|key| decision[key].as_str().unwrap_or("").to_owned())
    };
    assert_eq!(of(asks), ["asks", "enforce", "recipient"]);
    assert_eq!(of(watches), ["watches", "monitor", "recipient"]);
    assert_eq!(asks["again"], asks["then"]);
    assert!(
        asks["then"]["fuel"].as_u64().is_some_and(|fuel| fuel > 0),
        "{asks}"
    );
    assert!(asks["then"]["decision"]["enforced"].is_array(), "{asks}");
    let receipt = over_socket(&host, &format!("/v1/receipts/{id}"), &[])
        .expect(200)
        .json();
    assert_eq!(
        asks["again"]["fuel"], receipt["verdict"]["fuel"],
        "{receipt}"
    );
    assert_eq!(
        asks["again"]["reason"], receipt["verdict"]["reason"],
        "{receipt}"
    );
    let said = host.site().run_with("rerun", &[&id]).expect_code(0).stdout;
    assert!(
        said.starts_with("recipient: policy asks (enforce), module checks with SHA-256 "),
        "{said}"
    );
    assert!(
        said.ends_with("decision, reason and fuel are those of the receipt\n"),
        "{said}"
    );
    // It says what is there, and is nobody else's.
    let (other, _) = token(&host, "author", "acme");
    let path = format!("/v1/receipts/{id}/rerun");
    over_network(&host, &path, &other, &["-X", "POST"]).expect(200);
    put(
        &host,
        "/v1/tenants/bank",
        &json!({ "domains": ["bank.example"] }),
    );
    let (other, _) = token(&host, "author", "bank");
    over_network(&host, &path, &other, &["-X", "POST"]).expect(404);
    let erased = post(r#"{"address":"amy@partner.example"}"#);
    over_socket(&host, "/v1/erasures", &erased).expect(200);
    let gone = over_socket(&host, &path, &["-X", "POST"]).expect(410);
    assert!(gone.detail().contains("cannot be run again"), "{gone:?}");
    host.stop();
}

/// A store that has lost something says what, and stands in for it with nothing.
#[test]
fn what_is_not_kept_any_more_is_named() {
    let (host, id) = decided();
    change_all(&host);
    let mut site = host.stop().site;
    // The list, then the module, then the policy.
    for (table, key, missing) in [
        (
            "list_contents",
            "content LIKE '%partner.example%'",
            "list partners with SHA-256 ",
        ),
        ("module_contents", "1 = 1", "module checks with SHA-256 "),
        (
            "policy_contents",
            "content LIKE '%checks%'",
            "policy asks with SHA-256 ",
        ),
    ] {
        let file = site.path("data/portcullis.db").display().to_string();
        let script = "import sqlite3, sys\n\
            c = sqlite3.connect(sys.argv[1])\n\
            assert c.execute(sys.argv[2]).rowcount == 1\n\
            c.commit()\n";
        let sql = format!("DELETE FROM {table} WHERE {key}");
        tool::run("python3", &["-c", script, &file, &sql]).expect_code(0);
        let host = site.start();
        let again = rerun(&host, &id);
        assert_eq!(again["same"], Value::Null, "{again}");
        let asks = &again["decisions"][0];
        assert_eq!(
            (&asks["again"], &asks["same"]),
            (&Value::Null, &Value::Null),
            "{asks}"
        );
        let named = asks["missing"].as_array().expect("an array");
        let found = named
            .iter()
            .filter_map(Value::as_str)
            .any(|what| what.starts_with(missing));
        assert!(found, "{missing}: {asks}");
        // What does not rest on it is run all the same.
        assert_eq!(again["decisions"][1]["same"], true, "{again}");
        let said = host.site().run_with("rerun", &[&id]).expect_code(1).stdout;
        assert!(
            said.contains(&format!("not kept any more: {missing}")),
            "{said}"
        );
        assert!(
            said.ends_with("it cannot be run again as it was\n"),
            "{said}"
        );
        site = host.stop().site;
    }
}
