//! The format, as tables.

mod differences;
mod faults;
mod properties;

use super::*;
use crate::testing::{certificate, message, tls};
use crate::{Answer, Fingerprint, Message, Purpose, Requirements, Trust};

const EXPECT: &str = "expect = { decision = \"default\" }\n";

/// A file of one case with these facts.
fn with_facts(facts: &str) -> String {
    format!("[[case]]\nname = \"a\"\nfacts = {{ {facts} }}\n{EXPECT}")
}

fn facts_of(facts: &str) -> Facts {
    only(&with_facts(facts)).facts
}

fn only(text: &str) -> Case {
    let vectors = Vectors::parse(text).expect(text);
    let [case] = <[Case; 1]>::try_from(vectors.cases).expect("one case");
    case
}

fn faults(text: &str) -> String {
    Vectors::parse(text).expect_err(text).to_string()
}

#[test]
fn a_case_begins_with_the_ordinary_message() {
    assert_eq!(facts_of(""), *message().facts());
    let secured = message().tls(tls());
    assert_eq!(facts_of("tls = {}"), *secured.facts());
    let certified = message().tls(tls().certificate(certificate()));
    assert_eq!(facts_of("tls.certificate = {}"), *certified.facts());
    assert_eq!(only(&with_facts("")).settings, serde_json::json!({}));
}

/// Every fact, in a form that is not its default.
const EVERYTHING: &str = r#"
id = "01JD0000000000000000000000"
now = 2027-01-02T12:00:00Z
stage = "content"
direction = "outbound"
tenant = "acme"
listener = "submission"
client = "[2001:DB8:0::1]:1234"
server = "::ffff:203.0.113.1"
proxied_by = "203.0.113.9:999"
reverse_name = "mx.partner.example"
reverse_name_confirmed = true
helo_verb = "HELO"
helo = "mx.partner.example"
sender = "Amy@Partner.Example"
recipient = "Bob@[192.0.2.1]"
recipients_so_far = 3
declared_size = 4096
body = "8BITMIME"
smtputf8 = true
requiretls = true
header_from = ["Amy@Partner.Example"]
starttls_offered = false
handshake_failure_age = 60
handshake_failure_reason = "bad certificate"

[facts.tls]
origin = "proxy"
version = "1.2"
cipher_suite = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
secret_bits = 127
key_exchange = "SecP256r1MLKEM768"
post_quantum = false
server_name = "mx.acme.example"
resumed = true
client_certificate = "given"

[facts.tls.certificate]
subject = "CN=mx"
issuer = "CN=ca"
serial = "0badcafe"
common_name = "mx"
dns_names = ["mx.partner.example"]
email_addresses = ["p@partner.example"]
ip_addresses = ["2001:DB8::1"]
uris = ["https://partner.example"]
not_before = -1
not_after = "2027-01-02T13:00:00+01:00"
key_type = "RSA"
key_bits = 2048
signature_algorithm = "sha256WithRSAEncryption"
extended_key_usages = ["serverAuth"]
sha256 = "0101010101010101010101010101010101010101010101010101010101010101"
spki_sha256 = "0A:0A:0A:0A:0A:0A:0A:0A:0A:0A:0A:0A:0A:0A:0A:0A:0A:0A:0A:0A:0A:0A:0A:0A:0A:0A:0A:0A:0A:0A:0A:0A"
chain_length = 2
trust = { client = "expired", server = { state = "trusted", detail = "CN=Our Root" } }
accept_self_signed = true
"#;

#[test]
fn every_fact_can_be_set() {
    let text = format!("[facts]\n{EVERYTHING}\n[[case]]\nname = \"a\"\n{EXPECT}");
    let found = only(&text).facts;
    let (ordinary, ordinary_tls, ordinary_certificate) = (
        message().facts().clone(),
        tls().into_facts(),
        certificate().into_facts(),
    );
    let found_tls = found.tls.clone().expect("TLS");
    let found_certificate = found_tls.certificate.clone().expect("a certificate");
    for (found, ordinary) in [
        (
            format!(
                "{:#?}",
                Facts {
                    tls: None,
                    ..found.clone()
                }
            ),
            format!("{ordinary:#?}"),
        ),
        (
            format!(
                "{:#?}",
                Tls {
                    certificate: None,
                    ..found_tls.clone()
                }
            ),
            format!("{ordinary_tls:#?}"),
        ),
        (
            format!("{found_certificate:#?}"),
            format!("{ordinary_certificate:#?}"),
        ),
    ] {
        let left: Vec<&str> = ordinary
            .lines()
            .filter(|line| says_something(line) && found.lines().any(|found| found == *line))
            .collect();
        assert!(left.is_empty(), "not set: {left:?}");
    }
    assert_eq!(found.now, 1_798_891_200);
    assert_eq!(found.client.address, "2001:db8::1");
    assert_eq!(
        (found.server.address.as_str(), found.server.port),
        ("203.0.113.1", 25)
    );
    assert_eq!(found.sender.as_deref(), Some("Amy@partner.example"));
    assert_eq!(found.recipient, "Bob@[192.0.2.1]");
    assert_eq!(found_tls.version, 0x0303);
    assert_eq!(found_certificate.spki_sha256, "0a".repeat(32));
    assert_eq!(found_certificate.not_after, 1_798_891_200);
    assert_eq!(found_certificate.client_trust.state, "untrusted");
    assert_eq!(found_certificate.client_trust.detail, "expired");
    assert_eq!(found_certificate.server_trust.detail, "CN=Our Root");
}

/// Whether a line of a fact's debug text has a value, and one that must be another.
fn says_something(line: &str) -> bool {
    let bracket = line.ends_with(['(', '[', '{']) || line.trim_start().starts_with([')', ']', '}']);
    let elsewhere = [
        "tls: None",
        "certificate: None",
        "port: 25,",
        "state: \"untrusted\"",
    ];
    !bracket && !elsewhere.iter().any(|part| line.contains(part))
}

#[test]
fn what_is_not_there_is_false() {
    let everything = format!("[facts]\n{EVERYTHING}");
    let without = "sender = false, proxied_by = false, reverse_name = false, \
                   reverse_name_confirmed = false, declared_size = false, body = false, \
                   handshake_failure_age = false, handshake_failure_reason = false, \
                   header_from = [], tls = { key_exchange = false, server_name = false, \
                   post_quantum = false, certificate = false, client_certificate = \"none\" }";
    let found = only(&format!("{everything}\n{}", with_facts(without))).facts;
    assert_eq!(
        (
            found.sender,
            found.proxied_by,
            found.reverse_name,
            found.declared_size,
            found.body
        ),
        (None, None, None, None, None)
    );
    assert_eq!(found.handshake_failure_reason, None);
    let session = found.tls.expect("TLS");
    assert_eq!((session.key_exchange, session.server_name), (None, None));
    assert_eq!(session.certificate, None);
    // What the case does not speak of is still the file's.
    assert_eq!(
        session.cipher_suite,
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
    );
    let clear = only(&format!(
        "{everything}\n{}",
        with_facts("tls = false, sender = \"\"")
    ));
    assert_eq!((clear.facts.tls, clear.facts.sender), (None, None));
}

#[test]
fn what_follows_need_not_be_said() {
    let session = |facts: &str| facts_of(facts).tls.expect("TLS");
    let old = session("tls = { version = \"1.2\" }");
    assert_eq!(old.key_exchange.as_deref(), Some("X25519"));
    assert!(!old.post_quantum && old.cipher_suite.contains("_WITH_"));
    assert!(!session("tls = { key_exchange = \"X25519\" }").post_quantum);
    assert!(session("tls = { key_exchange = \"SecP256r1MLKEM768\" }").post_quantum);
    let short = session("tls = { cipher_suite = \"TLS_AES_128_GCM_SHA256\" }");
    assert_eq!(short.secret_bits, 128);
    assert_eq!(
        session("tls = { certificate = {} }").client_certificate,
        "given"
    );
    let failed = facts_of("handshake_failure_age = 60");
    assert!(failed.handshake_failure_reason.is_some());
}

#[test]
fn trust_is_a_word_or_one_for_each_purpose() {
    let untrusted = (Trust::Untrusted, "unknown issuer");
    for (trust, client, server) in [
        (
            "\"trusted\"",
            (Trust::Trusted, "CN=anchor"),
            (Trust::Trusted, "CN=anchor"),
        ),
        (
            "\"revoked\"",
            (Trust::Untrusted, "revoked"),
            (Trust::Untrusted, "revoked"),
        ),
        (
            "{ server = \"pinned; certificate expired\" }",
            untrusted.clone(),
            (Trust::Pinned, "pinned; certificate expired"),
        ),
        (
            "{ client = { state = \"self-signed\" } }",
            (Trust::SelfSigned, "signed by its own key"),
            untrusted,
        ),
    ] {
        let found = facts_of(&format!("tls.certificate.trust = {trust}"));
        let expected = certificate()
            .trust(Purpose::Client, &client.0, client.1)
            .trust(Purpose::Server, &server.0, server.1);
        let expected = message().tls(tls().certificate(expected));
        assert_eq!(found, *expected.facts(), "{trust}");
    }
}

#[test]
fn settings_and_lists_of_a_case_stand_for_those_of_the_file() {
    let text = r#"
[settings]
days = [1, 2.5, "x"]
since = 2027-01-02
[lists.set]
entries = ["a", "b"]
[lists.map]
entries = { k = "v" }
[[case]]
name = "as the file"
expect = { decision = "default" }
[[case]]
name = "its own"
settings = { exempt = true }
lists = { set = { entries = [] }, map = false }
expect = { decision = "default" }
"#;
    let vectors = Vectors::parse(text).expect("sound");
    let [first, second] = <[Case; 2]>::try_from(vectors.cases).expect("two");
    let settings = serde_json::json!({"days": [1, 2.5, "x"], "since": "2027-01-02"});
    assert_eq!(first.settings, settings);
    assert_eq!((first.line, second.line), (9, 12));
    assert_eq!(first.lists["set"].keys().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(first.lists["map"]["k"], "v");
    assert_eq!(second.settings, serde_json::json!({"exempt": true}));
    assert!(second.lists["set"].is_empty());
    assert!(!second.lists.contains_key("map"));
}

#[test]
fn a_file_without_cases_is_what_one_question_is_about() {
    let text = "[settings]\na = 1\n[lists.some]\nentries = [\"b\"]\n[facts]\nhelo = \"c\"\n";
    let given = Given::parse(text).expect("no case is wanted");
    assert_eq!(given.facts.helo, "c");
    assert_eq!(given.settings, serde_json::json!({ "a": 1 }));
    assert!(given.lists["some"].contains_key("b"));
    assert_eq!(Given::parse("").expect("nothing is said"), Given::default());
    for (text, said) in [
        (
            "[[case]]\nname = \"a\"\n",
            "line 1: case: is for files of vectors",
        ),
        ("[fact]\n", "did you mean \"facts\"?"),
        ("[facts]\nhelp = \"c\"\n", "did you mean \"helo\"?"),
        ("[facts\n", "not TOML"),
    ] {
        let faults = Given::parse(text).expect_err(text).to_string();
        assert!(faults.contains(said), "{text}: {faults}");
    }
}
