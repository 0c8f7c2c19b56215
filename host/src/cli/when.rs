//! Times on the command line: a day, a moment, or how long ago.

use std::time::SystemTime;

use crate::facts::unix_seconds;
use crate::policy::Moment;
use crate::warnings::MAX_DAYS;

/// Seconds since 1970 of a day (UTC), of a time with its offset, or of what is so many weeks,
/// days, hours or minutes ago: `2026-12-31`, `2026-12-31T18:00:00Z`, `4w`, `7d`, `12h`, `30m`.
pub(super) fn since(text: &str) -> Result<u64, String> {
    match ago(text) {
        Some(seconds) => Ok(unix_seconds(SystemTime::now()).saturating_sub(seconds)),
        None => time(text).map_err(|error| format!("{error}, or how long ago, such as 7d")),
    }
}

/// The same of a day or a time.
fn time(text: &str) -> Result<u64, String> {
    let format = time::macros::format_description!("[year]-[month]-[day]");
    let moment = match time::Date::parse(text, &format) {
        Ok(_) => format!("{text}T00:00:00Z").parse::<Moment>(),
        Err(_) => text.parse(),
    };
    let moment = moment.map_err(|error| format!("{error}, or a day as YYYY-MM-DD"));
    moment.map(Moment::unix_seconds)
}

/// Seconds of a time that begins whenever: `14d`, `12h`, `30m`.
pub(super) fn span(text: &str) -> Result<u64, String> {
    let seconds = ago(text).filter(|seconds| *seconds > 0);
    seconds.ok_or_else(|| "it is no number of days, hours or minutes, such as 14d".to_owned())
}

/// Seconds in such as `7d`; none where it is something else.
fn ago(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit = match unit {
        "w" => 7 * 86_400,
        "d" => 86_400,
        "h" => 3_600,
        "m" => 60,
        _ => return None,
    };
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = number.parse().ok().filter(|_| is_number)?;
    number.checked_mul(unit)
}

/// Whole days, such as `30d` or `4w`, of which there is a year at most.
pub(super) fn days(text: &str) -> Result<u32, String> {
    const DAY: u64 = 86_400;
    let days = ago(text).filter(|seconds| seconds % DAY == 0);
    let days = days.and_then(|seconds| u32::try_from(seconds / DAY).ok());
    days.filter(|days| (1..=MAX_DAYS).contains(days))
        .ok_or_else(|| format!("{text:?} is not such as 30d or 4w, from 1d to {MAX_DAYS}d"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_whole_and_not_too_many() {
        for (text, expected) in [
            ("30d", Some(30)),
            ("4w", Some(28)),
            ("48h", Some(2)),
            ("365d", Some(365)),
            ("366d", None),
            ("0d", None),
            ("12h", None),
            ("30", None),
            ("2026-01-01", None),
        ] {
            assert_eq!(days(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn how_long_ago() {
        for (text, seconds) in [
            ("7d", Some(604_800)),
            ("4w", Some(2_419_200)),
            ("12h", Some(43_200)),
            ("30m", Some(1_800)),
            ("0d", Some(0)),
            ("d", None),
            ("+7d", None),
            ("7", None),
            ("7 d", None),
            ("99999999999999999999d", None),
            ("2026-12-31", None),
            ("é", None),
            ("", None),
        ] {
            assert_eq!(ago(text), seconds, "{text}");
        }
    }

    #[test]
    fn days_and_times() {
        assert_eq!(since("1970-01-02"), Ok(86_400));
        assert_eq!(since("1970-01-01T01:00:00+01:00"), Ok(0));
        let error = since("yesterday").expect_err("it is none of these");
        assert!(error.ends_with("or how long ago, such as 7d"), "{error}");
    }
}
