//! What an explanation says of each policy.

use super::*;

/// A reason, and what takes it away.
type Mended = (Mismatch, fn(&mut Policy));

/// One policy against one question: the first reason why it does not match.
#[test]
fn the_first_reason_counts() {
    let house = House::new();
    let one = || policy("p", 0, "b.example", "c@acme.example", &["192.0.2.0/24"]);
    let (from, until) = (Moment::new(1_900_000_000), Moment::new(1_700_000_000));
    let later = Validity::new(Some(from), None).expect("a range");
    let over = Validity::new(None, Some(until)).expect("a range");
    let asked = inquiry("a@c.example", "d@acme.example", "198.51.100.1");
    let only = Directions::Outbound;
    // Each step mends what the one before it was about.
    let mut policy = Policy {
        enabled: false,
        valid: later,
        direction: only,
        based_on: BasedOn::Header,
        ..one()
    };
    let mend: [Mended; 7] = [
        (Mismatch::Disabled, |p| p.enabled = true),
        (Mismatch::NotYetValid { from }, |p| {
            p.valid = Validity::PERPETUAL;
        }),
        (Mismatch::Direction { only }, |p| {
            p.direction = Directions::Both;
        }),
        (Mismatch::Stage, |p| p.based_on = BasedOn::Envelope),
        (Mismatch::From, |p| p.from = Who::Everyone),
        (Mismatch::To, |p| p.to = Who::Everyone),
        (Mismatch::Source, |p| p.sources.clear()),
    ];
    for (mismatch, mended) in mend {
        let found = house.explain(std::slice::from_ref(&policy), &asked);
        assert_eq!(found.candidates[0].result, Standing::NotMatched(mismatch));
        assert_eq!(found.in_force, None);
        mended(&mut policy);
    }
    let found = house.explain(std::slice::from_ref(&policy), &asked);
    assert_eq!(found.in_force, Some(policy.name.clone()));
    policy.valid = over;
    let found = house.explain(&[policy], &asked);
    let expired = Standing::NotMatched(Mismatch::Expired { until });
    assert_eq!(found.candidates[0].result, expired);
}

#[test]
fn the_parts_of_a_place_are_shown() {
    let house = House::new();
    let mut both = policy("both", 3, "acme.example", "list:group", &["192.0.2.0/24"]);
    both.bidirectional = true;
    both.overrides = true;
    let off = Policy {
        enabled: false,
        ..policy("off", 1, "everyone", "everyone", &[])
    };
    let later = policy("later", 2, "external", ".example", &[]);
    let earlier = policy("earlier", 0, "external", ".example", &[]);
    let policies = [off, earlier, later, both];
    let asked = inquiry("user@single.example", "a@acme.example", "192.0.2.1");
    let found = house.explain(&policies, &asked);
    let json = serde_json::to_value(&found).expect("JSON");
    let results: Vec<_> = found.candidates.iter().map(|c| c.policy.as_str()).collect();
    assert_eq!(results, ["both", "later", "earlier", "off"]);
    assert_eq!(json["in_force"], "both");
    assert_eq!(
        json["candidates"][0]["result"],
        serde_json::json!({"matched": {
            "place": 1,
            "exchanged": true,
            "rank": {
                "override": true,
                "from": "list",
                "to": {"domain": 12},
                "source_prefix": 24,
                "created": 3,
            },
        }})
    );
    assert_eq!(
        json["candidates"][1]["result"]["matched"]["rank"]["from"],
        "side"
    );
    assert_eq!(
        json["candidates"][3]["result"],
        serde_json::json!({"not-matched": {"reason": "disabled"}})
    );
}

#[test]
fn candidates_are_shown_though_the_recipient_is_exempt() {
    let house = House::new();
    let policies = [policy("all", 0, "everyone", "everyone", &[])];
    let asked = inquiry("", "postmaster@acme.example", "192.0.2.1");
    let found = house.explain(&policies, &asked);
    assert_eq!(found.exempt, Some(Exemption::Postmaster));
    assert_eq!(found.in_force, None);
    assert!(matches!(
        found.candidates[0].result,
        Standing::Matched { place: 1, .. }
    ));
}
