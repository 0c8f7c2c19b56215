mod explained;
mod properties;
mod selection;

use std::net::IpAddr;

use super::*;
use crate::address::{Domain, Mailbox};
use crate::facts::{Direction, Stage};
use crate::lists::{List, Lists};

fn policy(name: &str, created: usize, from: &str, to: &str, sources: &[&str]) -> Policy {
    let name = name.parse().expect("a name");
    Policy {
        from: from.parse().expect("a from"),
        to: to.parse().expect("a to"),
        sources: sources
            .iter()
            .map(|net| net.parse().expect("a network"))
            .collect(),
        created,
        ..Policy::new(name, Choice::Constant(Decision::Default))
    }
}

fn mailbox(text: &str) -> Mailbox {
    text.parse().expect("a mailbox")
}

/// About mail at RCPT TO from `sender` (empty: null).
fn inquiry(sender: &str, recipient: &str, client: &str) -> Inquiry {
    Inquiry {
        now: Moment::new(1_800_000_000),
        stage: Stage::Recipient,
        direction: Direction::Inbound,
        sender: (!sender.is_empty()).then(|| mailbox(sender)),
        header_from: Vec::new(),
        recipient: mailbox(recipient),
        client: client.parse().expect("a client"),
    }
}

/// The tenant's side of a question.
struct House {
    domains: Vec<Domain>,
    lists: Lists,
    exempt: Exempt,
}

impl House {
    fn new() -> Self {
        let keys = ["listed.example", ".under.example", "user@single.example"];
        let entries = keys.iter().map(|key| ((*key).to_owned(), String::new()));
        Self {
            domains: vec!["acme.example".parse().expect("a domain")],
            lists: [("group".to_owned(), List::new(entries.collect()))]
                .into_iter()
                .collect(),
            exempt: Exempt::default(),
        }
    }

    fn select<'a>(&self, policies: &'a [Policy], inquiry: &Inquiry) -> Selected<'a> {
        let question = inquiry.of(&self.domains, &self.lists);
        select(policies, &self.exempt, &question)
    }

    fn explain(&self, policies: &[Policy], inquiry: &Inquiry) -> Explanation {
        let question = inquiry.of(&self.domains, &self.lists);
        explain(policies, &self.exempt, &question)
    }

    /// The name of the policy in force.
    fn in_force(&self, policies: &[Policy], inquiry: &Inquiry) -> Option<String> {
        let selected = self.select(policies, inquiry);
        selected.in_force.map(|policy| policy.name.to_string())
    }

    /// The same for mail at RCPT TO.
    fn selected(
        &self,
        policies: &[Policy],
        sender: &str,
        recipient: &str,
        client: &str,
    ) -> Option<String> {
        self.in_force(policies, &inquiry(sender, recipient, client))
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
        lists: [("group".to_owned(), list)].into_iter().collect(),
        ..House::new()
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

#[test]
fn a_revision_changes_with_the_policy_and_not_with_its_place() {
    let one = policy("p", 0, "external", "everyone", &["192.0.2.0/24"]);
    let mut moved = one.clone();
    moved.created = 7;
    assert_eq!(moved.digest(), one.digest());
    let mut other = one.clone();
    other.on_failure = OnFailure::Opportunistic;
    assert_ne!(other.digest(), one.digest());
    for change in [
        |policy: &mut Policy| policy.based_on = BasedOn::Both,
        |policy: &mut Policy| policy.bidirectional = true,
        |policy: &mut Policy| policy.overrides = true,
        |policy: &mut Policy| policy.mode = Mode::Monitor,
        |policy: &mut Policy| {
            policy.valid = Validity::new(None, Some(Moment::new(1))).expect("a range");
        },
    ] {
        let mut other = one.clone();
        change(&mut other);
        assert_ne!(other.digest(), one.digest(), "{other:?}");
    }
    // Receipts of earlier versions name it so.
    let before = "fae56490b102351ee6f73048cc12fa0c2ededdd24cb7a306f1bf68180c53e894";
    assert_eq!(one.digest().to_string(), before);
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
