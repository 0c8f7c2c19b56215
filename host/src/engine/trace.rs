//! What a policy did in one decision, in order: for whoever writes it.
//!
//! **A decision that nobody traces pays nothing for it**: no text is made there. A trace
//! is as bounded as what it tells of, whose calls and texts `budget` counts.

use serde::Serialize;
use serde_json::Value;

use super::log::kept;
use super::outcome::LogLine;
use crate::decision::Requirement;

/// All that a policy asked and said, and what it took.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trace {
    /// In the order of the calls.
    pub events: Vec<Event>,
    /// The memory of the instance at its end, in bytes; zero where it did not start.
    pub memory: usize,
}

/// One call of a policy.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Event {
    /// It read a fact.
    Fact {
        /// Resource and method as in the interface, such as `message.sender`.
        name: &'static str,
        /// What it asked about, where the method takes something: the domain of
        /// `certificate.within`.
        #[serde(skip_serializing_if = "Option::is_none")]
        argument: Option<String>,
        /// What it was told: null for none, and `"present"` for a TLS session or a
        /// certificate.
        value: Value,
    },
    /// It asked a list.
    List {
        /// Name of the list.
        name: String,
        /// What it looked for.
        key: String,
        /// What is there.
        #[serde(flatten)]
        answer: Listed,
    },
    /// It stated a requirement.
    Requirement {
        /// The set to which it was added, from 0 on: only one of them is the answer.
        set: u32,
        /// The requirement.
        requirement: Requirement,
    },
    /// It logged a line; those over the limit of a decision are here, too.
    Log(LogLine),
}

/// What a list had for a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "answer", content = "value", rename_all = "kebab-case")]
pub enum Listed {
    /// This value, which is empty in a set.
    Found(String),
    /// Not the key.
    Absent,
    /// There is no list of this name, which ended the policy.
    NoList,
}

/// A fact as it is asked for.
pub(super) struct Asked<'a> {
    name: &'static str,
    argument: Option<&'a str>,
}

impl From<&'static str> for Asked<'_> {
    fn from(name: &'static str) -> Self {
        let argument = None;
        Self { name, argument }
    }
}

impl<'a> From<(&'static str, &'a str)> for Asked<'a> {
    fn from((name, argument): (&'static str, &'a str)) -> Self {
        let argument = Some(argument);
        Self { name, argument }
    }
}

impl Event {
    pub(super) fn fact(asked: &Asked<'_>, value: Value) -> Self {
        Self::Fact {
            name: asked.name,
            argument: asked.argument.map(kept),
            value,
        }
    }

    pub(super) fn list(name: &str, key: &str, answer: Listed) -> Self {
        Self::List {
            name: kept(name),
            key: kept(key),
            answer,
        }
    }
}
