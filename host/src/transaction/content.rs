//! Deciding again when the content is there, for recipients whose tenants have policies
//! on the header From.
//!
//! **It can only refuse more**: whoever was refused at RCPT TO is not asked about again.
//! **Nothing is delivered after a refusal**: the end of data has one reply, so what one
//! tenant refuses for one recipient is refused for all recipients of the message, who are
//! then all of that tenant (`company`). So nobody is asked behind a refusal.
//! **Nothing hides from a policy**: where one may refuse, the header From has to be read.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::conclude::{Asked, conclude, watch};
use super::refuser::Refuser;
use super::shadow::Standing;
use super::{Client, FOR_MESSAGE, Transaction, evidence};
use crate::content::{Content, HeaderFrom};
use crate::decision::TlsOffer;
use crate::facts::{Facts, Stage, unix_seconds};
use crate::host::Host;
use crate::receipt::VerdictEvent;
use crate::smtp::envelope::Envelope;
use crate::smtp::reply::{self, Reply};
use crate::smtp::session::Review;

/// How long a message may wait for modules, for all of its recipients together. A client
/// waits ten minutes for the reply to the end of data (RFC 5321, section 4.5.3.2.6), many
/// only five; the delivery needs time of that, too.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// What a tenant was asked about a recipient at RCPT TO, and is to be asked again.
#[derive(Clone, Debug)]
pub(super) struct Again {
    pub(super) facts: Arc<Facts>,
    pub(super) weight: Weight,
}

/// What an answer to the content is good for.
#[derive(Clone, Debug)]
pub(super) enum Weight {
    /// It counts: all policies are asked again.
    Counts,
    /// Policies only watch the header. What is in force has decided already, and is not
    /// asked again: the answer of the policy that watches is recorded beside this verdict.
    IsWatched(Box<VerdictEvent>),
}

impl Transaction {
    /// Asks whoever wants to know the header From. The verdicts wait for the reply to the
    /// end of data.
    pub async fn review(
        &mut self,
        host: &Host,
        client: &Client,
        envelope: Envelope,
        content: Content,
        offer: TlsOffer,
    ) -> Review {
        self.due = tokio::time::Instant::now() + FOR_MESSAGE;
        let again = std::mem::take(&mut self.again);
        if again.is_empty() {
            return Review::Passed(envelope, content);
        }
        let snapshot = Arc::clone(&self.snapshot);
        let HeaderFrom {
            addresses,
            unreadable,
        } = content.header_from();
        let decides = |asked: &Again| matches!(asked.weight, Weight::Counts);
        if unreadable && let Some(first) = again.iter().find(|asked| decides(asked)) {
            self.refuser = Some(Refuser::of(&first.facts));
            let reply = reply::unreadable_from(first.facts.id);
            return Review::Refused(envelope.permits, reply);
        }
        let since = Instant::now();
        let mut refusal: Option<Reply> = None;
        for asked in again {
            let known = &asked.facts;
            let now = SystemTime::now();
            let Some(tenant) = snapshot.tenant(&known.tenant) else {
                continue;
            };
            let facts = Arc::new(Facts {
                now: unix_seconds(now),
                stage: Stage::Content,
                header_from: addresses.clone(),
                trust: self.judgements.of(tenant, &client.chain, now).await,
                ..Facts::clone(known)
            });
            let question = Asked {
                tenant,
                host_default: snapshot.default(),
                facts: &facts,
                offer,
                engine: (since.elapsed() < PATIENCE).then_some(&*host.engine),
            };
            refusal = self.ask_about(host, question, asked.weight).await;
            if refusal.is_some() {
                break;
            }
        }
        match refusal {
            None => Review::Passed(envelope, content),
            Some(reply) => {
                self.answer(host, &reply, evidence::patience()).await;
                self.turn_away(content, &envelope, &reply).await;
                Review::Refused(envelope.permits, reply)
            }
        }
    }

    /// Asks about one recipient: why the message is refused, if it is.
    async fn ask_about(
        &mut self,
        host: &Host,
        question: Asked<'_>,
        weight: Weight,
    ) -> Option<Reply> {
        let verdict = match weight {
            Weight::Counts => conclude(host, question).await,
            Weight::IsWatched(verdict) => {
                self.unanswered
                    .extend(watch(host, question, *verdict).await);
                return None;
            }
        };
        let (event, judged, contact) = verdict;
        let standing = Standing::of(&host.shadows, question, &event);
        self.shadow(host, standing);
        let id = event.id;
        self.unanswered.push(event);
        let refused = judged.err()?;
        self.refuser = Some(Refuser::of(question.facts));
        Some(reply::refused(&refused, contact.as_deref(), id))
    }

    /// The client comes back with what was put off: then it is the turn of those who were
    /// sent away now, who must not wait for a policy that fails again and again.
    async fn turn_away(&mut self, content: Content, envelope: &Envelope, reply: &Reply) {
        let put_off = reply.code() < 500;
        if let Some(handover) = self.handover.take_if(|_| put_off) {
            handover.put_off(content, &envelope.permits).await;
        }
    }
}
