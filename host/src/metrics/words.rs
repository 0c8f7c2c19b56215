//! Counts by words that stand in the code, for what is rare enough to look them up.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::lock;

/// Counts by `N` labels. That the words are static is the bound on their number.
#[derive(Debug)]
pub(crate) struct Words<const N: usize>(Mutex<BTreeMap<[&'static str; N], u64>>);

impl<const N: usize> Default for Words<N> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<const N: usize> Words<N> {
    /// With these at zero: the first one is an increase then.
    pub(crate) fn of(words: impl Iterator<Item = [&'static str; N]>) -> Self {
        Self(Mutex::new(words.map(|words| (words, 0)).collect()))
    }

    pub(crate) fn count(&self, words: [&'static str; N]) {
        *lock(&self.0).entry(words).or_default() += 1;
    }

    pub(super) fn all(&self) -> Vec<([&'static str; N], u64)> {
        lock(&self.0).iter().map(|(w, n)| (*w, *n)).collect()
    }
}
