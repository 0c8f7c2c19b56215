//! The envelope: MAIL and RCPT (RFC 5321, sections 4.1.1.2 and 4.1.1.3), with what
//! their parameters need.

use std::sync::Arc;

use super::{CHUNKS_HAVE_BEGUN, Session, Spoiled, State, Step};
use crate::address::Mailbox;
use crate::facts::{Helo, HeloVerb, MailParameters};
use crate::smtp::command::{CommandError, Recipient};
use crate::smtp::data::ContentFault;
use crate::smtp::envelope::{Envelope, Mail};
use crate::smtp::profile::StartTls;
use crate::smtp::reply::{self, Reply};

impl Session {
    pub(super) fn mail(
        &mut self,
        sender: Option<Mailbox>,
        international: bool,
        parameters: MailParameters,
    ) -> Step {
        if let Some(reply) = self.mail_fault(&parameters, international) {
            return self.error(reply);
        }
        match self.take() {
            State::Greeted(helo) | State::Spoiled(Spoiled { helo, .. }) => {
                let mail = Arc::new(Mail {
                    helo,
                    sender,
                    parameters,
                });
                let envelope = Envelope {
                    mail,
                    permits: Vec::new(),
                    asked: 0,
                };
                self.state = State::Transaction(envelope);
                Step::Begin(Reply::new(250, "2.1.0", "Sender ok"))
            }
            state @ State::Connected => self.out_of_order(state, "Send EHLO or HELO first"),
            state => self.out_of_order(state, "Sender already given; send RSET to start anew"),
        }
    }

    fn mail_fault(&self, parameters: &MailParameters, international: bool) -> Option<Reply> {
        if let State::Greeted(Helo {
            verb: HeloVerb::Helo,
            ..
        }) = &self.state
            && *parameters != MailParameters::default()
        {
            return Some(Reply::new(555, "5.5.4", "Parameters need EHLO"));
        }
        if international && !parameters.smtputf8 {
            return Some(Reply::new(
                553,
                "5.6.7",
                "Address needs SMTPUTF8 (RFC 6531)",
            ));
        }
        if parameters.requiretls && !self.secured {
            return Some(self.require_tls_in_clear());
        }
        let too_large = parameters
            .size
            .is_some_and(|size| size > self.profile.message_size);
        too_large
            .then(|| reply::bad_content(ContentFault::TooLarge, self.profile.message_size, None))
    }

    /// REQUIRETLS is no extension of a session in clear (RFC 8689, section 2).
    fn require_tls_in_clear(&self) -> Reply {
        match self.profile.starttls {
            StartTls::Never => reply::bad_command(&CommandError::UnknownParameter(
                "REQUIRETLS without TLS".into(),
            )),
            StartTls::Offered | StartTls::Unavailable => Reply::new(
                530,
                "5.7.0",
                "REQUIRETLS needs TLS: issue a STARTTLS command first",
            ),
        }
    }

    pub(super) fn rcpt(&mut self, recipient: Recipient, international: bool) -> Step {
        match self.take() {
            State::Transaction(envelope) if international && !envelope.mail.parameters.smtputf8 => {
                self.state = State::Transaction(envelope);
                self.error(Reply::new(
                    553,
                    "5.6.7",
                    "Address needs SMTPUTF8 (RFC 6531)",
                ))
            }
            State::Transaction(envelope) if envelope.asked >= self.profile.recipients => self.go(
                State::Transaction(envelope),
                Reply::new(452, "4.5.3", "Too many recipients"),
            ),
            State::Transaction(envelope) => self.ask(envelope, recipient),
            State::Connected => self.out_of_order(State::Connected, "Send EHLO or HELO first"),
            state @ State::Chunks(..) => self.out_of_order(state, CHUNKS_HAVE_BEGUN),
            state => self.out_of_order(state, "Send MAIL first"),
        }
    }

    fn ask(&mut self, mut envelope: Envelope, recipient: Recipient) -> Step {
        let recipient = match recipient {
            Recipient::Mailbox(mailbox) => mailbox,
            Recipient::Postmaster => self.profile.postmaster.clone(),
        };
        self.idle = 0;
        envelope.asked += 1;
        let mail = Arc::clone(&envelope.mail);
        self.state = State::Deciding(envelope);
        Step::Decide(mail, recipient)
    }
}
