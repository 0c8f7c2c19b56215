//! The client's certificate: what it claims, and apart from that what the host thinks
//! of it.

use crate::domain::Domain;
use crate::fingerprint::Fingerprint;
use crate::host;
use crate::open::open_values;

/// The client's end-entity certificate: what it claims, and apart from that what the
/// host thinks of it ([`trust`](Self::trust), [`covers`](Self::covers),
/// [`within`](Self::within)).
///
/// A policy that wants to demand something of it says so in its
/// [`Requirements`](crate::Requirements), rather than looking here: the answer must be
/// the same before the client has begun TLS.
#[derive(Debug)]
pub struct Certificate(host::Certificate);

open_values! {
    /// The host's verdict on a certificate under the tenant's own trust.
    Trust {
        /// Under one of the tenant's anchors.
        Trusted = "trusted",
        /// Its key is one of the tenant's pins.
        Pinned = "pinned",
        /// Signed by itself.
        SelfSigned = "self-signed",
        /// None of these.
        Untrusted = "untrusted",
    }
}

/// What a certificate is checked for, after the extended key usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// To identify a client.
    Client,
    /// To identify a server: what mail servers often present, since public authorities
    /// stop issuing certificates for clients.
    Server,
}

impl Purpose {
    fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

impl Certificate {
    pub(crate) fn new(certificate: host::Certificate) -> Self {
        Self(certificate)
    }

    /// Subject as an RFC 4514 string; empty when the certificate has none.
    pub fn subject(&self) -> String {
        self.0.subject()
    }

    /// Issuer as an RFC 4514 string.
    pub fn issuer(&self) -> String {
        self.0.issuer()
    }

    /// Serial number, lower-case hex without separators.
    pub fn serial(&self) -> String {
        self.0.serial()
    }

    /// The last common name of the subject. For showing to people only: names are
    /// matched by [`covers`](Self::covers) and [`within`](Self::within), which never
    /// look at it (RFC 9525).
    pub fn common_name(&self) -> Option<String> {
        self.0.common_name()
    }

    /// Subject alternative names of type dNSName, as in the certificate.
    pub fn dns_names(&self) -> Vec<String> {
        self.0.dns_names()
    }

    /// Subject alternative names of type rfc822Name.
    pub fn email_addresses(&self) -> Vec<String> {
        self.0.email_addresses()
    }

    /// Subject alternative names of type iPAddress, as text.
    pub fn ip_addresses(&self) -> Vec<String> {
        self.0.ip_addresses()
    }

    /// Subject alternative names of type uniformResourceIdentifier.
    pub fn uris(&self) -> Vec<String> {
        self.0.uris()
    }

    /// Start of the validity, in seconds since 1970; may be negative.
    pub fn not_before(&self) -> i64 {
        self.0.not_before()
    }

    /// End of the validity, in seconds since 1970.
    pub fn not_after(&self) -> i64 {
        self.0.not_after()
    }

    /// `RSA`, `P-256`, `P-384`, `P-521`, `Ed25519`, or the algorithm's OID.
    pub fn key_type(&self) -> String {
        self.0.key_type()
    }

    /// Size of the public key in bits, where its type is known.
    pub fn key_bits(&self) -> Option<u32> {
        self.0.key_bits()
    }

    /// Name of the signature's algorithm, such as `ecdsa-with-SHA256`, or its OID.
    pub fn signature_algorithm(&self) -> String {
        self.0.signature_algorithm()
    }

    /// Extended key usages: `serverAuth`, `clientAuth`, `emailProtection`,
    /// `anyExtendedKeyUsage`, or the OID; empty when the extension is absent.
    pub fn extended_key_usages(&self) -> Vec<String> {
        self.0.extended_key_usages()
    }

    /// SHA-256 of the whole certificate (DER), in lower-case hex.
    pub fn sha256(&self) -> String {
        self.0.sha256()
    }

    /// SHA-256 of its public key: the value that pins name.
    pub fn spki_sha256(&self) -> Fingerprint {
        Fingerprint::new(self.0.spki_sha256())
    }

    /// How many certificates the client sent, this one counted.
    pub fn chain_length(&self) -> u32 {
        self.0.chain_length()
    }

    /// The host's verdict for this purpose, under the tenant's own trust.
    pub fn trust(&self, purpose: Purpose) -> Trust {
        self.0.trust(purpose.as_str()).into()
    }

    /// What that verdict rests on: the trust anchor's subject, or why there is none,
    /// such as `unknown issuer`, `expired`, `not yet valid`, `revoked`.
    pub fn trust_detail(&self, purpose: Purpose) -> String {
        self.0.trust_detail(purpose.as_str())
    }

    /// Trusted (for either purpose, by anchor or by pin, or self-signed where the
    /// tenant accepts that), and a DNS name of it matches this host name (RFC 9525,
    /// section 6.3).
    pub fn covers(&self, name: &Domain) -> bool {
        self.0.covers(name.as_str())
    }

    /// Trusted, and a DNS name of it is this domain or lies below it.
    pub fn within(&self, domain: &Domain) -> bool {
        self.0.within(domain.as_str())
    }
}
