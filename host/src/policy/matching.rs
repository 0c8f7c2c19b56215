//! Whether a policy is about one recipient of one message: in which way, or the first
//! reason why not. Nothing here allocates.
//!
//! **A bidirectional policy matches as two policies would**, one as it is written and
//! one with from and to exchanged. Where both ways match, the one that goes before the
//! other counts.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::scope::Extent;
use super::{BasedOn, Directions, Moment, Policy, Question, Who};
use crate::facts::Stage;

/// How a policy matched, as far as its precedence depends on the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Matched {
    /// From whom to whom.
    pub(super) way: Way,
    /// Longest prefix among the policy's networks that hold the client.
    pub(super) source: Option<u8>,
}

/// What took sender and recipient in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) from: Extent,
    pub(super) to: Extent,
    /// The policy is bidirectional, and this is its other direction.
    pub(super) exchanged: bool,
}

/// The first reason why a policy does not match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum Mismatch {
    /// It is switched off.
    Disabled,
    /// Its time has not come.
    NotYetValid {
        /// When it will.
        from: Moment,
    },
    /// Its time is over.
    Expired {
        /// Since when.
        until: Moment,
    },
    /// It is about mail that goes the other way.
    Direction {
        /// Which way.
        only: Directions,
    },
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
    check_time(policy, question)?;
    if !policy.direction.includes(question.direction) {
        let only = policy.direction;
        return Err(Mismatch::Direction { only });
    }
    if policy.based_on == BasedOn::Header && question.stage == Stage::Recipient {
        return Err(Mismatch::Stage);
    }
    Ok(Matched {
        way: way(policy, question)?,
        source: source(policy, question)?,
    })
}

/// By which headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Header {
    /// By every one.
    Any,
    /// By some.
    Some,
}

/// How a policy on the header From is about this question at the end of data, by some
/// header or by every one; none where it is not.
pub(super) fn matched_by_header(
    policy: &Policy,
    question: &Question<'_>,
    header: Header,
) -> Option<Matched> {
    let is_candidate = policy.enabled
        && policy.based_on != BasedOn::Envelope
        && check_time(policy, question).is_ok()
        && policy.direction.includes(question.direction);
    let way = |from: &Who, to: &Who, exchanged| {
        let by_it = header == Header::Some || *from == Who::Everyone;
        let matches = by_it && to.includes(Some(question.recipient), question);
        matches.then(|| Way {
            from: from.extent(),
            to: to.extent(),
            exchanged,
        })
    };
    let written = way(&policy.from, &policy.to, false);
    let exchanged = policy.bidirectional.then_some(());
    let exchanged = exchanged.and_then(|()| way(&policy.to, &policy.from, true));
    let ways = [exchanged, written].into_iter().flatten();
    let best = ways.max_by_key(|way| (way.from, way.to))?;
    let source = source(policy, question).ok()?;
    is_candidate.then_some(Matched { way: best, source })
}

fn check_time(policy: &Policy, question: &Question<'_>) -> Result<(), Mismatch> {
    let now = Moment::new(question.now);
    match (policy.valid.from(), policy.valid.until()) {
        (Some(from), _) if now < from => Err(Mismatch::NotYetValid { from }),
        (_, Some(until)) if now >= until => Err(Mismatch::Expired { until }),
        _ => Ok(()),
    }
}

/// The better of the ways that match. Where none does, the reason is that of the policy
/// as it is written.
fn way(policy: &Policy, question: &Question<'_>) -> Result<Way, Mismatch> {
    let written = one_way(&policy.from, &policy.to, false, policy, question);
    if !policy.bidirectional {
        return written;
    }
    let exchanged = one_way(&policy.to, &policy.from, true, policy, question);
    match (written, exchanged) {
        // Of equals the second, which is as it is written.
        (Ok(written), Ok(exchanged)) => {
            let rank = |way: &Way| (way.from, way.to);
            Ok(std::cmp::max_by_key(exchanged, written, rank))
        }
        (written, exchanged) => written.or_else(|reason| exchanged.map_err(|_| reason)),
    }
}

fn one_way(
    from: &Who,
    to: &Who,
    exchanged: bool,
    policy: &Policy,
    question: &Question<'_>,
) -> Result<Way, Mismatch> {
    if !from.includes_sender(policy.based_on, question) {
        return Err(Mismatch::From);
    }
    if !to.includes(Some(question.recipient), question) {
        return Err(Mismatch::To);
    }
    Ok(Way {
        from: from.extent(),
        to: to.extent(),
        exchanged,
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

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disabled => f.write_str("it is switched off"),
            Self::NotYetValid { from } => write!(f, "it is not valid before {from}"),
            Self::Expired { until } => write!(f, "it expired at {until}"),
            Self::Direction { only } => write!(f, "it is only about {} mail", only.as_str()),
            Self::Stage => f.write_str("the header From is there at the end of data only"),
            Self::From => f.write_str("it is not about this sender"),
            Self::To => f.write_str("it is not about this recipient"),
            Self::Source => f.write_str("the client is not in its sources"),
        }
    }
}
