//! A decision, and what it means for a connection.
//!
//! A policy *decides* ([`Decision`]); the decision applied to the facts is the
//! *verdict* ([`Verdict`]); a verdict that accepts mints a [`Permit`].
//! **Nothing is delivered without a permit**, and only [`judge`] makes one.
//!
//! Deliberately not here: the words and codes of replies (see [`crate::smtp`]).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::address::{Domain, Mailbox};
use crate::digest::Fingerprint;
use crate::facts::{
    ClientCertificate, Direction, Facts, Judgement, ReceiptId, TenantId, TlsVersion,
};

/// What a policy wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// What the tenant, then the host, has as its default.
    Default,
    /// TLS where the client uses it.
    Opportunistic,
    /// TLS and all of these, or refusal.
    Enforced(Requirements),
}

/// A decision in which Default has been resolved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resolved {
    /// TLS where the client uses it.
    Opportunistic,
    /// TLS and all of these, or refusal.
    Enforced(Requirements),
}

/// Requirements beyond TLS itself, in the order in which they are checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Requirements(BTreeSet<Requirement>);

/// One requirement.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Requirement {
    /// At least this version.
    AtLeast(TlsVersion),
    /// A key exchange that resists a quantum computer.
    PostQuantum,
    /// Any client certificate.
    Presented,
    /// One that the tenant trusts.
    Trusted,
    /// Trusted, and matching this host name.
    Covers(Domain),
    /// Trusted, and naming this domain or a host below it.
    Within(Domain),
    /// One of these public keys.
    Pinned(BTreeSet<Fingerprint>),
}

/// What becomes of a recipient, and why if it is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The connection is what the decision asks for.
    Accepted,
    /// It is not.
    Refused(Refusal),
}

/// Why a recipient is refused: the first requirement that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// In clear, though STARTTLS was offered.
    Plaintext,
    /// In clear on a listener that offers no TLS.
    PlaintextOnly,
    /// In clear, and the host has no usable certificate just now.
    TlsUnavailable,
    /// In clear from a proxy, whose claim of TLS does not count on this listener.
    ClaimedTls,
    /// The version in use is below the one required.
    Version {
        /// In use.
        found: TlsVersion,
        /// Required.
        required: TlsVersion,
    },
    /// The key exchange does not resist a quantum computer.
    NotPostQuantum {
        /// In use, if known.
        found: Option<String>,
    },
    /// The client gave no certificate.
    NoCertificate {
        /// The listener does not ask for one: a fault of the host's configuration.
        asked: bool,
    },
    /// The client gave its certificate to a proxy, and the host has not seen it.
    ClaimedCertificate,
    /// The certificate is not trusted.
    Untrusted {
        /// Why.
        detail: String,
    },
    /// Trusted, and for other names.
    WrongName {
        /// The host name or domain required.
        required: Domain,
        /// The DNS names of the certificate.
        found: Vec<String>,
    },
    /// Its key is none of those required.
    PinMismatch {
        /// Its key.
        found: Fingerprint,
    },
    /// The policy failed, and failing means to defer.
    PolicyFailed,
}

/// Whether the host can offer TLS on the listener of this connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TlsOffer {
    /// STARTTLS is offered, or implicit.
    Offered,
    /// This listener has no TLS.
    Never,
    /// It should, and the host has no usable certificate.
    Unavailable,
}

/// Proof that a decision accepted this recipient. Only [`judge`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permit {
    recipient: Mailbox,
    tenant: TenantId,
    direction: Direction,
    receipt: ReceiptId,
    /// The sender's tenant's, where the message goes from one tenant to another.
    outbound: Option<(TenantId, ReceiptId)>,
}

impl Permit {
    /// The recipient it is for.
    pub fn recipient(&self) -> &Mailbox {
        &self.recipient
    }

    /// The tenant to whose target it goes.
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// To which of the tenant's targets.
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// The receipt that shows why.
    pub fn receipt(&self) -> ReceiptId {
        self.receipt
    }

    /// The sender's tenant and its receipt, where that tenant is on this host and has
    /// permitted it as well.
    pub fn outbound(&self) -> Option<(&TenantId, ReceiptId)> {
        let (tenant, receipt) = self.outbound.as_ref()?;
        Some((tenant, *receipt))
    }

    /// The permit of a recipient's tenant, with that of the sender's.
    #[must_use]
    pub fn after(self, outbound: Self) -> Self {
        Self {
            outbound: Some((outbound.tenant, outbound.receipt)),
            ..self
        }
    }
}

impl Decision {
    /// Resolves Default.
    pub fn resolve(self, default: &Resolved) -> Resolved {
        match self {
            Self::Default => default.clone(),
            Self::Opportunistic => Resolved::Opportunistic,
            Self::Enforced(requirements) => Resolved::Enforced(requirements),
        }
    }
}

impl Requirements {
    /// Adds one.
    pub fn insert(&mut self, requirement: Requirement) {
        self.0.insert(requirement);
    }

    /// The requirements in the order in which they are checked.
    pub fn iter(&self) -> impl Iterator<Item = &Requirement> {
        self.0.iter()
    }
}

impl FromIterator<Requirement> for Requirements {
    fn from_iter<I: IntoIterator<Item = Requirement>>(requirements: I) -> Self {
        Self(requirements.into_iter().collect())
    }
}

/// Applies a decision to the facts. A permit is returned exactly when it accepts.
pub fn judge(decision: &Resolved, facts: &Facts, offer: TlsOffer) -> Result<Permit, Refusal> {
    if let Resolved::Enforced(requirements) = decision {
        enforce(requirements, facts, offer)?;
    }
    Ok(Permit {
        recipient: facts.recipient.clone(),
        tenant: facts.tenant.clone(),
        direction: facts.direction,
        receipt: facts.id,
        outbound: None,
    })
}

/// Whether the verdict rests on what the tenant's trust says of a certificate that was
/// given: under another trust it might be another one.
pub fn rests_on_trust(decision: &Resolved, facts: &Facts) -> bool {
    let Resolved::Enforced(requirements) = decision else {
        return false;
    };
    if facts.connection.secured().is_none() || facts.certificate().is_none() {
        return false;
    }
    let mut before = requirements.iter().take_while(|r| !r.is_about_trust());
    before.all(|requirement| requirement.check(facts).is_ok())
        && requirements.iter().any(Requirement::is_about_trust)
}

fn enforce(requirements: &Requirements, facts: &Facts, offer: TlsOffer) -> Result<(), Refusal> {
    let connection = &facts.connection;
    if connection.secured().is_none() {
        return Err(match offer {
            _ if connection.tls.is_some() => Refusal::ClaimedTls,
            TlsOffer::Offered => Refusal::Plaintext,
            TlsOffer::Never => Refusal::PlaintextOnly,
            TlsOffer::Unavailable => Refusal::TlsUnavailable,
        });
    }
    requirements
        .iter()
        .try_for_each(|requirement| requirement.check(facts))
}

impl Refusal {
    /// Its kind in a word, as it is in receipts.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::PlaintextOnly => "plaintext-only",
            Self::TlsUnavailable => "tls-unavailable",
            Self::ClaimedTls => "claimed-tls",
            Self::Version { .. } => "version",
            Self::NotPostQuantum { .. } => "not-post-quantum",
            Self::NoCertificate { .. } => "no-certificate",
            Self::ClaimedCertificate => "claimed-certificate",
            Self::Untrusted { .. } => "untrusted",
            Self::WrongName { .. } => "wrong-name",
            Self::PinMismatch { .. } => "pin-mismatch",
            Self::PolicyFailed => "policy-failed",
        }
    }
}

impl Requirement {
    fn is_about_trust(&self) -> bool {
        matches!(self, Self::Trusted | Self::Covers(_) | Self::Within(_))
    }

    fn check(&self, facts: &Facts) -> Result<(), Refusal> {
        match self {
            Self::AtLeast(required) => check_version(*required, facts),
            Self::PostQuantum => check_key_exchange(facts),
            Self::Presented => check_presented(facts),
            Self::Trusted => check_trusted(facts),
            Self::Covers(name) => check_name(facts, name, facts.covers(name)),
            Self::Within(domain) => check_name(facts, domain, facts.within(domain)),
            Self::Pinned(pins) => check_pins(facts, pins),
        }
    }
}

fn check_version(required: TlsVersion, facts: &Facts) -> Result<(), Refusal> {
    let found = facts
        .connection
        .tls
        .as_ref()
        .map_or(TlsVersion(0), |tls| tls.version);
    if found < required {
        return Err(Refusal::Version { found, required });
    }
    Ok(())
}

fn check_key_exchange(facts: &Facts) -> Result<(), Refusal> {
    match &facts.connection.tls {
        Some(tls) if tls.post_quantum => Ok(()),
        tls => Err(Refusal::NotPostQuantum {
            found: tls.as_ref().and_then(|tls| tls.key_exchange.clone()),
        }),
    }
}

fn check_presented(facts: &Facts) -> Result<(), Refusal> {
    let tls = facts.connection.tls.as_ref();
    match tls.map(|tls| &tls.client_certificate) {
        Some(ClientCertificate::Given(_)) => Ok(()),
        Some(ClientCertificate::Claimed(_)) => Err(Refusal::ClaimedCertificate),
        Some(ClientCertificate::NotAsked) => Err(Refusal::NoCertificate { asked: false }),
        Some(ClientCertificate::None) | None => Err(Refusal::NoCertificate { asked: true }),
    }
}

fn check_trusted(facts: &Facts) -> Result<(), Refusal> {
    check_presented(facts)?;
    match &facts.trust {
        Some(judgement) if judgement.is_trusted() => Ok(()),
        judgement => Err(Refusal::Untrusted {
            detail: judgement
                .as_ref()
                .map_or("not judged", Judgement::detail)
                .to_owned(),
        }),
    }
}

fn check_name(facts: &Facts, required: &Domain, holds: bool) -> Result<(), Refusal> {
    check_trusted(facts)?;
    if holds {
        return Ok(());
    }
    Err(Refusal::WrongName {
        required: required.clone(),
        found: facts
            .certificate()
            .map(|c| c.dns_names.clone())
            .unwrap_or_default(),
    })
}

/// A pin is a requirement of its own: the key alone counts, whoever vouches for it.
fn check_pins(facts: &Facts, pins: &BTreeSet<Fingerprint>) -> Result<(), Refusal> {
    check_presented(facts)?;
    match facts
        .certificate()
        .map(|certificate| certificate.spki_sha256)
    {
        Some(found) if !pins.contains(&found) => Err(Refusal::PinMismatch { found }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
