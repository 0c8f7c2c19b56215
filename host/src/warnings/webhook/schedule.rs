//! When a message is tried again. Pure.

/// Seconds from one attempt to the next: two days and a half in all, so that a receiver may
/// be mended on the day after a weekend's first.
const WAITS: [u64; 9] = [5, 60, 300, 1_800, 7_200, 18_000, 36_000, 64_800, 86_400];

/// Seconds to wait after so many attempts that failed; none where there were enough.
pub(super) fn wait(attempts: usize) -> Option<u64> {
    WAITS.get(attempts.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_end() {
        let waits: Vec<u64> = (1..).map_while(wait).collect();
        assert!(waits.is_sorted() && waits.len() == WAITS.len());
        assert_eq!(wait(0), None);
        assert_eq!(wait(WAITS.len() + 1), None);
        let all: u64 = waits.iter().sum();
        assert!((2 * 86_400..3 * 86_400).contains(&all), "{all}");
    }
}
