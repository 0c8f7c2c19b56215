//! A batch of events as the rows that are written for it. Pure.
//!
//! Most receipts have their outcome in the batch of their verdict: they are put together
//! here, so that a row is written once.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::error::Failure;
use super::receipt_entry::{Content, Decided, Entry, Part, RELAY, Row, Used};
use crate::digest::Digest;
use crate::facts::{FactSet, ReceiptId, TenantId};
use crate::receipt::read::Receipt;
use crate::receipt::{ShadowEvent, VerdictEvent};

/// Events as what they come to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Batch {
    /// How many events it has.
    events: usize,
    /// Where the receipts are in `new`.
    places: HashMap<ReceiptId, usize>,
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
    #[cfg(test)]
    pub(super) fn of(events: &[crate::receipt::Event]) -> Self {
        let mut batch = Self::default();
        for event in events {
            batch.take(Entry::of(event.clone()).expect("it can be said in JSON"));
        }
        batch
    }

    /// Takes one more.
    pub(crate) fn take(&mut self, entry: Entry) {
        let Entry { id, part, used } = entry;
        self.events += 1;
        if let Some(used) = used {
            self.need(id, &used);
        }
        let known = self.places.get(&id).copied();
        let known = known.and_then(|place| self.new.get_mut(place));
        match (part, known) {
            (Part::New(row), _) => {
                self.places.insert(id, self.new.len());
                self.new.push(*row);
            }
            (Part::Content(content), Some(row)) => {
                row.decided = content.decided;
                row.content = Some(content.event);
            }
            (Part::Content(content), None) => {
                let Content {
                    tenant,
                    decided,
                    event,
                } = *content;
                self.later.push(Later::Content {
                    id: id.to_string(),
                    tenant: tenant.to_string(),
                    decided,
                    event,
                });
            }
            (Part::Outcome { event, .. }, Some(row)) => row.outcome = Some(event),
            (Part::Outcome { tenant, event }, None) => self.later.push(Later::Outcome {
                id: id.to_string(),
                tenant: tenant.to_string(),
                event,
            }),
            (Part::Shadow(shadow), _) => self.shadows.push(*shadow),
        }
    }

    /// How many events it has.
    pub(crate) fn len(&self) -> usize {
        self.events
    }

    /// Notes what it takes to run a decision again.
    fn need(&mut self, id: ReceiptId, used: &Used) {
        for digest in &used.lists {
            self.note(id, &used.tenant, LIST, *digest);
        }
        for policy in &used.policies {
            self.note(id, &used.tenant, POLICY, policy.revision);
            if let Some(module) = &policy.module {
                self.note(id, &used.tenant, MODULE, module.digest);
            }
            if !self.policies.contains_key(&policy.revision)
                && let Some(text) = used.text_of(policy)
            {
                self.policies.insert(policy.revision, text);
            }
        }
    }

    fn note(&mut self, id: ReceiptId, tenant: &TenantId, kind: &'static str, digest: Digest) {
        let need = Need {
            kind,
            digest,
            tenant: tenant.to_string(),
        };
        let id = id.to_string();
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
