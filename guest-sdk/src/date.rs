//! A day of the calendar, as settings write it: `2026-12-31` (RFC 3339, full-date).

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, Serializer};

/// Seconds of a day; UTC as computers keep it has no leap seconds.
pub const DAY: u64 = 86_400;

/// A day from 1970 to 9999, in UTC. In settings it is a text such as `"2026-12-31"`.
///
/// ```
/// use portcullis_sdk::{Date, Weekday};
///
/// let today = Date::of(1_798_880_400); // of message.now()
/// assert_eq!(today.to_string(), "2027-01-02");
/// assert_eq!(today.weekday(), Weekday::Saturday);
///
/// let expires: Date = "2027-01-31".parse()?;
/// assert_eq!(today.days_until(expires), 29);
/// assert!(1_798_880_400 < expires.end());
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Date {
    year: u32,
    month: u32,
    day: u32,
}

impl Date {
    /// This day; none where there is no such day, or it is not within 1970 to 9999.
    pub fn new(year: u32, month: u32, day: u32) -> Option<Self> {
        let exists = (1970..=9999).contains(&year)
            && (1..=12).contains(&month)
            && (1..=days_of_month(year, month)).contains(&day);
        exists.then_some(Self { year, month, day })
    }

    /// The day of this second since 1970; the last day of 9999 for any later one.
    pub fn of(seconds: u64) -> Self {
        let days = u32::try_from(seconds / DAY).unwrap_or(u32::MAX);
        // A year has at most 366 days, so this is never too late, and at most a few years
        // too early.
        let mut year = 1970 + (days / 366).min(9999 - 1970);
        while year < 9999 && days_before(year + 1) <= days {
            year += 1;
        }
        let mut day = (days - days_before(year)).min(if is_leap(year) { 365 } else { 364 });
        let mut month = 1;
        while day >= days_of_month(year, month) {
            day -= days_of_month(year, month);
            month += 1;
        }
        let day = day + 1;
        Self { year, month, day }
    }

    /// The first second of this day, in seconds since 1970.
    pub fn start(&self) -> u64 {
        self.end() - DAY
    }

    /// The first second after this day, in seconds since 1970.
    pub fn end(&self) -> u64 {
        let months: u32 = (1..self.month)
            .map(|month| days_of_month(self.year, month))
            .sum();
        u64::from(days_before(self.year) + months + self.day) * DAY
    }

    /// Its day of the week.
    pub fn weekday(&self) -> Weekday {
        // 1970-01-01 was a Thursday.
        match (self.start() / DAY + 3) % 7 {
            0 => Weekday::Monday,
            1 => Weekday::Tuesday,
            2 => Weekday::Wednesday,
            3 => Weekday::Thursday,
            4 => Weekday::Friday,
            5 => Weekday::Saturday,
            _ => Weekday::Sunday,
        }
    }

    /// How many days later the other is; fewer than none where it is earlier.
    pub fn days_until(&self, other: Self) -> i64 {
        let day = |date: &Self| (date.start() / DAY).cast_signed();
        day(&other) - day(self)
    }
}

/// A day of the week. In settings it is a text such as `"saturday"`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
#[schemars(description = "a day of the week")]
#[expect(missing_docs, reason = "they are what they are called")]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

/// How many days there were from 1970 to this year.
fn days_before(year: u32) -> u32 {
    (year - 1970) * 365 + leap_days(year) - leap_days(1970)
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
    Date::new(year, month, day)
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

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
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
            "examples": ["2026-12-31"],
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
            assert_eq!(
                (Date::of(end - 1), Date::of(end - DAY)),
                (date, date),
                "{text}"
            );
            assert_eq!(date.to_string(), text);
        }
    }

    #[test]
    fn days_follow_one_another() {
        let mut day = Date::of(0);
        for number in 1..200_000 {
            let next = Date::of(number * DAY);
            assert_eq!(day.days_until(next), 1, "{day}");
            assert_eq!(next.days_until(day), -1, "{day}");
            assert!(day < next);
            day = next;
        }
        assert_eq!(Date::of(u64::MAX).to_string(), "9999-12-31");
    }

    #[test]
    fn weekdays_are_those_of_the_calendar() {
        for (text, weekday) in [
            ("1970-01-01", Weekday::Thursday),
            ("2000-02-29", Weekday::Tuesday),
            ("2026-11-23", Weekday::Monday),
            ("2026-11-25", Weekday::Wednesday),
            ("2026-11-27", Weekday::Friday),
            ("2027-01-02", Weekday::Saturday),
            ("2027-01-03", Weekday::Sunday),
        ] {
            let date: Date = text.parse().expect(text);
            assert_eq!(date.weekday(), weekday, "{text}");
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
