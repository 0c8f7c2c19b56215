//! The kept module of each interface version, on facts that have everything: what a
//! policy reads is exactly what the host saw.

use std::sync::Arc;

use super::guest::Bench;
use crate::decision::{Decision, Requirement, Requirements};
use crate::digest::Fingerprint;
use crate::engine::{Module, Ran};
use crate::facts::{Facts, TlsVersion};
use crate::lists::{List, Lists};

/// See `tests/fixtures/README.md` for what it does.
pub(super) const POLICY_0_1_0: &[u8] =
    include_bytes!("../../../../tests/fixtures/policy-0.1.0.wasm");

async fn ask(bench: &Bench, module: &Module, recipient: &str) -> Ran {
    let list = List::new([("key".to_owned(), "value".to_owned())].into());
    let lists: Lists = [("kept".to_owned(), list)].into_iter().collect();
    let recipient = format!("{recipient}@acme.example");
    bench
        .engine
        .decide(module, "{}", &everything(&recipient), &Arc::new(lists))
        .await
}

#[tokio::test]
async fn every_fact_of_0_1_0_reaches_a_policy() {
    let bench = Bench::new();
    let ran = ask(&bench, &bench.module(POLICY_0_1_0), "any").await;
    ran.result.expect("an answer");
    let lines: Vec<_> = ran.log.iter().map(|line| line.text.as_str()).collect();
    let expected = [
        "id=01JD0000000000000000000000 now=1700000000 stage=content direction=outbound tenant=acme listener=mx client=Endpoint { address: \"192.0.2.1\", port: 40000 } server=Endpoint { address: \"2001:db8::2\", port: 25 } proxied-by=Some(Endpoint { address: \"192.0.2.9\", port: 1234 }) reverse-name=Some(\"client.example\") reverse-name-confirmed=true starttls-offered=true handshake-failure-age=Some(60) handshake-failure-reason=Some(\"no shared cipher\")",
        "helo-verb=EHLO helo=client.example sender=Some(Address(\"alice@partner.example\")) recipient=any@acme.example recipients-so-far=3 declared-size=Some(4096) body=Some(EightBitMime) smtputf8=true requiretls=true header-from=[Address(\"alice@partner.example\")]",
        "origin=socket version=TLS 1.3 cipher-suite=TLS_AES_128_GCM_SHA256 secret-bits=128 key-exchange=Some(\"X25519MLKEM768\") post-quantum=true server-name=Some(\"mx.acme.example\") resumed=true client-certificate=given",
        "subject=CN=mx issuer=CN=ca serial=0badcafe common-name=Some(\"mx\") dns-names=[\"mx.partner.example\"] email-addresses=[\"p@partner.example\"] ip-addresses=[\"192.0.2.1\"] uris=[\"https://partner.example\"] not-before=-1 not-after=1800000000 key-type=P-256 key-bits=Some(256) signature-algorithm=ecdsa-with-SHA256 extended-key-usages=[\"serverAuth\"] sha256=0101010101010101010101010101010101010101010101010101010101010101 spki-sha256=0202020202020202020202020202020202020202020202020202020202020202 chain-length=2",
        "client-trust=untrusted client-detail=\"wrong purpose\" server-trust=trusted server-detail=\"CN=ca\" covers=false within=true",
    ];
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn every_answer_of_0_1_0_reaches_the_host() {
    let bench = Bench::new();
    let module = bench.module(POLICY_0_1_0);
    let domain = |text: &str| text.parse().expect("a domain");
    let pin: Fingerprint = "0a".repeat(32).parse().expect("a pin");
    let all = [
        Requirement::AtLeast(TlsVersion::TLS13),
        Requirement::PostQuantum,
        Requirement::Presented,
        Requirement::Trusted,
        Requirement::Covers(domain("mx.partner.example")),
        Requirement::Within(domain("partner.example")),
        Requirement::Pinned([pin].into()),
    ];
    let said = "as the recipient says";
    for (recipient, decision, reason) in [
        ("any", Decision::Default, said),
        ("opportunistic", Decision::Opportunistic, said),
        ("tls", Decision::Enforced(Requirements::default()), said),
        (
            "everything",
            Decision::Enforced(all.into_iter().collect()),
            said,
        ),
        (
            "list",
            Decision::Default,
            "contains=true lookup=Some(\"value\")",
        ),
    ] {
        let answer = ask(&bench, &module, recipient).await.result;
        let answer = answer.expect(recipient);
        assert_eq!(answer.decision, decision, "{recipient}");
        assert_eq!(answer.reason, reason, "{recipient}");
    }

    let error = ask(&bench, &module, "error").await.result;
    let error = error.expect_err("the policy's error").to_string();
    assert_eq!(error, format!("the policy answered with an error: {said}"));
    let panicked = ask(&bench, &module, "panic").await;
    assert_eq!(panicked.result.expect_err("a panic").code(), "trap");
    let last = panicked.log.last().expect("the panic's text");
    assert!(last.text.contains(said), "{}", last.text);
}

/// Facts in which nothing is missing.
pub(super) fn everything(recipient: &str) -> Arc<Facts> {
    let certificate = serde_json::json!({
        "subject": "CN=mx", "issuer": "CN=ca", "serial": "0badcafe", "common_name": "mx",
        "dns_names": ["mx.partner.example"], "email_addresses": ["p@partner.example"],
        "ip_addresses": ["192.0.2.1"], "uris": ["https://partner.example"],
        "not_before": -1, "not_after": 1_800_000_000,
        "key_type": "P-256", "key_bits": 256, "signature_algorithm": "ecdsa-with-SHA256",
        "extended_key_usages": ["serverAuth"],
        "sha256": "01".repeat(32), "spki_sha256": "02".repeat(32), "chain_length": 2,
    });
    let tls = serde_json::json!({
        "origin": "socket", "version": 0x0304, "cipher_suite": "TLS_AES_128_GCM_SHA256",
        "secret_bits": 128, "key_exchange": "X25519MLKEM768", "post_quantum": true,
        "server_name": "mx.acme.example", "resumed": true,
        "client_certificate": { "given": certificate },
    });
    let facts = serde_json::json!({
        "id": "01JD0000000000000000000000", "now": 1_700_000_000,
        "stage": "content", "direction": "outbound", "tenant": "acme",
        "connection": {
            "listener": "mx",
            "client": "[::ffff:192.0.2.1]:40000", "server": "[2001:db8:0::2]:25",
            "proxied_by": "192.0.2.9:1234",
            "reverse_name": { "name": "client.example", "confirmed": true },
            "starttls_offered": true,
            "handshake_failure": { "at": 1_699_999_940, "reason": "no shared cipher" },
            "tls": tls,
        },
        "helo": { "verb": "EHLO", "name": "client.example" },
        "sender": "alice@partner.example", "recipient": recipient, "recipients_so_far": 3,
        "parameters": { "size": 4096, "body": "8BITMIME", "smtputf8": true, "requiretls": true },
        "header_from": ["alice@partner.example"],
        "trust": {
            "client": { "state": "untrusted", "detail": "wrong purpose" },
            "server": { "state": "trusted", "detail": "CN=ca" },
            "accept_self_signed": false,
        },
    });
    Arc::new(serde_json::from_value(facts).expect("facts"))
}
