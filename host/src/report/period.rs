//! From when until when.

use crate::policy::Moment;

/// Seconds of a day.
pub(super) const DAY: u64 = 86_400;

/// Longest period in days: a year, and the day that it begins and ends in.
pub(super) const MAX_DAYS: u64 = 367;

/// Days unless it is said otherwise.
pub(super) const USUAL_DAYS: u64 = 30;

/// A time that is neither empty nor too long: from a second (inclusive) until another
/// (exclusive).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    from: u64,
    to: u64,
}

/// Why two times are no period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeriodError {
    /// There is no second in it.
    #[error("{to} is not after {from}: there is nothing in between")]
    Empty {
        /// From when.
        from: Moment,
        /// Until when.
        to: Moment,
    },
    /// It has more days than fit.
    #[error("from {from} until {to} is more than a year: ask for one year at a time")]
    Long {
        /// From when.
        from: Moment,
        /// Until when.
        to: Moment,
    },
}

impl Period {
    /// From this second since 1970 until that one.
    ///
    /// # Errors
    /// When there is nothing in between, or more than a year.
    pub fn new(from: u64, to: u64) -> Result<Self, PeriodError> {
        let period = Self { from, to };
        let (first, end) = (Moment::new(from), Moment::new(to));
        if from >= to {
            return Err(PeriodError::Empty {
                from: first,
                to: end,
            });
        }
        match period.length() > MAX_DAYS {
            true => Err(PeriodError::Long {
                from: first,
                to: end,
            }),
            false => Ok(period),
        }
    }

    /// The one that these say: until now, and from 30 days before its end on, unless
    /// they say otherwise.
    ///
    /// # Errors
    /// As [`Period::new`].
    pub fn of(from: Option<u64>, to: Option<u64>, now: u64) -> Result<Self, PeriodError> {
        let to = to.unwrap_or(now);
        let usual = to.saturating_sub(USUAL_DAYS * DAY);
        Self::new(from.unwrap_or(usual), to)
    }

    /// Its first second since 1970.
    pub fn from(self) -> u64 {
        self.from
    }

    /// The first second after it.
    pub fn to(self) -> u64 {
        self.to
    }

    fn length(self) -> u64 {
        let days = self.days();
        days.end() - days.start() + 1
    }

    /// The days that it has a part of, each by how many there were before it since 1970.
    pub(super) fn days(self) -> std::ops::RangeInclusive<u64> {
        self.from / DAY..=(self.to - 1) / DAY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_neither_empty_nor_too_long() {
        for (from, to, days) in [
            (0, 1, Some(1)),
            (0, DAY, Some(1)),
            (0, DAY + 1, Some(2)),
            (DAY - 1, DAY + 1, Some(2)),
            (DAY / 2, 366 * DAY + DAY / 2, Some(367)),
            (1, 1, None),
            (2, 1, None),
            (0, 0, None),
            (0, 367 * DAY, Some(367)),
            (0, 367 * DAY + 1, None),
            (0, u64::MAX, None),
        ] {
            let found = Period::new(from, to).ok();
            assert_eq!(found.map(|p| p.days().count()), days, "{from} to {to}");
        }
    }

    #[test]
    fn what_is_not_said_is_the_last_month() {
        let now = 100 * DAY;
        let of = |from, to| Period::of(from, to, now).map(|p| (p.from(), p.to()));
        assert_eq!(of(None, None), Ok((70 * DAY, now)));
        assert_eq!(of(None, Some(50 * DAY)), Ok((20 * DAY, 50 * DAY)));
        assert_eq!(of(None, Some(DAY)), Ok((0, DAY)));
        assert_eq!(of(Some(DAY), None), Ok((DAY, now)));
        assert!(of(Some(now), None).is_err());
    }
}
