//! Settings by domain: one way to name domains for all policies.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::domain::{Domain, DomainError};

/// Values by domain, for settings. In JSON it is an object with such keys:
///
/// | key | names |
/// | --- | --- |
/// | `example.com` | that domain alone |
/// | `.example.com` | its subdomains alone |
/// | `*` | every other domain |
///
/// The most specific key wins: the domain itself, then the nearest parent, then `*`.
/// A key that is no domain, or that is there twice, is an error.
///
/// ```
/// use portcullis_sdk::{Domain, DomainMap};
///
/// let map: DomainMap<u8> = serde_json::from_str(r#"{"example.com": 1, ".example.com": 2}"#)?;
/// assert_eq!(map.get(&"example.com".parse()?), Some(&1));
/// assert_eq!(map.get(&"mx.example.com".parse()?), Some(&2));
/// assert_eq!(map.get(&"example.net".parse()?), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainMap<V>(BTreeMap<DomainPattern, V>);

/// A set of domains, for settings. In JSON it is an array of what a [`DomainMap`] has for
/// keys.
///
/// ```
/// use portcullis_sdk::DomainSet;
///
/// let partners: DomainSet = serde_json::from_str(r#"["example.com", ".example.com"]"#)?;
/// assert!(partners.contains(&"example.com".parse()?));
/// assert!(partners.contains(&"mx.example.com".parse()?));
/// assert!(!partners.contains(&"badexample.com".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DomainSet(DomainMap<()>);

/// A key of a [`DomainMap`], an element of a [`DomainSet`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DomainPattern {
    /// `example.com`: that domain alone.
    Exactly(Domain),
    /// `.example.com`: its subdomains alone.
    Below(Domain),
    /// `*`: every domain.
    Every,
}

impl<V> DomainMap<V> {
    /// The value of the most specific key that names this domain.
    pub fn get(&self, domain: &Domain) -> Option<&V> {
        let below = || {
            domain
                .parents()
                .find_map(|parent| self.0.get(&DomainPattern::Below(parent)))
        };
        self.0
            .get(&DomainPattern::Exactly(domain.clone()))
            .or_else(below)
            .or_else(|| self.every())
    }

    /// The value of `*`: for what has no domain, if a policy wants that.
    pub fn every(&self) -> Option<&V> {
        self.0.get(&DomainPattern::Every)
    }

    /// All keys and values.
    pub fn iter(&self) -> impl Iterator<Item = (&DomainPattern, &V)> {
        self.0.iter()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl DomainSet {
    /// Whether a pattern names this domain.
    pub fn contains(&self, domain: &Domain) -> bool {
        self.0.get(domain).is_some()
    }

    /// Whether `*` is among them: for what has no domain, if a policy wants that.
    pub fn has_every(&self) -> bool {
        self.0.every().is_some()
    }

    /// All patterns.
    pub fn iter(&self) -> impl Iterator<Item = &DomainPattern> {
        self.0.iter().map(|(pattern, ())| pattern)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<V> Default for DomainMap<V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl FromStr for DomainPattern {
    type Err = DomainError;

    fn from_str(text: &str) -> Result<Self, DomainError> {
        match text.strip_prefix('.') {
            _ if text == "*" => Ok(Self::Every),
            Some(domain) => domain.parse().map(Self::Below),
            None => text.parse().map(Self::Exactly),
        }
    }
}

impl fmt::Display for DomainPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(domain) => write!(f, "{domain}"),
            Self::Below(domain) => write!(f, ".{domain}"),
            Self::Every => f.write_str("*"),
        }
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for DomainMap<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

/// Reads the entries one by one, since a map of serde's would keep the last of two
/// equal keys without a word.
struct Entries<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for Entries<V> {
    type Value = DomainMap<V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with domains as keys")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut map = BTreeMap::new();
        // The key first: of one that is no domain the value does not matter.
        while let Some(key) = entries.next_key::<String>()? {
            let pattern = key.parse().map_err(A::Error::custom)?;
            if map.insert(pattern, entries.next_value()?).is_some() {
                return Err(A::Error::custom(format!("{key:?} is there twice")));
            }
        }
        Ok(DomainMap(map))
    }
}

impl<V: Serialize> Serialize for DomainMap<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(&self.0)
    }
}

impl<'de> Deserialize<'de> for DomainSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Patterns)
    }
}

/// Reads the patterns one by one, since a set of serde's would keep two of the same
/// without a word.
struct Patterns;

impl<'de> Visitor<'de> for Patterns {
    type Value = DomainSet;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of domains")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut patterns: A) -> Result<Self::Value, A::Error> {
        let mut map = BTreeMap::new();
        while let Some(pattern) = patterns.next_element::<DomainPattern>()? {
            if map.contains_key(&pattern) {
                let shown = pattern.to_string();
                return Err(A::Error::custom(format!("{shown:?} is there twice")));
            }
            map.insert(pattern, ());
        }
        Ok(DomainSet(DomainMap(map)))
    }
}

impl Serialize for DomainSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for DomainPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

impl Serialize for DomainPattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What a pattern is in JSON.
const PATTERN: &str = r"^(\*|\.?([A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?\.?)+)$";

impl JsonSchema for DomainSet {
    fn schema_name() -> Cow<'static, str> {
        "Domains".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "domains: each it alone, after a dot its subdomains alone, or * (every domain)",
            "type": "array",
            "items": { "type": "string", "pattern": PATTERN },
            "uniqueItems": true,
            "examples": [["partner.example", ".partner.example"]],
        })
    }
}

impl<V: JsonSchema> JsonSchema for DomainMap<V> {
    fn schema_name() -> Cow<'static, str> {
        format!("Domains_to_{}", V::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = generator.subschema_for::<V>();
        json_schema!({
            "description": "keys: a domain (it alone), a domain after a dot (its subdomains \
                            alone), or * (every other domain)",
            "type": "object",
            "patternProperties": {
                PATTERN: value,
            },
            "additionalProperties": false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(json: &str) -> Result<DomainMap<u8>, String> {
        serde_json::from_str(json).map_err(|e| e.to_string())
    }

    #[test]
    fn the_most_specific_key_wins() {
        let map = map(
            r#"{"example.com": 1, ".example.com": 2, "mx.example.com": 3, ".b.example.com": 4, "*": 5}"#,
        )
        .expect("a map");
        for (domain, value) in [
            ("example.com", 1),
            ("a.example.com", 2),
            ("mx.example.com", 3),
            ("a.mx.example.com", 2),
            ("b.example.com", 2),
            ("a.b.example.com", 4),
            ("badexample.com", 5),
            ("com", 5),
        ] {
            let domain: Domain = domain.parse().expect("a domain");
            assert_eq!(map.get(&domain), Some(&value), "{domain}");
        }
    }

    #[test]
    fn keys_that_are_refused() {
        for (json, fault) in [
            (
                r#"{"Example.com": 1, "example.com.": 2}"#,
                "\"example.com.\" is there twice",
            ),
            (r#"{"a b": 1}"#, "\"a b\" is not a domain"),
            (
                r#"{"*.example.com": 1}"#,
                "\"*.example.com\" is not a domain",
            ),
            (r#"{".": 1}"#, "\"\" is not a domain"),
        ] {
            let found = map(json).expect_err(json);
            assert!(found.starts_with(fault), "{found}");
        }
    }

    #[test]
    fn a_set_is_an_array_without_doubles() {
        let set = |json: &str| serde_json::from_str::<DomainSet>(json).map_err(|e| e.to_string());
        let some = set(r#"["Example.com", ".b.example", "*"]"#).expect("a set");
        assert!(some.has_every() && some.contains(&"any.example".parse().expect("a domain")));
        let shown: Vec<String> = some.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["example.com", ".b.example", "*"]);
        assert!(set("[]").expect("a set").is_empty());
        for (json, fault) in [
            (
                r#"["a.example", "A.example."]"#,
                "\"a.example\" is there twice",
            ),
            (r#"["a b"]"#, "\"a b\" is not a domain"),
            (
                "3",
                "invalid type: integer `3`, expected an array of domains",
            ),
        ] {
            let found = set(json).expect_err(json);
            assert!(found.starts_with(fault), "{found}");
        }
    }

    #[test]
    fn patterns_show_as_they_are_written() {
        for text in ["example.com", ".example.com", "*"] {
            let pattern: DomainPattern = text.parse().expect("a pattern");
            assert_eq!(pattern.to_string(), text);
        }
    }
}
