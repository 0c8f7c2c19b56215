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
mod tests {
    use super::*;
    use crate::receipt::{Outcome, OutcomeEvent};

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
        let mut days = Days::new(directory.path().to_owned(), 1, Arc::default());
        days.pending.extend_from_slice(b"{}\n");
        assert!(days.sync());
        assert_eq!(
            fs::read_to_string(path).expect("read"),
            "{\"event\":\"verd\n{}\n"
        );
    }

    #[test]
    fn each_day_has_a_file_and_old_ones_go() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut days = Days::new(directory.path().to_owned(), 1, Arc::default());
        let all = ["2026-02-28", "2026-03-01", "2026-03-02"];
        for day in all {
            days.open(day).expect("opened");
            // It is written at the latest when the next day begins.
            days.pending.extend_from_slice(day.as_bytes());
        }
        let read = |day: &str| fs::read_to_string(directory.path().join(format!("{day}.jsonl")));
        assert!(read(all[0]).is_err(), "two days old");
        assert_eq!(read(all[1]).expect("it is there"), all[1]);
        assert_eq!(read(all[2]).expect("it is there"), "");
        assert_eq!(days.pending, all[2].as_bytes());
    }

    fn event(detail: String) -> Event {
        Event::Outcome(OutcomeEvent {
            id: crate::facts::ReceiptId::new(SystemTime::UNIX_EPOCH),
            time: String::new(),
            tenant: "acme".parse().expect("an id"),
            outcome: Outcome::Delivered,
            reply: String::new(),
            detail,
        })
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_flood_is_written_while_it_comes() {
        const EVENTS: usize = 4_000;
        let directory = tempfile::tempdir().expect("a directory");
        let (journal, writer) = Journal::start(directory.path(), 1).expect("it starts");
        let until = tokio::time::Instant::now() + Duration::from_secs(60);
        let mut flood = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let journal = journal.clone();
            flood.spawn(async move {
                for _ in 0..EVENTS {
                    journal.record(event("x".repeat(1000)), until).await;
                }
            });
        }
        flood.join_all().await;
        // Three times as much as may wait in memory.
        const { assert!(4 * EVENTS * 1000 > 3 * PENDING) };
        let counts = Arc::clone(&journal.counts);
        drop(journal);
        writer.finish();
        assert_eq!(counts.lost.load(Relaxed), 0);
        assert_eq!(counts.written.load(Relaxed), 4 * EVENTS as u64);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_ever_for_a_disk_that_hangs() {
        let (queue, _hangs) = mpsc::channel(1);
        let counts = Arc::<Counts>::default();
        let journal = Journal {
            queue,
            counts: Arc::clone(&counts),
        };
        let until = tokio::time::Instant::now() + Duration::from_secs(10);
        for _ in 0..3 {
            journal.record(event(String::new()), until).await;
        }
        assert_eq!(tokio::time::Instant::now(), until, "all of them together");
        assert_eq!(counts.lost.load(Relaxed), 2);
    }

    /// A directory in the way of the day's file stands for a disk that takes nothing.
    #[test]
    fn what_the_disk_does_not_take_waits_up_to_a_bound() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join(format!("{}.jsonl", today()));
        fs::create_dir(&path).expect("made");
        let counts = Arc::new(Counts::default());
        let mut days = Days::new(directory.path().to_owned(), 1, Arc::clone(&counts));
        days.record(&event("first".into()));
        assert!(!days.sync());
        days.record(&event("x".repeat(PENDING)));
        days.record(&event("last".into()));
        assert!(!days.sync());
        let count = |count: &AtomicU64| count.load(Relaxed);
        assert_eq!((count(&counts.written), count(&counts.lost)), (0, 1));
        assert_eq!(count(&counts.write_errors), 2);
        fs::remove_dir(&path).expect("it is empty");
        assert!(days.sync());
        assert_eq!(count(&counts.written), 2);
        let text = fs::read_to_string(path).expect("read");
        let details: Vec<bool> = text
            .lines()
            .zip(["first", "last"])
            .map(|(line, detail)| line.contains(detail))
            .collect();
        assert_eq!(details, [true, true], "{text}");
    }

    /// A socket that nobody reads takes a part, and then nothing.
    #[test]
    fn what_was_written_in_part_goes_on_where_it_stopped() {
        use std::io::Read;
        use std::os::fd::OwnedFd;
        use std::os::unix::net::UnixStream;

        let (end, mut other) = UnixStream::pair().expect("a pair");
        end.set_nonblocking(true).expect("it can wait or not");
        let mut file = File::from(OwnedFd::from(end));
        let whole: Vec<u8> = (0..PENDING).map(|at| (at % 251) as u8).collect();
        let mut left = whole.clone();
        let mut read = Vec::new();
        while let Err(error) = write_front(&mut file, &mut left) {
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
            let mut piece = vec![0; whole.len() - left.len() - read.len()];
            other.read_exact(&mut piece).expect("it was written");
            read.extend(piece);
        }
        drop(file);
        other.read_to_end(&mut read).expect("it was written");
        assert!(left.is_empty() && read == whole);
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
        Days::new(directory.path().to_owned(), 2, Arc::default()).remove_old("2026-01-10");
        assert!(!directory.path().join("2026-01-01.jsonl").exists());
        assert!(directory.path().join("2026-01-09.jsonl").exists());
        assert!(directory.path().join("1-backup.jsonl").exists());
        assert!(directory.path().join("notes.txt").exists());
    }
}
