//! What is wrong with a file of vectors, all of it at once, in the order of its lines.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;

/// Faults found so far. **Each is told once**, however many cases a value is laid under.
pub(super) struct Faults {
    found: RefCell<BTreeMap<(usize, String), String>>,
    lines: Lines,
    /// Lines with errors of syntax: what was understood of them is not judged.
    broken: RefCell<Vec<usize>>,
}

impl Faults {
    pub(super) fn of(text: &str) -> Self {
        Self {
            found: RefCell::default(),
            lines: Lines::of(text),
            broken: RefCell::default(),
        }
    }

    /// The line of this offset, from one.
    pub(super) fn line(&self, offset: usize) -> usize {
        self.lines.line(offset)
    }

    /// Keeps an error of syntax.
    pub(super) fn push_syntax(&self, offset: usize, message: &str) {
        let message = format!("not TOML: {}", message.replace('\n', ", "));
        let mut found = self.found.borrow_mut();
        found.entry((offset, message)).or_default();
        self.broken.borrow_mut().push(self.line(offset));
    }

    /// Keeps a fault of what is at this offset, unless it has been told already.
    pub(super) fn push(&self, offset: usize, place: String, message: impl fmt::Display) {
        if self.broken.borrow().contains(&self.line(offset)) {
            return;
        }
        let mut found = self.found.borrow_mut();
        found.entry((offset, message.to_string())).or_insert(place);
    }

    /// Keeps the fault that something is not there, unless it may be in what could not be
    /// understood.
    pub(super) fn push_missing(&self, offset: usize, place: String, message: impl fmt::Display) {
        if !self.is_damaged() {
            self.push(offset, place, message);
        }
    }

    /// Whether some of the file could not be understood.
    pub(super) fn is_damaged(&self) -> bool {
        !self.broken.borrow().is_empty()
    }

    /// `Ok` when there are none.
    pub(super) fn into_result(self) -> Result<(), VectorsError> {
        let found = self.found.into_inner();
        if found.is_empty() {
            return Ok(());
        }
        let shown = found.iter().map(|((offset, message), place)| {
            let line = self.lines.line(*offset);
            match place.as_str() {
                "" => format!("line {line}: {message}"),
                _ => format!("line {line}: {place}: {message}"),
            }
        });
        Err(VectorsError(shown.collect()))
    }
}

/// Every fault of a file of vectors, one a line, each with its line in the file and its
/// path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VectorsError(Vec<String>);

impl VectorsError {
    /// The faults in the order of the file.
    pub fn faults(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for VectorsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for VectorsError {}

/// Where each line begins.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        let ends = text.match_indices('\n').map(|(end, _)| end + 1);
        Self(std::iter::once(0).chain(ends).collect())
    }

    fn line(&self, offset: usize) -> usize {
        self.0.partition_point(|start| *start <= offset)
    }
}

/// `; did you mean "…"?`, or nothing: the word most like `text`, if it is like one, with
/// at most two slips of the finger and at most one in three letters.
pub(super) fn hint<'w>(text: &str, words: impl IntoIterator<Item = &'w str>) -> String {
    words
        .into_iter()
        .map(|word| (strsim::damerau_levenshtein(text, word), word))
        .filter(|(slips, word)| *slips <= 2 && slips * 3 <= word.len().max(3))
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, word)| format!("; did you mean {word:?}?"))
        .unwrap_or_default()
}
