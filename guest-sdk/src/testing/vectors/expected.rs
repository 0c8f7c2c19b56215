//! What a case expects, what a run came to, and where the two differ.

use std::collections::BTreeSet;
use std::fmt;

/// What a case expects of the policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// An answer, or none.
    pub outcome: Outcome,
    /// The lines of the log, each after its level and a colon; none where they do not
    /// matter.
    pub log: Option<Vec<String>>,
}

/// What a policy is to come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An answer.
    Answer {
        /// `default`, `opportunistic` or `enforced`.
        decision: String,
        /// All requirements, in words; none where they do not matter.
        requirements: Option<BTreeSet<String>>,
        /// Exactly this reason; none where it does not matter.
        reason: Option<String>,
    },
    /// No answer: the text is part of what is said of the failure.
    Fails(String),
}

/// What a run came to, in the words of [`Expected`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// `default`, `opportunistic` or `enforced`; none where the policy failed.
    pub decision: Option<String>,
    /// Requirements in words; see [`Requirement`](crate::Requirement).
    pub requirements: BTreeSet<String>,
    /// The reason of the answer.
    pub reason: String,
    /// Why there is no answer.
    pub failure: Option<String>,
    /// What was logged: `warn: a line`. The line of a panic belongs to the failure.
    pub log: Vec<String>,
}

/// One thing that is not as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// `decision`, `requirements`, `reason`, `failure` or `log`.
    pub what: &'static str,
    /// As the case has it.
    pub expected: String,
    /// As it came.
    pub found: String,
}

impl Expected {
    /// Everything in which a run is not as expected; empty when the case holds.
    pub fn differences(&self, found: &Found) -> Vec<Difference> {
        let mut differences = match &self.outcome {
            Outcome::Fails(text) => differences_of_failure(text, found),
            Outcome::Answer {
                decision,
                requirements,
                reason,
            } => differences_of_answer(decision, requirements.as_ref(), reason.as_deref(), found),
        };
        if let Some(log) = &self.log
            && *log != found.log
        {
            differences.push(difference("log", list(log), list(&found.log)));
        }
        differences
    }
}

fn differences_of_failure(text: &str, found: &Found) -> Vec<Difference> {
    let holds = found
        .failure
        .as_ref()
        .is_some_and(|failure| failure.contains(text));
    if holds {
        return Vec::new();
    }
    vec![difference("failure", format!("{text:?}"), outcome(found))]
}

fn differences_of_answer(
    decision: &str,
    requirements: Option<&BTreeSet<String>>,
    reason: Option<&str>,
    found: &Found,
) -> Vec<Difference> {
    let mut differences = Vec::new();
    if found.decision.as_deref() != Some(decision) {
        differences.push(difference("decision", decision.to_owned(), outcome(found)));
    }
    if found.failure.is_some() {
        // Of no answer there is nothing else to say.
        return differences;
    }
    if let Some(requirements) = requirements
        && *requirements != found.requirements
    {
        let (expected, found) = (list(requirements), list(&found.requirements));
        differences.push(difference("requirements", expected, found));
    }
    if let Some(reason) = reason
        && reason != found.reason
    {
        let found = format!("{:?}", found.reason);
        differences.push(difference("reason", format!("{reason:?}"), found));
    }
    differences
}

fn outcome(found: &Found) -> String {
    match (&found.decision, &found.failure) {
        (_, Some(failure)) => format!("no answer: {failure}"),
        (Some(decision), None) => decision.clone(),
        (None, None) => "no answer".to_owned(),
    }
}

/// As a file of vectors writes it.
fn list<'t>(texts: impl IntoIterator<Item = &'t String>) -> String {
    let texts: Vec<String> = texts.into_iter().map(|text| format!("{text:?}")).collect();
    format!("[{}]", texts.join(", "))
}

fn difference(what: &'static str, expected: String, found: String) -> Difference {
    Difference {
        what,
        expected,
        found,
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            what,
            expected,
            found,
        } = self;
        write!(f, "{what}: expected {expected}, found {found}")
    }
}
