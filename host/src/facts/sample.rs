//! Facts for tests: a stranger in clear, to be changed as the test needs it.

use std::sync::Arc;

use super::{
    Certificate, ClientCertificate, Connection, Direction, Facts, Helo, HeloVerb, Judgement,
    MailParameters, Origin, ReceiptId, Stage, Tls, TlsVersion, Trust, TrustState,
};
use crate::address::Mailbox;
use crate::digest::Digest;

/// A message in clear to this recipient.
pub(crate) fn clear(recipient: &Mailbox) -> Facts {
    Facts {
        id: ReceiptId::new(std::time::UNIX_EPOCH),
        now: 1_800_000_000,
        stage: Stage::Recipient,
        direction: Direction::Inbound,
        tenant: "acme".parse().expect("a tenant id"),
        connection: Arc::new(connection(None)),
        helo: Helo {
            verb: HeloVerb::Ehlo,
            name: "client.example".into(),
        },
        sender: Some("sender@partner.example".parse().expect("a mailbox")),
        recipient: recipient.clone(),
        recipients_so_far: 0,
        parameters: MailParameters::default(),
        header_from: Vec::new(),
        trust: None,
    }
}

/// The same over this TLS session.
pub(crate) fn secured(recipient: &Mailbox, tls: Tls) -> Facts {
    Facts {
        connection: Arc::new(connection(Some(tls))),
        ..clear(recipient)
    }
}

/// The same with a client certificate for these names, in this state of trust.
pub(crate) fn certified(recipient: &Mailbox, dns_names: &[&str], state: TrustState) -> Facts {
    let certificate = certificate(dns_names);
    let client_certificate = ClientCertificate::Given(Box::new(certificate));
    let trust = Trust {
        state,
        detail: "a detail".into(),
    };
    Facts {
        trust: Some(Judgement {
            client: trust.clone(),
            server: trust,
            accept_self_signed: false,
        }),
        ..secured(
            recipient,
            Tls {
                client_certificate,
                ..tls()
            },
        )
    }
}

fn connection(tls: Option<Tls>) -> Connection {
    Connection {
        listener: "smtp".into(),
        client: "192.0.2.1:50000".parse().expect("an address"),
        server: "192.0.2.25:25".parse().expect("an address"),
        proxied_by: None,
        reverse_name: None,
        starttls_offered: true,
        handshake_failure: None,
        tls,
    }
}

/// TLS 1.3 without a client certificate.
pub(crate) fn tls() -> Tls {
    Tls {
        origin: Origin::Socket,
        version: TlsVersion::TLS13,
        cipher_suite: "TLS_AES_256_GCM_SHA384".into(),
        secret_bits: 256,
        key_exchange: Some("X25519MLKEM768".into()),
        post_quantum: true,
        server_name: Some("mx.example".into()),
        resumed: false,
        client_certificate: ClientCertificate::None,
    }
}

fn certificate(dns_names: &[&str]) -> Certificate {
    Certificate {
        subject: "CN=client.example".into(),
        issuer: "CN=Authority".into(),
        serial: "01".into(),
        common_name: Some("client.example".into()),
        dns_names: dns_names.iter().map(|&name| name.to_owned()).collect(),
        email_addresses: Vec::new(),
        ip_addresses: Vec::new(),
        uris: Vec::new(),
        not_before: 1_700_000_000,
        not_after: 1_900_000_000,
        key_type: "P-256".into(),
        key_bits: Some(256),
        signature_algorithm: "ecdsa-with-SHA256".into(),
        extended_key_usages: Vec::new(),
        sha256: Digest::of(b"certificate"),
        spki_sha256: Digest::of(b"key"),
        chain_length: 1,
    }
}
