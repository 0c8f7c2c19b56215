//! Receipts as JSON lines, one file a day (UTC).
//!
//! **What the disk does not take stays**, whole and in order, and is tried again every
//! second. It is bounded: who fills it asks first whether there is room.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::SystemTime;

use super::Counts;
use crate::facts::unix_seconds;
use crate::receipt::timestamp;

/// What may wait in memory while the disk takes nothing, in octets: some 2,000 receipts.
const PENDING: usize = 4 << 20;

/// Octets of lines that are written at once, whatever else waits.
const PIECE: usize = 64 * 1024;

/// Receipts name who wrote to whom: they are for the host and its group.
const FILE_MODE: u32 = 0o640;

/// This day (UTC), as files are named for it.
pub(super) fn today() -> String {
    timestamp(unix_seconds(SystemTime::now()))[..10].to_owned()
}

/// The file of the current day.
pub(super) struct Days {
    directory: PathBuf,
    keep_days: u32,
    current: Option<(String, File)>,
    /// Lines that are not in the file; the first may be there in part.
    pending: Vec<u8>,
    /// How many of them there are.
    waiting: u64,
    /// Whether what is written is counted here.
    pub(super) counts_written: bool,
    counts: Arc<Counts>,
}

impl Days {
    pub(super) fn new(directory: PathBuf, keep_days: u32, counts: Arc<Counts>) -> Self {
        Self {
            directory,
            keep_days,
            current: None,
            pending: Vec::new(),
            waiting: 0,
            counts_written: true,
            counts,
        }
    }

    /// Whether it takes more: what the disk did not take stays, and is bounded.
    pub(super) fn has_room(&self) -> bool {
        self.pending.len() < PENDING
    }

    /// Whether so much waits that it is time to write it.
    pub(super) fn is_much(&self) -> bool {
        self.pending.len() >= PIECE
    }

    /// Takes an event's line, which is written later.
    pub(super) fn take(&mut self, line: &[u8]) {
        // A line that is there in part has to end where it is: as long as its file takes
        // nothing, the day goes on. That it takes nothing is said when it is synced.
        let _ = self.open(&today());
        self.pending.extend_from_slice(line);
        self.pending.push(b'\n');
        self.waiting += 1;
    }

    /// Makes the file of this day the current one, once the last has all that is its own.
    pub(super) fn open(&mut self, day: &str) -> io::Result<()> {
        if self.current.as_ref().is_some_and(|(open, _)| open == day) {
            return Ok(());
        }
        if let Some((_, file)) = &mut self.current {
            write_front(file, &mut self.pending)?;
            file.sync_data()?;
        }
        let path = self.directory.join(format!("{day}.jsonl"));
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(FILE_MODE)
            .read(true)
            .open(path)?;
        end_torn_line(&mut file)?;
        crate::directory::sync(&self.directory)?;
        self.current = Some((day.to_owned(), file));
        self.remove_old(day);
        Ok(())
    }

    pub(super) fn write(&mut self) -> io::Result<&File> {
        self.open(&today())?;
        let Some((_, file)) = &mut self.current else {
            return Err(io::Error::other("no receipt file is open"));
        };
        write_front(file, &mut self.pending)?;
        let written = std::mem::take(&mut self.waiting);
        if self.counts_written {
            self.counts.written.fetch_add(written, Relaxed);
        }
        Ok(file)
    }

    /// Whether all that came is on disk.
    pub(super) fn sync(&mut self) -> bool {
        let synced = self.write().and_then(File::sync_data);
        if let Err(error) = &synced {
            tracing::error!(%error, "receipts could not be written to the day file");
            self.counts.write_errors.fetch_add(1, Relaxed);
        }
        synced.is_ok()
    }

    /// Events that are not in the file.
    pub(super) fn waiting(&self) -> u64 {
        self.waiting
    }

    /// **A clock that jumps forward removes nothing for a day**: days are counted from the
    /// one after the newest before this, of which there is a file.
    fn remove_old(&self, day: &str) {
        let Ok(entries) = fs::read_dir(&self.directory) else {
            return;
        };
        let files = entries.flatten().filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            Some((date(name.strip_suffix(".jsonl")?)?, entry.path()))
        });
        let files: Vec<(time::Date, PathBuf)> = files.collect();
        let Some(today) = date(day) else { return };
        let before = files.iter().map(|(day, _)| *day).filter(|day| *day < today);
        let confirmed = before.max().and_then(time::Date::next_day);
        let today = confirmed.map_or(today, |confirmed| confirmed.min(today));
        let oldest = days_before(today, self.keep_days);
        for (_, path) in files
            .iter()
            .filter(|(day, _)| oldest.is_some_and(|oldest| *day < oldest))
        {
            if let Err(error) = fs::remove_file(path) {
                tracing::warn!(path = %path.display(), %error, "old receipts could not be removed");
            }
        }
    }
}

/// Writes octets and removes what was written, also when the rest fails.
fn write_front(file: &mut File, octets: &mut Vec<u8>) -> io::Result<()> {
    let mut written = 0;
    let outcome = loop {
        if written == octets.len() {
            break Ok(());
        }
        match file.write(&octets[written..]) {
            Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
            Ok(more) => written += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => break Err(error),
        }
    };
    octets.drain(..written);
    outcome
}

/// A crash may have left half a line, which must not swallow the next.
fn end_torn_line(file: &mut File) -> io::Result<()> {
    use std::io::{Read, Seek, SeekFrom};
    if file.metadata()?.len() == 0 {
        return Ok(());
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    if last != *b"\n" {
        file.write_all(b"\n")
    } else {
        Ok(())
    }
}

/// The day so many days before this one.
fn days_before(day: time::Date, days: u32) -> Option<time::Date> {
    day.checked_sub(time::Duration::days(days.into()))
}

/// A day as files are named for it (RFC 3339).
fn date(day: &str) -> Option<time::Date> {
    time::Date::parse(
        day,
        time::macros::format_description!("[year]-[month]-[day]"),
    )
    .ok()
}

#[cfg(test)]
mod tests;
