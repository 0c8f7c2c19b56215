//! Which policies match, and what comes of those that do.

use super::*;

/// Which addresses count, by stage; the last is what a null or absent address matches.
#[test]
fn a_policy_is_about_the_addresses_that_it_is_based_on() {
    let house = House::new();
    let header = ["x@b.example", "y@listed.example"].map(mailbox);
    let content = Stage::Content;
    for (based_on, from, stage, header_from, matches) in [
        (BasedOn::Envelope, "internal", content, &header[..], true),
        (BasedOn::Envelope, "b.example", content, &header, false),
        (BasedOn::Header, "b.example", content, &header, true),
        (BasedOn::Header, "list:group", content, &header, true),
        (BasedOn::Header, "internal", content, &header, false),
        (BasedOn::Header, "everyone", content, &[], true),
        (BasedOn::Header, "external", content, &[], true),
        (BasedOn::Header, ".example", content, &[], false),
        // Before the end of data there is no header, whatever is in the question.
        (
            BasedOn::Header,
            "everyone",
            Stage::Recipient,
            &header,
            false,
        ),
        (BasedOn::Both, "internal", Stage::Recipient, &header, true),
        (BasedOn::Both, "b.example", Stage::Recipient, &header, false),
        (BasedOn::Both, "b.example", content, &header, true),
        (BasedOn::Both, "internal", content, &header, true),
        (BasedOn::Both, "c.example", content, &header, false),
        (BasedOn::Both, "external", content, &[], true),
    ] {
        let mut policy = policy("p", 0, from, "everyone", &[]);
        policy.based_on = based_on;
        let inquiry = Inquiry {
            stage,
            header_from: header_from.to_vec(),
            ..inquiry("a@acme.example", "a@acme.example", "192.0.2.1")
        };
        let found = house.in_force(&[policy], &inquiry).is_some();
        assert_eq!(
            found, matches,
            "{based_on:?} {from} at {stage:?} {header_from:?}"
        );
    }
}

/// `from` takes sender addresses in and `to` the recipient, or the other way around.
#[test]
fn a_bidirectional_policy_matches_both_ways() {
    let house = House::new();
    let (partner, own) = ("a@b.example", "c@acme.example");
    for (from, to, sender, recipient, one_way, both_ways) in [
        ("b.example", "acme.example", partner, own, true, true),
        ("acme.example", "b.example", partner, own, false, true),
        ("c@acme.example", "everyone", partner, own, false, true),
        ("acme.example", "external", "", own, false, true),
        ("b.example", "b.example", partner, own, false, false),
    ] {
        let mut policy = policy("p", 0, from, to, &[]);
        for (bidirectional, expected) in [(false, one_way), (true, both_ways)] {
            policy.bidirectional = bidirectional;
            let policies = std::slice::from_ref(&policy);
            let found = house.selected(policies, sender, recipient, "192.0.2.1");
            assert_eq!(found.is_some(), expected, "{from} to {to}, {bidirectional}");
        }
    }
}

/// Of the two ways the better counts, so that the policy stands where the better of
/// two policies would.
#[test]
fn a_bidirectional_policy_stands_by_its_better_way() {
    let house = House::new();
    let mut both = policy("both", 0, "internal", "a@b.example", &[]);
    both.bidirectional = true;
    let domain = policy("domain", 1, "b.example", "c@acme.example", &[]);
    let policies = [both, domain];
    let found = house.selected(&policies, "a@b.example", "c@acme.example", "192.0.2.1");
    assert_eq!(found.as_deref(), Some("both"), "an address before a domain");

    // Mail of one's own, which both ways are about.
    let mut both = policy("both", 0, "internal", "acme.example", &[]);
    both.bidirectional = true;
    let domain = policy("domain", 1, "acme.example", "everyone", &[]);
    let policies = [both, domain];
    let found = house.selected(&policies, "a@acme.example", "c@acme.example", "192.0.2.1");
    assert_eq!(found.as_deref(), Some("both"), "the better of the two ways");
}

#[test]
fn a_policy_applies_from_its_first_second_until_its_last() {
    let house = House::new();
    let moment = |seconds| Some(Moment::new(seconds));
    for (from, until, within, without) in [
        (None, None, &[0, 99, u64::MAX][..], &[][..]),
        (moment(100), None, &[100, 101, u64::MAX], &[0, 99]),
        (None, moment(200), &[0, 199], &[200, 201]),
        (moment(100), moment(200), &[100, 199], &[99, 200]),
        (moment(100), moment(101), &[100], &[99, 101]),
    ] {
        let mut policy = policy("p", 0, "everyone", "everyone", &[]);
        policy.valid = Validity::new(from, until).expect("a range");
        let expected = within.iter().map(|now| (now, true));
        for (now, applies) in expected.chain(without.iter().map(|now| (now, false))) {
            let inquiry = Inquiry {
                now: Moment::new(*now),
                ..inquiry("", "a@acme.example", "192.0.2.1")
            };
            let found = house.in_force(std::slice::from_ref(&policy), &inquiry);
            assert_eq!(found.is_some(), applies, "{from:?} to {until:?} at {now}");
        }
    }
}

#[test]
fn one_that_overrides_goes_before_the_most_specific() {
    let house = House::new();
    let specific = policy(
        "specific",
        9,
        "a@b.example",
        "c@acme.example",
        &["192.0.2.1/32"],
    );
    let mut broad = policy("broad", 0, "everyone", "everyone", &[]);
    let found = |broad: &Policy| {
        let policies = [specific.clone(), broad.clone()];
        house.selected(&policies, "a@b.example", "c@acme.example", "192.0.2.1")
    };
    assert_eq!(found(&broad).as_deref(), Some("specific"));
    broad.overrides = true;
    assert_eq!(found(&broad).as_deref(), Some("broad"));
}

/// What is monitored is what would be in force, and nothing behind that.
#[test]
fn a_policy_is_monitored_where_it_would_apply() {
    let house = House::new();
    let monitor = |name: &str, from: &str| Policy {
        mode: Mode::Monitor,
        ..policy(name, 0, from, "everyone", &[])
    };
    let enforce = |from: &str| policy("enforce", 1, from, "everyone", &[]);
    for (policies, in_force, monitored) in [
        (vec![monitor("m", "everyone")], None, Some("m")),
        (
            vec![enforce("everyone"), monitor("m", "b.example")],
            Some("enforce"),
            Some("m"),
        ),
        (
            vec![enforce("b.example"), monitor("m", "everyone")],
            Some("enforce"),
            None,
        ),
        (
            vec![monitor("m", "b.example"), monitor("n", "a@b.example")],
            None,
            Some("n"),
        ),
        (vec![monitor("m", "c.example")], None, None),
    ] {
        let selected = house.select(&policies, &inquiry("a@b.example", "c@acme.example", "::1"));
        let name = |policy: Option<&Policy>| policy.map(|policy| policy.name.to_string());
        let found = (name(selected.in_force), name(selected.monitored));
        let expected = (in_force.map(str::to_owned), monitored.map(str::to_owned));
        assert_eq!(found, expected, "of {policies:?}");
    }
}

#[test]
fn nobody_is_asked_about_the_exempt() {
    let house = House::new();
    let mut monitor = policy("monitor", 1, "everyone", "everyone", &[]);
    monitor.mode = Mode::Monitor;
    let policies = [policy("all", 0, "everyone", "everyone", &[]), monitor];
    let selected = house.select(&policies, &inquiry("", "Postmaster@acme.example", "::1"));
    assert_eq!(selected.exempt, Some(Exemption::Postmaster));
    assert!(selected.in_force.is_none() && selected.monitored.is_none());
}
