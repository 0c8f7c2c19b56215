//! What a replay predicts is what happens: some twenty thousand messages of two hundred
//! sender domains are sent, changes are asked about them, made, and the same is sent again.
//!
//! **Refusals are counted from the clients' side**, by what they were told, and never by
//! receipts. A client that is asked for TLS may come back with it: what is predicted is the
//! refusal, and what comes after is told as what no record can know.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::thread;

use portcullis_tests::api::{ADDRESS, over_socket, ready, resend, send, stock, token};
use portcullis_tests::certificate::{Authority, Identity};
use portcullis_tests::client::{Client, Tls};
use portcullis_tests::site::{Host, Site};
use serde_json::{Value, json};

use super::{replayed, wait_for};

const DOMAINS: usize = 200;
const MESSAGES: usize = 100;

/// Threads that send: the host needs a core, too.
const SENDERS: usize = 4;

/// How a domain sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Never in TLS.
    Clear,
    /// In clear, and in TLS 1.3 once it is asked for.
    ComesBack,
    Tls12,
    Tls13,
    /// With a certificate for a host of its own, under the tenant's anchor.
    Trusted,
    /// Under an anchor of nobody here.
    Untrusted,
    /// Under the tenant's anchor, for another name.
    WrongName,
    /// Every second message in TLS 1.3.
    Mixed,
}

const KINDS: [Kind; 8] = [
    Kind::Clear,
    Kind::ComesBack,
    Kind::Tls12,
    Kind::Tls13,
    Kind::Trusted,
    Kind::Untrusted,
    Kind::WrongName,
    Kind::Mixed,
];

/// A domain that sends, with its certificate if it has one.
struct Sender {
    number: usize,
    kind: Kind,
    identity: Option<Arc<Identity>>,
}

/// Who was refused what: tenant, and domain of the sender (empty: null).
type Refusals = BTreeMap<(&'static str, String), Told>;

/// How often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Told {
    /// 530: it was asked for TLS.
    asked: u64,
    /// Anything else that is no 250.
    refused: u64,
}

/// One message that is sent, and sent again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Attempt {
    domain: usize,
    message: usize,
    /// It came back with TLS.
    again: bool,
}

/// What clients saw in a round.
#[derive(Default)]
struct Round {
    /// Refusals of each attempt, with the tenant and the reply's code.
    refusals: BTreeMap<Attempt, Vec<(&'static str, String)>>,
    /// All attempts, refused or not.
    attempts: BTreeSet<Attempt>,
    recipients: BTreeMap<&'static str, u64>,
}

impl Sender {
    fn all(ours: &Authority, theirs: &Authority) -> Vec<Self> {
        (0..DOMAINS)
            .map(|number| {
                let kind = KINDS[number % KINDS.len()];
                let own = format!("mx.{}", domain(number));
                let identity = match kind {
                    Kind::Trusted => Some(ours.issue(&[&own])),
                    Kind::Untrusted => Some(theirs.issue(&[&own])),
                    Kind::WrongName => Some(ours.issue(&["mx.elsewhere.example"])),
                    _ => None,
                };
                Self {
                    number,
                    kind,
                    identity: identity.map(Arc::new),
                }
            })
            .collect()
    }

    fn tls(&self) -> Tls {
        let tls = match self.kind {
            Kind::Tls12 => Tls::tls12(),
            _ => Tls::tls13(),
        };
        match &self.identity {
            Some(identity) => tls.with(identity),
            None => tls,
        }
    }

    /// Whether a message is sent in TLS at first.
    fn begins_in_tls(&self, message: usize) -> bool {
        match self.kind {
            Kind::Clear | Kind::ComesBack => false,
            Kind::Mixed => message % 2 == 1,
            _ => true,
        }
    }

    /// Sends these messages, each on a connection in clear or in TLS that is used again.
    fn send(&self, host: &Host, messages: std::ops::Range<usize>, round: &mut Round) {
        let (mut clear, mut secured) = (None, None);
        let tls = self.tls();
        let address = host.address("smtp");
        let in_tls = || Client::starttls(address, &tls);
        for message in messages {
            let attempt = Attempt {
                domain: self.number,
                message,
                again: false,
            };
            let client = match self.begins_in_tls(message) {
                true => secured.get_or_insert_with(in_tls),
                false => clear.get_or_insert_with(|| {
                    let mut client = Client::connect(address);
                    client.ehlo();
                    client
                }),
            };
            let was_asked = deliver(client, attempt, round);
            if was_asked && self.kind == Kind::ComesBack {
                let again = Attempt {
                    again: true,
                    ..attempt
                };
                deliver(secured.get_or_insert_with(in_tls), again, round);
            }
        }
        clear.into_iter().chain(secured).for_each(Client::quit);
    }
}

fn domain(number: usize) -> String {
    format!("d{number}.partner.example")
}

/// What a message is: the envelope's sender, its recipients, and the header From.
fn message(attempt: Attempt) -> (String, &'static [(&'static str, &'static str)], String) {
    const ANN: (&str, &str) = ("acme", "ann@acme.example");
    const ART: (&str, &str) = ("acme", "art@acme.example");
    const BEN: (&str, &str) = ("bank", "ben@bank.example");
    const CAT: (&str, &str) = ("coop", "cat@coop.example");
    let own = format!("amy@{}", domain(attempt.domain));
    let (sender, header) = (own.clone(), own);
    match attempt.message % 10 {
        0 => (sender, &[BEN, CAT], header),
        1 => (sender, &[BEN], header),
        2 => (sender, &[ANN], "ceo@acme.example".to_owned()),
        3 => (sender, &[("acme", "postmaster@acme.example")], header),
        4 => (String::new(), &[ANN], header),
        5 => (sender, &[ANN, ART], header),
        6 => (sender, &[CAT, BEN], header),
        _ => (sender, &[ANN], header),
    }
}

/// Sends one, and notes what was refused; whether the client was asked for TLS.
fn deliver(client: &mut Client, attempt: Attempt, round: &mut Round) -> bool {
    let (sender, recipients, header) = message(attempt);
    round.attempts.insert(attempt);
    let mut commands = format!("RSET\r\nMAIL FROM:<{sender}>\r\n");
    for (_, recipient) in recipients {
        commands += &format!("RCPT TO:<{recipient}>\r\n");
    }
    client.send(&commands);
    for expected in ["250", "250"] {
        let reply = client.reply();
        assert!(reply.starts_with(expected), "{reply}");
    }
    let mut refused = Vec::new();
    let mut permitted = Vec::new();
    for (tenant, _) in recipients {
        *round.recipients.entry(tenant).or_default() += 1;
        let reply = client.reply();
        match reply.starts_with("250") {
            true => permitted.push(*tenant),
            false => refused.push((*tenant, reply[..3].to_owned())),
        }
    }
    if !permitted.is_empty() {
        client.expect("DATA", "354");
        client.send(format!(
            "From: <{header}>\r\nSubject: x\r\n\r\ntext\r\n.\r\n"
        ));
        let reply = client.reply();
        if !reply.starts_with("250") {
            let code = reply[..3].to_owned();
            refused.extend(permitted.into_iter().map(|tenant| (tenant, code.clone())));
        }
    }
    let was_asked = refused.iter().any(|(_, code)| code == "530");
    if !refused.is_empty() {
        round.refusals.insert(attempt, refused);
    }
    was_asked
}

/// All domains send these messages.
fn send_all(host: &Host, senders: &[Sender], messages: &std::ops::Range<usize>) -> Round {
    let share = senders.len().div_ceil(SENDERS);
    thread::scope(|scope| {
        let parts: Vec<_> = senders
            .chunks(share)
            .map(|part| {
                scope.spawn(move || {
                    let mut round = Round::default();
                    for sender in part {
                        sender.send(host, messages.clone(), &mut round);
                    }
                    round
                })
            })
            .collect();
        let parts = parts
            .into_iter()
            .map(|part| part.join().expect("it sent all"));
        parts.fold(Round::default(), Round::and)
    })
}

impl Round {
    fn and(mut self, other: Self) -> Self {
        self.refusals.extend(other.refusals);
        self.attempts.extend(other.attempts);
        for (tenant, count) in other.recipients {
            *self.recipients.entry(tenant).or_default() += count;
        }
        self
    }

    /// Who was refused what, of these attempts.
    fn refused(&self, attempts: &BTreeSet<Attempt>) -> Refusals {
        let mut all = Refusals::new();
        let counted = self.refusals.iter().filter(|(a, _)| attempts.contains(a));
        for (attempt, refusals) in counted {
            let (sender, ..) = message(*attempt);
            let (_, domain) = sender.split_once('@').unwrap_or_default();
            for (tenant, code) in refusals {
                let told = all.entry((tenant, domain.to_owned())).or_default();
                match code.as_str() {
                    "530" => told.asked += 1,
                    _ => told.refused += 1,
                }
            }
        }
        all
    }
}

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
        _ => (Vec::new(), Vec::new()),
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

const TENANTS: [&str; 3] = ["acme", "bank", "coop"];

/// Tenants with lists, a module and their first policies.
fn furnish(host: &Host, anchor: &str) {
    for tenant in TENANTS {
        let path = format!("/v1/tenants/{tenant}");
        let own = json!({ "trust": { "anchors": [anchor], "public_roots": false } });
        let document = json!({ "domains": [format!("{tenant}.example")], "own": own });
        put(host, &path, &document);
        for list in ["early", "modern", "trusted", "routes", "lax"] {
            put(
                host,
                &format!("{path}/lists/{list}"),
                &json!({ "entries": entries(list) }),
            );
        }
        if tenant == "acme" {
            let (author, _) = token(host, "author", tenant);
            let module = format!("{path}/modules/checks");
            let number = ready(host, &module, &author, &stock("partner-list"));
            put(
                host,
                &format!("{module}/active"),
                &json!({ "revision": number }),
            );
        }
        for policy in policies(tenant).0 {
            let (path, keys) = policy_path(tenant, &policy);
            put(host, &path, &keys);
        }
    }
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

    // They are made, and the same is sent again.
    for tenant in TENANTS {
        for policy in policies(tenant).1 {
            let (path, keys) = policy_path(tenant, &policy);
            put(&host, &path, &keys);
        }
    }
    let now = send_all(&host, &senders, &(0..MESSAGES));
    let refused = now.refused(&past.attempts);
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
        ("coop", 0, None),
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
