//! One transaction's way through the house: owner, facts, policy, decision, verdict,
//! reply and receipt for each recipient, and at the end delivery.
//!
//! **A snapshot swap never changes a transaction under way**: it holds the snapshot
//! that it began with. **A failing policy never opens the gate by accident**: what
//! failure means is the tenant's choice, and to defer where none was made.

mod ask;
mod judgements;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use ask::{Answered, ask};
use judgements::Judgements;
use rustls_pki_types::CertificateDer;

use crate::address::Mailbox;
use crate::decision::{Decision, Permit, Refusal, Resolved, TlsOffer, Verdict, judge};
use crate::deliver::{Consignment, Message};
use crate::facts::{Connection, Direction, Facts, ReceiptId, Stage, TenantId, unix_seconds};
use crate::host::Host;
use crate::receipt::{
    DefaultOf, Event, Outcome, OutcomeEvent, RelayEvent, VerdictEvent, timestamp,
};
use crate::smtp::reply::{self, Reply};
use crate::smtp::session::{Envelope, Mail};
use crate::tenant::{Snapshot, Tenant};

/// Who is at the other end.
#[derive(Clone, Debug)]
pub struct Client {
    /// What the host saw of the connection.
    pub connection: Arc<Connection>,
    /// The certificates that the client sent, its own first.
    pub chain: Arc<[CertificateDer<'static>]>,
}

/// What a transaction knows beside its envelope.
#[derive(Debug)]
pub struct Transaction {
    snapshot: Arc<Snapshot>,
    /// Of this transaction's tenants: how many recipients they have in it.
    accepted: HashMap<TenantId, u32>,
    /// Outlive the transaction: the session's certificate stays what it is.
    judgements: Judgements,
    /// The verdict whose reply waits for the target's answer.
    unanswered: Option<Box<VerdictEvent>>,
}

impl Transaction {
    /// The first transaction of a session; it sees the host as it is in this snapshot.
    pub fn new(snapshot: Arc<Snapshot>) -> Self {
        Self {
            snapshot,
            accepted: HashMap::new(),
            judgements: Judgements::default(),
            unanswered: None,
        }
    }

    /// The next one.
    pub fn begin(&mut self, snapshot: Arc<Snapshot>) {
        self.snapshot = snapshot;
        self.accepted.clear();
        self.unanswered = None;
    }

    /// Decides one recipient.
    pub async fn decide(
        &mut self,
        host: &Host,
        client: &Client,
        mail: &Mail,
        recipient: Mailbox,
        offer: TlsOffer,
    ) -> Result<Permit, Reply> {
        let now = SystemTime::now();
        let Some(tenant) = self.snapshot.owner(&recipient).cloned() else {
            return Err(deny_relaying(host, client, mail, recipient, now).await);
        };
        let started = Instant::now();
        let facts = Arc::new(self.facts(&tenant, client, mail, recipient, now));
        let answered = ask(&tenant, &facts, &host.engine).await;
        let default = self.snapshot.default();
        let (event, judged, contact) =
            conclude(host, &tenant, default, facts, answered, offer, started);
        match judged {
            Ok(permit) => {
                self.unanswered = Some(Box::new(event));
                Ok(permit)
            }
            Err(refusal) => {
                let reply = reply::refused(&refusal, contact.as_deref(), event.id);
                record_verdict(host, event, &reply).await;
                Err(reply)
            }
        }
    }

    /// Asks the target whether it takes the recipient: the reply to RCPT.
    pub async fn offer(&mut self, host: &Host, permit: &Permit) -> Reply {
        let reply = match host.maildirs.offer(permit).await {
            Ok(()) => {
                *self.accepted.entry(permit.tenant().clone()).or_default() += 1;
                Reply::new(250, "2.1.5", "Recipient ok")
            }
            Err(error) => {
                tracing::error!(tenant.id = %permit.tenant(), %error, "the target takes no mail");
                reply::undelivered(&error)
            }
        };
        if let Some(event) = self.unanswered.take() {
            record_verdict(host, *event, &reply).await;
        }
        reply
    }

    /// Delivers to every tenant or to none: the reply to the end of data.
    pub async fn deliver(
        &mut self,
        host: &Host,
        client: &Client,
        envelope: Envelope,
        content: Vec<u8>,
    ) -> Reply {
        let mail = &envelope.mail;
        let message = Message {
            connection: Arc::clone(&client.connection),
            helo: mail.helo.clone(),
            sender: mail.sender.clone(),
            parameters: mail.parameters.clone(),
            received: unix_seconds(SystemTime::now()),
            content,
        };
        let consignments = self.consignments(client, &envelope.permits);
        match host.maildirs.deliver(message, consignments).await {
            Ok(delivered) => {
                let id = envelope.permits.first().map(Permit::receipt);
                let queued = id
                    .map(|id| format!("Ok: delivered [{id}]"))
                    .unwrap_or_default();
                let reply = Reply::new(250, "2.0.0", queued);
                for permit in &envelope.permits {
                    let place = delivered
                        .iter()
                        .find(|place| place.tenant == *permit.tenant());
                    let detail = place.map(|place| place.path.display().to_string());
                    record_outcome(host, permit, Outcome::Delivered, &reply, detail).await;
                }
                reply
            }
            Err(error) => {
                tracing::error!(client.addr = %client.connection.client, %error, "a message was not delivered");
                let reply = reply::undelivered(&error);
                let outcome = if reply.code() < 500 {
                    Outcome::Deferred
                } else {
                    Outcome::Refused
                };
                for permit in &envelope.permits {
                    record_outcome(host, permit, outcome, &reply, Some(error.to_string())).await;
                }
                reply
            }
        }
    }

    /// The content for these recipients was refused.
    pub async fn refused(&self, host: &Host, permits: Vec<Permit>, reply: &Reply) {
        for permit in &permits {
            record_outcome(host, permit, Outcome::Refused, reply, None).await;
        }
    }

    /// The transaction of these recipients came to nothing.
    pub async fn abandoned(&self, host: &Host, permits: Vec<Permit>) {
        for permit in &permits {
            host.journal
                .record(Event::Outcome(OutcomeEvent {
                    id: permit.receipt(),
                    time: timestamp(unix_seconds(SystemTime::now())),
                    tenant: permit.tenant().clone(),
                    outcome: Outcome::Abandoned,
                    reply: String::new(),
                    detail: "the client ended the transaction before the message was complete"
                        .into(),
                }))
                .await;
        }
    }

    fn facts(
        &mut self,
        tenant: &Arc<Tenant>,
        client: &Client,
        mail: &Mail,
        recipient: Mailbox,
        now: SystemTime,
    ) -> Facts {
        Facts {
            id: ReceiptId::new(now),
            now: unix_seconds(now),
            stage: Stage::Recipient,
            direction: Direction::Inbound,
            tenant: tenant.id.clone(),
            connection: Arc::clone(&client.connection),
            helo: mail.helo.clone(),
            sender: mail.sender.clone(),
            recipient,
            recipients_so_far: self.accepted.get(&tenant.id).copied().unwrap_or(0),
            parameters: mail.parameters.clone(),
            header_from: Vec::new(),
            trust: self.judgements.of(tenant, &client.chain, now),
        }
    }

    fn consignments(&mut self, client: &Client, permits: &[Permit]) -> Vec<Consignment> {
        let now = SystemTime::now();
        let mut consignments: Vec<Consignment> = Vec::new();
        for permit in permits {
            let known = consignments
                .iter_mut()
                .find(|part| part.tenant == *permit.tenant());
            if let Some(part) = known {
                part.permits.push(permit.clone());
                continue;
            }
            let tenant = self.snapshot.owner(permit.recipient());
            consignments.push(Consignment {
                tenant: permit.tenant().clone(),
                trust: tenant.and_then(|tenant| self.judgements.of(tenant, &client.chain, now)),
                permits: vec![permit.clone()],
            });
        }
        consignments
    }
}

/// From the policy's answer to the verdict, with all the evidence but the reply.
fn conclude(
    host: &Host,
    tenant: &Tenant,
    host_default: &Resolved,
    facts: Arc<Facts>,
    answered: Answered,
    offer: TlsOffer,
    started: Instant,
) -> (VerdictEvent, Result<Permit, Refusal>, Option<String>) {
    let (default, default_of) = match &tenant.default {
        Some(default) => (default, DefaultOf::Tenant),
        None => (host_default, DefaultOf::Host),
    };
    let defaulted = answered.failure.is_none() && answered.decision == Decision::Default;
    let resolved = match &answered.failure {
        None => Some(answered.decision.clone().resolve(default)),
        Some((_, on_failure)) => on_failure.decision(),
    };
    let judged = match &resolved {
        Some(resolved) => judge(resolved, &facts, offer),
        None => Err(Refusal::PolicyFailed),
    };
    let event = VerdictEvent {
        id: facts.id,
        time: timestamp(facts.now),
        node: host.hostname.clone(),
        policy: answered.policy,
        trust: tenant.trust.digest(),
        lists: tenant
            .lists
            .iter()
            .map(|(name, list)| (name.to_owned(), list.digest()))
            .collect(),
        decision: answered.decision,
        reason: answered.reason,
        failure: answered.failure.map(|(record, _)| record),
        resolved,
        default_of: defaulted.then_some(default_of),
        verdict: judged
            .as_ref()
            .err()
            .cloned()
            .map_or(Verdict::Accepted, Verdict::Refused),
        reply: String::new(),
        micros: u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
        fuel: answered.fuel,
        log: answered.log,
        log_dropped: answered.log_dropped,
        facts,
    };
    (event, judged, answered.contact)
}

async fn record_verdict(host: &Host, mut event: VerdictEvent, reply: &Reply) {
    event.reply = reply.to_string();
    tracing::info!(
        receipt.id = %event.id,
        tenant.id = %event.facts.tenant,
        policy.id = event.policy.as_ref().map(|policy| policy.name.as_str()),
        client.addr = %event.facts.connection.client,
        reply = event.reply,
        "recipient decided"
    );
    host.journal.record(Event::Verdict(Box::new(event))).await;
}

async fn record_outcome(
    host: &Host,
    permit: &Permit,
    outcome: Outcome,
    reply: &Reply,
    detail: Option<String>,
) {
    host.journal
        .record(Event::Outcome(OutcomeEvent {
            id: permit.receipt(),
            time: timestamp(unix_seconds(SystemTime::now())),
            tenant: permit.tenant().clone(),
            outcome,
            reply: reply.to_string(),
            detail: detail.unwrap_or_default(),
        }))
        .await;
}

/// The host is never an open relay.
async fn deny_relaying(
    host: &Host,
    client: &Client,
    mail: &Mail,
    recipient: Mailbox,
    now: SystemTime,
) -> Reply {
    let Some(unrecorded) = host.relay_receipts.admit(now) else {
        return reply::relaying_denied(None);
    };
    let id = ReceiptId::new(now);
    let reply = reply::relaying_denied(Some(id));
    let event = RelayEvent {
        id,
        time: timestamp(unix_seconds(now)),
        node: host.hostname.clone(),
        connection: Connection::clone(&client.connection),
        helo: mail.helo.clone(),
        sender: mail.sender.clone(),
        recipient,
        reply: reply.to_string(),
        unrecorded,
    };
    host.journal.record(Event::Relay(Box::new(event))).await;
    reply
}
