//! TLS as the host speaks it when it is the client: to next hops.
//!
//! Two kinds. *Verified* takes one name, under given anchors or the public roots, by
//! the same rules as a tenant's trust ([`super::trust`]): so a certificate that
//! `openssl req -x509` made may be its own anchor. *Unverified* takes anybody.
//! Neither shows a certificate of the host.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::version::{TLS12, TLS13};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, OtherError, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use webpki::EndEntityCert;

use super::trust::{PublicRoots, TrustError, TrustSettings, TrustStore};
use super::{certificate, provider};
use crate::facts::TrustState;

/// A client that takes a certificate for the name it asks for, under one of these
/// anchors; under the public roots where there are none.
///
/// # Errors
///
/// Every anchor that cannot be used.
pub fn verified_client(
    anchors: &[CertificateDer<'static>],
) -> Result<Arc<ClientConfig>, Vec<TrustError>> {
    let trust = TrustStore::new(TrustSettings {
        anchors: anchors.to_vec(),
        public_roots: anchors.is_empty().then(PublicRoots::bundled),
        ..TrustSettings::default()
    })?;
    Ok(verified(trust))
}

/// The same under these public roots.
pub fn publicly_verified_client(roots: Arc<PublicRoots>) -> Arc<ClientConfig> {
    let trust = TrustStore::new(TrustSettings {
        public_roots: Some(roots),
        ..TrustSettings::default()
    });
    verified(trust.expect("without anchors and lists of its own none has a fault"))
}

fn verified(trust: TrustStore) -> Arc<ClientConfig> {
    config(Arc::new(Verified {
        trust,
        algorithms: provider().signature_verification_algorithms,
    }))
}

/// A client that takes any certificate: against those who only listen.
pub fn unverified_client() -> Arc<ClientConfig> {
    config(Arc::new(Anybody))
}

/// Why a handshake with a server failed, in words for whoever operates the host.
pub fn client_failure(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    match inner {
        // rustls shows what it does not know by its name in the source.
        Some(rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(why)))) => {
            why.to_string()
        }
        _ => error.to_string(),
    }
}

fn config(verifier: Arc<dyn ServerCertVerifier>) -> Arc<ClientConfig> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13, &TLS12])
        .expect("the provider has suites and groups for both versions")
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Arc::new(config)
}

/// A certificate that is not the next hop's.
#[derive(Debug, thiserror::Error)]
enum Unverified {
    #[error("its certificate is not trusted: {0}")]
    Untrusted(String),
    #[error("its certificate is for {found}, not for {required}")]
    WrongName { required: String, found: String },
}

impl From<Unverified> for rustls::Error {
    fn from(why: Unverified) -> Self {
        CertificateError::Other(OtherError(Arc::new(why))).into()
    }
}

#[derive(Debug)]
struct Verified {
    trust: TrustStore,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Verified {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let chain = [std::slice::from_ref(end_entity), intermediates].concat();
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(now.as_secs());
        let verdict = self.trust.judge(&chain, now).server;
        if verdict.state != TrustState::Trusted {
            return Err(Unverified::Untrusted(verdict.detail).into());
        }
        EndEntityCert::try_from(end_entity)
            .and_then(|certificate| certificate.verify_is_valid_for_subject_name(name))
            .map_err(|_| wrong_name(&chain, name))?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn wrong_name(chain: &[CertificateDer<'_>], name: &ServerName<'_>) -> Unverified {
    let names = certificate::describe(chain).map(|certificate| certificate.dns_names);
    Unverified::WrongName {
        required: name.to_str().into_owned(),
        found: match names.unwrap_or_default().as_slice() {
            [] => "no DNS name".to_owned(),
            names => names.join(", "),
        },
    }
}

/// Takes any certificate, and does not ask who holds its key: whoever could pretend to
/// be the next hop could as well have hidden its STARTTLS.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
