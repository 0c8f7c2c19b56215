//! One transaction's way through the house: owner, facts, policy, decision, verdict,
//! reply and receipt for each recipient, and at the end delivery.
//!
//! **A snapshot swap never changes a transaction under way**: it holds the snapshot
//! that it began with. **A failing policy never opens the gate by accident**: what
//! failure means is the tenant's choice, and to defer where none was made.

mod ask;
mod company;
mod conclude;
mod content;
mod evidence;
mod judgements;
mod recipient;
mod refuser;
pub(crate) mod shadow;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

pub(crate) use ask::{Answered, CONSTANT, Runner, ask, consult};
use company::{Company, Member, Stance};
use content::{Again, Weight};
pub(crate) use evidence::resolve;
use judgements::Judgements;
use refuser::Refuser;
use rustls_pki_types::CertificateDer;
use shadow::Standing;
use tokio_util::sync::CancellationToken;

use crate::content::Content;
use crate::decision::Permit;
use crate::deliver::{DeliveryError, Handover, Message, Until};
use crate::facts::{Connection, Direction, Judgement, TenantId, unix_seconds};
use crate::host::Host;
use crate::receipt::{Outcome, VerdictEvent};
use crate::smtp::envelope::{Envelope, Mail};
use crate::smtp::reply::{self, Reply};
use crate::tenant::{Origin, Snapshot, Tenant};

/// Who is at the other end.
#[derive(Clone, Debug)]
pub struct Client {
    /// What the host saw of the connection.
    pub connection: Arc<Connection>,
    /// The certificates that the client sent, its own first.
    pub chain: Arc<[CertificateDer<'static>]>,
}

/// How long targets may take for a recipient, with all that is asked before. Clients wait
/// five minutes for the reply (RFC 5321, section 4.5.3.2.3): what is left is for the
/// client's name and for receipts.
const FOR_RECIPIENT: Duration = Duration::from_secs(240);

/// How long they may take for a message, with the policies that are asked about it. Clients
/// wait ten minutes for the reply to the end of data (section 4.5.3.2.6), and send the
/// message again if it comes later: what is left is for the ledger (the hash of a long
/// message ten seconds, its disk thirty) and for receipts (ten).
const FOR_MESSAGE: Duration = Duration::from_secs(540);

/// What a transaction knows beside its envelope.
#[derive(Debug)]
pub struct Transaction {
    snapshot: Arc<Snapshot>,
    /// Of this transaction's tenants: how many recipients they have in it.
    accepted: HashMap<(TenantId, Direction), u32>,
    /// Whose own mail it is; not asked before the first recipient.
    origin: Option<Origin>,
    /// Outlive the transaction: the session's certificate stays what it is.
    judgements: Judgements,
    /// The verdicts whose reply waits for the target's answer: of the recipient's
    /// tenant, of the sender's, or of both.
    unanswered: Vec<VerdictEvent>,
    /// Who is to be asked about the recipient under way when the content is there.
    asked: Vec<Again>,
    /// Who is to be asked about those who are in.
    again: Vec<Again>,
    /// What candidates are to be asked about when the reply is out.
    standing: Vec<Standing>,
    /// Who refused the message, if a tenant did for its content.
    refuser: Option<Refuser>,
    company: Company,
    /// By when targets have to have answered for the reply that the client waits for.
    due: tokio::time::Instant,
    /// How many there were in this session, this one included.
    number: u32,
    span: tracing::Span,
    /// From the first permitted recipient on; in a box, for idle sessions have none.
    handover: Option<Box<Handover>>,
}

/// Why a transaction came to nothing after recipients had been accepted.
#[derive(Debug)]
pub enum Abandoned<'a> {
    /// The client began anew, or left.
    ByClient,
    /// The host ended the session with this reply.
    Closed(&'a Reply),
    /// The connection was lost.
    Lost(&'a io::Error),
}

impl Transaction {
    /// The first transaction of a session; it sees the host as it is in this snapshot.
    pub fn new(snapshot: Arc<Snapshot>) -> Self {
        Self {
            snapshot,
            accepted: HashMap::new(),
            judgements: Judgements::default(),
            origin: None,
            unanswered: Vec::new(),
            asked: Vec::new(),
            again: Vec::new(),
            standing: Vec::new(),
            refuser: None,
            company: Company::default(),
            due: tokio::time::Instant::now(),
            number: 0,
            span: tracing::Span::none(),
            handover: None,
        }
    }

    /// The next one.
    pub fn begin(&mut self, snapshot: Arc<Snapshot>) {
        self.snapshot = snapshot;
        self.accepted.clear();
        self.origin = None;
        self.unanswered.clear();
        self.again.clear();
        self.refuser = None;
        self.company.clear();
        self.handover = None;
        self.number += 1;
        self.span = tracing::info_span!("transaction", transaction.number = self.number);
    }

    /// What its lines in the log have in common.
    pub fn span(&self) -> tracing::Span {
        self.span.clone()
    }

    /// The client has its reply: now candidates may be asked.
    pub fn replied(&mut self, host: &Host) {
        // Nothing is left of it: sessions that wait need no room for it.
        for standing in std::mem::take(&mut self.standing) {
            host.shadows.put(standing);
        }
    }

    /// A candidate is to be asked about this, if there is one.
    fn shadow(&mut self, host: &Host, standing: Option<Standing>) {
        if let Some(standing) = standing {
            match self.standing.len() < shadow::GROUP {
                true => self.standing.push(standing),
                false => host.shadows.pass_over(&standing),
            }
        }
    }

    /// Asks the target whether it takes the recipient: the reply to RCPT.
    pub async fn offer(&mut self, host: &Host, mail: &Mail, permit: &Permit) -> Reply {
        let offered = self.hand_over(host, mail, permit).await;
        let reply = match &offered {
            Ok(()) => Reply::new(250, "2.1.5", "Recipient ok"),
            Err(error) => reply::undelivered(error, Some(permit.receipt())),
        };
        let until = evidence::patience();
        self.answer(host, &reply, until).await;
        match offered {
            Ok(()) => self.take_in(permit),
            Err(error) => evidence::undelivered(host, permit, &error, &reply, until).await,
        }
        reply
    }

    async fn hand_over(
        &mut self,
        host: &Host,
        mail: &Mail,
        permit: &Permit,
    ) -> Result<(), DeliveryError> {
        let tenant = self.snapshot.tenant(permit.tenant());
        let Some(target) = tenant.and_then(|tenant| tenant.target(permit.direction())) else {
            return Err(DeliveryError::Lost("a permit without a target".into()));
        };
        if !self.company.admits(&self.member(permit)) {
            self.handover
                .iter_mut()
                .for_each(|handover| handover.send_away());
            return Err(DeliveryError::OneTenant);
        }
        let (sender, parameters) = (mail.sender.clone(), mail.parameters.clone());
        let handover = self.handover.get_or_insert_with(|| {
            Box::new(Handover::new(Arc::clone(&host.ledger), sender, parameters))
        });
        handover.offer(permit.clone(), target, self.due).await
    }

    /// What counts of a recipient for others in the transaction.
    fn member(&self, permit: &Permit) -> Member {
        let inbound = permit.direction() == Direction::Inbound;
        let own = Some(permit.tenant());
        let of_sender = permit.outbound().map(|(tenant, _)| tenant);
        Member {
            tenant: own.filter(|_| inbound).cloned(),
            inbound: self.stance(own.filter(|_| inbound), Direction::Inbound, permit),
            outbound: self.stance(
                of_sender.or(own.filter(|_| !inbound)),
                Direction::Outbound,
                permit,
            ),
        }
    }

    /// What the tenant who decides in this direction, if one does, may do to a recipient
    /// by the header From.
    fn stance(&self, tenant: Option<&TenantId>, direction: Direction, permit: &Permit) -> Stance {
        let decides = |again: &Again| {
            matches!(again.weight, Weight::Counts) && again.facts.direction == direction
        };
        if self.asked.iter().any(decides) {
            return Stance::Subject;
        }
        let tenant = tenant.and_then(|id| self.snapshot.tenant(id));
        match tenant.is_some_and(|tenant| tenant.exempts(permit.recipient())) {
            true => Stance::Exempt,
            false => Stance::Free,
        }
    }

    /// The recipient is in.
    fn take_in(&mut self, permit: &Permit) {
        self.company.join(self.member(permit));
        self.again.append(&mut self.asked);
        self.count_accepted(permit);
    }

    /// Delivers to the target of every recipient: the reply to the end of data. Targets that
    /// have not answered soon after the host is `cut_off` are not waited for any longer.
    pub async fn deliver(
        &mut self,
        host: &Host,
        client: &Client,
        envelope: Envelope,
        content: Content,
        cut_off: CancellationToken,
    ) -> Reply {
        let permits = envelope.permits;
        let receipt = permits.first().map(Permit::receipt);
        let message = message(client, &envelope.mail, content);
        let trust = self.trust(client, &permits).await;
        let Some(handover) = self.handover.take() else {
            let reply = reply::undelivered(&DeliveryError::Lost("no target".into()), receipt);
            self.answer(host, &reply, evidence::patience()).await;
            return reply;
        };
        let since = Instant::now();
        let due = self.due;
        let until = Until { due, cut_off };
        let delivered = handover
            .deliver(message, &permits, trust, &host.hostname, until)
            .await;
        let reply = reply::delivered(&delivered.ending, receipt);
        let until = evidence::patience();
        self.answer(host, &reply, until).await;
        if let Some(reason) = &delivered.unrecorded {
            tracing::error!(client.addr = %client.connection.client, reason, "the ledger could not be kept: copies that were delivered may come twice");
        }
        self.count(host, &permits, &delivered.fates, since);
        evidence::delivered(host, &permits, &delivered.fates, &reply, until).await;
        reply
    }

    fn count(
        &self,
        host: &Host,
        permits: &[Permit],
        fates: &[Result<String, DeliveryError>],
        since: Instant,
    ) {
        for (permit, fate) in permits.iter().zip(fates) {
            let direction = permit.direction();
            let tenant = self.snapshot.tenant(permit.tenant());
            let Some(target) = tenant.and_then(|tenant| tenant.target(direction)) else {
                continue;
            };
            let outcome = match fate {
                Ok(_) => Outcome::Delivered,
                Err(error) => error.outcome(),
            };
            host.metrics
                .delivery(target.kind(), direction, outcome, since);
        }
    }

    /// The content for these recipients was refused.
    pub async fn refused(&mut self, host: &Host, permits: Vec<Permit>, reply: &Reply) {
        self.give_up();
        let outcome = match reply.code() {
            500.. => Outcome::Refused,
            _ => Outcome::Deferred,
        };
        let until = evidence::patience();
        for permit in &permits {
            let own = self.told(permit.tenant(), reply);
            let of_sender = permit.outbound();
            let of_sender = of_sender.map(|(tenant, _)| self.told(tenant, reply));
            let replies = evidence::Replies {
                own: Some(&own),
                of_sender: of_sender.as_ref(),
            };
            evidence::outcome(host, permit, outcome, replies, String::new(), until).await;
        }
    }

    /// The transaction of these recipients came to nothing.
    pub async fn abandoned(&mut self, host: &Host, permits: Vec<Permit>, why: &Abandoned<'_>) {
        match why {
            Abandoned::Lost(_) => self.handover = None,
            Abandoned::ByClient | Abandoned::Closed(_) => self.give_up(),
        }
        let (reply, detail) = match why {
            Abandoned::ByClient => (None, "the client began anew or left before the end".into()),
            Abandoned::Closed(reply) => (Some(*reply), "the host ended the session".into()),
            Abandoned::Lost(error) => (None, format!("the connection was lost: {error}")),
        };
        let until = evidence::patience();
        for permit in &permits {
            let (kind, detail) = (Outcome::Abandoned, detail.clone());
            let replies = evidence::Replies::both(reply);
            evidence::outcome(host, permit, kind, replies, detail, until).await;
        }
    }

    /// The reply, as the receipts of this tenant have it.
    fn told(&self, tenant: &TenantId, reply: &Reply) -> Reply {
        match &self.refuser {
            Some(refuser) => refuser.told(tenant, reply),
            None => reply.clone(),
        }
    }

    fn count_accepted(&mut self, permit: &Permit) {
        let outbound = permit.outbound().map(|(id, _)| (id, Direction::Outbound));
        let own = (permit.tenant(), permit.direction());
        for (tenant, direction) in outbound.into_iter().chain([own]) {
            let key = (tenant.clone(), direction);
            *self.accepted.entry(key).or_default() += 1;
        }
    }

    /// How many recipients of this tenant's mail in this direction there are by now.
    fn accepted(&self, tenant: &Tenant, direction: Direction) -> u32 {
        let key = (tenant.id.clone(), direction);
        self.accepted.get(&key).copied().unwrap_or(0)
    }

    /// Targets may keep what they have opened.
    fn give_up(&mut self) {
        if let Some(handover) = self.handover.take() {
            handover.abandon();
        }
    }

    /// What each tenant makes of the client's certificate.
    async fn trust(&mut self, client: &Client, permits: &[Permit]) -> HashMap<TenantId, Judgement> {
        let now = SystemTime::now();
        let mut trust = HashMap::new();
        for permit in permits {
            if trust.contains_key(permit.tenant()) {
                continue;
            }
            if let Some(tenant) = self.snapshot.tenant(permit.tenant())
                && let Some(judgement) = self.judgements.of(tenant, &client.chain, now).await
            {
                trust.insert(permit.tenant().clone(), judgement);
            }
        }
        trust
    }
}

fn message(client: &Client, mail: &Mail, content: Content) -> Message {
    Message {
        connection: Arc::clone(&client.connection),
        helo: mail.helo.clone(),
        sender: mail.sender.clone(),
        parameters: mail.parameters.clone(),
        received: unix_seconds(SystemTime::now()),
        content: Arc::new(content),
    }
}
