use super::*;
use crate::address::Mailbox;
use crate::content::Content;
use crate::deliver::sharing::Company;

fn mailbox(text: &str) -> Mailbox {
    text.parse().expect("a mailbox")
}

fn copy(recipient: &str, content: &str) -> Addressed {
    let content = Content::in_memory(content.into());
    let hash = ContentHash::of(&content).expect("in memory");
    hash.copy(Some(&mailbox("s@sender.example")), &mailbox(recipient))
}

fn refused(code: u16) -> State {
    let enhanced = (7, 1);
    State::Refused(RefusalKind { code, enhanced })
}

#[test]
fn a_copy_is_its_sender_recipient_and_content() {
    let hash = |content: &str| ContentHash::of(&Content::in_memory(content.into())).expect("ok");
    let (a, b) = (mailbox("a@x.example"), mailbox("b@x.example"));
    let one = hash("x").copy(Some(&a), &b);
    assert_eq!(one, hash("x").copy(Some(&a), &b));
    for other in [
        hash("y").copy(Some(&a), &b),
        hash("x").copy(Some(&b), &a),
        hash("x").copy(Some(&b), &b),
        hash("x").copy(None, &b),
    ] {
        assert_ne!(one.digest, other.digest);
    }
    assert_eq!(one.pair, Pair::of(Some(&a), &b));
}

#[tokio::test]
async fn what_is_recorded_survives_a_restart() {
    let home = tempfile::tempdir().expect("a directory");
    let states = [
        Some(State::Delivered),
        Some(refused(550)),
        Some(State::Deferred { again: false }),
        Some(State::Deferred { again: true }),
        None,
    ];
    let recorded: Vec<(Addressed, Option<State>)> = states
        .into_iter()
        .enumerate()
        .map(|(at, state)| (copy(&format!("r{at}@a.example"), "x"), state))
        .collect();
    let ledger = Ledger::open(home.path()).expect("opened");
    ledger.record(recorded.clone()).await.expect("written");
    drop(ledger);
    let ledger = Ledger::open(home.path()).expect("opened");
    for (copy, state) in recorded {
        assert_eq!(ledger.state(&copy), state);
    }
    assert_eq!(ledger.state(&copy("r0@a.example", "y")), None);
}

/// A retry that changes nothing of what is known.
#[tokio::test]
async fn nothing_to_remember_is_no_file() {
    let home = tempfile::tempdir().expect("a directory");
    let ledger = Ledger::open(home.path()).expect("opened");
    ledger.record(Vec::new()).await.expect("nothing is written");
    ledger.note(Vec::new());
    let known = vec![(copy("a@a.example", "x"), Some(State::Delivered))];
    ledger.record(known).await.expect("written");
    let files = std::fs::read_dir(home.path()).expect("the directory");
    assert_eq!(files.count(), 1, "that of today");
}

/// Whoever is put off for the content may have the message from before.
#[tokio::test]
async fn who_gives_turns_to_others_stays_what_it_was() {
    let home = tempfile::tempdir().expect("a directory");
    let ledger = Ledger::open(home.path()).expect("opened");
    let again = Some(State::Deferred { again: true });
    for (at, (known, then)) in [
        (Some(State::Delivered), Some(State::Delivered)),
        (Some(refused(550)), Some(refused(550))),
        (Some(State::UnderWay), Some(State::UnderWay)),
        (Some(State::Deferred { again: false }), again),
        (again, again),
        (None, again),
    ]
    .into_iter()
    .enumerate()
    {
        let recipient = format!("r{at}@a.example");
        let copy = copy(&recipient, "x");
        ledger.note(vec![(copy, known)]);
        ledger.let_yield(&copy, 1);
        assert_eq!(ledger.state(&copy), then, "{known:?}");
        let sender = mailbox("s@sender.example");
        let standing = ledger.standing(Some(&sender), &mailbox(&recipient));
        assert!(standing.yields, "{known:?}");
    }
}

#[tokio::test]
async fn a_torn_record_counts_for_nothing_and_spoils_no_other() {
    let home = tempfile::tempdir().expect("a directory");
    let (one, two) = (copy("a@a.example", "x"), copy("b@a.example", "x"));
    let delivered = |copy| vec![(copy, Some(State::Delivered))];
    let ledger = Ledger::open(home.path()).expect("opened");
    ledger.record(delivered(one)).await.expect("written");
    drop(ledger);
    let file = std::fs::read_dir(home.path())
        .expect("the directory")
        .next()
        .expect("a file")
        .expect("an entry")
        .path();
    let whole = std::fs::read_to_string(&file).expect("text");
    for torn in [&whole[..whole.len() - 1], "delivered 00", "\u{fffd}"] {
        std::fs::write(&file, format!("{whole}{torn}")).expect("written");
        let ledger = Ledger::open(home.path()).expect("opened");
        assert_eq!(ledger.state(&one), Some(State::Delivered));
        assert_eq!(
            std::fs::read_to_string(&file).expect("text"),
            whole,
            "it is cut off"
        );
        ledger.record(delivered(two)).await.expect("written");
        drop(ledger);
        let ledger = Ledger::open(home.path()).expect("opened");
        assert_eq!(ledger.state(&two), Some(State::Delivered));
    }
}

#[tokio::test]
async fn what_cannot_be_written_is_said_and_known_all_the_same() {
    let home = tempfile::tempdir().expect("a directory");
    let directory = home.path().join("ledger");
    let mut days = Days::open(&directory, KEEP).expect("opened");
    std::fs::remove_dir(&directory).expect("it is empty");
    std::fs::write(&directory, "in the way").expect("written");
    let record = record(copy("a@a.example", "x"), Some(State::Delivered));
    days.append([&record].into_iter(), true)
        .expect_err("there is no directory");
    std::fs::remove_file(&directory).expect("the test put it there");
    std::fs::create_dir(&directory).expect("made");
    days.append([&record].into_iter(), true)
        .expect("it is mended");
}

fn put(index: &mut Index, copy: Addressed, state: State, at: u64) {
    index.put(&Record {
        copy,
        state: Some(state),
        at,
    });
}

#[test]
fn what_is_old_is_forgotten() {
    let mut index = Index::new(100);
    let (one, two) = (copy("a@a.example", "x"), copy("b@a.example", "x"));
    put(&mut index, one, State::Delivered, 1000);
    assert_eq!(index.state(&one, 1099), Some(State::Delivered));
    assert_eq!(index.state(&one, 1100), None);
    put(&mut index, two, State::Delivered, 1100);
    assert!(!index.knows(one.pair, 0), "it is not kept either");
    // What is put again is as new.
    put(&mut index, two, State::Delivered, 1150);
    put(&mut index, one, State::Delivered, 1210);
    assert_eq!(index.state(&two, 1210), Some(State::Delivered));
}

#[test]
fn a_recipient_of_several_minds_shares_with_nobody() {
    let (x, y) = (copy("a@a.example", "x"), copy("a@a.example", "y"));
    let deferred = |again| State::Deferred { again };
    let kind = |code| {
        Company::Refused(RefusalKind {
            code,
            enhanced: (7, 1),
        })
    };
    for (of_x, of_y, company) in [
        (State::Delivered, State::Delivered, Company::Anyone),
        (State::Delivered, deferred(false), Company::Anyone),
        (refused(550), refused(550), kind(550)),
        (refused(550), refused(554), Company::Nobody),
        (refused(550), State::Delivered, Company::Nobody),
        (deferred(true), deferred(true), Company::Deferred),
        (deferred(true), deferred(false), Company::Nobody),
    ] {
        let mut index = Index::new(100);
        put(&mut index, x, of_x, 1);
        put(&mut index, y, of_y, 1);
        assert_eq!(
            index.standing(x.pair, 1).company,
            company,
            "{of_x:?}, {of_y:?}"
        );
    }
}

#[test]
fn what_is_under_way_stays_so_until_it_arrives() {
    let mut index = Index::new(100);
    let x = copy("a@a.example", "x");
    put(&mut index, x, State::UnderWay, 1);
    put(&mut index, x, State::Deferred { again: false }, 2);
    assert_eq!(index.state(&x, 2), Some(State::UnderWay));
    index.forget_under_way(&[x]);
    assert_eq!(index.state(&x, 2), None);
}

/// Whoever asks at any moment finds one or the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_arrives_late_is_known_all_the_time() {
    let home = tempfile::tempdir().expect("a directory");
    let ledger = Ledger::open(home.path()).expect("opened");
    for number in 0..100 {
        let copies = [copy(&format!("r{number}@a.example"), "x")];
        ledger.under_way(&copies[0]);
        let (watched, is_watched) = oneshot::channel();
        let asks = {
            let ledger = Arc::clone(&ledger);
            tokio::task::spawn_blocking(move || {
                let mut states = 0_u64;
                let mut watched = Some(watched);
                while ledger.state(&copies[0]).expect("it is known") == State::UnderWay {
                    states += 1;
                    watched.take().map(|watched| watched.send(()));
                }
                states
            })
        };
        is_watched.await.expect("it asks");
        ledger.arrived(&copies, true).await;
        assert!(asks.await.expect("it was known") > 0);
    }
}

#[test]
fn the_index_is_bounded() {
    let mut index = Index::new(100);
    let x = copy("a@a.example", "first");
    put(&mut index, x, State::Delivered, 1);
    for number in 0..300_u64 {
        put(
            &mut index,
            copy("a@a.example", &number.to_string()),
            State::Delivered,
            1,
        );
    }
    assert_eq!(index.state(&x, 1), None, "256 for each pair");
    let y = copy("b@a.example", "x");
    put(&mut index, y, State::Delivered, 1);
    let hash = ContentHash::of(&Content::in_memory(Vec::new())).expect("in memory");
    for number in 0..100_000 {
        let one = hash.copy(None, &mailbox(&format!("r{number}@a.example")));
        put(&mut index, one, State::Delivered, 1);
    }
    assert_eq!(index.state(&y, 1), None, "100,000 in all");
}
