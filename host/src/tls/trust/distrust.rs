//! Why a certificate is not trusted, in words that policies may compare with.

use webpki::Error;

use crate::tls::outline::Outline;

/// Why no path leads from a certificate to an anchor. The words of [`Self::as_str`]
/// are part of the interface: they are never changed, only added to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distrust {
    /// No anchor of the tenant, and no certificate in the chain, has issued it.
    UnknownIssuer,
    /// It, or an issuer in the chain, is past its notAfter.
    Expired,
    /// It, or an issuer in the chain, is before its notBefore.
    NotYetValid,
    /// It, or an issuer in the chain, is on a revocation list.
    Revoked,
    /// The revocation list of an issuer is not signed by that issuer.
    RevocationListUnusable,
    /// The issuer of that name has not signed it.
    BadSignature,
    /// It is signed in a way that is too weak or not known.
    UnsupportedSignature,
    /// It has a name that an issuer may not vouch for.
    NameConstraint,
    /// Its extended key usages do not have this purpose.
    NotForThisPurpose,
    /// It, or an issuer in the chain, has one that nobody here knows.
    UnknownCriticalExtension,
    /// X.509 version 1, which says nothing of what it is good for.
    Version1,
    /// X.509 version 2, as bad.
    Version2,
    /// It says that it is an authority's, not a host's.
    AuthorityAsEndEntity,
    /// An issuer in the chain is not an authority, or not for paths of this length.
    IssuerNotAuthority,
    /// More work than a sound chain ever makes.
    TooComplex,
    /// Part of it cannot be read.
    Malformed,
}

impl Distrust {
    /// For facts and receipts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownIssuer => "unknown issuer",
            Self::Expired => "expired",
            Self::NotYetValid => "not yet valid",
            Self::Revoked => "revoked",
            Self::RevocationListUnusable => "revocation list unusable",
            Self::BadSignature => "bad signature",
            Self::UnsupportedSignature => "unsupported signature",
            Self::NameConstraint => "name constraint",
            Self::NotForThisPurpose => "not for this purpose",
            Self::UnknownCriticalExtension => "unknown critical extension",
            Self::Version1 => "version 1",
            Self::Version2 => "version 2",
            Self::AuthorityAsEndEntity => "authority used as end entity",
            Self::IssuerNotAuthority => "issuer not an authority",
            Self::TooComplex => "chain too complex",
            Self::Malformed => "malformed",
        }
    }

    /// Of two searches for a path, the reason that says more.
    pub(super) fn or(self, other: Self) -> Self {
        if self == Self::UnknownIssuer {
            other
        } else {
            self
        }
    }

    pub(super) fn of(error: &Error, outline: &Outline<'_>) -> Self {
        match error {
            Error::UnknownIssuer => Self::UnknownIssuer,
            Error::CertExpired { .. } => Self::Expired,
            Error::CertNotValidYet { .. } => Self::NotYetValid,
            Error::CertRevoked => Self::Revoked,
            Error::InvalidCrlSignatureForPublicKey
            | Error::IssuerNotCrlSigner
            | Error::UnsupportedCrlSignatureAlgorithmContext(_)
            | Error::UnsupportedCrlSignatureAlgorithmForPublicKeyContext(_) => {
                Self::RevocationListUnusable
            }
            Error::InvalidSignatureForPublicKey | Error::SignatureAlgorithmMismatch => {
                Self::BadSignature
            }
            Error::UnsupportedSignatureAlgorithmContext(_)
            | Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => {
                Self::UnsupportedSignature
            }
            Error::NameConstraintViolation => Self::NameConstraint,
            Error::RequiredEkuNotFoundContext(_) | Error::EmptyEkuExtension => {
                Self::NotForThisPurpose
            }
            Error::UnsupportedCriticalExtension => Self::UnknownCriticalExtension,
            Error::UnsupportedCertVersion if outline.version == 2 => Self::Version2,
            Error::UnsupportedCertVersion => Self::Version1,
            Error::CaUsedAsEndEntity => Self::AuthorityAsEndEntity,
            Error::EndEntityUsedAsCa | Error::PathLenConstraintViolated => Self::IssuerNotAuthority,
            Error::MaximumNameConstraintComparisonsExceeded
            | Error::MaximumPathBuildCallsExceeded
            | Error::MaximumPathDepthExceeded
            | Error::MaximumSignatureChecksExceeded => Self::TooComplex,
            _ => Self::Malformed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Distrust::*;

    /// Policies compare with these words, so the interface lists them.
    #[test]
    fn every_word_is_in_the_interface() {
        let wit = include_str!("../../../../wit/facts.wit").replace("///", "");
        let wit = wit.split_whitespace().collect::<Vec<_>>().join(" ");
        for why in [
            UnknownIssuer,
            Expired,
            NotYetValid,
            Revoked,
            RevocationListUnusable,
            BadSignature,
            UnsupportedSignature,
            NameConstraint,
            NotForThisPurpose,
            UnknownCriticalExtension,
            Version1,
            Version2,
            AuthorityAsEndEntity,
            IssuerNotAuthority,
            TooComplex,
            Malformed,
        ] {
            assert!(wit.contains(&format!("{:?}", why.as_str())), "{why:?}");
        }
    }
}
