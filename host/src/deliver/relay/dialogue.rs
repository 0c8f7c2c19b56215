//! One transaction with a next hop.
//!
//! **A dialogue that does not end by its own words closes its connection**, whether it
//! failed, was dropped, or its caller stopped waiting: the line leaves the dialogue
//! before each wait and comes back only when the hop has answered.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::connection::{Answer, Connection, within};
use super::content;
use super::error::{AFTER_FINAL_DOT, Capability, Failure, Fault, RelayError, STOPPING};
use super::hop::Protocol;
use super::pool::Place;
use super::reply::HopReply;
use super::{HopMail, Relay};
use crate::address::Mailbox;
use crate::deliver::Parcel;
use crate::deliver::until::Until;

/// A transaction with a next hop, from MAIL on. Dropped before its end, it closes its
/// connection, which tells the next hop to forget it.
#[derive(Debug)]
pub struct Dialogue {
    relay: Arc<Relay>,
    /// None once it is over.
    line: Option<Line>,
    recipients: Vec<Mailbox>,
    /// MAIL had SMTPUTF8.
    is_international: bool,
}

/// What came of a message.
#[derive(Debug)]
pub struct Sent {
    /// For each accepted recipient, in order.
    pub outcomes: Vec<Result<HopReply, RelayError>>,
    /// The hop may yet answer for the last of them.
    pub late: Option<Late>,
}

impl Sent {
    fn all(outcomes: Vec<Result<HopReply, RelayError>>) -> Self {
        Self {
            outcomes,
            late: None,
        }
    }
}

/// A hop that has the whole message and has not said what it does with it. It keeps its
/// connection meanwhile, and the place of that.
#[derive(Debug)]
pub struct Late {
    dialogue: Dialogue,
    line: Line,
    /// How many replies came in time.
    answered: usize,
}

impl Late {
    /// Waits as long again as for a delivery in time: ten minutes in all, unless set
    /// otherwise, after which no client waits for a reply (RFC 5321, section 4.5.3.2.6).
    /// Then for each whose outcome was open, in order, what became of it.
    pub async fn outcomes(mut self) -> Vec<Result<HopReply, RelayError>> {
        let Self {
            dialogue, answered, ..
        } = self;
        // Those that came are told already; what stands for them here is of no interest.
        let told = RelayError::Unanswered {
            hop: dialogue.relay.to_string(),
            detail: String::new(),
        };
        let mut outcomes = vec![Err(told); answered];
        let connection = &mut self.line.connection;
        let limit = dialogue.relay.hop.delivery_timeout;
        let read = within(limit, dialogue.read(connection, &mut outcomes)).await;
        match read {
            Ok(()) => dialogue.put_back(self.line, &outcomes),
            Err(fault) => {
                let lost = Err(dialogue.unavailable(fault.at(AFTER_FINAL_DOT)));
                outcomes.resize(dialogue.expected(), lost);
            }
        }
        dialogue.for_each(outcomes).split_off(answered)
    }
}

/// A connection, and the right to it.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) connection: Connection,
    pub(super) place: Place,
}

impl Dialogue {
    /// A transaction whose MAIL was accepted.
    pub(super) fn new(relay: Arc<Relay>, line: Line, mail: &HopMail) -> Self {
        Self {
            relay,
            line: Some(line),
            recipients: Vec::new(),
            is_international: mail.parameters.smtputf8,
        }
    }

    /// RCPT.
    ///
    /// # Errors
    ///
    /// After [`RelayError::Refused`] and [`RelayError::Lacks`], which concern this
    /// recipient alone, the dialogue goes on; after any other it is over.
    pub async fn recipient(&mut self, recipient: &Mailbox) -> Result<(), RelayError> {
        let address = recipient.to_string();
        if !address.is_ascii() && !self.is_international {
            return Err(RelayError::Lacks(Capability::SmtpUtf8));
        }
        let over = || Fault::Other("the dialogue is over".to_owned()).at("RCPT");
        let mut line = self.line.take().ok_or_else(|| self.unavailable(over()))?;
        let command = format!("RCPT TO:<{address}>");
        let limit = self.relay.hop.command_timeout;
        let answer = line.connection.ask(&command, 2, limit).await;
        let answer = answer.map_err(|fault| self.unavailable(fault.at("RCPT")))?;
        self.line = Some(line);
        match answer {
            Answer::Yes(_) => {
                self.recipients.push(recipient.clone());
                Ok(())
            }
            Answer::No(reply) => Err(RelayError::Refused(reply)),
        }
    }

    /// Those accepted so far, in order.
    pub fn recipients(&self) -> &[Mailbox] {
        &self.recipients
    }

    /// From now on it waits for the client. Comes to an end when somebody else needs its
    /// connection.
    pub fn asked_back(&self) -> impl Future<Output = ()> + Send + use<> {
        let asked = self.line.as_ref().map(|line| line.place.hold());
        async move {
            if let Some(asked) = asked {
                // Nobody asks any more when the pool is gone, and then nobody waits.
                let _ = asked.await;
            }
        }
    }

    /// DATA and the content, then for each accepted recipient, in order, what the next
    /// hop said; all of it `until` then. Over SMTP that is one reply, given for each of them.
    ///
    /// Nothing is tried again. Where all was sent and no reply came, the error says
    /// that the outcome is unknown ([`RelayError::is_outcome_unknown`]).
    pub async fn send(mut self, parcel: &Parcel, until: &Until) -> Sent {
        let Some(mut line) = self.line.take() else {
            let over = Fault::Other("the dialogue is over".to_owned());
            return Sent::all(self.same_for_each(&Err(self.unavailable(over.at("DATA")))));
        };
        if self.recipients.is_empty() {
            self.reset(line);
            return Sent::all(Vec::new());
        }
        let data = {
            let data = pin!(self.data(&mut line.connection, parcel, until.due));
            until.unless_cut_off(data).await
        };
        let stopping = || Err(Fault::Other(STOPPING.to_owned()).at("content"));
        match data.unwrap_or_else(stopping) {
            Ok(None) => self.outcomes(line, until).await,
            Ok(Some(refusal)) => {
                self.reset(line);
                Sent::all(self.same_for_each(&Err(RelayError::Refused(refusal))))
            }
            Err(failure) => Sent::all(self.same_for_each(&Err(self.unavailable(failure)))),
        }
    }

    /// Gives the transaction up. The connection is kept, once RSET has cleared it.
    pub fn abandon(mut self) {
        if let Some(line) = self.line.take() {
            self.reset(line);
        }
    }

    /// DATA and the content up to the final dot; or the hop's refusal of DATA.
    async fn data(
        &self,
        connection: &mut Connection,
        parcel: &Parcel,
        due: Instant,
    ) -> Result<Option<HopReply>, Failure> {
        let hop = &self.relay.hop;
        let limit = by(due, hop.command_timeout);
        let answer = connection.ask("DATA", 3, limit).await;
        match answer.map_err(|fault| fault.at("DATA"))? {
            Answer::No(refusal) => Ok(Some(refusal)),
            Answer::Yes(_) => content::send(connection, parcel, by(due, hop.delivery_timeout))
                .await
                .map(|()| None),
        }
    }

    /// The replies to the content: one, or for LMTP one for each recipient. Where they do
    /// not come in time the hop may have the message all the same, and is still listened to.
    async fn outcomes(self, mut line: Line, until: &Until) -> Sent {
        let limit = by(until.due, self.relay.hop.delivery_timeout);
        let mut outcomes = Vec::with_capacity(self.expected());
        let read = {
            let read = self.read(&mut line.connection, &mut outcomes);
            let read = pin!(within(limit, read));
            until.unless_cut_off(read).await
        };
        let detail = match read {
            Some(Ok(())) => {
                self.put_back(line, &outcomes);
                return Sent::all(self.for_each(outcomes));
            }
            Some(Err(fault @ Fault::Timeout(_))) => fault.to_string(),
            None => STOPPING.to_owned(),
            Some(Err(fault)) => {
                let lost = Err(self.unavailable(fault.at(AFTER_FINAL_DOT)));
                outcomes.resize(self.expected(), lost);
                return Sent::all(self.for_each(outcomes));
            }
        };
        let answered = outcomes.len();
        let hop = self.relay.to_string();
        let unanswered = RelayError::Unanswered { hop, detail };
        outcomes.resize(self.expected(), Err(unanswered));
        Sent {
            outcomes: self.for_each(outcomes),
            late: Some(Late {
                dialogue: self,
                line,
                answered,
            }),
        }
    }

    /// How many replies there are to the content.
    fn expected(&self) -> usize {
        match self.relay.hop.protocol {
            Protocol::Smtp => 1,
            Protocol::Lmtp => self.recipients.len(),
        }
    }

    /// Reads those that are missing.
    async fn read(
        &self,
        connection: &mut Connection,
        outcomes: &mut Vec<Result<HopReply, RelayError>>,
    ) -> Result<(), Fault> {
        while outcomes.len() < self.expected() {
            let answer = connection.answer(2).await;
            outcomes.push(self.outcome(answer)?);
        }
        Ok(())
    }

    fn for_each(
        &self,
        mut outcomes: Vec<Result<HopReply, RelayError>>,
    ) -> Vec<Result<HopReply, RelayError>> {
        match (self.relay.hop.protocol, outcomes.pop()) {
            (Protocol::Smtp, Some(outcome)) => self.same_for_each(&outcome),
            (_, last) => outcomes.into_iter().chain(last).collect(),
        }
    }

    /// What one reply to the content means. A hop that closes with 421 says so of this
    /// recipient's copy, which it has not taken; of others it may yet speak.
    fn outcome(
        &self,
        answer: Result<Answer, Fault>,
    ) -> Result<Result<HopReply, RelayError>, Fault> {
        match answer {
            Ok(Answer::Yes(reply)) => Ok(Ok(reply.into_hop_reply())),
            Ok(Answer::No(reply)) => Ok(Err(RelayError::Refused(reply))),
            Err(closing @ Fault::Closing(_)) => Ok(Err(self.unavailable(closing.at("content")))),
            Err(fault) => Err(fault),
        }
    }

    /// Puts the connection back, unless the hop said that it closes it.
    fn put_back(&self, line: Line, outcomes: &[Result<HopReply, RelayError>]) {
        let closes =
            |outcome: &Result<_, _>| matches!(outcome, Err(RelayError::Unavailable { .. }));
        if !outcomes.iter().any(closes) {
            line.place.put_back(line.connection);
        }
    }

    /// RSET, then back to the others. It keeps its place meanwhile, so there are no more
    /// such tasks than connections, each for the time of one reply.
    fn reset(&self, mut line: Line) {
        let relay = Arc::clone(&self.relay);
        tokio::spawn(async move {
            let limit = relay.hop.command_timeout;
            let answer = line.connection.ask("RSET", 2, limit).await;
            match answer.and_then(Answer::yes) {
                Ok(_) => line.place.put_back(line.connection),
                Err(error) => {
                    tracing::debug!(hop = %relay, %error, "a next hop did not answer RSET");
                }
            }
        });
    }

    fn unavailable(&self, failure: Failure) -> RelayError {
        failure.of(&self.relay)
    }

    fn same_for_each(
        &self,
        outcome: &Result<HopReply, RelayError>,
    ) -> Vec<Result<HopReply, RelayError>> {
        vec![outcome.clone(); self.recipients.len()]
    }
}

/// How long a step may take that has to be over by then; in whole milliseconds, for it is
/// shown.
fn by(due: Instant, limit: Duration) -> Duration {
    let left = due.saturating_duration_since(Instant::now());
    limit.min(Duration::from_millis(
        u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
    ))
}
