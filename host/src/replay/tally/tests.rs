use super::*;
use crate::receipt::sample;

fn noted(
    sender: &str,
    client: &str,
    in_tls: bool,
    was: Word,
    now: Result<Outcome, Unknown>,
) -> Noted {
    let event = sample::verdict("ann@acme.example");
    Noted {
        id: event.id,
        sender: (!sender.is_empty()).then(|| sender.to_owned()),
        client: client.parse().expect("an address"),
        in_tls,
        was,
        would_be: now,
        failure: None,
    }
}

const ASKED: Result<Outcome, Unknown> = Ok(Outcome::Asked("plaintext"));
const UNTRUSTED: Result<Outcome, Unknown> = Ok(Outcome::Refused("untrusted"));
const ACCEPTED: Result<Outcome, Unknown> = Ok(Outcome::Accepted);

/// Sender, client, whether in TLS, then, and now.
type Row<'a> = (&'a str, &'a str, bool, Word, Result<Outcome, Unknown>);

fn tally(all: &[Row<'_>], limit: usize) -> Findings {
    let mut tally = Tally::of_senders(limit);
    for (sender, client, in_tls, was, now) in all {
        tally.take(noted(sender, client, *in_tls, was, *now));
    }
    tally.finish(2, 1)
}

#[test]
fn every_receipt_is_counted_once() {
    let found = tally(
        &[
            ("a.example", "192.0.2.1", false, "accepted", ASKED),
            ("a.example", "192.0.2.1", false, "accepted", ASKED),
            ("a.example", "192.0.2.1", true, "accepted", ACCEPTED),
            ("b.example", "192.0.2.2", true, "plaintext", ACCEPTED),
            ("", "192.0.2.3", true, "plaintext", UNTRUSTED),
            ("c.example", "192.0.2.4", true, "untrusted", UNTRUSTED),
            (
                "c.example",
                "192.0.2.4",
                false,
                "accepted",
                Err(Unknown::Header),
            ),
        ],
        10,
    );
    assert_eq!(found.receipts, 10);
    assert_eq!(
        (found.erased, found.unreadable, found.undetermined),
        (2, 1, 1)
    );
    let kinds = [
        found.newly_refused,
        found.newly_accepted,
        found.refused_otherwise,
        found.unchanged,
    ];
    assert_eq!(kinds, [2, 1, 1, 2]);
    let senders: Vec<_> = found.refused.iter().map(|s| s.sender.as_deref()).collect();
    // Of equals the null sender comes first.
    assert_eq!(senders, [Some("a.example"), None, Some("c.example")]);
    let a = &found.refused[0];
    assert_eq!(
        (a.receipts, a.in_tls, a.refused, a.newly_refused),
        (3, 1, 2, 2)
    );
    assert_eq!(a.by, [("plaintext".to_owned(), 2)].into());
    assert_eq!(found.refused[2].undetermined, 1);
    let pair = &found.pairs[0];
    assert_eq!(
        (pair.was.as_str(), pair.would_be.as_str()),
        ("accepted", "plaintext")
    );
    assert_eq!((pair.receipts, pair.samples.len()), (2, 2));
    assert_eq!(found.undetermined_by[0].cause, "header-from-unknown");
    assert_eq!(found.others, None);
}

#[test]
fn who_came_in_tls_is_known_at_the_end() {
    let found = tally(
        &[
            ("a.example", "192.0.2.1", false, "accepted", ASKED),
            ("a.example", "192.0.2.2", false, "accepted", ASKED),
            ("b.example", "192.0.2.2", false, "accepted", ASKED),
            ("a.example", "192.0.2.1", true, "accepted", ACCEPTED),
        ],
        10,
    );
    let asked = Asked {
        receipts: 3,
        of_senders_in_tls: 2,
        of_clients_in_tls: 1,
    };
    assert_eq!(found.asked, asked);
}

#[test]
fn memory_is_bounded_and_the_rest_is_counted() {
    let many: Vec<String> = (0..20).map(|n| format!("s{n}.example")).collect();
    let all: Vec<_> = many
        .iter()
        .map(|sender| (sender.as_str(), "192.0.2.1", false, "accepted", ASKED))
        .collect();
    let found = tally(&all, 5);
    assert_eq!(found.refused.len(), 5);
    let others = found.others.expect("the rest");
    assert_eq!(
        (others.receipts, others.refused, others.newly_refused),
        (15, 15, 15)
    );
    assert_eq!((found.newly_refused, found.asked.receipts), (20, 20));
    // And of clients.
    let clients: Vec<String> = (0..100).map(|n| format!("192.0.2.{n}")).collect();
    let mut tally = Tally::of_senders(5);
    for client in &clients {
        tally.take(noted("a.example", client, true, "accepted", ASKED));
    }
    let sender = tally.senders.values().next().expect("a sender");
    assert_eq!(sender.clients.len(), CLIENTS);
}
