//! Replays: a change is asked about the mail of the past, over the API and on the command
//! line; and what keeps one from its end.

mod proof;
mod rollout;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use portcullis_tests::api::{
    ADDRESS, Answer, over_network, over_socket, post, ready, resend, send, stock, token,
};
use portcullis_tests::client::{Client, Tls};
use portcullis_tests::program::portcullis;
use portcullis_tests::site::{Host, Site};
use portcullis_tests::tool::{self, Ran};
use rustix::process::{Pid, Signal, kill_process};
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

#[test]
fn a_candidate_that_traps_on_some_receipts_is_told_with_a_sample_and_brings_nobody_into_quarantine()
{
    let host = host();
    let (author, _) = token(&host, "author", "acme");
    let module = "/v1/tenants/acme/modules/checks";
    let number = ready(&host, module, &author, &guest_file(&host));
    let body = json!({ "revision": number }).to_string();
    over_socket(&host, &format!("{module}/active"), &resend("PUT", &body)).expect(200);
    // More than a quarantine takes.
    mail(&host, None, "", &["ann@acme.example"; 25]);
    mail(&host, None, "amy@clear.example", &["ann@acme.example"; 5]);
    wait_for(&host, "acme", 30);
    let asks = json!({ "name": "asks", "option": "module", "module": "checks" });
    let found = replayed(&host, "acme", &json!({ "policy": asks }));
    let result = &found["result"];
    let failure = &result["failures"][0];
    assert_eq!(
        (&failure["code"], &failure["receipts"]),
        (&json!("trap"), &json!(25))
    );
    let sample = failure["sample"].as_str().expect("an id");
    over_socket(&host, &format!("/v1/receipts/{sample}"), &[]).expect(200);
    assert_eq!(result["newly_refused"], 25, "{result}");
    assert_eq!(result["refused"][0]["sender"], Value::Null);
    assert_eq!(result["refused"][0]["by"], json!({ "policy-failed": 25 }));
    // In force it still answers: nothing has noted that it broke down.
    let asks = json!({ "option": "module", "module": "checks", "on_failure": "opportunistic" });
    let policy = "/v1/tenants/acme/policies/asks";
    over_socket(&host, policy, &send("PUT", &asks.to_string())).expect(201);
    let reply = &mail(&host, None, "amy@clear.example", &["ann@acme.example"])[0];
    assert!(reply.starts_with("250"), "{reply}");
    let site = host.stop().site;
    let last = site.receipts().pop().expect("a receipt");
    assert!(last["verdict"]["failure"].is_null(), "{last}");
    assert_eq!(last["verdict"]["policy"]["name"], "asks");
}

#[test]
fn receipts_of_what_is_gone_are_decided_like_any_others() {
    let host = host();
    let (author, _) = token(&host, "author", "acme");
    let module = "/v1/tenants/acme/modules/checks";
    let number = ready(&host, module, &author, &stock("certificate-match"));
    let body = json!({ "revision": number }).to_string();
    over_socket(&host, &format!("{module}/active"), &resend("PUT", &body)).expect(200);
    let asks = json!({ "option": "module", "module": "checks" });
    let policy = "/v1/tenants/acme/policies/asks";
    over_socket(&host, policy, &send("PUT", &asks.to_string())).expect(201);
    let reply = &mail(&host, None, "amy@clear.example", &["ann@acme.example"])[0];
    assert!(reply.starts_with("530"), "{reply}");
    wait_for(&host, "acme", 1);
    for path in [policy, module] {
        over_socket(&host, path, &["-X", "DELETE", "-H", "If-Match: *"]).expect(200);
    }
    let found = replayed(&host, "acme", &json!({ "tenant": {} }));
    assert_eq!(found["result"]["newly_accepted"], 1, "{found}");
    // A tenant that is gone has none, and neither has the next of its name.
    let location = format!(
        "/v1/tenants/acme/replays/{}",
        found["id"].as_str().expect("an id")
    );
    over_socket(&host, &location, &[]).expect(200);
    over_socket(
        &host,
        "/v1/tenants/acme",
        &["-X", "DELETE", "-H", "If-Match: *"],
    )
    .expect(200);
    start(&host, "acme", &enforced()).expect(404);
    let domains = json!({ "domains": ["acme.example"] }).to_string();
    over_socket(&host, "/v1/tenants/acme", &send("PUT", &domains)).expect(201);
    over_socket(&host, &location, &[]).expect(404);
    host.stop();
}

#[test]
fn what_cannot_be_asked_is_said() {
    let host = host();
    let policy = |keys: Value| json!({ "policy": keys });
    for (request, code, said) in [
        (json!({}), 422, "give one candidate"),
        (
            json!({ "without": "a", "policy": {} }),
            422,
            "give one candidate",
        ),
        (json!({ "without": "all" }), 404, "no policy \"all\""),
        (json!({ "other": 1 }), 400, "unknown field `other`"),
        (
            policy(json!({ "option": "enforced" })),
            422,
            "name: is missing",
        ),
        (
            policy(json!({ "name": "all", "option": "enforce" })),
            422,
            "enforced",
        ),
        (
            json!({ "module": { "name": "m", "revision": 1 } }),
            404,
            "no revision",
        ),
        (json!({ "directory": "relative" }), 400, "is not absolute"),
        (json!({ "directory": "/nowhere" }), 422, "1 fault"),
        (
            json!({ "tenant": { "policies": [{ "name": "a", "option": "default" }, { "name": "a" }] } }),
            422,
            "tenant.policies[1]",
        ),
        (
            json!({ "from": "2026-03-02T00:00:00Z", "to": "2026-03-01T00:00:00Z", "without": "a" }),
            422,
            "is not after",
        ),
        (
            json!({ "from": "yesterday", "without": "a" }),
            400,
            "is not a time",
        ),
    ] {
        let answer = start(&host, "acme", &request).expect(code);
        let problem = answer.json().to_string().replace("\\\"", "\"");
        assert!(problem.contains(said), "{request}: {said}: {answer:?}");
    }
    start(&host, "nobody", &enforced()).expect(404);
    over_socket(&host, "/v1/tenants/acme/replays/x", &[]).expect(404);
    let (viewer, _) = token(&host, "viewer", "acme");
    let request = enforced().to_string();
    let path = "/v1/tenants/acme/replays";
    let refused = over_network(&host, path, &viewer, &post(&request)).expect(403);
    assert!(
        refused.detail().contains("this is for authors"),
        "{refused:?}"
    );
    let (other, _) = token(&host, "admin", "bank");
    over_network(&host, path, &other, &post(&request)).expect(404);

    // A period with none is no failure, and says so.
    host.write("all.toml", ALL);
    let file = host.site().path("all.toml").display().to_string();
    let policy = ["--tenant", "acme", "--policy", &file];
    let none = command(&host, &policy).expect_code(0).stdout;
    assert!(
        none.starts_with("there are no receipts of acme from "),
        "{none}"
    );
    let reversed = [
        &policy[..],
        &["--since", "2026-03-02", "--until", "2026-03-01"],
    ]
    .concat();
    let said = command(&host, &reversed).expect_code(1).stderr;
    assert!(said.contains("is not after"), "{said}");
    for (arguments, said) in [
        (vec!["--tenant", "acme"], "required"),
        (
            vec!["--without", "a", "--policy", "b"],
            "cannot be used with",
        ),
        (vec!["--module", "m"], "partner-list@3"),
        (
            vec!["--since", "x", "--without", "a"],
            "how long ago, such as 7d",
        ),
    ] {
        let ran = command(&host, &arguments).expect_code(2);
        assert!(ran.stderr.contains(said), "{arguments:?}: {}", ran.stderr);
    }
    let missing = ["--tenant", "acme", "--without", "a"];
    command(&host, &missing).expect_code(4);
    host.stop();
}

/// A host whose tenant acme has receipts for a while: each is asked of a module that takes
/// its time.
fn with_much_to_do() -> (Host, Value) {
    let host = host_with("[engine]\ninstances = 4\nfuel = 1000000000\ndeadline_ms = 5000\n");
    let (author, _) = token(&host, "author", "acme");
    host.write("slow.wasm", crate::engine::guest::spins(3_000_000));
    let file = host.site().path("slow.wasm").display().to_string();
    let module = "/v1/tenants/acme/modules/slow";
    let number = ready(&host, module, &author, &file);
    let body = json!({ "revision": number }).to_string();
    over_socket(&host, &format!("{module}/active"), &resend("PUT", &body)).expect(200);
    mail(
        &host,
        None,
        "amy@clear.example",
        &["ann@acme.example"; 2_000],
    );
    wait_for(&host, "acme", 2_000);
    let asks = json!({ "name": "slow", "option": "module", "module": "slow" });
    (host, json!({ "policy": asks }))
}

#[test]
fn a_replay_ends_when_it_is_cancelled_when_its_tenant_goes_and_when_the_host_stops() {
    let (host, slow) = with_much_to_do();
    let begun = start(&host, "acme", &slow).expect(202);
    // One at a time of each tenant; another tenant's is none of it.
    let busy = start(&host, "acme", &enforced()).expect(429);
    assert!(busy.detail().contains("another replay"), "{busy:?}");
    replayed(&host, "bank", &enforced());
    let location = location(&begun);
    let cancelled = over_socket(&host, &location, &["-X", "DELETE"])
        .expect(200)
        .json();
    assert_eq!(cancelled["state"], "cancelled", "{cancelled}");
    assert!(cancelled["result"].is_null());
    assert!(cancelled["done"].as_u64() < Some(2_000), "{cancelled}");
    assert_eq!(cancelled["of"], 2_000);
    // What has ended stays as it is, and the next may begin.
    let again = over_socket(&host, &location, &["-X", "DELETE"])
        .expect(200)
        .json();
    assert_eq!(again["state"], "cancelled");
    assert_eq!(
        replayed(&host, "acme", &enforced())["result"]["newly_refused"],
        2_000
    );

    // On the command line Ctrl-C cancels it on the host.
    host.write("slow.json", slow["policy"].to_string());
    let config = host.site().path("portcullis.toml").display().to_string();
    let file = host.site().path("slow.json").display().to_string();
    let child = Command::new(portcullis())
        .args([
            "replay", "--config", &config, "--tenant", "acme", "--policy", &file,
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary was built");
    let began = Instant::now();
    // What is nonsense takes nobody's turn.
    let reversed = json!({ "from": "2026-03-02T00:00:00Z", "to": "2026-03-01T00:00:00Z" });
    while start(&host, "acme", &reversed).code != 429 {
        assert!(began.elapsed() < PATIENCE, "it never began");
    }
    let pid = Pid::from_child(&child);
    kill_process(pid, Signal::INT).expect("it runs");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(1));
    let said = tool::text(&output.stderr);
    assert!(said.contains("cancelled, here and on the host"), "{said}");
    replayed(&host, "acme", &enforced());

    // A tenant that is removed takes its replay with it; the host does not wait for one.
    start(&host, "acme", &slow).expect(202);
    over_socket(
        &host,
        "/v1/tenants/acme",
        &["-X", "DELETE", "-H", "If-Match: *"],
    )
    .expect(200);
    host.stop();
}

#[test]
fn a_host_that_stops_does_not_wait_for_a_replay() {
    let (host, slow) = with_much_to_do();
    start(&host, "acme", &slow).expect(202);
    let began = Instant::now();
    host.stop();
    assert!(began.elapsed() < Duration::from_secs(30));
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

/// Retention takes receipts away while they are gone over: a host looks what is over when it
/// starts. Each of them is there or not.
#[test]
fn retention_takes_nothing_from_a_replay_but_receipts() {
    let (host, slow) = with_much_to_do();
    let quota = json!({
        "domains": ["acme.example"],
        "operator": { "quotas": { "receipt_count": 1_000 } },
    });
    let path = "/v1/tenants/acme";
    over_socket(&host, path, &resend("PUT", &quota.to_string())).expect(200);
    let host = host.stop().site.start();
    let found = ended(&host, &start(&host, "acme", &slow).expect(202));
    assert_eq!(found["state"], "done", "{found}");
    let result = &found["result"];
    let receipts = result["receipts"].as_u64().expect("a number");
    assert!((1_000..=2_000).contains(&receipts), "{result}");
    assert_eq!(result["unchanged"], receipts, "{result}");
    wait_for(&host, "acme", 1_000);
    host.stop();
}
