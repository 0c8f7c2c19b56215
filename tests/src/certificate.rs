//! Authorities and certificates that live as long as a test.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// A certificate authority.
pub struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key.
pub struct Identity {
    certificate: CertificateDer<'static>,
    pem: String,
    key: KeyPair,
}

/// An identity as files, for programs.
pub struct IdentityFiles {
    /// The certificate, PEM.
    pub certificate: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
}

impl Authority {
    /// An authority with this common name.
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("keys can be made");
        let mut params = params(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let pem = params
            .self_signed(&key)
            .expect("an authority signs itself")
            .pem();
        Self {
            pem,
            issuer: Issuer::new(params, key),
        }
    }

    /// Its own certificate, PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for these DNS names, for clients and for servers.
    pub fn issue(&self, names: &[&str]) -> Identity {
        self.sign(&leaf(names))
    }

    /// The same, but its time was over long ago.
    pub fn issue_expired(&self, names: &[&str]) -> Identity {
        let mut params = leaf(names);
        params.not_before = rcgen::date_time_ymd(2019, 1, 1);
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
        self.sign(&params)
    }

    /// The same for so many days from now on.
    pub fn issue_for_days(&self, names: &[&str], days: u64) -> Identity {
        let mut params = leaf(names);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.expect("the clock is set");
        // An hour less, so that the days that are left are one less all through a test.
        let end = now + Duration::from_secs(days * 86_400 - 3600);
        params.not_after = rcgen::date_time_ymd(1970, 1, 1) + end;
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> Identity {
        let key = KeyPair::generate().expect("keys can be made");
        let certificate = params
            .signed_by(&key, &self.issuer)
            .expect("an authority signs what it is given");
        Identity {
            certificate: certificate.der().clone(),
            pem: certificate.pem(),
            key,
        }
    }
}

impl Identity {
    /// A certificate for these DNS names that is signed with its own key.
    pub fn self_signed(names: &[&str]) -> Self {
        let key = KeyPair::generate().expect("keys can be made");
        let certificate = leaf(names)
            .self_signed(&key)
            .expect("a key signs its certificate");
        Self {
            certificate: certificate.der().clone(),
            pem: certificate.pem(),
            key,
        }
    }

    /// SHA-256 of the public key (SPKI) as a pin names it.
    pub fn pin(&self) -> String {
        hex::encode(digest::digest(
            &digest::SHA256,
            &self.key.subject_public_key_info(),
        ))
    }

    /// The certificate as a handshake shows it.
    pub fn der(&self) -> &[u8] {
        &self.certificate
    }

    /// Writes `NAME.pem` and `NAME.key` into a directory.
    pub fn write(&self, directory: &Path, name: &str) -> IdentityFiles {
        let files = IdentityFiles {
            certificate: directory.join(format!("{name}.pem")),
            key: directory.join(format!("{name}.key")),
        };
        fs::write(&files.certificate, &self.pem).expect("the test's directory can be written");
        fs::write(&files.key, self.key.serialize_pem())
            .expect("the test's directory can be written");
        files
    }

    pub(crate) fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![self.certificate.clone()]
    }

    pub(crate) fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.serialize_der()).into()
    }
}

fn leaf(names: &[&str]) -> CertificateParams {
    let mut params = params(names.first().unwrap_or(&"nobody"), names);
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ClientAuth,
        ExtendedKeyUsagePurpose::ServerAuth,
    ];
    params
}

fn params(common_name: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).expect("tests name DNS names");
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params
}
