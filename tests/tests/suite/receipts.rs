//! Receipts in the store: found, held to quotas, erased, and kept through trouble.

use std::fs;
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use portcullis_tests::api::{over_network, over_socket, post, token};
use portcullis_tests::client::Client;
use portcullis_tests::locked::Locked;
use portcullis_tests::site::{Host, Site};
use serde_json::{Value, json};

/// Longest wait for what is done in a moment, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

const ACME: &str = "domains = [\"acme.example\"]\n\
    [[policy]]\nname = \"board\"\nto = \"board@acme.example\"\noption = \"enforced\"\n";

fn site() -> Site {
    Site::new()
        .settings("[admin]\naddress = \"127.0.0.1:0\"\n[delivery]\nkind = \"discard\"")
        .tenant("acme", ACME)
        .tenant("bank", "domains = [\"bank.example\"]")
}

/// A session that has introduced itself, from this sender.
fn from(host: &Host, sender: &str) -> Client {
    let mut client = Client::connect(host.address("smtp"));
    client.ehlo();
    client.expect(&format!("MAIL FROM:<{sender}>"), "250");
    client
}

/// Asks until it is so.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "{what} has not come to be");
        thread::yield_now();
    }
}

fn recipients(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().expect("items");
    let recipient = |item: &Value| {
        let event = match item["relay"].is_object() {
            true => &item["relay"]["recipient"],
            false => &item["verdict"]["facts"]["recipient"],
        };
        event.as_str().expect("a recipient").to_owned()
    };
    items.iter().map(recipient).collect()
}

#[test]
fn receipts_are_found_by_what_is_known_of_the_mail() {
    let host = site().start();
    let mut client = from(&host, "amy@partner.example");
    client.expect("RCPT TO:<ann@acme.example>", "250");
    client.expect("RCPT TO:<board@acme.example>", "530");
    client.expect("RCPT TO:<ben@bank.example>", "250");
    client.expect("RCPT TO:<x@elsewhere.example>", "550");
    client.quit();
    let mut client = from(&host, "");
    client.expect("RCPT TO:<art@acme.example>", "250");
    client.quit();
    let (viewer, _) = token(&host, "viewer", "acme");
    let all = || over_socket(&host, "/v1/receipts", &[]).expect(200).json();
    until("each receipt", || recipients(&all()).len() == 5);
    let today = "from=2026-01-01T00:00:00Z";
    for (query, of_operator, of_acme) in [
        ("", "art x ben board ann", "art board ann"),
        ("sender=AMY@partner.example", "x ben board ann", "board ann"),
        ("sender=partner.example", "x ben board ann", "board ann"),
        ("sender=<>", "art", "art"),
        ("recipient=ben@bank.example", "ben", ""),
        ("recipient=acme.example", "art board ann", "art board ann"),
        ("client=127.0.0.1", "art x ben board ann", "art board ann"),
        ("client=192.0.2.1", "", ""),
        ("policy=board", "board", "board"),
        ("verdict=refused", "x board", "board"),
        ("verdict=accepted", "art ben ann", "art ann"),
        ("tenant=acme", "art board ann", "art board ann"),
        (today, "art x ben board ann", "art board ann"),
        ("to=2026-01-01T00:00:00Z", "", ""),
        (
            "verdict=refused&policy=board&sender=partner.example",
            "board",
            "board",
        ),
    ] {
        let path = format!(
            "/v1/receipts?{}",
            query.replace('<', "%3C").replace('>', "%3E")
        );
        let shown = |page: Value| {
            let names = recipients(&page);
            let names: Vec<_> = names
                .iter()
                .filter_map(|name| name.split('@').next())
                .collect();
            names.join(" ")
        };
        let page = over_socket(&host, &path, &[]).expect(200).json();
        assert_eq!(shown(page), of_operator, "{query}");
        let page = over_network(&host, &path, &viewer, &[]).expect(200).json();
        assert_eq!(shown(page), of_acme, "{query}");
    }
    // From page to page, newest first.
    let (mut seen, mut path) = (Vec::new(), "/v1/receipts?limit=2".to_owned());
    loop {
        let page = over_socket(&host, &path, &[]).expect(200).json();
        seen.extend(recipients(&page));
        match page["next"].as_str() {
            Some(next) => path = format!("/v1/receipts?limit=2&after={next}"),
            None => break,
        }
    }
    assert_eq!(seen, recipients(&all()));
    for (query, code, said) in [
        ("tenant=bank", 404, "no tenant \"bank\""),
        ("verdict=maybe", 400, "unknown variant"),
        ("client=nobody", 400, "client"),
        ("from=yesterday", 400, "is not a time"),
        ("after=x", 400, "after: \"x\" is not the id of a receipt"),
        ("limit=0", 400, "not from 1 to 1000"),
        ("limits=1", 400, "unknown field"),
    ] {
        let answer = over_network(&host, &format!("/v1/receipts?{query}"), &viewer, &[]);
        let answer = answer.expect(code);
        assert!(
            answer.body.contains(said.replace('"', "\\\"").as_str()),
            "{answer:?}"
        );
    }
    host.stop();
}

#[test]
fn a_tenant_has_as_many_receipts_as_its_quota_says() {
    let quota = format!("{ACME}[quotas]\nreceipt_count = 1000\n");
    let host = site().tenant("acme", &quota).start();
    for _ in 0..2 {
        let mut client = from(&host, "amy@partner.example");
        for number in 0..550 {
            client.expect(&format!("RCPT TO:<r{number}@acme.example>"), "250");
        }
        client.quit();
    }
    let site = host.stop().site;
    assert_eq!(site.receipts().len(), 1100);
    // It is looked after at the start, too.
    let host = site.start();
    until("the quota", || host.site().receipts().len() == 1000);
    let kept = host
        .site()
        .receipts_by(&["--recipient", "r99@acme.example"]);
    assert_eq!(kept.len(), 1, "the oldest went");
    host.stop();
}

/// Another program has the store for so long that no more receipts can wait: recipients
/// are put off, nothing is lost, and all is well when it is free.
#[test]
fn a_locked_store_puts_recipients_off_and_loses_nothing() {
    const SESSIONS: usize = 6;
    let host = site().start();
    let db = host.site().path("data/portcullis.db");
    let lock = Locked::take(&db);
    let accepted: usize = thread::scope(|scope| {
        let fill = || {
            let mut client = from(&host, "amy@partner.example");
            let mut accepted = 0;
            for number in 0..900 {
                let reply = client.say(&format!("RCPT TO:<r{number}@acme.example>"));
                if !reply.starts_with("250") {
                    let expected = "451 4.3.0 Receipts cannot be kept just now";
                    assert!(reply.starts_with(expected), "{reply}");
                    break;
                }
                accepted += 1;
            }
            // What becomes of those finds room.
            client.quit();
            accepted
        };
        let sessions: Vec<_> = (0..SESSIONS).map(|_| scope.spawn(fill)).collect();
        let counts = sessions.into_iter().map(ScopedJoinHandle::join);
        counts.map(|count| count.expect("it ends")).sum()
    });
    assert!(accepted < SESSIONS * 900, "somebody was put off");
    drop(lock);
    let mut client = from(&host, "amy@partner.example");
    until("room", || {
        client.say("RCPT TO:<late@acme.example>").starts_with("250")
    });
    client.quit();
    let ended = host.stop();
    assert!(!ended.log.contains("lost"), "{}", ended.log);
    let receipts = ended.site.receipts();
    assert_eq!(receipts.len(), accepted + 1);
    let whole = |receipt: &&Value| receipt["outcome"]["outcome"] == "abandoned";
    assert_eq!(receipts.iter().filter(whole).count(), accepted + 1);
}

#[test]
fn an_address_is_erased_and_seen_nowhere_any_more() {
    const PERSON: &str = "erika.mustermann@partner.example";
    let host = site().start();
    let mut client = from(&host, PERSON);
    client.expect("RCPT TO:<ann@acme.example>", "250");
    let refused = client.expect("RCPT TO:<board@acme.example>", "530");
    client.expect("RCPT TO:<ben@bank.example>", "250");
    client.quit();
    let (_, id) = refused.rsplit_once('[').expect("the id of the receipt");
    let id = id.trim_end().trim_end_matches(']');
    let mut client = from(&host, "other@partner.example");
    client.expect("RCPT TO:<ann@acme.example>", "250");
    client.quit();
    let of = |address: &str| {
        let path = format!("/v1/receipts?sender={address}");
        recipients(&over_socket(&host, &path, &[]).expect(200).json())
    };
    // Receipts that are on their way are among those that it is erased from.
    let (admin, _) = token(&host, "admin", "acme");
    let body = json!({ "address": PERSON.to_uppercase() }).to_string();
    let done = over_network(&host, "/v1/erasures", &admin, &post(&body)).expect(200);
    assert_eq!(done.json()["receipts"], 2, "those of its tenant");
    assert_eq!(done.json()["unreadable"], 0);
    until("each receipt", || of("partner.example").len() == 2);
    assert_eq!(of(PERSON), ["ben@bank.example"]);
    let erase = |more: &[&str]| {
        let arguments = [&[PERSON][..], more].concat();
        host.site()
            .run_with("erase", &arguments)
            .expect_code(0)
            .stdout
    };
    assert_eq!(erase(&[]), "erased the address from 1 receipt\n");
    let again: Value = serde_json::from_str(&erase(&["--json"])).expect("JSON");
    assert_eq!(again["receipts"], 0);
    assert!(of(PERSON).is_empty() && of("other@partner.example").len() == 1);
    assert_eq!(of("erased@erased.invalid").len(), 3);
    let receipt = over_network(&host, &format!("/v1/receipts/{id}"), &admin, &[]);
    assert_eq!(receipt.expect(200).json()["erased"], true);
    let path = format!("/v1/receipts/{id}/explanation");
    let gone = over_network(&host, &path, &admin, &[]).expect(410);
    assert!(gone.body.contains("was erased"), "{gone:?}");
    // Nor is a module asked about what stands in the address' place.
    let asked = json!({ "module": "m", "receipt": id }).to_string();
    let path = "/v1/tenants/acme/dry-runs";
    let gone = over_network(&host, path, &admin, &post(&asked)).expect(410);
    assert!(gone.detail().contains("was erased"), "{gone:?}");
    let said = host.site().run_with("explain", &[id]).expect_code(1).stderr;
    assert!(said.contains("was erased"), "{said}");
    let shown = host
        .site()
        .run_with("receipts", &[id])
        .expect_code(0)
        .stdout;
    assert!(shown.contains("erased@erased.invalid") && shown.contains("cannot be explained"));
    let audit = over_network(&host, "/v1/audit", &admin, &[])
        .expect(200)
        .body;
    assert!(audit.contains("erasure from 2 receipts"), "{audit}");
    // The command is the operator's, and nobody's audit has the address.
    let all = over_socket(&host, "/v1/audit?limit=1000", &[]).expect(200);
    let records = all.json();
    let records = records["items"].as_array().expect("records");
    let by_the_command = |record: &Value| {
        let what = record["what"].as_str().unwrap_or_default();
        what.starts_with("erasure from 1 receipts ") && record["who"] == "socket"
    };
    assert!(records.iter().any(by_the_command), "{records:?}");
    assert!(!all.body.to_ascii_lowercase().contains("mustermann"));
    // Nothing of it is left in the file, or in the log beside it.
    for file in ["portcullis.db", "portcullis.db-wal"] {
        let bytes = fs::read(host.site().path("data").join(file)).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
        assert!(!text.contains("mustermann"), "{file}");
    }
    let nonsense = post(r#"{"address":"nobody"}"#);
    let refused = over_socket(&host, "/v1/erasures", &nonsense).expect(400);
    assert!(refused.body.contains("is not a mailbox"), "{refused:?}");
    host.stop();
}

/// Nothing is said to be erased while a receipt waits that has the address.
#[test]
fn an_erasure_waits_for_receipts_that_wait_and_is_refused_where_they_cannot_be_written() {
    let host = site().start();
    let other = Locked::take(&host.site().path("data/portcullis.db"));
    let mut client = from(&host, "erika@partner.example");
    client.expect("RCPT TO:<ann@acme.example>", "250");
    client.quit();
    let body = post(r#"{"address":"erika@partner.example"}"#);
    let refused = over_socket(&host, "/v1/erasures", &body).expect(503);
    assert!(
        refused.detail().contains("receipts that wait"),
        "{refused:?}"
    );
    assert_eq!(refused.field("retry-after"), Some("5"));
    drop(other);
    let done = over_socket(&host, "/v1/erasures", &body).expect(200).json();
    assert_eq!(done["receipts"], 1, "{done}");
    host.stop();
}

/// Day files have what is erased nowhere else, so they have to go first.
#[test]
fn nothing_is_erased_where_day_files_are_written() {
    for files in ["files = true", "store = false\nfiles = true"] {
        let host = site().settings(&format!("[receipts]\n{files}")).start();
        let body = post(r#"{"address":"amy@partner.example"}"#);
        let refused = over_socket(&host, "/v1/erasures", &body).expect(409);
        assert!(
            refused.body.contains("receipts.files = false"),
            "{refused:?}"
        );
        // They are looked for all the same.
        from(&host, "amy@partner.example").expect("RCPT TO:<ann@acme.example>", "250");
        let all = || {
            over_socket(&host, "/v1/receipts?limit=1", &[])
                .expect(200)
                .json()
        };
        until("the receipt", || recipients(&all()).len() == 1);
        host.stop();
    }
}
