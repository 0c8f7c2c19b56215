//! Reading receipts back from the day files: the events of one id joined, filtered, oldest
//! first.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use super::filter::Filter;
use super::{Event, OutcomeEvent, RelayEvent, VerdictEvent, timestamp};
use crate::facts::{FactSet, ReceiptId};
use crate::policy::Moment;
use crate::store::StoreError;

/// A day in seconds.
pub(super) const DAY: u64 = 86_400;

/// One receipt with all that is known of it.
#[derive(Clone, Debug)]
pub enum Receipt {
    /// A decision, the second one where the content mattered to it, and what became of
    /// the message.
    Decided(
        Box<VerdictEvent>,
        Option<Box<VerdictEvent>>,
        Option<OutcomeEvent>,
    ),
    /// Relaying denied.
    Relay(Box<RelayEvent>),
}

/// Receipts cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The directory or a file in it.
    #[error("cannot read receipts at {path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What was read.
#[derive(Debug, Default)]
pub struct Found {
    /// Oldest first.
    pub receipts: Vec<Receipt>,
    /// Lines that are no events: torn by a crash, or of another version.
    pub unreadable: usize,
}

/// Reads all receipts of a directory that pass the filter.
pub fn read(directory: &Path, filter: &Filter) -> Result<Found, ReadError> {
    let (mut found, mut places) = (Found::default(), HashMap::new());
    for path in day_files(directory, filter)? {
        found.read(&path, filter, &mut places)?;
    }
    // What was decided at last is known only now.
    found
        .receipts
        .retain(|receipt| filter.admits_decision(receipt));
    Ok(found)
}

/// The days of which there are files, as seconds since 1970 at which they begin.
pub(super) fn days(directory: &Path) -> Result<Vec<u64>, ReadError> {
    let files = day_files(directory, &Filter::default())?;
    let begin = |path: &PathBuf| {
        format!("{}T00:00:00Z", path.file_stem()?.to_str()?)
            .parse()
            .ok()
    };
    let begin = files.iter().filter_map(begin);
    Ok(begin.map(Moment::unix_seconds).collect())
}

/// Reads receipts that were made on the day that begins at this second, as far as they
/// pass the filter: what came of them is in the file of that day or in the next one's.
/// Lines that are no events are those of the day's own file.
pub(super) fn read_day(directory: &Path, day: u64, filter: &Filter) -> Result<Found, ReadError> {
    let (mut found, mut places) = (Found::default(), HashMap::new());
    let mut unreadable = None;
    for second in [day, day.saturating_add(DAY)] {
        let path = directory.join(format!("{}.jsonl", &timestamp(second)[..10]));
        match found.read(&path, filter, &mut places) {
            // Nobody wrote on that day, or its time is over.
            Err(ReadError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            read => read?,
        }
        unreadable.get_or_insert(found.unreadable);
    }
    found.unreadable = unreadable.unwrap_or(0);
    Ok(found)
}

fn day_files(directory: &Path, filter: &Filter) -> Result<Vec<PathBuf>, ReadError> {
    let fault = |source| ReadError::Io {
        path: directory.to_owned(),
        source,
    };
    let first = first_day(filter);
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(fault)? {
        let path = entry.map_err(fault)?.path();
        let day = path
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned());
        let wanted = day.is_some_and(|day| first.as_ref().is_none_or(|first| day >= *first));
        if wanted
            && path
                .extension()
                .is_some_and(|extension| extension == "jsonl")
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

impl Found {
    fn read(
        &mut self,
        path: &Path,
        filter: &Filter,
        places: &mut HashMap<ReceiptId, usize>,
    ) -> Result<(), ReadError> {
        let fault = |source| ReadError::Io {
            path: path.to_owned(),
            source,
        };
        let mut file = BufReader::new(File::open(path).map_err(fault)?);
        let mut line = Vec::new();
        while file.read_until(b'\n', &mut line).map_err(fault)? > 0 {
            match serde_json::from_slice(&line) {
                Ok(event) => self.take(noted(event, &line), filter, places),
                // The host is at this line just now, or is to end it when it starts.
                Err(_) if !line.ends_with(b"\n") => {}
                Err(_) => self.unreadable += 1,
            }
            line.clear();
        }
        Ok(())
    }

    fn take(&mut self, event: Event, filter: &Filter, places: &mut HashMap<ReceiptId, usize>) {
        let place = places.get(&event.id());
        let known = place.and_then(|at| self.receipts.get_mut(*at));
        let receipt = match (event, known) {
            (Event::Verdict(verdict), _) => Receipt::Decided(verdict, None, None),
            (Event::Relay(relay), _) => Receipt::Relay(relay),
            (Event::Content(second), Some(Receipt::Decided(_, slot, _))) => {
                *slot = Some(second);
                return;
            }
            (Event::Outcome(outcome), Some(Receipt::Decided(_, _, slot))) => {
                *slot = Some(outcome);
                return;
            }
            (Event::Content(_) | Event::Outcome(_) | Event::Shadow(_), _) => return,
        };
        if filter.admits(&receipt) {
            places.insert(receipt.id(), self.receipts.len());
            self.receipts.push(receipt);
        }
    }
}

/// With what its host did not know of.
fn noted(mut event: Event, line: &[u8]) -> Event {
    if let Event::Verdict(verdict) | Event::Content(verdict) = &mut event {
        verdict.lacks = FactSet::lacking(str::from_utf8(line).unwrap_or_default());
    }
    event
}

impl Receipt {
    /// The decision that counts: the last.
    pub fn last(&self) -> Option<&VerdictEvent> {
        match self {
            Self::Decided(first, second, _) => Some(second.as_ref().unwrap_or(first)),
            Self::Relay(_) => None,
        }
    }

    /// Its id.
    pub fn id(&self) -> ReceiptId {
        match self {
            Self::Decided(verdict, ..) => verdict.id,
            Self::Relay(relay) => relay.id,
        }
    }
}

/// The first day that can hold a receipt of these: an id tells its day.
fn first_day(filter: &Filter) -> Option<String> {
    let made = filter.id.map(|id| id.made());
    let first = made.into_iter().chain(filter.from).max();
    first.map(|seconds| timestamp(seconds)[..10].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_under_way_is_not_yet_unreadable() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("2026-01-01.jsonl");
        for (text, unreadable) in [("{\"event\":", 0), ("{\"event\":\n", 1), ("", 0)] {
            fs::write(&path, text).expect("written");
            let found = read(directory.path(), &Filter::default()).expect("read");
            assert_eq!(
                (found.unreadable, found.receipts.len()),
                (unreadable, 0),
                "{text:?}"
            );
        }
    }
}
