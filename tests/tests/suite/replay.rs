//! Replays: a change is asked about the mail of the past, over the API and on the command
//! line; and what keeps one from its end.

mod bad_input;
mod endings;
mod proof;
mod rollout;

use std::time::{Duration, Instant};

use portcullis_tests::api::{
    ADDRESS, Answer, over_network, over_socket, post, ready, resend, send, stock, token,
};
use portcullis_tests::client::{Client, Tls};
use portcullis_tests::program::portcullis;
use portcullis_tests::site::{Host, Site};
use portcullis_tests::tool::{self, Ran};
use serde_json::{Value, json};

use crate::engine::guest::traps_for_the_null_sender;

/// Longest wait for receipts and replays, beside everything else that runs.
const PATIENCE: Duration = Duration::from_secs(120);

/// Two tenants, kept by the store.
fn host() -> Host {
    host_with("")
}

fn host_with(settings: &str) -> Host {
    let host = Site::without_files()
        .settings(ADDRESS)
        .settings("[delivery]\nkind = \"discard\"")
        .settings(settings)
        .start();
    for tenant in ["acme", "bank"] {
        let domains = json!({ "domains": [format!("{tenant}.example")] }).to_string();
        let path = format!("/v1/tenants/{tenant}");
        over_socket(&host, &path, &send("PUT", &domains)).expect(201);
    }
    host
}

/// So many messages of one sender, in one session; what each recipient was told.
fn mail(host: &Host, tls: Option<&Tls>, sender: &str, recipients: &[&str]) -> Vec<String> {
    let address = host.address("smtp");
    let mut client = match tls {
        Some(tls) => Client::starttls(address, tls),
        None => {
            let mut client = Client::connect(address);
            client.ehlo();
            client
        }
    };
    let mut replies = Vec::new();
    for recipient in recipients {
        client.expect(&format!("MAIL FROM:<{sender}>"), "250");
        let reply = client.say(&format!("RCPT TO:<{recipient}>"));
        if reply.starts_with("250") {
            client.expect("DATA", "354");
            client.send(format!("From: <{sender}>\r\n\r\ntext\r\n.\r\n"));
            client.reply();
        } else {
            client.expect("RSET", "250");
        }
        replies.push(reply);
    }
    client.quit();
    replies
}

/// Waits until so many receipts of a tenant are kept.
fn wait_for(host: &Host, tenant: &str, receipts: u64) {
    let began = Instant::now();
    loop {
        let found = replayed(host, tenant, &json!({ "tenant": {} }));
        if found["result"]["receipts"] == receipts {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{receipts}: {found}");
    }
}

fn start(host: &Host, tenant: &str, request: &Value) -> Answer {
    let path = format!("/v1/tenants/{tenant}/replays");
    over_socket(host, &path, &post(&request.to_string()))
}

/// Where a replay is that has begun.
fn location(begun: &Answer) -> String {
    let found = begun.json();
    let text = |key: &str| found[key].as_str().expect("a text").to_owned();
    let path = format!("/v1/tenants/{}/replays/{}", text("tenant"), text("id"));
    let said = begun.field("location").expect("where it is");
    assert_eq!(said, path.to_ascii_lowercase());
    path
}

/// What became of a replay, once it has ended.
fn ended(host: &Host, begun: &Answer) -> Value {
    let location = location(begun);
    let began = Instant::now();
    loop {
        let found = over_socket(host, &format!("{location}?wait=50"), &[])
            .expect(200)
            .json();
        if found["state"] != "running" {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "{found}");
    }
}

/// A replay that comes to its end.
fn replayed(host: &Host, tenant: &str, request: &Value) -> Value {
    let found = ended(host, &start(host, tenant, request).expect(202));
    assert_eq!(found["state"], "done", "{found}");
    found
}

fn command(host: &Host, arguments: &[&str]) -> Ran {
    let config = host.site().path("portcullis.toml").display().to_string();
    let program = portcullis().display().to_string();
    let all = [&["replay", "--config", &config][..], arguments].concat();
    tool::run(&program, &all)
}

const ALL: &str = "name = \"all\"\noption = \"enforced\"\n";

fn enforced() -> Value {
    json!({ "policy": { "name": "all", "option": "enforced" } })
}

/// The same over the API and on the command line, for people and for programs.
#[test]
fn a_change_is_asked_about_the_mail_of_the_past() {
    let host = host();
    mail(&host, None, "amy@clear.example", &["ann@acme.example"; 3]);
    mail(
        &host,
        Some(&Tls::tls13()),
        "amy@tls.example",
        &["ann@acme.example"; 2],
    );
    mail(
        &host,
        None,
        "amy@clear.example",
        &["postmaster@acme.example", "ben@bank.example"],
    );
    wait_for(&host, "acme", 6);
    let found = replayed(&host, "acme", &enforced());
    let result = &found["result"];
    assert_eq!(result["changes"], json!(["+ tenant acme: policy all"]));
    assert_eq!(result["receipts"], 6);
    assert_eq!(
        (&result["newly_refused"], &result["unchanged"]),
        (&json!(3), &json!(3))
    );
    let refused = result["refused"].as_array().expect("senders");
    assert_eq!(refused.len(), 1, "{result}");
    assert_eq!(refused[0]["sender"], "clear.example");
    assert_eq!(refused[0]["by"], json!({ "plaintext": 3 }));
    assert_eq!(refused[0]["asked"]["receipts"], 3);
    assert_eq!(refused[0]["asked"]["of_senders_in_tls"], 0);
    let pair = &result["pairs"].as_array().expect("pairs")[1];
    assert_eq!(
        (&pair["was"], &pair["would_be"]),
        (&json!("accepted"), &json!("plaintext"))
    );
    let sample = pair["samples"][0].as_str().expect("an id");
    over_socket(&host, &format!("/v1/receipts/{sample}"), &[]).expect(200);

    host.write("all.toml", ALL);
    let file = host.site().path("all.toml").display().to_string();
    let policy = ["--tenant", "acme", "--policy", &file];
    let told = command(&host, &policy).expect_code(0).stdout;
    for part in [
        "6 receipts of acme from ",
        "newly refused   3",
        "clear.example     3 ",
        "never did",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let json = command(&host, &[&policy[..], &["--json"]].concat())
        .expect_code(0)
        .stdout;
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(&json["result"], result);

    // Nothing of it is in force.
    let reply = &mail(&host, None, "amy@clear.example", &["ann@acme.example"])[0];
    assert!(reply.starts_with("250"), "{reply}");
    over_socket(&host, "/v1/tenants/acme/policies/all", &[]).expect(404);
    host.stop();
}

/// A policy taken away, a revision, a document, a directory.
#[test]
fn a_candidate_comes_in_every_form_of_a_change() {
    let host = host();
    let (author, _) = token(&host, "author", "acme");
    let module = "/v1/tenants/acme/modules/checks";
    let number = ready(&host, module, &author, &stock("partner-list"));
    let body = json!({ "revision": number }).to_string();
    over_socket(&host, &format!("{module}/active"), &resend("PUT", &body)).expect(200);
    let keys = json!({ "entries": { "clear.example": "tls" } });
    let list = "/v1/tenants/acme/lists/partners";
    over_socket(&host, list, &send("PUT", &keys.to_string())).expect(201);
    let asks =
        json!({ "option": "module", "module": "checks", "settings": { "list": "partners" } });
    let policy = "/v1/tenants/acme/policies/asks";
    over_socket(&host, policy, &send("PUT", &asks.to_string())).expect(201);
    mail(&host, None, "amy@clear.example", &["ann@acme.example"; 2]);
    mail(&host, None, "amy@other.example", &["ann@acme.example"]);
    wait_for(&host, "acme", 3);
    let counts = |found: &Value| {
        let result = &found["result"];
        ["newly_refused", "newly_accepted", "unchanged"].map(|key| result[key].as_u64())
    };
    let without = replayed(&host, "acme", &json!({ "without": "asks" }));
    assert_eq!(counts(&without), [Some(0), Some(2), Some(1)]);
    let lists = json!({ "tenant": { "lists": { "partners": { "other.example": "tls" } } } });
    assert_eq!(
        counts(&replayed(&host, "acme", &lists)),
        [Some(1), Some(2), Some(0)]
    );
    let own = json!({ "tenant": { "own": { "defaults": { "decision": "enforced" } } } });
    assert_eq!(
        counts(&replayed(&host, "acme", &own)),
        [Some(1), Some(0), Some(2)]
    );
    // A revision that was never active, and does not take the settings.
    let other = ready(&host, module, &author, &stock("certificate-match"));
    let refused = start(
        &host,
        "acme",
        &json!({ "module": { "name": "checks", "revision": other } }),
    );
    let refused = refused.expect(422).detail();
    assert!(refused.contains("policy \"asks\": settings"), "{refused}");
    let newer = ready(&host, module, &author, &guest_file(&host));
    let revision = format!("checks@{newer}");
    let told = command(
        &host,
        &["--tenant", "acme", "--module", &revision, "--json"],
    );
    let told: Value = serde_json::from_str(&told.expect_code(0).stdout).expect("JSON");
    assert_eq!(counts(&told), [Some(0), Some(2), Some(1)], "{told}");

    let tree = host.site().path("tree").display().to_string();
    let config = host.site().path("portcullis.toml").display().to_string();
    let program = portcullis().display().to_string();
    tool::run(&program, &["export", "--config", &config, &tree]).expect_code(0);
    let directory = ["--tenant", "acme", "--directory", &tree];
    let told = command(&host, &directory).expect_code(0).stdout;
    assert!(told.contains("the candidate is what is in force"), "{told}");
    let file = host.site().path("tree/tenants/acme.toml");
    let text = std::fs::read_to_string(&file).expect("exported");
    host.write(
        "tree/tenants/acme.toml",
        format!("{text}\n[[policy]]\n{ALL}override = true\n"),
    );
    let told = command(&host, &[&directory[..], &["--json"]].concat())
        .expect_code(0)
        .stdout;
    let told: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(counts(&told), [Some(1), Some(0), Some(2)], "{told}");
    // Files are read by the host: for its owner alone, whatever the role.
    let (operator, _) = token(&host, "operator", "");
    let request = json!({ "directory": tree }).to_string();
    over_network(
        &host,
        "/v1/tenants/acme/replays",
        &operator,
        &post(&request),
    )
    .expect(403);
    std::fs::remove_file(&file).expect("it is there");
    let gone = command(&host, &directory).expect_code(1).stderr;
    assert!(gone.contains("has no tenant \"acme\""), "{gone}");
    host.stop();
}

/// A guest that traps for the null sender, as a file of the site.
fn guest_file(host: &Host) -> String {
    host.write("traps.wasm", traps_for_the_null_sender());
    host.site().path("traps.wasm").display().to_string()
}

/// Where files have the last word, nothing is changed by asking.
#[test]
fn files_keep_nobody_from_asking() {
    let host = Site::new()
        .settings(ADDRESS)
        .settings("[receipts]\nstore = false\nfiles = true")
        .tenant("acme", "domains = [\"acme.example\"]")
        .start();
    mail(&host, None, "amy@clear.example", &["ann@acme.example"; 2]);
    wait_for(&host, "acme", 2);
    let found = replayed(&host, "acme", &enforced());
    assert_eq!(found["result"]["newly_refused"], 2, "{found}");
    assert!(found["of"].is_null());
    host.stop();
}
