//! What a replay predicts is what happens, and what a revision that is tried beside the
//! active one says: some twenty thousand messages of two hundred sender domains are sent,
//! changes are asked about them, made, and the same is sent again.
//!
//! **Refusals are counted from the clients' side**, by what they were told, and never by
//! receipts. A client that is asked for TLS may come back with it: what is predicted is the
//! refusal, and what comes after is told as what no record can know.

mod traffic;

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::{Duration, Instant};

use portcullis_tests::api::{ADDRESS, over_socket, ready, resend, send, stock, token};
use portcullis_tests::certificate::Authority;
use portcullis_tests::site::{Host, Site};
use serde_json::{Value, json};

use super::{replayed, wait_for};
use traffic::{DOMAINS, KINDS, Kind, MESSAGES, Refusals, Sender, Told, domain, send_all};

/// Longest wait for what is counted behind a reply's back.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the replays predict.
fn predicted(results: &BTreeMap<&'static str, Value>) -> Refusals {
    let mut all = Refusals::new();
    for (tenant, found) in results {
        let result = &found["result"];
        assert_eq!(result["undetermined"], 0, "{tenant}: {result:#}");
        assert!(result["others"].is_null());
        for sender in result["refused"].as_array().expect("senders") {
            let domain = sender["sender"].as_str().unwrap_or_default().to_owned();
            let count = |value: &Value| value.as_u64().expect("a number");
            let asked = count(&sender["asked"]["receipts"]);
            let refused = count(&sender["refused"]) - asked;
            all.insert((tenant, domain), Told { asked, refused });
        }
    }
    all
}

/// The policies of a tenant as they are at first, and those that come.
fn policies(tenant: &str) -> (Vec<Value>, Vec<Value>) {
    let early = json!({ "name": "early", "from": "list:early", "option": "enforced" });
    // It changes nothing, and has the header read.
    let watches = json!({ "name": "watches", "from": "never.example", "based_on": "header",
        "option": "opportunistic" });
    let all = json!({ "name": "all", "option": "enforced" });
    match tenant {
        "acme" => (
            vec![early, watches],
            vec![
                all,
                json!({ "name": "modern", "from": "list:modern", "option": "enforced",
                    "require": { "tls": "1.3" } }),
                json!({ "name": "trusted", "from": "list:trusted", "option": "enforced",
                    "require": { "certificate": "trusted" } }),
                json!({ "name": "checks", "from": "list:routes", "option": "module",
                    "module": "checks", "settings": { "list": "routes" } }),
                json!({ "name": "ceo", "from": "ceo@acme.example", "based_on": "header",
                    "override": true, "option": "enforced", "require": { "tls": "1.3" } }),
                json!({ "name": "lax", "from": "list:lax", "option": "opportunistic" }),
            ],
        ),
        "bank" => (vec![early], vec![all]),
        _ => (
            vec![json!({ "name": "tries", "option": "module", "module": "checks" })],
            Vec::new(),
        ),
    }
}

/// Which domains are in a list.
fn listed(list: &str, number: usize) -> Option<&'static str> {
    let kind = KINDS[number % KINDS.len()];
    let odd = (number / KINDS.len()) % 2 == 1;
    let is_in = match list {
        "early" => kind == Kind::ComesBack && odd,
        "modern" => matches!(kind, Kind::Tls12 | Kind::Tls13) && odd,
        "trusted" => matches!(kind, Kind::Trusted | Kind::Untrusted | Kind::WrongName) && odd,
        "routes" => matches!(kind, Kind::Trusted | Kind::Untrusted | Kind::WrongName) && !odd,
        "lax" => kind == Kind::Clear && odd,
        _ => false,
    };
    let value = if list == "routes" { "within" } else { "" };
    is_in.then_some(value)
}

fn entries(list: &str) -> Value {
    let all = (0..DOMAINS).filter_map(|n| Some((domain(n), Value::from(listed(list, n)?))));
    Value::Object(all.collect())
}

fn put(host: &Host, path: &str, body: &Value) {
    let body = body.to_string();
    let answer = over_socket(host, path, &resend("PUT", &body));
    if answer.code != 200 {
        over_socket(host, path, &send("PUT", &body)).expect(201);
    }
}

fn policy_path(tenant: &str, policy: &Value) -> (String, Value) {
    let mut keys = policy.clone();
    let name = keys["name"].as_str().expect("a name").to_owned();
    keys.as_object_mut().expect("keys").remove("name");
    (format!("/v1/tenants/{tenant}/policies/{name}"), keys)
}

/// Of whose past a replay asks.
const TENANTS: [&str; 2] = ["acme", "bank"];

/// Who tries a revision of a module beside the active one.
const SHADOWED: &str = "coop";

/// The module of a tenant.
fn module(tenant: &str) -> String {
    format!("/v1/tenants/{tenant}/modules/checks")
}

fn activate(host: &Host, tenant: &str, revision: i64) {
    let path = format!("{}/active", module(tenant));
    put(host, &path, &json!({ "revision": revision }));
}

/// Tenants with lists, a module and their first policies. One of them tries a revision that
/// wants a certificate.
fn furnish(host: &Host, anchor: &str) {
    for tenant in TENANTS.into_iter().chain([SHADOWED]) {
        let path = format!("/v1/tenants/{tenant}");
        let own = json!({ "trust": { "anchors": [anchor], "public_roots": false } });
        let document = json!({ "domains": [format!("{tenant}.example")], "own": own });
        put(host, &path, &document);
        for list in ["early", "modern", "trusted", "routes", "lax", "partners"] {
            put(
                host,
                &format!("{path}/lists/{list}"),
                &json!({ "entries": entries(list) }),
            );
        }
        let (author, _) = token(host, "author", tenant);
        let first = ready(host, &module(tenant), &author, &stock("partner-list"));
        activate(host, tenant, first);
        for policy in policies(tenant).0 {
            let (path, keys) = policy_path(tenant, &policy);
            put(host, &path, &keys);
        }
        if tenant == SHADOWED {
            let stricter = stock("certificate-match");
            let next = ready(host, &module(tenant), &author, &stricter);
            assert_ne!(next, first);
            let path = format!("{}/shadow", module(tenant));
            put(host, &path, &json!({ "revision": next }));
        }
    }
}

/// Whom the revision that was tried would have refused of those who were not, when it is
/// known of so many decisions; and about how many of them it was not asked.
fn shadowed(host: &Host, decisions: u64) -> (BTreeSet<String>, u64) {
    let path = format!("{}/shadow", module(SHADOWED));
    let began = Instant::now();
    let found = loop {
        let found = over_socket(host, &path, &[]).expect(200).json();
        let number = |key: &str| found[key].as_u64().expect("a number");
        // What was not tried since the host was busy is counted, too.
        if number("decisions") + number("not_run") == decisions {
            break found;
        }
        assert!(began.elapsed() < PATIENCE, "{decisions}: {found:#}");
        thread::yield_now();
    };
    assert_eq!(found["senders_complete"], true, "{found:#}");
    let senders = found["senders"].as_array().expect("senders").iter();
    let stricter = senders.filter(|sender| sender["would"] != "accepted");
    let domains = stricter.map(|sender| {
        assert_eq!(sender["was"], "accepted", "{sender:#}");
        sender["domain"].as_str().expect("a domain").to_owned()
    });
    let not_run = found["not_run"].as_u64().expect("a number");
    (domains.collect(), not_run)
}

#[test]
fn what_a_replay_predicts_is_what_is_refused() {
    let (ours, theirs) = (Authority::new("Ours"), Authority::new("Theirs"));
    let host = Site::without_files()
        .settings(ADDRESS)
        .settings("[delivery]\nkind = \"discard\"\n[log]\nlevel = \"warn\"\n")
        .start();
    furnish(&host, ours.pem());
    let senders = Sender::all(&ours, &theirs);

    // The past: some are asked for TLS already, and come back with it. In the middle the
    // lists change: fewer of them are.
    let first = send_all(&host, &senders, &(0..MESSAGES / 2));
    let half: Value = (0..DOMAINS / 2)
        .filter_map(|n| Some((domain(n), Value::from(listed("early", n)?))))
        .collect::<serde_json::Map<_, _>>()
        .into();
    for tenant in ["acme", "bank"] {
        let path = format!("/v1/tenants/{tenant}/lists/early");
        put(&host, &path, &json!({ "entries": half }));
    }
    let past = first.and(send_all(&host, &senders, &(MESSAGES / 2..MESSAGES)));
    assert!(past.attempts.len() >= DOMAINS * MESSAGES);
    assert!(past.attempts.iter().any(|attempt| attempt.again));

    // What the changes would do.
    let mut results = BTreeMap::new();
    for tenant in TENANTS {
        wait_for(&host, tenant, past.recipients[tenant]);
        let (mut wanted, more) = policies(tenant);
        wanted.extend(more);
        let request = json!({ "tenant": { "policies": wanted } });
        results.insert(tenant, replayed(&host, tenant, &request));
    }
    let predicted = predicted(&results);
    let (stricter, not_run) = shadowed(&host, past.recipients[SHADOWED]);

    // They are made, and the same is sent again.
    for tenant in TENANTS {
        for policy in policies(tenant).1 {
            let (path, keys) = policy_path(tenant, &policy);
            put(&host, &path, &keys);
        }
    }
    activate(&host, SHADOWED, 2);
    let now = send_all(&host, &senders, &(0..MESSAGES));
    let mut refused = now.refused(&past.attempts);
    let of_stricter = refused.extract_if(.., |(tenant, _), _| *tenant == SHADOWED);
    let of_stricter: BTreeSet<String> = of_stricter.map(|((_, sender), _)| sender).collect();
    // On a machine that is too busy a sender may be missing, about whose mail it was never
    // asked.
    assert!(stricter.is_subset(&of_stricter), "{stricter:?}");
    let missing: Vec<_> = of_stricter.difference(&stricter).collect();
    assert!(missing.len() as u64 <= not_run, "{missing:?}, {not_run}");
    // All but those with a certificate of their own name.
    let trusted = KINDS.iter().filter(|kind| **kind == Kind::Trusted).count();
    assert_eq!(of_stricter.len(), DOMAINS - trusted * DOMAINS / KINDS.len());
    for (whom, told) in &refused {
        assert_eq!(predicted.get(whom), Some(told), "refused, {whom:?}");
    }
    for (whom, told) in &predicted {
        assert_eq!(refused.get(whom), Some(told), "predicted, {whom:?}");
    }
    assert!(past.attempts.is_subset(&now.attempts));

    // There was something to predict: of every kind, and of nobody who asks for nothing.
    let of = |tenant: &'static str, number: usize| {
        let told = predicted.get(&(tenant, domain(number)));
        told.map(|told| (told.asked > 0, told.refused > 0))
    };
    for (tenant, number, expected) in [
        ("acme", 0, Some((true, false))),
        // By the header alone.
        ("acme", 8, Some((true, false))),
        ("acme", 2, Some((false, true))),
        ("acme", 1, Some((true, false))),
        ("acme", 10, Some((false, true))),
        ("acme", 3, None),
        ("acme", 4, None),
        ("acme", 5, Some((false, true))),
        ("acme", 6, Some((false, true))),
        ("acme", 13, Some((false, true))),
        ("acme", 14, None),
        ("acme", 7, Some((true, false))),
        ("bank", 8, Some((true, false))),
        ("bank", 5, None),
    ] {
        assert_eq!(of(tenant, number), expected, "{tenant} {number}");
    }
    assert!(
        predicted.contains_key(&("acme", String::new())),
        "the null sender"
    );

    // Who came back is told as one whose answer no record knows, with what it has shown.
    let came_back: BTreeSet<usize> = now
        .attempts
        .difference(&past.attempts)
        .map(|attempt| attempt.domain)
        .collect();
    assert!(!came_back.is_empty());
    for number in came_back {
        let sender = domain(number);
        let asked = TENANTS.iter().any(|tenant| {
            let told = predicted.get(&(*tenant, sender.clone()));
            told.is_some_and(|told| told.asked > 0)
        });
        assert!(asked, "{sender}");
    }
    let shown = |tenant: &str, number: usize| {
        let all = results[tenant]["result"]["refused"]
            .as_array()
            .expect("senders");
        let name = domain(number);
        let found = all.iter().find(|sender| sender["sender"] == name.as_str());
        let found = found.expect("it would be refused");
        found["asked"]["of_senders_in_tls"] == found["asked"]["receipts"]
    };
    // Clear; comes back, and was never asked; was asked and came back; mixed.
    for (number, expected) in [(0, false), (1, false), (9, true), (7, true)] {
        assert_eq!(shown("acme", number), expected, "{}", domain(number));
    }
    host.stop();
}
