//! Certificates, private keys and revocation lists from PEM files.
//!
//! Every error names the file and says what to do about it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rustls_pki_types::pem::{Error, PemObject};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

/// A PEM file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PemError {
    /// The file cannot be read.
    #[error("cannot read {path}: {reason}", path = .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: std::io::Error,
    },
    /// A section begins but is not PEM.
    #[error("{path} is not sound PEM: {reason}; export it again", path = .path.display())]
    Unsound {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: &'static str,
    },
    /// Nothing of the kind is in it.
    #[error("{path} has no {kind}: give a PEM file with a \"-----BEGIN {label}-----\" section", path = .path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        kind: &'static str,
        /// The label of its section.
        label: &'static str,
    },
    /// The key is there, but encrypted.
    #[error("the private key in {path} is encrypted: store it without a passphrase, readable to this user alone", path = .path.display())]
    Encrypted {
        /// The file.
        path: PathBuf,
    },
}

impl PemError {
    /// Whether it may be gone without any change of the file: descriptors ran out, or a
    /// disk did not do what it should. A file that is not there is none of that.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreadable { reason, .. } if reason.kind() != ErrorKind::NotFound)
    }
}

/// All certificates of a file, in its order; at least one.
///
/// # Errors
///
/// When the file cannot be read, is not PEM or has no certificate.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, PemError> {
    certificates_in(path, &read(path)?)
}

/// All certificates of this text, in its order; at least one.
///
/// # Errors
///
/// When it is not PEM or has no certificate; by this name.
pub fn certificates_in(name: &Path, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, PemError> {
    sections(name, text, "certificate", "CERTIFICATE")
}

/// All certificate revocation lists of this text, in its order; at least one.
///
/// # Errors
///
/// When it is not PEM or has no revocation list; by this name.
pub fn revocation_lists_in(
    name: &Path,
    text: &[u8],
) -> Result<Vec<CertificateRevocationListDer<'static>>, PemError> {
    sections(name, text, "certificate revocation list", "X509 CRL")
}

/// The first private key of a file: PKCS #8, PKCS #1 or SEC1, unencrypted.
///
/// # Errors
///
/// When the file cannot be read, is not PEM or has no key that can be used.
pub fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, PemError> {
    let text = read(path)?;
    match PrivateKeyDer::from_pem_slice(&text) {
        Ok(key) => Ok(key),
        Err(Error::NoItemsFound) if is_encrypted(&text) => Err(PemError::Encrypted {
            path: path.to_owned(),
        }),
        Err(Error::NoItemsFound) => Err(missing(path, "private key", "PRIVATE KEY")),
        Err(reason) => Err(unsound(path, &reason)),
    }
}

fn sections<T: PemObject>(
    path: &Path,
    text: &[u8],
    kind: &'static str,
    label: &'static str,
) -> Result<Vec<T>, PemError> {
    let found: Vec<T> = T::pem_slice_iter(text)
        .collect::<Result<_, _>>()
        .map_err(|reason| unsound(path, &reason))?;
    if found.is_empty() {
        Err(missing(path, kind, label))
    } else {
        Ok(found)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, PemError> {
    std::fs::read(path).map_err(|reason| PemError::Unreadable {
        path: path.to_owned(),
        reason,
    })
}

/// PKCS #8 says so in its label, the older forms in a header line.
fn is_encrypted(text: &[u8]) -> bool {
    [
        &b"BEGIN ENCRYPTED PRIVATE KEY"[..],
        b"Proc-Type: 4,ENCRYPTED",
    ]
    .iter()
    .any(|mark| memchr::memmem::find(text, mark).is_some())
}

fn missing(path: &Path, kind: &'static str, label: &'static str) -> PemError {
    PemError::Missing {
        path: path.to_owned(),
        kind,
        label,
    }
}

fn unsound(path: &Path, error: &Error) -> PemError {
    PemError::Unsound {
        path: path.to_owned(),
        reason: match error {
            Error::MissingSectionEnd { .. } => "an END line is missing",
            Error::IllegalSectionStart { .. } => "a BEGIN line is malformed",
            Error::Base64Decode(_) => "a section is not base64",
            _ => "it is malformed",
        },
    }
}
