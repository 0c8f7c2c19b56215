//! The TLS session of a vector, its certificate and what the tenant's trust says of that.

use portcullis_sdk::testing::vectors;

use super::Faults;
use crate::facts::{
    Certificate, ClaimedCertificate, ClientCertificate, Judgement, Origin, Tls, TlsVersion, Trust,
    TrustState,
};

/// Seen by the host itself.
pub(super) const SOCKET: &str = "socket";
/// By the word of a proxy.
pub(super) const PROXY: &str = "proxy";

pub(super) fn session(given: &vectors::Tls, faults: &mut Faults) -> Option<Tls> {
    // A claim that does not count is, to a policy, no session at all.
    let origins = [(SOCKET, Origin::Socket), (PROXY, Origin::TrustedProxy)];
    let origin = faults.one_of("tls.origin", &given.origin, &origins);
    let client_certificate = client_certificate(given, faults);
    Some(Tls {
        origin: origin?,
        version: TlsVersion(given.version),
        cipher_suite: given.cipher_suite.clone(),
        secret_bits: given.secret_bits,
        key_exchange: given.key_exchange.clone(),
        post_quantum: given.post_quantum,
        server_name: given.server_name.clone(),
        resumed: given.resumed,
        client_certificate: client_certificate?,
    })
}

const CLIENT_CERTIFICATE: &str = "tls.client_certificate";

fn client_certificate(given: &vectors::Tls, faults: &mut Faults) -> Option<ClientCertificate> {
    if !is_of_its_origin(given, faults) {
        return None;
    }
    match (given.client_certificate.as_str(), &given.certificate) {
        ("given", Some(certificate)) => {
            let certificate = Box::new(self::certificate(certificate, faults)?);
            return Some(ClientCertificate::Given(certificate));
        }
        ("given", None) => faults.push(
            CLIENT_CERTIFICATE,
            "\"given\", and there is no tls.certificate",
        ),
        ("not-asked", None) => return Some(ClientCertificate::NotAsked),
        ("none", None) => return Some(ClientCertificate::None),
        ("claimed", None) => {
            // Of what a proxy says beyond that, a policy is told nothing.
            return Some(ClientCertificate::Claimed(ClaimedCertificate {
                common_name: None,
                verified: false,
            }));
        }
        (word @ ("not-asked" | "none" | "claimed"), Some(_)) => {
            let message = format_args!("{word:?}, and there is a tls.certificate: it is \"given\"");
            faults.push(CLIENT_CERTIFICATE, message);
        }
        (word, _) => {
            let words = "\"not-asked\", \"none\", \"given\", \"claimed\"";
            faults.push(
                CLIENT_CERTIFICATE,
                format_args!("{word:?} is not one of {words}"),
            );
        }
    }
    None
}

/// A proxy shows no certificate, and does not say whether it asked for one; what the host
/// sees itself is no claim.
fn is_of_its_origin(given: &vectors::Tls, faults: &mut Faults) -> bool {
    let word = given.client_certificate.as_str();
    let possible = match (given.origin.as_str(), word) {
        (SOCKET, "claimed") => "\"not-asked\", \"none\" or \"given\"",
        (PROXY, "none" | "given") => "\"not-asked\" or \"claimed\"",
        _ => return true,
    };
    let origin = &given.origin;
    let message = format_args!("{word:?}, and tls.origin is {origin:?}: it is {possible} there");
    faults.push(CLIENT_CERTIFICATE, message);
    false
}

fn certificate(given: &vectors::Certificate, faults: &mut Faults) -> Option<Certificate> {
    let ip_addresses = faults.each("tls.certificate.ip_addresses", &given.ip_addresses);
    let sha256 = faults.parsed("tls.certificate.sha256", &given.sha256);
    let spki_sha256 = faults.parsed("tls.certificate.spki_sha256", &given.spki_sha256);
    Some(Certificate {
        subject: given.subject.clone(),
        issuer: given.issuer.clone(),
        serial: given.serial.clone(),
        common_name: given.common_name.clone(),
        dns_names: given.dns_names.clone(),
        email_addresses: given.email_addresses.clone(),
        ip_addresses: ip_addresses?,
        uris: given.uris.clone(),
        not_before: given.not_before,
        not_after: given.not_after,
        key_type: given.key_type.clone(),
        key_bits: given.key_bits,
        signature_algorithm: given.signature_algorithm.clone(),
        extended_key_usages: given.extended_key_usages.clone(),
        sha256: sha256?,
        spki_sha256: spki_sha256?,
        chain_length: given.chain_length,
    })
}

pub(super) fn judgement(given: &vectors::Certificate, faults: &mut Faults) -> Option<Judgement> {
    let client = trust("tls.certificate.trust.client", &given.client_trust, faults);
    let server = trust("tls.certificate.trust.server", &given.server_trust, faults);
    Some(Judgement {
        client: client?,
        server: server?,
        accept_self_signed: given.accept_self_signed,
    })
}

fn trust(path: &str, given: &vectors::Judgement, faults: &mut Faults) -> Option<Trust> {
    let states = [
        TrustState::Trusted,
        TrustState::Pinned,
        TrustState::SelfSigned,
        TrustState::Untrusted,
    ];
    let words = states.map(|state| (state.as_str(), state));
    Some(Trust {
        state: faults.one_of(path, &given.state, &words)?,
        detail: given.detail.clone(),
    })
}
