//! A certificate of the host's own making, for a host that has none configured yet.
//!
//! It is enough for opportunistic TLS, where senders check no names, and for nothing
//! more. It is made once and kept, so that a sender that remembers keys sees the same
//! one after a restart.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use time::OffsetDateTime;

use super::pem::{self, PemError};
use super::server::Identity;
use crate::facts::unix_seconds;

/// Certificate and key are one file, so that they cannot come apart.
const FILE: &str = "self-signed.pem";

/// Ten years: nobody checks its dates, and a new one would look like an attack to a
/// sender that remembers keys.
const LIFETIME: Duration = Duration::from_secs(3650 * 24 * 60 * 60);

/// Clocks of senders are off by minutes; a day is beyond doubt.
const CLOCK_SKEW: Duration = Duration::from_secs(24 * 60 * 60);

/// Where the certificate comes from, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provenance {
    /// There was none.
    Made,
    /// The one that was there.
    Reused,
    /// The one that was there has expired.
    RemadeExpired,
    /// The one that was there is for another host name.
    RemadeName,
}

impl Provenance {
    /// Why there is the one that there is.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Made => "there was none",
            Self::Reused => "it was there",
            Self::RemadeExpired => "the one that was there has ended",
            Self::RemadeName => "the one that was there is for another host name",
        }
    }
}

/// The host's own certificate can be neither read nor made.
#[derive(Debug, thiserror::Error)]
pub enum HostCertificateError {
    /// The host name is no DNS name.
    #[error(
        "cannot make a certificate for {hostname:?}: {reason}; set the host name to a DNS name"
    )]
    HostName {
        /// The name.
        hostname: String,
        /// Why.
        reason: rcgen::Error,
    },
    /// The file there cannot be read.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// The file there has something else in it.
    #[error("{path} is not a certificate and key that this host made: remove it to have them made again", path = .path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be stored.
    #[error("cannot store the certificate in {path}: {reason}", path = .path.display())]
    Store {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: std::io::Error,
    },
}

impl HostCertificateError {
    /// Whether it may be gone by itself: the file could not be read or written.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Pem(error) => error.is_transient(),
            Self::Store { .. } => true,
            Self::HostName { .. } | Self::Foreign { .. } => false,
        }
    }
}

/// The self-signed identity for this host name, kept in this directory: the one that
/// is there, or a new one when there is none, it has expired or has another name.
///
/// # Errors
///
/// When the file there is not ours or cannot be written.
pub fn host_certificate(
    directory: &Path,
    hostname: &str,
    now: SystemTime,
) -> Result<(Identity, Provenance), HostCertificateError> {
    let path = directory.join(FILE);
    let provenance = match path.try_exists() {
        Ok(true) => state(&path, hostname, now)?,
        Ok(false) => Provenance::Made,
        Err(reason) => return Err(HostCertificateError::Store { path, reason }),
    };
    if provenance != Provenance::Reused {
        let text = make(hostname, now).map_err(|reason| HostCertificateError::HostName {
            hostname: hostname.to_owned(),
            reason,
        })?;
        store(directory, &path, &text).map_err(|reason| HostCertificateError::Store {
            path: path.clone(),
            reason,
        })?;
    }
    Ok((read(&path)?, provenance))
}

/// The identity in this file. Whatever else is in it is not ours to replace.
fn read(path: &Path) -> Result<Identity, HostCertificateError> {
    let foreign = || HostCertificateError::Foreign {
        path: path.to_owned(),
    };
    let readable = |fault| match fault {
        PemError::Unreadable { .. } => HostCertificateError::Pem(fault),
        PemError::Unsound { .. } | PemError::Missing { .. } | PemError::Encrypted { .. } => {
            foreign()
        }
    };
    let chain = pem::certificates(path).map_err(readable)?;
    let key = pem::private_key(path).map_err(readable)?;
    Identity::new(chain, key).map_err(|_| foreign())
}

fn state(path: &Path, hostname: &str, now: SystemTime) -> Result<Provenance, HostCertificateError> {
    let identity = read(path)?;
    let now = i64::try_from(unix_seconds(now)).unwrap_or(i64::MAX);
    if !identity.names().contains(&hostname.to_ascii_lowercase()) {
        Ok(Provenance::RemadeName)
    } else if identity.not_after() < now {
        Ok(Provenance::RemadeExpired)
    } else {
        Ok(Provenance::Reused)
    }
}

fn make(hostname: &str, now: SystemTime) -> Result<String, rcgen::Error> {
    let mut parameters = CertificateParams::new([hostname.to_ascii_lowercase()])?;
    let now = OffsetDateTime::from(now);
    parameters.not_before = now - CLOCK_SKEW;
    parameters.not_after = now + LIFETIME;
    parameters.distinguished_name = DistinguishedName::new();
    parameters
        .distinguished_name
        .push(DnType::CommonName, hostname);
    let key = KeyPair::generate()?;
    let certificate = parameters.self_signed(&key)?;
    Ok(certificate.pem() + &key.serialize_pem())
}

/// Written beside its place, then renamed: there is never half a file. The temporary
/// file has mode 0600 from the start.
fn store(directory: &Path, path: &Path, text: &str) -> std::io::Result<()> {
    crate::directory::make(directory)?;
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests;
