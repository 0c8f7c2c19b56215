//! A batch of events as the rows that are written for it. Pure.
//!
//! Most receipts have their outcome in the batch of their verdict: they are put together
//! here, so that a row is written once.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;

use super::error::Failure;
use crate::decision::Verdict;
use crate::digest::Digest;
use crate::facts::{FactSet, ReceiptId};
use crate::receipt::filter::parts;
use crate::receipt::read::Receipt;
use crate::receipt::{Event, PolicyUsed, RelayEvent, ShadowEvent, VerdictEvent};

/// What stands in the column `verdict`.
pub(super) const ACCEPTED: &str = "accepted";
const REFUSED: &str = "refused";
const RELAY: &str = "relay";

/// Events as what they come to. An event is let go of at once: it is many small pieces of
/// memory, which sessions need again while the cache has them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Batch {
    /// How many events it has.
    events: usize,
    /// Where the receipts are in `new`.
    places: HashMap<ReceiptId, usize>,
    /// Receipts with an event that cannot be said in JSON, which is none that a host makes:
    /// it is left out.
    pub(super) wrong: Vec<ReceiptId>,
    /// What candidates said: rows of their own come of it, see `shadow_columns`.
    pub(super) shadows: Vec<ShadowEvent>,
    /// Receipts that begin in it, in their order.
    pub(super) new: Vec<Row>,
    /// Later events of receipts that began in an earlier one.
    pub(super) later: Vec<Later>,
    /// What the receipts need.
    pub(super) needs: BTreeMap<Need, String>,
    /// The policies among that, by their digests.
    pub(super) policies: BTreeMap<Digest, String>,
}

/// A receipt.
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

/// An event of a receipt that is there already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Later {
    Content {
        id: String,
        tenant: String,
        decided: Decided,
        event: String,
    },
    Outcome {
        id: String,
        tenant: String,
        event: String,
    },
}

/// Something that a tenant's receipts need so that their decisions can be run again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Need {
    pub(super) kind: &'static str,
    pub(super) digest: Digest,
    pub(super) tenant: String,
}

/// Kinds of it.
pub(super) const MODULE: &str = "module";
pub(super) const LIST: &str = "list";
pub(super) const POLICY: &str = "policy";

impl Batch {
    /// What these events come to.
    pub(super) fn of(events: &[Event]) -> Self {
        let mut batch = Self::default();
        for event in events {
            batch.take(event.clone());
        }
        batch
    }

    /// Takes one more.
    pub(crate) fn take(&mut self, event: Event) {
        self.events += 1;
        if self.add(&event).is_err() {
            self.wrong.push(event.id());
        }
        if let Event::Shadow(shadow) = event {
            self.shadows.push(*shadow);
        }
    }

    /// How many events it has.
    pub(crate) fn len(&self) -> usize {
        self.events
    }

    /// Receipts of which an event was left out.
    pub(crate) fn wrong(&self) -> &[ReceiptId] {
        &self.wrong
    }

    fn add(&mut self, event: &Event) -> serde_json::Result<()> {
        let known = self.places.get(&event.id()).copied();
        let known = known.and_then(|place| self.new.get_mut(place));
        match (event, known) {
            (Event::Verdict(verdict), _) => {
                self.places.insert(verdict.id, self.new.len());
                self.new.push(verdict_row(verdict)?);
                self.need(verdict);
            }
            (Event::Relay(relay), _) => {
                self.places.insert(relay.id, self.new.len());
                self.new.push(relay_row(relay)?);
            }
            (Event::Content(second), Some(row)) => {
                row.content = Some(text(second, VERDICT)?);
                row.decided = Decided::of(second);
                self.need(second);
            }
            (Event::Content(second), None) => {
                self.later.push(Later::Content {
                    id: second.id.to_string(),
                    tenant: second.facts.tenant.to_string(),
                    decided: Decided::of(second),
                    event: text(second, VERDICT)?,
                });
                self.need(second);
            }
            (Event::Outcome(outcome), Some(row)) => row.outcome = Some(text(outcome, OUTCOME)?),
            (Event::Shadow(_), _) => {}
            (Event::Outcome(outcome), None) => self.later.push(Later::Outcome {
                id: outcome.id.to_string(),
                tenant: outcome.tenant.to_string(),
                event: text(outcome, OUTCOME)?,
            }),
        }
        Ok(())
    }

    /// Notes what it takes to run a decision again.
    fn need(&mut self, verdict: &VerdictEvent) {
        for digest in verdict.lists.values() {
            self.note(verdict, LIST, *digest);
        }
        let monitored = verdict
            .monitored
            .as_ref()
            .map(|monitored| &monitored.policy);
        for used in verdict.policy.iter().chain(monitored) {
            self.note(verdict, POLICY, used.revision);
            if let Some(module) = &used.module {
                self.note(verdict, MODULE, module.digest);
            }
            if !self.policies.contains_key(&used.revision)
                && let Some(policy) = policy(verdict, used)
            {
                self.policies.insert(used.revision, policy);
            }
        }
    }

    fn note(&mut self, verdict: &VerdictEvent, kind: &'static str, digest: Digest) {
        let need = Need {
            kind,
            digest,
            tenant: verdict.facts.tenant.to_string(),
        };
        let id = verdict.id.to_string();
        let last = self.needs.entry(need).or_default();
        if *last < id {
            *last = id;
        }
    }

    /// Leaves out the receipts that are there already. What has become of them since comes
    /// to them as to any that began in an earlier batch.
    pub(super) fn leave_out(&mut self, known: &HashSet<String>) {
        for row in self.new.extract_if(.., |row| known.contains(&row.id)) {
            let Row {
                id,
                tenant,
                decided,
                content,
                outcome,
                ..
            } = row;
            let content = content.map(|event| Later::Content {
                id: id.clone(),
                tenant: tenant.clone(),
                decided,
                event,
            });
            let outcome = outcome.map(|event| Later::Outcome { id, tenant, event });
            self.later.extend(content.into_iter().chain(outcome));
        }
    }

    /// The receipts that begin in it.
    pub(super) fn counts(&self) -> BTreeMap<&str, i64> {
        let mut counts = BTreeMap::new();
        for row in &self.new {
            *counts.entry(row.tenant.as_str()).or_default() += 1;
        }
        counts
    }
}

/// The policy as it was when this was decided. An event that was read back does not know.
fn policy(verdict: &VerdictEvent, used: &PolicyUsed) -> Option<String> {
    let tenant = verdict.under.as_ref()?;
    let mut policies = tenant.policies.iter();
    let policy = policies.find(|policy| policy.name.as_str() == used.name)?;
    Some(policy.text()).filter(|text| Digest::of(text.as_bytes()) == used.revision)
}

fn verdict_row(verdict: &VerdictEvent) -> serde_json::Result<Row> {
    let facts = &verdict.facts;
    Ok(Row {
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
    })
}

fn relay_row(relay: &RelayEvent) -> serde_json::Result<Row> {
    Ok(Row {
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
    })
}

impl Decided {
    pub(super) fn of(verdict: &VerdictEvent) -> Self {
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

/// Octets of a verdict of usual size, so that it is not moved while it grows.
const VERDICT: usize = 2 * 1024;
/// The same of an outcome.
const OUTCOME: usize = 512;

fn text(event: &impl Serialize, usual: usize) -> serde_json::Result<String> {
    let mut text = Vec::with_capacity(usual);
    serde_json::to_writer(&mut text, event)?;
    Ok(String::from_utf8(text).expect("JSON is UTF-8"))
}

/// The events of a row: id, verdict, and three texts.
pub(super) type Texts = (String, String, String, Option<String>, Option<String>);

fn verdict_of(event: &str) -> serde_json::Result<Box<VerdictEvent>> {
    let mut verdict: Box<VerdictEvent> = serde_json::from_str(event)?;
    verdict.lacks = FactSet::lacking(event);
    Ok(verdict)
}

/// A receipt of its row.
pub(super) fn receipt((id, verdict, event, content, outcome): Texts) -> Result<Receipt, Failure> {
    let read = || {
        if verdict == RELAY {
            return Ok(Receipt::Relay(serde_json::from_str(&event)?));
        }
        let content = content.as_deref().map(verdict_of);
        let outcome = outcome.as_deref().map(serde_json::from_str);
        Ok(Receipt::Decided(
            verdict_of(&event)?,
            content.transpose()?,
            outcome.transpose()?,
        ))
    };
    read().map_err(|_: serde_json::Error| Failure::damaged("a receipt that can be read", &id))
}
