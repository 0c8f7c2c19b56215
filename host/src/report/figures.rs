//! Numbers as people read them.

use time::OffsetDateTime;
use time::macros::format_description;

use crate::policy::Moment;

/// With a comma behind each thousand.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// Tenths of a percent. **All is only all, and nothing only nothing.**
pub(crate) fn share(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "–".to_owned();
    }
    let tenths = (u128::from(part) * 1000 + u128::from(whole) / 2) / u128::from(whole);
    match tenths {
        _ if part == 0 => "0 %".to_owned(),
        _ if part == whole => "100 %".to_owned(),
        0 => "< 0.1 %".to_owned(),
        1000 => "> 99.9 %".to_owned(),
        tenths => format!("{}.{} %", tenths / 10, tenths % 10),
    }
}

/// Day and minute, in UTC.
pub(crate) fn moment(moment: Moment) -> String {
    let seconds = i64::try_from(moment.unix_seconds());
    let time = seconds
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    let format =
        format_description!("[day padding:none] [month repr:long] [year], [hour]:[minute] UTC");
    let text = time.and_then(|time| time.format(&format).ok());
    text.unwrap_or_else(|| moment.to_string())
}

/// Whole days from one moment until another; less than none where it is over.
pub(crate) fn days_until(end: Moment, now: Moment) -> i64 {
    let seconds = |moment: Moment| i64::try_from(moment.unix_seconds()).unwrap_or(i64::MAX);
    (seconds(end) - seconds(now)).div_euclid(86_400)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_have_commas() {
        for (number, shown) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (12_345, "12,345"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(count(number), shown);
        }
    }

    #[test]
    fn all_is_only_all_and_nothing_only_nothing() {
        for (part, whole, shown) in [
            (0, 0, "–"),
            (0, 3, "0 %"),
            (3, 3, "100 %"),
            (1, 3, "33.3 %"),
            (2, 3, "66.7 %"),
            (1, 10_000, "< 0.1 %"),
            (9_999, 10_000, "> 99.9 %"),
            (972, 1_000, "97.2 %"),
            (u64::MAX - 1, u64::MAX, "> 99.9 %"),
        ] {
            assert_eq!(share(part, whole), shown, "{part} of {whole}");
        }
    }

    #[test]
    fn days_are_whole_and_may_be_over() {
        let now = Moment::new(1_000_000);
        for (end, days) in [(0, 0), (86_399, 0), (86_400, 1), (-1, -1), (-86_401, -2)] {
            let end = Moment::new(1_000_000_u64.saturating_add_signed(end));
            assert_eq!(days_until(end, now), days, "{end}");
        }
    }

    #[test]
    fn moments_are_read_by_people() {
        let shown = moment(Moment::new(1_798_758_360));
        assert_eq!(shown, "31 December 2026, 23:06 UTC");
        assert_eq!(
            moment(Moment::new(u64::MAX)),
            Moment::new(u64::MAX).to_string()
        );
    }
}
