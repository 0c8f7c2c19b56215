//! Receipts as JSON lines, one file a day (UTC), written by a thread of their own.
//!
//! The queue is bounded: when the disk is slow, sessions wait rather than memory
//! grow. What has come is written together, many times a second, and synced once a
//! second: a thread that woke for each event, and a sync for each, would cost more
//! than the decisions that they record.
//!
//! **Mail does not wait for a disk that takes nothing**: what it did not take stays in
//! memory, whole and in order, and is tried again every second. Only what is more than
//! may wait there is lost, and that is said.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
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

/// What may wait in memory while the disk takes nothing, in octets: some 2,000 receipts.
const PENDING: usize = 4 << 20;

/// Octets of lines that are written at once, whatever else waits.
const PIECE: usize = 64 * 1024;

/// Receipts name who wrote to whom: they are for the host and its group.
const FILE_MODE: u32 = 0o640;

/// Where receipts go.
#[derive(Clone, Debug)]
pub struct Journal {
    queue: mpsc::Sender<Event>,
    counts: Arc<Counts>,
}

/// What became of events.
#[derive(Debug, Default)]
struct Counts {
    written: AtomicU64,
    lost: AtomicU64,
    write_errors: AtomicU64,
}

/// How the journal is doing.
#[derive(Clone, Copy, Debug)]
pub struct State {
    /// Events written since the start.
    pub written: u64,
    /// Events that could not be written.
    pub lost: u64,
    /// Times that the disk did not take what was written; it is tried again.
    pub write_errors: u64,
    /// Events that wait to be written.
    pub waiting: u64,
    /// Most that may wait.
    pub limit: u64,
    /// Whether nobody writes any more.
    pub is_closed: bool,
}

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
        let counts = Arc::new(Counts::default());
        let mut days = Days::new(directory.to_owned(), keep_days, Arc::clone(&counts));
        days.open(&today()).map_err(fault)?;
        let (queue, receiver) = mpsc::channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("receipts".into())
            .spawn(move || write_all(receiver, days))
            .map_err(fault)?;
        Ok((Self { queue, counts }, Writer(thread)))
    }

    /// Hands an event over; waits while the queue is full, until then at the longest.
    /// What is lost is counted and logged.
    pub async fn record(&self, event: Event, until: tokio::time::Instant) {
        let id = event.id();
        match tokio::time::timeout_at(until, self.queue.send(event)).await {
            Ok(Ok(())) => return,
            Ok(Err(_)) => {
                tracing::error!(receipt.id = %id, "the receipt writer is gone, a receipt is lost");
            }
            Err(_) => {
                tracing::error!(receipt.id = %id, "the disk of the receipts does not answer, a receipt is lost");
            }
        }
        self.counts.lost.fetch_add(1, Relaxed);
    }
}

impl Journal {
    /// How it is doing.
    pub fn state(&self) -> State {
        let free = self.queue.capacity();
        State {
            written: self.counts.written.load(Relaxed),
            lost: self.counts.lost.load(Relaxed),
            write_errors: self.counts.write_errors.load(Relaxed),
            waiting: QUEUE.saturating_sub(free) as u64,
            limit: QUEUE as u64,
            is_closed: self.queue.is_closed(),
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
    while let Some(event) = receiver.blocking_recv() {
        days.record(&event);
        // What the disk did not take is tried again, whether more comes or not.
        while !write_for_a_while(&mut receiver, &mut days) {}
    }
}

/// Writes what comes until it is time to sync, and syncs. Whether there is nothing left
/// that could be written.
fn write_for_a_while(receiver: &mut mpsc::Receiver<Event>, days: &mut Days) -> bool {
    let due = Instant::now() + SYNC_EVERY;
    // A disk that takes nothing is asked again when it is time to sync.
    let mut takes = true;
    loop {
        std::thread::sleep(GATHER);
        let last = receiver.is_closed();
        while (last || Instant::now() < due)
            && let Ok(event) = receiver.try_recv()
        {
            days.record(&event);
            // Those who record as fast as they can wait for the disk, not for memory.
            if takes && days.pending.len() >= PIECE {
                takes = days.write().is_ok();
            }
        }
        if last || Instant::now() >= due {
            return days.sync() || last;
        }
        // What goes wrong is said when it is time to sync, not fifty times a second.
        let _ = days.write();
    }
}

/// The file of the current day.
struct Days {
    directory: PathBuf,
    keep_days: u32,
    current: Option<(String, File)>,
    /// Lines that are not in the file; the first may be there in part.
    pending: Vec<u8>,
    /// How many of them there are.
    waiting: u64,
    counts: Arc<Counts>,
}

impl Days {
    fn new(directory: PathBuf, keep_days: u32, counts: Arc<Counts>) -> Self {
        Self {
            directory,
            keep_days,
            current: None,
            pending: Vec::new(),
            waiting: 0,
            counts,
        }
    }

    fn record(&mut self, event: &Event) {
        if let Err(error) = self.append(event) {
            tracing::error!(receipt.id = %event.id(), %error, "a receipt could not be written");
            self.counts.lost.fetch_add(1, Relaxed);
        }
    }

    fn append(&mut self, event: &Event) -> io::Result<()> {
        // A line that is there in part has to end where it is: as long as its file takes
        // nothing, the day goes on. That it takes nothing is said when it is synced.
        let _ = self.open(&today());
        let line = serde_json::to_vec(event)?;
        if self.pending.len() + line.len() >= PENDING {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.pending.extend_from_slice(&line);
        self.pending.push(b'\n');
        self.waiting += 1;
        Ok(())
    }

    /// Makes the file of this day the current one, once the last has all that is its own.
    fn open(&mut self, day: &str) -> io::Result<()> {
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

    fn write(&mut self) -> io::Result<&File> {
        self.open(&today())?;
        let Some((_, file)) = &mut self.current else {
            return Err(io::Error::other("no receipt file is open"));
        };
        write_front(file, &mut self.pending)?;
        self.counts
            .written
            .fetch_add(std::mem::take(&mut self.waiting), Relaxed);
        Ok(file)
    }

    /// Whether all that came is on disk.
    fn sync(&mut self) -> bool {
        let synced = self.write().and_then(File::sync_data);
        if let Err(error) = &synced {
            tracing::error!(%error, "receipts could not be written to disk");
            self.counts.write_errors.fetch_add(1, Relaxed);
        }
        synced.is_ok()
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
mod tests;
