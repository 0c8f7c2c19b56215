//! What time it is, as far as receipts are removed by it. Pure: times are given.
//!
//! **A clock that jumps forward removes nothing for a day**: what is removed does not come
//! back when the clock is set right. The time is believed that receipts confirm, which are
//! made all the time, and the time that the host has been up. **A clock that goes back
//! removes nothing too early** by itself.

/// How far a clock may be ahead of what confirms it, and for how long one that is farther
/// has to go on before it is believed: a day is time enough for somebody to set it right,
/// and nothing beside weeks of retention.
const DAY: u64 = 86_400;

/// Receipts that are older than this confirm what comes up to a day after them. `wall` is
/// the clock's time in seconds since 1970, as all of them.
pub(super) fn settled(wall: u64) -> u64 {
    wall.saturating_sub(DAY)
}

/// What time it was taken to be.
#[derive(Debug, Default)]
pub(super) struct Calendar {
    /// At the last look, and how long the host had been up then.
    last: Option<(u64, u64)>,
    is_doubtful: bool,
}

/// What is to be said of the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// It is far ahead.
    Doubtful,
    /// It is not, or not any more.
    Confirmed,
}

impl Calendar {
    /// What time it is taken to be, and what is to be said of that. `newest` is when the
    /// newest receipt was made of those that are older than [`settled`]; none where there
    /// is none, so that nothing has to be confirmed. `up` is how long the host has been up.
    pub(super) fn look(&mut self, wall: u64, newest: Option<u64>, up: u64) -> (u64, Option<News>) {
        let confirmed = newest.map_or(wall, |newest| newest.saturating_add(DAY));
        let passed = self.last.map(|(at, then)| at + up.saturating_sub(then));
        let now = confirmed.max(passed.unwrap_or(0)).min(wall);
        self.last = Some((now, up));
        let was_doubtful = self.is_doubtful;
        self.is_doubtful = wall - now > DAY;
        let news = match (was_doubtful, self.is_doubtful) {
            (false, true) => Some(News::Doubtful),
            (true, false) => Some(News::Confirmed),
            _ => None,
        };
        (now, news)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3600;
    const YEAR: u64 = 365 * DAY;
    /// Some day.
    const T: u64 = 20_000 * DAY;

    /// As the store says it, of receipts that were made then.
    fn newest(made: &[u64], wall: u64) -> Option<u64> {
        made.iter().copied().filter(|at| *at < settled(wall)).max()
    }

    /// What it is taken to be at each look, and what was said.
    fn looks(made: &[u64], looks: &[(u64, u64)]) -> Vec<(u64, Option<News>)> {
        let mut calendar = Calendar::default();
        let look = |(wall, up): &(u64, u64)| calendar.look(*wall, newest(made, *wall), *up);
        looks.iter().map(look).collect()
    }

    #[test]
    fn a_clock_that_goes_is_believed() {
        let made: Vec<u64> = (0..10 * 24).map(|hour| T + hour * HOUR).collect();
        let week: Vec<(u64, u64)> = (0..7 * 24)
            .map(|h| (T + 3 * DAY + h * HOUR, h * HOUR))
            .collect();
        for ((now, news), (wall, _)) in looks(&made, &week).into_iter().zip(week) {
            // But for the time between two receipts.
            assert!(
                now + HOUR >= wall && now <= wall && news.is_none(),
                "{now} {wall}"
            );
        }
        // A host that has no mail for a month, and goes on.
        let month: Vec<(u64, u64)> = (0..30)
            .map(|day| (T + (1 + day) * DAY, day * DAY))
            .collect();
        for ((now, news), (wall, _)) in looks(&[T], &month).into_iter().zip(month) {
            assert_eq!((now, news), (wall, None));
        }
        assert_eq!(looks(&[], &[(T, 0), (T + YEAR, HOUR)])[1], (T + YEAR, None));
    }

    #[test]
    fn a_clock_that_jumps_forward_is_believed_a_day_later() {
        let mut made = vec![T - HOUR, T];
        let jump = T + YEAR;
        made.extend((0..48).map(|hour| jump + hour * HOUR));
        let at = |hours: u64| (jump + hours * HOUR, hours * HOUR + 60);
        let found = looks(&made, &[(T, 0), at(0), at(12), at(24), at(25)]);
        assert_eq!(found[0], (T, None));
        // No more than a day too early.
        assert_eq!(found[1], (T + DAY, Some(News::Doubtful)));
        assert_eq!(found[2], (T + DAY + 12 * HOUR, None));
        assert!(found[3].0 < T + 3 * DAY, "{found:?}");
        assert_eq!(found[4], (jump + 24 * HOUR, Some(News::Confirmed)));
        // Nor after a restart, nor when somebody sets it right meanwhile.
        let found = looks(&made, &[at(12), (T + 12 * HOUR, 13 * HOUR)]);
        assert_eq!(found[0], (T + DAY, Some(News::Doubtful)));
        assert_eq!(found[1], (T + 12 * HOUR, Some(News::Confirmed)));
    }

    #[test]
    fn a_clock_that_goes_back_removes_nothing_too_early() {
        let made = [T, T + DAY];
        let found = looks(
            &made,
            &[(T + 2 * DAY, 0), (T - YEAR, 60), (T + 2 * DAY + 120, 120)],
        );
        assert_eq!(found[1], (T - YEAR, None));
        // It is right again.
        assert_eq!(found[2], (T + 2 * DAY, None));
    }

    #[test]
    fn after_a_long_stop_nothing_is_removed_at_once() {
        let back = T + 60 * DAY;
        let found = looks(
            &[T, back + HOUR],
            &[(back, 0), (back + 26 * HOUR, 26 * HOUR)],
        );
        assert_eq!(found[0], (T + DAY, Some(News::Doubtful)));
        assert_eq!(found[1], (back + 25 * HOUR, Some(News::Confirmed)));
    }
}
