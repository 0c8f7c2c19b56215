//! Domains: parsed once, compared by labels, never by suffix of text.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Longest domain in octets (RFC 5321, section 4.5.3.1.2).
const MAX_DOMAIN: usize = 255;
/// Longest label in octets (RFC 1035, section 2.3.4).
const MAX_LABEL: usize = 63;

/// A DNS domain in lower case without trailing dot.
///
/// International names are written with their A-labels (`xn--bcher-kva.example`), as
/// the host gives them. In settings it is a string.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Domain(String);

impl Domain {
    /// The domain as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The domain above it; none for a single label.
    pub fn parent(&self) -> Option<Domain> {
        let (_, parent) = self.0.split_once('.')?;
        Some(Self(parent.to_owned()))
    }

    /// The domains above it, the nearest first.
    pub fn parents(&self) -> impl Iterator<Item = Domain> + use<> {
        std::iter::successors(self.parent(), Domain::parent)
    }

    /// Whether this is `other` or lies below it.
    pub fn is_within(&self, other: &Domain) -> bool {
        self.0
            .strip_suffix(&other.0)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }
}

/// Not a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainError(String);

impl FromStr for Domain {
    type Err = DomainError;

    fn from_str(text: &str) -> Result<Self, DomainError> {
        let bare = text.strip_suffix('.').unwrap_or(text);
        // An all-numeric last label is an address, not a name.
        let numeric = bare
            .rsplit('.')
            .next()
            .is_some_and(|label| label.bytes().all(|b| b.is_ascii_digit()));
        if numeric || bare.len() > MAX_DOMAIN || !bare.split('.').all(is_label) {
            return Err(DomainError(text.to_owned()));
        }
        Ok(Self(bare.to_ascii_lowercase()))
    }
}

/// A label of letters, digits, hyphens and underscores (which real hosts carry).
fn is_label(label: &str) -> bool {
    (1..=MAX_LABEL).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

impl fmt::Display for DomainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hint = if self.0.is_ascii() {
            ""
        } else {
            ": write international names with A-labels (xn--…)"
        };
        write!(f, "{:?} is not a domain{hint}", self.0)
    }
}

impl std::error::Error for DomainError {}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&Domain> for Domain {
    fn from(domain: &Domain) -> Self {
        domain.clone()
    }
}

impl Serialize for Domain {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Domain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

impl JsonSchema for Domain {
    fn schema_name() -> Cow<'static, str> {
        "Domain".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "a DNS domain; international names with A-labels",
            "type": "string",
            "examples": ["partner.example"],
            "pattern": r"^([A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?\.?)+$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(text: &str) -> Domain {
        text.parse().expect("a domain")
    }

    #[test]
    fn domains_are_normalised() {
        for (text, expected) in [
            ("Example.COM", "example.com"),
            ("example.com.", "example.com"),
            ("_tcp.example.com", "_tcp.example.com"),
            ("localhost", "localhost"),
        ] {
            assert_eq!(domain(text).as_str(), expected);
        }
    }

    #[test]
    fn what_is_no_domain() {
        for text in [
            "",
            ".",
            ".a",
            "a..b",
            "-a.b",
            "a-.b",
            "a b",
            "a@b",
            "a*b",
            "192.0.2.1",
            "[192.0.2.1]",
        ] {
            let fault = text.parse::<Domain>().expect_err(text);
            assert_eq!(fault.to_string(), format!("{text:?} is not a domain"));
        }
        assert!(["a"; 200].join(".").parse::<Domain>().is_err());
        assert!("a".repeat(64).parse::<Domain>().is_err());
        assert_eq!(
            "bücher.example"
                .parse::<Domain>()
                .expect_err("not ASCII")
                .to_string(),
            "\"bücher.example\" is not a domain: write international names with A-labels (xn--…)"
        );
    }

    #[test]
    fn within_is_a_matter_of_labels() {
        assert!(domain("mx.example.com").is_within(&domain("example.com")));
        assert!(domain("example.com").is_within(&domain("example.com")));
        assert!(!domain("badexample.com").is_within(&domain("example.com")));
        assert!(!domain("com").is_within(&domain("example.com")));
    }

    #[test]
    fn parents_come_nearest_first() {
        let parents: Vec<Domain> = domain("a.b.example.com").parents().collect();
        assert_eq!(
            parents,
            [
                domain("b.example.com"),
                domain("example.com"),
                domain("com")
            ]
        );
        assert_eq!(domain("com").parents().count(), 0);
    }
}
