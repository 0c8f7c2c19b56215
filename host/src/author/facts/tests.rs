//! Facts of vectors, as tables: those that a host could have, and those that it could not.

use portcullis_sdk::testing::message;
use portcullis_sdk::testing::vectors::{Facts as Given, Vectors};
use serde_json::{Value, json};

use super::*;
use crate::engine::{Event, told};

/// Every fact of the interface, in a form that is not its default where a session with a
/// certificate has another.
const EVERYTHING: &str = r#"
id = "01JD0000000000000000000000"
now = 1_700_000_000
stage = "content"
direction = "outbound"
tenant = "acme"
listener = "submission"
client = "[2001:db8::1]:1234"
server = "203.0.113.1:587"
proxied_by = "203.0.113.9:999"
reverse_name = "mx.partner.example"
reverse_name_confirmed = true
helo_verb = "HELO"
helo = "mx.partner.example"
sender = "amy@partner.example"
recipient = "bob@acme.example"
recipients_so_far = 3
declared_size = 4096
body = "8BITMIME"
smtputf8 = true
requiretls = true
header_from = ["amy@partner.example"]
starttls_offered = true
handshake_failure_age = 60
handshake_failure_reason = "no shared cipher"

[case.facts.tls]
origin = "socket"
version = "1.2"
cipher_suite = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
secret_bits = 128
key_exchange = "X25519"
post_quantum = false
server_name = "mx.acme.example"
resumed = true
client_certificate = "given"

[case.facts.tls.certificate]
subject = "CN=mx"
issuer = "CN=ca"
serial = "0badcafe"
common_name = "mx"
dns_names = ["mx.partner.example"]
email_addresses = ["p@partner.example"]
ip_addresses = ["192.0.2.1"]
uris = ["https://partner.example"]
not_before = -1
not_after = 1_800_000_000
key_type = "RSA"
key_bits = 2048
signature_algorithm = "sha256WithRSAEncryption"
extended_key_usages = ["serverAuth"]
sha256 = "0101010101010101010101010101010101010101010101010101010101010101"
spki_sha256 = "0202020202020202020202020202020202020202020202020202020202020202"
chain_length = 2
trust = { client = { state = "untrusted", detail = "expired" }, server = { state = "trusted", detail = "CN=ca" } }
"#;

fn given(facts: &str) -> Given {
    let text = format!(
        "[[case]]\nname = \"a\"\nexpect = {{ decision = \"default\" }}\n[case.facts]\n{facts}"
    );
    let mut vectors = Vectors::parse(&text).expect("vectors");
    vectors.cases.remove(0).facts
}

/// What a policy is told of a fact, by its name in the interface.
fn fact(facts: &Facts, wanted: &str) -> Value {
    let facts = told(&Arc::new(facts.clone()));
    let found = facts.into_iter().find_map(|event| match event {
        Event::Fact { name, value, .. } if name == wanted => Some(value),
        _ => None,
    });
    found.expect(wanted)
}

#[test]
fn a_policy_is_told_what_the_vector_says() {
    let facts = facts(&given(EVERYTHING)).expect("facts that a host could have");
    for (name, expected) in [
        ("message.id", json!("01JD0000000000000000000000")),
        ("message.now", json!(1_700_000_000)),
        ("message.stage", json!("content")),
        ("message.direction", json!("outbound")),
        ("message.tenant", json!("acme")),
        ("message.listener", json!("submission")),
        ("message.client", json!("[2001:db8::1]:1234")),
        ("message.server", json!("203.0.113.1:587")),
        ("message.proxied-by", json!("203.0.113.9:999")),
        ("message.reverse-name", json!("mx.partner.example")),
        ("message.reverse-name-confirmed", json!(true)),
        ("message.helo-verb", json!("HELO")),
        ("message.helo", json!("mx.partner.example")),
        ("message.sender", json!("amy@partner.example")),
        ("message.recipient", json!("bob@acme.example")),
        ("message.recipients-so-far", json!(3)),
        ("message.declared-size", json!(4096)),
        ("message.body", json!("8BITMIME")),
        ("message.smtputf8", json!(true)),
        ("message.requiretls", json!(true)),
        ("message.header-from", json!(["amy@partner.example"])),
        ("message.starttls-offered", json!(true)),
        ("message.handshake-failure-age", json!(60)),
        (
            "message.handshake-failure-reason",
            json!("no shared cipher"),
        ),
        ("message.tls", json!("present")),
        ("tls.origin", json!("socket")),
        ("tls.version", json!(0x0303)),
        (
            "tls.cipher-suite",
            json!("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
        ),
        ("tls.secret-bits", json!(128)),
        ("tls.key-exchange", json!("X25519")),
        ("tls.post-quantum", json!(false)),
        ("tls.server-name", json!("mx.acme.example")),
        ("tls.resumed", json!(true)),
        ("tls.client-certificate", json!("given")),
        ("tls.certificate", json!("present")),
        ("certificate.subject", json!("CN=mx")),
        ("certificate.issuer", json!("CN=ca")),
        ("certificate.serial", json!("0badcafe")),
        ("certificate.common-name", json!("mx")),
        ("certificate.dns-names", json!(["mx.partner.example"])),
        ("certificate.email-addresses", json!(["p@partner.example"])),
        ("certificate.ip-addresses", json!(["192.0.2.1"])),
        ("certificate.uris", json!(["https://partner.example"])),
        ("certificate.not-before", json!(-1)),
        ("certificate.not-after", json!(1_800_000_000)),
        ("certificate.key-type", json!("RSA")),
        ("certificate.key-bits", json!(2048)),
        (
            "certificate.signature-algorithm",
            json!("sha256WithRSAEncryption"),
        ),
        ("certificate.extended-key-usages", json!(["serverAuth"])),
        ("certificate.sha256", json!("01".repeat(32))),
        ("certificate.spki-sha256", json!("02".repeat(32))),
        ("certificate.chain-length", json!(2)),
        ("certificate.trust", json!("untrusted")),
        ("certificate.trust-detail", json!("expired")),
    ] {
        assert_eq!(fact(&facts, name), expected, "{name}");
    }
    let judgement = facts.trust.expect("a judgement");
    assert_eq!(judgement.server.detail, "CN=ca");
    assert!(judgement.is_trusted());
}

#[test]
fn the_ordinary_message_is_one_that_a_host_could_have() {
    let facts = facts(message().facts()).expect("facts");
    assert_eq!(fact(&facts, "message.tls"), Value::Null);
    for (written, name, expected) in [
        ("sender = \"\"", "message.sender", Value::Null),
        ("tls = {}", "tls.client-certificate", json!("none")),
        (
            "tls = { client_certificate = \"not-asked\" }",
            "tls.client-certificate",
            json!("not-asked"),
        ),
        (
            "starttls_offered = false",
            "message.starttls-offered",
            json!(false),
        ),
        (
            "proxied_by = \"203.0.113.9\"\nstarttls_offered = false\n\
             tls = { origin = \"proxy\", client_certificate = \"claimed\" }",
            "tls.client-certificate",
            json!("claimed"),
        ),
        (
            "proxied_by = \"203.0.113.9\"\n\
             tls = { origin = \"proxy\", client_certificate = \"not-asked\" }",
            "tls.origin",
            json!("proxy"),
        ),
    ] {
        let facts = super::facts(&given(written)).expect(written);
        assert_eq!(fact(&facts, name), expected, "{written}");
    }
}

/// Said with the key, and all at once. Some of it the reader of vectors does not let pass;
/// a policy's own test may build anything.
#[test]
fn what_no_host_could_have_is_said() {
    let ordinary = || given("tls = { certificate = {} }");
    let set = |change: fn(&mut Given)| {
        let mut facts = ordinary();
        change(&mut facts);
        let faults = super::facts(&facts).expect_err("a fault");
        let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
        faults.join("\n")
    };
    fn tls(facts: &mut Given) -> &mut portcullis_sdk::testing::vectors::Tls {
        facts.tls.as_mut().expect("a session")
    }
    fn certificate(facts: &mut Given) -> &mut portcullis_sdk::testing::vectors::Certificate {
        tls(facts).certificate.as_mut().expect("a certificate")
    }
    for (said, found) in [
        (
            "facts.id: \"x\" is not the id of a receipt",
            set(|facts| facts.id = "x".to_owned()),
        ),
        (
            "facts.stage: \"end\" is not one of \"recipient\", \"content\"",
            set(|facts| facts.stage = "end".to_owned()),
        ),
        (
            "facts.tenant: ",
            set(|facts| facts.tenant = "A b".to_owned()),
        ),
        (
            "facts.client: \"localhost\" is not an IP address",
            set(|facts| facts.client.address = "localhost".to_owned()),
        ),
        (
            "facts.reverse_name_confirmed: true, and there is no reverse_name",
            set(|facts| facts.reverse_name_confirmed = true),
        ),
        (
            "facts.helo_verb: \"LHLO\" is not one of \"EHLO\", \"HELO\"",
            set(|facts| facts.helo_verb = "LHLO".to_owned()),
        ),
        (
            "facts.sender: \"amy\" is not a mailbox",
            set(|facts| facts.sender = Some("amy".to_owned())),
        ),
        (
            "facts.header_from[1]: \"amy\" is not a mailbox",
            set(|facts| {
                facts.stage = "content".to_owned();
                facts.header_from = vec!["a@b.example".to_owned(), "amy".to_owned()];
            }),
        ),
        (
            "facts.header_from: is known at the end of data: with stage = \"content\"",
            set(|facts| facts.header_from = vec!["a@b.example".to_owned()]),
        ),
        (
            "facts.starttls_offered: false, and the session is in TLS that this host offered",
            set(|facts| facts.starttls_offered = false),
        ),
        (
            "facts.proxied_by: is missing, and tls.origin is \"proxy\"",
            set(|facts| {
                tls(facts).origin = "proxy".to_owned();
                tls(facts).certificate = None;
                tls(facts).client_certificate = "claimed".to_owned();
            }),
        ),
        (
            "facts.tls.client_certificate: \"claimed\", and tls.origin is \"socket\": it is \"not-asked\", \"none\" or \"given\" there",
            set(|facts| {
                tls(facts).certificate = None;
                tls(facts).client_certificate = "claimed".to_owned();
            }),
        ),
        (
            "facts.tls.client_certificate: \"given\", and tls.origin is \"proxy\": it is \"not-asked\" or \"claimed\" there",
            set(|facts| tls(facts).origin = "proxy".to_owned()),
        ),
        (
            "facts.body: \"BINARYMIME\" is not one of \"7BIT\", \"8BITMIME\"",
            set(|facts| facts.body = Some("BINARYMIME".to_owned())),
        ),
        (
            "facts.handshake_failure_reason: is missing",
            set(|facts| facts.handshake_failure_age = Some(1)),
        ),
        (
            "facts.handshake_failure_age: is missing",
            set(|facts| facts.handshake_failure_reason = Some("one".to_owned())),
        ),
        (
            "facts.handshake_failure_age: 18446744073709551615 seconds before now is before 1970",
            set(|facts| {
                facts.handshake_failure_age = Some(u64::MAX);
                facts.handshake_failure_reason = Some("one".to_owned());
            }),
        ),
        (
            "facts.tls.origin: \"wire\" is not one of \"socket\", \"proxy\"",
            set(|facts| tls(facts).origin = "wire".to_owned()),
        ),
        (
            "facts.tls.client_certificate: \"none\", and there is a tls.certificate",
            set(|facts| tls(facts).client_certificate = "none".to_owned()),
        ),
        (
            "facts.tls.client_certificate: \"given\", and there is no tls.certificate",
            set(|facts| tls(facts).certificate = None),
        ),
        (
            "facts.tls.client_certificate: \"some\" is not one of",
            set(|facts| tls(facts).client_certificate = "some".to_owned()),
        ),
        (
            "facts.tls.certificate.ip_addresses[0]: invalid IP address",
            set(|facts| certificate(facts).ip_addresses.push("::g".to_owned())),
        ),
        (
            "facts.tls.certificate.sha256: \"ab\" is not a SHA-256 digest",
            set(|facts| certificate(facts).sha256 = "ab".to_owned()),
        ),
        (
            "facts.tls.certificate.spki_sha256: \"ab\" is not a SHA-256 digest",
            set(|facts| certificate(facts).spki_sha256 = "ab".to_owned()),
        ),
        (
            "facts.tls.certificate.trust.client: \"expired\" is not one of \"trusted\"",
            set(|facts| certificate(facts).client_trust.state = "expired".to_owned()),
        ),
        (
            "facts.stage: \"x\" is not one of \"recipient\", \"content\"\nfacts.sender: ",
            set(|facts| {
                facts.stage = "x".to_owned();
                facts.sender = Some(String::new());
            }),
        ),
    ] {
        assert!(found.starts_with(said), "{said}\n{found}");
    }
}
