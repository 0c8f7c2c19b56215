//! Fingerprints of public keys: what pins name.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Hex digits of a SHA-256 digest.
const DIGITS: usize = 64;

/// SHA-256 of a public key (of its SubjectPublicKeyInfo in DER), as 64 lower-case hex
/// digits. Upper case, and colons between bytes as openssl prints them, are read too.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(String);

/// Not a fingerprint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FingerprintError(String);

impl Fingerprint {
    /// For text of the host, which is in this form already.
    pub(crate) fn new(text: String) -> Self {
        Self(text)
    }

    /// 64 lower-case hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let digits: String = text.chars().filter(|c| *c != ':').collect();
        if digits.len() != DIGITS || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(FingerprintError(text.to_owned()));
        }
        Ok(Self(digits.to_ascii_lowercase()))
    }
}

impl fmt::Display for FingerprintError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is not a SHA-256 fingerprint: give {DIGITS} hex digits",
            self.0
        )
    }
}

impl std::error::Error for FingerprintError {}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&Fingerprint> for Fingerprint {
    fn from(fingerprint: &Fingerprint) -> Self {
        fingerprint.clone()
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

impl JsonSchema for Fingerprint {
    fn schema_name() -> Cow<'static, str> {
        "Fingerprint".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "SHA-256 of a public key (SubjectPublicKeyInfo in DER): 64 hex digits",
            "type": "string",
            "pattern": "^([0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_colons() {
        let plain = "0a".repeat(32);
        let openssl = ["0A"; 32].join(":");
        assert_eq!(openssl.parse(), Ok(Fingerprint(plain)));
    }

    #[test]
    fn faults_name_the_value() {
        let fault = "beef".parse::<Fingerprint>().expect_err("too short");
        assert_eq!(
            fault.to_string(),
            "\"beef\" is not a SHA-256 fingerprint: give 64 hex digits"
        );
        assert!("zz".repeat(32).parse::<Fingerprint>().is_err());
    }
}
