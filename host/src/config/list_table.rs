//! `[lists.NAME]`: named sets and maps, in the tenant's file or in files of their own.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use toml::de::DeValue;

use super::document::Faults;
use super::fault::{Fault, Position};
use super::reader::{Table, Value, joined, shown};
use super::{PolicyConfig, keys};
use crate::lists::{List, MAX_ENTRIES};
use crate::name::Name;
use crate::policy::{Who, is_group_key};

/// Largest file of a list in bytes: the most entries, each of an address and as much
/// again of value.
const MAX_FILE: u64 = 64 << 20;

/// Longest key and longest value in octets: an address has at most 320, and a value says
/// what is to be done about it.
const MAX_KEY: usize = 512;
const MAX_VALUE: usize = 1024;

/// Most lists of a tenant, of which each takes room whatever is in it.
const MAX_LISTS: usize = 1000;

/// Most faults of one list that are reported: a list that was exported in a wrong form
/// has the same fault in every line.
const MAX_FAULTS: usize = 10;

/// A list as read.
pub(super) struct ListTable {
    name: Option<Name>,
    written: String,
    file: Arc<Path>,
    /// Path of the key that holds the entries; empty in a file of its own.
    key: String,
    entries: HashMap<String, Entry>,
    /// As the store keeps it, in place of the entries.
    stored: Option<Arc<List>>,
    /// Whether lines are the operator's own.
    has_lines: bool,
}

struct Entry {
    value: String,
    line: usize,
}

/// One entry on its way into a list.
struct Raw<'a> {
    key: &'a str,
    value: &'a str,
    line: usize,
}

impl ListTable {
    /// The name as written.
    pub(super) fn name(&self) -> &str {
        &self.written
    }

    /// How many entries it has.
    pub(super) fn len(&self) -> usize {
        let stored = self.stored.as_ref();
        stored.map_or(self.entries.len(), |stored| stored.len())
    }

    /// The list with its name; none if that is not one.
    pub(super) fn into_list(self) -> Option<(String, Arc<List>)> {
        let name = self.name?.to_string();
        if let Some(stored) = self.stored {
            return Some((name, stored));
        }
        Some((name, Arc::new(list_of(self.entries))))
    }

    fn at(&self, line: usize) -> Position {
        Position {
            file: Arc::clone(&self.file),
            line: self.has_lines.then_some(line),
            key: self.key.clone(),
        }
    }

    /// Takes the entries in, and reports those that cannot be.
    fn fill<'a>(&mut self, raw: impl Iterator<Item = Raw<'a>>, faults: &Faults) {
        let mut found = Found::default();
        for entry in raw {
            if let Some(message) = self.fault_of(&entry) {
                found.push(entry.line, message);
                continue;
            }
            if self.entries.len() == MAX_ENTRIES {
                let message = format!("the list is over the limit of {MAX_ENTRIES} entries");
                found.push(entry.line, message);
                break;
            }
            let Raw { key, value, line } = entry;
            let value = value.to_owned();
            self.entries.insert(key.to_owned(), Entry { value, line });
        }
        self.report(found, faults);
    }

    fn fault_of(&self, entry: &Raw<'_>) -> Option<String> {
        let shown = || shown(entry.key);
        if let Some(twin) = self.entries.get(entry.key) {
            return Some(match self.has_lines {
                true => format!("{:?} is in line {} already", shown(), twin.line),
                false => format!("{:?} is there twice", shown()),
            });
        }
        [
            ("key", entry.key.len(), MAX_KEY),
            ("value", entry.value.len(), MAX_VALUE),
        ]
        .into_iter()
        .find(|(_, length, most)| length > most)
        .map(|(what, length, most)| {
            let shown = shown();
            format!("{shown:?}: the {what} has {length} octets, over the limit of {most}")
        })
    }

    fn report(&self, found: Found, faults: &Faults) {
        for (line, message) in found.first {
            faults.push(self.at(line).fault(message));
        }
        if let Some((line, more)) = found.more {
            let message = format!("{more} more entries of this list have faults, from here on");
            faults.push(self.at(line).fault(message));
        }
    }
}

fn list_of(entries: HashMap<String, Entry>) -> List {
    let entries = entries.into_iter();
    List::new(entries.map(|(key, entry)| (key, entry.value)).collect())
}

/// Faults of one list: the first of them, and where the others begin and how many they are.
#[derive(Default)]
struct Found {
    first: Vec<(usize, String)>,
    more: Option<(usize, usize)>,
}

impl Found {
    fn push(&mut self, line: usize, message: String) {
        match &mut self.more {
            _ if self.first.len() < MAX_FAULTS => self.first.push((line, message)),
            Some((_, more)) => *more += 1,
            None => self.more = Some((line, 1)),
        }
    }
}

impl List {
    /// A list that is given as the text of a list's file.
    ///
    /// # Errors
    /// Its faults, by line.
    pub fn read_text(text: &str) -> Result<Self, Vec<Fault>> {
        Self::read_given("", true, lines(text))
    }

    /// A list that is given as keys and values, whose faults are named by the key.
    ///
    /// # Errors
    /// Its faults.
    pub fn read_entries<'a>(
        entries: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, Vec<Fault>> {
        let raw = |(line, (key, value))| Raw { key, value, line };
        Self::read_given("entries", false, entries.enumerate().map(raw))
    }

    /// The same list with these entries changed; those without a value are removed.
    ///
    /// # Errors
    /// When it has too many then.
    pub fn patched(&self, changes: &BTreeMap<String, Option<String>>) -> Result<Self, Vec<Fault>> {
        let stay = self
            .entries()
            .filter(|(key, _)| !changes.contains_key(*key));
        let new = changes.iter();
        let new = new.filter_map(|(key, value)| Some((key.as_str(), value.as_deref()?)));
        Self::read_entries(stay.chain(new))
    }

    fn read_given<'a>(
        key: &str,
        has_lines: bool,
        raw: impl Iterator<Item = Raw<'a>>,
    ) -> Result<Self, Vec<Fault>> {
        let faults = Faults::default();
        let mut list = ListTable {
            name: None,
            written: String::new(),
            file: Path::new("the list").into(),
            key: key.to_owned(),
            entries: HashMap::new(),
            stored: None,
            has_lines,
        };
        list.fill(raw, &faults);
        let faults = faults.into_sorted();
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(list_of(list.entries))
    }
}

/// The lists of a tenant.
pub(super) fn read_all(tenant: &Table<'_>, faults: &Faults) -> Vec<ListTable> {
    let Some(table) = tenant.get("lists").and_then(|v| v.open(&keys::NAMES)) else {
        return Vec::new();
    };
    let lists: Vec<_> = table.entries().collect();
    if lists.len() > MAX_LISTS {
        let message = format!("{} lists are over the limit of {MAX_LISTS}", lists.len());
        tenant.report("lists", message);
    }
    lists
        .iter()
        .filter_map(|(name, value)| read(name, value, faults))
        .collect()
}

fn read(name: &str, value: &Value<'_>, faults: &Faults) -> Option<ListTable> {
    let parsed: Result<Name, _> = name.parse();
    if let Err(error) = &parsed {
        value.fault(error);
    }
    let table = value.table(&keys::LIST)?;
    let mut list = ListTable {
        name: parsed.ok(),
        written: name.to_owned(),
        file: table.at().file,
        key: joined(&table.at().key, "entries"),
        entries: HashMap::new(),
        stored: None,
        has_lines: table.stored().is_none(),
    };
    match (table.get("entries"), table.get("file")) {
        (Some(entries), None) => fill_from_table(&mut list, &entries, faults),
        (None, Some(file)) => fill_from_file(&mut list, &file, faults),
        (Some(_), Some(file)) => file.fault("a list has either entries or a file: remove one"),
        (None, None) => match table.stored().and_then(|stored| stored.list(name)) {
            Some(stored) => list.stored = Some(stored),
            None => table.missing("a list needs entries or a file"),
        },
    }
    Some(list)
}

/// An array is a set, a table is a map.
fn fill_from_table(list: &mut ListTable, entries: &Value<'_>, faults: &Faults) {
    let found: Vec<(&str, &str, usize)> = match entries.node() {
        DeValue::Table(_) => entries
            .open(&keys::NAMES)
            .iter()
            .flat_map(Table::entries)
            .filter_map(|(key, value)| Some((key, value.text()?, value.line())))
            .collect(),
        _ => entries
            .elements()
            .iter()
            .filter_map(|element| Some((element.text()?, "", element.line())))
            .collect(),
    };
    let raw = found
        .iter()
        .map(|&(key, value, line)| Raw { key, value, line });
    list.fill(raw, faults);
}

fn fill_from_file(list: &mut ListTable, file: &Value<'_>, faults: &Faults) {
    let (Some(path), Some(bytes)) = (file.text(), file.file(MAX_FILE)) else {
        return;
    };
    let path = file.resolve(path);
    let Ok(text) = str::from_utf8(&bytes) else {
        let shown = path.display().to_string();
        return file.fault(format_args!(
            "{shown:?} is not UTF-8: save it in that encoding"
        ));
    };
    list.file = path.into();
    list.key = String::new();
    list.fill(lines(text), faults);
}

/// One entry a line: a key, or key and value with a tab or `=>` between; lines that
/// begin with `#` are comments.
fn lines(text: &str) -> impl Iterator<Item = Raw<'_>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.lines().enumerate().filter_map(|(index, line)| {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return None;
        }
        let split = line.split_once("=>").or_else(|| line.split_once('\t'));
        let (key, value) = split.unwrap_or((line, ""));
        Some(Raw {
            key: key.trim(),
            value: value.trim(),
            line: index + 1,
        })
    })
}

/// Reports entries that match nobody in lists that policies use as a group.
pub(super) fn check_groups(lists: &[ListTable], policies: &[PolicyConfig], faults: &Faults) {
    let is_group = |list: &ListTable| {
        policies
            .iter()
            .flat_map(|read| [&read.policy.from, &read.policy.to])
            .any(|who| matches!(who, Who::List(name) if name.as_str() == list.written))
    };
    for list in lists.iter().filter(|list| is_group(list)) {
        let stored = list.stored.iter().flat_map(|stored| stored.entries());
        let keys = list
            .entries
            .iter()
            .map(|(key, entry)| (entry.line, key.as_str()))
            .chain(stored.map(|(key, _)| (0, key)));
        let mut all: Vec<(usize, String)> = keys
            .filter_map(|(line, key)| Some((line, is_group_key(key).err()?)))
            .collect();
        all.sort();
        let mut found = Found::default();
        for (line, message) in all {
            found.push(line, message);
        }
        list.report(found, faults);
    }
}
