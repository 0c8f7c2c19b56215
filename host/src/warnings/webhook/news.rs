//! What is new since a webhook was told last. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::super::{Kind, Warning};
use crate::policy::Moment;
use crate::store::Last;

/// Warnings of one tenant that its webhook is told of at most, the most urgent ones: whoever
/// has more has one problem.
const MOST: usize = 500;

/// What a message says.
#[derive(Debug, Deserialize, Serialize)]
struct Body {
    /// `warning.appeared` or `warning.ended`.
    #[serde(rename = "type")]
    what: String,
    /// When that was found.
    timestamp: Moment,
    /// The warning, as it was when it appeared.
    data: Warning,
}

const APPEARED: &str = "warning.appeared";
const ENDED: &str = "warning.ended";

/// What is to be told, where this was told last and these warnings are there now, the most
/// urgent first; only of these kinds, where there are any.
pub fn news(last: &[Last], found: &[Warning], kinds: &[Kind], now: Moment) -> Vec<Last> {
    let wanted = |warning: &&Warning| kinds.is_empty() || kinds.contains(&warning.kind);
    let found = found.iter().filter(wanted).take(MOST);
    let found: BTreeMap<String, &Warning> = found.map(|w| (subject(w), w)).collect();
    let there = last.iter().filter(|last| last.is_there);
    let there: BTreeMap<&str, &Last> = there.map(|last| (last.subject.as_str(), last)).collect();
    let told: BTreeSet<&str> = there.keys().copied().collect();
    let appeared = found
        .iter()
        .filter(|(subject, _)| !told.contains(subject.as_str()))
        .map(|(subject, warning)| message(subject, true, (*warning).clone(), now));
    let ended = there
        .values()
        .filter(|last| !found.contains_key(&last.subject))
        .filter_map(|last| {
            let body: Body = serde_json::from_str(&last.body).ok()?;
            Some(message(&last.subject, false, body.data, now))
        });
    appeared.chain(ended).collect()
}

fn message(subject: &str, is_there: bool, data: Warning, timestamp: Moment) -> Last {
    let what = if is_there { APPEARED } else { ENDED };
    let body = Body {
        what: what.to_owned(),
        timestamp,
        data,
    };
    Last {
        subject: subject.to_owned(),
        is_there,
        body: serde_json::to_string(&body).expect("a warning has text keys and whole numbers"),
    }
}

/// What makes a warning the same as one before: not how urgent it has become, nor its words.
fn subject(warning: &Warning) -> String {
    let sender = warning.sender.as_deref().unwrap_or_default();
    format!("{} {} {sender}", warning.kind.as_str(), warning.policy)
}

#[cfg(test)]
mod tests {
    use super::super::super::Severity;
    use super::*;

    fn warning(kind: Kind, sender: &str, severity: Severity) -> Warning {
        Warning {
            kind,
            severity,
            since: None,
            tenant: "acme".parse().expect("an id"),
            policy: "partners".parse().expect("a name"),
            sender: Some(sender.to_owned()),
            text: format!("{severity:?}"),
            receipt: None,
        }
    }

    fn told(last: &[Last], found: &[Warning], kinds: &[Kind]) -> Vec<(String, String)> {
        let news = news(last, found, kinds, Moment::new(7));
        let said = news.iter().map(|message| {
            let body: Body = serde_json::from_str(&message.body).expect("JSON");
            assert_eq!(message.is_there, body.what == APPEARED);
            (body.what, body.data.sender.unwrap_or_default())
        });
        said.collect()
    }

    fn said(what: &str, sender: &str) -> (String, String) {
        (what.to_owned(), sender.to_owned())
    }

    #[test]
    fn each_is_told_once_when_it_appears_and_once_when_it_ends() {
        let one = || warning(Kind::NeverMet, "a.example", Severity::Warning);
        let two = || warning(Kind::NeverMet, "b.example", Severity::Warning);
        let first = news(&[], &[one(), two()], &[], Moment::new(7));
        assert_eq!(first.len(), 2);
        assert_eq!(told(&first, &[one(), two()], &[]), []);
        // More urgent is no other.
        let urgent = warning(Kind::NeverMet, "a.example", Severity::Critical);
        assert_eq!(told(&first, &[urgent, two()], &[]), []);
        assert_eq!(told(&first, &[two()], &[]), [said(ENDED, "a.example")]);
        let ended = news(&first, &[], &[], Moment::new(8));
        assert_eq!(told(&ended, &[one()], &[]), [said(APPEARED, "a.example")]);
        assert_eq!(told(&ended, &[], &[]), []);
    }

    #[test]
    fn only_kinds_that_are_wanted_are_told() {
        let found = [
            warning(Kind::NeverMet, "a.example", Severity::Warning),
            warning(Kind::BeganToFail, "b.example", Severity::Critical),
        ];
        let wanted = [Kind::BeganToFail];
        assert_eq!(told(&[], &found, &wanted), [said(APPEARED, "b.example")]);
        // What is not wanted any more has ended for the receiver.
        let all = news(&[], &found, &[], Moment::new(7));
        assert_eq!(told(&all, &found, &wanted), [said(ENDED, "a.example")]);
    }

    #[test]
    fn whoever_has_too_many_is_told_of_the_first() {
        let many = (0..600).map(|n| warning(Kind::NeverMet, &format!("s{n}"), Severity::Warning));
        assert_eq!(told(&[], &many.collect::<Vec<_>>(), &[]).len(), MOST);
    }
}
