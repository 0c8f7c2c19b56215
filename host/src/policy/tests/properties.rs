//! What holds for all policies and all mail.

use proptest::prelude::*;

use super::*;

fn any_who() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "everyone",
        "internal",
        "external",
        "acme.example",
        "b.example",
        "x.b.example",
        ".b.example",
        ".example",
        "list:group",
        "user@single.example",
        "a@acme.example",
    ])
}

/// Short, so that questions are often on a boundary.
fn any_moment() -> impl Strategy<Value = u64> {
    0..8_u64
}

fn any_validity() -> impl Strategy<Value = Validity> {
    let moment = || prop::option::of(any_moment().prop_map(Moment::new));
    (moment(), moment())
        .prop_map(|(from, until)| Validity::new(from, until).unwrap_or(Validity::PERPETUAL))
}

fn any_scope() -> impl Strategy<Value = Policy> {
    let sources = prop::sample::subsequence(
        vec!["192.0.2.0/24", "192.0.0.0/8", "2001:db8::/32", "::/0"],
        0..3,
    );
    let based_on = prop::sample::select(vec![BasedOn::Envelope, BasedOn::Header, BasedOn::Both]);
    let direction = prop::sample::select(vec![
        Directions::Inbound,
        Directions::Outbound,
        Directions::Both,
    ]);
    (any_who(), any_who(), sources, based_on, direction).prop_map(
        |(from, to, sources, based_on, direction)| Policy {
            based_on,
            direction,
            ..policy("p", 0, from, to, &sources)
        },
    )
}

fn any_policy() -> impl Strategy<Value = Policy> {
    let rare = || prop::bool::weighted(0.2);
    let flags = (rare(), rare(), rare(), prop::bool::weighted(0.3));
    let ramp = prop::option::weighted(0.3, any_ramp());
    (any_scope(), any_validity(), flags, ramp).prop_map(
        |(scope, valid, (disabled, overrides, monitor, bidirectional), ramp)| Policy {
            enabled: !disabled,
            valid,
            ramp: ramp.filter(|_| !monitor),
            overrides,
            mode: if monitor {
                Mode::Monitor
            } else {
                Mode::Enforce
            },
            bidirectional,
            ..scope
        },
    )
}

/// Over before, after or among the moments of any question.
fn any_ramp() -> impl Strategy<Value = Ramp> {
    (0..8_u64, 1..8_u64).prop_map(|(start, length)| {
        let [start, end] = [start, start + length].map(Moment::new);
        Ramp::new(start, end, None, None, None).expect("it rises")
    })
}

fn any_policies() -> impl Strategy<Value = Vec<Policy>> {
    prop::collection::vec(any_policy(), 0..12).prop_map(|mut policies| {
        for (created, policy) in policies.iter_mut().enumerate() {
            // Pairs of the same age, as stores may have them.
            policy.created = created / 2;
            policy.name = format!("p{created}").parse().expect("a name");
        }
        policies
    })
}

fn any_mailbox() -> impl Strategy<Value = Mailbox> {
    prop::sample::select(vec![
        "a@acme.example",
        "user@single.example",
        "c@x.b.example",
        "c@b.example",
        "d@listed.example",
    ])
    .prop_map(mailbox)
}

fn any_inquiry() -> impl Strategy<Value = Inquiry> {
    (
        any_moment(),
        prop::sample::select(vec![Stage::Recipient, Stage::Content]),
        prop::sample::select(vec![Direction::Inbound, Direction::Outbound]),
        prop::option::weighted(0.8, any_mailbox()),
        prop::collection::vec(any_mailbox(), 0..3),
        any_mailbox(),
        prop::sample::select(vec!["192.0.2.1", "198.51.100.1", "2001:db8::1"]),
    )
        .prop_map(
            |(now, stage, direction, sender, header_from, recipient, client)| Inquiry {
                now: Moment::new(now),
                stage,
                direction,
                sender,
                header_from,
                recipient,
                client: client.parse().expect("an address"),
            },
        )
}

/// Names of what is in force and what is monitored.
fn names(selected: &Selected<'_>) -> (Option<String>, Option<String>) {
    let name = |policy: Option<&Policy>| policy.map(|policy| policy.name.to_string());
    (name(selected.in_force), name(selected.monitored))
}

fn matches(house: &House, policy: &Policy, inquiry: &Inquiry) -> bool {
    let selected = house.select(std::slice::from_ref(policy), inquiry);
    selected.in_force.or(selected.monitored).is_some()
}

proptest! {
    #[test]
    fn the_order_of_looking_does_not_matter(
        (policies, shuffled) in any_policies().prop_flat_map(|p| (Just(p.clone()), Just(p).prop_shuffle())),
        inquiry in any_inquiry(),
    ) {
        let house = House::new();
        prop_assert_eq!(
            names(&house.select(&policies, &inquiry)),
            names(&house.select(&shuffled, &inquiry))
        );
    }

    /// What is selected from all is what wins against each by itself: the order is
    /// total and transitive.
    #[test]
    fn the_first_goes_before_every_other(
        mut policies in any_policies(),
        inquiry in any_inquiry(),
    ) {
        let house = House::new();
        policies.iter_mut().for_each(|policy| policy.mode = Mode::Enforce);
        let select = |policies: &[Policy]| house.in_force(policies, &inquiry);
        let first = select(&policies);
        let winner = policies.iter().find(|p| Some(p.name.to_string()) == first);
        for other in &policies {
            match winner {
                Some(winner) => prop_assert_eq!(select(&[other.clone(), winner.clone()]), first.clone()),
                None => prop_assert_eq!(select(std::slice::from_ref(other)), None),
            }
        }
    }

    #[test]
    fn a_policy_that_does_not_match_changes_nothing(
        policies in any_policies(),
        others in any_policies(),
        inquiry in any_inquiry(),
    ) {
        let house = House::new();
        let mut all = policies.clone();
        for mut other in others {
            if !matches(&house, &other, &inquiry) {
                other.created += 100;
                all.insert(0, other);
            }
        }
        prop_assert_eq!(
            names(&house.select(&all, &inquiry)),
            names(&house.select(&policies, &inquiry))
        );
    }

    #[test]
    fn override_always_goes_before(policies in any_policies(), inquiry in any_inquiry()) {
        let house = House::new();
        let question = inquiry.of(&house.domains, &house.lists);
        let enforced = |policy: &&Policy| policy.mode_for(&question) == Mode::Enforce;
        let mut matching = policies.iter().filter(enforced).filter(|p| matches(&house, p, &inquiry));
        let overrides = matching.any(|policy| policy.overrides);
        let in_force = house.select(&policies, &inquiry).in_force;
        prop_assert_eq!(in_force.is_some_and(|policy| policy.overrides), overrides);
    }

    #[test]
    fn a_date_boundary_is_exact(valid in any_validity(), inquiry in any_inquiry()) {
        let house = House::new();
        let always = Policy {
            direction: Directions::Both,
            ..policy("p", 0, "everyone", "everyone", &[])
        };
        prop_assert!(matches(&house, &always, &inquiry));
        let begun = valid.from().is_none_or(|from| from <= inquiry.now);
        let over = valid.until().is_some_and(|until| until <= inquiry.now);
        let dated = Policy { valid, ..always };
        prop_assert_eq!(matches(&house, &dated, &inquiry), begun && !over);
    }

    /// Also where both ways match, and whatever others there are.
    #[test]
    fn bidirectional_equals_two_policies(policies in any_policies(), inquiry in any_inquiry()) {
        let house = House::new();
        let mut twins = Vec::new();
        for policy in &policies {
            let written = Policy { bidirectional: false, ..policy.clone() };
            if policy.bidirectional {
                let (from, to) = (written.to.clone(), written.from.clone());
                twins.push(Policy { from, to, ..written.clone() });
            }
            twins.push(written);
        }
        prop_assert_eq!(
            names(&house.select(&twins, &inquiry)),
            names(&house.select(&policies, &inquiry))
        );
    }

    #[test]
    fn both_matches_where_either_does(mut policy in any_policy(), inquiry in any_inquiry()) {
        let house = House::new();
        let mut based_on = |based_on| {
            policy.based_on = based_on;
            matches(&house, &policy, &inquiry)
        };
        let either = based_on(BasedOn::Envelope) || based_on(BasedOn::Header);
        prop_assert_eq!(based_on(BasedOn::Both), either);
    }

    /// What is in force is what is in force without them; what is monitored is what
    /// would be in force if they were, where that is another.
    #[test]
    fn monitor_never_changes_what_is_in_force(policies in any_policies(), inquiry in any_inquiry()) {
        let house = House::new();
        let (in_force, monitored) = names(&house.select(&policies, &inquiry));
        let mut without = policies.clone();
        let question = inquiry.of(&house.domains, &house.lists);
        without.retain(|policy| policy.mode_for(&question) == Mode::Enforce);
        prop_assert_eq!(&house.in_force(&without, &inquiry), &in_force);
        let mut enforced = policies;
        for policy in &mut enforced {
            (policy.mode, policy.ramp) = (Mode::Enforce, None);
        }
        let would = house.in_force(&enforced, &inquiry);
        prop_assert_eq!(monitored, would.filter(|would| Some(would) != in_force.as_ref()));
    }

    /// Whatever the header is, what applies is among what may.
    #[test]
    fn by_an_unknown_header_nothing_else_applies(policies in any_policies(), inquiry in any_inquiry()) {
        let house = House::new();
        let without = Inquiry { stage: Stage::Recipient, ..inquiry.clone() };
        let may = by_header(&policies, &without.of(&house.domains, &house.lists));
        let name = |policy: &Policy| policy.name.to_string();
        let certain = may.certain.map(name);
        let perhaps: Vec<String> = may.perhaps.into_iter().map(name).collect();
        let applies = house.in_force(&policies, &Inquiry { stage: Stage::Content, ..inquiry });
        let is_perhaps = applies.as_ref().is_some_and(|name| perhaps.contains(name));
        prop_assert!(applies == certain || is_perhaps, "{:?}: {:?}, {:?}", applies, certain, perhaps);
    }

    /// Every policy is there once, each goes before the next, and what applies is what
    /// is selected.
    #[test]
    fn an_explanation_is_what_is_selected(policies in any_policies(), inquiry in any_inquiry()) {
        let house = House::new();
        let explanation = house.explain(&policies, &inquiry);
        let name = |name: &Option<Name>| name.as_ref().map(Name::to_string);
        prop_assert_eq!(
            (name(&explanation.in_force), name(&explanation.monitored)),
            names(&house.select(&policies, &inquiry))
        );
        prop_assert_eq!(explanation.candidates.len(), policies.len());
        let mut places = Vec::new();
        for candidate in &explanation.candidates {
            let policy = policies.iter().find(|p| p.name == candidate.policy).expect("its policy");
            let is_matched = matches!(candidate.result, Standing::Matched { .. });
            prop_assert_eq!(is_matched, matches(&house, policy, &inquiry));
            if let Standing::Matched { place, .. } = candidate.result {
                prop_assert_eq!(place, places.len() + 1);
                places.push(Policy { mode: Mode::Enforce, ramp: None, ..policy.clone() });
            }
        }
        for pair in places.windows(2) {
            let first = Some(pair[0].name.to_string());
            prop_assert_eq!(house.in_force(pair, &inquiry), first);
        }
        let json = serde_json::to_string(&explanation).expect("JSON");
        prop_assert_eq!(serde_json::from_str::<Explanation>(&json).expect("the same"), explanation);
    }

    #[test]
    fn a_scope_reads_what_it_writes(text in "[a-z@:.\" -]{0,20}") {
        if let Ok(who) = text.parse::<Who>() {
            prop_assert_eq!(who.to_string().parse::<Who>(), Ok(who));
        }
    }
}
