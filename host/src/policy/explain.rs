//! Why a policy applies to one recipient, or none does: every policy of the tenant with
//! what speaks for it or against it.
//!
//! **It explains what [`select`] does, by the same code.** No module is asked: what one
//! would say is known when it has been run.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::matching::{Matched, Mismatch, matched};
use super::precedence::{Precedence, Rank};
use super::{Choice, Exempt, Exemption, Mode, Moment, Policy, Question, Stand, Who, select};
use crate::address::{Domain, Mailbox};
use crate::decision::Decision;
use crate::digest::Digest;
use crate::facts::{Direction, Facts, Stage};
use crate::lists::Lists;
use crate::name::Name;

/// A [`Question`] that can be kept and shown; what it is asked of is the tenant's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inquiry {
    /// The time.
    pub now: Moment,
    /// RCPT TO, or the end of data.
    pub stage: Stage,
    /// To the tenant or from it.
    pub direction: Direction,
    /// Envelope sender; none for the null sender.
    pub sender: Option<Mailbox>,
    /// Addresses of the header From.
    pub header_from: Vec<Mailbox>,
    /// Envelope recipient.
    pub recipient: Mailbox,
    /// The client.
    pub client: IpAddr,
}

/// Which policy applies, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// Why no policy is asked, if none is to be, whatever would match.
    pub exempt: Option<Exemption>,
    /// The policy that applies; none means Default.
    pub in_force: Option<Name>,
    /// The one that would apply if it were not only monitored.
    pub monitored: Option<Name>,
    /// Every policy of the tenant: those that match in their order, then the others in
    /// the order of their creation.
    pub candidates: Vec<Candidate>,
}

/// One policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// Its name.
    pub policy: Name,
    /// Digest of the whole policy.
    pub revision: Digest,
    /// Whether it is in force, or only monitored.
    pub mode: Mode,
    /// Where its ramp stands, which made that so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ramp: Option<Stand>,
    /// Whose mail it is about.
    pub from: Who,
    /// To whom.
    pub to: Who,
    /// What it would answer, or whom it would ask.
    pub option: Answer,
    /// Whether it matches.
    pub result: Standing,
}

/// What comes of a policy once it applies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// This decision.
    Constant(Decision),
    /// What the module of this name says.
    Module(Name),
}

/// Where a policy stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It matches.
    Matched {
        /// Its place among those that match, from one.
        place: usize,
        /// It is bidirectional, and matches with from and to exchanged.
        exchanged: bool,
        /// What its place is made of.
        rank: Rank,
    },
    /// It does not, for this reason before all others.
    NotMatched(Mismatch),
}

/// Explains what applies.
pub fn explain(policies: &[Policy], exempt: &Exempt, question: &Question<'_>) -> Explanation {
    let mut matching = Vec::new();
    let mut others = Vec::new();
    for policy in policies {
        match matched(policy, question) {
            Ok(matched) => matching.push((Precedence::of(policy, &matched), policy, matched)),
            Err(mismatch) => others.push((policy, mismatch)),
        }
    }
    matching.sort_by(|(a, ..), (b, ..)| b.cmp(a));
    others.sort_by_key(|(policy, _)| (policy.created, &policy.name));
    let places = matching
        .iter()
        .zip(1..)
        .map(|((precedence, policy, matched), place)| {
            candidate(policy, question, standing(precedence, matched, place))
        });
    let others = others
        .iter()
        .map(|(policy, mismatch)| candidate(policy, question, Standing::NotMatched(*mismatch)));
    let selected = select(policies, exempt, question);
    let name = |policy: &Policy| policy.name.clone();
    Explanation {
        exempt: selected.exempt,
        in_force: selected.in_force.map(name),
        monitored: selected.monitored.map(name),
        candidates: places.chain(others).collect(),
    }
}

fn standing(precedence: &Precedence<'_>, matched: &Matched, place: usize) -> Standing {
    Standing::Matched {
        place,
        exchanged: matched.way.exchanged,
        rank: precedence.rank(),
    }
}

fn candidate(policy: &Policy, question: &Question<'_>, result: Standing) -> Candidate {
    Candidate {
        policy: policy.name.clone(),
        revision: policy.digest(),
        mode: policy.mode_for(question),
        ramp: policy.stand(question),
        from: policy.from.clone(),
        to: policy.to.clone(),
        option: match &policy.option {
            Choice::Constant(decision) => Answer::Constant(decision.clone()),
            Choice::Module(consultation) => Answer::Module(consultation.module.clone()),
        },
        result,
    }
}

impl Inquiry {
    /// What these facts ask.
    pub fn new(facts: &Facts) -> Self {
        Self {
            now: Moment::new(facts.now),
            stage: facts.stage,
            direction: facts.direction,
            sender: facts.sender.clone(),
            header_from: facts.header_from.clone(),
            recipient: facts.recipient.clone(),
            client: facts.connection.client.ip(),
        }
    }

    /// Asked of a tenant with these domains and lists.
    pub fn of<'a>(&'a self, domains: &'a [Domain], lists: &'a Lists) -> Question<'a> {
        Question {
            now: self.now.unix_seconds(),
            stage: self.stage,
            direction: self.direction,
            sender: self.sender.as_ref(),
            header_from: &self.header_from,
            recipient: &self.recipient,
            client: self.client,
            domains,
            lists,
        }
    }
}

impl Explanation {
    /// The policy of this name.
    pub fn candidate(&self, name: &Name) -> Option<&Candidate> {
        let mut all = self.candidates.iter();
        all.find(|candidate| candidate.policy == *name)
    }
}
