//! Receipts: written in batches, found, kept as long as they may, and erased.

use std::net::IpAddr;

use super::*;
use crate::decision::{Refusal, Verdict};
use crate::facts::{Facts, ReceiptId};
use crate::receipt::eraser::{Eraser, MARK};
use crate::receipt::filter::Filter;
use crate::receipt::read::Receipt;
use crate::receipt::sample::{outcome, policy, relay, verdict};
use crate::receipt::source::Part;
use crate::receipt::{Event, ModuleUsed, PolicyUsed, VerdictEvent};

const ALL: Part = Part {
    newest_first: false,
    after: None,
    limit: 1000,
};

const NEWEST: Part = Part {
    newest_first: true,
    ..ALL
};

async fn write(store: &Store, events: &[Event]) {
    let mut writer = ReceiptWriter::new(store.clone());
    let wrong = writer.write(events).await.expect("written");
    assert!(wrong.is_empty());
    writer.close().await;
}

fn event(verdict: VerdictEvent) -> Event {
    Event::Verdict(Box::new(verdict))
}

fn refused(verdict: VerdictEvent) -> VerdictEvent {
    VerdictEvent {
        verdict: Verdict::Refused(Refusal::Plaintext),
        ..verdict
    }
}

fn with(verdict: VerdictEvent, change: impl FnOnce(&mut Facts)) -> VerdictEvent {
    let mut facts = (*verdict.facts).clone();
    change(&mut facts);
    VerdictEvent {
        id: facts.id,
        facts: Arc::new(facts),
        ..verdict
    }
}

/// Made at this second since 1970.
fn made(verdict: VerdictEvent, second: u64) -> VerdictEvent {
    let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(second);
    with(verdict, |facts| facts.id = ReceiptId::new(time))
}

async fn found(store: &Store, filter: &Filter) -> Vec<String> {
    let found = store.receipts(filter, ALL).await.expect("receipts");
    found.iter().map(recipient).collect()
}

fn recipient(receipt: &Receipt) -> String {
    match receipt {
        Receipt::Decided(verdict, ..) => verdict.facts.recipient.to_string(),
        Receipt::Relay(relay) => relay.recipient.to_string(),
    }
}

#[tokio::test]
async fn events_of_one_receipt_come_together_in_one_batch_or_several() {
    let site = Site::new();
    let store = store(&site).await;
    let (one, two) = (verdict("one@acme.example"), verdict("two@acme.example"));
    let second = refused(VerdictEvent {
        policy: policy("board", "board"),
        ..two.clone()
    });
    write(
        &store,
        &[event(one.clone()), outcome(&one), event(two.clone())],
    )
    .await;
    write(&store, &[Event::Content(Box::new(second)), outcome(&two)]).await;
    let receipts = store.receipts(&Filter::default(), ALL).await.expect("read");
    let [
        Receipt::Decided(_, None, Some(_)),
        Receipt::Decided(_, Some(again), Some(_)),
    ] = receipts.as_slice()
    else {
        unreachable!("{receipts:?}");
    };
    assert_eq!(again.policy, policy("board", "board"));
    // What was decided at last is what it is found by.
    let filter = Filter {
        policy: Some("board".to_owned()),
        accepted: Some(false),
        ..Filter::default()
    };
    assert_eq!(found(&store, &filter).await, ["two@acme.example"]);
    // What came before its verdict, or without, is nobody's.
    write(&store, &[outcome(&verdict("three@acme.example"))]).await;
    assert_eq!(
        store.receipt_counts().await.expect("counts"),
        [("acme".to_owned(), 2)]
    );
}

/// What became of a receipt meanwhile is not lost with the row that is left out.
#[tokio::test]
async fn a_batch_that_is_written_again_brings_what_came_since() {
    let site = Site::new();
    let store = store(&site).await;
    let one = verdict("one@acme.example");
    let mut writer = ReceiptWriter::new(store.clone());
    let first = [event(one.clone())];
    writer.write(&first).await.expect("written");
    writer.doubt();
    let second = refused(VerdictEvent {
        policy: policy("board", "board"),
        ..one.clone()
    });
    let [first] = first;
    let again = [first, Event::Content(Box::new(second)), outcome(&one)];
    writer.write(&again).await.expect("written");
    writer.close().await;
    let receipts = store.receipts(&Filter::default(), ALL).await.expect("read");
    let [Receipt::Decided(_, Some(second), Some(_))] = receipts.as_slice() else {
        unreachable!("{receipts:?}");
    };
    assert_eq!(second.policy, policy("board", "board"));
    let counts = store.receipt_counts().await.expect("counts");
    assert_eq!(counts, [("acme".to_owned(), 1)]);
}

#[tokio::test]
async fn receipts_are_found_by_all_that_is_asked() {
    let site = Site::new();
    let store = store(&site).await;
    let client: IpAddr = "192.0.2.9".parse().expect("an address");
    let other = with(refused(verdict("b@acme.example")), |facts| {
        facts.sender = Some("Amy@Other.example".parse().expect("a mailbox"));
        let mut connection = (*facts.connection).clone();
        connection.client = (client, 25).into();
        facts.connection = Arc::new(connection);
    });
    let other = VerdictEvent {
        policy: policy("board", "board"),
        ..other
    };
    let bank = with(verdict("c@bank.example"), |facts| {
        facts.tenant = "bank".parse().expect("an id");
        facts.sender = None;
    });
    let old = made(verdict("a@acme.example"), 1000);
    write(
        &store,
        &[event(old), event(other), event(bank), relay("no")],
    )
    .await;
    let filter = |change: &dyn Fn(&mut Filter)| {
        let mut filter = Filter::default();
        change(&mut filter);
        filter
    };
    let address = |text: &str| text.parse().ok();
    let acme = || "acme".parse().ok();
    for (wanted, expected) in [
        (filter(&|_| {}), "a b c x"),
        (filter(&|f| f.tenant = acme()), "a b"),
        (filter(&|f| f.tenant = "none".parse().ok()), ""),
        (filter(&|f| f.sender = address("AMY@other.example")), "b"),
        (filter(&|f| f.sender = address("other.example")), "b"),
        (filter(&|f| f.sender = address("my@other.example")), ""),
        (filter(&|f| f.sender = address("<>")), "c x"),
        (filter(&|f| f.recipient = address("acme.example")), "a b"),
        (filter(&|f| f.recipient = address("B@acme.example")), "b"),
        (filter(&|f| f.client = Some(client)), "b"),
        (filter(&|f| f.client = "::ffff:192.0.2.9".parse().ok()), "b"),
        (filter(&|f| f.policy = Some("board".into())), "b"),
        (filter(&|f| f.accepted = Some(true)), "a c"),
        (filter(&|f| f.accepted = Some(false)), "b x"),
        (
            filter(&|f| (f.accepted, f.tenant) = (Some(false), acme())),
            "b",
        ),
        (filter(&|f| f.from = Some(1001)), "b c x"),
        (filter(&|f| (f.from, f.to) = (Some(1000), Some(1001))), "a"),
        (filter(&|f| f.to = Some(1000)), ""),
        (
            filter(&|f| {
                f.tenant = acme();
                f.sender = address("other.example");
                f.recipient = address("b@acme.example");
                f.client = Some(client);
                f.policy = Some("board".into());
                f.accepted = Some(false);
                f.from = Some(1);
            }),
            "b",
        ),
    ] {
        let names = found(&store, &wanted).await;
        let names: Vec<&str> = names.iter().filter_map(|name| name.get(..1)).collect();
        assert_eq!(names.join(" "), expected, "{wanted:?}");
    }
}

#[tokio::test]
async fn pages_go_from_one_to_the_next_in_either_order() {
    let site = Site::new();
    let store = store(&site).await;
    let events: Vec<Event> = (0..120).map(|_| event(verdict("a@acme.example"))).collect();
    write(&store, &events).await;
    let mut ids: Vec<ReceiptId> = events.iter().map(Event::id).collect();
    for sender in [None, "partner.example".parse().ok()] {
        let filter = Filter {
            sender,
            ..Filter::default()
        };
        for newest_first in [false, true] {
            let mut part = Part {
                newest_first,
                after: None,
                limit: 50,
            };
            let mut seen = Vec::new();
            loop {
                let page = store.receipts(&filter, part).await.expect("a page");
                seen.extend(page.iter().map(Receipt::id));
                part.after = page.last().map(Receipt::id);
                if page.len() < part.limit {
                    break;
                }
            }
            ids.sort();
            if newest_first {
                ids.reverse();
            }
            assert_eq!(seen, ids);
        }
    }
}

/// Nobody who looks for something goes through all that there is.
#[tokio::test]
async fn searches_use_the_index_of_what_is_asked() {
    let site = Site::new();
    let store = store(&site).await;
    let mut connection = store.connection().await.expect("a connection");
    let tenant = || "acme".parse().ok();
    let address = || "amy@partner.example".parse().ok();
    for (filter, index) in [
        (
            Filter {
                tenant: tenant(),
                ..Filter::default()
            },
            "receipts_by_tenant",
        ),
        (
            Filter {
                tenant: tenant(),
                sender: address(),
                ..Filter::default()
            },
            "receipts_by_sender",
        ),
        (
            Filter {
                sender: address(),
                ..Filter::default()
            },
            "receipts_by_sender",
        ),
        (
            Filter {
                sender: "a.example".parse().ok(),
                ..Filter::default()
            },
            "receipts_by_sender",
        ),
        (
            Filter {
                tenant: tenant(),
                sender: "a.example".parse().ok(),
                ..Filter::default()
            },
            "receipts_by_sender",
        ),
        (
            Filter {
                tenant: tenant(),
                recipient: address(),
                ..Filter::default()
            },
            "receipts_by_recipient",
        ),
        (
            Filter {
                recipient: address(),
                ..Filter::default()
            },
            "receipts_by_recipient",
        ),
        (
            Filter {
                client: "192.0.2.1".parse().ok(),
                ..Filter::default()
            },
            "receipts_by_client",
        ),
        (
            Filter {
                policy: Some("p".into()),
                ..Filter::default()
            },
            "receipts_by_policy",
        ),
        (
            Filter {
                tenant: tenant(),
                policy: Some("p".into()),
                ..Filter::default()
            },
            "receipts_by_policy",
        ),
        (
            Filter {
                tenant: tenant(),
                accepted: Some(false),
                ..Filter::default()
            },
            "receipts_refused",
        ),
        (
            Filter {
                accepted: Some(false),
                ..Filter::default()
            },
            "receipts_refused",
        ),
    ] {
        let statement = sqlite::receipt_rows::search(&filter, NEWEST);
        let plan = format!("EXPLAIN QUERY PLAN {}", statement.sql().as_str());
        let rows: Vec<(i64, i64, i64, String)> = sqlx::query_as(sqlx::AssertSqlSafe(plan))
            .fetch_all(&mut *connection)
            .await
            .expect("a plan");
        let plan: Vec<&str> = rows.iter().map(|row| row.3.as_str()).collect();
        let wanted = format!("SEARCH receipts USING COVERING INDEX {index} ");
        let wanted_too = format!("SEARCH receipts USING INDEX {index} ");
        assert!(
            plan.iter()
                .any(|step| step.starts_with(&wanted) || step.starts_with(&wanted_too)),
            "{filter:?}: {plan:#?}"
        );
        assert!(
            !plan.iter().any(|step| step.starts_with("SCAN receipts")),
            "{filter:?}: {plan:#?}"
        );
    }
}

#[tokio::test]
async fn the_oldest_go_by_age_and_beyond_the_quota() {
    const DAY: u64 = 86_400;
    let site = Site::new();
    site.write(
        "acme.toml",
        "domains = [\"acme.example\"]\n[quotas]\nreceipt_days = 2\n",
    );
    site.write(
        "bank.toml",
        "domains = [\"bank.example\"]\n[quotas]\nreceipt_count = 1000\n",
    );
    let store = store(&site).await;
    apply(&store, &site).await;
    let now = 100 * DAY;
    let mut events = vec![relay("of today, by the clock of this machine")];
    for day in 90..100 {
        events.push(event(made(verdict("a@acme.example"), day * DAY + 1)));
    }
    for _ in 0..1700 {
        let bank = made(verdict("b@bank.example"), now - 1);
        events.push(event(with(bank, |facts| {
            facts.tenant = "bank".parse().expect("an id");
        })));
    }
    let gone = with(made(verdict("c@gone.example"), 95 * DAY), |facts| {
        facts.tenant = "gone".parse().expect("an id");
    });
    events.push(event(gone));
    write(&store, &events).await;
    let mut steps = 0;
    for allowance in store.allowances(4, now).await.expect("allowances") {
        loop {
            let some = store.expire(&allowance).await.expect("it is writable");
            assert!(some <= 500, "a little at a time");
            steps += i64::from(some > 0);
            if some == 0 {
                break;
            }
        }
    }
    assert_eq!(
        steps,
        1 + 2 + 1,
        "of acme, of bank, of whom there is not any more"
    );
    store.tidy(now).await.expect("tidied");
    let left = [("", 1), ("acme", 2), ("bank", 1000)];
    let left = left.map(|(tenant, count)| (tenant.to_owned(), count));
    assert_eq!(store.receipt_counts().await.expect("counts"), left);
    let acme = Filter {
        tenant: "acme".parse().ok(),
        ..Filter::default()
    };
    let newest = store.receipts(&acme, NEWEST).await.expect("receipts");
    assert_eq!(
        newest.first().map(|receipt| receipt.id().made()),
        Some(99 * DAY + 1)
    );
}

/// What a receipt names is there as long as the receipt is, and goes with it.
#[tokio::test]
async fn what_a_decision_is_run_again_with_is_kept() {
    let site = Site::new();
    site.write("acme.toml", ACME).write("m.wasm", "one");
    let store = store(&site).await;
    apply(&store, &site).await;
    let documents = site.documents();
    let (_, list) = documents[0].lists.iter().next().expect("a list");
    let module = Digest::of(b"one");
    let mut named = verdict("a@acme.example");
    named.lists.insert("partners".to_owned(), list.digest());
    named.policy = policy("asks", "asks").map(|used| PolicyUsed {
        module: Some(ModuleUsed {
            name: "m".to_owned(),
            digest: module,
            settings: Digest::of(b"{}"),
        }),
        ..used
    });
    let now = unix_seconds(SystemTime::now());
    // It is on its way when the tenant has others already.
    site.write("acme.toml", "domains = [\"acme.example\"]");
    apply(&store, &site).await;
    write(&store, &[event(named)]).await;
    let later = now + 2 * 3600;
    store.tidy(later).await.expect("tidied");
    assert_eq!(&*store.module(module).await.expect("it is needed"), b"one");
    let mut connection = store.connection().await.expect("a connection");
    let kept = tenants::list(&mut connection, list.digest()).await;
    assert_eq!(kept.expect("it is needed").digest(), list.digest());
    drop(connection);
    // The receipt's time is over.
    for allowance in store.allowances(1, now + 2 * 86_400).await.expect("read") {
        while store.expire(&allowance).await.expect("expired") > 0 {}
    }
    store.tidy(later).await.expect("tidied");
    assert!(store.module(module).await.is_err());
    let mut connection = store.connection().await.expect("a connection");
    let kept = tenants::list(&mut connection, list.digest()).await;
    assert!(kept.is_err());
}

#[tokio::test]
async fn an_address_is_erased_from_the_file_and_what_is_beside_it() {
    let site = Site::new();
    let store = store(&site).await;
    let amy = "Amy.Erased-Person@partner.example";
    let named = |tenant: &str| {
        let named = with(verdict("b@acme.example"), |facts| {
            facts.tenant = tenant.parse().expect("an id");
            facts.sender = Some(amy.parse().expect("a mailbox"));
        });
        VerdictEvent {
            reply: format!("550 5.1.1 <{}> is not known", amy.to_lowercase()),
            ..named
        }
    };
    let mut events: Vec<Event> = (0..250).map(|_| event(named("acme"))).collect();
    events.push(event(named("bank")));
    events.extend((0..600).map(|_| event(verdict("other@acme.example"))));
    write(&store, &events).await;
    // Some of it was in pages that are free by now.
    for allowance in store.allowances(90, 1).await.expect("read") {
        assert_eq!(store.expire(&allowance).await.expect("expired"), 0);
    }
    let eraser = Eraser::new(&amy.parse().expect("a mailbox"));
    let acme = "acme".parse().expect("an id");
    let erased = store
        .erase(&eraser, Some(&acme), "test")
        .await
        .expect("erased");
    assert_eq!((erased.receipts, erased.is_settled), (250, true));
    let of = |address: &str| Filter {
        sender: address.parse().ok(),
        ..Filter::default()
    };
    assert_eq!(found(&store, &of(amy)).await.len(), 1, "another tenant's");
    let marked = store.receipts(&of(MARK), ALL).await.expect("receipts");
    assert_eq!(marked.len(), 250);
    assert!(marked.iter().all(Receipt::is_erased));
    let erased = store.erase(&eraser, None, "test").await.expect("erased");
    assert_eq!((erased.receipts, erased.is_settled), (1, true));
    let again = store.erase(&eraser, None, "test").await.expect("erased");
    assert_eq!(again.receipts, 0);
    for entry in fs::read_dir(site.path()).expect("a directory").flatten() {
        let bytes = fs::read(entry.path())
            .unwrap_or_default()
            .to_ascii_lowercase();
        let has = |needle: &[u8]| memchr::memmem::find(&bytes, needle).is_some();
        assert!(!has(b"amy.erased-person"), "{}", entry.path().display());
    }
    let audit = store
        .audit(&AuditFilter::default())
        .await
        .expect("the audit");
    let digest = eraser.digest();
    let counts = audit.iter().map(|record| {
        let became = record.became.as_ref().expect("what was done");
        assert_eq!(became["sha256"], digest.to_string());
        (record.tenant.as_str(), became["receipts"].as_u64())
    });
    let counts: Vec<_> = counts.collect();
    assert_eq!(
        counts,
        [
            ("acme", Some(200)),
            ("acme", Some(50)),
            ("", Some(1)),
            ("", Some(0))
        ]
    );
}

async fn damage(store: &Store, id: ReceiptId, event: &str) {
    let mut connection = store.connection().await.expect("a connection");
    let sql = "UPDATE receipts SET event = $2 WHERE id = $1";
    let query = sqlx::query(sql).bind(id.to_string()).bind(event.to_owned());
    let done = query.execute(&mut *connection).await.expect("written");
    assert_eq!(done.rows_affected(), 1);
}

const AMY: &str = "amy@partner.example";

fn of_amy(tenant: &str) -> VerdictEvent {
    with(verdict("b@acme.example"), |facts| {
        facts.id = ReceiptId::new(SystemTime::now());
        facts.tenant = tenant.parse().expect("an id");
        facts.sender = Some(AMY.parse().expect("a mailbox"));
    })
}

#[tokio::test]
async fn a_receipt_that_cannot_be_read_is_erased_from_and_stops_nothing() {
    let site = Site::new();
    let store = store(&site).await;
    let all: Vec<VerdictEvent> = (0..5).map(|_| of_amy("acme")).collect();
    let events: Vec<Event> = all.iter().cloned().map(event).collect();
    write(&store, &events).await;
    damage(&store, all[1].id, "{\"cut\":\"amy@par").await;
    damage(
        &store,
        all[2].id,
        "{\"of\":[\"amy@partner.example\",\"bob@partner.example\"]}",
    )
    .await;
    let eraser = Eraser::new(&AMY.parse().expect("a mailbox"));
    let erased = store.erase(&eraser, None, "test").await.expect("erased");
    assert_eq!((erased.receipts, erased.unreadable), (5, 2));
    let mut connection = store.connection().await.expect("a connection");
    let rows: Vec<(String, String, String)> =
        sqlx::query_as("SELECT event, sender_local, sender_domain FROM receipts ORDER BY id")
            .fetch_all(&mut *connection)
            .await
            .expect("rows");
    drop(connection);
    for (event, local, domain) in &rows {
        assert_eq!(format!("{local}@{domain}"), MARK);
        assert!(!event.contains("amy"), "{event}");
    }
    assert!(rows[2].0.contains("bob@partner.example"), "another's");
    let page = store
        .receipt_page(&Filter::default(), ALL)
        .await
        .expect("a page");
    assert_eq!((page.receipts.len(), page.unreadable), (3, 2));
    let audit = store
        .audit(&AuditFilter::default())
        .await
        .expect("the audit");
    let became = audit[0].became.as_ref().expect("what was done");
    assert_eq!(
        (&became["receipts"], &became["unreadable"]),
        (&5.into(), &2.into())
    );
    let again = store.erase(&eraser, None, "test").await.expect("erased");
    assert_eq!((again.receipts, again.unreadable), (0, 0));
}

/// Mail that is under way, and receipts that are: the address does not come back with them.
#[tokio::test]
async fn what_follows_an_erased_receipt_is_erased_from_as_well() {
    let site = Site::new();
    let store = store(&site).await;
    let [began, waiting, bank] = [of_amy("acme"), of_amy("acme"), of_amy("bank")];
    write(&store, &[event(began.clone()), event(bank.clone())]).await;
    let eraser = Eraser::new(&AMY.parse().expect("a mailbox"));
    let acme = "acme".parse().expect("an id");
    store.erase_from_what_comes(&eraser, Some(&acme));
    let erased = store
        .erase(&eraser, Some(&acme), "test")
        .await
        .expect("erased");
    assert_eq!(erased.receipts, 1);
    let new = of_amy("acme");
    let told = |of: &VerdictEvent| match outcome(of) {
        Event::Outcome(outcome) => Event::Outcome(crate::receipt::OutcomeEvent {
            reply: format!("550 5.1.1 <{AMY}> unknown"),
            tenant: of.facts.tenant.clone(),
            ..outcome
        }),
        other => other,
    };
    let mut events: Vec<Event> = [&waiting, &new].map(|of| event(of.clone())).into();
    for of in [&began, &waiting, &new, &bank] {
        events.push(Event::Content(Box::new(of.clone())));
        events.push(told(of));
    }
    write(&store, &events).await;
    let mut connection = store.connection().await.expect("a connection");
    let rows: Vec<(String, String)> = sqlx::query_as(
        "SELECT id, event || ' ' || content || ' ' || outcome || ' ' || sender_local FROM receipts",
    )
    .fetch_all(&mut *connection)
    .await
    .expect("rows");
    for (of, stays) in [(&began, 0), (&waiting, 0), (&new, 3), (&bank, 3)] {
        let id = of.id.to_string();
        let (_, text) = rows.iter().find(|(found, _)| *found == id).expect("a row");
        assert_eq!(text.matches(AMY).count(), stays, "{text}");
        assert_eq!(text.ends_with(" amy"), stays > 0, "{text}");
    }
}

#[tokio::test]
async fn the_newest_receipt_before_a_time_is_known() {
    let site = Site::new();
    let store = store(&site).await;
    let made = [1000, 2000, 3000].map(|second| event(made(verdict("a@acme.example"), second)));
    write(&store, &made).await;
    for (before, newest) in [
        (1000, None),
        (1001, Some(1000)),
        (3000, Some(2000)),
        (9000, Some(3000)),
    ] {
        let found = store.newest_receipt_before(before).await.expect("read");
        assert_eq!(found, newest, "{before}");
    }
}
