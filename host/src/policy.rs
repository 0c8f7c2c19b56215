//! A tenant's policies: which of them applies to one recipient.
//!
//! A policy is a *scope* (`scope`: from whom, to whom; `validity`: when) and an *option*
//! ([`Choice`]: a constant decision, or a module to ask). **One policy applies per
//! recipient**: of those that match (`matching`) [`select`] takes the first in a total
//! order (`precedence`), and [`explain`] shows why. All of this is pure, and selecting
//! allocates nothing: it runs for every recipient.

mod exempt;
mod explain;
mod matching;
mod precedence;
mod ramp;
mod scope;
mod select;
mod validity;

use std::sync::Arc;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

pub use exempt::{Exempt, Exemption};
pub use explain::{Answer, Candidate, Explanation, Inquiry, Standing, explain};
pub use matching::Mismatch;
pub use precedence::{Precedence, Rank};
pub use ramp::{Ramp, RampError, Stand, WHOLE};
pub use scope::{BasedOn, Directions, Extent, Who, WhoError, is_group_key};
pub use select::{ByHeader, Question, Selected, by_header, select};
pub use validity::{EmptyError, Moment, MomentError, Validity};

use crate::decision::{Decision, Requirements, Resolved};
use crate::digest::Digest;
use crate::facts::Direction;
use crate::name::Name;

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
    /// Senders.
    pub from: Who,
    /// Envelope recipients.
    pub to: Who,
    /// Which addresses are those of senders.
    #[serde(skip_serializing_if = "is_default")]
    pub based_on: BasedOn,
    /// It is as good as a second policy with `from` and `to` exchanged.
    #[serde(skip_serializing_if = "is_default")]
    pub bidirectional: bool,
    /// Networks of clients; empty is any.
    pub sources: Vec<IpNet>,
    /// One that is not enabled never applies.
    pub enabled: bool,
    /// When it applies.
    #[serde(flatten)]
    pub valid: Validity,
    /// It goes before every policy that does not override.
    #[serde(rename = "override", skip_serializing_if = "is_default")]
    pub overrides: bool,
    /// Whether what it decides is done, or only recorded.
    #[serde(skip_serializing_if = "is_default")]
    pub mode: Mode,
    /// For whom it is enforced, where that is not for everybody at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ramp: Option<Ramp>,
    /// What it means when the module fails; the tenant's, where the policy has none.
    pub on_failure: OnFailure,
    /// A line for the reply that refuses; the tenant's, where the policy has none.
    pub contact: Option<String>,
    /// How many policies of the tenant are older: the place in its file.
    #[serde(skip)]
    pub created: usize,
}

/// What is done with what a policy decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// It counts.
    #[default]
    Enforce,
    /// It is recorded beside what counts, and never acted on.
    Monitor,
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
    /// The revision that is asked whichever is active; none for the active one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<Digest>,
    /// JSON text, keys sorted.
    pub settings: Arc<str>,
    /// Digest of that text.
    pub settings_digest: Digest,
}

impl Consultation {
    /// Asks the active revision of this module with these settings.
    pub fn new(module: Name, settings: &serde_json::Value) -> Self {
        let text = settings.to_string();
        Self {
            module,
            revision: None,
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

/// What came later than the first receipts is left out where it changes nothing, so that
/// a new version of the host is no new revision of a policy.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Policy {
    /// A policy about all inbound mail, the oldest of its tenant.
    pub fn new(name: Name, option: Choice) -> Self {
        Self {
            name,
            narrative: String::new(),
            option,
            direction: Directions::default(),
            from: Who::Everyone,
            to: Who::Everyone,
            based_on: BasedOn::default(),
            bidirectional: false,
            sources: Vec::new(),
            enabled: true,
            valid: Validity::PERPETUAL,
            overrides: false,
            mode: Mode::default(),
            ramp: None,
            on_failure: OnFailure::default(),
            contact: None,
            created: 0,
        }
    }

    /// Whether the header From of mail in this direction may matter to it, now or later.
    pub fn reads_header(&self, direction: Direction, now: u64) -> bool {
        self.enabled
            && self.based_on != BasedOn::Envelope
            && self.direction.includes(direction)
            && !self.valid.is_over(now)
    }

    /// The revision for receipts: SHA-256 of its text.
    pub fn digest(&self) -> Digest {
        Digest::of(self.text().as_bytes())
    }

    /// The policy as JSON, everything but its place in the file.
    pub fn text(&self) -> String {
        serde_json::to_string(self).expect("a policy has text keys and finite numbers")
    }
}

#[cfg(test)]
mod tests;
