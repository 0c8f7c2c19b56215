//! The server's side of TLS: its certificates and how listeners are configured.
//!
//! Sessions are resumed from a bounded cache on the host, not from tickets: a ticket
//! carries the client's whole chain. The cache keeps that chain as well, so a resumed
//! session shows the same certificate, and trust is judged anew every time. Listeners
//! that ask for a certificate and those that do not have a configuration and a cache
//! each, so that no session can move from one kind to the other.
//!
//! **Certificates are replaced in place**: every full handshake after that has the new
//! ones, and nothing else changes. The caches stay, for a session is resumed by a
//! secret of its own, and what the client made of the certificate then is the client's
//! affair (RFC 8446, section 4.6.1).

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::CryptoProvider;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, NoClientAuth, ResolvesServerCert, ServerSessionMemoryCache};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SignatureScheme};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::certificate::describe;
use super::client_certificate::AnyCertificate;
use super::pem::{self, PemError};
use super::provider;

/// Sessions that each cache remembers. With chains at their limit of 16 KB that is
/// 32 MB; a usual session takes less than 4 KB.
const CACHED_SESSIONS: usize = 2048;

/// Sessions that a TLS 1.3 client may resume from one handshake. Each costs a place in
/// the cache; a mail server comes back with one connection at a time.
const TICKETS: usize = 1;

/// What listeners speak TLS with. All clones have the same certificates.
#[derive(Clone)]
pub struct TlsServer {
    asking: Arc<ServerConfig>,
    silent: Arc<ServerConfig>,
    identities: Arc<Identities>,
}

/// A certificate chain of the host and its private key.
#[derive(Clone)]
pub struct Identity {
    key: Arc<CertifiedKey>,
    names: Vec<String>,
    not_after: i64,
}

/// There is nothing to speak TLS with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no server certificate: configure one, or let the host make one")]
pub struct NoIdentity;

/// A server certificate that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// One of its files.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// The chain's first certificate makes no sense.
    #[error("the first certificate in {chain} is malformed: export it again", chain = .chain.display())]
    Certificate {
        /// The chain's file.
        chain: PathBuf,
    },
    /// The provider cannot use the key.
    #[error("the private key in {key} cannot be used ({reason}): use RSA of 2048 bits or more, ECDSA or Ed25519", key = .key.display())]
    Key {
        /// The key's file.
        key: PathBuf,
        /// Why.
        reason: String,
    },
    /// The key is another one's.
    #[error("the private key in {key} is not that of the first certificate in {chain}: the host's own certificate comes first in a chain", key = .key.display(), chain = .chain.display())]
    Mismatch {
        /// The chain's file.
        chain: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
}

impl IdentityError {
    /// Whether it may be gone without any change of the files: one could not be read.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Pem(error) if error.is_transient())
    }
}

impl TlsServer {
    /// A server with these identities. A client gets the one that matches the name it
    /// asks for: exactly, else by a wildcard, else the first. Among several of one
    /// name it gets the first whose signature it can verify.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn new(identities: Vec<Identity>) -> Result<Self, NoIdentity> {
        let provider = provider();
        let identities = Arc::new(Identities(ArcSwap::from_pointee(ByServerName::new(
            identities,
        )?)));
        let resolver: Arc<dyn ResolvesServerCert> = Arc::clone(&identities) as _;
        let any = Arc::new(AnyCertificate::new(&provider));
        Ok(Self {
            asking: config(&provider, any, &resolver),
            silent: config(&provider, Arc::new(NoClientAuth), &resolver),
            identities,
        })
    }

    /// Uses these identities from now on. Handshakes that have begun end with what they
    /// began with.
    ///
    /// # Errors
    ///
    /// When there is none; then those that were there stay.
    pub fn replace(&self, identities: Vec<Identity>) -> Result<(), NoIdentity> {
        let next = ByServerName::new(identities)?;
        self.identities.0.store(Arc::new(next));
        Ok(())
    }

    /// The configuration of a listener that asks clients for a certificate, or of one
    /// that does not.
    pub fn config(&self, ask_client_certificate: bool) -> Arc<ServerConfig> {
        Arc::clone(if ask_client_certificate {
            &self.asking
        } else {
            &self.silent
        })
    }
}

impl fmt::Debug for TlsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsServer").finish_non_exhaustive()
    }
}

fn config(
    provider: &Arc<CryptoProvider>,
    verifier: Arc<dyn ClientCertVerifier>,
    resolver: &Arc<dyn ResolvesServerCert>,
) -> Arc<ServerConfig> {
    let mut config = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .expect("the provider has suites and groups for both versions")
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::clone(resolver));
    // Without a ticketer, sessions are resumed from this cache alone.
    config.session_storage = ServerSessionMemoryCache::new(CACHED_SESSIONS);
    config.send_tls13_tickets = TICKETS;
    Arc::new(config)
}

impl Identity {
    /// Reads a chain (the host's own certificate first) and its private key.
    ///
    /// # Errors
    ///
    /// When a file or what is in it cannot be used, or the two do not belong together.
    pub fn load(chain: &Path, key: &Path) -> Result<Self, IdentityError> {
        let certificates = pem::certificates(chain)?;
        Self::new(certificates, pem::private_key(key)?).map_err(|fault| match fault {
            Fault::Certificate => IdentityError::Certificate {
                chain: chain.to_owned(),
            },
            Fault::Key(reason) => IdentityError::Key {
                key: key.to_owned(),
                reason,
            },
            Fault::Mismatch => IdentityError::Mismatch {
                chain: chain.to_owned(),
                key: key.to_owned(),
            },
        })
    }

    /// DNS names of the certificate, lower case.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// When the certificate expires, in seconds since 1970: for warnings.
    pub fn not_after(&self) -> i64 {
        self.not_after
    }

    /// Its first name, and when it expires: for metrics.
    pub fn expiry(&self) -> (&str, i64) {
        let name = self.names.first().map_or("(no name)", String::as_str);
        (name, self.not_after)
    }

    pub(super) fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, Fault> {
        let certificate = describe(&chain).map_err(|_| Fault::Certificate)?;
        let names = certificate.dns_names.iter();
        let key = CertifiedKey::from_der(chain, key, &provider()).map_err(|why| match why {
            rustls::Error::InconsistentKeys(_) => Fault::Mismatch,
            rustls::Error::InvalidCertificate(_) => Fault::Certificate,
            rustls::Error::General(reason) => Fault::Key(reason),
            other => Fault::Key(other.to_string()),
        })?;
        Ok(Self {
            key: Arc::new(key),
            names: names.map(|name| name.to_ascii_lowercase()).collect(),
            not_after: certificate.not_after,
        })
    }
}

impl fmt::Debug for Identity {
    /// Never the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

/// What is wrong with an identity, without the files it came from.
#[derive(Debug)]
pub(super) enum Fault {
    Certificate,
    Key(String),
    Mismatch,
}

/// The identities as they are now.
#[derive(Debug)]
struct Identities(ArcSwap<ByServerName>);

impl ResolvesServerCert for Identities {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let now = self.0.load();
        now.choose(hello.server_name(), hello.signature_schemes())
    }
}

/// The host's identities by the name that a client asks for (SNI).
struct ByServerName {
    named: HashMap<String, Vec<Arc<CertifiedKey>>>,
    all: Vec<Arc<CertifiedKey>>,
}

impl ByServerName {
    fn new(identities: Vec<Identity>) -> Result<Self, NoIdentity> {
        if identities.is_empty() {
            return Err(NoIdentity);
        }
        let mut named: HashMap<String, Vec<Arc<CertifiedKey>>> = HashMap::new();
        for identity in &identities {
            for name in &identity.names {
                let keys = named.entry(name.clone()).or_default();
                keys.push(Arc::clone(&identity.key));
            }
        }
        let all = identities
            .into_iter()
            .map(|identity| identity.key)
            .collect();
        Ok(Self { named, all })
    }

    /// Candidates for this name, best first.
    fn candidates(&self, name: Option<&str>) -> &[Arc<CertifiedKey>] {
        let Some(name) = name.map(str::to_ascii_lowercase) else {
            return &self.all;
        };
        let wildcard = || {
            let (_, parent) = name.split_once('.')?;
            self.named.get(&format!("*.{parent}"))
        };
        self.named.get(&name).or_else(wildcard).unwrap_or(&self.all)
    }

    /// The first candidate whose signature the client can verify, else the first.
    fn choose(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let candidates = self.candidates(name);
        candidates
            .iter()
            .find(|key| key.key.choose_scheme(schemes).is_some())
            .or(candidates.first())
            .cloned()
    }
}

impl fmt::Debug for ByServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByServerName")
            .field("names", &self.named.keys())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
