//! Receipts as JSON lines, one file a day (UTC), written by a thread of their own.
//!
//! The queue is bounded: when the disk is slow, sessions wait rather than memory
//! grow. What has come is written together, many times a second, and synced once a
//! second: a thread that woke for each event, and a sync for each, would cost more
//! than the decisions that they record.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::mpsc;

use super::{Event, timestamp};
use crate::facts::unix_seconds;

/// Events that may wait for the disk: some 4 MB, or a second of a busy host.
const QUEUE: usize = 2048;

/// How long evidence may be in memory alone: the second that is promised, less the time
/// that the disk takes.
const SYNC_EVERY: Duration = Duration::from_millis(800);

/// How long events gather before they are written. The queue holds what 100,000
/// recipients a second leave in that time.
const GATHER: Duration = Duration::from_millis(20);

/// Receipts name who wrote to whom: they are for the host and its group.
const FILE_MODE: u32 = 0o640;

/// Where receipts go.
#[derive(Clone, Debug)]
pub struct Journal(mpsc::Sender<Event>);

/// The thread that writes. Wait for it with [`Writer::finish`] when the last
/// [`Journal`] is gone, so that every receipt is on disk.
#[derive(Debug)]
pub struct Writer(JoinHandle<()>);

/// The directory of receipts cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot write receipts in {path}: {source}")]
pub struct JournalError {
    path: PathBuf,
    source: io::Error,
}

impl Journal {
    /// Starts the thread that writes to `directory`, which is made if need be. Files
    /// older than `keep_days` are removed.
    pub fn start(directory: &Path, keep_days: u32) -> Result<(Self, Writer), JournalError> {
        let fault = |source| JournalError {
            path: directory.to_owned(),
            source,
        };
        crate::directory::make(directory).map_err(fault)?;
        let mut days = Days::new(directory.to_owned(), keep_days);
        days.open(&today()).map_err(fault)?;
        let (sender, receiver) = mpsc::channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("receipts".into())
            .spawn(move || write_all(receiver, days))
            .map_err(fault)?;
        Ok((Self(sender), Writer(thread)))
    }

    /// Hands an event over; waits while the queue is full.
    pub async fn record(&self, event: Event) {
        if let Err(lost) = self.0.send(event).await {
            tracing::error!(receipt.id = %lost.0.id(), "the receipt writer is gone, a receipt is lost");
        }
    }
}

impl Writer {
    /// Waits until everything is written.
    pub fn finish(self) {
        if self.0.join().is_err() {
            tracing::error!("the receipt writer ended early");
        }
    }
}

fn today() -> String {
    timestamp(unix_seconds(SystemTime::now()))[..10].to_owned()
}

fn write_all(mut receiver: mpsc::Receiver<Event>, mut days: Days) {
    // Waits for an event only when there is nothing left to sync.
    while let Some(event) = receiver.blocking_recv() {
        days.record(&event);
        let due = Instant::now() + SYNC_EVERY;
        loop {
            std::thread::sleep(GATHER);
            let last = receiver.is_closed();
            while let Ok(event) = receiver.try_recv() {
                days.record(&event);
            }
            if last || Instant::now() >= due {
                break;
            }
            days.flush();
        }
        days.sync();
    }
}

/// The file of the current day.
struct Days {
    directory: PathBuf,
    keep_days: u32,
    current: Option<(String, io::BufWriter<File>)>,
}

impl Days {
    fn new(directory: PathBuf, keep_days: u32) -> Self {
        Self {
            directory,
            keep_days,
            current: None,
        }
    }

    fn record(&mut self, event: &Event) {
        if let Err(error) = self.append(event) {
            tracing::error!(receipt.id = %event.id(), %error, "a receipt could not be written");
        }
    }

    fn append(&mut self, event: &Event) -> io::Result<()> {
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        self.open(&today())?.write_all(&line)
    }

    /// The file of this day, opened when it is not.
    fn open(&mut self, day: &str) -> io::Result<&mut io::BufWriter<File>> {
        if self.current.as_ref().is_none_or(|(open, _)| open != day) {
            self.sync();
            let path = self.directory.join(format!("{day}.jsonl"));
            let mut file = OpenOptions::new()
                .create(true)
                .append(true)
                .mode(FILE_MODE)
                .read(true)
                .open(path)?;
            end_torn_line(&mut file)?;
            crate::directory::sync(&self.directory)?;
            self.current = Some((day.to_owned(), io::BufWriter::new(file)));
            self.remove_old(day);
        }
        match &mut self.current {
            Some((_, file)) => Ok(file),
            None => Err(io::Error::other("no receipt file is open")),
        }
    }

    fn flush(&mut self) {
        self.finish(io::BufWriter::flush);
    }

    fn sync(&mut self) {
        self.finish(|file| file.flush().and_then(|()| file.get_ref().sync_data()));
    }

    fn finish(&mut self, finish: impl FnOnce(&mut io::BufWriter<File>) -> io::Result<()>) {
        let Some((_, file)) = &mut self.current else {
            return;
        };
        if let Err(error) = finish(file) {
            tracing::error!(%error, "receipts could not be written to disk");
        }
    }

    fn remove_old(&self, day: &str) {
        let oldest = days_before(day, self.keep_days);
        let Ok(entries) = fs::read_dir(&self.directory) else {
            return;
        };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let old = name
                .strip_suffix(".jsonl")
                .and_then(date)
                .is_some_and(|day| oldest.is_some_and(|oldest| day < oldest));
            if old && let Err(error) = fs::remove_file(entry.path()) {
                tracing::warn!(path = %entry.path().display(), %error, "old receipts could not be removed");
            }
        }
    }
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
fn days_before(day: &str, days: u32) -> Option<time::Date> {
    date(day)?.checked_sub(time::Duration::days(days.into()))
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
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_over_months() {
        assert_eq!(days_before("2026-03-01", 1), date("2026-02-28"));
        assert_eq!(days_before("2026-01-01", 90), date("2025-10-03"));
        assert_eq!(days_before("nonsense", 1), None);
    }

    #[test]
    fn a_torn_line_is_ended() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join(format!("{}.jsonl", today()));
        fs::write(&path, "{\"event\":\"verd").expect("written");
        let mut days = Days::new(directory.path().to_owned(), 1);
        days.open(&today())
            .expect("opened")
            .write_all(b"{}\n")
            .expect("written");
        days.sync();
        assert_eq!(
            fs::read_to_string(path).expect("read"),
            "{\"event\":\"verd\n{}\n"
        );
    }

    #[test]
    fn each_day_has_a_file_and_old_ones_go() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut days = Days::new(directory.path().to_owned(), 1);
        for day in ["2026-02-28", "2026-03-01", "2026-03-02"] {
            let file = days.open(day).expect("opened");
            file.write_all(day.as_bytes()).expect("written");
        }
        days.sync();
        let read = |day: &str| fs::read_to_string(directory.path().join(format!("{day}.jsonl")));
        assert!(read("2026-02-28").is_err(), "two days old");
        for day in ["2026-03-01", "2026-03-02"] {
            assert_eq!(read(day).expect("it is there"), day);
        }
    }

    #[test]
    fn old_files_are_removed() {
        let directory = tempfile::tempdir().expect("a directory");
        for name in [
            "2026-01-01.jsonl",
            "2026-01-09.jsonl",
            "1-backup.jsonl",
            "notes.txt",
        ] {
            fs::write(directory.path().join(name), "").expect("written");
        }
        Days::new(directory.path().to_owned(), 2).remove_old("2026-01-10");
        assert!(!directory.path().join("2026-01-01.jsonl").exists());
        assert!(directory.path().join("2026-01-09.jsonl").exists());
        assert!(directory.path().join("1-backup.jsonl").exists());
        assert!(directory.path().join("notes.txt").exists());
    }
}
