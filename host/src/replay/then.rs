//! A decision run again by what it was made of, whatever the tenant has by now: the policy,
//! the module, the settings and the lists that its receipt names by their digests, on the
//! facts that it has.
//!
//! **Nothing stands in for what is not kept any more**: it is named, and what rests on it is
//! not known. Which policy applied is not asked again, since those that did not are not kept.

use std::sync::Arc;

use serde::Deserialize;

use crate::decision::Decision;
use crate::digest::Digest;
use crate::engine::{Engine, Failure, Module, Ran, may_be_the_hosts};
use crate::facts::{Facts, Stage};
use crate::lists::Lists;
use crate::policy::Mode;
use crate::receipt::{FailureRecord, Monitored, PolicyUsed, VerdictEvent};
use crate::store::{Store, StoreError};
use crate::transaction::CONSTANT;

/// What a policy said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// What it wants; none where it gave no answer.
    pub decision: Option<Decision>,
    /// Why, in its words; none where it gave no answer.
    pub reason: Option<String>,
    /// Why it gave no answer.
    pub failure: Option<FailureRecord>,
    /// Units of fuel that its module used; none for a constant.
    pub fuel: Option<u64>,
}

/// A decision of a receipt.
#[derive(Clone, Debug)]
pub struct Past<'a> {
    event: &'a VerdictEvent,
    /// Whether it counted.
    pub mode: Mode,
    /// By which policy and module.
    pub policy: &'a PolicyUsed,
    /// What was said.
    pub said: Said,
}

/// All that it was made of, as far as it is kept.
#[derive(Debug)]
pub struct Then {
    asked: Option<Asked>,
    lists: Arc<Lists>,
    /// What is not kept any more, in words.
    pub missing: Vec<String>,
    /// Whether the module is kept that decided.
    pub has_module: bool,
}

/// What came of running it again.
#[derive(Debug)]
pub struct Rerun {
    /// What was said this time; none where that is not known.
    pub said: Option<Said>,
    /// What is not known, in words: what is not kept any more, though it need not matter
    /// where something was said.
    pub missing: Vec<String>,
}

/// A policy as its text has it, as far as it is asked.
#[derive(Deserialize)]
struct Kept {
    option: Asked,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Asked {
    Constant(Decision),
    Module { settings: String },
}

impl<'a> Past<'a> {
    /// The decisions of an event: the one that counted, and one that was only monitored.
    /// None where no policy applied, or the verdict of the other event stands here.
    pub fn of(event: &'a VerdictEvent) -> Vec<Self> {
        let in_force = event.policy.as_ref().filter(|_| !event.only_stands());
        let in_force = in_force.map(|policy| Self {
            event,
            mode: Mode::Enforce,
            policy,
            said: Said::of(
                &event.decision,
                &event.reason,
                event.failure.as_ref(),
                event.fuel,
            ),
        });
        let monitored = event.monitored.as_deref().map(|monitored| {
            let Monitored {
                policy,
                decision,
                reason,
                failure,
                fuel,
                ..
            } = monitored;
            Self {
                event,
                mode: Mode::Monitor,
                policy,
                said: Said::of(decision, reason, failure.as_ref(), *fuel),
            }
        });
        in_force.into_iter().chain(monitored).collect()
    }

    /// At which stage it was decided.
    pub fn stage(&self) -> Stage {
        self.facts().stage
    }

    /// Whether it came out the same; not known where nothing was said, nor where it was
    /// perhaps the host that failed then.
    pub fn is_same(&self, rerun: &Rerun) -> Option<bool> {
        let failure = self.said.failure.as_ref();
        let is_hosts = failure.is_some_and(|failure| may_be_the_hosts(&failure.code));
        let said = rerun.said.as_ref().filter(|_| !is_hosts);
        said.map(|said| *said == self.said)
    }

    fn facts(&self) -> &Arc<Facts> {
        &self.event.facts
    }

    /// What it was made of, from the store.
    ///
    /// # Errors
    /// When that cannot be read.
    pub async fn load(&self, store: &Store) -> Result<Then, StoreError> {
        let PolicyUsed {
            name,
            revision,
            module,
            ..
        } = self.policy;
        let mut missing = Vec::new();
        let text = store.policy_of(*revision).await?;
        let text = text.filter(|text| Digest::of(text.as_bytes()) == *revision);
        let asked = text.and_then(|text| serde_json::from_str(&text).ok());
        if asked.is_none() {
            missing.push(format!("policy {name} with SHA-256 {revision}"));
        }
        let mut has_module = false;
        if let Some(module) = module {
            has_module = store.has_module(module.digest).await?;
            if !has_module {
                let (name, digest) = (&module.name, module.digest);
                missing.push(format!("module {name} with SHA-256 {digest}"));
            }
        }
        let mut lists = Lists::default();
        for (name, digest) in &self.event.lists {
            match store.list_as_it_was(*digest).await? {
                Some(list) => lists.insert(name.clone(), list),
                None => missing.push(format!("list {name} with SHA-256 {digest}")),
            }
        }
        Ok(Then {
            asked: asked.map(|kept: Kept| kept.option),
            lists: Arc::new(lists),
            missing,
            has_module,
        })
    }

    /// Runs it again. `module` is the one that decided, if it is kept.
    pub async fn run(&self, then: Then, engine: &Engine, module: Option<&Module>) -> Rerun {
        let Then {
            asked,
            lists,
            mut missing,
            ..
        } = then;
        match (asked, module) {
            (Some(Asked::Constant(decision)), _) => Rerun {
                said: Some(Said::of(&decision, CONSTANT, None, None)),
                missing,
            },
            (Some(Asked::Module { settings }), Some(module)) => {
                let ran = engine
                    .try_out(module, &settings, self.facts(), &lists)
                    .await;
                self.conclude(ran, missing)
            }
            (asked, _) => {
                if asked.is_some() && self.policy.module.is_none() {
                    missing.push("the module, which was not loaded then".to_owned());
                }
                Rerun {
                    said: None,
                    missing,
                }
            }
        }
    }

    /// From an answer to what is known of it.
    fn conclude(&self, ran: Ran, mut missing: Vec<String>) -> Rerun {
        let is_known = match &ran.result {
            Err(failure) if failure.is_passing() => {
                missing.push(format!("the host's time: {failure}"));
                false
            }
            // The tenant had it.
            Err(Failure::UnknownList(name)) => !self.event.lists.contains_key(name),
            _ => true,
        };
        let lacks = self.event.lacks.first_in(ran.reads);
        if let Some(fact) = lacks {
            missing.push(format!(
                "the fact {}, which the host that wrote the receipt did not know of",
                fact.as_str()
            ));
        }
        Rerun {
            said: (is_known && lacks.is_none()).then(|| ran.into()),
            missing,
        }
    }
}

impl Said {
    fn of(
        decision: &Decision,
        reason: &str,
        failure: Option<&FailureRecord>,
        fuel: Option<u64>,
    ) -> Self {
        let is_answer = failure.is_none();
        Self {
            decision: is_answer.then(|| decision.clone()),
            reason: is_answer.then(|| reason.to_owned()),
            failure: failure.cloned(),
            fuel,
        }
    }
}

impl From<Ran> for Said {
    fn from(ran: Ran) -> Self {
        let fuel = Some(ran.fuel);
        match ran.result {
            Ok(answer) => Self::of(&answer.decision, &answer.reason, None, fuel),
            Err(failure) => {
                let failure = FailureRecord {
                    code: failure.code().to_owned(),
                    detail: failure.to_string(),
                };
                Self::of(&Decision::Default, "", Some(&failure), fuel)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receipt::sample;

    fn failed(code: &str) -> Option<FailureRecord> {
        Some(FailureRecord {
            code: code.to_owned(),
            detail: "why".to_owned(),
        })
    }

    /// What failed may have been the guest or the host: a failure of the host's says
    /// nothing of the guest.
    #[test]
    fn a_failure_of_the_hosts_is_neither_the_same_nor_another() {
        let mut event = sample::verdict("ann@acme.example");
        event.policy = sample::policy("p", "one");
        for (code, expected) in [("host", None), ("deadline", None), ("trap", Some(true))] {
            event.failure = failed(code);
            let past = &Past::of(&event)[0];
            let again = |said| Rerun {
                said,
                missing: Vec::new(),
            };
            let same = again(Some(past.said.clone()));
            assert_eq!(past.is_same(&same), expected, "{code}");
            let other = again(Some(Said::of(&Decision::Default, "", None, None)));
            let differs = expected.map(|_| false);
            assert_eq!(past.is_same(&other), differs, "{code}");
            assert_eq!(past.is_same(&again(None)), None, "{code}");
        }
    }
}
