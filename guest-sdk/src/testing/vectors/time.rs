//! Times of facts: seconds since 1970, RFC 3339 text, or a TOML date-time.

use toml::value::{Datetime, Offset};

use super::reader::Value;
use crate::date::Date;

const EXAMPLE: &str = "2027-01-02T12:00:00Z";

/// Seconds since 1970.
pub(super) fn seconds<T: TryFrom<i128>>(value: &Value<'_>) -> Option<T> {
    if value.node().is_integer() {
        return value.number();
    }
    let what = format!("a time: seconds since 1970, or {EXAMPLE}");
    let time = match value.node().as_datetime() {
        Some(time) => Some(*time),
        None => value
            .expected(value.node().as_str(), &what)?
            .parse::<Datetime>()
            .ok(),
    };
    let seconds = time.as_ref().and_then(since_1970);
    value.expected(seconds.and_then(|seconds| T::try_from(seconds).ok()), &what)
}

/// None where it is not a moment: without date, time or offset, or before 1970.
fn since_1970(time: &Datetime) -> Option<i128> {
    let (date, clock) = (time.date?, time.time?);
    let offset = match time.offset? {
        Offset::Z => 0,
        Offset::Custom { minutes } => i128::from(minutes),
    };
    let day = Date::new(date.year.into(), date.month.into(), date.day.into())?;
    let of_day =
        i128::from(clock.hour) * 3600 + i128::from(clock.minute) * 60 + i128::from(clock.second);
    Some(i128::from(day.start()) + of_day - offset * 60)
}
