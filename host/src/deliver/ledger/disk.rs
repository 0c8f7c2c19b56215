//! The ledger on disk: one file a day (UTC), a record a line, added at the end.
//!
//! A crash may leave half a line, which counts for nothing and is cut off when the file
//! is opened again.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Record;
use super::copies::{Addressed, Pair};
use super::index::{RefusalKind, State};
use crate::directory;

/// For the host and its group, as all that the host writes.
const FILE_MODE: u32 = 0o640;

/// Files of other names are not ours.
const EXTENSION: &str = "ledger";

const DAY: u64 = 24 * 60 * 60;

/// More than any record has: whatever is longer is none.
const MAX_LINE: u64 = 256;

/// The files of a directory.
#[derive(Debug)]
pub(super) struct Days {
    directory: PathBuf,
    keep: Duration,
    /// The day's number since 1970, and its file.
    current: Option<(u64, File)>,
}

impl Days {
    pub(super) fn open(directory: &Path, keep: Duration) -> io::Result<Self> {
        directory::make(directory)?;
        Ok(Self {
            directory: directory.to_owned(),
            keep,
            current: None,
        })
    }

    /// Gives every record that still counts to `take`, oldest first.
    pub(super) fn read(&self, now: u64, mut take: impl FnMut(Record)) -> io::Result<()> {
        let oldest = now.saturating_sub(self.keep.as_secs());
        for (day, path) in self.files()? {
            if (day + 1) * DAY <= oldest {
                continue;
            }
            let mut file = BufReader::new(File::open(path)?);
            let mut line = Vec::new();
            while file.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)? > 0 {
                let record = std::str::from_utf8(&line).ok().and_then(parse);
                record
                    .into_iter()
                    .filter(|r| r.at > oldest)
                    .for_each(&mut take);
                line.clear();
            }
        }
        Ok(())
    }

    /// Adds records; on disk when this returns, if `sync` says so.
    pub(super) fn append<'a>(
        &mut self,
        records: impl Iterator<Item = &'a Record>,
        sync: bool,
    ) -> io::Result<()> {
        let (mut text, mut last) = (String::new(), 0);
        for record in records {
            text.push_str(&line(record));
            last = record.at;
        }
        let file = self.day_of(last)?;
        let written = file.write_all(text.as_bytes());
        let written = written.and_then(|()| if sync { file.sync_data() } else { Ok(()) });
        if written.is_err() {
            // Half a line may be there: it is cut off when the file is opened again.
            self.current = None;
        }
        written
    }

    /// The file for this moment, opened when it is not.
    pub(super) fn day_of(&mut self, now: u64) -> io::Result<&mut File> {
        let day = now / DAY;
        if self.current.as_ref().is_none_or(|(open, _)| *open != day) {
            let path = self.directory.join(format!("{day}.{EXTENSION}"));
            let mut file = OpenOptions::new()
                .create(true)
                .append(true)
                .read(true)
                .mode(FILE_MODE)
                .open(path)?;
            cut_torn_line(&mut file)?;
            directory::sync(&self.directory)?;
            self.current = Some((day, file));
            self.remove_old(now);
        }
        match &mut self.current {
            Some((_, file)) => Ok(file),
            None => Err(io::Error::other("no file of the ledger is open")),
        }
    }

    /// By day.
    fn files(&self) -> io::Result<Vec<(u64, PathBuf)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            let ours = path.extension().is_some_and(|found| found == EXTENSION);
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            let day: Option<u64> = stem.and_then(|stem| stem.parse().ok());
            if let Some(day) = day.filter(|_| ours) {
                files.push((day, path));
            }
        }
        files.sort();
        Ok(files)
    }

    fn remove_old(&self, now: u64) {
        let oldest = now.saturating_sub(self.keep.as_secs());
        for (day, path) in self.files().unwrap_or_default() {
            if (day + 1) * DAY <= oldest
                && let Err(error) = fs::remove_file(&path)
            {
                tracing::warn!(path = %path.display(), %error, "an old file of the ledger could not be removed");
            }
        }
    }
}

fn cut_torn_line(file: &mut File) -> io::Result<()> {
    let length = file.metadata()?.len();
    let tail = length.min(MAX_LINE);
    let mut last = Vec::new();
    file.seek(SeekFrom::Start(length - tail))?;
    Read::by_ref(file).take(tail).read_to_end(&mut last)?;
    let whole = memchr::memrchr(b'\n', &last).map_or(0, |at| at as u64 + 1);
    if whole < tail {
        file.set_len(length - tail + whole)?;
    }
    Ok(())
}

/// A record as a line: state, sender and recipient, copy, seconds since 1970.
fn line(record: &Record) -> String {
    let state = match record.state {
        None => "settled".into(),
        Some(State::Delivered) => "delivered".into(),
        Some(State::Deferred { again: false }) => "deferred".into(),
        Some(State::Deferred { again: true }) => "deferred-again".into(),
        // Nobody will hear of it after the end of this process.
        Some(State::UnderWay) => return String::new(),
        Some(State::Refused(RefusalKind { code, enhanced })) => {
            format!("refused:{code}.{}.{}", enhanced.0, enhanced.1)
        }
    };
    let Addressed { pair, digest } = record.copy;
    format!("{state} {} {digest} {}\n", hex::encode(pair.0), record.at)
}

fn parse(line: &str) -> Option<Record> {
    let mut words = line.strip_suffix('\n')?.split(' ');
    let state = match words.next()? {
        "settled" => None,
        "delivered" => Some(State::Delivered),
        "deferred" => Some(State::Deferred { again: false }),
        "deferred-again" => Some(State::Deferred { again: true }),
        refused => Some(State::Refused(kind(refused.strip_prefix("refused:")?)?)),
    };
    let mut pair = [0; 16];
    hex::decode_to_slice(words.next()?, &mut pair).ok()?;
    let digest = words.next()?.parse().ok()?;
    let at = words.next()?.parse().ok()?;
    let copy = Addressed {
        pair: Pair(pair),
        digest,
    };
    words.next().is_none().then_some(Record { copy, state, at })
}

fn kind(text: &str) -> Option<RefusalKind> {
    let mut parts = text.splitn(3, '.').map(str::parse);
    let mut part = || parts.next()?.ok();
    Some(RefusalKind {
        code: part()?,
        enhanced: (part()?, part()?),
    })
}
