//! An event of a receipt as what it comes to in the store. Pure.
//!
//! It is made where the event happens: an event is many small pieces of memory, which the
//! session gives back while the cache has them.

use std::sync::Arc;

use serde::Serialize;

use crate::decision::Verdict;
use crate::digest::Digest;
use crate::facts::{ReceiptId, TenantId};
use crate::receipt::filter::parts;
use crate::receipt::{Event, PolicyUsed, RelayEvent, ShadowEvent, VerdictEvent};
use crate::tenant::Tenant;

/// What stands in the column `verdict`.
pub(super) const ACCEPTED: &str = "accepted";
const REFUSED: &str = "refused";
pub(super) const RELAY: &str = "relay";

/// Octets of a verdict of usual size, so that it is not moved while it grows.
const VERDICT: usize = 2 * 1024;
/// The same of an outcome.
const OUTCOME: usize = 512;

/// What one event comes to.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Of the receipt.
    pub(super) id: ReceiptId,
    pub(super) part: Part,
    /// What it takes to run the decision again, if there is one and it takes anything.
    pub(super) used: Option<Box<Used>>,
}

/// A part of a receipt.
#[derive(Debug)]
pub(super) enum Part {
    /// Its beginning.
    New(Box<Row>),
    /// The decision at the end of data.
    Content(Box<Content>),
    /// What became of the message.
    Outcome { tenant: TenantId, event: String },
    /// What a candidate said, of which rows of their own come: see `shadow_columns`.
    Shadow(Box<ShadowEvent>),
}

/// A receipt that begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) id: String,
    /// Empty for refused relaying.
    pub(super) tenant: String,
    pub(super) direction: &'static str,
    pub(super) sender: (String, String),
    pub(super) recipient: (String, String),
    pub(super) client: String,
    pub(super) decided: Decided,
    pub(super) event: String,
    pub(super) content: Option<String>,
    pub(super) outcome: Option<String>,
}

/// How it was decided at last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decided {
    pub(super) policy: Option<String>,
    /// The one that was only monitored.
    pub(super) monitored: Option<String>,
    pub(super) verdict: &'static str,
}

/// A second decision.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) tenant: TenantId,
    pub(super) decided: Decided,
    pub(super) event: String,
}

/// What a decision was made with.
#[derive(Debug)]
pub(super) struct Used {
    pub(super) tenant: TenantId,
    pub(super) lists: Vec<Digest>,
    pub(super) policies: Vec<PolicyUsed>,
    /// The tenant as it was; an event that was read back does not know.
    pub(super) under: Option<Arc<Tenant>>,
}

impl Entry {
    /// What this comes to.
    ///
    /// # Errors
    /// When it cannot be said in JSON, which no event is that a host makes.
    pub(crate) fn of(event: Event) -> serde_json::Result<Self> {
        let id = event.id();
        let (part, used) = match event {
            Event::Verdict(verdict) => (Part::New(verdict_row(&verdict)?), used(*verdict)),
            Event::Content(verdict) => {
                let content = Content {
                    tenant: verdict.facts.tenant.clone(),
                    decided: Decided::of(&verdict),
                    event: text(&verdict, VERDICT)?,
                };
                (Part::Content(Box::new(content)), used(*verdict))
            }
            Event::Outcome(outcome) => {
                let event = text(&outcome, OUTCOME)?;
                let tenant = outcome.tenant;
                (Part::Outcome { tenant, event }, None)
            }
            Event::Relay(relay) => (Part::New(relay_row(&relay)?), None),
            Event::Shadow(shadow) => (Part::Shadow(shadow), None),
        };
        Ok(Self { id, part, used })
    }
}

fn used(verdict: VerdictEvent) -> Option<Box<Used>> {
    let monitored = verdict.monitored.map(|monitored| monitored.policy);
    if verdict.lists.is_empty() && verdict.policy.is_none() && monitored.is_none() {
        return None;
    }
    Some(Box::new(Used {
        tenant: verdict.facts.tenant.clone(),
        lists: verdict.lists.into_values().collect(),
        policies: verdict.policy.into_iter().chain(monitored).collect(),
        under: verdict.under,
    }))
}

impl Used {
    /// The policy of this revision as it was when this was decided.
    pub(super) fn text_of(&self, used: &PolicyUsed) -> Option<String> {
        let mut policies = self.under.as_ref()?.policies.iter();
        let policy = policies.find(|policy| policy.name.as_str() == used.name)?;
        Some(policy.text()).filter(|text| Digest::of(text.as_bytes()) == used.revision)
    }
}

fn verdict_row(verdict: &VerdictEvent) -> serde_json::Result<Box<Row>> {
    let facts = &verdict.facts;
    Ok(Box::new(Row {
        id: verdict.id.to_string(),
        tenant: facts.tenant.to_string(),
        direction: facts.direction.as_str(),
        sender: parts(facts.sender.as_ref()),
        recipient: parts(Some(&facts.recipient)),
        client: facts.connection.client.ip().to_canonical().to_string(),
        decided: Decided::of(verdict),
        event: text(verdict, VERDICT)?,
        content: None,
        outcome: None,
    }))
}

fn relay_row(relay: &RelayEvent) -> serde_json::Result<Box<Row>> {
    Ok(Box::new(Row {
        id: relay.id.to_string(),
        tenant: String::new(),
        direction: "",
        sender: parts(relay.sender.as_ref()),
        recipient: parts(Some(&relay.recipient)),
        client: relay.connection.client.ip().to_canonical().to_string(),
        decided: Decided {
            policy: None,
            monitored: None,
            verdict: RELAY,
        },
        event: text(relay, VERDICT)?,
        content: None,
        outcome: None,
    }))
}

impl Decided {
    fn of(verdict: &VerdictEvent) -> Self {
        let monitored = verdict.monitored.as_ref();
        Self {
            policy: verdict.policy.as_ref().map(|policy| policy.name.clone()),
            monitored: monitored.map(|monitored| monitored.policy.name.clone()),
            verdict: match verdict.verdict {
                Verdict::Accepted => ACCEPTED,
                Verdict::Refused(_) => REFUSED,
            },
        }
    }
}

fn text(event: &impl Serialize, usual: usize) -> serde_json::Result<String> {
    let mut text = Vec::with_capacity(usual);
    serde_json::to_writer(&mut text, event)?;
    Ok(String::from_utf8(text).expect("JSON is UTF-8"))
}
