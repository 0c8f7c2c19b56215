use std::collections::BTreeMap;
use std::net::IpAddr;

use proptest::prelude::*;

use super::*;
use crate::address::{Domain, Mailbox};
use crate::facts::{Direction, Stage};
use crate::lists::{List, Lists};

fn policy(name: &str, created: usize, from: &str, to: &str, sources: &[&str]) -> Policy {
    Policy {
        name: name.parse().expect("a name"),
        narrative: String::new(),
        option: Choice::Constant(Decision::Default),
        direction: Directions::Inbound,
        from: from.parse().expect("a from"),
        to: to.parse().expect("a to"),
        based_on: BasedOn::Envelope,
        sources: sources
            .iter()
            .map(|net| net.parse().expect("a network"))
            .collect(),
        enabled: true,
        on_failure: OnFailure::Defer,
        contact: None,
        created,
    }
}

/// The tenant's side of a question.
struct House {
    domains: Vec<Domain>,
    lists: Lists,
}

impl House {
    fn new() -> Self {
        let keys = ["listed.example", ".under.example", "user@single.example"];
        let entries: BTreeMap<String, String> = keys
            .iter()
            .map(|key| ((*key).to_owned(), String::new()))
            .collect();
        Self {
            domains: vec!["acme.example".parse().expect("a domain")],
            lists: [("group".to_owned(), List::new(entries))]
                .into_iter()
                .collect(),
        }
    }

    /// The name of the policy that applies to mail from `sender` (empty: null).
    fn selected(
        &self,
        policies: &[Policy],
        sender: &str,
        recipient: &str,
        client: &str,
    ) -> Option<String> {
        let sender: Option<Mailbox> =
            (!sender.is_empty()).then(|| sender.parse().expect("a sender"));
        let client = client.parse().expect("a client");
        self.ask(recipient, |question| {
            let question = Question {
                sender: sender.as_ref(),
                client,
                ..question
            };
            select(policies, &question).map(|policy| policy.name.to_string())
        })
    }

    /// Asks about mail to this recipient, from nobody, unless the question is changed.
    fn ask<T>(&self, recipient: &str, about: impl FnOnce(Question<'_>) -> T) -> T {
        about(Question {
            stage: Stage::Recipient,
            direction: Direction::Inbound,
            sender: None,
            header_from: &[],
            recipient: &recipient.parse().expect("a recipient"),
            client: "192.0.2.1".parse().expect("an address"),
            domains: &self.domains,
            lists: &self.lists,
        })
    }

    fn matches(&self, from: &str, sender: &str) -> bool {
        let policies = [policy("p", 0, from, "everyone", &[])];
        self.selected(&policies, sender, "a@acme.example", "192.0.2.1")
            .is_some()
    }
}

#[test]
fn whom_a_scope_takes_in() {
    let house = House::new();
    for (from, within, without) in [
        (
            "everyone",
            &["a@b.example", "", "a@[192.0.2.1]"][..],
            &[][..],
        ),
        (
            "internal",
            &["a@acme.example"],
            &["a@sub.acme.example", "a@b.example", "", "a@[192.0.2.1]"],
        ),
        (
            "external",
            &["a@sub.acme.example", "a@b.example", "", "a@[192.0.2.1]"],
            &["a@acme.example"],
        ),
        (
            "b.example",
            &["a@b.example", "a@B.Example"],
            &["a@x.b.example", "a@xb.example", ""],
        ),
        (
            ".b.example",
            &["a@x.b.example", "a@y.x.b.example"],
            &["a@b.example", "a@xb.example", ""],
        ),
        (
            "CEO@b.example",
            &["ceo@b.example", "\"Ceo\"@B.example", "\"c\\eo\"@b.example"],
            &["ceo@c.example", "ceox@b.example", "ce@b.example", ""],
        ),
        (
            "list:group",
            &[
                "a@listed.example",
                "a@x.under.example",
                "a@z.y.under.example",
                "USER@single.example",
                "\"user\"@single.example",
            ],
            &[
                "a@x.listed.example",
                "a@under.example",
                "other@single.example",
                "",
                "a@[192.0.2.1]",
            ],
        ),
        ("list:none", &[], &["a@listed.example"]),
    ] {
        for sender in within {
            assert!(house.matches(from, sender), "{from} takes in {sender:?}");
        }
        for sender in without {
            assert!(!house.matches(from, sender), "{from} leaves out {sender:?}");
        }
    }
}

#[test]
fn the_longest_address_fits_a_key_of_a_list() {
    let local = "é".repeat(32);
    let domain = format!(
        "{}.{}.{}.{}",
        "a".repeat(63),
        "b".repeat(63),
        "c".repeat(63),
        "d".repeat(61)
    );
    let address = format!("{local}@{domain}");
    assert_eq!(is_group_key(&address), Ok(()));
    let list = List::new([(address.clone(), String::new())].into());
    let house = House {
        domains: Vec::new(),
        lists: [("group".to_owned(), list)].into_iter().collect(),
    };
    assert!(house.matches("list:group", &address));
}

#[test]
fn the_first_of_the_total_order_applies() {
    let house = House::new();
    for (sender, client, ladder) in [
        (
            "user@single.example",
            "192.0.2.1",
            &[
                ("everyone", "everyone", &[][..]),
                ("external", "everyone", &[][..]),
                (".example", "everyone", &[]),
                ("single.example", "everyone", &[]),
                ("list:group", "everyone", &[]),
                ("user@single.example", "everyone", &[]),
                ("user@single.example", "internal", &["192.0.2.0/24"]),
                ("user@single.example", "acme.example", &[]),
                ("user@single.example", "acme.example", &["0.0.0.0/0"]),
                ("user@single.example", "acme.example", &["192.0.2.0/24"]),
                (
                    "user@single.example",
                    "acme.example",
                    &["192.0.0.0/8", "192.0.2.1/32"],
                ),
                ("user@single.example", "a@acme.example", &[]),
            ][..],
        ),
        (
            "a@x.y.example",
            "::ffff:192.0.2.1",
            &[
                ("everyone", "a@acme.example", &["192.0.2.1/32"]),
                (".example", "everyone", &[]),
                (".y.example", "everyone", &[]),
                ("x.y.example", "everyone", &[]),
                (
                    "x.y.example",
                    "everyone",
                    &["192.0.2.0/24", "2001:db8::/128"],
                ),
            ],
        ),
    ] {
        let mut policies: Vec<Policy> = ladder
            .iter()
            .enumerate()
            .map(|(rung, (from, to, sources))| {
                // The weaker was created later, so that only its rank holds it back.
                policy(&format!("p{rung}"), ladder.len() - rung, from, to, sources)
            })
            .collect();
        while let Some(highest) = policies.last() {
            let expected = Some(highest.name.to_string());
            let found = house.selected(&policies, sender, "a@acme.example", client);
            assert_eq!(found, expected, "of {policies:?}");
            policies.pop();
        }
    }
}

#[test]
fn of_equals_the_later_applies() {
    let house = House::new();
    let policies = [
        policy("later", 1, "external", "everyone", &[]),
        policy("earlier", 0, "external", "everyone", &[]),
    ];
    let found = house.selected(&policies, "", "a@acme.example", "192.0.2.1");
    assert_eq!(found.as_deref(), Some("later"));
}

#[test]
fn what_is_off_or_goes_the_other_way_does_not_apply() {
    let house = House::new();
    let mut off = policy("off", 0, "everyone", "everyone", &[]);
    off.enabled = false;
    let mut outbound = policy("outbound", 0, "everyone", "everyone", &[]);
    outbound.direction = Directions::Outbound;
    let elsewhere = policy("elsewhere", 0, "everyone", "everyone", &["2001:db8::/32"]);
    let policies = [off, outbound, elsewhere];
    let found = |policies: &[Policy]| house.selected(policies, "", "a@acme.example", "192.0.2.1");
    assert_eq!(found(&policies), None);
    let mut both = policy("both", 0, "everyone", "everyone", &[]);
    both.direction = Directions::Both;
    assert_eq!(found(&[both]).as_deref(), Some("both"));
}

/// Which addresses count, by stage; the last is what a null or absent address matches.
#[test]
fn a_policy_is_about_the_addresses_that_it_is_based_on() {
    let house = House::new();
    let envelope: Mailbox = "a@acme.example".parse().expect("a mailbox");
    let header = ["x@b.example", "y@listed.example"].map(|text| text.parse().expect("a mailbox"));
    let (recipient, content) = ("a@acme.example", Stage::Content);
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
        let found = house.ask(recipient, |question| {
            let question = Question {
                stage,
                sender: Some(&envelope),
                header_from,
                ..question
            };
            select(std::slice::from_ref(&policy), &question).is_some()
        });
        assert_eq!(
            found, matches,
            "{based_on:?} {from} at {stage:?} {header_from:?}"
        );
    }
}

#[test]
fn a_revision_changes_with_the_policy_and_not_with_its_place() {
    let one = policy("p", 0, "external", "everyone", &["192.0.2.0/24"]);
    let mut moved = one.clone();
    moved.created = 7;
    assert_eq!(moved.digest(), one.digest());
    let mut other = one.clone();
    other.on_failure = OnFailure::Opportunistic;
    assert_ne!(other.digest(), one.digest());
    let mut asks = one.clone();
    let name: Name = "m".parse().expect("a name");
    asks.option = Choice::Module(Consultation::new(
        name.clone(),
        &serde_json::json!({"a": 1}),
    ));
    let mut asks_else = one;
    asks_else.option = Choice::Module(Consultation::new(name, &serde_json::json!({"a": 2})));
    assert_ne!(asks.digest(), asks_else.digest());
}

#[test]
fn failing_means_what_the_tenant_says() {
    assert_eq!(OnFailure::default().decision(), None);
    assert_eq!(
        OnFailure::Opportunistic.decision(),
        Some(Resolved::Opportunistic)
    );
    assert_eq!(
        OnFailure::Enforced.decision(),
        Some(Resolved::Enforced(Requirements::default()))
    );
}

#[test]
fn keys_of_groups_are_in_normal_form() {
    for key in ["a.example", ".a.example", "user@a.example", "a b@a.example"] {
        let sound = !key.contains(' ');
        assert_eq!(is_group_key(key).is_ok(), sound, "{key}");
    }
    for (key, normal) in [
        ("A.example", "a.example"),
        (".bücher.example", ".xn--bcher-kva.example"),
        ("User@a.example", "user@a.example"),
        ("\"user\"@A.example", "user@a.example"),
    ] {
        let message = format!("{key:?} matches nothing: write {normal:?}");
        assert_eq!(is_group_key(key), Err(message));
    }
}

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

fn any_policies() -> impl Strategy<Value = Vec<Policy>> {
    let sources = prop::sample::subsequence(
        vec!["192.0.2.0/24", "192.0.0.0/8", "2001:db8::/32", "::/0"],
        0..3,
    );
    let policy =
        (any_who(), any_who(), sources, any::<bool>()).prop_map(|(from, to, sources, enabled)| {
            let mut policy = policy("p", 0, from, to, &sources);
            policy.enabled = enabled;
            policy
        });
    prop::collection::vec(policy, 0..12).prop_map(|mut policies| {
        for (created, policy) in policies.iter_mut().enumerate() {
            policy.created = created;
            policy.name = format!("p{created}").parse().expect("a name");
        }
        policies
    })
}

fn any_question() -> impl Strategy<Value = (&'static str, &'static str, &'static str)> {
    let mailbox = |null: &'static str| {
        prop::sample::select(vec![
            null,
            "a@acme.example",
            "user@single.example",
            "c@x.b.example",
            "c@b.example",
            "d@listed.example",
        ])
    };
    let client = prop::sample::select(vec!["192.0.2.1", "198.51.100.1", "2001:db8::1"]);
    (mailbox(""), mailbox("b@acme.example"), client)
}

proptest! {
    #[test]
    fn the_order_of_looking_does_not_matter(
        (policies, shuffled) in any_policies().prop_flat_map(|p| (Just(p.clone()), Just(p).prop_shuffle())),
        (sender, recipient, client) in any_question(),
    ) {
        let house = House::new();
        prop_assert_eq!(
            house.selected(&policies, sender, recipient, client),
            house.selected(&shuffled, sender, recipient, client)
        );
    }

    /// What is selected from all is what wins against each by itself: the order is
    /// total and transitive.
    #[test]
    fn the_first_goes_before_every_other(
        policies in any_policies(),
        (sender, recipient, client) in any_question(),
    ) {
        let house = House::new();
        let select = |policies: &[Policy]| house.selected(policies, sender, recipient, client);
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
        (sender, recipient, client) in any_question(),
    ) {
        let house = House::new();
        let select = |policies: &[Policy]| house.selected(policies, sender, recipient, client);
        let before = select(&policies);
        let mut all = policies;
        for mut other in others {
            if select(std::slice::from_ref(&other)).is_none() {
                other.created += 100;
                all.insert(0, other);
            }
        }
        prop_assert_eq!(select(&all), before);
    }

    #[test]
    fn a_scope_reads_what_it_writes(text in "[a-z@:.\" -]{0,20}") {
        if let Ok(who) = text.parse::<Who>() {
            prop_assert_eq!(who.to_string().parse::<Who>(), Ok(who));
        }
    }
}

#[test]
fn a_client_address_is_seen_in_its_own_family() {
    let house = House::new();
    let v4 = [policy("v4", 0, "everyone", "everyone", &["0.0.0.0/0"])];
    for (client, found) in [
        ("192.0.2.1", true),
        ("::ffff:192.0.2.1", true),
        ("2001:db8::1", false),
    ] {
        let client: IpAddr = client.parse().expect("an address");
        let selected = house.selected(&v4, "", "a@acme.example", &client.to_string());
        assert_eq!(selected.is_some(), found, "{client}");
    }
}
