//! Clients that retry, targets that refuse, defer and take: every message comes to an
//! end, with one copy or a refusal for each recipient.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use proptest::prelude::*;

use super::relay::RelayError;
use super::scripted::Script;
use super::{DeliveryError, Ending, Handover, Ledger, Message, Target, Until};
use crate::address::Mailbox;
use crate::content::Content;
use crate::decision::{Permit, Resolved, TlsOffer, judge};
use crate::facts::{Facts, sample};

/// What a target says of a recipient, time after time; the last for ever.
#[derive(Clone, Debug)]
struct Fortune {
    tenant: usize,
    at_rcpt: Vec<u16>,
    at_data: Vec<u16>,
}

/// How often the host is restarted, and in which order the clients take turns.
#[derive(Clone, Debug)]
struct Course {
    fortunes: Vec<Fortune>,
    /// Which recipients each message has, in the client's order.
    messages: Vec<Vec<usize>>,
    /// Before which rounds the host is restarted.
    restarts: Vec<bool>,
}

/// How a recipient of a message ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Delivered,
    Bounced(u16),
}

fn codes() -> impl Strategy<Value = Vec<u16>> {
    let transient = proptest::sample::select(vec![451, 452]);
    let last = proptest::sample::select(vec![250, 250, 250, 550, 554]);
    (proptest::collection::vec(transient, 0..4), last).prop_map(|(mut codes, last)| {
        codes.push(last);
        codes
    })
}

fn fortune() -> impl Strategy<Value = Fortune> {
    let at_rcpt = prop_oneof![4 => Just(vec![250]), 1 => codes()];
    (0..3_usize, at_rcpt, codes()).prop_map(|(tenant, at_rcpt, at_data)| Fortune {
        tenant,
        at_rcpt,
        at_data,
    })
}

fn course(messages: usize) -> impl Strategy<Value = Course> {
    let fortunes = proptest::collection::vec(fortune(), 1..8);
    fortunes.prop_flat_map(move |fortunes| {
        let all: Vec<usize> = (0..fortunes.len()).collect();
        let some = proptest::sample::subsequence(all.clone(), 1..=all.len()).prop_shuffle();
        (
            Just(fortunes),
            proptest::collection::vec(some, 1..=messages),
            proptest::collection::vec(proptest::bool::weighted(0.2), 100),
        )
            .prop_map(|(fortunes, messages, restarts)| Course {
                fortunes,
                messages,
                restarts,
            })
    })
}

fn mailbox(recipient: usize) -> Mailbox {
    let text = format!("r{recipient}@acme.example");
    text.parse().expect("a mailbox")
}

fn permit(recipient: usize, tenant: usize) -> Permit {
    let facts = Facts {
        tenant: format!("tenant-{tenant}").parse().expect("an id"),
        ..sample::clear(&mailbox(recipient))
    };
    judge(&Resolved::Opportunistic, &facts, TlsOffer::Offered).expect("nothing is enforced")
}

fn message(number: usize) -> Message {
    let facts = sample::clear(&mailbox(0));
    Message {
        connection: Arc::clone(&facts.connection),
        helo: facts.helo.clone(),
        sender: facts.sender.clone(),
        parameters: facts.parameters.clone(),
        received: facts.now,
        content: Arc::new(Content::in_memory(format!("{number}\r\n").into())),
    }
}

/// A host, its targets and its clients.
struct World {
    home: tempfile::TempDir,
    ledger: Arc<Ledger>,
    fortunes: Vec<Fortune>,
    /// For each message and tenant: what happens to one message is a matter of its own.
    targets: HashMap<(usize, usize), (Arc<Script>, Arc<Target>)>,
}

impl World {
    fn new(fortunes: &[Fortune], messages: usize) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let ledger = Ledger::open(home.path()).expect("it can be written");
        let mut targets = HashMap::new();
        for message in 0..messages {
            for tenant in 0..3 {
                let script = Arc::new(script(fortunes, tenant));
                let target = Arc::new(Target::Scripted(Arc::clone(&script)));
                targets.insert((message, tenant), (script, target));
            }
        }
        Self {
            home,
            ledger,
            fortunes: fortunes.to_vec(),
            targets,
        }
    }

    fn restart(&mut self) {
        self.ledger = Ledger::open(self.home.path()).expect("it can be written");
    }

    /// One transaction of a client's; those that came to an end.
    async fn attempt(&self, number: usize, pending: &[usize]) -> BTreeMap<usize, End> {
        let whole = message(number);
        let (sender, parameters) = (whole.sender.clone(), whole.parameters.clone());
        let mut handover = Handover::new(Arc::clone(&self.ledger), sender, parameters);
        // Nothing here takes time.
        let due = tokio::time::Instant::now();
        let (mut ended, mut accepted, mut permits) = (BTreeMap::new(), Vec::new(), Vec::new());
        for recipient in pending {
            let tenant = self.fortunes[*recipient].tenant;
            let permit = permit(*recipient, tenant);
            match handover
                .offer(permit.clone(), &self.targets[&(number, tenant)].1, due)
                .await
            {
                Ok(()) => {
                    accepted.push(*recipient);
                    permits.push(permit);
                }
                Err(error) if error.is_permanent() => {
                    ended.insert(*recipient, End::Bounced(code(&error)));
                }
                Err(_) => {}
            }
        }
        if permits.is_empty() {
            handover.abandon();
            return ended;
        }
        let delivered = handover
            .deliver(
                whole,
                &permits,
                HashMap::new(),
                "mx.example",
                Until::due(due),
            )
            .await;
        assert_eq!(delivered.unrecorded, None);
        let end = match delivered.ending {
            Ending::Delivered => Some(End::Delivered),
            Ending::Failed(error) if error.is_permanent() => Some(End::Bounced(code(&error))),
            Ending::Failed(_) | Ending::Mixed => None,
        };
        ended.extend(
            end.into_iter()
                .flat_map(|end| accepted.iter().map(move |one| (*one, end))),
        );
        ended
    }

    fn copies(&self, number: usize, recipient: usize) -> usize {
        let tenant = self.fortunes[recipient].tenant;
        let played = self.targets[&(number, tenant)]
            .0
            .state
            .lock()
            .expect("no panic");
        played.copies.get(&mailbox(recipient)).copied().unwrap_or(0)
    }
}

fn script(fortunes: &[Fortune], tenant: usize) -> Script {
    let script = Script::default();
    let mut played = script.state.lock().expect("no panic");
    for (recipient, fortune) in fortunes.iter().enumerate() {
        if fortune.tenant == tenant {
            let codes = |codes: &[u16]| VecDeque::from(codes.to_vec());
            played
                .at_rcpt
                .insert(mailbox(recipient), codes(&fortune.at_rcpt));
            played
                .at_data
                .insert(mailbox(recipient), codes(&fortune.at_data));
        }
    }
    drop(played);
    script
}

fn code(error: &DeliveryError) -> u16 {
    match error {
        DeliveryError::Relay {
            source: RelayError::Refused(reply),
            ..
        } => reply.code,
        other => unreachable!("scripts only refuse: {other}"),
    }
}

/// Plays all clients in turn until each is done, and says how many rounds that took.
async fn play(course: &Course, waits_for: impl Fn(usize) -> bool) -> usize {
    let mut world = World::new(&course.fortunes, course.messages.len());
    let mut pending = course.messages.clone();
    let mut ends: BTreeMap<(usize, usize), End> = BTreeMap::new();
    let mut rounds = 0;
    while pending.iter().flatten().any(|one| waits_for(*one)) {
        if course.restarts.get(rounds).is_some_and(|restart| *restart) {
            world.restart();
        }
        rounds += 1;
        assert!(rounds <= 100, "no end: {pending:?} are left, {ends:?}");
        for (number, pending) in pending.iter_mut().enumerate() {
            let ended = world.attempt(number, pending).await;
            pending.retain(|one| !ended.contains_key(one));
            ends.extend(ended.into_iter().map(|(one, end)| ((number, one), end)));
        }
    }
    for ((number, recipient), end) in ends {
        let fortune = &course.fortunes[recipient];
        let copies = world.copies(number, recipient);
        match end {
            End::Delivered => assert_eq!(copies, 1, "of {number} to {recipient}"),
            End::Bounced(code) => {
                assert_eq!(copies, 0, "of {number} to {recipient}, who bounced");
                let refuses = |codes: &[u16]| codes.last().is_some_and(|last| *last >= 500);
                assert!(
                    refuses(&fortune.at_rcpt) || refuses(&fortune.at_data),
                    "{code}"
                );
            }
        }
    }
    rounds
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(future)
}

/// What a client has to come back for: each time somebody is put off, and then once
/// for each kind of end, with one more for those who were found to differ.
fn bound(course: &Course) -> usize {
    let deferrals = |codes: &Vec<u16>| codes.len() - 1;
    let fortunes = course.fortunes.iter();
    let deferred: usize = fortunes
        .map(|f| deferrals(&f.at_rcpt) + deferrals(&f.at_data))
        .sum();
    2 * deferred + 3 * course.fortunes.len() + 2
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn a_message_comes_to_an_end_for_each_recipient(course in course(1)) {
        let rounds = run(play(&course, |_| true));
        prop_assert!(rounds <= bound(&course), "{rounds} rounds, the bound is {}", bound(&course));
    }

    /// Messages of one sender to the same recipients leave traces in each other's way.
    #[test]
    fn messages_of_one_sender_come_to_an_end(course in course(3)) {
        run(play(&course, |_| true));
    }

    /// Somebody who is put off for ever keeps nobody else from the end.
    #[test]
    fn nobody_waits_for_those_who_are_put_off_for_ever(
        mut course in course(1),
        stuck in proptest::collection::vec(0..8_usize, 1..3),
    ) {
        course.restarts.clear();
        for one in &stuck {
            if let Some(fortune) = course.fortunes.get_mut(*one) {
                fortune.at_rcpt = vec![250];
                fortune.at_data = vec![451];
            }
        }
        run(play(&course, |one| !stuck.contains(&one)));
    }
}

/// The case of every day: a hiccup of one target costs one retry.
#[test]
fn a_hiccup_costs_one_retry() {
    let fine = Fortune {
        tenant: 0,
        at_rcpt: vec![250],
        at_data: vec![250],
    };
    let hiccup = Fortune {
        tenant: 1,
        at_data: vec![451, 250],
        ..fine.clone()
    };
    let course = Course {
        fortunes: vec![fine, hiccup],
        messages: vec![vec![0, 1]],
        restarts: vec![false, true],
    };
    assert_eq!(run(play(&course, |_| true)), 2);
}

/// Whoever has the message is not told that it was refused, whatever the target says of
/// the recipient by now.
#[test]
fn what_was_delivered_is_not_refused_afterwards() {
    let gone = Fortune {
        tenant: 0,
        at_rcpt: vec![250, 550],
        at_data: vec![250],
    };
    let hiccup = Fortune {
        tenant: 1,
        at_rcpt: vec![250],
        at_data: vec![451, 250],
    };
    let course = Course {
        fortunes: vec![gone, hiccup],
        messages: vec![vec![0, 1]],
        restarts: Vec::new(),
    };
    assert_eq!(run(play(&course, |_| true)), 2);
}

/// However many are refused alike, they need one transaction of their own.
#[test]
fn those_refused_alike_go_together() {
    let fine = Fortune {
        tenant: 0,
        at_rcpt: vec![250],
        at_data: vec![250],
    };
    let refused = Fortune {
        tenant: 1,
        at_data: vec![550],
        ..fine.clone()
    };
    let mut fortunes = vec![fine];
    fortunes.extend(vec![refused; 50]);
    let course = Course {
        messages: vec![(0..fortunes.len()).collect()],
        fortunes,
        restarts: Vec::new(),
    };
    assert_eq!(run(play(&course, |_| true)), 3);
}
