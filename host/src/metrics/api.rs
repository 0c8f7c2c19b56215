//! Requests to the admin API.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use super::{Histogram, clock, lock};

/// From an answer out of memory to the patience of whoever waits for a module.
const TIME: &[u64] = &[
    clock::MILLISECOND,
    2 * clock::MILLISECOND,
    5 * clock::MILLISECOND,
    10 * clock::MILLISECOND,
    20 * clock::MILLISECOND,
    50 * clock::MILLISECOND,
    100 * clock::MILLISECOND,
    200 * clock::MILLISECOND,
    500 * clock::MILLISECOND,
    clock::SECOND,
    2 * clock::SECOND,
    5 * clock::SECOND,
    10 * clock::SECOND,
    30 * clock::SECOND,
    60 * clock::SECOND,
];

/// Method and route, as words of the table of routes, and the status.
pub(super) type Answered = (&'static str, &'static str, u16);

/// What the admin API was asked, and how long it took.
#[derive(Debug)]
pub struct ApiCounts {
    answers: Mutex<BTreeMap<Answered, u64>>,
    pub(super) time: Histogram,
    pub(super) in_force: Histogram,
}

impl Default for ApiCounts {
    fn default() -> Self {
        Self {
            answers: Mutex::default(),
            time: Histogram::of_time(TIME),
            in_force: Histogram::of_time(TIME),
        }
    }
}

impl ApiCounts {
    /// A request was answered with this status in this time. Method and route are words of
    /// the code, never from the wire.
    pub fn answered(&self, method: &'static str, route: &'static str, status: u16, took: Duration) {
        *lock(&self.answers)
            .entry((method, route, status))
            .or_default() += 1;
        self.time.observe_time(took);
    }

    /// A change was in force after this time.
    pub fn changed(&self, took: Duration) {
        self.in_force.observe_time(took);
    }

    pub(super) fn answers(&self) -> Vec<(Answered, u64)> {
        let answers = lock(&self.answers);
        answers.iter().map(|(key, count)| (*key, *count)).collect()
    }
}
