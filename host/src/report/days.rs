//! How it went from day to day.

use serde::{Deserialize, Serialize};

use super::Period;
use super::period::DAY;
use crate::receipt::timestamp;

/// A day's messages, each counted once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Day {
    /// Which day (UTC), as `YYYY-MM-DD`.
    pub day: String,
    /// Accepted over TLS.
    pub secured: u64,
    /// Accepted in clear.
    pub clear: u64,
    /// Refused.
    pub refused: u64,
}

impl Day {
    /// All of them.
    pub fn messages(&self) -> u64 {
        self.secured + self.clear + self.refused
    }
}

/// The days of a period.
#[derive(Clone, Debug)]
pub(super) struct Days {
    first: u64,
    days: Vec<Day>,
}

impl Days {
    pub(super) fn of(period: Period) -> Self {
        let named = |day: u64| Day {
            day: timestamp(day * DAY).chars().take(10).collect(),
            ..Day::default()
        };
        Self {
            first: *period.days().start(),
            days: period.days().map(named).collect(),
        }
    }

    /// The day of this second since 1970; what a clock said that went wrong is counted in
    /// the nearest.
    pub(super) fn at(&mut self, second: u64) -> Option<&mut Day> {
        let last = self.days.len().checked_sub(1)?;
        let place = usize::try_from((second / DAY).saturating_sub(self.first));
        self.days.get_mut(place.unwrap_or(last).min(last))
    }

    pub(super) fn into_days(self) -> Vec<Day> {
        self.days
    }
}
