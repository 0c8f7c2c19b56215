//! Which known word was perhaps meant.

/// The word most like `text`, if it is like one: at most two slips of the finger, and
/// at most one in three letters.
pub fn similar<'a>(text: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    words
        .into_iter()
        .map(|word| (strsim::damerau_levenshtein(text, word), word))
        .filter(|(slips, word)| *slips <= 2 && slips * 3 <= word.len().max(3))
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, word)| word)
}

/// `; did you mean "…"?`, or nothing.
pub(super) fn hint<'a>(text: &str, words: impl IntoIterator<Item = &'a str>) -> String {
    similar(text, words)
        .map(|word| format!("; did you mean {word:?}?"))
        .unwrap_or_default()
}
