//! Reading tables: every value is asked for with the type it must have, and what does not
//! fit is told instead of ending the reading.
//!
//! **A `None` has been told**: whoever gets one goes on reading the other keys.

use std::fmt::Display;
use std::str::FromStr;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::faults::{Faults, hint};

/// Longest part of a value that is repeated in a message, in characters.
const SHOWN: usize = 60;

/// A table.
#[derive(Clone)]
pub(super) struct Table<'a> {
    entries: &'a DeTable<'a>,
    place: Place<'a>,
}

/// A value.
#[derive(Clone)]
pub(super) struct Value<'a> {
    node: &'a DeValue<'a>,
    place: Place<'a>,
}

/// Where something is.
#[derive(Clone)]
pub(super) struct Place<'a> {
    pub(super) faults: &'a Faults,
    /// Name of the case in which it is, once that is known.
    pub(super) case: Option<&'a str>,
    pub(super) path: String,
    pub(super) offset: usize,
}

impl Place<'_> {
    pub(super) fn fault(&self, message: impl Display) {
        self.faults.push(self.offset, self.shown(), message);
    }

    pub(super) fn missing(&self, message: impl Display) {
        self.faults.push_missing(self.offset, self.shown(), message);
    }

    fn shown(&self) -> String {
        match self.case {
            Some(case) if self.path.is_empty() => format!("case {case:?}"),
            Some(case) => format!("case {case:?}: {}", self.path),
            None => self.path.clone(),
        }
    }

    fn below(&self, key: &str, offset: usize) -> Self {
        let path = match self.path.as_str() {
            "" => key.to_owned(),
            path => format!("{path}.{key}"),
        };
        Self {
            path,
            offset,
            ..self.clone()
        }
    }
}

impl<'a> Table<'a> {
    pub(super) fn new(entries: &'a DeTable<'a>, place: Place<'a>) -> Self {
        Self { entries, place }
    }

    pub(super) fn place(&self) -> &Place<'a> {
        &self.place
    }

    /// The same, where paths begin with the name of this case.
    pub(super) fn of_case(&self, name: Option<&'a str>) -> Self {
        let Some(name) = name else {
            return self.clone();
        };
        let place = Place {
            case: Some(name),
            path: String::new(),
            ..self.place.clone()
        };
        Self::new(self.entries, place)
    }

    pub(super) fn entries(&self) -> &'a DeTable<'a> {
        self.entries
    }

    /// Tells of every key but these.
    pub(super) fn only(&self, known: &[&str]) {
        for (key, value) in self.values() {
            if !known.contains(&key) {
                value.fault(format_args!(
                    "unknown key{}",
                    hint(key, known.iter().copied())
                ));
            }
        }
    }

    /// The value of a key, if it is there.
    pub(super) fn get(&self, key: &str) -> Option<Value<'a>> {
        let (key, value) = self.entries.get_key_value(key)?;
        Some(self.value(key, value))
    }

    /// The value of a key that must be there.
    pub(super) fn required(&self, key: &str) -> Option<Value<'a>> {
        let value = self.get(key);
        if value.is_none() {
            self.place.missing(format_args!("{key:?} is missing"));
        }
        value
    }

    /// Every key and value.
    pub(super) fn values(&self) -> impl Iterator<Item = (&'a str, Value<'a>)> {
        self.entries
            .iter()
            .map(|(key, value)| (key.get_ref().as_ref(), self.value(key, value)))
    }

    /// Sets what a key says, where it is there and sound.
    pub(super) fn set<T>(&self, key: &str, to: &mut T, read: impl FnOnce(&Value<'a>) -> Option<T>) {
        if let Some(value) = self.get(key).as_ref().and_then(read) {
            *to = value;
        }
    }

    fn value(
        &self,
        key: &'a Spanned<toml::de::DeString<'a>>,
        value: &'a Spanned<DeValue<'a>>,
    ) -> Value<'a> {
        Value {
            node: value.get_ref(),
            place: self.place.below(key.get_ref(), key.span().start),
        }
    }
}

impl<'a> Value<'a> {
    pub(super) fn fault(&self, message: impl Display) {
        self.place.fault(message);
    }

    pub(super) fn node(&self) -> &'a DeValue<'a> {
        self.node
    }

    pub(super) fn is_table(&self) -> bool {
        self.node.is_table()
    }

    /// `false`, which says that something is not there.
    pub(super) fn is_absent(&self) -> bool {
        self.node.as_bool() == Some(false)
    }

    /// What `read` finds, or none where the value is `false`.
    pub(super) fn optional<T>(&self, read: impl FnOnce(&Self) -> Option<T>) -> Option<Option<T>> {
        if self.is_absent() {
            return Some(None);
        }
        read(self).map(Some)
    }

    pub(super) fn text(&self) -> Option<&'a str> {
        self.expected(self.node.as_str(), "a text in quotes")
    }

    pub(super) fn owned(&self) -> Option<String> {
        self.text().map(str::to_owned)
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        self.expected(self.node.as_bool(), "true or false")
    }

    pub(super) fn parsed<T: FromStr<Err: Display>>(&self) -> Option<T> {
        self.told(self.text()?.parse())
    }

    /// One of these words.
    pub(super) fn choice(&self, words: &[&'static str]) -> Option<&'static str> {
        let text = self.text()?;
        let found = words.iter().find(|word| **word == text);
        if found.is_none() {
            let listed: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
            self.fault(format_args!(
                "{:?} is none of {}{}",
                shown(text),
                listed.join(", "),
                hint(text, words.iter().copied())
            ));
        }
        found.copied()
    }

    /// A whole number that fits.
    pub(super) fn number<T: TryFrom<i128>>(&self) -> Option<T> {
        let integer = self.expected(self.node.as_integer(), "a whole number")?;
        let number = i128::from_str_radix(integer.as_str(), integer.radix()).ok();
        let fits = number.and_then(|number| T::try_from(number).ok());
        if fits.is_none() {
            let bits = 8 * size_of::<T>();
            let shown = shown(&integer.to_string());
            self.fault(format_args!(
                "{shown} does not fit into the {bits} bits of this fact"
            ));
        }
        fits
    }

    /// The elements of an array, each with its place.
    pub(super) fn elements(&self) -> Option<Vec<Value<'a>>> {
        let array = self.expected(self.node.as_array(), "an array")?;
        let elements = array.iter().enumerate().map(|(position, element)| Value {
            node: element.get_ref(),
            place: Place {
                path: format!("{}[{position}]", self.place.path),
                offset: element.span().start,
                ..self.place.clone()
            },
        });
        Some(elements.collect())
    }

    /// An array of which each element is read; none when one of them is not sound.
    pub(super) fn each<C: FromIterator<T>, T>(
        &self,
        read: impl FnMut(&Value<'a>) -> Option<T>,
    ) -> Option<C> {
        let elements = self.elements()?;
        // Every one is read before it is known whether all are sound.
        let read: Vec<Option<T>> = elements.iter().map(read).collect();
        read.into_iter().collect()
    }

    pub(super) fn table(&self) -> Option<Table<'a>> {
        let entries = self.expected(self.node.as_table(), "a table")?;
        Some(Table::new(entries, self.place.clone()))
    }

    /// What was read, or its fault told.
    pub(super) fn told<T>(&self, result: Result<T, impl Display>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(fault) => {
                self.fault(fault);
                None
            }
        }
    }

    /// Tells what should be here instead, when there is none.
    pub(super) fn expected<T>(&self, found: Option<T>, what: &str) -> Option<T> {
        if found.is_none() {
            let kind = match self.node {
                DeValue::String(text) => format!("{:?}", shown(text)),
                DeValue::Integer(number) => shown(&number.to_string()),
                DeValue::Float(number) => shown(&number.to_string()),
                DeValue::Boolean(value) => value.to_string(),
                DeValue::Datetime(time) => time.to_string(),
                DeValue::Array(_) => "an array".to_owned(),
                DeValue::Table(_) => "a table".to_owned(),
            };
            self.fault(format_args!("must be {what}, and is {kind}"));
        }
        found
    }
}

/// The beginning of a text that may be long.
pub(super) fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
