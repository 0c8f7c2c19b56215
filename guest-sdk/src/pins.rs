//! A set of pins, for settings.

use std::borrow::Cow;
use std::collections::BTreeSet;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::fingerprint::Fingerprint;

/// The most that a decision may demand (`wit/demands.wit`).
const MOST: usize = 256;

/// Public keys of which one must be used. In settings it is an array of
/// [`Fingerprint`]s: at least one, since no pin at all is never met, and at most 256.
///
/// ```
/// use portcullis_sdk::{Pins, Requirements};
///
/// # let json = format!("[\"{}\"]", "0a".repeat(32));
/// let pins: Pins = serde_json::from_str(&json)?;
/// let requirements = Requirements::tls().certificate_pinned(&pins);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pins(BTreeSet<Fingerprint>);

impl Pins {
    /// Whether this is one of them.
    pub fn contains(&self, fingerprint: &Fingerprint) -> bool {
        self.0.contains(fingerprint)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Fingerprint> {
        self.0.iter()
    }
}

impl<'p> IntoIterator for &'p Pins {
    type Item = &'p Fingerprint;
    type IntoIter = std::collections::btree_set::Iter<'p, Fingerprint>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<'de> Deserialize<'de> for Pins {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pins: BTreeSet<Fingerprint> = BTreeSet::deserialize(deserializer)?;
        if !(1..=MOST).contains(&pins.len()) {
            return Err(de::Error::custom(format_args!(
                "{} pins: give 1 to {MOST}",
                pins.len()
            )));
        }
        Ok(Self(pins))
    }
}

impl JsonSchema for Pins {
    fn schema_name() -> Cow<'static, str> {
        "Pins".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "public keys of which one must be used",
            "type": "array",
            "items": generator.subschema_for::<Fingerprint>(),
            "minItems": 1,
            "maxItems": MOST,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_are_at_least_one() {
        let pins = |json: &str| serde_json::from_str::<Pins>(json).map_err(|e| e.to_string());
        let (one, two) = ("0a".repeat(32), "0b".repeat(32));
        let both = pins(&format!("[\"{two}\", \"{one}\"]")).expect("two pins");
        assert_eq!(
            both.iter().map(Fingerprint::as_str).collect::<Vec<_>>(),
            [&one, &two]
        );
        assert!(both.contains(&one.parse().expect("a pin")));
        assert!(!both.contains(&"0c".repeat(32).parse().expect("a pin")));
        let fault = pins("[]").expect_err("none");
        assert!(fault.starts_with("0 pins: give 1 to 256"), "{fault}");
        let many: Vec<String> = (0..257).map(|n| format!("\"{n:064x}\"")).collect();
        let fault = pins(&format!("[{}]", many.join(","))).expect_err("too many");
        assert!(fault.starts_with("257 pins"), "{fault}");
        assert!(
            pins("[\"beef\"]")
                .expect_err("no pin")
                .contains("64 hex digits")
        );
    }
}
