//! What decided a receipt and is different by now.

use super::{PolicyUsed, VerdictEvent};
use crate::lists::Lists;
use crate::name::Name;
use crate::policy::Explanation;

/// A sentence for each difference between what the receipt says and what would apply to
/// the same facts now.
pub fn changes(event: &VerdictEvent, now: &Explanation, lists: &Lists) -> Vec<String> {
    let monitored = event.monitored.as_ref().map(|monitored| &monitored.policy);
    let in_force = now.in_force.as_ref().map(Name::as_str);
    let would = now.monitored.as_ref().map(Name::as_str);
    [
        policy("applied", event.policy.as_ref(), in_force, now),
        policy("was monitored", monitored, would, now),
    ]
    .into_iter()
    .flatten()
    .chain(lists_since(event, lists))
    .collect()
}

/// How the policy that did this then differs from the one that does it now.
fn policy(
    did: &str,
    then: Option<&PolicyUsed>,
    now: Option<&str>,
    explanation: &Explanation,
) -> Option<String> {
    let name = then.map(|policy| policy.name.as_str());
    if name != now {
        let known = |name: &str| {
            explanation
                .candidates
                .iter()
                .any(|c| c.policy.as_str() == name)
        };
        let gone = name
            .filter(|name| !known(name))
            .map_or("", |_| ", which is gone");
        let (then, now) = (name.unwrap_or("no policy"), now.unwrap_or("none"));
        return Some(format!("then {then} {did}{gone}, now {now}"));
    }
    let then = then?;
    let candidate = explanation
        .candidates
        .iter()
        .find(|c| c.policy.as_str() == then.name)?;
    (candidate.revision != then.revision).then(|| {
        format!(
            "{} {did} as it was then ({}); it has been changed since ({})",
            then.name, then.revision, candidate.revision
        )
    })
}

/// Lists decide which addresses a policy is about, and modules look into them.
fn lists_since<'a>(event: &'a VerdictEvent, lists: &'a Lists) -> impl Iterator<Item = String> {
    event
        .lists
        .iter()
        .filter_map(|(name, digest)| match lists.get(name) {
            Some(list) if list.digest() == *digest => None,
            Some(_) => Some(format!("the list {name} has been changed since")),
            None => Some(format!("the list {name} is gone")),
        })
}
