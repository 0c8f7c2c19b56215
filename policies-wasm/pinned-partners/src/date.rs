//! A day of the calendar, as settings write it: `2026-12-31` (RFC 3339, full-date).

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

/// Seconds of a day; UTC as computers keep it has no leap seconds.
pub const DAY: u64 = 86_400;

/// A day from 1970 on, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Date {
    year: u32,
    month: u32,
    day: u32,
}

impl Date {
    /// The first second after this day, in seconds since 1970.
    pub fn end(&self) -> u64 {
        let years = (self.year - 1970) * 365 + leap_days(self.year) - leap_days(1970);
        let months: u32 = (1..self.month)
            .map(|month| days_of_month(self.year, month))
            .sum();
        u64::from(years + months + self.day) * DAY
    }
}

/// How many leap days there were before this year.
fn leap_days(year: u32) -> u32 {
    let last = year - 1;
    last / 4 - last / 100 + last / 400
}

fn is_leap(year: u32) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_of_month(year: u32, month: u32) -> u32 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl FromStr for Date {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        read(text).ok_or_else(|| format!("{text:?} is not a day from 1970 on: write 2026-12-31"))
    }
}

/// Four digits, two and two, with hyphens between them, and such a day exists.
fn read(text: &str) -> Option<Date> {
    let shape: String = text
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    if shape != "0000-00-00" {
        return None;
    }
    let mut fields = text.split('-').map(|digits| digits.parse().ok());
    let (year, month, day) = (fields.next()??, fields.next()??, fields.next()??);
    let exists = year >= 1970
        && (1..=12).contains(&month)
        && (1..=days_of_month(year, month)).contains(&day);
    exists.then_some(Date { year, month, day })
}

impl TryFrom<String> for Date {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl JsonSchema for Date {
    fn schema_name() -> Cow<'static, str> {
        "Date".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "a day (RFC 3339, full-date), such as 2026-12-31",
            "type": "string",
            "format": "date",
            "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_end_where_date_says() {
        // As `date -u -d "<day> + 1 day" +%s` prints them.
        for (text, end) in [
            ("1970-01-01", 86_400),
            ("1972-02-29", 68_256_000),
            ("2000-02-29", 951_868_800),
            ("2025-12-31", 1_767_225_600),
            ("2028-02-28", 1_835_395_200),
            ("2100-03-01", 4_107_628_800),
            ("9999-12-31", 253_402_300_800),
        ] {
            let date: Date = text.parse().expect(text);
            assert_eq!(date.end(), end, "{text}");
            assert_eq!(date.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_day() {
        for text in [
            "",
            "2026-13-01",
            "2026-00-01",
            "2026-01-00",
            "2026-04-31",
            "2026-02-29",
            "2100-02-29",
            "1969-12-31",
            "2026-1-1",
            "26-01-01",
            "+026-01-01",
            "2026-01-01T00:00:00Z",
            "2026-01-01-",
            "31.12.2026",
            "２026-01-01",
        ] {
            assert!(text.parse::<Date>().is_err(), "{text:?}");
        }
        assert_eq!(
            "tomorrow".parse::<Date>(),
            Err("\"tomorrow\" is not a day from 1970 on: write 2026-12-31".to_owned())
        );
    }
}
