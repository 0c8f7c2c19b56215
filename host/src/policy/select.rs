//! Which policy applies to one recipient, and which one would if it were in force.
//!
//! **A policy in monitor mode changes nothing**: the policy in force is selected among
//! the others, as if it were not there.

use std::net::IpAddr;

use super::exempt::{Exempt, Exemption};
use super::matching::{Header, matched, matched_by_header};
use super::precedence::Precedence;
use super::{Mode, Policy};
use crate::address::{Domain, Mailbox};
use crate::facts::{Direction, Facts, Stage};
use crate::lists::Lists;

/// What a policy is selected for: one recipient of one message.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The time, in seconds since 1970.
    pub now: u64,
    /// RCPT TO, where the header From is not there yet, or the end of data, where all
    /// policies are candidates.
    pub stage: Stage,
    /// To the tenant or from it.
    pub direction: Direction,
    /// Envelope sender; none for the null sender.
    pub sender: Option<&'a Mailbox>,
    /// Addresses of the header From; none are there before the end of data.
    pub header_from: &'a [Mailbox],
    /// Envelope recipient.
    pub recipient: &'a Mailbox,
    /// The client.
    pub client: IpAddr,
    /// What "internal" means.
    pub domains: &'a [Domain],
    /// What "list:…" means.
    pub lists: &'a Lists,
}

/// What applies to one recipient.
#[derive(Clone, Copy, Debug, Default)]
pub struct Selected<'a> {
    /// Why no policy is asked, if none is to be.
    pub exempt: Option<Exemption>,
    /// The first policy of those that enforce; none means Default.
    pub in_force: Option<&'a Policy>,
    /// The first policy of all, where that one is only monitored: it would apply if it
    /// were in force.
    pub monitored: Option<&'a Policy>,
}

/// What may apply where the header From is not known.
#[derive(Clone, Debug, Default)]
pub struct ByHeader<'a> {
    /// Applies, whatever the header is, unless one of the others does; none means Default.
    pub certain: Option<&'a Policy>,
    /// Would apply in its stead, each by some header.
    pub perhaps: Vec<&'a Policy>,
}

impl<'a> Question<'a> {
    /// What these facts ask of a tenant with these domains and lists.
    pub fn new(facts: &'a Facts, domains: &'a [Domain], lists: &'a Lists) -> Self {
        Self {
            now: facts.now,
            stage: facts.stage,
            direction: facts.direction,
            sender: facts.sender.as_ref(),
            header_from: &facts.header_from,
            recipient: &facts.recipient,
            client: facts.connection.client.ip(),
            domains,
            lists,
        }
    }
}

/// What applies, of these policies of a tenant and whom it exempts from them.
pub fn select<'a>(
    policies: &'a [Policy],
    exempt: &Exempt,
    question: &Question<'_>,
) -> Selected<'a> {
    let exemption = exempt.of(question.recipient, question.domains);
    if exemption.is_some() {
        return Selected {
            exempt: exemption,
            ..Selected::default()
        };
    }
    let in_force = first(policies, Mode::Enforce, question);
    let monitored = first(policies, Mode::Monitor, question).filter(|(precedence, _)| {
        let before = in_force.as_ref().map(|(in_force, _)| in_force);
        before.is_none_or(|in_force| precedence > in_force)
    });
    Selected {
        exempt: None,
        in_force: in_force.map(|(_, policy)| policy),
        monitored: monitored.map(|(_, policy)| policy),
    }
}

/// What is in force at the end of data where the header From is not known. The question is
/// of `RCPT TO`, with which it has all else in common.
pub fn by_header<'a>(policies: &'a [Policy], question: &Question<'_>) -> ByHeader<'a> {
    let matched_by = |header| {
        let counts = move |policy: &&Policy| match header {
            Header::Any => policy.enforces_every_header(question),
            Header::Some => policy.enforces_some_header(question),
        };
        policies.iter().filter(counts).filter_map(move |policy| {
            let matched = matched_by_header(policy, question, header)?;
            Some((Precedence::of(policy, &matched), policy))
        })
    };
    let certain = first(policies, Mode::Enforce, question)
        .into_iter()
        .chain(matched_by(Header::Any))
        .max_by(|(a, _), (b, _)| a.cmp(b));
    let goes_first = |(precedence, policy): &(Precedence<'_>, &Policy)| {
        certain
            .as_ref()
            .is_none_or(|(certain, known)| precedence > certain && policy.name != known.name)
    };
    let perhaps = matched_by(Header::Some).filter(goes_first);
    ByHeader {
        perhaps: perhaps.map(|(_, policy)| policy).collect(),
        certain: certain.map(|(_, policy)| policy),
    }
}

/// The first of this mode, which one with a ramp has for some senders alone.
fn first<'a>(
    policies: &'a [Policy],
    mode: Mode,
    question: &Question<'_>,
) -> Option<(Precedence<'a>, &'a Policy)> {
    policies
        .iter()
        .filter(|policy| policy.mode == mode || policy.ramp.is_some())
        .filter_map(|policy| {
            let matched = matched(policy, question).ok()?;
            (policy.mode_for(question) == mode).then_some(())?;
            Some((Precedence::of(policy, &matched), policy))
        })
        .max_by(|(a, _), (b, _)| a.cmp(b))
}
