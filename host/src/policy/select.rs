//! Which policy applies to one recipient.

use std::net::IpAddr;

use super::Policy;
use super::precedence::Precedence;
use super::scope::matched;
use crate::address::{Domain, Mailbox};
use crate::facts::Direction;
use crate::lists::Lists;

/// What a policy is selected for: one recipient of one message.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// To the tenant or from it.
    pub direction: Direction,
    /// Envelope sender; none for the null sender.
    pub sender: Option<&'a Mailbox>,
    /// Envelope recipient.
    pub recipient: &'a Mailbox,
    /// The client.
    pub client: IpAddr,
    /// What "internal" means.
    pub domains: &'a [Domain],
    /// What "list:…" means.
    pub lists: &'a Lists,
}

/// The policy that applies, the first of those that match; none means Default.
pub fn select<'a>(policies: &'a [Policy], question: &Question<'_>) -> Option<&'a Policy> {
    policies
        .iter()
        .filter_map(|policy| {
            let matched = matched(policy, question)?;
            Some((Precedence::of(policy, &matched), policy))
        })
        .max_by(|(a, _), (b, _)| a.cmp(b))
        .map(|(_, policy)| policy)
}
