//! SHA-256 digests, the only name that modules, certificates and keys go by.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize, Serializer};

/// A SHA-256 digest; as text, 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Digest([u8; 32]);

/// SHA-256 of a public key's SubjectPublicKeyInfo (DER): what a pin names.
pub type Fingerprint = Digest;

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut value = [0; 32];
        value
            .copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref());
        Self(value)
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// As text, which is written to `digits`: every receipt has some of them.
    fn text<'d>(&self, digits: &'d mut [u8; 64]) -> &'d str {
        hex::encode_to_slice(self.0, digits).expect("each octet is two digits");
        str::from_utf8(digits).expect("hex digits are ASCII")
    }
}

/// SHA-256 over what comes piece by piece. A copy of it goes on from where it is, so
/// that a long beginning is hashed once for many endings.
#[derive(Clone)]
pub struct Hasher(aws_lc_rs::digest::Context);

impl Hasher {
    /// Over nothing yet.
    pub fn new() -> Self {
        Self(aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256))
    }

    /// Takes the next octets.
    pub fn update(&mut self, octets: &[u8]) {
        self.0.update(octets);
    }

    /// The digest of all that was taken.
    pub fn finish(self) -> Digest {
        let mut value = [0; 32];
        value.copy_from_slice(self.0.finish().as_ref());
        Digest(value)
    }
}

impl Default for Hasher {
    fn default() -> Self {
        Self::new()
    }
}

/// Not a SHA-256 digest in hex.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is not a SHA-256 digest: give 64 hex digits")]
pub struct DigestError(String);

impl FromStr for Digest {
    type Err = DigestError;

    /// Takes upper and lower case, and colons between bytes as openssl prints them.
    fn from_str(text: &str) -> Result<Self, DigestError> {
        let digits: String = text.chars().filter(|c| *c != ':').collect();
        let mut value = [0; 32];
        hex::decode_to_slice(digits, &mut value).map_err(|_| DigestError(text.to_owned()))?;
        Ok(Self(value))
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, DigestError> {
        text.parse()
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text(&mut [0; 64]))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text(&mut [0; 64]))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::of(b"abc").to_string(), abc);
        assert_eq!(abc.parse(), Ok(Digest::of(b"abc")));
        let colons: Vec<String> = abc
            .to_uppercase()
            .as_bytes()
            .chunks(2)
            .map(|c| String::from_utf8_lossy(c).into_owned())
            .collect();
        assert_eq!(colons.join(":").parse(), Ok(Digest::of(b"abc")));
    }

    #[test]
    fn pieces_make_the_whole() {
        let mut hasher = Hasher::new();
        hasher.update(b"a");
        let other = hasher.clone();
        hasher.update(b"bc");
        assert_eq!(hasher.finish(), Digest::of(b"abc"));
        assert_eq!(other.finish(), Digest::of(b"a"));
    }

    #[test]
    fn faults_name_the_value() {
        let fault = "beef".parse::<Digest>().expect_err("too short");
        assert_eq!(
            fault.to_string(),
            "\"beef\" is not a SHA-256 digest: give 64 hex digits"
        );
    }
}
