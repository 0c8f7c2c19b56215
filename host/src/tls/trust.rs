//! Whom a tenant trusts, and what that says of a client's certificate.
//!
//! Judged after the handshake, for every session anew, by the first of these rules
//! that applies:
//!
//! 1. **Pinned**: its key is one of the tenant's pins. A pin vouches for the key
//!    alone, for any purpose, whatever the rest of the certificate says; when it is
//!    out of date the detail says so.
//! 2. **One of the anchors itself**, byte for byte: trusted while in date and for its
//!    purposes. webpki refuses what `openssl req -x509` makes (an authority by its
//!    extensions) as an end entity even under its own anchor, so this is ours.
//! 3. **Under an anchor** of the tenant, else a public root where the tenant includes
//!    those: a path that webpki verifies, with dates, purposes, name constraints (over
//!    the end entity's names as well) and revocation.
//! 4. **Self-signed**: subject and issuer are the same and its own key verifies the
//!    signature, in date, for its purposes, without critical extensions that nobody
//!    knows, and rule 3 found nothing else wrong than that nobody vouches for it.
//!    Counts as trusted only where the tenant accepts that.
//! 5. **Untrusted**, with the reason ([`Distrust`]).
//!
//! Purposes: a certificate with extended key usages must have the one it is judged
//! for; one without them is good for any (RFC 5280, section 4.2.1.12), and one whose
//! extensions cannot be read for none.
//!
//! Revocation lists: looked at for every certificate of a path, by the newest list of
//! its issuer. A certificate whose issuer has none is taken as not revoked. A list
//! past its nextUpdate still counts: what was revoked stays revoked, and a tenant who
//! forgets to renew a list refuses no mail for it. A list whose signature does not
//! verify makes the certificates it covers untrusted. A certificate that has expired and was
//! revoked before that is said to be revoked: whoever makes an exception for the one means
//! not the other.
//!
//! An anchor's own dates do not matter under rule 3, as in RFC 5280, section 6.1: it
//! is trusted until it is removed.

mod anchors;
mod distrust;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls_pki_types::{
    CertificateDer, CertificateRevocationListDer, SubjectPublicKeyInfoDer, UnixTime,
};
use serde::{Deserialize, Serialize};
use webpki::{
    CertRevocationList, EndEntityCert, KeyUsage, RawPublicKeyEntity, RevocationOptions,
    RevocationOptionsBuilder, UnknownStatusPolicy,
};
use x509_cert::der::Tag;

pub use anchors::{PublicRoots, TrustError};
pub use distrust::Distrust;

use self::anchors::{Anchors, RevocationLists};
use super::certificate::{key_purposes, name_of_anchor};
use super::outline::{Oid, Outline, content};
use super::provider;
use crate::digest::{Digest, Fingerprint};
use crate::facts::{Judgement, Trust, TrustState, unix_seconds};

/// What a tenant makes of certificates that are signed by themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SelfSigned {
    /// They are not trusted.
    #[default]
    Refuse,
    /// Only those whose key is pinned are trusted. To a judgement that is the same as
    /// refusing; the tenant states with it that pins are how it means to trust them.
    AcceptPinned,
    /// They are trusted, whoever made them.
    Accept,
}

/// What a tenant's trust is made of.
#[derive(Clone, Debug, Default)]
pub struct TrustSettings {
    /// Certificates whose holders' word the tenant takes.
    pub anchors: Vec<CertificateDer<'static>>,
    /// Lists of what the authorities have revoked.
    pub revocation_lists: Vec<CertificateRevocationListDer<'static>>,
    /// Public keys that are trusted whatever else is true.
    pub pins: BTreeSet<Fingerprint>,
    /// What to make of certificates signed by themselves.
    pub self_signed: SelfSigned,
    /// The public roots, where the tenant trusts those as well.
    pub public_roots: Option<Arc<PublicRoots>>,
}

/// The trust of one tenant.
#[derive(Debug)]
pub struct TrustStore {
    anchors: Anchors,
    revocation_lists: RevocationLists,
    pins: BTreeSet<Fingerprint>,
    self_signed: SelfSigned,
    public_roots: Option<Arc<PublicRoots>>,
    algorithms: WebPkiSupportedAlgorithms,
    digest: Digest,
}

impl TrustStore {
    /// Builds the trust of a tenant.
    ///
    /// # Errors
    ///
    /// Every anchor and every revocation list that cannot be used.
    pub fn new(settings: TrustSettings) -> Result<Self, Vec<TrustError>> {
        let anchors = Anchors::new(&settings.anchors);
        let lists = RevocationLists::new(&settings.revocation_lists);
        match (anchors, lists) {
            (Ok(anchors), Ok(revocation_lists)) => Ok(Self {
                digest: digest(&settings, &anchors, &revocation_lists),
                anchors,
                revocation_lists,
                pins: settings.pins,
                self_signed: settings.self_signed,
                public_roots: settings.public_roots,
                algorithms: provider().signature_verification_algorithms,
            }),
            (anchors, lists) => {
                let mut faults = anchors.err().unwrap_or_default();
                faults.extend(lists.err().unwrap_or_default());
                Err(faults)
            }
        }
    }

    /// What this trust says of the certificate that comes first in `chain`, for either
    /// purpose, at this time.
    pub fn judge(&self, chain: &[CertificateDer<'_>], now: SystemTime) -> Judgement {
        Judgement {
            client: self.judge_for(Purpose::Client, chain, now),
            server: self.judge_for(Purpose::Server, chain, now),
            accept_self_signed: self.self_signed == SelfSigned::Accept,
        }
    }

    /// Digest of everything this trust is made of, for receipts. The same anchors,
    /// lists and pins give the same digest in any order.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    fn judge_for(&self, purpose: Purpose, chain: &[CertificateDer<'_>], now: SystemTime) -> Trust {
        let question = chain.split_first().and_then(|(end_entity, intermediates)| {
            Some(Question {
                outline: Outline::read(end_entity).ok()?,
                end_entity,
                intermediates,
                purpose,
                now,
            })
        });
        match question.map(|question| self.answer(&question)) {
            Some(Ok(trust)) => trust,
            Some(Err(why)) => trust(TrustState::Untrusted, why.as_str()),
            None => trust(TrustState::Untrusted, Distrust::Malformed.as_str()),
        }
    }

    fn answer(&self, question: &Question<'_>) -> Result<Trust, Distrust> {
        if self.pins.contains(&question.outline.fingerprint()) {
            return Ok(trust(TrustState::Pinned, question.pinned_detail()));
        }
        if let Some(subject) = self.anchors.contains(question.end_entity) {
            question.check_dates_and_purpose()?;
            return Ok(trust(TrustState::Trusted, subject));
        }
        let why = match self.path(question) {
            Ok(anchor) => return Ok(trust(TrustState::Trusted, &anchor)),
            Err(why) => why,
        };
        if !question.leaves_alone(why) || !self.is_self_signed(&question.outline) {
            return Err(why);
        }
        question.check_dates_and_purpose()?;
        Ok(trust(TrustState::SelfSigned, "signed by its own key"))
    }

    /// The subject of the anchor that a path leads to: the tenant's own first.
    fn path(&self, question: &Question<'_>) -> Result<String, Distrust> {
        let found = self.path_at(question, unix_seconds(question.now));
        match (found, question.end()) {
            // Dates are looked at before revocation lists. On its last day it was in date.
            (Err(Distrust::Expired), Some(end)) => match self.path_at(question, end) {
                Err(Distrust::Revoked) => Err(Distrust::Revoked),
                _ => Err(Distrust::Expired),
            },
            (found, _) => found,
        }
    }

    /// The same at a time, in seconds since 1970.
    fn path_at(&self, question: &Question<'_>, seconds: u64) -> Result<String, Distrust> {
        let certificate = EndEntityCert::try_from(question.end_entity)
            .map_err(|error| Distrust::of(&error, &question.outline))?;
        let lists = self.revocation_lists.by_date();
        let mut why = Distrust::UnknownIssuer;
        let public = self.public_roots.as_ref().map(|roots| roots.anchors());
        for anchors in [Some(self.anchors.anchors()), public].into_iter().flatten() {
            let path = certificate.verify_for_usage(
                self.algorithms.all,
                anchors,
                question.intermediates,
                UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds)),
                question.purpose.usage(),
                revocation(&lists),
                None,
            );
            match path.map(|path| name_of_anchor(&path.anchor().subject)) {
                Ok(anchor) => return Ok(anchor),
                Err(error) => why = why.or(Distrust::of(&error, &question.outline)),
            }
        }
        Err(why)
    }

    fn is_self_signed(&self, outline: &Outline<'_>) -> bool {
        let identifier = content(outline.algorithm, Tag::Sequence).unwrap_or_default();
        let spki = SubjectPublicKeyInfoDer::from(outline.spki);
        let Ok(key) = RawPublicKeyEntity::try_from(&spki) else {
            return false;
        };
        let mut candidates = self
            .algorithms
            .all
            .iter()
            .filter(|algorithm| algorithm.signature_alg_id().as_ref() == identifier);
        outline.subject == outline.issuer
            && outline.inner_algorithm == outline.algorithm
            && candidates.any(|algorithm| {
                key.verify_signature(*algorithm, outline.tbs, outline.signature)
                    .is_ok()
            })
    }
}

/// One certificate, judged for one purpose at one time.
struct Question<'a> {
    outline: Outline<'a>,
    end_entity: &'a CertificateDer<'a>,
    intermediates: &'a [CertificateDer<'a>],
    purpose: Purpose,
    now: SystemTime,
}

impl Question<'_> {
    /// Whether this reason, for which there is no path, leaves the certificate to be
    /// judged by itself: that nobody vouches for it, or what a path would have had to be
    /// made of. Whatever else is found wrong, revocation above all, stands.
    fn leaves_alone(&self, why: Distrust) -> bool {
        match why {
            Distrust::UnknownIssuer
            | Distrust::BadSignature
            | Distrust::UnsupportedSignature
            | Distrust::IssuerNotAuthority
            | Distrust::AuthorityAsEndEntity
            | Distrust::Version1
            | Distrust::Version2 => true,
            // One of an issuer's, where the certificate itself has none.
            Distrust::UnknownCriticalExtension => EndEntityCert::try_from(self.end_entity).is_ok(),
            Distrust::Expired
            | Distrust::NotYetValid
            | Distrust::Revoked
            | Distrust::RevocationListUnusable
            | Distrust::NameConstraint
            | Distrust::NotForThisPurpose
            | Distrust::TooComplex
            | Distrust::Malformed => false,
        }
    }

    fn pinned_detail(&self) -> &'static str {
        match self.check_dates() {
            Ok(()) => "pinned",
            Err(Distrust::NotYetValid) => "pinned; certificate not yet valid",
            Err(_) => "pinned; certificate expired",
        }
    }

    /// The last second of its validity, where that is over; in seconds since 1970.
    fn end(&self) -> Option<u64> {
        let end = u64::try_from(self.outline.not_after).ok()?;
        (end < unix_seconds(self.now)).then_some(end)
    }

    fn check_dates(&self) -> Result<(), Distrust> {
        let now = i64::try_from(unix_seconds(self.now)).unwrap_or(i64::MAX);
        if now < self.outline.not_before {
            Err(Distrust::NotYetValid)
        } else if now > self.outline.not_after {
            Err(Distrust::Expired)
        } else {
            Ok(())
        }
    }

    fn check_dates_and_purpose(&self) -> Result<(), Distrust> {
        self.check_dates()?;
        match key_purposes(&self.outline).map_err(|_| Distrust::Malformed)? {
            Some(purposes) if !purposes.contains(&self.purpose.oid()) => {
                Err(Distrust::NotForThisPurpose)
            }
            _ => Ok(()),
        }
    }
}

/// What a certificate is used as.
#[derive(Clone, Copy, Debug)]
enum Purpose {
    Client,
    Server,
}

impl Purpose {
    fn usage(self) -> KeyUsage {
        match self {
            Self::Client => KeyUsage::client_auth(),
            Self::Server => KeyUsage::server_auth(),
        }
    }

    /// id-kp-clientAuth, id-kp-serverAuth.
    fn oid(self) -> Oid {
        Oid::new_unwrap(match self {
            Self::Client => "1.3.6.1.5.5.7.3.2",
            Self::Server => "1.3.6.1.5.5.7.3.1",
        })
    }
}

fn trust(state: TrustState, detail: &str) -> Trust {
    Trust {
        state,
        detail: detail.to_owned(),
    }
}

/// The whole path is looked at, and a list past its date counts: webpki's defaults.
/// None when there are no lists.
fn revocation<'a>(lists: &'a [&'a CertRevocationList<'a>]) -> Option<RevocationOptions<'a>> {
    let options = RevocationOptionsBuilder::new(lists).ok()?;
    Some(
        options
            .with_status_policy(UnknownStatusPolicy::Allow)
            .build(),
    )
}

/// Every part is counted and every item has its length, so that no two settings have
/// one encoding. Items are sets: they are sorted by whoever holds them.
fn digest(settings: &TrustSettings, anchors: &Anchors, lists: &RevocationLists) -> Digest {
    let mut encoding = b"portcullis trust 1\0".to_vec();
    encoding.push(match settings.self_signed {
        SelfSigned::Refuse => 0,
        SelfSigned::AcceptPinned => 1,
        SelfSigned::Accept => 2,
    });
    let roots = settings.public_roots.iter().map(|roots| roots.digest());
    for part in [
        anchors.digests().collect::<BTreeSet<_>>(),
        lists.digests().collect(),
        settings.pins.iter().copied().collect(),
        roots.collect(),
    ] {
        encoding.extend_from_slice(&(part.len() as u64).to_be_bytes());
        part.iter()
            .for_each(|item| encoding.extend_from_slice(item.as_bytes()));
    }
    Digest::of(&encoding)
}

#[cfg(test)]
mod tests;
