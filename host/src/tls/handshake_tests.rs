//! Real handshakes, over memory, with every kind of certificate and both versions.

use rcgen::{KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ECDSA_P521_SHA512, PKCS_ED25519};
use rcgen::{PKCS_ML_DSA_65, PKCS_RSA_SHA256};
use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};
use rustls_pki_types::CertificateDer;

use super::made::{self, Authority, Leaf, client, day, handshake, server};
use super::{TrustSettings, TrustStore, failure_reason, observe};
use crate::digest::Digest;
use crate::facts::{Certificate, ClientCertificate, Tls, TlsVersion, TrustState};

const BOTH: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

fn given(tls: &Tls) -> &Certificate {
    let ClientCertificate::Given(certificate) = &tls.client_certificate else {
        unreachable!("the client of this test shows a certificate");
    };
    certificate
}

fn failure(
    version: &'static SupportedProtocolVersion,
    chain: &[CertificateDer<'static>],
    key: &KeyPair,
) -> String {
    let config = server("mx.host.example").config(true);
    let error = handshake(
        &config,
        &client(version, Some((chain, key))),
        "mx.host.example",
    )
    .expect_err("the handshake must fail");
    failure_reason(&std::io::Error::new(std::io::ErrorKind::InvalidData, error))
}

#[test]
fn every_kind_of_certificate_passes() {
    let authority = Authority::new("Nobody knows");
    let server = server("mx.host.example");
    let kinds: [(&str, &str, Leaf); 12] = [
        ("plain", "P-256", authority.issue(|_| {})),
        ("self-signed", "P-256", made::self_signed(|_| {})),
        ("authority", "P-256", made::self_signed_authority()),
        (
            "expired",
            "P-256",
            authority.issue(|p| p.not_after = day(-1)),
        ),
        ("early", "P-256", authority.issue(|p| p.not_before = day(1))),
        ("version 1", "P-256", authority.issue_version_1()),
        ("own version 1", "P-256", made::self_signed_version_1()),
        (
            "critical extension",
            "P-256",
            authority.issue(made::unknown_critical_extension),
        ),
        (
            "P-384",
            "P-384",
            authority.issue_for(&PKCS_ECDSA_P384_SHA384, |_| {}),
        ),
        (
            "P-521",
            "P-521",
            authority.issue_for(&PKCS_ECDSA_P521_SHA512, |_| {}),
        ),
        (
            "Ed25519",
            "Ed25519",
            authority.issue_for(&PKCS_ED25519, |_| {}),
        ),
        ("RSA", "RSA", authority.issue_for(&PKCS_RSA_SHA256, |_| {})),
    ];
    for (what, key_type, leaf) in &kinds {
        for version in BOTH {
            let client = client(version, Some((&leaf.chain, &leaf.key)));
            let connection = handshake(&server.config(true), &client, "mx.host.example");
            assert!(connection.is_ok(), "{what}, {version:?}: {connection:?}");
            let (connection, _) = connection.expect("checked above");
            let seen = observe(&connection, true);
            let certificate = given(&seen.tls);
            assert_eq!(certificate.key_type, *key_type, "{what}");
            assert_eq!(
                certificate.common_name.as_deref(),
                Some("mx.partner.example")
            );
            assert_eq!(certificate.sha256, Digest::of(&leaf.chain[0]));
            assert_eq!(seen.chain, leaf.chain);
            assert_eq!(seen.tls.version, TlsVersion(u16::from(version.version)));
            assert!(!seen.tls.resumed);
        }
    }
}

#[test]
fn post_quantum_signatures_pass_where_tls_has_them() {
    let leaf = Authority::new("Nobody knows").issue_for(&PKCS_ML_DSA_65, |_| {});
    let config = server("mx.host.example").config(true);
    let client = client(&TLS13, Some((&leaf.chain, &leaf.key)));
    let (connection, _) = handshake(&config, &client, "mx.host.example").expect("it passes");
    let seen = observe(&connection, true);
    assert_eq!(given(&seen.tls).key_type, "2.16.840.1.101.3.4.3.18");
}

#[test]
fn facts_of_a_session() {
    let server = server("mx.host.example");
    for (version, group, post_quantum) in
        [(&TLS12, "x25519", false), (&TLS13, "X25519MLKEM768", true)]
    {
        let (connection, _) = handshake(
            &server.config(true),
            &client(version, None),
            "MX.Host.example",
        )
        .expect("no certificate is needed");
        let tls = observe(&connection, true).tls;
        assert_eq!(tls.client_certificate, ClientCertificate::None);
        assert_eq!(tls.key_exchange.as_deref(), Some(group), "{version:?}");
        assert_eq!(tls.post_quantum, post_quantum);
        assert_eq!(tls.server_name.as_deref(), Some("mx.host.example"));
        assert!(
            tls.cipher_suite.starts_with("TLS_") && tls.secret_bits == 256,
            "{tls:?}"
        );
    }
}

#[test]
fn a_listener_that_does_not_ask_is_shown_nothing() {
    let leaf = made::self_signed(|_| {});
    let config = server("mx.host.example").config(false);
    for version in BOTH {
        let client = client(version, Some((&leaf.chain, &leaf.key)));
        let (connection, _) = handshake(&config, &client, "mx.host.example").expect("it passes");
        let seen = observe(&connection, false);
        assert_eq!(seen.tls.client_certificate, ClientCertificate::NotAsked);
        assert!(seen.chain.is_empty());
    }
}

#[test]
fn resumption_keeps_the_certificate_and_trust_is_judged_again() {
    let authority = Authority::new("Anchor");
    let mut leaf = authority.issue(|_| {});
    leaf.chain.push(authority.der());
    let server = server("mx.host.example");
    for version in BOTH {
        let client = client(version, Some((&leaf.chain, &leaf.key)));
        let seen = [false, true].map(|resumed| {
            let (connection, _) =
                handshake(&server.config(true), &client, "mx.host.example").expect("it passes");
            let seen = observe(&connection, true);
            assert_eq!(seen.tls.resumed, resumed, "{version:?}");
            seen
        });
        assert_eq!(given(&seen[0].tls), given(&seen[1].tls));
        assert_eq!(seen[0].chain, seen[1].chain);
        let version_1_2 = seen[1].tls.version == TlsVersion::TLS12;
        assert_eq!(seen[1].tls.key_exchange.is_none(), version_1_2);

        for (anchors, expected) in [
            (vec![authority.der()], TrustState::Trusted),
            (vec![], TrustState::Untrusted),
        ] {
            let trust = TrustStore::new(TrustSettings {
                anchors,
                ..Default::default()
            });
            let judgement = trust.expect("sound").judge(&seen[1].chain, made::now());
            assert_eq!(judgement.client.state, expected);
        }
    }
}

#[test]
fn no_session_moves_to_a_listener_that_does_not_ask() {
    let leaf = made::self_signed(|_| {});
    let server = server("mx.host.example");
    for version in BOTH {
        let client = client(version, Some((&leaf.chain, &leaf.key)));
        handshake(&server.config(true), &client, "mx.host.example").expect("it passes");
        let (connection, _) =
            handshake(&server.config(false), &client, "mx.host.example").expect("it passes");
        let seen = observe(&connection, false);
        assert!(!seen.tls.resumed, "{version:?}");
        assert_eq!(seen.tls.client_certificate, ClientCertificate::NotAsked);
    }
}

#[test]
fn another_key_than_the_certificates_fails() {
    let leaf = made::self_signed(|_| {});
    let version_1 = made::self_signed_version_1();
    let wrong = KeyPair::generate().expect("a key");
    for version in BOTH {
        for chain in [&leaf.chain, &version_1.chain] {
            assert_eq!(
                failure(version, chain, &wrong),
                "client certificate: no proof of possession of its key"
            );
        }
    }
}

#[test]
fn what_the_provider_cannot_verify_fails() {
    let key = KeyPair::generate().expect("a key");
    // Made with `openssl req -x509`, `-newkey rsa:1024` and `-newkey ec -pkeyopt
    // ec_paramgen_curve:secp256k1`; their keys were thrown away.
    let rsa_1024 = include_bytes!("client_certificate/rsa-1024.der");
    let secp256k1 = include_bytes!("client_certificate/secp256k1.der");
    let mut cut = made::self_signed(|_| {}).chain[0].to_vec();
    cut.truncate(100);
    let long = vec![CertificateDer::from(vec![0; 10_000]); 2];
    for (chain, expected) in [
        (
            vec![CertificateDer::from(&rsa_1024[..])],
            "RSA key of 1024 bits, not within 2048 to 8192",
        ),
        (
            vec![CertificateDer::from(&secp256k1[..])],
            "key type 1.2.840.10045.2.1 on curve 1.3.132.0.10 is not supported",
        ),
        (vec![cut.into()], "malformed certificate"),
        (vec![b"garbage".to_vec().into()], "malformed certificate"),
        (long, "chain of 20000 bytes is over 16384"),
    ] {
        for version in BOTH {
            assert_eq!(
                failure(version, &chain, &key),
                format!("client certificate: {expected}")
            );
        }
    }
}

#[test]
fn garbage_is_not_tls() {
    for (bytes, expected) in [
        (&b"EHLO client.example\r\n"[..], "not TLS"),
        (
            b"\x16\x03\x01\x00\x04\x01\x00\x00\x00",
            "protocol violation by the client",
        ),
    ] {
        let config = server("mx.host.example").config(true);
        let mut connection = rustls::ServerConnection::new(config).expect("a server");
        connection.read_tls(&mut &bytes[..]).expect("memory");
        let error = connection
            .process_new_packets()
            .expect_err("not a handshake");
        let error = std::io::Error::new(std::io::ErrorKind::InvalidData, error);
        assert_eq!(failure_reason(&error), expected);
    }
}
