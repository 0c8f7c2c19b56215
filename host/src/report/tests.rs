//! What receipts are folded into.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;

use super::*;
use crate::decision::{Refusal, Verdict};
use crate::facts::{Connection, Facts, ReceiptId, Tls, TlsVersion, TrustState, sample as facts};
use crate::receipt::read::Receipt;
use crate::receipt::{Monitored, VerdictEvent, sample};

const DAY: u64 = 86_400;

/// How a message came.
#[derive(Clone, Copy, Debug)]
enum How {
    Clear,
    /// TLS, by the word of a proxy that is not trusted.
    Claimed,
    Tls12,
    Tls13,
    /// With a certificate of this name, in this state.
    Certified(&'static str, TrustState),
}

fn connection(how: How, recipient: &crate::address::Mailbox) -> Facts {
    let old = Tls {
        version: TlsVersion::TLS12,
        cipher_suite: "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256".to_owned(),
        key_exchange: None,
        post_quantum: false,
        ..facts::tls()
    };
    let claimed = Tls {
        origin: crate::facts::Origin::Proxy,
        ..facts::tls()
    };
    match how {
        How::Clear => facts::clear(recipient),
        How::Claimed => facts::secured(recipient, claimed),
        How::Tls12 => facts::secured(recipient, old),
        How::Tls13 => facts::secured(recipient, facts::tls()),
        How::Certified(name, state) => facts::certified(recipient, &[name], state),
    }
}

/// A message from this sender, at this second.
fn message(second: u64, sender: &str, how: How) -> VerdictEvent {
    let made = ReceiptId::new(UNIX_EPOCH + Duration::from_secs(second));
    let event = sample::verdict("ann@acme.example");
    let facts = Facts {
        id: made,
        sender: (!sender.is_empty()).then(|| sender.parse().expect("an address")),
        ..connection(how, &event.facts.recipient)
    };
    VerdictEvent {
        id: made,
        facts: Arc::new(facts),
        ..event
    }
}

fn refused(event: VerdictEvent, refusal: Refusal) -> VerdictEvent {
    VerdictEvent {
        verdict: Verdict::Refused(refusal),
        ..event
    }
}

fn monitored(event: VerdictEvent, verdict: Verdict) -> VerdictEvent {
    let monitored = Monitored {
        policy: sample::policy("tried", "1").expect("a policy"),
        decision: event.decision.clone(),
        reason: String::new(),
        failure: None,
        resolved: None,
        default_of: None,
        verdict,
        reply: None,
        micros: 1,
        fuel: None,
        log: Vec::new(),
        log_dropped: 0,
    };
    VerdictEvent {
        monitored: Some(Box::new(monitored)),
        ..event
    }
}

fn once(event: VerdictEvent) -> Receipt {
    Receipt::Decided(Box::new(event), None, None)
}

/// Of the first three days.
fn inquiry() -> Inquiry {
    Inquiry {
        tenant: "acme".parse().expect("an id"),
        period: Period::new(0, 3 * DAY).expect("a period"),
        direction: None,
    }
}

fn report(limit: usize, receipts: &[Receipt]) -> Report {
    let mut folding = Folding::new(inquiry(), limit);
    receipts.iter().for_each(|receipt| folding.add(receipt));
    folding.finish(LeftOut::default(), Moment::new(3 * DAY))
}

/// The numbers of one message alone.
fn traffic(event: VerdictEvent) -> Traffic {
    let report = report(10, &[once(event)]);
    assert_eq!(report.senders.len(), 1);
    assert_eq!(report.senders[0].traffic, report.total);
    report.total
}

#[test]
fn what_a_message_adds() {
    let of = |how| traffic(message(1, "amy@partner.example", how));
    let shown = |t: &Traffic| {
        let c = &t.certificates;
        let certificates = (c.presented, c.trusted, c.covering);
        (t.clear, t.claimed, t.modern(), t.post_quantum, certificates)
    };
    use TrustState::{Pinned, Trusted, Untrusted};
    for (how, expected) in [
        (How::Clear, (1, 0, 0, 0, (0, 0, 0))),
        (How::Claimed, (1, 1, 0, 0, (0, 0, 0))),
        (How::Tls12, (0, 0, 0, 0, (0, 0, 0))),
        (How::Tls13, (0, 0, 1, 1, (0, 0, 0))),
        (
            How::Certified("partner.example", Trusted),
            (0, 0, 1, 1, (1, 1, 1)),
        ),
        (
            How::Certified("mx.partner.example", Pinned),
            (0, 0, 1, 1, (1, 1, 1)),
        ),
        (
            How::Certified("*.example", Trusted),
            (0, 0, 1, 1, (1, 1, 1)),
        ),
        (
            How::Certified("partner.example", Untrusted),
            (0, 0, 1, 1, (1, 0, 0)),
        ),
        (
            How::Certified("other.example", Trusted),
            (0, 0, 1, 1, (1, 1, 0)),
        ),
    ] {
        assert_eq!(shown(&of(how)), expected, "{how:?}");
    }
    assert_eq!(of(How::Tls12).key_exchanges.of("(not known)"), 1);
    assert_eq!(of(How::Tls12).versions.of("TLS 1.2"), 1);
    assert_eq!(of(How::Tls13).ciphers.of("TLS_AES_256_GCM_SHA384"), 1);
}

#[test]
fn what_was_refused_and_what_would_be() {
    use Refusal::{Plaintext, PolicyFailed};
    use Verdict::{Accepted, Refused};
    let clear = || message(1, "amy@partner.example", How::Clear);
    for (event, refused, monitored_, would) in [
        (clear(), 0, 0, 0),
        (refused(clear(), Plaintext), 1, 0, 0),
        (monitored(clear(), Accepted), 0, 1, 0),
        (monitored(clear(), Refused(Plaintext)), 0, 1, 1),
        // It is refused as it is.
        (
            monitored(refused(clear(), PolicyFailed), Refused(Plaintext)),
            1,
            1,
            0,
        ),
    ] {
        let t = traffic(event.clone());
        let found = (t.refused, t.monitored, t.would_be_refused);
        assert_eq!(found, (refused, monitored_, would), "{event:?}");
        assert_eq!(t.refusals.sum(), t.refused);
        assert_eq!(t.would_be_refusals.of("plaintext"), t.would_be_refused);
    }
}

#[test]
fn what_is_decided_twice_is_one_message() {
    let first = message(1, "amy@partner.example", How::Clear);
    let second = refused(first.clone(), Refusal::Plaintext);
    let both = |first, second| {
        let receipt = Receipt::Decided(Box::new(first), Some(Box::new(second)), None);
        report(10, &[receipt]).total
    };
    let total = both(first.clone(), second);
    assert_eq!((total.messages, total.clear, total.refused), (1, 1, 1));
    // What was monitored at RCPT TO counts, whatever was at the end of data.
    let would = monitored(first.clone(), Verdict::Refused(Refusal::Plaintext));
    assert_eq!(both(would, first).would_be_refused, 1);
}

#[test]
fn senders_are_by_domain_and_direction_and_the_largest_comes_first() {
    let outbound = |event: VerdictEvent| {
        let facts = Facts {
            direction: Direction::Outbound,
            ..(*event.facts).clone()
        };
        VerdictEvent {
            facts: Arc::new(facts),
            ..event
        }
    };
    let clear = |sender| message(1, sender, How::Clear);
    let receipts = [
        once(clear("amy@small.example")),
        once(clear("ann@acme.example")),
        once(outbound(clear("ann@acme.example"))),
        once(clear("amy@Large.example")),
        once(clear("ben@large.EXAMPLE")),
        once(clear("")),
        once(clear("x@[192.0.2.1]")),
    ];
    let found = report(10, &receipts);
    let names: Vec<_> = found
        .senders
        .iter()
        .map(|s| (s.sender.as_str(), s.direction.as_str(), s.traffic.messages))
        .collect();
    let expected = [
        ("large.example", "inbound", 2),
        ("<>", "inbound", 1),
        ("[192.0.2.1]", "inbound", 1),
        ("acme.example", "inbound", 1),
        ("small.example", "inbound", 1),
        ("acme.example", "outbound", 1),
    ];
    assert_eq!(names, expected);
    let mut folding = Folding::new(
        Inquiry {
            direction: Some(Direction::Outbound),
            ..inquiry()
        },
        10,
    );
    receipts.iter().for_each(|receipt| folding.add(receipt));
    let only = folding.finish(LeftOut::default(), Moment::new(0));
    assert_eq!((only.total.messages, only.senders.len()), (1, 1));
}

#[test]
fn every_day_is_there_and_a_message_is_on_one() {
    let at = |second, how| once(message(second, "amy@partner.example", how));
    let refusal = refused(
        message(DAY, "amy@partner.example", How::Tls13),
        Refusal::PolicyFailed,
    );
    let found = report(
        10,
        &[
            at(0, How::Clear),
            at(DAY - 1, How::Tls12),
            once(refusal),
            at(DAY, How::Claimed),
        ],
    );
    let days: Vec<_> = found
        .days
        .iter()
        .map(|day| (day.day.as_str(), day.secured, day.clear, day.refused))
        .collect();
    let expected = [
        ("1970-01-01", 1, 1, 0),
        ("1970-01-02", 0, 1, 1),
        ("1970-01-03", 0, 0, 0),
    ];
    assert_eq!(days, expected);
}

#[test]
fn the_last_certificate_and_the_first_to_end_are_told() {
    let ending = |second: u64, ends: i64| {
        let event = message(
            second,
            "amy@partner.example",
            How::Certified("x", TrustState::Trusted),
        );
        let mut facts = (*event.facts).clone();
        let mut connection = Connection::clone(&facts.connection);
        let tls = connection.tls.as_mut().expect("TLS");
        let crate::facts::ClientCertificate::Given(certificate) = &mut tls.client_certificate
        else {
            unreachable!("one is given");
        };
        certificate.not_after = ends;
        facts.connection = Arc::new(connection);
        once(VerdictEvent {
            facts: Arc::new(facts),
            ..event
        })
    };
    let found = report(10, &[ending(1, 500), ending(2, -7), ending(3, 900)]);
    let certificates = &found.total.certificates;
    assert_eq!(certificates.last_expires, Some(Moment::new(900)));
    assert_eq!(certificates.first_expires, Some(Moment::new(0)));
}

#[test]
fn the_sentence_says_who_never_used_it() {
    let clear = |sender| once(message(1, sender, How::Clear));
    let secured = |sender| once(message(1, sender, How::Tls13));
    for (limit, receipts, expected) in [
        (9, vec![], "No mail in this time."),
        (
            9,
            vec![clear("a@a.example")],
            "0 % of 1 message came over TLS; its only sender never did.",
        ),
        (
            9,
            vec![secured("a@a.example")],
            "100 % of 1 message came over TLS; its only sender used it.",
        ),
        (
            9,
            vec![
                secured("a@a.example"),
                clear("a@b.example"),
                clear("a@a.example"),
            ],
            "33.3 % of 3 messages came over TLS; 1 of 2 senders never did.",
        ),
        (
            9,
            vec![secured("a@a.example"), secured("a@b.example")],
            "100 % of 2 messages came over TLS; each of 2 senders used it.",
        ),
        (
            1,
            vec![secured("a@a.example"), clear("a@b.example")],
            "50.0 % of 2 messages came over TLS; its only sender used it.",
        ),
    ] {
        assert_eq!(report(limit, &receipts).summary().to_string(), expected);
    }
}

/// What a proxy calls a cipher suite is its own.
#[test]
fn what_strangers_say_is_text_on_the_page() {
    let event = message(1, "amy@partner.example", How::Tls13);
    let mut facts = (*event.facts).clone();
    let mut connection = Connection::clone(&facts.connection);
    let tls = connection.tls.as_mut().expect("TLS");
    tls.cipher_suite = "<script>alert('x')</script>\u{202e}&\"".to_owned();
    facts.connection = Arc::new(connection);
    let event = VerdictEvent {
        facts: Arc::new(facts),
        ..event
    };
    let page = page(&report(10, &[once(event)]));
    assert!(
        page.contains("&lt;script&gt;alert('x')&lt;/script&gt;\\u{202e}&amp;&quot;"),
        "{page}"
    );
    assert!(!page.contains("<script"));
    let others = report(0, &[once(message(1, "a@a.example", How::Clear))]);
    assert!(super::page(&others).contains("everybody else"));
}

fn any_message() -> impl Strategy<Value = VerdictEvent> {
    let how = prop_oneof![
        Just(How::Clear),
        Just(How::Claimed),
        Just(How::Tls12),
        Just(How::Tls13),
        Just(How::Certified("s1.example", TrustState::Trusted)),
    ];
    let verdict = prop_oneof![
        Just(None),
        Just(Some(Refusal::Plaintext)),
        Just(Some(Refusal::PolicyFailed))
    ];
    (0..3 * DAY, 0..20_u8, how, verdict).prop_map(|(second, sender, how, refusal)| {
        let event = message(second, &format!("amy@s{sender}.example"), how);
        match refusal {
            Some(refusal) => refused(event, refusal),
            None => event,
        }
    })
}

proptest! {
    /// Whatever comes, and however few senders are told apart, everything is counted once.
    #[test]
    fn parts_are_the_whole(
        messages in prop::collection::vec(any_message(), 0..60),
        limit in 0..25_usize,
    ) {
        let receipts: Vec<_> = messages.into_iter().map(once).collect();
        let found = report(limit, &receipts);
        prop_assert!(found.senders.len() <= limit);
        let parts = || found.senders.iter().map(|s| &s.traffic).chain(&found.others);
        let sum = |of: fn(&Traffic) -> u64| parts().map(of).sum::<u64>();
        prop_assert_eq!(found.total.messages, receipts.len() as u64);
        prop_assert_eq!(sum(|t| t.messages), found.total.messages);
        prop_assert_eq!(sum(|t| t.clear), found.total.clear);
        prop_assert_eq!(sum(|t| t.refused), found.total.refused);
        prop_assert_eq!(sum(|t| t.certificates.presented), found.total.certificates.presented);
        prop_assert_eq!(found.total.versions.sum(), found.total.secured());
        prop_assert_eq!(found.total.key_exchanges.sum(), found.total.secured());
        let days = found.days.iter().map(Day::messages);
        prop_assert_eq!(days.sum::<u64>(), found.total.messages);
        // As long as all are told apart, the order does not matter.
        let mut reversed = receipts.clone();
        reversed.reverse();
        if limit >= 20 {
            let mut again = report(limit, &reversed);
            again.total.certificates = found.total.certificates.clone();
            prop_assert_eq!(again.total, found.total);
            prop_assert_eq!(again.days, found.days);
        }
    }
}
