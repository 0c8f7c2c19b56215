//! Vectors: a policy's decisions as a table that people read, in `vectors.toml`.
//!
//! The same file is run natively under `cargo test` ([`check_vectors`]) and by
//! `portcullis test` against the compiled module in the real engine. This is the only
//! parser of it.
//!
//! ```toml
//! [settings]                      # of every case that has none of its own
//! exempt = "exempt"
//!
//! [lists.exempt]                  # a set; a map has entries = { key = "value" }
//! entries = ["old.example"]
//!
//! [facts]                         # how every case differs from an ordinary message
//! sender = "amy@partner.example"
//!
//! [[case]]
//! name = "saturdays need TLS"
//! facts = { now = "2027-01-02T12:00:00Z" }
//! expect = { decision = "enforced", reason = "it is the weekend" }
//!
//! [[case]]
//! name = "a list that is not there"
//! lists = { exempt = false }
//! expect = { fails = "the list \"exempt\"" }
//! ```
//!
//! # Facts
//!
//! Facts have the names of the interface, with underscores: [`Facts`], [`Tls`] and
//! [`Certificate`] list them. They begin with those of [`message`](super::message),
//! [`tls`](super::tls) and [`certificate`](super::certificate); those of a case are laid
//! over those of the file, tables within one another.
//!
//! | value | how it is written |
//! | --- | --- |
//! | something that is not there | `false`: `tls = false`, `reverse_name = false`; the null sender also `""` |
//! | an address | `"192.0.2.1:25"`, `"[2001:db8::1]:25"`, or without the port |
//! | a time | seconds since 1970, `"2027-01-02T12:00:00Z"`, or a TOML date-time with offset |
//! | `tls.version` | `"1.2"`, `"1.3"`, or the wire code |
//! | `tls.certificate.trust` | a state (`"trusted"`, `"pinned"`, `"self-signed"`, `"untrusted"`), or a detail that tells it (`"expired"`, `"revoked"`, …): for both purposes, or `{ client = "trusted", server = "expired" }`; in full it is `{ state = "trusted", detail = "CN=Our Root" }` |
//! | `tls.certificate.accept_self_signed` | whether the tenant takes a self-signed certificate for trusted |
//!
//! What follows from another fact need not be said: a certificate that is there was given;
//! TLS 1.2 comes with a cipher suite and a key exchange of its own; a group with `MLKEM`
//! in its name is post-quantum.
//!
//! # What is expected
//!
//! `decision` (`"default"`, `"opportunistic"`, `"enforced"`) or `fails` must be there. What
//! is left out of the others does not matter.
//!
//! | key | holds when |
//! | --- | --- |
//! | `decision` | the answer is this |
//! | `requirements` | the requirements are these, in any order; `[]` is none beyond TLS |
//! | `reason` | the reason is exactly this |
//! | `log` | exactly these lines were logged, each after its level: `"warn: seen"` |
//! | `fails` | there is no answer, and this is part of what is said of it |
//!
//! A requirement is its name in the interface, and what it takes: `"at-least 1.3"`,
//! `"certificate-within partner.example"`, `"certificate-pinned"` and digests.

mod expectation;
mod expected;
mod facts;
mod faults;
mod given;
mod native;
mod overlay;
mod reader;
#[cfg(test)]
mod tests;
mod time;

use std::collections::BTreeMap;

use toml::de::DeTable;

pub use super::facts::{Certificate, Endpoint, Facts, Judgement, Tls};
pub use expected::{Difference, Expected, Found, Outcome};
use faults::Faults;
pub use faults::VectorsError;
pub use native::{Decide, check_vectors};
use overlay::overlay;
use reader::{Place, Table};

/// A file of vectors.
#[derive(Clone, Debug, PartialEq)]
pub struct Vectors {
    /// The cases in the order of the file; at least one.
    pub cases: Vec<Case>,
}

/// One question, and what is expected of the answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// Its name, which no other case of the file has.
    pub name: String,
    /// The line of the file on which it begins, from one.
    pub line: usize,
    /// All facts: those of the file and the case laid over the ordinary message.
    pub facts: Facts,
    /// Settings: an object, empty where the file and the case have none.
    pub settings: serde_json::Value,
    /// The tenant's lists, and their entries by key; those of a set have empty values.
    pub lists: BTreeMap<String, BTreeMap<String, String>>,
    /// What is expected.
    pub expected: Expected,
}

/// What a policy is asked about, without what is expected of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Given {
    /// All facts.
    pub facts: Facts,
    /// Settings: an object.
    pub settings: serde_json::Value,
    /// The tenant's lists, as in a [`Case`].
    pub lists: BTreeMap<String, BTreeMap<String, String>>,
}

/// The ordinary message, without settings and lists: what every file begins with.
impl Default for Given {
    fn default() -> Self {
        Self {
            facts: super::message().facts().clone(),
            settings: given::settings(None),
            lists: BTreeMap::new(),
        }
    }
}

impl Given {
    /// Reads a file that has `[facts]`, `[settings]` and `[lists]` as vectors do, and no
    /// case.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(text: &str) -> Result<Self, VectorsError> {
        parse(text, |root| {
            if let Some(cases) = root.get("case") {
                cases.fault(
                    "is for files of vectors: this one is to have the facts of one question",
                );
            } else {
                root.only(&["settings", "lists", "facts"]);
            }
            let file = File::of(root);
            let empty = DeTable::new();
            let facts = root.get("facts").and_then(|value| value.table());
            let facts = facts.unwrap_or_else(|| Table::new(&empty, root.place().clone()));
            Self {
                facts: facts::read(&facts),
                settings: file.settings,
                lists: file.lists,
            }
        })
    }
}

impl Vectors {
    /// Reads a file of vectors.
    ///
    /// # Errors
    /// Everything that is wrong with it: not TOML, an unknown key, a value of another
    /// type, a case that expects nothing, two cases of one name, no case at all.
    pub fn parse(text: &str) -> Result<Self, VectorsError> {
        let cases = parse(text, cases)?;
        Ok(Self { cases })
    }
}

/// Reads a file, all of whose faults are told at once.
fn parse<T>(text: &str, read: impl FnOnce(&Table<'_>) -> T) -> Result<T, VectorsError> {
    let faults = Faults::of(text);
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let offset = error.span().map_or(0, |span| span.start);
        faults.push_syntax(offset, error.message());
    }
    let place = Place {
        faults: &faults,
        case: None,
        path: String::new(),
        offset: 0,
    };
    let read = read(&Table::new(root.get_ref(), place));
    faults.into_result()?;
    Ok(read)
}

/// The cases, as far as they can be read.
fn cases(root: &Table<'_>) -> Vec<Case> {
    root.only(&["settings", "lists", "facts", "case"]);
    let file = File::of(root);
    let elements = root.get("case").and_then(|value| value.elements());
    let elements = elements.unwrap_or_default();
    if elements.is_empty() {
        root.place()
            .missing("there is no case: write [[case]] with name, facts and expect");
    }
    let mut names = BTreeMap::new();
    elements
        .iter()
        .filter_map(|element| file.case(&element.table()?, &mut names))
        .collect()
}

/// What every case of a file begins with.
struct File<'a> {
    facts: DeTable<'a>,
    settings: serde_json::Value,
    lists: given::Lists,
}

impl<'a> File<'a> {
    fn of(root: &Table<'a>) -> Self {
        let facts = root.get("facts").and_then(|value| value.table());
        // What is wrong with them is told here, where no case has to do with it.
        facts.as_ref().map(facts::read);
        Self {
            facts: facts.map_or_else(DeTable::new, |table| table.entries().clone()),
            settings: given::settings(root.get("settings").as_ref()),
            lists: given::lists(root.get("lists").as_ref()),
        }
    }

    fn case(&self, table: &Table<'a>, names: &mut BTreeMap<&'a str, usize>) -> Option<Case> {
        table.only(&["name", "facts", "settings", "lists", "expect"]);
        let line = table.place().faults.line(table.place().offset);
        let name = table.required("name").and_then(|value| {
            let name = value.text()?;
            if name.is_empty() {
                value.fault("must say what the case shows");
            } else if let Some(other) = names.insert(name, line) {
                value.fault(format_args!("{name:?} is the case of line {other} already"));
            }
            Some(name)
        });
        let table = table.of_case(name);
        let facts = self.facts(&table);
        let mut lists = self.lists.clone();
        given::lay_lists(table.get("lists").as_ref(), &mut lists);
        let settings = table.get("settings");
        let expected = table
            .required("expect")
            .and_then(|value| expectation::read(&value));
        Some(Case {
            name: name?.to_owned(),
            line,
            facts,
            settings: settings.map_or_else(
                || self.settings.clone(),
                |value| given::settings(Some(&value)),
            ),
            lists,
            expected: expected?,
        })
    }

    fn facts(&self, table: &Table<'a>) -> Facts {
        let own = table.get("facts").and_then(|value| value.table());
        let laid = own.as_ref().map(|own| overlay(&self.facts, own.entries()));
        let place = own.as_ref().map_or_else(|| table.place(), Table::place);
        facts::read(&Table::new(
            laid.as_ref().unwrap_or(&self.facts),
            place.clone(),
        ))
    }
}
