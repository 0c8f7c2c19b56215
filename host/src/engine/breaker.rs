//! Quarantine: a module that keeps breaking down is not asked for a while, so that its
//! tenant's mail does not pay the price of each failure.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Breakdowns in a row that begin a quarantine: more than one odd message causes.
const PATIENCE: u32 = 10;
/// How long it lasts: a deferred client comes back after minutes.
const QUARANTINE: Duration = Duration::from_secs(60);

/// Counts the breakdowns of one module.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// Breakdowns since the last run that went well.
    breakdowns: u32,
    until: Option<Instant>,
}

impl Breaker {
    /// How much of a quarantine remains; none when the module may be asked.
    pub(super) fn remaining(&self, now: Instant) -> Option<Duration> {
        let until = self.lock().until?;
        until.checked_duration_since(now).filter(|r| !r.is_zero())
    }

    /// Notes how a run went. After a quarantine one more breakdown begins the next.
    pub(super) fn note(&self, broke_down: bool, now: Instant) {
        let mut state = self.lock();
        if !broke_down {
            *state = State::default();
            return;
        }
        state.breakdowns = state.breakdowns.saturating_add(1);
        if state.breakdowns >= PATIENCE {
            state.until = Some(now + QUARANTINE);
        }
    }

    /// A counter is whole whatever happened to the thread that held it.
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quarantine_begins_ends_and_begins_sooner() {
        let breaker = Breaker::default();
        let start = Instant::now();
        for _ in 1..PATIENCE {
            breaker.note(true, start);
        }
        assert_eq!(breaker.remaining(start), None, "patience is not used up");
        breaker.note(true, start);
        assert_eq!(breaker.remaining(start), Some(QUARANTINE));

        let later = start + QUARANTINE;
        assert_eq!(breaker.remaining(later), None, "one more try");
        breaker.note(true, later);
        assert_eq!(breaker.remaining(later), Some(QUARANTINE));
    }

    #[test]
    fn a_good_run_forgives() {
        let breaker = Breaker::default();
        let now = Instant::now();
        for run in 0..100 {
            breaker.note(run % PATIENCE != 0, now);
        }
        assert_eq!(breaker.remaining(now), None);
    }
}
