//! What the host saw: plain data, from which a policy decides and a receipt is kept.
//!
//! **Facts are what the host saw.** What a client merely claims is named as a claim
//! ([`Helo`]), and what a proxy says about TLS carries its [`Origin`]. Facts are kept
//! whole in the receipt, so that the same policy on the same facts gives the same
//! decision when it is replayed.

mod id;
mod lacking;
mod names;
#[cfg(test)]
pub(crate) mod sample;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use id::{ReceiptId, ReceiptIdError, SessionId, TenantId};
pub use lacking::{Fact, FactSet};
use serde::{Deserialize, Serialize};

use crate::address::Mailbox;
use crate::digest::{Digest, Fingerprint};

/// Everything a policy may know about one recipient of one message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Of the receipt.
    pub id: ReceiptId,
    /// The time of the question, in seconds since 1970.
    pub now: u64,
    /// RCPT TO or end of data.
    pub stage: Stage,
    /// To the tenant or from it.
    pub direction: Direction,
    /// Whose policy is asked.
    pub tenant: TenantId,
    /// The connection, shared by all recipients.
    pub connection: Arc<Connection>,
    /// How the client introduced itself.
    pub helo: Helo,
    /// Envelope sender; none for the null sender.
    pub sender: Option<Mailbox>,
    /// Envelope recipient.
    pub recipient: Mailbox,
    /// Recipients of this tenant accepted before this one in the transaction.
    pub recipients_so_far: u32,
    /// Parameters of MAIL FROM.
    pub parameters: MailParameters,
    /// Addresses of the header From; empty while the content is not there, and where it
    /// has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub header_from: Vec<Mailbox>,
    /// What the tenant's trust says of the client certificate; none without one.
    pub trust: Option<Judgement>,
}

/// One connection, from accept (and STARTTLS) on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Connection {
    /// Name of the listener.
    pub listener: String,
    /// The client.
    pub client: SocketAddr,
    /// What it connected to.
    pub server: SocketAddr,
    /// The proxy in front, where it said whose connection it is.
    pub proxied_by: Option<SocketAddr>,
    /// The client's name in reverse DNS.
    pub reverse_name: Option<ReverseName>,
    /// STARTTLS was offered, or TLS is there already.
    pub starttls_offered: bool,
    /// The last handshake that this client failed.
    pub handshake_failure: Option<HandshakeFailure>,
    /// The TLS session, of the host's own or by a proxy's claim; none in clear.
    pub tls: Option<Tls>,
}

impl Connection {
    /// The TLS session that counts here: a proxy's claim does only where the operator
    /// trusts it.
    pub fn secured(&self) -> Option<&Tls> {
        self.tls.as_ref().filter(|tls| tls.origin.counts())
    }
}

/// A name from reverse DNS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReverseName {
    /// The name.
    pub name: String,
    /// It resolves to the client's address.
    pub confirmed: bool,
}

/// A handshake that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandshakeFailure {
    /// When, in seconds since 1970.
    pub at: u64,
    /// Why, in words.
    pub reason: String,
}

/// A TLS session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tls {
    /// Who says so.
    pub origin: Origin,
    /// Wire code of the version.
    pub version: TlsVersion,
    /// IANA name of the cipher suite.
    pub cipher_suite: String,
    /// Strength of the cipher's key in bits.
    pub secret_bits: u16,
    /// IANA name of the key exchange group.
    pub key_exchange: Option<String>,
    /// That group resists a quantum computer.
    pub post_quantum: bool,
    /// SNI.
    pub server_name: Option<String>,
    /// Resumed from an earlier handshake.
    pub resumed: bool,
    /// What the client showed.
    pub client_certificate: ClientCertificate,
}

/// Who saw a TLS session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The host itself.
    Socket,
    /// A proxy in front of it: a claim, which counts for nothing.
    Proxy,
    /// A proxy in front of it, whose claim the operator lets count as TLS.
    TrustedProxy,
}

impl Origin {
    /// Whether the session is one that policies may rely on.
    pub fn counts(self) -> bool {
        match self {
            Self::Socket | Self::TrustedProxy => true,
            Self::Proxy => false,
        }
    }
}

/// A TLS version by its wire code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TlsVersion(pub u16);

impl TlsVersion {
    /// TLS 1.2 (RFC 5246).
    pub const TLS12: Self = Self(0x0303);
    /// TLS 1.3 (RFC 8446).
    pub const TLS13: Self = Self(0x0304);
}

impl fmt::Display for TlsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0x0301..=0x0304 => write!(f, "TLS 1.{}", self.0 - 0x0301),
            other => write!(f, "TLS version {other:#06x}"),
        }
    }
}

/// Different things that "no certificate" might mean, kept apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientCertificate {
    /// The listener does not ask.
    NotAsked,
    /// Asked, and the client gave none.
    None,
    /// Given, with proof of possession of its key.
    Given(Box<Certificate>),
    /// Given to a proxy, by its word. The host has not seen it, so it is as good as none
    /// wherever a certificate is required.
    Claimed(ClaimedCertificate),
}

/// What a proxy says of a certificate that it does not show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimedCertificate {
    /// Chosen by whoever holds the certificate; only shown.
    pub common_name: Option<String>,
    /// The proxy found it valid, by whatever it trusts.
    pub verified: bool,
}

/// The client's end-entity certificate: what it claims.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// RFC 4514.
    pub subject: String,
    /// RFC 4514.
    pub issuer: String,
    /// Lower-case hex.
    pub serial: String,
    /// Never matched, only shown.
    pub common_name: Option<String>,
    /// dNSName.
    pub dns_names: Vec<String>,
    /// rfc822Name.
    pub email_addresses: Vec<String>,
    /// iPAddress.
    pub ip_addresses: Vec<IpAddr>,
    /// uniformResourceIdentifier.
    pub uris: Vec<String>,
    /// Seconds since 1970.
    pub not_before: i64,
    /// Seconds since 1970.
    pub not_after: i64,
    /// As in the interface.
    pub key_type: String,
    /// Bits, where the type is known.
    pub key_bits: Option<u32>,
    /// Name or OID.
    pub signature_algorithm: String,
    /// Names or OIDs.
    pub extended_key_usages: Vec<String>,
    /// Of the whole certificate.
    pub sha256: Digest,
    /// Of its public key.
    pub spki_sha256: Fingerprint,
    /// How many certificates were sent.
    pub chain_length: u32,
}

/// What one tenant's trust says of a certificate, for either purpose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// As the certificate of a client.
    pub client: Trust,
    /// As the certificate of a server: what mail servers often present.
    pub server: Trust,
    /// The tenant accepts certificates that are merely self-signed.
    pub accept_self_signed: bool,
}

/// Trust for one purpose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trust {
    /// The outcome.
    pub state: TrustState,
    /// The anchor, or why there is none.
    pub detail: String,
}

/// Outcome of judging a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrustState {
    /// Under one of the tenant's anchors.
    Trusted,
    /// Its key is one of the tenant's pins.
    Pinned,
    /// Signed by itself.
    SelfSigned,
    /// None of these.
    Untrusted,
}

impl TrustState {
    /// As in the interface.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trusted => "trusted",
            Self::Pinned => "pinned",
            Self::SelfSigned => "self-signed",
            Self::Untrusted => "untrusted",
        }
    }
}

impl Judgement {
    /// Trusted for either purpose: under an anchor, pinned, or self-signed where the
    /// tenant accepts that.
    pub fn is_trusted(&self) -> bool {
        [&self.client, &self.server]
            .into_iter()
            .any(|trust| match trust.state {
                TrustState::Trusted | TrustState::Pinned => true,
                TrustState::SelfSigned => self.accept_self_signed,
                TrustState::Untrusted => false,
            })
    }

    /// Under an anchor, for either purpose: somebody vouches for what it says, its names
    /// included, which nobody does of a certificate that is pinned or self-signed.
    pub fn is_anchored(&self) -> bool {
        [&self.client, &self.server]
            .into_iter()
            .any(|trust| trust.state == TrustState::Trusted)
    }

    /// For people: why it is trusted, or why not (the client's purpose first).
    pub fn detail(&self) -> &str {
        let server_is_better = self.client.state == TrustState::Untrusted
            && self.server.state != TrustState::Untrusted;
        if server_is_better {
            &self.server.detail
        } else {
            &self.client.detail
        }
    }
}

/// Where in the transaction a question is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// RCPT TO.
    Recipient,
    /// End of data.
    Content,
}

impl Stage {
    /// As in the interface.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Recipient => "recipient",
            Self::Content => "content",
        }
    }
}

/// Which way mail goes, as the tenant sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// To the tenant.
    Inbound,
    /// From the tenant.
    Outbound,
}

impl Direction {
    /// As in the interface.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

/// How the client introduced itself: a claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Helo {
    /// EHLO or HELO.
    pub verb: HeloVerb,
    /// The name it gave.
    pub name: String,
}

/// Which greeting was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum HeloVerb {
    /// RFC 5321, section 4.1.1.1.
    Ehlo,
    /// The older form, without extensions.
    Helo,
}

impl HeloVerb {
    /// The verb on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ehlo => "EHLO",
            Self::Helo => "HELO",
        }
    }
}

/// Parameters of MAIL FROM.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailParameters {
    /// SIZE in octets (RFC 1870).
    pub size: Option<u64>,
    /// BODY (RFC 6152).
    pub body: Option<Body>,
    /// RFC 6531.
    pub smtputf8: bool,
    /// RFC 8689.
    pub requiretls: bool,
}

/// BODY parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// Seven bits.
    #[serde(rename = "7BIT")]
    SevenBit,
    /// Eight bits, in lines.
    #[serde(rename = "8BITMIME")]
    EightBitMime,
}

impl Body {
    /// The value on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SevenBit => "7BIT",
            Self::EightBitMime => "8BITMIME",
        }
    }
}

impl Facts {
    /// The client certificate, when one was given.
    pub fn certificate(&self) -> Option<&Certificate> {
        match &self.connection.tls.as_ref()?.client_certificate {
            ClientCertificate::Given(certificate) => Some(certificate),
            ClientCertificate::NotAsked
            | ClientCertificate::None
            | ClientCertificate::Claimed(_) => None,
        }
    }
}

/// Seconds since 1970; zero for a clock before that.
pub fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_secs()
}
