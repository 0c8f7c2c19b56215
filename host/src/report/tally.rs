//! How often each of a few words came.

use std::collections::BTreeMap;
use std::collections::btree_map::Iter;

use serde::{Deserialize, Serialize};

/// Words that are told apart. There are fewer versions, suites and groups than this, but
/// what a trusted proxy calls them is its own.
const WORDS: usize = 32;

/// What all words beyond are counted as. It is in parentheses, as no word is.
const OTHER: &str = "(other)";

/// How often each of a few words came; what came never is not in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tally(BTreeMap<String, u64>);

impl Tally {
    pub(super) fn add(&mut self, word: &str) {
        if let Some(count) = self.0.get_mut(word) {
            *count += 1;
            return;
        }
        let word = if self.0.len() < WORDS { word } else { OTHER };
        *self.0.entry(word.to_owned()).or_default() += 1;
    }

    /// How often it came.
    pub fn of(&self, word: &str) -> u64 {
        self.0.get(word).copied().unwrap_or_default()
    }

    /// Each word and how often it came, by the words.
    pub fn iter(&self) -> Iter<'_, String, u64> {
        self.0.iter()
    }

    /// The same, those first that came most often.
    pub fn by_count(&self) -> Vec<(&str, u64)> {
        let words = self.0.iter().map(|(word, count)| (word.as_str(), *count));
        let mut words: Vec<_> = words.collect();
        words.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        words
    }

    /// How often any came.
    pub fn sum(&self) -> u64 {
        self.0.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_comes_there_are_few_words() {
        let mut tally = Tally::default();
        for number in 0..100 {
            tally.add(&number.to_string());
        }
        tally.add("7");
        assert_eq!(tally.0.len(), WORDS + 1);
        assert_eq!((tally.of("7"), tally.of("50"), tally.of(OTHER)), (2, 0, 68));
        assert_eq!(tally.sum(), 101);
        assert_eq!(tally.by_count()[..2], [(OTHER, 68), ("7", 2)]);
    }
}
