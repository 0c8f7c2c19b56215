//! What the host saw of a TLS session, once its handshake is done.

use rustls::{HandshakeKind, ServerConnection};
use rustls_pki_types::CertificateDer;

use super::{certificate, names};
use crate::facts::{ClientCertificate, Origin, Tls, TlsVersion};

/// A TLS session as facts, and the chain that tenants judge.
#[derive(Clone, Debug, PartialEq)]
pub struct Observed {
    /// For the facts of the connection.
    pub tls: Tls,
    /// What the client sent, its own certificate first; empty when it sent none. On a
    /// resumed session, what it sent when the session began.
    pub chain: Vec<CertificateDer<'static>>,
}

/// Describes a session whose handshake is done. `asked` says whether its
/// configuration asks for a client certificate.
pub fn observe(connection: &ServerConnection, asked: bool) -> Observed {
    let chain = connection.peer_certificates().unwrap_or_default().to_vec();
    let version = connection.protocol_version().map_or(0, u16::from);
    let suite = connection
        .negotiated_cipher_suite()
        .map(|suite| names::suite(suite.suite()));
    let group = connection
        .negotiated_key_exchange_group()
        .map(|group| names::group(group.name()));
    let tls = Tls {
        origin: Origin::Socket,
        version: TlsVersion(version),
        secret_bits: suite.as_ref().map_or(0, |suite| suite.secret_bits),
        cipher_suite: suite.map_or_else(String::new, |suite| suite.name),
        post_quantum: group.as_ref().is_some_and(|group| group.post_quantum),
        key_exchange: group.map(|group| group.name),
        server_name: connection.server_name().map(str::to_ascii_lowercase),
        resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
        client_certificate: client_certificate(&chain, asked),
    };
    Observed { tls, chain }
}

fn client_certificate(chain: &[CertificateDer<'_>], asked: bool) -> ClientCertificate {
    if chain.is_empty() {
        return if asked {
            ClientCertificate::None
        } else {
            ClientCertificate::NotAsked
        };
    }
    let certificate = certificate::describe(chain)
        .expect("the handshake lets through only certificates whose outline can be read");
    ClientCertificate::Given(Box::new(certificate))
}
