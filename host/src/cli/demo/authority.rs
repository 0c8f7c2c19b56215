//! A throwaway authority: the host's certificate, and those of its clients.

use std::fs;
use std::path::Path;

use anyhow::Context;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::digest::Fingerprint;

/// The host's name in the demo.
pub(super) const HOSTNAME: &str = "mx.gateway.example";

/// Everything that has a key in the demo.
pub(super) struct Authority {
    /// The authority's own certificate: clients check the host against it.
    pub(super) root: CertificateDer<'static>,
    /// Under the authority, for mx.trade.example.
    pub(super) trusted: Identity,
    /// Under the authority, for somebody else.
    pub(super) stranger: Identity,
    /// Signed by itself, for mx.trade.example.
    pub(super) self_signed: Identity,
    /// Signed by itself; its key is one of the tenant's pins.
    pub(super) pinned: Identity,
}

/// A certificate and its key.
pub(super) struct Identity {
    pub(super) certificate: CertificateDer<'static>,
    key: KeyPair,
    pub(super) fingerprint: Fingerprint,
}

impl Identity {
    fn new(certificate: &rcgen::Certificate, key: KeyPair) -> Self {
        let fingerprint = Fingerprint::of(&rcgen::PublicKeyData::subject_public_key_info(&key));
        Self {
            certificate: certificate.der().clone(),
            key,
            fingerprint,
        }
    }

    /// The private key.
    pub(super) fn key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.serialize_der()).into()
    }
}

impl Authority {
    /// Makes all keys; writes those of the host, and the authority's certificate, to
    /// `home`.
    pub(super) fn create(home: &Path) -> anyhow::Result<Self> {
        let issuer = issuer()?;
        let host = issued(&issuer, HOSTNAME)?;
        fs::write(home.join("ca.pem"), issuer.pem())?;
        fs::write(home.join("mx.pem"), pem("CERTIFICATE", &host.certificate))?;
        fs::write(home.join("mx.key"), host.key.serialize_pem())?;
        Ok(Self {
            root: issuer.der().clone(),
            trusted: issued(&issuer, "mx.trade.example")?,
            stranger: issued(&issuer, "mx.stranger.example")?,
            self_signed: self_signed("mx.trade.example")?,
            pinned: self_signed("mx.payroll.example")?,
        })
    }
}

fn issuer() -> anyhow::Result<CertifiedIssuer<'static, KeyPair>> {
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, "Portcullis Demo Authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate()?).context("the root certificate")
}

fn params(name: &str) -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::new(vec![name.to_owned()])?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    Ok(params)
}

fn issued(issuer: &CertifiedIssuer<'static, KeyPair>, name: &str) -> anyhow::Result<Identity> {
    let key = KeyPair::generate()?;
    Ok(Identity::new(&params(name)?.signed_by(&key, issuer)?, key))
}

fn self_signed(name: &str) -> anyhow::Result<Identity> {
    let key = KeyPair::generate()?;
    Ok(Identity::new(&params(name)?.self_signed(&key)?, key))
}

fn pem(label: &str, der: &[u8]) -> String {
    x509_cert::der::pem::encode_string(label, x509_cert::der::pem::LineEnding::LF, der)
        .unwrap_or_default()
}
