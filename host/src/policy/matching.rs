//! Whether a policy is about one recipient of one message: in which way, or the first
//! reason why not. Nothing here allocates.

use std::net::IpAddr;

use super::scope::Extent;
use super::{BasedOn, Policy, Question};
use crate::facts::Stage;

/// How a policy matched, as far as its precedence depends on the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Matched {
    /// Of what took the sender in.
    pub(super) from: Extent,
    /// Of what took the recipient in.
    pub(super) to: Extent,
    /// Longest prefix among the policy's networks that hold the client.
    pub(super) source: Option<u8>,
}

/// The first reason why a policy does not match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mismatch {
    /// It is switched off.
    Disabled,
    /// It is about mail that goes the other way.
    Direction,
    /// It is based on the header From, which is not there before the end of data.
    Stage,
    /// It is not about this sender.
    From,
    /// It is not about this recipient.
    To,
    /// It is not about this client.
    Source,
}

/// Whether and how a policy is about this question.
pub(super) fn matched(policy: &Policy, question: &Question<'_>) -> Result<Matched, Mismatch> {
    if !policy.enabled {
        return Err(Mismatch::Disabled);
    }
    if !policy.direction.includes(question.direction) {
        return Err(Mismatch::Direction);
    }
    if policy.based_on == BasedOn::Header && question.stage == Stage::Recipient {
        return Err(Mismatch::Stage);
    }
    if !policy.from.includes_sender(policy.based_on, question) {
        return Err(Mismatch::From);
    }
    if !policy.to.includes(Some(question.recipient), question) {
        return Err(Mismatch::To);
    }
    Ok(Matched {
        from: policy.from.extent(),
        to: policy.to.extent(),
        source: source(policy, question)?,
    })
}

fn source(policy: &Policy, question: &Question<'_>) -> Result<Option<u8>, Mismatch> {
    if policy.sources.is_empty() {
        return Ok(None);
    }
    // A dual-stack socket shows IPv4 clients as ::ffff:192.0.2.1.
    let client: IpAddr = question.client.to_canonical();
    let prefixes = policy.sources.iter().filter(|net| net.contains(&client));
    let longest = prefixes.map(ipnet::IpNet::prefix_len).max();
    longest.map(Some).ok_or(Mismatch::Source)
}
