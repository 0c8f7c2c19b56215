//! One tenant's part of a transaction in one direction: its target, and its recipients
//! there.
//!
//! **The target is asked at RCPT**, so nobody is told 250 for what it will not take. It
//! is opened at the first recipient; when that fails, it is not tried again for the
//! others of the same transaction.
//! **The client has its reply while it waits for it**: whatever is asked of a target is
//! over by the time at which the reply is due.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::held::Held;
use super::late::{Copies, Late};
use super::ledger::Ledger;
use super::maildir::Maildir;
use super::parcel::Parcel;
use super::relay::{Dialogue, HopMail, HopReply, Relay, RelayError, STOPPING, Sent};
use super::target::Target;
use super::until::Until;
use super::{Consignment, DeliveryError, Message, header, trace};
use crate::address::Mailbox;
use crate::decision::Permit;
use crate::facts::{Direction, TenantId};

/// How long a transaction with a next hop may take to be opened again at the end of
/// data: what is left of the client's time is for the message.
const REOPEN: Duration = Duration::from_secs(120);

/// What became of one recipient: where the message is, or why it is not.
pub(super) type Fate = Result<String, DeliveryError>;

/// One tenant's part of a transaction in one direction.
#[derive(Debug)]
pub(super) struct Part {
    tenant: TenantId,
    direction: Direction,
    target: Arc<Target>,
    permits: Vec<Permit>,
    way: Way,
}

/// Where the target stands.
#[derive(Debug)]
enum Way {
    /// Not asked, or not to be asked again before the end of data.
    Closed,
    /// The maildir is there, or nothing has to be.
    Ready,
    /// MAIL was accepted, and RCPT for those whom the dialogue names.
    Held(Held),
    /// It takes nobody else in this transaction.
    Failed(DeliveryError),
}

/// What all parts of a message need.
pub(super) struct Dispatch {
    pub(super) message: Message,
    pub(super) scan: header::Scan,
    pub(super) hostname: String,
    pub(super) mail: HopMail,
    pub(super) ledger: Arc<Ledger>,
    pub(super) copies: Arc<Copies>,
    /// How long targets are waited for.
    pub(super) until: Until,
}

impl Part {
    /// For mail of this permit's tenant and direction.
    pub(super) fn new(permit: &Permit, target: Arc<Target>) -> Self {
        Self {
            tenant: permit.tenant().clone(),
            direction: permit.direction(),
            target,
            permits: Vec::new(),
            way: Way::Closed,
        }
    }

    pub(super) fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// Whether a recipient belongs here.
    pub(super) fn takes(&self, permit: &Permit) -> bool {
        self.tenant == *permit.tenant() && self.direction == permit.direction()
    }

    /// Those who were accepted, each once.
    pub(super) fn permits(&self) -> &[Permit] {
        &self.permits
    }

    /// RCPT, answered by `due`. With `may_have` a refusal does not count before the end of
    /// data: the recipient may have the message already.
    pub(super) async fn offer(
        &mut self,
        mail: &HopMail,
        permit: Permit,
        may_have: bool,
        due: Instant,
    ) -> Result<(), DeliveryError> {
        match self.ask(mail, permit.recipient(), due).await {
            Err(error) if !may_have => return Err(error),
            Ok(()) | Err(_) => self.permits.push(permit),
        }
        Ok(())
    }

    async fn ask(
        &mut self,
        mail: &HopMail,
        recipient: &Mailbox,
        due: Instant,
    ) -> Result<(), DeliveryError> {
        let way = std::mem::replace(&mut self.way, Way::Closed);
        let (way, answer) = match (way, &*self.target) {
            (Way::Failed(error), _) => (Way::Failed(error.clone()), Err(error)),
            (Way::Ready, Target::Maildir(_)) | (_, Target::Discard) => (Way::Ready, Ok(())),
            (_, Target::Maildir(maildir)) => match maildir.open().await {
                Ok(()) => (Way::Ready, Ok(())),
                Err(error) => (Way::Failed(error.clone()), Err(error)),
            },
            (way, Target::Relay(relay)) => {
                let asking = ask_relay(relay, way.into_dialogue(), mail, recipient);
                let late = |_| Err(relay_error(relay, late(relay, "RCPT")));
                let asked = timeout_at(due, asking).await.unwrap_or_else(late);
                asked.unwrap_or_else(|error| (Way::Failed(error.clone()), Err(error)))
            }
            #[cfg(test)]
            (_, Target::Scripted(script)) => (Way::Closed, script.ask(recipient)),
        };
        self.way = way;
        answer
    }

    /// Gives the transaction up.
    pub(super) fn abandon(self) {
        if let Some(dialogue) = self.way.into_dialogue() {
            dialogue.abandon();
        }
    }

    /// Delivers to those of the consignment, and says what became of each.
    pub(super) async fn deliver(self, consignment: Consignment, with: &Dispatch) -> Vec<Fate> {
        match &*self.target {
            Target::Maildir(maildir) => store(maildir, &consignment, with).await,
            Target::Relay(relay) => {
                let dialogue = self.way.into_dialogue();
                pass_on(relay, dialogue, consignment, with).await
            }
            Target::Discard => vec![Ok("discarded".into()); consignment.permits.len()],
            #[cfg(test)]
            Target::Scripted(script) => script.deliver(&recipients(&consignment)),
        }
    }
}

impl Way {
    fn into_dialogue(self) -> Option<Dialogue> {
        match self {
            Self::Held(held) => held.take(),
            Self::Closed | Self::Ready | Self::Failed(_) => None,
        }
    }
}

/// An error means that the next hop takes nobody else; the answer is for this
/// recipient alone.
async fn ask_relay(
    relay: &Arc<Relay>,
    dialogue: Option<Dialogue>,
    mail: &HopMail,
    recipient: &Mailbox,
) -> Result<(Way, Result<(), DeliveryError>), DeliveryError> {
    let fault = |source| relay_error(relay, source);
    let mut dialogue = match dialogue {
        Some(dialogue) => dialogue,
        None => relay.begin(mail).await.map_err(fault)?,
    };
    match dialogue.recipient(recipient).await {
        Err(error @ RelayError::Unavailable { .. }) => Err(fault(error)),
        answer => Ok((Way::Held(Held::new(dialogue)), answer.map_err(fault))),
    }
}

/// There is no time left of what the client waits.
fn late(relay: &Relay, step: &'static str) -> RelayError {
    RelayError::Unavailable {
        hop: relay.to_string(),
        step,
        detail: "no answer in the time that clients wait".into(),
    }
}

fn relay_error(relay: &Relay, source: RelayError) -> DeliveryError {
    DeliveryError::Relay {
        hop: relay.to_string(),
        source,
    }
}

fn recipients(consignment: &Consignment) -> Vec<Mailbox> {
    let permits = consignment.permits.iter();
    permits.map(|permit| permit.recipient().clone()).collect()
}

/// One file for all.
async fn store(maildir: &Maildir, consignment: &Consignment, with: &Dispatch) -> Vec<Fate> {
    let own = trace::of_final_delivery(&with.message, consignment);
    let late = Late {
        ledger: Arc::clone(&with.ledger),
        copies: Arc::clone(&with.copies),
        recipients: recipients(consignment),
    };
    let name = file_name(consignment, with);
    let stored = maildir
        .deliver(name, parcel(own, consignment, with), &with.until, late)
        .await
        .map(|path| path.display().to_string());
    vec![stored; consignment.permits.len()]
}

/// Unique since receipts are, and telling: when, which receipt, where.
fn file_name(consignment: &Consignment, with: &Dispatch) -> String {
    let receipt = consignment.permits.first();
    let receipt = receipt.map(|permit| permit.receipt().to_string());
    let host = with.hostname.replace(['/', ':'], "_");
    format!(
        "{}.{}.{host}",
        with.message.received,
        receipt.unwrap_or_default()
    )
}

fn parcel(mut fields: String, consignment: &Consignment, with: &Dispatch) -> Parcel {
    fields.push_str(&trace::fields(&with.hostname, &with.message, consignment));
    Parcel::new(fields, Arc::clone(&with.message.content), &with.scan)
}

/// The dialogue serves when it has exactly these recipients: it has more where some
/// have the message already, and there is none where the client took its time.
async fn pass_on(
    relay: &Arc<Relay>,
    dialogue: Option<Dialogue>,
    mut consignment: Consignment,
    with: &Dispatch,
) -> Vec<Fate> {
    let wanted = recipients(&consignment);
    let (dialogue, mut fates) = match dialogue {
        Some(dialogue) if dialogue.recipients() == wanted => (dialogue, vec![None; wanted.len()]),
        other => {
            if let Some(unfit) = other {
                unfit.abandon();
            }
            match reopen(relay, &with.mail, &wanted, &with.until).await {
                Ok(reopened) => reopened,
                Err(error) => return vec![Err(relay_error(relay, error)); wanted.len()],
            }
        }
    };
    let mut accepted = fates.iter().map(Option::is_none);
    consignment
        .permits
        .retain(|_| accepted.next().unwrap_or(false));
    let mut replies = send(dialogue, &consignment, with).await.into_iter();
    for fate in fates.iter_mut().filter(|fate| fate.is_none()) {
        *fate = replies.next();
    }
    finished(relay, fates)
}

type Opened = (Dialogue, Vec<Option<Result<HopReply, RelayError>>>);

async fn send(
    dialogue: Dialogue,
    consignment: &Consignment,
    with: &Dispatch,
) -> Vec<Result<HopReply, RelayError>> {
    if consignment.permits.is_empty() {
        dialogue.abandon();
        return Vec::new();
    }
    let parcel = parcel(String::new(), consignment, with);
    let Sent { outcomes, late } = dialogue.send(&parcel, &with.until).await;
    if let Some(hop) = late {
        let is_open =
            |outcome: &Result<_, _>| matches!(outcome, Err(RelayError::Unanswered { .. }));
        let each = recipients(consignment).into_iter().zip(&outcomes);
        let open = each.filter(|(_, outcome)| is_open(outcome));
        let late = Late {
            ledger: Arc::clone(&with.ledger),
            copies: Arc::clone(&with.copies),
            recipients: open.map(|(recipient, _)| recipient).collect(),
        };
        late.listen(hop).await;
    }
    outcomes
}

/// MAIL and RCPT anew: the dialogue, and the fate of those whom it does not take.
async fn reopen(
    relay: &Arc<Relay>,
    mail: &HopMail,
    wanted: &[Mailbox],
    until: &Until,
) -> Result<Opened, RelayError> {
    let opening = async {
        let mut dialogue = relay.begin(mail).await?;
        let mut fates = Vec::new();
        for recipient in wanted {
            match dialogue.recipient(recipient).await {
                Ok(()) => fates.push(None),
                Err(error @ RelayError::Unavailable { .. }) => return Err(error),
                Err(error) => fates.push(Some(Err(error))),
            }
        }
        Ok((dialogue, fates))
    };
    let opening = pin!(timeout_at(until.due.min(Instant::now() + REOPEN), opening));
    match until.unless_cut_off(opening).await {
        Some(Ok(opened)) => opened,
        Some(Err(_)) => Err(late(relay, "recipients")),
        None => Err(RelayError::Unavailable {
            hop: relay.to_string(),
            step: "recipients",
            detail: STOPPING.into(),
        }),
    }
}

fn finished(relay: &Relay, fates: Vec<Option<Result<HopReply, RelayError>>>) -> Vec<Fate> {
    let finished = fates.into_iter().map(|fate| match fate {
        Some(Ok(reply)) => Ok(format!("{relay}: {reply}")),
        Some(Err(error)) => Err(relay_error(relay, error)),
        None => Err(DeliveryError::Lost("no word of a recipient".into())),
    });
    finished.collect()
}
