//! The evidence: what was decided, on which facts, by what.
//!
//! Up to three events under one id: the [`Verdict`](VerdictEvent) at RCPT TO, where the
//! header From matters a second one when the content is there, and for accepted mail its
//! [`Outcome`](OutcomeEvent). An event is handed over before the reply goes out and
//! reaches the disk within a second; a crash may lose that second of evidence, never
//! mail. Facts are kept whole, so that the decision can be run again.

pub mod eraser;
pub mod filter;
pub mod journal;
pub mod read;
#[cfg(test)]
pub(crate) mod sample;
pub mod scan;
pub mod shadowed;
pub mod since;
pub mod source;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use shadowed::{Beside, Came, ShadowEvent, ShadowOf, Side};

use serde::{Deserialize, Serialize};

use crate::address::Mailbox;
use crate::decision::{Decision, Resolved, Verdict};
use crate::digest::Digest;
use crate::engine::LogLine;
use crate::facts::{Connection, FactSet, Facts, Helo, ReceiptId, Stage, TenantId};
use crate::policy::Stand;
use crate::tenant::Tenant;

/// One thing to keep of a receipt: a line of a day file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A recipient was decided.
    Verdict(Box<VerdictEvent>),
    /// It was decided again, when the content was there.
    Content(Box<VerdictEvent>),
    /// An accepted recipient's message came to its end.
    Outcome(OutcomeEvent),
    /// A recipient whom nobody here owns was refused.
    Relay(Box<RelayEvent>),
    /// A candidate was asked about a decision that stands, or was not. It is in the store
    /// alone, and in no day file.
    #[serde(skip)]
    Shadow(Box<ShadowEvent>),
}

/// What was decided about one recipient, at one stage.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VerdictEvent {
    /// Id of the receipt; the same as in the facts.
    pub id: ReceiptId,
    /// RFC 3339, UTC.
    pub time: String,
    /// Name of the host.
    pub node: String,
    /// Everything the policy could see.
    pub facts: Arc<Facts>,
    /// The policy that applied; none where no policy matched.
    pub policy: Option<PolicyUsed>,
    /// Digest of the trust under which the certificate was judged.
    pub trust: Digest,
    /// Digests of the tenant's lists, by name.
    pub lists: BTreeMap<String, Digest>,
    /// What the policy answered; Default where none matched.
    pub decision: Decision,
    /// Why, in the policy's words or ours.
    pub reason: String,
    /// Why the policy gave no answer, if it gave none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureRecord>,
    /// The decision with Default resolved; none where failure means to defer.
    pub resolved: Option<Resolved>,
    /// What resolved Default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_of: Option<DefaultOf>,
    /// Accepted, or why not.
    pub verdict: Verdict,
    /// The reply that the client was given.
    pub reply: String,
    /// How long the decision took, in microseconds.
    pub micros: u64,
    /// Fuel that the module used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fuel: Option<u64>,
    /// What the module logged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<LogLine>,
    /// How many lines beyond the limit it logged.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub log_dropped: u64,
    /// What a policy in monitor mode would have decided, had it been in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monitored: Option<Box<Monitored>>,
    /// Facts of which the host that wrote it did not know: it is older. No part of the
    /// event; known where it was read back.
    #[serde(skip)]
    pub lacks: FactSet,
    /// The tenant as it was then: the store takes the policies from it that the event
    /// names. No part of the event, so none where it was read back.
    #[serde(skip)]
    pub under: Option<Arc<Tenant>>,
}

impl VerdictEvent {
    /// Whether nothing was decided but by a policy that is monitored, at the end of data: the
    /// verdict of the recipient stands beside it, without what it took to reach it.
    pub fn only_stands(&self) -> bool {
        let is_second = self.facts.stage == Stage::Content && self.monitored.is_some();
        is_second && self.micros == 0 && self.fuel.is_none()
    }
}

/// What a policy in monitor mode would have decided. Nothing was done with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Monitored {
    /// The policy.
    pub policy: PolicyUsed,
    /// What it answered; Default where it gave no answer.
    pub decision: Decision,
    /// Why, in the policy's words or ours.
    pub reason: String,
    /// Why it gave no answer, if it gave none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureRecord>,
    /// The decision with Default resolved; none where failure means to defer.
    pub resolved: Option<Resolved>,
    /// What resolved Default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_of: Option<DefaultOf>,
    /// Whether it would have accepted.
    pub verdict: Verdict,
    /// The refusal that the client would have been given; none where it would have been
    /// the target's to answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<String>,
    /// How long the decision took, in microseconds, after the one in force.
    pub micros: u64,
    /// Fuel that the module used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fuel: Option<u64>,
    /// What the module logged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<LogLine>,
    /// How many lines beyond the limit it logged.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub log_dropped: u64,
}

/// Which policy decided, and by which code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyUsed {
    /// Its name.
    pub name: String,
    /// Digest of the whole policy.
    pub revision: Digest,
    /// Where its ramp stood for the sender, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ramp: Option<Stand>,
    /// The module it ran, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<ModuleUsed>,
}

/// The code that decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleUsed {
    /// Its name in the tenant.
    pub name: String,
    /// Of the module as it was uploaded.
    pub digest: Digest,
    /// Of the settings it was given.
    pub settings: Digest,
}

/// Why a policy gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureRecord {
    /// A short stable code, such as `trap` or `out-of-fuel`.
    pub code: String,
    /// In words.
    pub detail: String,
}

/// Whose default a Default decision became.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DefaultOf {
    /// The tenant's.
    Tenant,
    /// The host's.
    Host,
}

/// What became of a message whose recipient was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeEvent {
    /// Id of the verdict's receipt.
    pub id: ReceiptId,
    /// RFC 3339, UTC.
    pub time: String,
    /// Who owns the recipient.
    pub tenant: TenantId,
    /// What happened.
    pub outcome: Outcome,
    /// The reply to the end of data; empty where there was none.
    pub reply: String,
    /// Where the message went, or what kept it from going there.
    pub detail: String,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The target has it.
    Delivered,
    /// Refused for now: the client keeps it.
    Deferred,
    /// The target refused the recipient for good, or the content was refused.
    Refused,
    /// The client gave it up, or vanished.
    Abandoned,
}

/// Why a recipient of a domain that nobody here has was refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RelayCause {
    /// The message is no tenant's own: a stranger's, as far as the host can tell.
    #[default]
    Foreign,
    /// It is this tenant's, who has no target for mail to others.
    NoTarget {
        /// Whose.
        tenant: TenantId,
    },
    /// It has the null sender, and the client is a server of several tenants.
    Unclear,
}

/// A recipient of a domain that nobody here owns. Belongs to the operator.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RelayEvent {
    /// Of the receipt.
    pub id: ReceiptId,
    /// RFC 3339, UTC.
    pub time: String,
    /// Name of the host.
    pub node: String,
    /// The connection.
    pub connection: Connection,
    /// How the client introduced itself.
    pub helo: Helo,
    /// Envelope sender.
    pub sender: Option<Mailbox>,
    /// Envelope recipient.
    pub recipient: Mailbox,
    /// Why.
    #[serde(default)]
    pub because: RelayCause,
    /// The reply that the client was given.
    pub reply: String,
    /// How many such refusals before this one left no receipt, for there were too
    /// many in one second.
    pub unrecorded: u64,
}

impl Event {
    /// Id of the receipt it belongs to.
    pub fn id(&self) -> ReceiptId {
        match self {
            Self::Verdict(verdict) | Self::Content(verdict) => verdict.id,
            Self::Outcome(outcome) => outcome.id,
            Self::Relay(relay) => relay.id,
            Self::Shadow(shadow) => shadow.receipt,
        }
    }
}

/// A time as receipts show it: RFC 3339, UTC, whole seconds.
pub fn timestamp(unix_seconds: u64) -> String {
    let fits = i64::try_from(unix_seconds).ok();
    let time = fits.and_then(|seconds| time::OffsetDateTime::from_unix_timestamp(seconds).ok());
    time.unwrap_or(time::OffsetDateTime::UNIX_EPOCH)
        .format(&time::format_description::well_known::Rfc3339)
        .unwrap_or_default()
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}
