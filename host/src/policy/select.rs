//! Which policy applies to one recipient.

use std::net::IpAddr;

use super::Policy;
use super::matching::matched;
use super::precedence::Precedence;
use crate::address::{Domain, Mailbox};
use crate::facts::{Direction, Facts, Stage};
use crate::lists::Lists;

/// What a policy is selected for: one recipient of one message.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
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

impl<'a> Question<'a> {
    /// What these facts ask of a tenant with these domains and lists.
    pub fn new(facts: &'a Facts, domains: &'a [Domain], lists: &'a Lists) -> Self {
        Self {
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

/// The policy that applies, the first of those that match; none means Default.
pub fn select<'a>(policies: &'a [Policy], question: &Question<'_>) -> Option<&'a Policy> {
    policies
        .iter()
        .filter_map(|policy| {
            let matched = matched(policy, question).ok()?;
            Some((Precedence::of(policy, &matched), policy))
        })
        .max_by(|(a, _), (b, _)| a.cmp(b))
        .map(|(_, policy)| policy)
}
