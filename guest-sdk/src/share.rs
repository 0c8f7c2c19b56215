//! A stable share of all domains: who is in it is a function of the domain alone.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};

use crate::domain::Domain;

/// Everybody, in millionths.
const WHOLE: u32 = 1_000_000;

/// A share of all domains, in settings a number of per cent from 0 to 100.
///
/// Each domain has a place of its own under each name, which never moves: whoever is in a
/// share is in every larger one, on every host and next year. It is the place of the
/// host's own ramps: under the name of a policy, this says of a domain what its `ramp`
/// would. (Where all that should rise is how many domains a policy is enforced for, the
/// ramp of the policy does it without a module.)
///
/// ```
/// use portcullis_sdk::{Domain, Share};
///
/// let partner: Domain = "partner.example".parse()?;
/// let share: Share = serde_json::from_str("61.8")?;
/// assert!(share.includes("partners", Some(&partner))); // its place is 61.7459 %
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Share(u32);

impl Share {
    /// No domain.
    pub const NOBODY: Self = Self(0);
    /// Every domain.
    pub const EVERYBODY: Self = Self(WHOLE);

    /// One that rises evenly from nobody at `start` to everybody at `end`, as it is at
    /// `now`; all in seconds since 1970. It is everybody from `end` on, whatever `start`
    /// is.
    ///
    /// ```
    /// use portcullis_sdk::Share;
    ///
    /// assert_eq!(Share::rising(1_000, 2_000, 1_500).percent(), 50.0);
    /// ```
    pub fn rising(start: u64, end: u64, now: u64) -> Self {
        if now >= end {
            return Self::EVERYBODY;
        }
        let (risen, whole) = (now.saturating_sub(start), end - start.min(end - 1));
        let share = u128::from(risen) * u128::from(WHOLE) / u128::from(whole);
        // It is less than the whole.
        Self(u32::try_from(share).unwrap_or(WHOLE))
    }

    /// This share in per cent.
    pub fn percent(self) -> f64 {
        f64::from(self.0) / f64::from(WHOLE / 100)
    }

    /// Whether this domain is in the share, under this name; none stands for all senders
    /// without domain.
    pub fn includes(self, name: &str, domain: Option<&Domain>) -> bool {
        place(name, domain) < self.0
    }
}

/// The place of a domain in millionths: of the SHA-256 of the name, an octet 0 and the
/// domain the first eight octets, as a fraction.
fn place(name: &str, domain: Option<&Domain>) -> u32 {
    let digest = Sha256::new()
        .chain_update(name)
        .chain_update([0])
        .chain_update(domain.map_or("", Domain::as_str))
        .finalize();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    let place = (u128::from(u64::from_be_bytes(first)) * u128::from(WHOLE)) >> 64;
    // It is less than the whole.
    u32::try_from(place).unwrap_or(WHOLE)
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", self.percent())
    }
}

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.percent().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let percent = f64::deserialize(deserializer)?;
        if !(0.0..=100.0).contains(&percent) {
            return Err(de::Error::custom(format_args!(
                "{percent} is no share: give per cent, from 0 to 100"
            )));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is within 0 and the whole"
        )]
        let millionths = (percent * f64::from(WHOLE / 100)).round() as u32;
        Ok(Self(millionths))
    }
}

impl JsonSchema for Share {
    fn schema_name() -> Cow<'static, str> {
        "Share".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "a share of all domains in per cent",
            "type": "number",
            "minimum": 0,
            "maximum": 100,
            "examples": [25],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_that_of_the_hosts_ramps() {
        // The same values as in the host's own test, worked out elsewhere.
        for (domain, expected) in [
            (Some("partner.example"), 617_459),
            (Some("xn--bcher-kva.example"), 995_416),
            (None, 59_410),
        ] {
            let domain: Option<Domain> = domain.map(|domain| domain.parse().expect("a domain"));
            assert_eq!(place("partners", domain.as_ref()), expected, "{domain:?}");
            assert!(Share::EVERYBODY.includes("partners", domain.as_ref()));
            assert!(!Share::NOBODY.includes("partners", domain.as_ref()));
            assert!(Share(expected + 1).includes("partners", domain.as_ref()));
            assert!(!Share(expected).includes("partners", domain.as_ref()));
        }
    }

    #[test]
    fn a_share_rises_evenly() {
        for (start, end, now, share) in [
            (1_000, 2_000, 0, 0),
            (1_000, 2_000, 1_000, 0),
            (1_000, 2_000, 1_250, 250_000),
            (1_000, 2_000, 1_999, 999_000),
            (1_000, 2_000, 2_000, WHOLE),
            (0, u64::MAX, u64::MAX, WHOLE),
            (0, u64::MAX, u64::MAX - 1, WHOLE - 1),
            (5, 5, 5, WHOLE),
            (5, 5, 4, 0),
            (9, 5, 4, 0),
            (9, 5, 5, WHOLE),
            (0, 0, 0, WHOLE),
        ] {
            assert_eq!(
                Share::rising(start, end, now),
                Share(share),
                "{start} {end} {now}"
            );
        }
    }

    #[test]
    fn settings_are_per_cent() {
        for (json, share) in [("0", 0), ("12.5", 125_000), ("100", WHOLE)] {
            assert_eq!(
                serde_json::from_str::<Share>(json).expect(json),
                Share(share)
            );
        }
        for json in ["-1", "100.1", "\"10\"", "null"] {
            assert!(serde_json::from_str::<Share>(json).is_err(), "{json}");
        }
        let fault = serde_json::from_str::<Share>("101")
            .expect_err("too much")
            .to_string();
        assert!(
            fault.starts_with("101 is no share: give per cent, from 0 to 100"),
            "{fault}"
        );
        assert_eq!(
            serde_json::to_string(&Share(125_000)).expect("JSON"),
            "12.5"
        );
    }
}
