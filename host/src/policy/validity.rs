//! From when until when a policy applies.
//!
//! **A range is exact to the second, and never empty**: its first second is the first in
//! which the policy applies, its end the first in which it does not.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime, PrimitiveDateTime};

/// A second, from 1970 on; RFC 3339 as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Moment(u64);

/// Why a text is no [`Moment`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MomentError {
    /// A day, which begins at another time in each zone.
    #[error("{0} is a day: write its time and offset from UTC too, such as {0}T00:00:00Z")]
    Day(String),
    /// Without its offset from UTC.
    #[error("{0:?} has no offset from UTC: write {1}Z, or such as {1}+02:00")]
    NoOffset(String, String),
    /// Facts have whole seconds.
    #[error("{0:?} has a fraction of a second: write whole seconds")]
    Fraction(String),
    /// There are no facts from then.
    #[error("{0:?} is before 1970")]
    Early(String),
    /// Nothing of this.
    #[error("{0:?} is not a time: write such as 2026-12-31T18:00:00+01:00")]
    Unknown(String),
}

/// When a policy applies: from a moment (inclusive) until another (exclusive), each of
/// which may be open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Validity {
    #[serde(rename = "valid_from", skip_serializing_if = "Option::is_none")]
    from: Option<Moment>,
    #[serde(rename = "valid_until", skip_serializing_if = "Option::is_none")]
    until: Option<Moment>,
}

/// A range with nothing in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{until} is not after {from}, from when on it is valid: it would never apply")]
pub struct EmptyError {
    /// Its beginning.
    pub from: Moment,
    /// Its end.
    pub until: Moment,
}

impl Moment {
    /// The moment of so many seconds since 1970.
    pub fn new(unix_seconds: u64) -> Self {
        Self(unix_seconds)
    }

    /// Seconds since 1970.
    pub fn unix_seconds(self) -> u64 {
        self.0
    }
}

impl Validity {
    /// Always.
    pub const PERPETUAL: Self = Self {
        from: None,
        until: None,
    };

    /// Whether it has ended at this time, in seconds since 1970, and will not begin again.
    pub fn is_over(&self, now: u64) -> bool {
        self.until.is_some_and(|until| until.unix_seconds() <= now)
    }

    /// From this moment on, until that one.
    ///
    /// # Errors
    /// When there is no second in between.
    pub fn new(from: Option<Moment>, until: Option<Moment>) -> Result<Self, EmptyError> {
        match (from, until) {
            (Some(from), Some(until)) if from >= until => Err(EmptyError { from, until }),
            _ => Ok(Self { from, until }),
        }
    }

    /// The first moment; none where it has no beginning.
    pub fn from(&self) -> Option<Moment> {
        self.from
    }

    /// The first moment after it; none where it has no end.
    pub fn until(&self) -> Option<Moment> {
        self.until
    }
}

impl FromStr for Moment {
    type Err = MomentError;

    fn from_str(text: &str) -> Result<Self, MomentError> {
        let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| unreadable(text))?;
        if time.nanosecond() != 0 {
            return Err(MomentError::Fraction(text.to_owned()));
        }
        let seconds = u64::try_from(time.unix_timestamp());
        seconds
            .map(Self)
            .map_err(|_| MomentError::Early(text.to_owned()))
    }
}

/// What is missing from a text that is no time.
fn unreadable(text: &str) -> MomentError {
    let day = format_description!("[year]-[month]-[day]");
    let local = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]");
    let shown: String = text.chars().take(60).collect();
    if Date::parse(text, &day).is_ok() {
        return MomentError::Day(shown);
    }
    let spaced = text.replacen(' ', "T", 1);
    match PrimitiveDateTime::parse(&spaced, &local) {
        Ok(_) => MomentError::NoOffset(shown, spaced),
        Err(_) => MomentError::Unknown(shown),
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = i64::try_from(self.0).ok();
        let time = seconds.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
        let text = time.and_then(|time| time.format(&Rfc3339).ok());
        match text {
            Some(text) => f.write_str(&text),
            // Only a clock can be so far away.
            None => write!(f, "second {} since 1970", self.0),
        }
    }
}

impl TryFrom<String> for Moment {
    type Error = MomentError;

    fn try_from(text: String) -> Result<Self, MomentError> {
        text.parse()
    }
}

impl From<Moment> for String {
    fn from(moment: Moment) -> Self {
        moment.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_offset() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2026-11-26T07:00:00Z", 1_795_676_400),
            ("2026-11-26T08:00:00+01:00", 1_795_676_400),
            ("2026-11-26T01:30:00-05:30", 1_795_676_400),
        ] {
            assert_eq!(text.parse(), Ok(Moment::new(seconds)), "{text}");
        }
        let shown = Moment::new(1_795_676_400).to_string();
        assert_eq!(shown, "2026-11-26T07:00:00Z");
    }

    #[test]
    fn what_is_no_time_says_what_to_write() {
        for (text, error) in [
            (
                "2026-01-01",
                "2026-01-01 is a day: write its time and offset from UTC too, such as 2026-01-01T00:00:00Z",
            ),
            (
                "2026-01-01 12:00:00",
                "\"2026-01-01 12:00:00\" has no offset from UTC: write 2026-01-01T12:00:00Z, or such as 2026-01-01T12:00:00+02:00",
            ),
            (
                "2026-01-01T00:00:00.5Z",
                "\"2026-01-01T00:00:00.5Z\" has a fraction of a second: write whole seconds",
            ),
            (
                "1969-12-31T23:59:59Z",
                "\"1969-12-31T23:59:59Z\" is before 1970",
            ),
            (
                "2026-02-30T00:00:00Z",
                "\"2026-02-30T00:00:00Z\" is not a time: write such as 2026-12-31T18:00:00+01:00",
            ),
            (
                "tomorrow",
                "\"tomorrow\" is not a time: write such as 2026-12-31T18:00:00+01:00",
            ),
        ] {
            let found = text.parse::<Moment>().map_err(|error| error.to_string());
            assert_eq!(found, Err(error.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_range_has_a_second_in_it() {
        let moment = |seconds| Some(Moment::new(seconds));
        for (from, until, sound) in [
            (None, None, true),
            (moment(5), None, true),
            (None, moment(5), true),
            (moment(5), moment(6), true),
            (moment(5), moment(5), false),
            (moment(6), moment(5), false),
        ] {
            let range = Validity::new(from, until);
            assert_eq!(range.is_ok(), sound, "{from:?} to {until:?}");
        }
    }
}
