//! Deciding again when the content is there, for recipients whose tenants have policies
//! on the header From.
//!
//! **It can only refuse more**: whoever was refused at RCPT TO is not asked about again.
//! **Nothing is delivered after a refusal**: the end of data has one reply, so what one
//! tenant refuses for one recipient is refused for all recipients of the message, who are
//! then all of that tenant (`company`). So nobody is asked behind a refusal.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::conclude::{Asked, conclude};
use super::{Client, Transaction, evidence};
use crate::content::Content;
use crate::decision::{Permit, Refusal, TlsOffer};
use crate::facts::{Facts, Stage, unix_seconds};
use crate::host::Host;
use crate::policy::Mode;
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
    /// Whether the answer counts, or is only recorded.
    pub(super) mode: Mode,
}

impl Again {
    /// Why the message is refused. Where policies only watch the header, what is decided
    /// again changes nothing: not even what an envelope policy makes of it this time.
    fn refusal(&self, judged: Result<Permit, Refusal>) -> Option<Refusal> {
        match self.mode {
            Mode::Enforce => judged.err(),
            Mode::Monitor => None,
        }
    }
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
        let again = std::mem::take(&mut self.again);
        if again.is_empty() {
            return Review::Passed(envelope, content);
        }
        let header_from = content.header_from();
        let since = Instant::now();
        let mut refusal: Option<Reply> = None;
        for asked in again {
            let known = &asked.facts;
            let now = SystemTime::now();
            let Some(tenant) = self.snapshot.tenant(&known.tenant).cloned() else {
                continue;
            };
            let facts = Arc::new(Facts {
                now: unix_seconds(now),
                stage: Stage::Content,
                header_from: header_from.clone(),
                trust: self.judgements.of(&tenant, &client.chain, now).await,
                ..Facts::clone(known)
            });
            let question = Asked {
                tenant: &tenant,
                host_default: self.snapshot.default(),
                facts: &facts,
                offer,
                engine: (since.elapsed() < PATIENCE).then_some(&*host.engine),
            };
            let (event, judged, contact) = conclude(host, question).await;
            let id = event.id;
            self.unanswered.push(event);
            if let Some(refused) = asked.refusal(judged) {
                refusal = Some(reply::refused(&refused, contact.as_deref(), id));
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

    /// The client comes back with what was put off: then it is the turn of those who were
    /// sent away now, who must not wait for a policy that fails again and again.
    async fn turn_away(&mut self, content: Content, envelope: &Envelope, reply: &Reply) {
        let put_off = reply.code() < 500;
        if let Some(handover) = self.handover.take_if(|_| put_off) {
            handover.put_off(content, &envelope.permits).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::sample;

    #[test]
    fn what_is_only_watched_refuses_nothing() {
        let facts = Arc::new(sample::clear(&"x@acme.example".parse().expect("a mailbox")));
        for (mode, expected) in [
            (Mode::Enforce, Some(Refusal::Plaintext)),
            (Mode::Monitor, None),
        ] {
            let again = Again {
                facts: Arc::clone(&facts),
                mode,
            };
            assert_eq!(again.refusal(Err(Refusal::Plaintext)), expected, "{mode:?}");
        }
    }
}
