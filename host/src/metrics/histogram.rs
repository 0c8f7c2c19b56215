//! A histogram without locks: an observation is two additions.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::clock;

/// How many values lay below which bounds, and their sum. Values are whole numbers;
/// times are nanoseconds, and shown as seconds.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [u64],
    /// One more than bounds: the last has no bound.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
    /// How many of what is counted make one of what is shown.
    scale: f64,
}

impl Histogram {
    /// Of plain numbers, with these ascending bounds.
    pub(super) fn new(bounds: &'static [u64]) -> Self {
        Self {
            bounds,
            counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0),
            scale: 1.0,
        }
    }

    /// Of times, with these ascending bounds in nanoseconds.
    pub(crate) fn of_time(bounds: &'static [u64]) -> Self {
        Self {
            scale: clock::SECOND as f64,
            ..Self::new(bounds)
        }
    }

    pub(crate) fn observe(&self, value: u64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.counts[bucket].fetch_add(1, Relaxed);
        self.sum.fetch_add(value, Relaxed);
    }

    pub(crate) fn observe_time(&self, time: Duration) {
        self.observe(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// The sum of all values, as shown.
    pub(super) fn sum(&self) -> f64 {
        self.sum.load(Relaxed) as f64 / self.scale
    }

    /// Each bound with how many values lay between it and the one before, as shown.
    pub(super) fn buckets(&self) -> Vec<(f64, u64)> {
        let bounds = self.bounds.iter().map(|bound| *bound as f64 / self.scale);
        let counts = self.counts.iter().map(|count| count.load(Relaxed));
        bounds.chain([f64::INFINITY]).zip(counts).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_fall_into_the_bucket_whose_bound_they_do_not_exceed() {
        let histogram = Histogram::new(&[10, 20]);
        for value in [0, 10, 11, 20, 21, 1_000] {
            histogram.observe(value);
        }
        assert_eq!(
            histogram.buckets(),
            [(10.0, 2), (20.0, 2), (f64::INFINITY, 2)]
        );
        assert_eq!(histogram.sum(), 1_062.0);
    }

    #[test]
    fn times_are_shown_in_seconds() {
        let histogram = Histogram::of_time(&[5 * clock::MICROSECOND]);
        histogram.observe_time(Duration::from_micros(4));
        histogram.observe_time(Duration::from_millis(500));
        assert_eq!(histogram.buckets(), [(0.000_005, 1), (f64::INFINITY, 1)]);
        assert_eq!(histogram.sum(), 0.500_004);
    }
}
