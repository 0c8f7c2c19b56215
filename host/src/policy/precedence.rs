//! The total order of policies that match one question.
//!
//! **For any two policies of a tenant and any question that both match, exactly one
//! comes first**, whatever the order in which they are looked at.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

use super::Policy;
use super::matching::Matched;
use super::scope::Extent;
use crate::name::Name;

/// How a policy that matches stands against others; the greatest goes first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Precedence<'a> {
    rank: Rank,
    /// At last the smaller name; two names of one tenant are never equal.
    name: Reverse<&'a Name>,
}

/// What precedence is made of. The order of the fields is the order of the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Rank {
    /// One that overrides goes before all that do not.
    #[serde(rename = "override")]
    pub overrides: bool,
    /// Then the more specific sender.
    pub from: Extent,
    /// Then the more specific recipient.
    pub to: Extent,
    /// Then the longer prefix of the client's network, in bits; a policy for any client
    /// has none, which is less than the empty prefix.
    pub source_prefix: Option<u8>,
    /// Then the one created later: how many policies of the tenant are older.
    pub created: usize,
}

impl<'a> Precedence<'a> {
    /// The standing of a policy that matched in this way.
    pub(super) fn of(policy: &'a Policy, matched: &Matched) -> Self {
        Self {
            rank: Rank {
                overrides: policy.overrides,
                from: matched.way.from,
                to: matched.way.to,
                source_prefix: matched.source,
                created: policy.created,
            },
            name: Reverse(&policy.name),
        }
    }

    /// What it is made of, but for the name.
    pub fn rank(&self) -> Rank {
        self.rank
    }
}
