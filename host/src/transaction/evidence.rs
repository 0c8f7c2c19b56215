//! What is kept of a transaction: verdicts, outcomes, refused relaying.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::Client;
use super::ask::Answered;
use crate::address::Mailbox;
use crate::decision::{Decision, Permit, Refusal, Resolved, TlsOffer, Verdict as Judged, judge};
use crate::deliver::{DeliveryError, RelayError};
use crate::engine::LogLevel;
use crate::facts::{Connection, FactSet, Facts, ReceiptId, Stage, unix_seconds};
use crate::host::Host;
use crate::receipt::{
    DefaultOf, Event, Outcome, OutcomeEvent, RelayCause, RelayEvent, VerdictEvent, timestamp,
};
use crate::smtp::envelope::Mail;
use crate::smtp::reply::{self, Reply};
use crate::tenant::{Denial, Tenant};

/// How long a reply may wait for its receipts, all of them together. At the end of data
/// the message is delivered by then: a client that gives up waiting would send it again.
const PATIENCE: Duration = Duration::from_secs(10);

/// Until when receipts of one reply may be waited for, from now.
pub(super) fn patience() -> tokio::time::Instant {
    tokio::time::Instant::now() + PATIENCE
}

/// All that a verdict is drawn from.
pub(super) struct Conclusion<'a> {
    pub(super) tenant: &'a Arc<Tenant>,
    pub(super) host_default: &'a Resolved,
    pub(super) facts: Arc<Facts>,
    pub(super) answered: Answered,
    pub(super) offer: TlsOffer,
    pub(super) started: Instant,
}

impl Conclusion<'_> {
    /// From the policy's answer to the verdict, with all the evidence but the reply;
    /// and the line that a refusal carries.
    pub(super) fn draw(
        self,
        node: &str,
    ) -> (VerdictEvent, Result<Permit, Refusal>, Option<String>) {
        let (resolved, default_of) = resolve(self.tenant, self.host_default, &self.answered);
        let judged = match &resolved {
            Some(resolved) => judge(resolved, &self.facts, self.offer),
            None => Err(Refusal::PolicyFailed),
        };
        let Self {
            tenant,
            facts,
            answered,
            started,
            ..
        } = self;
        let lists = tenant
            .lists
            .iter()
            .map(|(name, list)| (name.to_owned(), list.digest()));
        let refusal = judged.as_ref().err().cloned();
        let event = VerdictEvent {
            id: facts.id,
            time: timestamp(facts.now),
            node: node.to_owned(),
            policy: answered.policy,
            trust: tenant.trust.digest(),
            lists: lists.collect(),
            decision: answered.decision,
            reason: answered.reason,
            failure: answered.failure.map(|(record, _)| record),
            resolved,
            default_of,
            verdict: refusal.map_or(Judged::Accepted, Judged::Refused),
            reply: String::new(),
            micros: u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
            fuel: answered.fuel,
            log: answered.log,
            log_dropped: answered.log_dropped,
            monitored: None,
            lacks: FactSet::default(),
            under: Some(Arc::clone(tenant)),
            facts,
        };
        (event, judged, answered.contact)
    }
}

/// What the answer comes to, and whose default that is; none means to defer.
pub(crate) fn resolve(
    tenant: &Tenant,
    host_default: &Resolved,
    answered: &Answered,
) -> (Option<Resolved>, Option<DefaultOf>) {
    if let Some((_, on_failure)) = &answered.failure {
        return (on_failure.decision(), None);
    }
    let (default, of) = match &tenant.default {
        Some(default) => (default, DefaultOf::Tenant),
        None => (host_default, DefaultOf::Host),
    };
    let decision = answered.decision.clone();
    let default_of = (decision == Decision::Default).then_some(of);
    (Some(decision.resolve(default)), default_of)
}

/// Keeps a verdict, and logs it with what the policy had to say.
pub(super) async fn verdict(
    host: &Host,
    mut event: VerdictEvent,
    reply: &Reply,
    until: tokio::time::Instant,
) {
    event.reply = reply.to_string();
    log(&event);
    let event = Box::new(event);
    let event = match event.facts.stage {
        Stage::Recipient => Event::Verdict(event),
        Stage::Content => Event::Content(event),
    };
    host.journal.record(event, until).await;
}

/// The line of a decision, below what the policy had to say. Most have said nothing: those
/// need no span for one line.
fn log(event: &VerdictEvent) {
    let policy = event.policy.as_ref();
    let name = policy.map(|policy| policy.name.as_str());
    let module = policy.and_then(|policy| policy.module.as_ref());
    let digest = module.map(|module| tracing::field::display(module.digest));
    if event.failure.is_some() || !event.log.is_empty() {
        let span = tracing::error_span!(
            "recipient",
            receipt.id = %event.id,
            tenant.id = %event.facts.tenant,
            policy.id = name,
            module.digest = digest,
        );
        span.in_scope(|| log_words(event));
    }
    tracing::info!(
        receipt.id = %event.id,
        tenant.id = %event.facts.tenant,
        policy.id = name,
        module.digest = digest,
        reply = event.reply,
        "decided"
    );
}

/// A policy may write 32 lines for each decision, as often as there is mail: warnings
/// are for the host's log, the rest for those who look for it.
fn log_words(event: &VerdictEvent) {
    for line in &event.log {
        match line.level {
            LogLevel::Warn => tracing::warn!(target: "portcullis::policy", "{}", line.text),
            LogLevel::Info | LogLevel::Debug => {
                tracing::debug!(target: "portcullis::policy", "{}", line.text);
            }
        }
    }
    if let Some(failure) = &event.failure {
        tracing::warn!(target: "portcullis::policy", code = failure.code, "{}", failure.detail);
    }
}

/// Keeps what became of a message for every recipient.
pub(super) async fn delivered(
    host: &Host,
    permits: &[Permit],
    fates: &[Result<String, DeliveryError>],
    reply: &Reply,
    until: tokio::time::Instant,
) {
    for (permit, fate) in permits.iter().zip(fates) {
        match fate {
            Ok(place) => {
                let (kind, place) = (Outcome::Delivered, place.clone());
                let replies = Replies::both(Some(reply));
                outcome(host, permit, kind, replies, place, until).await;
            }
            Err(error) => undelivered(host, permit, error, reply, until).await,
        }
    }
}

/// Keeps why a recipient was not taken, or does not have the message.
pub(super) async fn undelivered(
    host: &Host,
    permit: &Permit,
    error: &DeliveryError,
    reply: &Reply,
    until: tokio::time::Instant,
) {
    log_failure(permit, error);
    let (kind, detail) = (error.outcome(), error.to_string());
    outcome(
        host,
        permit,
        kind,
        Replies::both(Some(reply)),
        detail,
        until,
    )
    .await;
}

/// What a next hop refuses is its business; what keeps us from asking it is ours.
fn log_failure(permit: &Permit, error: &DeliveryError) {
    match error {
        DeliveryError::Apart
        | DeliveryError::OneTenant
        | DeliveryError::Loop { .. }
        | DeliveryError::Relay {
            source: RelayError::Refused(_) | RelayError::Lacks(_),
            ..
        } => {
            tracing::info!(tenant.id = %permit.tenant(), receipt.id = %permit.receipt(), %error, "not delivered");
        }
        _ => {
            tracing::error!(tenant.id = %permit.tenant(), receipt.id = %permit.receipt(), %error, "not delivered");
        }
    }
}

/// The reply that an outcome is told with, in the receipts of each tenant.
#[derive(Clone, Copy)]
pub(super) struct Replies<'a> {
    /// Of the tenant whose permit it is.
    pub(super) own: Option<&'a Reply>,
    /// Of the sender's tenant, where that decided before.
    pub(super) of_sender: Option<&'a Reply>,
}

impl<'a> Replies<'a> {
    /// The same in both.
    pub(super) fn both(reply: Option<&'a Reply>) -> Self {
        Self {
            own: reply,
            of_sender: reply,
        }
    }
}

/// Keeps what became of a message for one recipient.
pub(super) async fn outcome(
    host: &Host,
    permit: &Permit,
    outcome: Outcome,
    replies: Replies<'_>,
    detail: String,
    until: tokio::time::Instant,
) {
    host.metrics.outcome(outcome);
    let text = |reply: Option<&Reply>| reply.map(ToString::to_string).unwrap_or_default();
    let event = OutcomeEvent {
        id: permit.receipt(),
        time: timestamp(unix_seconds(SystemTime::now())),
        tenant: permit.tenant().clone(),
        outcome,
        reply: text(replies.own),
        detail,
    };
    let of_sender = permit.outbound().map(|(tenant, id)| OutcomeEvent {
        id,
        tenant: tenant.clone(),
        reply: text(replies.of_sender),
        detail: for_sender(outcome, &event.detail),
        ..event.clone()
    });
    for event in std::iter::once(event).chain(of_sender) {
        host.journal.record(Event::Outcome(event), until).await;
    }
}

/// Where a tenant's mail goes in its own house is not for other tenants to read.
fn for_sender(outcome: Outcome, detail: &str) -> String {
    match outcome {
        _ if detail.is_empty() => String::new(),
        Outcome::Abandoned => detail.to_owned(),
        Outcome::Delivered => "the recipient's tenant on this host has it".into(),
        Outcome::Deferred | Outcome::Refused => {
            "the recipient's tenant on this host did not take it".into()
        }
    }
}

/// Keeps that the sender's tenant let a recipient pass whom the recipient's tenant
/// refused: the receipt of the sender's.
pub(super) async fn not_taken(
    host: &Host,
    outbound: &Permit,
    kind: Outcome,
    reply: &Reply,
    until: tokio::time::Instant,
) {
    let detail = for_sender(kind, "refused");
    outcome(
        host,
        outbound,
        kind,
        Replies::both(Some(reply)),
        detail,
        until,
    )
    .await;
}

/// Refuses a recipient of a domain that nobody here has: the host is never an open relay.
pub(super) async fn relaying(
    host: &Host,
    client: &Client,
    mail: &Mail,
    recipient: Mailbox,
    denial: &Denial,
    now: SystemTime,
) -> Reply {
    host.metrics.relaying_refused();
    let because = cause(denial);
    let Some(unrecorded) = host.relay_receipts.admit(now) else {
        return reply::relaying_denied(&because, None);
    };
    let id = ReceiptId::new(now);
    let reply = reply::relaying_denied(&because, Some(id));
    let event = RelayEvent {
        id,
        time: timestamp(unix_seconds(now)),
        node: host.hostname.clone(),
        connection: Connection::clone(&client.connection),
        helo: mail.helo.clone(),
        sender: mail.sender.clone(),
        recipient,
        because,
        reply: reply.to_string(),
        unrecorded,
    };
    host.journal
        .record(Event::Relay(Box::new(event)), patience())
        .await;
    reply
}

fn cause(denial: &Denial) -> RelayCause {
    match denial {
        Denial::Foreign => RelayCause::Foreign,
        Denial::NoTarget(tenant) => RelayCause::NoTarget {
            tenant: tenant.id.clone(),
        },
        Denial::Unclear => RelayCause::Unclear,
    }
}
