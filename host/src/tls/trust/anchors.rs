//! Anchors, public roots and revocation lists, read once and then only looked at.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, TrustAnchor};
use webpki::{CertRevocationList, OwnedCertRevocationList, anchor_from_trusted_cert};

use crate::digest::Digest;
use crate::tls::certificate::{distinguished_name, name_of_anchor};
use crate::tls::outline::{Outline, RevocationListOutline};

/// Part of a tenant's trust that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// A trust anchor.
    #[error(
        "trust anchor {position} ({subject}) cannot be used: {reason}; remove it or export it again"
    )]
    Anchor {
        /// Which one in the order given, from 1.
        position: usize,
        /// Its subject, as far as it can be read.
        subject: String,
        /// Why.
        reason: String,
    },
    /// A revocation list.
    #[error(
        "certificate revocation list {position} ({issuer}) cannot be used: {reason}; give a complete version 2 list (RFC 5280) of the authority"
    )]
    RevocationList {
        /// Which one in the order given, from 1.
        position: usize,
        /// Its issuer, as far as it can be read.
        issuer: String,
        /// Why.
        reason: String,
    },
}

/// The roots that public authorities are trusted by, shared by all tenants.
#[derive(Debug)]
pub struct PublicRoots {
    anchors: Vec<TrustAnchor<'static>>,
    digest: Digest,
}

impl PublicRoots {
    /// Mozilla's, as they were when this host was built.
    pub fn bundled() -> Arc<Self> {
        Arc::new(Self::new(webpki_roots::TLS_SERVER_ROOTS.to_vec()))
    }

    /// These certificates in their place.
    ///
    /// # Errors
    ///
    /// Every certificate that cannot be used.
    pub fn from_certificates(
        certificates: &[CertificateDer<'_>],
    ) -> Result<Arc<Self>, Vec<TrustError>> {
        let anchors = all(certificates.iter().enumerate().map(anchor))?;
        Ok(Arc::new(Self::new(anchors)))
    }

    /// Digest of all roots, the same in any order.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    pub(super) fn anchors(&self) -> &[TrustAnchor<'static>] {
        &self.anchors
    }

    fn new(anchors: Vec<TrustAnchor<'static>>) -> Self {
        let mut digests: Vec<Digest> = anchors.iter().map(digest_of).collect();
        digests.sort_unstable();
        digests.dedup();
        let encoding: Vec<u8> = digests.iter().flat_map(Digest::as_bytes).copied().collect();
        Self {
            digest: Digest::of(&encoding),
            anchors,
        }
    }
}

/// An anchor has no encoding of its own: its three parts, each with its length.
fn digest_of(anchor: &TrustAnchor<'_>) -> Digest {
    let mut encoding = Vec::new();
    for part in [
        &anchor.subject[..],
        &anchor.subject_public_key_info[..],
        anchor.name_constraints.as_deref().unwrap_or_default(),
    ] {
        encoding.extend_from_slice(&(part.len() as u64).to_be_bytes());
        encoding.extend_from_slice(part);
    }
    Digest::of(&encoding)
}

/// A tenant's own anchors.
#[derive(Debug)]
pub(super) struct Anchors {
    anchors: Vec<TrustAnchor<'static>>,
    /// Subjects by digest of the whole certificate.
    certificates: BTreeMap<Digest, String>,
}

impl Anchors {
    pub(super) fn new(certificates: &[CertificateDer<'_>]) -> Result<Self, Vec<TrustError>> {
        let anchors = all(certificates.iter().enumerate().map(anchor))?;
        let subjects = anchors.iter().map(|anchor| name_of_anchor(&anchor.subject));
        let digests = certificates.iter().map(|der| Digest::of(der));
        Ok(Self {
            certificates: digests.zip(subjects).collect(),
            anchors,
        })
    }

    pub(super) fn anchors(&self) -> &[TrustAnchor<'static>] {
        &self.anchors
    }

    /// The subject of this certificate, if it is one of the anchors.
    pub(super) fn contains(&self, der: &[u8]) -> Option<&str> {
        self.certificates.get(&Digest::of(der)).map(String::as_str)
    }

    pub(super) fn digests(&self) -> impl Iterator<Item = Digest> {
        self.certificates.keys().copied()
    }
}

fn anchor((index, der): (usize, &CertificateDer<'_>)) -> Result<TrustAnchor<'static>, TrustError> {
    let outline = Outline::read(der).map_err(|error| TrustError::Anchor {
        position: index + 1,
        subject: UNREADABLE.to_owned(),
        reason: error.to_string(),
    })?;
    anchor_from_trusted_cert(der)
        .map(|anchor| anchor.to_owned())
        .map_err(|error| TrustError::Anchor {
            position: index + 1,
            subject: distinguished_name(outline.subject),
            reason: reason(&error).to_owned(),
        })
}

/// A tenant's revocation lists, the newest first: of several lists of one issuer,
/// webpki takes the first.
#[derive(Debug)]
pub(super) struct RevocationLists(Vec<RevocationList>);

#[derive(Debug)]
struct RevocationList {
    list: CertRevocationList<'static>,
    issued_at: i64,
    digest: Digest,
}

impl RevocationLists {
    pub(super) fn new(lists: &[CertificateRevocationListDer<'_>]) -> Result<Self, Vec<TrustError>> {
        let mut lists = all(lists.iter().enumerate().map(revocation_list))?;
        lists.sort_unstable_by_key(|list| (Reverse(list.issued_at), list.digest));
        Ok(Self(lists))
    }

    pub(super) fn by_date(&self) -> Vec<&CertRevocationList<'static>> {
        self.0.iter().map(|list| &list.list).collect()
    }

    pub(super) fn digests(&self) -> impl Iterator<Item = Digest> {
        self.0.iter().map(|list| list.digest)
    }
}

fn revocation_list(
    (index, der): (usize, &CertificateRevocationListDer<'_>),
) -> Result<RevocationList, TrustError> {
    let fault = |issuer: String, reason: &str| TrustError::RevocationList {
        position: index + 1,
        issuer,
        reason: reason.to_owned(),
    };
    let outline = RevocationListOutline::read(der)
        .map_err(|_| fault(UNREADABLE.to_owned(), "malformed list"))?;
    let list = OwnedCertRevocationList::from_der(der)
        .map_err(|error| fault(distinguished_name(outline.issuer), reason(&error)))?;
    Ok(RevocationList {
        list: list.into(),
        issued_at: outline.issued_at,
        digest: Digest::of(der),
    })
}

const UNREADABLE: &str = "unreadable";

fn reason(error: &webpki::Error) -> &'static str {
    use webpki::Error;
    match error {
        Error::UnsupportedCrlVersion => "it is not a version 2 list",
        Error::UnsupportedDeltaCrl => "it only has what changed since another list",
        Error::UnsupportedIndirectCrl => "it has entries of other issuers",
        Error::UnsupportedRevocationReasonsPartitioning
        | Error::UnsupportedCrlIssuingDistributionPoint => "it only has part of what is revoked",
        Error::UnsupportedCriticalExtension => "it has a critical extension that is not known",
        Error::ExtensionValueInvalid | Error::MalformedExtensions => "its extensions are malformed",
        Error::InvalidSerialNumber => "a serial number is malformed",
        _ => "it is malformed",
    }
}

/// All values, or all faults.
fn all<T>(results: impl Iterator<Item = Result<T, TrustError>>) -> Result<Vec<T>, Vec<TrustError>> {
    let (mut values, mut faults) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(value) => values.push(value),
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() {
        Ok(values)
    } else {
        Err(faults)
    }
}
