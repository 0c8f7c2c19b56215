//! The TLS session of the connection.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use crate::certificate::Certificate;
use crate::host;
use crate::open::open_values;

/// The TLS session of the connection.
#[derive(Debug)]
pub struct Tls(host::Tls);

open_values! {
    /// Who saw a TLS session.
    Origin {
        /// The host itself.
        Socket = "socket",
        /// A proxy in front of it, whose claim the operator trusts.
        Proxy = "proxy",
    }
}

open_values! {
    /// Different things that "no certificate" might mean, kept apart.
    ClientCertificate {
        /// The listener does not ask for one.
        NotAsked = "not-asked",
        /// Asked, and the client gave none.
        None = "none",
        /// Given, and possession of its key is proven.
        Given = "given",
        /// Given to a proxy, by its word: the host has not seen it.
        Claimed = "claimed",
    }
}

impl Tls {
    pub(crate) fn new(tls: host::Tls) -> Self {
        Self(tls)
    }

    /// Whether the host itself speaks TLS, or a proxy in front of it claims to.
    pub fn origin(&self) -> Origin {
        self.0.origin().into()
    }

    /// The version in use.
    pub fn version(&self) -> TlsVersion {
        TlsVersion::from_code(self.0.version())
    }

    /// IANA name of the cipher suite, such as `TLS_AES_128_GCM_SHA256`.
    pub fn cipher_suite(&self) -> String {
        self.0.cipher_suite()
    }

    /// Strength of the cipher's key in bits.
    pub fn secret_bits(&self) -> u16 {
        self.0.secret_bits()
    }

    /// IANA name of the key exchange group, such as `X25519MLKEM768`; none where the
    /// host cannot know it (a resumed TLS 1.2 session).
    pub fn key_exchange(&self) -> Option<String> {
        self.0.key_exchange()
    }

    /// Whether that group resists an attacker with a quantum computer.
    pub fn post_quantum(&self) -> bool {
        self.0.post_quantum()
    }

    /// The name that the client asked for (SNI).
    pub fn server_name(&self) -> Option<String> {
        self.0.server_name()
    }

    /// Whether the session was resumed from an earlier handshake.
    pub fn resumed(&self) -> bool {
        self.0.resumed()
    }

    /// What the client showed.
    pub fn client_certificate(&self) -> ClientCertificate {
        self.0.client_certificate().into()
    }

    /// The client's certificate, when given.
    pub fn certificate(&self) -> Option<Certificate> {
        self.0.certificate().map(Certificate::new)
    }
}

/// A TLS version, ordered by its wire code. In settings it is `"1.2"` or `"1.3"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
    /// Another, by its wire code.
    Other(u16),
}

impl TlsVersion {
    /// The version of this wire code.
    pub fn from_code(code: u16) -> Self {
        match code {
            0x0303 => Self::Tls12,
            0x0304 => Self::Tls13,
            other => Self::Other(other),
        }
    }

    /// The wire code: 0x0304 is TLS 1.3.
    pub fn code(self) -> u16 {
        match self {
            Self::Tls12 => 0x0303,
            Self::Tls13 => 0x0304,
            Self::Other(code) => code,
        }
    }
}

impl Ord for TlsVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        self.code().cmp(&other.code())
    }
}

impl PartialOrd for TlsVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for TlsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tls12 => f.write_str("TLS 1.2"),
            Self::Tls13 => f.write_str("TLS 1.3"),
            Self::Other(code) => write!(f, "TLS version {code:#06x}"),
        }
    }
}

impl Serialize for TlsVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Tls12 => serializer.serialize_str("1.2"),
            Self::Tls13 => serializer.serialize_str("1.3"),
            Self::Other(_) => Err(ser::Error::custom("settings have no other version")),
        }
    }
}

impl<'de> Deserialize<'de> for TlsVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "1.2" => Ok(Self::Tls12),
            "1.3" => Ok(Self::Tls13),
            other => Err(de::Error::custom(format_args!(
                "{other:?} is not a TLS version: write \"1.2\" or \"1.3\""
            ))),
        }
    }
}

impl JsonSchema for TlsVersion {
    fn schema_name() -> Cow<'static, str> {
        "TlsVersion".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "a TLS version",
            "enum": ["1.2", "1.3"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_by_wire_code() {
        let versions = [0x0302, 0x0303, 0x0304, 0x0305].map(TlsVersion::from_code);
        assert!(versions.is_sorted());
        assert_eq!(
            versions.map(TlsVersion::code),
            [0x0302, 0x0303, 0x0304, 0x0305]
        );
        assert_eq!(
            versions.map(|v| v.to_string()),
            [
                "TLS version 0x0302",
                "TLS 1.2",
                "TLS 1.3",
                "TLS version 0x0305"
            ]
        );
    }

    #[test]
    fn an_unknown_text_is_kept() {
        let known: ClientCertificate = String::from("not-asked").into();
        assert_eq!(known, ClientCertificate::NotAsked);
        let unknown: ClientCertificate = String::from("deferred").into();
        assert_eq!(unknown.as_str(), "deferred");
    }
}
