use std::time::{Duration, SystemTime};

use sqlx::Connection as _;
use tempfile::TempDir;

use super::*;
use crate::receipt::filter::Filter;
use crate::receipt::sample::relay;
use crate::receipt::source::Part;
use crate::receipt::{Outcome, OutcomeEvent};

fn outcome(detail: String) -> Event {
    Event::Outcome(OutcomeEvent {
        id: crate::facts::ReceiptId::new(SystemTime::UNIX_EPOCH),
        time: String::new(),
        tenant: "acme".parse().expect("an id"),
        outcome: Outcome::Delivered,
        reply: String::new(),
        detail,
    })
}

fn until(seconds: u64) -> Instant {
    Instant::now() + Duration::from_secs(seconds)
}

fn places(directory: &TempDir, store: bool, files: bool) -> Places {
    let path = directory.path();
    Places {
        store: store.then(|| Store::of(path)),
        files: files.then(|| (path.join("receipts"), 1)),
    }
}

async fn finish(journal: Journal, writer: Writer) {
    drop(journal);
    let finished = tokio::task::spawn_blocking(|| writer.finish()).await;
    finished.expect("it ends");
}

async fn replies(directory: &TempDir) -> Vec<String> {
    let store = Store::read(directory.path()).await.expect("a store");
    let part = Part {
        newest_first: false,
        after: None,
        limit: 100_000,
    };
    let found = store.receipts(&Filter::default(), part).await;
    let reply = |receipt| match receipt {
        crate::receipt::read::Receipt::Relay(relay) => relay.reply,
        other => unreachable!("{other:?}"),
    };
    let mut replies: Vec<String> = found.expect("receipts").into_iter().map(reply).collect();
    replies.sort();
    replies
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_is_written_while_it_comes() {
    const EVENTS: usize = 4_000;
    let directory = TempDir::new().expect("a directory");
    let places = places(&directory, true, true);
    let (journal, writer) = Journal::start(places).expect("it starts");
    let mut flood = tokio::task::JoinSet::new();
    let end = until(60);
    for _ in 0..4 {
        let journal = journal.clone();
        flood.spawn(async move {
            for _ in 0..EVENTS {
                journal.record(outcome("x".repeat(1000)), end).await;
            }
        });
    }
    flood.join_all().await;
    // Several times as much as may wait in memory.
    const { assert!(4 * EVENTS > 3 * QUEUE) };
    let counts = Arc::clone(&journal.counts);
    finish(journal, writer).await;
    assert_eq!(counts.lost.load(Relaxed), 0);
    assert_eq!(counts.written.load(Relaxed), 4 * EVENTS as u64);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_ever_for_what_takes_nothing() {
    let (queue, _hangs) = mpsc::channel(1);
    let journal = Journal {
        queue,
        words: Words {
            store: false,
            files: true,
        },
        writer: std::thread::current(),
        counts: Arc::default(),
        room: Arc::default(),
    };
    let end = until(10);
    for _ in 0..3 {
        journal.record(outcome(String::new()), end).await;
    }
    assert_eq!(Instant::now(), end, "all of them together");
    assert_eq!(journal.counts.lost.load(Relaxed), 2);
    let end = until(10);
    assert!(!journal.has_room(end).await);
    assert_eq!(Instant::now(), end, "who decides waits, too");
    assert_eq!(journal.state().deferred, 1);
}

/// The thread of this test stands for the writer's.
#[tokio::test]
async fn the_writer_is_woken_when_there_is_enough_to_do() {
    let (queue, _waits) = mpsc::channel(QUEUE);
    let journal = Journal {
        queue,
        words: Words {
            store: true,
            files: false,
        },
        writer: std::thread::current(),
        counts: Arc::default(),
        room: Arc::default(),
    };
    let sleeps = |most| {
        let began = std::time::Instant::now();
        std::thread::park_timeout(most);
        began.elapsed() >= most
    };
    while journal.queue.capacity() >= GATHERED {
        journal.record(relay("one"), until(10)).await;
    }
    assert!(sleeps(Duration::from_millis(1)), "for little it is not");
    journal.record(relay("more"), until(10)).await;
    assert!(!sleeps(Duration::from_secs(60)));
}

/// Another program has the store: the queue fills up to the reserve, nothing is lost, and
/// all of it is there when the store is free again.
#[tokio::test(flavor = "multi_thread")]
async fn a_locked_store_keeps_recipients_waiting_and_loses_nothing() {
    let directory = TempDir::new().expect("a directory");
    let store = Store::open(directory.path()).await.expect("a store");
    let mut other = sqlx::SqliteConnection::connect_with(
        &sqlx::sqlite::SqliteConnectOptions::new().filename(store.file()),
    )
    .await
    .expect("it is there");
    let lock = other.begin_with("BEGIN IMMEDIATE").await.expect("the lock");
    let (journal, writer) = Journal::start(places(&directory, true, true)).expect("it starts");
    let mut sent = Vec::new();
    // What the writer holds, and the half of the queue.
    while journal.state().write_errors == 0 || journal.queue.capacity() >= RESERVE {
        if journal.queue.capacity() < RESERVE {
            tokio::task::yield_now().await;
            continue;
        }
        let text = format!("{:06}", sent.len());
        journal.record(relay(&text), until(60)).await;
        sent.push(text);
        assert!(sent.len() < 4 * QUEUE, "it is bounded");
    }
    assert!(!journal.has_room(Instant::now()).await);
    // What becomes of earlier mail still finds room.
    journal.record(relay("outcome"), Instant::now()).await;
    sent.push("outcome".to_owned());
    assert_eq!(journal.state().lost, 0);
    assert!(!journal.flush(Instant::now()).await, "it is not on disk");
    lock.rollback().await.expect("given back");
    assert!(journal.flush(until(60)).await, "all of it is");
    assert_eq!(replies(&directory).await.len(), sent.len());
    assert!(journal.has_room(until(60)).await, "it catches up");
    finish(journal, writer).await;
    sent.sort();
    assert_eq!(replies(&directory).await, sent);
}

/// A batch of which nobody knows whether it was written is written once.
#[tokio::test]
async fn what_was_written_is_not_written_twice() {
    let directory = TempDir::new().expect("a directory");
    let store = Store::open(directory.path()).await.expect("a store");
    let mut writer = crate::store::ReceiptWriter::new(store.clone());
    let events = [relay("one"), relay("two")];
    writer.write(&events).await.expect("written");
    writer.doubt();
    let more = [relay("three")];
    let all: Vec<Event> = events.iter().chain(&more).cloned().collect();
    writer.write(&all).await.expect("written");
    writer.close().await;
    assert_eq!(replies(&directory).await, ["one", "three", "two"]);
    let counts = store.receipt_counts().await.expect("counts");
    assert_eq!(counts, [(String::new(), 3)]);
}
