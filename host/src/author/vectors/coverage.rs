//! What the cases of vectors have seen of a module.

use std::collections::{BTreeMap, BTreeSet};

use super::Outcome;
use crate::engine::Event;

/// What was read, asked and decided, over all cases that were tried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// How many cases came to each decision, in the order of the interface.
    pub decisions: [(&'static str, usize); 3],
    /// How many failed, by the code of the failure: the policy's on-failure would apply.
    pub failures: BTreeMap<&'static str, usize>,
    /// The facts that were read, by their names in the interface.
    pub facts: BTreeSet<&'static str>,
    /// The lists that were asked.
    pub lists: BTreeSet<String>,
    /// The kinds of requirements that were stated.
    pub requirements: BTreeSet<String>,
}

impl Coverage {
    /// Of no case.
    pub fn new() -> Self {
        Self {
            decisions: ["default", "opportunistic", "enforced"].map(|decision| (decision, 0)),
            ..Self::default()
        }
    }

    /// Adds what came of a case.
    pub fn add(&mut self, outcome: &Outcome) {
        self.came_to(outcome);
        for event in &outcome.trace.events {
            match event {
                Event::Fact { name, .. } => {
                    self.facts.insert(name);
                }
                Event::List { name, .. } => {
                    self.lists.insert(name.clone());
                }
                Event::Requirement { requirement, .. } => {
                    let words = super::requirement(requirement);
                    let name = words.split(' ').next().unwrap_or_default();
                    self.requirements.insert(name.to_owned());
                }
                Event::Log(_) => {}
            }
        }
    }

    fn came_to(&mut self, outcome: &Outcome) {
        if let Some(code) = outcome.failure() {
            *self.failures.entry(code).or_default() += 1;
        }
        let found = outcome.found();
        let decisions = self.decisions.iter_mut();
        for (decision, count) in decisions {
            *count += usize::from(found.decision.as_deref() == Some(*decision));
        }
    }
}
