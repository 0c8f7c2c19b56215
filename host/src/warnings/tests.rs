//! What is warned of, by policies and receipts.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::decision::{Decision, Refusal, Requirement, Requirements, Resolved, Verdict};
use crate::digest::Digest;
use crate::facts::{ClientCertificate, Connection, Facts, TrustState, sample as facts};
use crate::policy::{Choice, Mode};
use crate::receipt::read::Receipt;
use crate::receipt::{Monitored, VerdictEvent, sample};

const DAY: u64 = 86_400;
const NOW: u64 = 1_800_000_000;
const YESTERDAY: u64 = NOW - RECENT;

fn required(of: &[Requirement]) -> Requirements {
    of.iter().cloned().collect()
}

fn pins(keys: &[&str]) -> Requirement {
    let keys = keys.iter().map(|key| Digest::of(key.as_bytes()));
    Requirement::Pinned(keys.collect::<BTreeSet<_>>())
}

fn policy(from: &str, requirements: &[Requirement]) -> Policy {
    let decision = Decision::Enforced(required(requirements));
    let name = "partners".parse().expect("a name");
    Policy {
        from: from.parse().expect("somebody"),
        ..Policy::new(name, Choice::Constant(decision))
    }
}

fn partner() -> Policy {
    policy("partner.example", &[Requirement::Trusted])
}

/// A message that came so many seconds before now, with a certificate that ends so many
/// seconds after.
fn certified(ago: u64, sender: &str, certificate: &str, left: i64) -> VerdictEvent {
    let event = sample::verdict("ann@acme.example");
    let mut facts = facts::certified(&event.facts.recipient, &[sender], TrustState::Trusted);
    facts.id = ReceiptId::new(UNIX_EPOCH + Duration::from_secs(NOW - ago));
    facts.now = NOW - ago;
    facts.sender = Some(format!("amy@{sender}").parse().expect("an address"));
    let mut connection = Connection::clone(&facts.connection);
    let tls = connection.tls.as_mut().expect("TLS");
    let ClientCertificate::Given(shown) = &mut tls.client_certificate else {
        unreachable!("one is given");
    };
    shown.sha256 = Digest::of(certificate.as_bytes());
    shown.not_after = i64::try_from(NOW).expect("a time") + left;
    facts.connection = Arc::new(connection);
    VerdictEvent {
        policy: sample::policy("partners", "1"),
        resolved: Some(Resolved::Enforced(required(&[Requirement::Trusted]))),
        ..of(facts)
    }
}

fn of(facts: Facts) -> VerdictEvent {
    let event = sample::verdict("ann@acme.example");
    VerdictEvent {
        id: facts.id,
        facts: Arc::new(facts),
        ..event
    }
}

/// With a certificate that ends in years.
fn accepted(ago: u64, sender: &str) -> VerdictEvent {
    certified(ago, sender, "lasting", 4_000 * DAY as i64)
}

fn refused(ago: u64, sender: &str) -> VerdictEvent {
    let refusal = Refusal::Untrusted {
        detail: String::new(),
    };
    VerdictEvent {
        verdict: Verdict::Refused(refusal),
        ..accepted(ago, sender)
    }
}

/// The same where it was only watched.
fn monitored(event: VerdictEvent) -> VerdictEvent {
    let monitored = Monitored {
        policy: event.policy.clone().expect("a policy"),
        decision: event.decision.clone(),
        reason: String::new(),
        failure: None,
        resolved: event.resolved.clone(),
        default_of: None,
        verdict: event.verdict.clone(),
        reply: None,
        micros: 1,
        fuel: None,
        log: Vec::new(),
        log_dropped: 0,
    };
    VerdictEvent {
        policy: None,
        resolved: Some(Resolved::Opportunistic),
        verdict: Verdict::Accepted,
        monitored: Some(Box::new(monitored)),
        ..event
    }
}

fn found(policy: &Policy, events: &[VerdictEvent], within_days: u32) -> Vec<Warning> {
    let mut evidence = Evidence::new(YESTERDAY);
    for event in events {
        evidence.add(&Receipt::Decided(Box::new(event.clone()), None, None));
    }
    let tenant = "acme".parse().expect("an id");
    let inquiry = Inquiry {
        now: NOW,
        within_days,
    };
    warnings(&tenant, std::iter::once(policy), &evidence, inquiry)
}

/// Whoever has a policy of their own by now, or met another mode before, is not refused.
#[test]
fn only_what_is_demanded_now_is_warned_of() {
    use Kind::{BeganToFail, NeverMet};
    use Severity::{Critical, Warning};
    let sender = "partner.example";
    let exempt = |ago| VerdictEvent {
        policy: sample::policy("exception", "1"),
        resolved: Some(Resolved::Opportunistic),
        verdict: Verdict::Accepted,
        ..accepted(ago, sender)
    };
    for (events, expected) in [
        (vec![refused(9, sender)], vec![(NeverMet, Critical)]),
        (vec![refused(9, sender), exempt(8)], vec![]),
        (
            vec![monitored(refused(9, sender))],
            vec![(NeverMet, Warning)],
        ),
        (
            vec![monitored(refused(9, sender)), refused(8, sender)],
            vec![(NeverMet, Critical)],
        ),
        // A ramp has come to it, and then was set back.
        (
            vec![refused(9, sender), monitored(refused(8, sender))],
            vec![(NeverMet, Warning)],
        ),
        (
            vec![accepted(3 * DAY, sender), monitored(refused(8, sender))],
            vec![],
        ),
        (
            vec![accepted(3 * DAY, sender), refused(8, sender)],
            vec![(BeganToFail, Critical)],
        ),
    ] {
        assert_eq!(kinds(&partner(), &events), expected, "{events:#?}");
    }
}

/// What one policy decided twice about a message is one message.
#[test]
fn a_message_counts_once() {
    let (first, second) = (refused(9, "partner.example"), refused(9, "partner.example"));
    let mut evidence = Evidence::new(YESTERDAY);
    evidence.add(&Receipt::Decided(
        Box::new(first),
        Some(Box::new(second)),
        None,
    ));
    let [(_, met)] = evidence.of("partners")[..] else {
        unreachable!("{evidence:?}");
    };
    assert_eq!(met.refused(), 1);
}

fn kinds(policy: &Policy, events: &[VerdictEvent]) -> Vec<(Kind, Severity)> {
    let found = found(policy, events, 30);
    found.iter().map(|w| (w.kind, w.severity)).collect()
}

#[test]
fn certificates_that_end_are_warned_of() {
    use Severity::{Critical, Warning};
    let day = DAY as i64;
    for (left, within, severity) in [
        (60 * day, 30, None),
        (60 * day, 90, Some(Warning)),
        (30 * day, 30, None),
        (30 * day - 1, 30, Some(Warning)),
        (7 * day, 30, Some(Warning)),
        (7 * day - 1, 30, Some(Critical)),
        (-day, 1, Some(Critical)),
    ] {
        let event = certified(DAY, "partner.example", "one", left);
        let id = event.id;
        let warned = found(&partner(), &[event], within);
        let shown = warned.first().map(|w| w.severity);
        assert_eq!(shown, severity, "{left} within {within}");
        for warning in &warned {
            assert_eq!(warning.kind, Kind::CertificateExpires);
            assert_eq!(warning.sender.as_deref(), Some("partner.example"));
            assert_eq!(warning.receipt, Some(id));
        }
    }
}

#[test]
fn what_was_replaced_is_not_warned_of_and_what_stands_beside_it_is() {
    let ending = |ago| certified(ago, "partner.example", "ending", 86_400);
    let new = |ago| accepted(ago, "partner.example");
    let is_warned = |events: &[VerdictEvent]| !kinds(&partner(), events).is_empty();
    assert!(is_warned(&[new(9 * DAY), ending(DAY)]));
    assert!(!is_warned(&[ending(9 * DAY), new(DAY)]));
    assert!(is_warned(&[ending(2 * DAY), new(DAY + 1)]));
    // It does not matter to a policy that only wants TLS, or any certificate.
    for requirement in [&[][..], &[Requirement::Presented]] {
        let event = VerdictEvent {
            resolved: Some(Resolved::Enforced(required(requirement))),
            ..ending(1)
        };
        assert!(!is_warned(&[event]));
    }
    // Nor where it was refused all the same.
    let refusal = VerdictEvent {
        verdict: refused(1, "partner.example").verdict,
        ..ending(1)
    };
    let found = kinds(&partner(), &[new(2 * DAY), refusal]);
    assert_eq!(found, [(Kind::BeganToFail, Severity::Critical)]);
}

#[test]
fn a_pinned_key_outlives_its_certificate() {
    let two = policy("partner.example", &[pins(&["a", "b"])]);
    let event = VerdictEvent {
        resolved: Some(Resolved::Enforced(required(&[pins(&["a", "b"])]))),
        ..certified(1, "partner.example", "ending", 60)
    };
    let warned = found(&two, &[event], 30);
    assert_eq!(warned.len(), 1);
    assert_eq!(warned[0].severity, Severity::Warning);
    assert!(warned[0].text.contains("next key"), "{}", warned[0].text);
}

#[test]
fn a_pin_has_another_beside_it() {
    for (keys, expected) in [
        (&["a"][..], &[(Kind::SinglePin, Severity::Notice)][..]),
        (&["a", "b"], &[]),
    ] {
        let pinning = policy("partner.example", &[pins(keys)]);
        assert_eq!(kinds(&pinning, &[]), expected);
        for off in [
            Policy {
                enabled: false,
                ..pinning.clone()
            },
            Policy {
                valid: crate::policy::Validity::new(None, Some(Moment::new(NOW))).expect("a time"),
                ..pinning.clone()
            },
        ] {
            assert_eq!(kinds(&off, &[]), []);
        }
    }
    assert_eq!(kinds(&partner(), &[]), []);
}

#[test]
fn whoever_never_met_what_is_required() {
    let never = |severity| vec![(Kind::NeverMet, severity)];
    let sender = "partner.example";
    let everyone = policy("everyone", &[Requirement::Trusted]);
    let watching = |policy: Policy| Policy {
        mode: Mode::Monitor,
        ..policy
    };
    for (policy, events, expected) in [
        (partner(), vec![], vec![]),
        (
            partner(),
            vec![refused(1, sender)],
            never(Severity::Critical),
        ),
        (
            partner(),
            vec![refused(9 * DAY, sender), accepted(1, sender)],
            vec![],
        ),
        (
            watching(partner()),
            vec![monitored(refused(1, sender))],
            never(Severity::Warning),
        ),
        (
            watching(partner()),
            vec![monitored(accepted(1, sender))],
            vec![],
        ),
        // Of a policy about everybody it is enough that somebody met it.
        (
            everyone.clone(),
            vec![refused(1, "a.example"), accepted(1, "b.example")],
            vec![],
        ),
        (
            everyone,
            vec![refused(1, "a.example"), refused(1, "b.example")],
            never(Severity::Critical),
        ),
        // Each partner of a list is one.
        (
            policy("list:partners", &[Requirement::Trusted]),
            vec![refused(1, "a.example"), accepted(1, "b.example")],
            never(Severity::Critical),
        ),
    ] {
        assert_eq!(kinds(&policy, &events), expected, "{:?}", policy.from);
    }
    // A policy that failed says nothing about a partner.
    let failed = VerdictEvent {
        resolved: None,
        verdict: Verdict::Refused(Refusal::PolicyFailed),
        ..refused(1, sender)
    };
    assert_eq!(kinds(&partner(), &[failed]), []);
}

#[test]
fn whoever_began_to_fail() {
    let sender = "partner.example";
    let (ok, no) = (|ago| accepted(ago, sender), |ago| refused(ago, sender));
    let everyone = || policy("everyone", &[Requirement::Trusted]);
    let began = |severity| vec![(Kind::BeganToFail, severity)];
    for (policy, events, expected) in [
        (
            partner(),
            vec![ok(9 * DAY), no(1)],
            began(Severity::Critical),
        ),
        // Before yesterday it was, and nothing came since.
        (partner(), vec![ok(9 * DAY), no(DAY + 1)], vec![]),
        // Some of their servers.
        (
            partner(),
            vec![ok(9 * DAY), ok(3), no(1)],
            began(Severity::Warning),
        ),
        // As it has been all the time.
        (
            partner(),
            vec![ok(9 * DAY), no(8 * DAY), ok(3), no(1)],
            vec![],
        ),
        // It was mended.
        (partner(), vec![ok(9 * DAY), no(3), ok(1)], vec![]),
        // It still fails.
        (
            partner(),
            vec![ok(9 * DAY), no(8 * DAY), no(1)],
            began(Severity::Critical),
        ),
        // Nobody who writes once is known.
        (everyone(), vec![ok(9 * DAY), no(1)], vec![]),
        (
            everyone(),
            (0..5).map(|_| ok(9 * DAY)).chain([no(1)]).collect(),
            began(Severity::Critical),
        ),
    ] {
        assert_eq!(kinds(&policy, &events), expected, "{:?}", policy.from);
    }
    let found = found(&partner(), &[ok(9 * DAY), no(5), no(1)], 30);
    assert_eq!(found[0].since, Some(Moment::new(NOW - 5)));
    assert!(found[0].text.contains("untrusted"), "{}", found[0].text);
}

#[test]
fn the_most_urgent_comes_first() {
    let pinning = policy("partner.example", &[Requirement::Trusted, pins(&["a"])]);
    let events = [
        certified(9 * DAY, "partner.example", "ending", 20 * DAY as i64),
        refused(1, "partner.example"),
    ];
    let expected = [
        (Kind::BeganToFail, Severity::Critical),
        (Kind::CertificateExpires, Severity::Warning),
        (Kind::SinglePin, Severity::Notice),
    ];
    assert_eq!(kinds(&pinning, &events), expected);
}

#[test]
fn strangers_do_not_take_the_room_of_partners() {
    let mut evidence = Evidence::new(YESTERDAY);
    let mut add = |event: VerdictEvent| {
        evidence.add(&Receipt::Decided(Box::new(event), None, None));
    };
    for number in 0..6_000 {
        let event = refused(1, &format!("s{number}.example"));
        add(VerdictEvent {
            policy: sample::policy("everybody", "1"),
            ..event
        });
    }
    add(refused(1, "partner.example"));
    assert_eq!(evidence.of("partners").len(), 1);
    assert_eq!(evidence.of("everybody").len(), 5_000);
    assert_eq!(evidence.unwatched(), 1_000);
}
