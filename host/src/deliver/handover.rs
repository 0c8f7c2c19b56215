//! One transaction's way to the targets of its recipients.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::late::{Copies, PATIENCE};
use super::ledger::{Ledger, State};
use super::part::{Dispatch, Fate, Part};
use super::relay::HopMail;
use super::settle::{self, Ending};
use super::sharing::{SentAway, Sharing};
use super::target::Target;
use super::until::Until;
use super::{Consignment, DeliveryError, Message, header};
use crate::address::Mailbox;
use crate::boxed::boxed;
use crate::content::Content;
use crate::decision::Permit;
use crate::facts::{Judgement, MailParameters, TenantId};

/// How long a message may take to be hashed before it is delivered, out of the time that
/// targets have: ten megabytes a second for the longest.
const FOR_COMPARING: Duration = Duration::from_secs(100);

/// Most targets in one transaction: they are worked on at one time.
const MAX_PARTS: usize = 64;

/// A transaction from its first permitted recipient on.
#[derive(Debug)]
pub struct Handover {
    ledger: Arc<Ledger>,
    mail: HopMail,
    parts: Vec<Part>,
    sharing: Sharing,
}

/// What became of a message.
#[derive(Debug)]
pub struct Delivered {
    /// As a whole.
    pub ending: Ending,
    /// For each recipient, in order: where it is, or why it is not there.
    pub fates: Vec<Result<String, DeliveryError>>,
    /// Copies that were delivered may come again, since the ledger could not be kept.
    pub unrecorded: Option<String>,
}

impl Handover {
    /// A transaction with this sender. Nothing is opened yet.
    pub fn new(ledger: Arc<Ledger>, sender: Option<Mailbox>, parameters: MailParameters) -> Self {
        Self {
            ledger,
            mail: HopMail { sender, parameters },
            parts: Vec::new(),
            sharing: Sharing::default(),
        }
    }

    /// Asks the target whether it takes this recipient; answered by `due`.
    ///
    /// # Errors
    /// Why it does not, or not in this transaction.
    pub async fn offer(
        &mut self,
        permit: Permit,
        target: &Arc<Target>,
        due: Instant,
    ) -> Result<(), DeliveryError> {
        if self.has(permit.recipient()) {
            return Ok(());
        }
        let (sender, recipient) = (self.mail.sender.as_ref(), permit.recipient());
        let standing = self.ledger.standing(sender, recipient);
        if let Err(sent_away) = self.sharing.admit(&standing) {
            if sent_away == SentAway::Yields {
                self.ledger.has_yielded(sender, recipient);
            }
            return Err(DeliveryError::Apart);
        }
        let at = self.part(&permit, target)?;
        self.parts[at]
            .offer(&self.mail, permit, standing.may_have, due)
            .await?;
        self.sharing.join(&standing);
        Ok(())
    }

    fn has(&self, recipient: &Mailbox) -> bool {
        let mut permits = self.parts.iter().flat_map(Part::permits);
        permits.any(|permit| permit.recipient() == recipient)
    }

    /// Where the part for the tenant's mail of this direction is; begun when there is
    /// none.
    fn part(&mut self, permit: &Permit, target: &Arc<Target>) -> Result<usize, DeliveryError> {
        let known = self.parts.iter().position(|part| part.takes(permit));
        match known {
            Some(at) => Ok(at),
            None if self.parts.len() >= MAX_PARTS => Err(DeliveryError::Apart),
            None => {
                self.parts.push(Part::new(permit, Arc::clone(target)));
                Ok(self.parts.len() - 1)
            }
        }
    }

    /// A recipient was sent away for the sake of those who are in.
    pub fn send_away(&mut self) {
        self.sharing.send_away();
    }

    /// A policy has put the message off for its content. Gives the transaction up; those
    /// who were sent away from it go first the next time.
    pub async fn put_off(self, content: Content, permits: &[Permit]) {
        let turns = self.sharing.turns_owed();
        if turns > 0 {
            let copies = Copies::new(self.mail.sender.clone(), Arc::new(content));
            let recipients = permits.iter().map(Permit::recipient);
            let copies = copies.of(recipients, PATIENCE).await.unwrap_or_default();
            copies
                .iter()
                .for_each(|copy| self.ledger.let_yield(copy, turns));
        }
        self.abandon();
    }

    /// Gives the transaction up; connections to next hops are kept for others.
    pub fn abandon(self) {
        self.parts.into_iter().for_each(Part::abandon);
    }

    /// Delivers to all who were accepted. `permits` are these, in the client's order;
    /// `trust` says what each tenant makes of the client's certificate. Targets have
    /// answered `until` then; what has to be remembered takes up to 50 seconds more.
    pub async fn deliver(
        self,
        message: Message,
        permits: &[Permit],
        trust: HashMap<TenantId, Judgement>,
        hostname: &str,
        until: Until,
    ) -> Delivered {
        let scan = header::scan(message.content.front(), hostname);
        if scan.received > header::MAX_RECEIVED {
            let found = scan.received;
            self.abandon();
            return Delivered::not(DeliveryError::Loop { found }, permits.len());
        }
        let copies = Copies::new(message.sender.clone(), Arc::clone(&message.content));
        let with = Arc::new(Dispatch {
            message,
            scan,
            hostname: hostname.to_owned(),
            mail: self.mail,
            ledger: self.ledger,
            copies: Arc::new(copies),
            until,
        });
        let Some(known) = known(&with, permits).await else {
            self.parts.into_iter().for_each(Part::abandon);
            return Delivered::not(DeliveryError::Unnamed, permits.len());
        };
        let fates = dispatch(self.parts, &known, trust, &with).await;
        let fate = |permit: &Permit| {
            let none = || Err(DeliveryError::Lost("no word of a recipient".into()));
            fates.get(permit.recipient()).cloned().unwrap_or_else(none)
        };
        let fates: Vec<Fate> = permits.iter().map(fate).collect();
        settle(&with, permits, fates, self.sharing.turns_owed()).await
    }
}

impl Delivered {
    fn not(error: DeliveryError, recipients: usize) -> Self {
        Self {
            fates: vec![Err(error.clone()); recipients],
            ending: Ending::Failed(error),
            unrecorded: None,
        }
    }
}

/// What the ledger knows of these recipients' copies; the message is hashed only where
/// it knows anything of them and this sender. None where that cannot be done.
async fn known(with: &Dispatch, permits: &[Permit]) -> Option<HashMap<Mailbox, State>> {
    let recipients = || permits.iter().map(Permit::recipient);
    let sender = with.message.sender.as_ref();
    if !with.ledger.knows_any(sender, recipients()) {
        return Some(HashMap::new());
    }
    let copies = with.copies.of(recipients(), FOR_COMPARING).await?;
    let states = permits.iter().zip(copies).filter_map(|(permit, copy)| {
        let state = with.ledger.state(&copy)?;
        Some((permit.recipient().clone(), state))
    });
    Some(states.collect())
}

/// All parts at once: what became of each recipient.
async fn dispatch(
    parts: Vec<Part>,
    known: &HashMap<Mailbox, State>,
    trust: HashMap<TenantId, Judgement>,
    with: &Arc<Dispatch>,
) -> HashMap<Mailbox, Fate> {
    let mut fates = HashMap::new();
    let mut consignments = Vec::new();
    for part in parts {
        let mut missing = Vec::new();
        for permit in part.permits() {
            match known.get(permit.recipient()).and_then(before) {
                Some(fate) => drop(fates.insert(permit.recipient().clone(), fate)),
                None => missing.push(permit.clone()),
            }
        }
        if missing.is_empty() {
            part.abandon();
            continue;
        }
        let consignment = Consignment {
            tenant: part.tenant().clone(),
            trust: trust.get(part.tenant()).cloned(),
            permits: missing,
        };
        consignments.push((part, consignment));
    }
    if consignments.len() == 1
        && let Some((part, consignment)) = consignments.pop()
    {
        // Nearly all mail is for one tenant, which needs no task of its own.
        let permits = consignment.permits.clone();
        let delivered = boxed(|| part.deliver(consignment, with)).await;
        fates.extend(named(permits, delivered));
        return fates;
    }
    let mut under_way = JoinSet::new();
    for (part, consignment) in consignments {
        let with = Arc::clone(with);
        under_way.spawn(async move {
            let recipients = consignment.permits.clone();
            let delivered = boxed(|| part.deliver(consignment, &with)).await;
            (recipients, delivered)
        });
    }
    while let Some(done) = under_way.join_next().await {
        match done {
            Ok((permits, done)) => fates.extend(named(permits, done)),
            // Its recipients have no fate, which puts them off.
            Err(error) => tracing::error!(%error, "a delivery came to no end"),
        }
    }
    fates
}

fn named(permits: Vec<Permit>, fates: Vec<Fate>) -> impl Iterator<Item = (Mailbox, Fate)> {
    let recipients = permits.into_iter().map(|permit| permit.recipient().clone());
    recipients.zip(fates)
}

/// What there is to say of a copy without delivering it.
fn before(state: &State) -> Option<Fate> {
    match state {
        State::Delivered => Some(Ok("delivered before, as the ledger says".into())),
        State::UnderWay => Some(Err(DeliveryError::UnderWay)),
        State::Refused(_) | State::Deferred { .. } => None,
    }
}

/// Remembers what must be, and says what the message came to.
async fn settle(
    with: &Dispatch,
    permits: &[Permit],
    fates: Vec<Fate>,
    turns_owed: u8,
) -> Delivered {
    let ending = settle::ending(&fates);
    let put_off = matches!(&ending, Ending::Failed(error) if !error.is_permanent());
    let recipients = || permits.iter().map(Permit::recipient);
    let mixed = matches!(ending, Ending::Mixed);
    let mut unrecorded = None;
    // Where recipients fared alike and nothing was known of them, nothing is.
    let of_interest = mixed || (put_off && turns_owed > 0) || with.copies.are_known();
    if of_interest {
        let copies = with.copies.of(recipients(), PATIENCE).await;
        unrecorded = copies.is_none().then(|| "it cannot be read again".into());
        let copies = copies.unwrap_or_default();
        let ledger = &with.ledger;
        let states = settle::all_remembered(&ending, &copies, &fates, |copy| ledger.state(copy));
        if mixed {
            let recorded = ledger.record(states).await;
            unrecorded = unrecorded.or(recorded.err().map(|error| error.to_string()));
        } else {
            ledger.note(states);
        }
        if put_off && turns_owed > 0 {
            copies
                .iter()
                .for_each(|copy| ledger.let_yield(copy, turns_owed));
        }
    }
    Delivered {
        ending,
        fates,
        unrecorded: unrecorded.filter(|_| mixed),
    }
}
