//! Certificates: one for the servers, made anew for each run, and those of clients.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use portcullis::tls::pem;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::ClientConfig;
use rustls::sign::{CertifiedKey, SingleCertAndKey};

/// For whom the servers' certificate is.
pub(crate) const NAME: &str = "mx.bench.example";

/// A certificate and its key as PEM files.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    /// The chain.
    pub(crate) chain: PathBuf,
    /// The key.
    pub(crate) key: PathBuf,
}

impl Files {
    /// Makes a self-signed certificate for [`NAME`] with a key on P-256.
    pub(crate) fn make(directory: &Path) -> anyhow::Result<Self> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = CertificateParams::new([NAME.to_owned()])?.self_signed(&key)?;
        let files = Self {
            chain: directory.join("mx.pem"),
            key: directory.join("mx.key"),
        };
        fs::write(&files.chain, certificate.pem()).context("the certificate")?;
        fs::write(&files.key, key.serialize_pem()).context("the certificate's key")?;
        Ok(files)
    }

    /// Reads what is in the files.
    pub(crate) fn read(&self) -> anyhow::Result<CertifiedKey> {
        let chain = pem::certificates(&self.chain)?;
        let key = pem::private_key(&self.key)?;
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        CertifiedKey::from_der(chain, key, &provider)
            .with_context(|| format!("{} and {}", self.chain.display(), self.key.display()))
    }
}

/// A client that takes any certificate, and shows one of its own if it has one.
pub(crate) fn client(identity: Option<&Files>) -> anyhow::Result<ClientConfig> {
    let mut config = ClientConfig::clone(&portcullis::tls::unverified_client());
    if let Some(identity) = identity {
        config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(identity.read()?));
    }
    Ok(config)
}
