//! Deciding one recipient: the way there, and the policies on it.
//!
//! **Where mail goes from one tenant to another, both decide**, the sender's tenant
//! first: what that refuses never reaches the recipient's tenant, who has no receipt of
//! it. What the recipient's tenant refuses, the sender's has as the outcome of a receipt
//! of its own.

use std::sync::Arc;
use std::time::SystemTime;

use super::conclude::{Asked, conclude};
use super::content::{Again, Weight};
use super::evidence;
use super::shadow::Standing;
use super::{Client, FOR_RECIPIENT, Transaction};
use crate::address::Mailbox;
use crate::decision::{Permit, TlsOffer};
use crate::facts::{Direction, Facts, Judgement, ReceiptId, Stage, unix_seconds};
use crate::host::Host;
use crate::policy::Mode;
use crate::receipt::{Outcome, VerdictEvent};
use crate::smtp::envelope::Mail;
use crate::smtp::reply::{self, Reply};
use crate::smtp::session::Answer;
use crate::tenant::{Denial, Origin, Route, Tenant};

/// What is asked about one recipient, whoever is asked.
struct Request<'a> {
    host: &'a Host,
    client: &'a Client,
    mail: &'a Mail,
    recipient: Mailbox,
    offer: TlsOffer,
    now: SystemTime,
}

impl Transaction {
    /// Decides one recipient.
    pub async fn decide(
        &mut self,
        host: &Host,
        client: &Client,
        mail: &Mail,
        recipient: Mailbox,
        offer: TlsOffer,
    ) -> Answer {
        self.due = tokio::time::Instant::now() + FOR_RECIPIENT;
        // Whose receipts would find no room is not decided about.
        if !host.journal.has_room(evidence::patience()).await {
            return Answer::Refused(reply::no_room_for_receipts());
        }
        let now = SystemTime::now();
        let origin = self.origin(client, mail, now).await;
        let route = self.snapshot.route(&origin, &recipient);
        let asked = Request {
            host,
            client,
            mail,
            recipient,
            offer,
            now,
        };
        self.unanswered.clear();
        self.asked.clear();
        let permitted = match route {
            Route::Denied(denial) => return self.deny(denial, asked).await,
            Route::Inbound(tenant) => self.permit(&tenant, Direction::Inbound, &asked).await,
            Route::Outbound(tenant) => self.permit(&tenant, Direction::Outbound, &asked).await,
            Route::Across { from, to } => self.permit_across(&from, &to, &asked).await,
        };
        permitted.map_or_else(Answer::Refused, Answer::Permitted)
    }

    /// Whose own mail this transaction is; the same for all of its recipients.
    async fn origin(&mut self, client: &Client, mail: &Mail, now: SystemTime) -> Origin {
        if let Some(known) = &self.origin {
            return known.clone();
        }
        let (snapshot, sender) = (Arc::clone(&self.snapshot), mail.sender.as_ref());
        let connection = &client.connection;
        let mut anchored = Vec::new();
        for tenant in snapshot.to_be_asked(sender, connection) {
            let judgement = self.judgements.of(tenant, &client.chain, now).await;
            if judgement.is_some_and(|judgement| judgement.is_anchored()) {
                anchored.push(tenant.id.clone());
            }
        }
        let is_anchored = |tenant: &Tenant| anchored.contains(&tenant.id);
        let origin = snapshot.origin(sender, connection, is_anchored);
        self.origin.insert(origin).clone()
    }

    /// Refuses a recipient of a domain that nobody here has. That counts as an error of
    /// a stranger, and not of a tenant's own server.
    async fn deny(&mut self, denial: Denial, asked: Request<'_>) -> Answer {
        let stranger = matches!(denial, Denial::Foreign);
        let Request {
            host,
            client,
            mail,
            recipient,
            now,
            ..
        } = asked;
        let reply = evidence::relaying(host, client, mail, recipient, &denial, now).await;
        match stranger {
            true => Answer::Foreign(reply),
            false => Answer::Refused(reply),
        }
    }

    async fn permit_across(
        &mut self,
        from: &Arc<Tenant>,
        to: &Arc<Tenant>,
        asked: &Request<'_>,
    ) -> Result<Permit, Reply> {
        let outbound = self.permit(from, Direction::Outbound, asked).await?;
        match self.permit(to, Direction::Inbound, asked).await {
            Ok(inbound) => Ok(inbound.after(outbound)),
            Err(reply) => {
                let until = evidence::patience();
                self.answer(asked.host, &reply, until).await;
                let kind = match reply.code() {
                    500.. => Outcome::Refused,
                    _ => Outcome::Deferred,
                };
                evidence::not_taken(asked.host, &outbound, kind, &reply, until).await;
                Err(reply)
            }
        }
    }

    /// Asks one tenant. A verdict that accepts waits for the reply; one that refuses is
    /// the reply, and kept.
    async fn permit(
        &mut self,
        tenant: &Arc<Tenant>,
        direction: Direction,
        asked: &Request<'_>,
    ) -> Result<Permit, Reply> {
        let host = asked.host;
        let facts = Arc::new(self.facts(tenant, direction, asked).await);
        let question = Asked {
            tenant,
            host_default: self.snapshot.default(),
            facts: &facts,
            offer: asked.offer,
            engine: Some(&host.engine),
        };
        let (event, judged, contact) = conclude(host, question).await;
        let standing = Standing::of(&host.shadows, question, &event);
        self.shadow(host, standing);
        match judged {
            Ok(permit) => {
                self.ask_again(tenant, facts, &event);
                self.unanswered.push(event);
                Ok(permit)
            }
            Err(refusal) => {
                let reply = reply::refused(&refusal, contact.as_deref(), event.id);
                evidence::verdict(host, event, &reply, evidence::patience()).await;
                Err(reply)
            }
        }
    }

    /// Remembers the question where the header From may matter to the answer.
    fn ask_again(&mut self, tenant: &Tenant, facts: Arc<Facts>, verdict: &VerdictEvent) {
        let (direction, recipient) = (facts.direction, &facts.recipient);
        let weight = match tenant.header_mode(direction, recipient, facts.now) {
            None => return,
            Some(Mode::Enforce) => Weight::Counts,
            Some(Mode::Monitor) => Weight::IsWatched(Box::new(standing(verdict))),
        };
        self.asked.push(Again { facts, weight });
    }

    /// Keeps the verdicts that waited for this reply, which waits for them no longer
    /// than this.
    pub(super) async fn answer(&mut self, host: &Host, reply: &Reply, until: tokio::time::Instant) {
        let unanswered: Vec<VerdictEvent> = self.unanswered.drain(..).collect();
        for event in unanswered {
            let reply = self.told(&event.facts.tenant, reply);
            evidence::verdict(host, event, &reply, until).await;
        }
    }

    async fn facts(
        &mut self,
        tenant: &Arc<Tenant>,
        direction: Direction,
        asked: &Request<'_>,
    ) -> Facts {
        let (client, mail, now) = (asked.client, asked.mail, asked.now);
        Facts {
            id: ReceiptId::new(now),
            now: unix_seconds(now),
            stage: Stage::Recipient,
            direction,
            tenant: tenant.id.clone(),
            connection: Arc::clone(&client.connection),
            helo: mail.helo.clone(),
            sender: mail.sender.clone(),
            recipient: asked.recipient.clone(),
            recipients_so_far: self.accepted(tenant, direction),
            parameters: mail.parameters.clone(),
            header_from: Vec::new(),
            trust: self.judgement(tenant, client, now).await,
        }
    }

    async fn judgement(
        &mut self,
        tenant: &Tenant,
        client: &Client,
        now: SystemTime,
    ) -> Option<Judgement> {
        self.judgements.of(tenant, &client.chain, now).await
    }
}

/// A verdict to record something beside, without what it took to reach it.
fn standing(verdict: &VerdictEvent) -> VerdictEvent {
    VerdictEvent {
        micros: 0,
        fuel: None,
        log: Vec::new(),
        log_dropped: 0,
        monitored: None,
        ..verdict.clone()
    }
}
