//! One transaction with a next hop.
//!
//! **A dialogue that does not end by its own words closes its connection**, whether it
//! failed, was dropped, or its caller stopped waiting: the line leaves the dialogue
//! before each wait and comes back only when the hop has answered.

use std::sync::Arc;

use super::connection::{Answer, Connection, within};
use super::content;
use super::error::{AFTER_FINAL_DOT, Capability, Failure, Fault, RelayError};
use super::hop::Protocol;
use super::pool::Place;
use super::reply::HopReply;
use super::{HopMail, Relay};
use crate::address::Mailbox;
use crate::deliver::Parcel;

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

    /// DATA and the content, then for each accepted recipient, in order, what the next
    /// hop said. Over SMTP that is one reply, given for each of them.
    ///
    /// Nothing is tried again. Where all was sent and no reply came, the error says
    /// that the outcome is unknown ([`RelayError::is_outcome_unknown`]).
    pub async fn send(mut self, parcel: &Parcel) -> Vec<Result<HopReply, RelayError>> {
        let Some(mut line) = self.line.take() else {
            let over = Fault::Other("the dialogue is over".to_owned());
            return self.same_for_each(&Err(self.unavailable(over.at("DATA"))));
        };
        if self.recipients.is_empty() {
            self.reset(line);
            return Vec::new();
        }
        match self.data(&mut line.connection, parcel).await {
            Ok(None) => self.outcomes(line).await,
            Ok(Some(refusal)) => {
                self.reset(line);
                self.same_for_each(&Err(RelayError::Refused(refusal)))
            }
            Err(failure) => self.same_for_each(&Err(self.unavailable(failure))),
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
    ) -> Result<Option<HopReply>, Failure> {
        let hop = &self.relay.hop;
        let answer = connection.ask("DATA", 3, hop.command_timeout).await;
        match answer.map_err(|fault| fault.at("DATA"))? {
            Answer::No(refusal) => Ok(Some(refusal)),
            Answer::Yes(_) => content::send(connection, parcel, hop.delivery_timeout)
                .await
                .map(|()| None),
        }
    }

    /// The replies to the content: one, or for LMTP one for each recipient.
    async fn outcomes(&self, mut line: Line) -> Vec<Result<HopReply, RelayError>> {
        let expected = match self.relay.hop.protocol {
            Protocol::Smtp => 1,
            Protocol::Lmtp => self.recipients.len(),
        };
        let limit = self.relay.hop.delivery_timeout;
        let mut outcomes = Vec::with_capacity(expected);
        let read = within(limit, async {
            while outcomes.len() < expected {
                let answer = line.connection.answer(2).await;
                outcomes.push(self.outcome(answer)?);
            }
            Ok(())
        });
        match read.await {
            Ok(()) => self.put_back(line, &outcomes),
            Err(fault) => {
                let lost = Err(self.unavailable(fault.at(AFTER_FINAL_DOT)));
                outcomes.resize(expected, lost);
            }
        }
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
