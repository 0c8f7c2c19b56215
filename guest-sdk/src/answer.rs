//! Answers: plain data that a test can compare, turned into the interface's resource
//! only at the border.

use std::collections::BTreeSet;
use std::fmt;

use crate::domain::Domain;
use crate::fingerprint::Fingerprint;
use crate::tls::TlsVersion;

/// A decision, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What the policy wants for this recipient.
    pub decision: Decision,
    /// For the receipt, in words for the administrator; the host keeps 1,000 bytes.
    pub reason: String,
}

/// What a policy wants for a recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Whatever the tenant, then the host, has set as its default.
    Default,
    /// TLS where the client uses it, clear text where it does not.
    Opportunistic,
    /// TLS, and all of these, or the recipient is refused.
    Enforced(Requirements),
}

impl Answer {
    /// Leaves the recipient to the default of the tenant: the answer about senders that
    /// a policy has no opinion on.
    pub fn default(reason: impl Into<String>) -> Self {
        Self {
            decision: Decision::Default,
            reason: reason.into(),
        }
    }

    /// TLS where the client uses it, clear text where it does not.
    pub fn opportunistic(reason: impl Into<String>) -> Self {
        Self {
            decision: Decision::Opportunistic,
            reason: reason.into(),
        }
    }

    /// TLS and these requirements, or the recipient is refused.
    pub fn enforced(requirements: Requirements, reason: impl Into<String>) -> Self {
        Self {
            decision: Decision::Enforced(requirements),
            reason: reason.into(),
        }
    }
}

/// What an enforced connection must offer beyond TLS itself. All must hold.
///
/// A policy states them and the host checks them: a policy gives the same answer
/// before and after STARTTLS, and every refusal has the host's wording.
///
/// ```
/// # use portcullis_sdk::{Answer, Domain, Requirements, TlsVersion};
/// # let partner: Domain = "partner.example".parse()?;
/// let requirements = Requirements::tls()
///     .at_least(TlsVersion::Tls13)
///     .certificate_within(&partner);
/// let answer = Answer::enforced(requirements, "a partner since 2019");
/// # Ok::<(), portcullis_sdk::DomainError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requirements(Vec<Requirement>);

/// One requirement. As text it is its name in the interface, and what it takes, as vectors
/// have it: `at-least 1.3`, `certificate-within partner.example`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Requirement {
    /// At least this version.
    AtLeast(TlsVersion),
    /// A key exchange that resists a quantum computer.
    PostQuantumKeyExchange,
    /// Any client certificate.
    CertificatePresented,
    /// One that the tenant trusts.
    CertificateTrusted,
    /// Trusted, and matching this host name.
    CertificateCovers(Domain),
    /// Trusted, and naming this domain or a host below it.
    CertificateWithin(Domain),
    /// One of these public keys.
    CertificatePinned(Vec<Fingerprint>),
}

impl Requirements {
    /// No requirement beyond TLS.
    pub fn tls() -> Self {
        Self::default()
    }

    /// At least this TLS version.
    pub fn at_least(self, version: TlsVersion) -> Self {
        self.and(Requirement::AtLeast(version))
    }

    /// A key exchange that resists a quantum computer, such as X25519MLKEM768.
    pub fn post_quantum_key_exchange(self) -> Self {
        self.and(Requirement::PostQuantumKeyExchange)
    }

    /// A client certificate, whatever it is: possession of its key is proven.
    pub fn certificate_presented(self) -> Self {
        self.and(Requirement::CertificatePresented)
    }

    /// A client certificate that the tenant trusts.
    pub fn certificate_trusted(self) -> Self {
        self.and(Requirement::CertificateTrusted)
    }

    /// Trusted, and a DNS name of it matches this host name (RFC 9525).
    pub fn certificate_covers(self, name: impl Into<Domain>) -> Self {
        self.and(Requirement::CertificateCovers(name.into()))
    }

    /// Trusted, and a DNS name of it is this domain or lies below it: what the servers
    /// of a partner really present (`mx.partner.example` for `partner.example`).
    pub fn certificate_within(self, domain: impl Into<Domain>) -> Self {
        self.and(Requirement::CertificateWithin(domain.into()))
    }

    /// Its public key is one of these, at most 256. No pin at all is never met.
    pub fn certificate_pinned<P: Into<Fingerprint>>(
        self,
        pins: impl IntoIterator<Item = P>,
    ) -> Self {
        let pins = pins.into_iter().map(Into::into);
        self.and(Requirement::CertificatePinned(pins.collect()))
    }

    /// One more, at most 64 in all.
    pub fn and(mut self, requirement: Requirement) -> Self {
        self.0.push(requirement);
        self
    }

    /// The requirements in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = &Requirement> {
        self.0.iter()
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(TlsVersion::Tls12) => f.write_str("at-least 1.2"),
            Self::AtLeast(TlsVersion::Tls13) => f.write_str("at-least 1.3"),
            Self::AtLeast(TlsVersion::Other(code)) => write!(f, "at-least {code:#06x}"),
            Self::PostQuantumKeyExchange => f.write_str("post-quantum-key-exchange"),
            Self::CertificatePresented => f.write_str("certificate-presented"),
            Self::CertificateTrusted => f.write_str("certificate-trusted"),
            Self::CertificateCovers(name) => write!(f, "certificate-covers {name}"),
            Self::CertificateWithin(domain) => write!(f, "certificate-within {domain}"),
            Self::CertificatePinned(pins) => {
                f.write_str("certificate-pinned")?;
                // They are a set: any of them will do.
                let pins: BTreeSet<_> = pins.iter().collect();
                pins.iter().try_for_each(|pin| write!(f, " {pin}"))
            }
        }
    }
}
