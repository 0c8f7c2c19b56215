//! One TOML document: its text, what was parsed of it, and the way from an offset to a
//! line. One of the store has no lines: what is wrong with it is named by its key.
//!
//! A file with errors of syntax is read as far as it can be understood, so that all its
//! faults are reported at once; what is merely *missing* in it is not reported, since
//! it may be in the part that could not be read.

use std::cell::RefCell;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::DeTable;

use super::contents::{Contents, Stored};
use super::fault::{Fault, Position};

/// Faults found so far, in any file.
#[derive(Debug, Default)]
pub(super) struct Faults(RefCell<Vec<Fault>>);

impl Faults {
    pub(super) fn push(&self, fault: Fault) {
        self.0.borrow_mut().push(fault);
    }

    /// Takes those that were found elsewhere as well.
    pub(super) fn extend(&self, more: Self) {
        self.0.borrow_mut().extend(more.0.into_inner());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    /// All faults, by file and line.
    pub(super) fn into_sorted(self) -> Vec<Fault> {
        let mut faults = self.0.into_inner();
        faults.sort();
        faults.dedup();
        faults
    }
}

/// A parsed file.
pub(super) struct Document<'a> {
    pub(super) file: Arc<Path>,
    pub(super) root: DeTable<'a>,
    /// Stands in for tables that are not there.
    pub(super) empty: DeTable<'a>,
    pub(super) contents: Contents,
    lines: Lines,
    /// Lines with errors of syntax: what was understood of them is not judged.
    broken: Vec<usize>,
}

impl<'a> Document<'a> {
    /// Parses as much as can be parsed, and reports the rest.
    pub(super) fn parse(file: &Path, text: &'a str, faults: &Faults) -> Self {
        Self::parse_with(file, text, Contents::of_file(file), faults)
    }

    /// A document of the store, under the name that it has in faults.
    pub(super) fn stored(name: &Path, text: &'a str, contents: Stored, faults: &Faults) -> Self {
        Self::parse_with(name, text, Contents::Store(contents), faults)
    }

    fn parse_with(file: &Path, text: &'a str, contents: Contents, faults: &Faults) -> Self {
        let (root, errors) = DeTable::parse_recoverable(text);
        let mut document = Self {
            file: file.into(),
            root: root.into_inner(),
            empty: DeTable::new(),
            contents,
            lines: Lines::of(text),
            broken: Vec::new(),
        };
        for error in errors {
            let span = error.span().unwrap_or_default();
            let line = document.lines.line(span.start);
            // It does not name the key, nor where it is first.
            let message = match (error.message(), text.get(span)) {
                ("duplicate key", Some(key)) => format!("{key} stands above already"),
                (message, _) => message.replace('\n', ", "),
            };
            faults.push(document.syntax_fault(line, &message));
            if document
                .lines
                .text(text, line)
                .trim_start()
                .starts_with('[')
            {
                // Keys below a broken header would be taken for another table's.
                document.root = DeTable::new();
            }
            document.broken.push(line);
        }
        document
    }

    /// Whether some of it could not be understood.
    pub(super) fn is_damaged(&self) -> bool {
        !self.broken.is_empty()
    }

    pub(super) fn is_broken(&self, line: usize) -> bool {
        self.broken.contains(&line)
    }

    /// What of its text stands above all errors of syntax.
    pub(super) fn sound<'t>(&self, text: &'t str) -> &'t str {
        let first = self.broken.iter().min();
        let end = first.and_then(|line| self.lines.0.get(line - 1));
        end.and_then(|end| text.get(..*end)).unwrap_or(text)
    }

    pub(super) fn line(&self, span: &Range<usize>) -> usize {
        self.lines.line(span.start)
    }

    /// This line as it is shown.
    pub(super) fn shown(&self, line: Option<usize>) -> Option<usize> {
        line.filter(|_| matches!(self.contents, Contents::Files { .. }))
    }

    fn syntax_fault(&self, line: usize, message: &str) -> Fault {
        Fault {
            at: Position {
                file: Arc::clone(&self.file),
                line: self.shown(Some(line)),
                key: String::new(),
            },
            message: format!("not TOML: {message}"),
        }
    }
}

/// A path relative to the directory of `file`.
pub(super) fn beside(file: &Path, path: &str) -> PathBuf {
    file.parent().unwrap_or(Path::new("")).join(path)
}

/// Where each line begins.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        let ends = text.match_indices('\n').map(|(end, _)| end + 1);
        Self(std::iter::once(0).chain(ends).collect())
    }

    /// The line of this offset, from one.
    fn line(&self, offset: usize) -> usize {
        self.0.partition_point(|start| *start <= offset)
    }

    fn text<'a>(&self, text: &'a str, line: usize) -> &'a str {
        let start = line.checked_sub(1).and_then(|i| self.0.get(i)).copied();
        let end = self.0.get(line).copied().unwrap_or(text.len());
        start
            .and_then(|start| text.get(start..end))
            .unwrap_or_default()
    }
}
