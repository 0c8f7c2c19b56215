//! Modules that are uploaded: compiled by and by, made active, rolled back, pinned and tried
//! out, by whoever may, without a restart and in nobody's way.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use portcullis::digest::Digest;
use portcullis_tests::api::{
    ADDRESS, Answer, REMOVE, over_network, over_socket, ready, resend, send, sending, settled,
    stock, token, upload,
};
use portcullis_tests::client::Client;
use portcullis_tests::program::stock_policy;
use portcullis_tests::site::{Host, Site};
use serde_json::{Value, json};

use crate::engine::small_bomb;

const MODULE: &str = "/v1/tenants/acme/modules/m";

/// A host that is managed over the API, with two tenants.
fn host() -> Host {
    host_with("")
}

fn host_with(settings: &str) -> Host {
    let site = Site::without_files().settings(ADDRESS).settings(settings);
    let host = site.start();
    for tenant in ["acme", "bank"] {
        let body = json!({ "domains": [format!("{tenant}.example")] }).to_string();
        let path = format!("/v1/tenants/{tenant}");
        over_socket(&host, &path, &send("PUT", &body)).expect(201);
    }
    let list = json!({ "entries": ["tls.example"] }).to_string();
    let path = "/v1/tenants/acme/lists/partners";
    over_socket(&host, path, &send("PUT", &list)).expect(201);
    host
}

fn digest(file: &str) -> String {
    Digest::of(&fs::read(file).expect("it was built")).to_string()
}

/// A file of this host's site.
fn file(host: &Host, name: &str, bytes: impl AsRef<[u8]>) -> String {
    let path: PathBuf = host.site().path(name);
    fs::write(&path, bytes).expect("the site can be written");
    path.display().to_string()
}

/// The same policy with other bytes: a custom section of this many bytes is added.
fn varied(number: u8) -> Vec<u8> {
    let mut bytes = fs::read(stock_policy("partner-list")).expect("it was built");
    bytes.extend([0, 3, 1, b'x', number]);
    bytes
}

fn activate(host: &Host, token: &str, revision: i64) -> Answer {
    let body = json!({ "revision": revision }).to_string();
    over_network(
        host,
        &format!("{MODULE}/active"),
        token,
        &resend("PUT", &body),
    )
}

fn policy(host: &Host, name: &str, keys: &Value) -> Answer {
    let path = format!("/v1/tenants/acme/policies/{name}");
    over_socket(host, &path, &send("PUT", &keys.to_string()))
}

/// The reply to a recipient of mail in clear from this sender.
fn rcpt(host: &Host, sender: &str, recipient: &str) -> String {
    let mut client = Client::connect(host.address("smtp"));
    client.ehlo();
    client.expect(&format!("MAIL FROM:<{sender}>"), "250");
    let reply = client.say(&format!("RCPT TO:<{recipient}>"));
    client.quit();
    reply
}

fn expect(host: &Host, recipient: &str, beginning: &str) {
    let reply = rcpt(host, "amy@tls.test", recipient);
    assert!(reply.starts_with(beginning), "{recipient}: {reply}");
}

#[test]
fn a_module_is_uploaded_made_active_rolled_back_and_pinned() {
    let host = host();
    let (author, _) = token(&host, "author", "acme");
    let (list, certificate) = (stock("partner-list"), stock("certificate-match"));
    let answer = upload(&host, MODULE, &author, &list).expect(202);
    assert!(
        answer
            .field("location")
            .is_some_and(|at| at.ends_with("/revisions/1"))
    );
    let first = settled(&host, &author, &answer);
    assert_eq!(first["state"], "ready", "{first}");
    assert_eq!(first["digest"], digest(&list));
    assert_eq!(first["reason"], Value::Null);
    // The same bytes are the same revision.
    let again = upload(&host, MODULE, &author, &list).expect(200).json();
    assert_eq!(again["number"], 1);
    // Until it is active there is no such module for policies.
    let asks = json!({ "option": "module", "module": "m" });
    let refused = policy(&host, "asks", &asks).expect(422);
    assert!(
        refused.detail().contains("there is no module \"m\""),
        "{refused:?}"
    );
    let unseen = send("PUT", "{\"revision\":1}");
    over_network(&host, &format!("{MODULE}/active"), &author, &unseen).expect(428);
    let active = activate(&host, &author, 1).expect(200);
    assert!(active.json()["in_force_ms"].is_number(), "{active:?}");
    policy(&host, "asks", &asks).expect(201);
    expect(&host, "ben@acme.example", "250");

    // The second is seen on the next message, the first again after a roll back.
    assert_eq!(ready(&host, MODULE, &author, &certificate), 2);
    expect(&host, "ben@acme.example", "250");
    let tag = active
        .field("etag")
        .expect("the module's revision")
        .to_owned();
    let seen = format!("If-Match: {tag}");
    let body = "{\"revision\":2}";
    let founded = [&send("PUT", body)[..], &["-H", &seen]].concat();
    let path = format!("{MODULE}/active");
    let dry = over_network(&host, &format!("{path}?dry_run=true"), &author, &founded).expect(200);
    assert_eq!(dry.json()["in_force_ms"], Value::Null);
    let line = dry.json()["changes"][0].to_string();
    assert!(line.contains("~ tenant acme: module m: digest"), "{line}");
    expect(&host, "ben@acme.example", "250");
    over_network(&host, &path, &author, &founded).expect(200);
    expect(&host, "ben@acme.example", "530 5.7.0");
    let stale = over_network(&host, &path, &author, &founded).expect(412);
    assert!(stale.detail().contains("look at it again"), "{stale:?}");

    let pin = json!({
        "option": "module", "module": "m", "revision": digest(&certificate),
        "to": "pilot@acme.example",
    });
    policy(&host, "pilot", &pin).expect(201);
    let back = format!("{MODULE}/rollback");
    let any = ["-X", "POST", "-H", "If-Match: *"];
    over_network(&host, &back, &author, &["-X", "POST"]).expect(428);
    over_network(&host, &back, &author, &any).expect(200);
    expect(&host, "ben@acme.example", "250");
    expect(&host, "pilot@acme.example", "530 5.7.0");
    let module = over_network(&host, MODULE, &author, &[]).expect(200).json();
    assert_eq!(
        (&module["active"], &module["previous"]),
        (&json!(1), &json!(2))
    );
    let unknown = json!({
        "option": "module", "module": "m", "revision": digest(&stock("modern-tls")),
    });
    let refused = policy(&host, "unknown", &unknown).expect(422);
    assert!(refused.detail().contains("has no revision"), "{refused:?}");

    // What it has in use is not removed.
    let refused = over_network(&host, MODULE, &author, &REMOVE).expect(409);
    assert!(refused.detail().contains("asks, pilot"), "{refused:?}");
    for name in ["asks", "pilot"] {
        let path = format!("/v1/tenants/acme/policies/{name}");
        over_socket(&host, &path, &REMOVE).expect(200);
    }
    over_network(&host, MODULE, &author, &REMOVE).expect(200);
    over_network(&host, MODULE, &author, &[]).expect(404);

    // Who did it is in the audit, and what was asked in the receipts.
    let audit = host
        .site()
        .run_with("audit", &["--tenant", "acme"])
        .expect_code(0);
    for line in [
        "token a-author",
        "+ tenant acme: module m revision 1\n",
        "+ tenant acme: module m revision 2\n",
        "- tenant acme: module m\n",
    ] {
        assert!(audit.stdout.contains(line), "{line}: {}", audit.stdout);
    }
    let site = host.stop().site;
    let used = site.receipt("pilot@acme.example")["verdict"]["policy"]["module"].clone();
    assert_eq!(used["digest"], digest(&certificate), "{used}");
}

#[test]
fn what_is_refused_displaces_nothing() {
    let host = host_with("[engine]\nmodule_size = 1048576");
    let (author, _) = token(&host, "author", "acme");
    let (viewer, _) = token(&host, "viewer", "acme");
    let (other, _) = token(&host, "author", "bank");
    let (list, modern) = (stock("partner-list"), stock("modern-tls"));
    assert_eq!(ready(&host, MODULE, &author, &list), 1);
    activate(&host, &author, 1).expect(200);
    let asks = json!({ "option": "module", "module": "m", "settings": { "list": "partners" } });
    policy(&host, "asks", &asks).expect(201);
    let running = |expected: &str| {
        let path = "/v1/tenants/acme/running";
        let running = over_network(&host, path, &viewer, &[]).expect(200).json();
        assert_eq!(running["modules"][0]["digest"], expected, "{running}");
    };

    // One that is no module, with the reason; its bytes are not kept, and are tried again.
    let text = file(&host, "text.wasm", "no module");
    for _ in 0..2 {
        let answer = upload(&host, MODULE, &author, &text).expect(202);
        let refused = settled(&host, &author, &answer);
        assert_eq!(
            (&refused["number"], &refused["state"]),
            (&json!(2), &json!("refused"))
        );
        let reason = refused["reason"].as_str().unwrap_or_default();
        assert!(reason.contains("WebAssembly"), "{refused}");
    }
    let audit = ["--tenant", "acme"];
    let audit = host.site().run_with("audit", &audit).expect_code(0).stdout;
    for line in [
        "+ tenant acme: module m revision 2\n",
        "~ tenant acme: module m revision 2: state \"refused\" → \"received\"\n",
    ] {
        assert!(audit.contains(line), "{line}: {audit}");
    }
    let refused = activate(&host, &author, 2).expect(409);
    assert!(refused.detail().contains("it was refused"), "{refused:?}");
    // One that does not take the settings.
    let third = ready(&host, MODULE, &author, &modern);
    let refused = activate(&host, &author, third).expect(422);
    let faults = refused.json()["faults"].clone();
    let first = faults[0].as_str().unwrap_or_default();
    assert!(first.starts_with("policy \"asks\": settings: "), "{faults}");
    running(&digest(&list));
    expect(&host, "ben@acme.example", "250");

    let large = file(&host, "large.wasm", vec![0; 1_048_577]);
    for (path, token, arguments, code, said) in [
        (
            MODULE,
            &author,
            sending(&large),
            413,
            "more than 1048576 bytes",
        ),
        (MODULE, &viewer, sending(&list), 403, "for authors"),
        (MODULE, &other, sending(&list), 404, "no tenant \"acme\""),
        (
            "/v1/tenants/acme/modules/A%20b",
            &author,
            sending(&list),
            400,
            "is not a name",
        ),
        (
            "/v1/tenants/acme/modules/m?dry_run=true",
            &author,
            sending(&list),
            400,
            "dry_run",
        ),
        (
            MODULE,
            &author,
            send("PUT", "{}").into_iter().map(str::to_owned).collect(),
            415,
            "application/wasm",
        ),
    ] {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let refused = over_network(&host, path, token, &arguments).expect(code);
        assert!(refused.detail().contains(said), "{path}: {refused:?}");
    }
    for (path, code, said) in [
        (format!("{MODULE}/revisions/9"), 404, "no revision \"9\""),
        (format!("{MODULE}/revisions/x"), 404, "no revision \"x\""),
        (format!("{MODULE}/revisions/1?wait=51"), 400, "wait: 51"),
        (
            "/v1/tenants/acme/modules/none/revisions/1".to_owned(),
            404,
            "no revision",
        ),
    ] {
        let refused = over_network(&host, &path, &viewer, &[]).expect(code);
        assert!(refused.detail().contains(said), "{path}: {refused:?}");
    }
    let any = ["-X", "POST", "-H", "If-Match: *"];
    let back = over_network(&host, &format!("{MODULE}/rollback"), &author, &any).expect(409);
    assert!(
        back.detail().contains("nothing to roll back to"),
        "{back:?}"
    );
    host.stop();
}

/// What a client does not send to its end leaves nothing.
#[test]
fn an_upload_that_is_cut_off_leaves_nothing() {
    let host = host();
    let (author, _) = token(&host, "author", "acme");
    let bytes = fs::read(stock_policy("partner-list")).expect("it was built");
    let mut stream = TcpStream::connect(host.address("admin")).expect("it listens");
    let head = format!(
        "PUT {MODULE} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {author}\r\n\
         Content-Type: application/wasm\r\nContent-Length: {}\r\n\r\n",
        bytes.len()
    );
    stream.write_all(head.as_bytes()).expect("it reads");
    stream
        .write_all(&bytes[..bytes.len() / 2])
        .expect("it reads");
    stream.shutdown(Shutdown::Write).expect("it is connected");
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 400"),
        "{answer}"
    );
    over_network(&host, MODULE, &author, &[]).expect(404);
    assert_eq!(ready(&host, MODULE, &author, &stock("partner-list")), 1);
    host.stop();
}

/// One tenant sends a hundred, each of them slow to compile; the others do not notice.
#[test]
fn a_hundred_uploads_at_once_are_in_nobodys_way() {
    let host = host();
    let (author, _) = token(&host, "author", "acme");
    let (other, _) = token(&host, "author", "bank");
    let bomb = small_bomb();
    let files: Vec<String> = (0..100_u8)
        .map(|number| {
            let mut bytes = bomb.clone();
            bytes.extend([0, 3, 1, b'x', number]);
            file(&host, &format!("bomb-{number}.wasm"), bytes)
        })
        .collect();
    let codes: Vec<u16> = thread::scope(|scope| {
        let uploads: Vec<_> = files
            .iter()
            .map(|file| scope.spawn(|| upload(&host, MODULE, &author, file).code))
            .collect();
        uploads
            .into_iter()
            .map(|upload| upload.join().expect("it is answered"))
            .collect()
    });
    let count = |code: u16| codes.iter().filter(|found| **found == code).count();
    // Sixteen of a tenant may wait; whoever sends too many at one time is told so.
    assert!((1..=16).contains(&count(202)), "{codes:?}");
    assert_eq!(count(202) + count(429), 100, "{codes:?}");

    // While its modules are compiled one after the other, the other tenant's is.
    let path = "/v1/tenants/bank/modules/m";
    let began = Instant::now();
    assert_eq!(ready(&host, path, &other, &stock("partner-list")), 1);
    let body = "{\"revision\":1}";
    over_network(
        &host,
        &format!("{path}/active"),
        &other,
        &resend("PUT", body),
    )
    .expect(200);
    let enforced = json!({ "option": "enforced" }).to_string();
    let policy = "/v1/tenants/bank/policies/all";
    over_socket(&host, policy, &send("PUT", &enforced)).expect(201);
    expect(&host, "ben@bank.example", "530 5.7.0");
    let waiting = over_network(&host, MODULE, &author, &[]).expect(200).json();
    let revisions = waiting["revisions"].as_array().expect("revisions").clone();
    let waits =
        |revision: &&Value| revision["state"] == "received" || revision["state"] == "compiling";
    assert!(
        count(202) < 3 || revisions.iter().any(|revision| waits(&revision)),
        "the others waited for all of them, {:?}: {waiting}",
        began.elapsed()
    );
    host.stop();
}

/// What was received is on disk: a crash while it is compiled loses nothing of it.
#[test]
fn a_crash_while_compiling_is_made_up_for_at_the_next_start() {
    let host = host_with("[engine]\ncompile_time_s = 2");
    let (author, _) = token(&host, "author", "acme");
    let bomb = file(&host, "bomb.wasm", small_bomb());
    upload(&host, MODULE, &author, &bomb).expect(202);
    let sound = upload(&host, MODULE, &author, &stock("partner-list")).expect(202);
    let before = over_network(&host, &format!("{MODULE}/revisions/2"), &author, &[]);
    assert_eq!(
        before.expect(200).json()["state"],
        "received",
        "the first is compiled"
    );
    let host = host.kill().site.start();
    let settled = settled(&host, &author, &sound);
    assert_eq!(settled["state"], "ready", "{settled}");
    activate(&host, &author, 2).expect(200);
    host.stop();
}

#[test]
fn a_module_is_tried_out_before_it_is_active() {
    let host = host();
    let (author, _) = token(&host, "author", "acme");
    let (viewer, _) = token(&host, "viewer", "acme");
    let (other, _) = token(&host, "author", "bank");
    policy(&host, "all", &json!({ "option": "enforced" })).expect(201);
    let reply = rcpt(&host, "amy@tls.example", "ben@acme.example");
    let (_, id) = reply.rsplit_once('[').expect("the id of the receipt");
    let id = id.trim_end().trim_end_matches(']');
    let began = Instant::now();
    // Receipts are written a moment later.
    let receipt = loop {
        let found = over_network(&host, &format!("/v1/receipts/{id}"), &author, &[]);
        if found.code == 200 {
            break found.json();
        }
        assert!(began.elapsed() < Duration::from_secs(20), "no receipt {id}");
        thread::yield_now();
    };
    assert_eq!(ready(&host, MODULE, &author, &stock("partner-list")), 1);
    let path = "/v1/tenants/acme/dry-runs";
    let try_out = |token: &str, body: &Value| {
        over_network(&host, path, token, &send("POST", &body.to_string()))
    };
    let asked = json!({ "module": "m", "revision": 1, "receipt": id });
    let answer = try_out(&author, &asked).expect(200).json();
    assert_eq!(answer["decision"], json!({ "enforced": [] }), "{answer}");
    assert_eq!(answer["failure"], Value::Null);
    assert!(
        answer["fuel"].as_u64().is_some_and(|fuel| fuel > 0),
        "{answer}"
    );
    assert_eq!(answer["digest"], digest(&stock("partner-list")));
    // On facts that are given, and with settings that name no list.
    let mut facts = receipt["verdict"]["facts"].clone();
    facts["sender"] = "amy@elsewhere.example".into();
    facts["tenant"] = "bank".into();
    let asked = json!({ "module": "m", "revision": 1, "facts": facts });
    let answer = try_out(&author, &asked).expect(200).json();
    assert_eq!(answer["decision"], "default", "{answer}");
    let lost = json!({
        "module": "m", "revision": 1, "facts": facts, "settings": { "list": "none" },
    });
    let answer = try_out(&author, &lost).expect(200).json();
    assert_eq!(answer["failure"]["code"], "unknown-list", "{answer}");
    assert_eq!(answer["decision"], Value::Null);
    for (token, body, code, said) in [
        (&viewer, &asked, 403, "for authors"),
        (&other, &asked, 404, "no tenant"),
        (
            &author,
            &json!({ "module": "m", "receipt": id }),
            409,
            "no revision of module \"m\" is active",
        ),
        (
            &author,
            &json!({ "module": "none", "receipt": id }),
            404,
            "no module",
        ),
        (
            &author,
            &json!({ "module": "m", "revision": 2, "receipt": id }),
            404,
            "no revision",
        ),
        (
            &author,
            &json!({ "module": "m", "revision": 1 }),
            422,
            "either",
        ),
        (
            &author,
            &json!({ "module": "m", "revision": 1, "receipt": "none" }),
            404,
            "no receipt",
        ),
        (
            &author,
            &json!({ "module": "m", "revision": 1, "receipt": id, "settings": { "list": 1 } }),
            422,
            "settings/list",
        ),
        (
            &author,
            &json!({ "module": "m", "revision": 1, "facts": {} }),
            422,
            "facts",
        ),
    ] {
        let refused = try_out(token, body).expect(code);
        assert!(refused.detail().contains(said), "{body}: {refused:?}");
    }
    // Nothing of it is recorded.
    let site = host.stop().site;
    assert_eq!(site.receipts().len(), 1);
}

/// Where files have the last word nothing is uploaded, and what is removed is gone.
#[test]
fn files_have_the_last_word_and_what_was_never_active_is_removed() {
    let host = Site::new()
        .settings(ADDRESS)
        .tenant("acme", "domains = [\"acme.example\"]")
        .start();
    let (author, _) = token(&host, "author", "acme");
    let refused = upload(&host, MODULE, &author, &stock("partner-list")).expect(409);
    assert!(
        refused.detail().contains("have the last word"),
        "{refused:?}"
    );
    host.stop();

    let host = self::host();
    let (author, _) = token(&host, "author", "acme");
    let quotas = json!({
        "domains": ["acme.example"],
        "operator": { "quotas": { "modules": 1, "module_revisions": 3 } },
    });
    let path = "/v1/tenants/acme";
    over_socket(&host, path, &resend("PUT", &quotas.to_string())).expect(200);
    for number in 1..=4 {
        let varied = file(&host, "varied.wasm", varied(number));
        assert_eq!(ready(&host, MODULE, &author, &varied), i64::from(number));
        if number < 3 {
            activate(&host, &author, number.into()).expect(200);
        }
    }
    let module = over_network(&host, MODULE, &author, &[]).expect(200).json();
    let numbers = module["revisions"].as_array().expect("revisions").iter();
    let numbers: Vec<i64> = numbers.filter_map(|one| one["number"].as_i64()).collect();
    assert_eq!(
        numbers,
        [4, 2, 1],
        "the active one and the one before it stay"
    );
    let other = "/v1/tenants/acme/modules/other";
    let refused = upload(&host, other, &author, &stock("partner-list")).expect(409);
    assert!(refused.detail().contains("quotas.modules"), "{refused:?}");

    let path = "/v1/tenants/bank/modules/m";
    let (bank, _) = token(&host, "author", "bank");
    ready(&host, path, &bank, &stock("partner-list"));
    over_network(&host, path, &bank, &["-X", "DELETE"]).expect(428);
    over_network(&host, path, &bank, &REMOVE).expect(200);
    over_network(&host, path, &bank, &[]).expect(404);
    host.stop();
}
