//! Files of vectors, and files that have the facts of one question alone.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use portcullis_sdk::testing::vectors::{self, Vectors};
use serde_json::Value;

use super::{Case, Given};
use crate::author::facts::{FactFault, facts};
use crate::lists::{List, Lists};

/// The largest file of vectors, in bytes: some ten thousand cases, which nobody reads.
const LARGEST: u64 = 16 << 20;

/// Vectors cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum VectorsFault {
    /// The file cannot be read.
    #[error("{} cannot be read: {error}", path.display())]
    Unreadable {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// It is larger than any.
    #[error("{} has over {LARGEST} bytes, and no file of vectors does", .0.display())]
    TooLarge(PathBuf),
    /// It is not what it should be.
    #[error("{}", lines(path, faults))]
    Faults {
        /// The file.
        path: PathBuf,
        /// All that is wrong with it, each with its line or case.
        faults: Vec<String>,
    },
}

/// The cases of a file.
///
/// # Errors
/// When it cannot be read; else all that is wrong with it, and every fact that no message
/// on a host could have.
pub fn vectors(path: &Path) -> Result<Vec<Case>, VectorsFault> {
    let parsed = Vectors::parse(&text(path)?).map_err(|error| wrong(path, error.faults()))?;
    let read = parsed.cases.into_iter().map(|case| of_case(path, case));
    let mut faults = Vec::new();
    let cases: Vec<_> = read
        .filter_map(|read| read.map_err(|found| faults.extend(found)).ok())
        .collect();
    match faults.is_empty() {
        true => Ok(cases),
        false => Err(wrong(path, &faults)),
    }
}

/// What a file without cases says: `[facts]`, `[settings]` and `[lists]`.
///
/// # Errors
/// As for [`vectors()`].
pub fn given(path: &Path) -> Result<Given, VectorsFault> {
    let parsed = vectors::Given::parse(&text(path)?);
    let parsed = parsed.map_err(|error| wrong(path, error.faults()))?;
    let given = read(&parsed.facts, parsed.settings, parsed.lists);
    given.map_err(|faults| {
        let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
        wrong(path, &faults)
    })
}

/// What vectors begin with: an ordinary message to a tenant without lists, and no settings.
pub fn ordinary() -> Given {
    let ordinary = vectors::Given::default();
    let read = read(&ordinary.facts, ordinary.settings, ordinary.lists);
    // A test has it read, too.
    read.expect("the ordinary message is one that a host could have")
}

fn of_case(path: &Path, case: vectors::Case) -> Result<Case, Vec<String>> {
    let (line, name) = (case.line, case.name);
    let given = read(&case.facts, case.settings, case.lists);
    let given = given.map_err(|faults| {
        let faults = faults.iter();
        let told = faults.map(|fault| format!("line {line}: case {name:?}: {fault}"));
        told.collect::<Vec<_>>()
    })?;
    Ok(Case {
        file: path.to_owned(),
        line,
        name,
        given,
        expected: case.expected,
    })
}

fn read(
    given: &vectors::Facts,
    settings: Value,
    lists: BTreeMap<String, BTreeMap<String, String>>,
) -> Result<Given, Vec<FactFault>> {
    let lists = lists.into_iter();
    let lists: Lists = lists
        .map(|(name, entries)| (name, List::new(entries.into_iter().collect())))
        .collect();
    Ok(Given {
        facts: Arc::new(facts(given)?),
        settings,
        lists: Arc::new(lists),
    })
}

fn text(path: &Path) -> Result<String, VectorsFault> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_string(&mut text));
    let path = path.to_owned();
    match read {
        Ok(length) if length as u64 > LARGEST => Err(VectorsFault::TooLarge(path)),
        Ok(_) => Ok(text),
        Err(error) => Err(VectorsFault::Unreadable { path, error }),
    }
}

fn wrong(path: &Path, faults: &[String]) -> VectorsFault {
    VectorsFault::Faults {
        path: path.to_owned(),
        faults: faults.to_vec(),
    }
}

fn lines(path: &Path, faults: &[String]) -> String {
    let faults = faults
        .iter()
        .map(|fault| format!("{}: {fault}", path.display()));
    faults.collect::<Vec<_>>().join("\n")
}
