use std::sync::atomic::AtomicU64;

use super::*;

#[test]
fn days_are_counted_over_months() {
    let before = |day: &str, days| date(day).and_then(|day| days_before(day, days));
    assert_eq!(before("2026-03-01", 1), date("2026-02-28"));
    assert_eq!(before("2026-01-01", 90), date("2025-10-03"));
    assert_eq!(before("nonsense", 1), None);
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

/// A directory in the way of the day's file stands for a disk that takes nothing.
#[test]
fn what_the_disk_does_not_take_stays_and_is_bounded() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join(format!("{}.jsonl", today()));
    fs::create_dir(&path).expect("made");
    let counts = Arc::new(Counts::default());
    let mut days = Days::new(directory.path().to_owned(), 1, Arc::clone(&counts));
    days.take(b"first");
    assert!(!days.sync());
    assert!(days.has_room());
    days.take(&[b'x'; PENDING]);
    assert!(!days.has_room() && !days.sync());
    let count = |count: &AtomicU64| count.load(Relaxed);
    assert_eq!((count(&counts.written), count(&counts.lost)), (0, 0));
    assert_eq!(count(&counts.write_errors), 2);
    fs::remove_dir(&path).expect("it is empty");
    assert!(days.sync() && days.has_room());
    assert_eq!(count(&counts.written), 2);
    let text = fs::read_to_string(path).expect("read");
    let details: Vec<bool> = text
        .lines()
        .zip(["first", "xxx"])
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

#[test]
fn a_clock_that_jumps_removes_no_day_for_a_day() {
    let directory = tempfile::tempdir().expect("a directory");
    let there = |day: &str| directory.path().join(format!("{day}.jsonl"));
    for day in ["2026-01-08", "2026-01-09", "2026-01-10"] {
        fs::write(there(day), "").expect("written");
    }
    let mut days = Days::new(directory.path().to_owned(), 2, Arc::default());
    days.open("2027-01-10").expect("opened");
    // One day too early, at most.
    assert!(!there("2026-01-08").exists() && there("2026-01-09").exists());
    // Back, and right.
    days.open("2026-01-10").expect("opened");
    assert!(there("2026-01-09").exists() && there("2026-01-10").exists());
    days.open("2027-01-10").expect("opened");
    assert!(
        there("2026-01-10").exists(),
        "a day of the same name confirms nothing"
    );
    // Whoever lets it go on for a day means it.
    days.open("2027-01-11").expect("opened");
    assert!(!there("2026-01-10").exists() && there("2027-01-10").exists());
}
