//! How often a client may do something: a token bucket for each.
//!
//! **Pure**: the time is handed in. **Bounded**: a bucket is kept only until it is full
//! again, ten seconds at most, and there are at most [`MOST`] of them. A client for
//! whom there is no place is let through: to fill the table takes that many other
//! clients within ten seconds, each of whom keeps to its own rate, and the number of
//! sessions has a limit of its own.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// What a bucket holds, in seconds of the rate: a sender that has been quiet may begin
/// with many connections at once.
const DEPTH: Duration = Duration::from_secs(10);

/// Most buckets: some 4 MB.
const MOST: usize = 1 << 16;

/// How often full buckets are looked for: going through all takes about a millisecond.
const TIDY: Duration = Duration::from_secs(1);

/// The buckets of all clients.
#[derive(Debug)]
pub(super) struct Rates {
    /// After which a token comes back.
    interval: Duration,
    /// When each client's bucket is full again.
    full_at: HashMap<IpAddr, Instant>,
    tidied: Option<Instant>,
}

impl Rates {
    pub(super) fn new(per_second: u32) -> Self {
        Self {
            interval: Duration::from_secs(1) / per_second.max(1),
            full_at: HashMap::new(),
            tidied: None,
        }
    }

    /// Whether the client has a token, which is taken.
    pub(super) fn take(&mut self, client: IpAddr, now: Instant) -> bool {
        self.tidy(now);
        let known = self.full_at.get(&client).copied();
        let full_at = known.map_or(now, |at| at.max(now)) + self.interval;
        if full_at.duration_since(now) > DEPTH {
            return false;
        }
        if known.is_some() || self.full_at.len() < MOST {
            self.full_at.insert(client, full_at);
        }
        true
    }

    fn tidy(&mut self, now: Instant) {
        if self.tidied.is_none_or(|then| now >= then + TIDY) {
            self.full_at.retain(|_, at| *at > now);
            self.tidied = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    fn client(number: u32) -> IpAddr {
        Ipv4Addr::from(number).into()
    }

    #[test]
    fn a_bucket_empties_and_fills() {
        let start = Instant::now();
        let mut rates = Rates::new(2);
        let burst = (0..100).filter(|_| rates.take(client(1), start)).count();
        assert_eq!(burst, 20);
        for (milliseconds, expected) in [
            (499, false),
            (500, true),
            (501, false),
            (1500, true),
            (1500, true),
            (1500, false),
        ] {
            let now = start + Duration::from_millis(milliseconds);
            assert_eq!(rates.take(client(1), now), expected, "{milliseconds}");
        }
        let much_later = start + Duration::from_secs(3600);
        let burst = (0..100).filter(|_| rates.take(client(1), much_later));
        assert_eq!(burst.count(), 20, "a bucket holds no more than its depth");
    }

    #[test]
    fn the_table_is_bounded_and_nobody_pays_for_others() {
        let start = Instant::now();
        let mut rates = Rates::new(1);
        for number in 0..=2 * MOST as u32 {
            assert!(rates.take(client(number), start));
        }
        assert_eq!(rates.full_at.len(), MOST);
        let known = (0..100).filter(|_| rates.take(client(7), start)).count();
        assert_eq!(known, 9, "who has a bucket keeps it");
        let later = start + DEPTH;
        assert!(rates.take(client(1), later));
        assert_eq!(
            rates.full_at.len(),
            1,
            "buckets that are full are forgotten"
        );
    }

    proptest! {
        /// Over any time a client gets what a bucket holds and what the rate adds, never
        /// more; and what a neighbour does changes nothing.
        #[test]
        fn never_more_than_the_rate(
            per_second in 1u32..50,
            steps in prop::collection::vec((0u64..700, any::<bool>()), 1..300),
        ) {
            let start = Instant::now();
            let (mut alone, mut beside) = (Rates::new(per_second), Rates::new(per_second));
            let (mut now, mut taken) = (start, 0u32);
            for (milliseconds, neighbour) in steps {
                now += Duration::from_millis(milliseconds);
                if neighbour {
                    beside.take(client(2), now);
                }
                let admitted = alone.take(client(1), now);
                prop_assert_eq!(beside.take(client(1), now), admitted);
                taken += u32::from(admitted);
                let most = (now - start + DEPTH).as_secs_f64() * f64::from(per_second);
                prop_assert!(f64::from(taken) <= most + 1e-3);
            }
        }
    }
}
