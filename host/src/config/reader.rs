//! Reading tables: every value is asked for with the type it must have, and what does
//! not fit is reported instead of ending the reading.
//!
//! **A `None` has been reported**: whoever gets one goes on reading the other keys.

use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::contents::{Contents, Pem, Stored};
use super::document::{Document, Faults};
use super::fault::{Located, Position};
use super::keys::{Number, Schema};
use super::similar::hint;
use crate::policy::Moment;

/// Longest part of a value that is repeated in a message.
const SHOWN: usize = 60;

/// A table with known keys.
#[derive(Clone)]
pub(super) struct Table<'a> {
    context: Context<'a>,
    entries: &'a DeTable<'a>,
    schema: &'static Schema,
    path: String,
    line: Option<usize>,
}

/// A value.
#[derive(Clone)]
pub(super) struct Value<'a> {
    context: Context<'a>,
    node: &'a DeValue<'a>,
    path: String,
    line: usize,
}

#[derive(Clone, Copy)]
struct Context<'a> {
    document: &'a Document<'a>,
    faults: &'a Faults,
}

impl Context<'_> {
    fn at(self, path: &str, line: Option<usize>) -> Position {
        Position {
            file: Arc::clone(&self.document.file),
            line: self.document.shown(line),
            key: path.to_owned(),
        }
    }

    fn report(self, at: &Position, message: impl Display) {
        let broken = at.line.is_some_and(|line| self.document.is_broken(line));
        if !broken {
            self.faults.push(at.fault(message));
        }
    }
}

impl<'a> Table<'a> {
    /// The top of a document.
    pub(super) fn root(
        document: &'a Document<'a>,
        schema: &'static Schema,
        faults: &'a Faults,
    ) -> Self {
        let table = Self {
            context: Context { document, faults },
            entries: &document.root,
            schema,
            path: String::new(),
            line: None,
        };
        table.report_unknown_keys();
        table
    }

    /// Where it begins.
    pub(super) fn at(&self) -> Position {
        self.context.at(&self.path, self.line)
    }

    /// The value of a key, if it is there.
    pub(super) fn get(&self, key: &str) -> Option<Value<'a>> {
        debug_assert!(
            self.schema.keys.contains(&key),
            "{key} in {}",
            self.schema.name
        );
        let (key, value) = self.entries.get_key_value(key)?;
        Some(self.entry(key, value))
    }

    /// The value of a key that must be there.
    pub(super) fn required(&self, key: &str) -> Option<Value<'a>> {
        let value = self.get(key);
        if value.is_none() {
            self.missing(format_args!("{key:?} is missing"));
        }
        value
    }

    /// Reports that something is not there, unless it may be in what was not understood.
    pub(super) fn missing(&self, message: impl Display) {
        if !self.context.document.is_damaged() {
            self.context.report(&self.at(), message);
        }
    }

    /// Reports a fault at a key, or at the table where the key has its default.
    pub(super) fn report(&self, key: &str, message: impl Display) {
        match self.get(key) {
            Some(value) => value.fault(message),
            None => self.context.report(&self.at(), message),
        }
    }

    /// What it names.
    pub(super) fn contents(&self) -> &'a Contents {
        &self.context.document.contents
    }

    /// What the store keeps of this document apart from it; none for a file.
    pub(super) fn stored(&self) -> Option<&'a Stored> {
        self.context.document.contents.stored()
    }

    /// Every key and value, in no useful order.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'a str, Value<'a>)> {
        self.entries
            .iter()
            .map(|(key, value)| (key.get_ref().as_ref(), self.entry(key, value)))
    }

    pub(super) fn boolean(&self, key: &str, default: bool) -> bool {
        self.get(key)
            .and_then(|value| value.boolean())
            .unwrap_or(default)
    }

    pub(super) fn number(&self, number: &Number) -> u64 {
        self.get(number.key)
            .and_then(|value| value.number(number))
            .unwrap_or(number.default)
    }

    pub(super) fn choice<T: Copy>(&self, key: &str, choices: &[(&str, T)], default: T) -> T {
        self.get(key)
            .and_then(|value| value.choice(choices))
            .unwrap_or(default)
    }

    /// A table within this one; an empty one where there is none.
    pub(super) fn section(&self, key: &str, schema: &'static Schema) -> Table<'a> {
        let found = self.get(key).and_then(|value| value.table(schema));
        found.unwrap_or_else(|| Table {
            context: self.context,
            entries: &self.context.document.empty,
            schema,
            path: joined(&self.path, key),
            line: self.line,
        })
    }

    /// The tables of an array of tables.
    pub(super) fn sections(&self, key: &str, schema: &'static Schema) -> Vec<Table<'a>> {
        let elements = self.get(key).map(|value| value.elements());
        elements
            .into_iter()
            .flatten()
            .filter_map(|element| element.table(schema))
            .collect()
    }

    /// The elements of an array; none where there is no array.
    pub(super) fn elements(&self, key: &str) -> Vec<Value<'a>> {
        self.get(key)
            .map(|value| value.elements())
            .unwrap_or_default()
    }

    fn entry(&self, key: &'a Spanned<toml::de::DeString<'a>>, value: &'a Node<'a>) -> Value<'a> {
        Value {
            context: self.context,
            node: value.get_ref(),
            path: joined(&self.path, key.get_ref()),
            line: self.context.document.line(&key.span()),
        }
    }

    fn report_unknown_keys(&self) {
        for (key, value) in self.entries() {
            if !self.schema.keys.contains(&key) {
                let known = self.schema.keys.iter().copied();
                value.fault(format_args!("unknown key{}", hint(key, known)));
            }
        }
    }
}

type Node<'a> = Spanned<DeValue<'a>>;

impl<'a> Value<'a> {
    /// Where it is.
    pub(super) fn at(&self) -> Position {
        self.context.at(&self.path, Some(self.line))
    }

    /// Its line.
    pub(super) fn line(&self) -> usize {
        self.line
    }

    /// Reports a fault here.
    pub(super) fn fault(&self, message: impl Display) {
        self.context.report(&self.at(), message);
    }

    /// Reports that what it names is not there, unless that may be in what was not
    /// understood of this file.
    pub(super) fn unresolved(&self, message: impl Display) {
        if !self.context.document.is_damaged() {
            self.fault(message);
        }
    }

    /// The value as TOML.
    pub(super) fn node(&self) -> &'a DeValue<'a> {
        self.node
    }

    /// It with where it is.
    pub(super) fn located<T>(&self, value: T) -> Located<T> {
        Located {
            value,
            at: self.at(),
        }
    }

    pub(super) fn text(&self) -> Option<&'a str> {
        self.expected(self.node.as_str(), "a text in quotes")
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        self.expected(self.node.as_bool(), "true or false")
    }

    pub(super) fn parsed<T: FromStr<Err: Display>>(&self) -> Option<T> {
        self.reported(self.text()?.parse())
    }

    fn reported<T>(&self, result: Result<T, impl Display>) -> Option<T> {
        match result {
            Ok(parsed) => Some(parsed),
            Err(error) => {
                self.fault(error);
                None
            }
        }
    }

    pub(super) fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text()?;
        let found = choices.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let words = choices.iter().map(|(word, _)| *word);
            let listed: Vec<String> = words.clone().map(|word| format!("{word:?}")).collect();
            self.fault(format_args!(
                "{:?} is none of {}{}",
                shown(text),
                listed.join(", "),
                hint(text, words)
            ));
        }
        found.map(|(_, value)| *value)
    }

    pub(super) fn number(&self, number: &Number) -> Option<u64> {
        let integer = self.expected(self.node.as_integer(), "a whole number")?;
        let value = u64::from_str_radix(integer.as_str(), integer.radix());
        let found = value.ok().filter(|n| (number.min..=number.max).contains(n));
        if found.is_none() {
            self.fault(format_args!(
                "{} is not within {} to {}",
                shown(&integer.to_string()),
                number.min,
                number.max
            ));
        }
        found
    }

    /// A time with its offset from UTC, of TOML's own kind or as text.
    pub(super) fn moment(&self) -> Option<Moment> {
        let Some(time) = self.node.as_datetime() else {
            let text = self.expected(self.node.as_str(), "a time, such as 2026-12-31T18:00:00Z");
            return self.reported(text?.parse());
        };
        self.reported(time.to_string().parse())
    }

    /// A file that can be read, relative to the file that names it.
    pub(super) fn path(&self, limit: u64) -> Option<Located<PathBuf>> {
        let path = self.directory()?;
        match super::read::probe(&path.value, limit) {
            Ok(()) => Some(path),
            Err(error) => {
                self.fault(error);
                None
            }
        }
    }

    /// Whether it is in the store, and not in a file.
    pub(super) fn is_stored(&self) -> bool {
        self.context.document.contents.stored().is_some()
    }

    /// What this names, or is.
    pub(super) fn pem(&self, limit: u64) -> Option<Located<Pem>> {
        let found = self.context.document.contents.pem(self.text()?, limit);
        Some(self.located(self.found(found)?))
    }

    /// The bytes of the file that this names.
    pub(super) fn file(&self, limit: u64) -> Option<Bytes> {
        let found = self.context.document.contents.file(self.text()?, limit);
        self.found(found)
    }

    fn found<T>(&self, found: Result<T, String>) -> Option<T> {
        found.map_err(|message| self.fault(message)).ok()
    }

    /// A path that is part of this value, relative to the file.
    pub(super) fn resolve(&self, path: &str) -> PathBuf {
        self.context.document.contents.resolve(path)
    }

    /// A path that may not be there yet.
    pub(super) fn directory(&self) -> Option<Located<PathBuf>> {
        let text = self.text()?;
        if text.is_empty() || text.contains('\0') {
            self.fault(format_args!("{text:?} is not a path"));
            return None;
        }
        Some(self.located(self.resolve(text)))
    }

    pub(super) fn table(&self, schema: &'static Schema) -> Option<Table<'a>> {
        let table = self.open(schema)?;
        table.report_unknown_keys();
        Some(table)
    }

    /// A table whose keys are names of the operator's choice.
    pub(super) fn open(&self, schema: &'static Schema) -> Option<Table<'a>> {
        let entries = self.expected(self.node.as_table(), "a table")?;
        Some(Table {
            context: self.context,
            entries,
            schema,
            path: self.path.clone(),
            line: Some(self.line),
        })
    }

    pub(super) fn elements(&self) -> Vec<Value<'a>> {
        let array = self.expected(self.node.as_array(), "an array");
        let elements = array.into_iter().flat_map(|array| array.iter());
        elements
            .enumerate()
            .map(|(index, element)| Value {
                context: self.context,
                node: element.get_ref(),
                path: format!("{}[{index}]", self.path),
                line: self.context.document.line(&element.span()),
            })
            .collect()
    }

    fn expected<T>(&self, found: Option<T>, expected: &str) -> Option<T> {
        if found.is_none() {
            let kind = self.node.type_str();
            self.fault(format_args!(
                "found {} {kind}, expected {expected}",
                article(kind)
            ));
        }
        found
    }
}

fn article(noun: &str) -> &'static str {
    if noun.starts_with(['a', 'e', 'i', 'o', 'u']) {
        "an"
    } else {
        "a"
    }
}

/// The beginning of a value, for a message.
pub(super) fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Keys that are not bare are shown in quotes, as they are written.
pub(super) fn joined(path: &str, key: &str) -> String {
    let bare = !key.is_empty()
        && key
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    let dot = if path.is_empty() { "" } else { "." };
    if bare {
        format!("{path}{dot}{key}")
    } else {
        format!("{path}{dot}{:?}", shown(key))
    }
}
