//! Lengths of time, as settings write them: `"14d"`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Units, and how many seconds each has; the largest first.
const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// A length of time, in settings a text such as `"14d"`: a whole number of days (`d`),
/// hours (`h`), minutes (`m`) or seconds (`s`).
///
/// ```
/// use portcullis_sdk::Period;
///
/// let grace: Period = "14d".parse()?;
/// assert_eq!(grace.seconds(), 14 * 86_400);
/// # Ok::<(), portcullis_sdk::PeriodError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period(u64);

/// Not a length of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeriodError(String);

impl Period {
    /// So many days.
    pub const fn days(days: u16) -> Self {
        Self(days as u64 * 86_400)
    }

    /// In seconds, fewer than 2⁴⁸ of them: it can be added to the time of a question.
    pub fn seconds(self) -> u64 {
        self.0
    }
}

impl FromStr for Period {
    type Err = PeriodError;

    fn from_str(text: &str) -> Result<Self, PeriodError> {
        read(text).ok_or_else(|| PeriodError(text.to_owned()))
    }
}

fn read(text: &str) -> Option<Period> {
    let unit = text.chars().next_back()?;
    let (_, seconds) = UNITS.iter().find(|(known, _)| *known == unit)?;
    let digits = text.strip_suffix(unit)?;
    // A number of Rust's may begin with a plus.
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let all = digits.parse::<u64>().ok()?.checked_mul(*seconds)?;
    (all < 1 << 48).then_some(Period(all))
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS
            .iter()
            .find(|(_, seconds)| self.0 > 0 && self.0.is_multiple_of(*seconds));
        let (unit, seconds) = unit.unwrap_or(&('s', 1));
        write!(f, "{}{unit}", self.0 / seconds)
    }
}

impl fmt::Display for PeriodError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is not a length of time: write 14d, 36h, 90m or 30s",
            self.0
        )
    }
}

impl std::error::Error for PeriodError {}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

impl JsonSchema for Period {
    fn schema_name() -> Cow<'static, str> {
        "Period".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "a length of time: a whole number of d(ays), h(ours), m(inutes) or s(econds)",
            "type": "string",
            "pattern": "^[0-9]+[dhms]$",
            "examples": ["14d"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_read_and_shown() {
        for (text, seconds, shown) in [
            ("14d", 1_209_600, "14d"),
            ("3d", 259_200, "3d"),
            ("36h", 129_600, "36h"),
            ("24h", 86_400, "1d"),
            ("90m", 5_400, "90m"),
            ("007s", 7, "7s"),
            ("0d", 0, "0s"),
        ] {
            let period: Period = text.parse().expect(text);
            assert_eq!(
                (period.seconds(), period.to_string().as_str()),
                (seconds, shown)
            );
        }
        assert_eq!("14d".parse(), Ok(Period::days(14)));
    }

    #[test]
    fn what_is_no_period() {
        for text in [
            "",
            "d",
            "14",
            "+1d",
            "-1d",
            "1.5d",
            "1 d",
            "1y",
            "1D",
            "99999999999d",
            "1w",
            "１d",
        ] {
            let fault = text.parse::<Period>().expect_err(text);
            assert_eq!(
                fault.to_string(),
                format!("{text:?} is not a length of time: write 14d, 36h, 90m or 30s")
            );
        }
        assert!("18446744073709551616s".parse::<Period>().is_err());
    }
}
