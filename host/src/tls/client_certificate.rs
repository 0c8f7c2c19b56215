//! Asking clients for a certificate, and proof that they own its key.
//!
//! **The handshake never fails on trust.** Possession is verified over the public key
//! alone, so an issuer nobody knows, dates long past, X.509 version 1 and critical
//! extensions of any kind all pass; what a certificate is worth is judged afterwards
//! (see [`super::trust`]).
//!
//! What still ends the handshake, each with a reason of its own in
//! [`super::failure_reason`]:
//!
//! | the client | reason |
//! | --- | --- |
//! | certificate that is not DER, has no readable validity or no readable key | `client certificate: malformed certificate` |
//! | RSA under 2048 or over 8192 bits | `client certificate: RSA key of 1024 bits, not within 2048 to 8192` |
//! | a key type the provider does not verify: secp256k1, Ed448, DSA, RSASSA-PSS | `client certificate: key type … is not supported` |
//! | a chain of more than 16 KB | `client certificate: chain of … bytes is over 16384` |
//! | another key than the certificate's | `client certificate: no proof of possession of its key` |
//!
//! The host says which signatures it verifies, so most clients with a key of another
//! type show no certificate at all: openssl does so with Ed448, DSA and RSASSA-PSS keys
//! always, and with secp256k1 in TLS 1.3.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key,
};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, OtherError, PeerMisbehaved,
    SignatureScheme,
};
use rustls_pki_types::{CertificateDer, SubjectPublicKeyInfoDer, UnixTime};
use webpki::RawPublicKeyEntity;
use x509_cert::der::Tag;

use super::certificate::{MAX_CHAIN_BYTES, PublicKey};
use super::outline::{Malformed, Outline, content, elements};

/// Sizes of an RSA key, in bits, that the provider verifies.
const RSA_BITS: std::ops::RangeInclusive<u32> = 2048..=8192;

/// Why a client's certificate ends the handshake.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unverifiable {
    /// Nothing could be made of it.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// More than [`MAX_CHAIN_BYTES`].
    #[error("chain of {0} bytes is over {MAX_CHAIN_BYTES}")]
    ChainTooLong(usize),
    /// Too short to be worth verifying, or too long to be done in bounded time.
    #[error("RSA key of {0} bits, not within {least} to {most}", least = RSA_BITS.start(), most = RSA_BITS.end())]
    RsaBits(u32),
    /// A key type (by OID) that the provider does not verify.
    #[error("key type {0} is not supported")]
    KeyType(String),
}

/// Asks for a certificate and takes any whose owner proves possession of its key.
#[derive(Debug)]
pub(super) struct AnyCertificate {
    algorithms: WebPkiSupportedAlgorithms,
}

impl AnyCertificate {
    pub(super) fn new(provider: &CryptoProvider) -> Self {
        Self {
            algorithms: provider.signature_verification_algorithms,
        }
    }

    fn check(&self, chain_bytes: usize, end_entity: &[u8]) -> Result<(), Unverifiable> {
        if chain_bytes > MAX_CHAIN_BYTES {
            return Err(Unverifiable::ChainTooLong(chain_bytes));
        }
        let outline = Outline::read(end_entity)?;
        let key = PublicKey::of(&outline.key);
        if let ("RSA", Some(bits)) = (key.name.as_str(), key.bits)
            && !RSA_BITS.contains(&bits)
        {
            return Err(Unverifiable::RsaBits(bits));
        }
        if self.verifies(outline.spki)? {
            Ok(())
        } else {
            Err(Unverifiable::KeyType(key.oid))
        }
    }

    /// The provider has an algorithm for keys of this type.
    fn verifies(&self, spki: &[u8]) -> Result<bool, Malformed> {
        let algorithm = elements(content(spki, Tag::Sequence)?)
            .next()
            .ok_or(Malformed)?;
        let identifier = content(algorithm, Tag::Sequence)?;
        Ok(self
            .algorithms
            .all
            .iter()
            .any(|known| known.public_key_alg_id().as_ref() == identifier))
    }
}

impl ClientCertVerifier for AnyCertificate {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// No hints: a client with several certificates chooses, and one with a single
    /// certificate is never talked out of showing it.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let bytes = end_entity.len() + intermediates.iter().map(|der| der.len()).sum::<usize>();
        self.check(bytes, end_entity)
            .map(|()| ClientCertVerified::assertion())
            .map_err(|why| CertificateError::Other(OtherError(Arc::new(why))).into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let spki = public_key(certificate)?;
        verify_tls12(
            &self.algorithms,
            &spki,
            signed.scheme,
            message,
            signed.signature(),
        )
        .map(|()| HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let spki = public_key(certificate)?;
        verify_tls13_signature_with_raw_key(message, &spki, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn public_key(
    certificate: &CertificateDer<'_>,
) -> Result<SubjectPublicKeyInfoDer<'static>, rustls::Error> {
    let outline = Outline::read(certificate).map_err(|_| CertificateError::BadEncoding)?;
    Ok(outline.spki.to_vec().into())
}

/// Possession by a TLS 1.2 signature. There the scheme names only hash and kind of
/// key, not the curve, so every algorithm that it may stand for is tried.
fn verify_tls12(
    algorithms: &WebPkiSupportedAlgorithms,
    spki: &SubjectPublicKeyInfoDer<'_>,
    scheme: SignatureScheme,
    message: &[u8],
    signature: &[u8],
) -> Result<(), rustls::Error> {
    let candidates = algorithms
        .mapping
        .iter()
        .find(|(known, _)| *known == scheme && exists_in_tls12(scheme))
        .map(|(_, candidates)| *candidates)
        .ok_or(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)?;
    let key = RawPublicKeyEntity::try_from(spki).map_err(|_| CertificateError::BadEncoding)?;
    candidates
        .iter()
        .any(|algorithm| key.verify_signature(*algorithm, message, signature).is_ok())
        .then_some(())
        .ok_or_else(|| CertificateError::BadSignature.into())
}

/// ML-DSA was defined for TLS 1.3 alone.
fn exists_in_tls12(scheme: SignatureScheme) -> bool {
    !matches!(
        scheme,
        SignatureScheme::ML_DSA_44 | SignatureScheme::ML_DSA_65 | SignatureScheme::ML_DSA_87
    )
}
