//! A tenant's policies: which of them applies to one recipient.
//!
//! A policy is a *scope* (`scope`: from whom, to whom, from where) and an *option*
//! ([`Choice`]: a constant decision, or a module to ask). **One policy applies per
//! recipient**: [`select`] takes the first in a total order (`precedence`). All of this
//! is pure and allocates nothing: it runs for every recipient.
//!
//! Deliberately not here yet: dates, override, header From, monitor mode and policies
//! that hold in both directions of correspondence. Each is a field of [`Policy`] and a
//! line in `scope::matched` or [`Precedence`].

mod precedence;
mod scope;
mod select;

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

pub use precedence::Precedence;
pub use scope::{Directions, Who, WhoError, is_group_key};
pub use select::{Question, select};

use crate::config::Position;
use crate::decision::{Decision, Requirements, Resolved};
use crate::digest::Digest;

/// Longest narrative in characters.
pub const MAX_NARRATIVE: usize = 500;

/// A policy of a tenant.
#[derive(Clone, Debug, Serialize)]
pub struct Policy {
    /// Its name, unique in the tenant.
    pub name: Name,
    /// The administrator's description.
    pub narrative: String,
    /// What it decides, or whom it asks.
    pub option: Choice,
    /// Which mail it is about.
    pub direction: Directions,
    /// Envelope senders.
    pub from: Who,
    /// Envelope recipients.
    pub to: Who,
    /// Networks of clients; empty is any.
    pub sources: Vec<IpNet>,
    /// One that is not enabled never applies.
    pub enabled: bool,
    /// What it means when the module fails; the tenant's, where the policy has none.
    pub on_failure: OnFailure,
    /// A line for the reply that refuses; the tenant's, where the policy has none.
    pub contact: Option<String>,
    /// How many policies of the tenant are older: the place in its file.
    #[serde(skip)]
    pub created: usize,
    /// Where it is written.
    #[serde(skip)]
    pub at: Position,
    /// Its digest, once it has been asked for: every receipt names it.
    #[serde(skip)]
    pub(crate) revision: OnceLock<Digest>,
}

/// What a policy does once it applies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Choice {
    /// Always this.
    Constant(Decision),
    /// What the module says.
    Module(Consultation),
}

/// A module to ask, with the policy's settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Consultation {
    /// Name of the module within the tenant.
    pub module: Name,
    /// JSON text, keys sorted.
    pub settings: Arc<str>,
    /// Digest of that text.
    pub settings_digest: Digest,
}

impl Consultation {
    /// Asks this module with these settings.
    pub fn new(module: Name, settings: &serde_json::Value) -> Self {
        let text = settings.to_string();
        Self {
            module,
            settings_digest: Digest::of(text.as_bytes()),
            settings: text.into(),
        }
    }
}

/// What the failure of a module means: a trap, a timeout, an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// The client is asked to come back later: the gate never opens by accident.
    #[default]
    Defer,
    /// As if the module had enforced TLS, without further requirements.
    Enforced,
    /// As if it had said opportunistic.
    Opportunistic,
}

impl OnFailure {
    /// The decision that stands in for the module's; none when the client is deferred.
    pub fn decision(self) -> Option<Resolved> {
        match self {
            Self::Defer => None,
            Self::Enforced => Some(Resolved::Enforced(Requirements::default())),
            Self::Opportunistic => Some(Resolved::Opportunistic),
        }
    }
}

impl Policy {
    /// The revision for receipts: SHA-256 of the policy as JSON, everything but its
    /// place in the file.
    pub fn digest(&self) -> Digest {
        *self.revision.get_or_init(|| {
            let json = serde_json::to_vec(self).expect("a policy has text keys and finite numbers");
            Digest::of(&json)
        })
    }
}

/// Name of a policy, a module, a list or a listener: lower-case letters, digits and
/// hyphens, at most 63.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(Arc<str>);

/// Not a [`Name`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a name: use 1 to 63 of a-z, 0-9 and '-', beginning with a letter or digit")]
pub struct NameError(String);

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let sound = (1..=63).contains(&text.len())
            && !text.starts_with('-')
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if sound {
            Ok(Self(text.into()))
        } else {
            Err(NameError(text.to_owned()))
        }
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.to_string()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests;
