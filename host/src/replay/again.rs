//! Deciding one receipt again.
//!
//! First as at `RCPT TO`. What passes there, and whose tenant would have policies on the
//! header From, then as at the end of data: by the header that the receipt has, or where it
//! has none, by what every header would come to. Where that is not one verdict it is not
//! known.

use std::sync::Arc;

use super::candidate::Candidate;
use crate::decision::{Verdict, judge, rests_on_trust};
use crate::engine::Engine;
use crate::facts::{Fact, Facts, Stage};
use crate::policy::{Choice, Mode, Policy, Selected};
use crate::receipt::{FailureRecord, VerdictEvent};
use crate::transaction::{Answered, Runner, ask, consult, resolve};

/// Why it is not known what a candidate would have decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unknown {
    /// It depends on the header From, and the message did not come so far.
    Header,
    /// It depends on what the certificate was taken for, by another trust than the
    /// candidate has.
    Trust,
    /// The module read a fact that the receipt lacks.
    Lacks(Fact),
    /// The host could not run the module.
    Host,
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Again {
    pub(super) verdict: Result<Verdict, Unknown>,
    /// Why a module gave no answer, if one did not.
    pub(super) failure: Option<FailureRecord>,
}

impl Unknown {
    /// In a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Header => "header-from-unknown",
            Self::Trust => "judged-under-another-trust",
            Self::Lacks(_) => "fact-missing",
            Self::Host => "host",
        }
    }

    /// In words.
    pub fn detail(self) -> String {
        match self {
            Self::Header => "a policy that reads the header From, or a module, might decide \
                             otherwise, and the receipt has no header: the message did not \
                             come so far, or no policy asked for it"
                .to_owned(),
            Self::Trust => "the certificate was judged under another trust than the candidate \
                            has, and the receipt does not have the certificate itself"
                .to_owned(),
            Self::Lacks(fact) => format!(
                "the module reads {}, which the host that wrote the receipt did not know of",
                fact.as_str()
            ),
            Self::Host => "the host could not run the module in time: its log or another replay \
                           may say more"
                .to_owned(),
        }
    }
}

/// Decides a receipt again: by its first event, and by the second where there is one.
pub(super) async fn again(
    candidate: &Candidate,
    engine: &Engine,
    first: &VerdictEvent,
    second: Option<&VerdictEvent>,
) -> Again {
    let question = Question {
        candidate,
        engine,
        event: first,
        facts: &first.facts,
        lacks_header: false,
    };
    let at_recipient = question.decide().await;
    let tenant = &candidate.tenant;
    let (direction, recipient) = (first.facts.direction, &first.facts.recipient);
    let mode = tenant.header_mode(direction, recipient, candidate.at);
    if at_recipient.verdict != Ok(Verdict::Accepted) || mode != Some(Mode::Enforce) {
        return at_recipient;
    }
    match second {
        Some(second) => {
            let at_content = Question {
                event: second,
                facts: &second.facts,
                ..question
            };
            at_content.decide().await
        }
        None => {
            let facts = Arc::new(Facts {
                stage: Stage::Content,
                ..Facts::clone(&first.facts)
            });
            let at_content = Question {
                facts: &facts,
                lacks_header: true,
                ..question
            };
            at_content.decide_by_every_header().await
        }
    }
}

/// What the candidate is asked.
#[derive(Clone, Copy)]
struct Question<'a> {
    candidate: &'a Candidate,
    engine: &'a Engine,
    event: &'a VerdictEvent,
    facts: &'a Arc<Facts>,
    /// The facts are those of the end of data but for the header.
    lacks_header: bool,
}

impl Question<'_> {
    async fn decide(&self) -> Again {
        let Candidate { tenant, at, .. } = self.candidate;
        self.ask(&tenant.select_at(self.facts, *at)).await
    }

    async fn decide_by_every_header(&self) -> Again {
        let Candidate { tenant, at, .. } = self.candidate;
        let by_header = tenant.by_header(self.facts, *at);
        let selected = Selected {
            in_force: by_header.certain,
            ..Selected::default()
        };
        let certain = self.ask(&selected).await;
        let Ok(verdict) = &certain.verdict else {
            return certain;
        };
        for policy in by_header.perhaps {
            if !self.comes_to(policy, verdict).await {
                return Again {
                    verdict: Err(Unknown::Header),
                    ..certain
                };
            }
        }
        certain
    }

    /// Whether a policy comes to this verdict, too, whatever the header is. A module may
    /// read it.
    async fn comes_to(&self, policy: &Policy, verdict: &Verdict) -> bool {
        match policy.option {
            Choice::Module(_) => false,
            Choice::Constant(_) => {
                let tenant = &self.candidate.tenant;
                let answered = consult(tenant, policy, Mode::Enforce, self.facts, None).await;
                self.conclude(&answered).as_ref() == Ok(verdict)
            }
        }
    }

    async fn ask(&self, selected: &Selected<'_>) -> Again {
        let runner = Some(Runner::Replay(self.engine));
        let answered = ask(&self.candidate.tenant, selected, self.facts, runner).await;
        Again {
            verdict: self.conclude(&answered),
            failure: answered.failure.map(|(record, _)| record),
        }
    }

    /// From an answer to the verdict, if nothing is missing on which either rests.
    fn conclude(&self, answered: &Answered) -> Result<Verdict, Unknown> {
        let Candidate {
            tenant, default, ..
        } = self.candidate;
        if answered.is_passing {
            return Err(Unknown::Host);
        }
        if let Some(fact) = self.event.lacks.first_in(answered.reads) {
            return Err(Unknown::Lacks(fact));
        }
        if self.lacks_header && answered.reads.contains(Fact::HeaderFrom) {
            return Err(Unknown::Header);
        }
        let is_trust_other = self.event.trust != tenant.trust.digest();
        if is_trust_other && answered.reads.contains(Fact::Trust) {
            return Err(Unknown::Trust);
        }
        let (resolved, _) = resolve(tenant, default, answered);
        let Some(resolved) = resolved else {
            return Ok(Verdict::Refused(crate::decision::Refusal::PolicyFailed));
        };
        if is_trust_other && rests_on_trust(&resolved, self.facts) {
            return Err(Unknown::Trust);
        }
        let judged = judge(&resolved, self.facts, self.candidate.offer(self.event));
        Ok(judged.map_or_else(Verdict::Refused, |_permit| Verdict::Accepted))
    }
}

#[cfg(test)]
mod tests;
