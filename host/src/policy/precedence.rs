//! The total order of policies that match one question.
//!
//! **For any two policies of a tenant and any question that both match, exactly one
//! comes first**, whatever the order in which they are looked at.

use std::cmp::Reverse;

use super::Policy;
use super::matching::Matched;
use super::scope::Extent;
use crate::name::Name;

/// How a policy that matches stands against others; the greatest goes first. The order
/// of the fields is the order of the rules, so a rule that goes before all others
/// (override) is a field above `from`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Precedence<'a> {
    /// The more specific sender first.
    from: Extent,
    /// Then the more specific recipient.
    to: Extent,
    /// Then the longer prefix of the client's network; a policy for any client has
    /// none, which is less than the empty prefix.
    source: Option<u8>,
    /// Then the one created later.
    created: usize,
    /// Then the smaller name; two names of one tenant are never equal.
    name: Reverse<&'a Name>,
}

impl<'a> Precedence<'a> {
    /// The standing of a policy that matched in this way.
    pub(super) fn of(policy: &'a Policy, matched: &Matched) -> Self {
        Self {
            from: matched.from,
            to: matched.to,
            source: matched.source,
            created: policy.created,
            name: Reverse(&policy.name),
        }
    }
}
