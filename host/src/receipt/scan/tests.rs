use std::fs;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use super::*;
use crate::facts::{Fact, Facts};
use crate::receipt::eraser::MARK;
use crate::receipt::sample::{self, relay};
use crate::receipt::{Event, VerdictEvent};
use crate::store::ReceiptWriter;

/// The second at which 2026-11-26 begins.
const TODAY: u64 = 1_795_651_200;

/// Made at this second.
fn at(second: u64, recipient: &str, tenant: &str) -> VerdictEvent {
    let verdict = sample::verdict(recipient);
    let facts = Facts {
        id: ReceiptId::new(SystemTime::UNIX_EPOCH + Duration::from_secs(second)),
        tenant: tenant.parse().expect("an id"),
        ..(*verdict.facts).clone()
    };
    VerdictEvent {
        id: facts.id,
        facts: Arc::new(facts),
        ..verdict
    }
}

fn event(verdict: &VerdictEvent) -> Event {
    Event::Verdict(Box::new(verdict.clone()))
}

fn span(from: Option<u64>, to: Option<u64>) -> Span {
    Span {
        tenant: "acme".parse().expect("an id"),
        from,
        to,
    }
}

async fn store(events: &[Event]) -> (TempDir, Store) {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(directory.path()).await.expect("a store");
    let mut writer = ReceiptWriter::new(store.clone());
    writer.write(events).await.expect("written");
    writer.close().await;
    (directory, store)
}

/// Recipients on each page.
async fn pages(scan: &mut Scan) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    while let Some(page) = scan.next().await.expect("read") {
        let recipients = page.iter().filter_map(Receipt::last);
        pages.push(
            recipients
                .map(|event| event.facts.recipient.to_string())
                .collect(),
        );
    }
    pages
}

#[tokio::test]
async fn a_span_of_one_tenant_comes_in_its_order_page_by_page() {
    let events: Vec<Event> = [
        at(99, "early@acme.example", "acme"),
        at(100, "a@acme.example", "acme"),
        at(101, "b@bank.example", "bank"),
        at(102, MARK, "acme"),
        at(103, "c@acme.example", "acme"),
        at(104, "d@acme.example", "acme"),
        at(105, "late@acme.example", "acme"),
    ]
    .iter()
    .map(event)
    .chain([relay("no")])
    .collect();
    let (_directory, store) = store(&events).await;
    let source = Source::Store(store);
    let mut scan = Scan::new(source.clone(), span(Some(100), Some(105))).by(2);
    let expected = [
        vec!["a@acme.example"],
        vec!["c@acme.example", "d@acme.example"],
        vec![],
    ];
    assert_eq!(pages(&mut scan).await, expected);
    assert_eq!((scan.erased(), scan.unreadable()), (1, 0));
    let mut all = Scan::new(source.clone(), span(None, None));
    assert_eq!(pages(&mut all).await.concat().len(), 5);
    let mut none = Scan::new(source, span(Some(200), None));
    assert!(pages(&mut none).await.concat().is_empty());
}

#[tokio::test]
async fn what_is_removed_meanwhile_is_not_there() {
    let recipients: Vec<String> = (0..6).map(|n| format!("u{n}@acme.example")).collect();
    let second = |n: usize| 100 + u64::try_from(n).unwrap_or(0);
    let made = recipients.iter().enumerate();
    let events: Vec<Event> = made
        .map(|(n, r)| event(&at(second(n), r, "acme")))
        .collect();
    let (_directory, store) = store(&events).await;
    let mut scan = Scan::new(Source::Store(store.clone()), span(None, None)).by(2);
    let first = scan.next().await.expect("read").expect("a page");
    assert_eq!(first.len(), 2);
    // Kept for no day, from the fifth on: the page that was read, and two behind it, go.
    let oldest = store.allowances(0, 104).await.expect("allowances");
    let mut removed = 0;
    for allowance in &oldest {
        removed += store.expire(allowance).await.expect("expired");
    }
    assert_eq!(removed, 4);
    assert_eq!(pages(&mut scan).await.concat(), recipients[4..]);
}

#[tokio::test]
async fn what_cannot_be_read_is_counted_and_keeps_nobody_from_the_rest() {
    use sqlx::Connection as _;
    let events = ["a@acme.example", "b@acme.example"].map(|to| event(&at(100, to, "acme")));
    let (directory, store) = store(&events).await;
    let url = format!("sqlite://{}", Store::path(directory.path()).display());
    let mut file = sqlx::SqliteConnection::connect(&url).await.expect("opened");
    let damage = "UPDATE receipts SET event = '{}' WHERE recipient_local = 'a'";
    sqlx::query(damage)
        .execute(&mut file)
        .await
        .expect("damaged");
    let older = "UPDATE receipts SET event = replace(event, '\"reverse_name\":null,', '')";
    sqlx::query(older).execute(&mut file).await.expect("older");
    let mut scan = Scan::new(Source::Store(store), span(None, None));
    let page = scan.next().await.expect("read").expect("a page");
    let [receipt] = page.as_slice() else {
        unreachable!("{page:?}");
    };
    assert_eq!(scan.unreadable(), 1);
    // An older host did not know of it: that is another thing than that there was none.
    let lacks = receipt.last().expect("a decision").lacks;
    assert_eq!(lacks, [Fact::ReverseName].into_iter().collect());
}

#[tokio::test]
async fn day_files_are_read_a_day_at_a_time_and_over_midnight() {
    let directory = tempfile::tempdir().expect("a directory");
    let yesterday = at(TODAY - 10, "a@acme.example", "acme");
    let midnight = at(TODAY - 1, "b@acme.example", "acme");
    let today = at(TODAY + 5, "c@acme.example", "acme");
    let line = |event: &Event| serde_json::to_string(event).expect("JSON") + "\n";
    let (first, second) = (
        line(&event(&yesterday)) + "no receipt\n",
        line(&event(&midnight))
            + &line(&sample::outcome(&midnight))
            + &line(&sample::outcome(&yesterday))
            + &line(&event(&today)),
    );
    for (day, text) in [("2026-11-25", first), ("2026-11-26", second)] {
        let path = directory.path().join(format!("{day}.jsonl"));
        fs::write(path, text).expect("written");
    }
    let source = Source::Files(directory.path().to_owned());
    let mut scan = Scan::new(source.clone(), span(None, None));
    let mut found = Vec::new();
    while let Some(page) = scan.next().await.expect("read") {
        found.push(page);
    }
    // The eve of the first day has nothing.
    let sizes: Vec<usize> = found.iter().map(Vec::len).collect();
    assert_eq!(sizes, [0, 2, 1]);
    for receipt in &found[1] {
        let has_outcome = matches!(receipt, Receipt::Decided(_, None, Some(_)));
        assert!(has_outcome, "{receipt:?}");
    }
    assert_eq!(scan.unreadable(), 1);
    let mut part = Scan::new(source, span(Some(TODAY - 5), Some(TODAY)));
    assert_eq!(pages(&mut part).await, [["b@acme.example"]]);
}
