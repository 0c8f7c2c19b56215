//! One SMTP session as a state machine.
//!
//! **Pure**: lines and answers in, replies and requests ([`Step`]) out.
//! **Waiting is a state** that takes an answer and no input: `Deciding` while the
//! policy is asked, `Offering` while the target is, `Content` and `Chunk` while content
//! is read, `Reviewing` while policies are asked about it, `Delivering` until every
//! target has it.
//! **No octet of a chunk is ever a command**: a chunk that is refused is read to its
//! end and thrown away, and where its end is not known the session is closed.
//! **Everything learnt in plaintext is forgotten at STARTTLS**, and a client that has
//! already sent more behind it is turned away (RFC 3207, section 4.2).

use std::sync::Arc;

use super::chunk::{self, Chunks};
use super::command::{Command, CommandError, Foreign};
use super::data::ContentFault;
use super::envelope::{Envelope, Mail};
use super::line::LineFault;
use super::profile::{Profile, StartTls};
use super::reply::{self, Reply};
use crate::address::Mailbox;
use crate::content::{Content, Receiving};
use crate::decision::Permit;
use crate::facts::{Helo, HeloVerb};

mod content;
mod envelope;
mod standing;

#[cfg(test)]
mod tests;

/// Most commands in a row without a recipient. Clients need a handful between two
/// messages; a session that only makes noise keeps a place from others.
const IDLE_COMMANDS: usize = 100;

/// What is said to MAIL, RCPT and DATA between chunks (RFC 3030, section 2).
const CHUNKS_HAVE_BEGUN: &str = "Send the rest of the content with BDAT, or RSET to start anew";

/// A session.
#[derive(Debug)]
pub struct Session {
    state: State,
    profile: Arc<Profile>,
    secured: bool,
    errors: usize,
    /// Commands since the last recipient.
    idle: usize,
    /// The reply to the last command may wait for those of its group.
    is_grouped: bool,
    /// Of transactions that ended without delivery; none where none did.
    abandoned: Option<Vec<Permit>>,
}

/// Where it stands. A variant owns exactly what is true there.
#[derive(Debug)]
enum State {
    Connected,
    Greeted(Helo),
    /// MAIL was accepted.
    Transaction(Envelope),
    /// Takes an answer, not input: the policy is deciding.
    Deciding(Envelope),
    /// Takes an answer, not input: the target is asked whether it takes `permitted`.
    Offering(Envelope, Permit),
    /// Takes content, not commands: to its end.
    Content(Envelope),
    /// Takes content, not commands: a chunk of this size that is not the last.
    Chunk(Envelope, u64),
    /// Some chunks have come, and not the last.
    Chunks(Envelope, Box<Incoming>),
    /// The content was refused with a reply, and so are the chunks that follow.
    Spoiled(Spoiled),
    /// Takes an answer, not input: policies are asked about the content.
    Reviewing(Helo),
    /// Takes an answer, not input: the targets have the message.
    Delivering(Helo),
    /// After STARTTLS was granted.
    Securing,
    Closed,
}

/// Content of which some chunks have come.
#[derive(Debug)]
pub struct Incoming {
    /// What they were.
    pub chunks: Chunks,
    /// What they said.
    pub receiving: Receiving,
}

/// What is left of a message whose content was refused.
#[derive(Debug)]
struct Spoiled {
    helo: Helo,
    reply: Reply,
    /// Octets of chunks that may still be thrown away: what a client may have sent before
    /// it saw the reply.
    patience: u64,
}

/// What came of asking about a recipient.
#[derive(Debug)]
pub enum Answer {
    /// A decision accepted it.
    Permitted(Permit),
    /// Its tenant's policy did not.
    Refused(Reply),
    /// Nobody here owns it. Counts as an error of the client.
    Foreign(Reply),
}

/// What came of asking about the content.
#[derive(Debug)]
pub enum Review {
    /// Whoever was asked accepts it.
    Passed(Envelope, Content),
    /// Somebody does not: none of these recipients gets it.
    Refused(Vec<Permit>, Reply),
}

/// What the driver is to do next.
#[derive(Debug)]
pub enum Step {
    /// Send this and read on.
    Reply(Reply),
    /// Send this and read on; a transaction begins.
    Begin(Reply),
    /// Answer with [`Session::decided`].
    Decide(Arc<Mail>, Mailbox),
    /// Answer with [`Session::offered`].
    Offer(Arc<Mail>, Permit),
    /// Send this, read content, and answer with [`Session::received`].
    Receive(Reply),
    /// Read so many octets of content behind those that have come, and answer with
    /// [`Session::received`] if they are the last, else with [`Session::chunk`].
    Chunk {
        /// How many.
        size: u64,
        /// They are the last.
        last: bool,
        /// What has come before.
        before: Option<Box<Incoming>>,
    },
    /// Read so many octets, throw them away, then send this.
    Skip(u64, Reply),
    /// Send this and read on; content for these recipients was refused with it.
    Refuse(Vec<Permit>, Reply),
    /// Answer with [`Session::reviewed`].
    Review(Envelope, Content),
    /// Answer with [`Session::delivered`].
    Deliver(Envelope, Content),
    /// Send this, shake hands, and answer with [`Session::secured`].
    StartTls(Reply),
    /// The client speaks another protocol. Say so, and close with [`reply::foreign`].
    Foreign(Foreign),
    /// Send this and close.
    Close(Reply),
}

impl Session {
    /// A session that has just been accepted, and its greeting. `secured` is true on
    /// a listener with implicit TLS.
    pub fn new(profile: Arc<Profile>, secured: bool) -> (Self, Reply) {
        let greeting = Reply::new(220, "", format!("{} ESMTP Portcullis", profile.hostname));
        (
            Self {
                state: State::Connected,
                profile,
                secured,
                errors: 0,
                idle: 0,
                is_grouped: false,
                abandoned: None,
            },
            greeting,
        )
    }

    /// Takes a line. `more` says that octets are already pending behind it.
    pub fn command(&mut self, line: &[u8], more: bool) -> Step {
        self.idle += 1;
        if self.idle > IDLE_COMMANDS {
            return self.close(reply::too_many_errors());
        }
        let parsed = Command::parse(line);
        self.is_grouped = parsed.as_ref().is_ok_and(Command::is_grouped);
        match parsed {
            Ok(command) if more && command.ends_group() => self.close(reply::pipelined()),
            Ok(command) => self.dispatch(command),
            Err(CommandError::Foreign(protocol)) => Step::Foreign(protocol),
            Err(error @ CommandError::Bdat) => self.close(reply::bad_command(&error)),
            Err(error) => self.error(reply::bad_command(&error)),
        }
    }

    /// Takes octets that are no line: the end of the session.
    pub fn bad_line(&mut self, fault: LineFault) -> Step {
        self.close(reply::bad_line(fault))
    }

    /// Takes the answer to [`Step::Decide`].
    pub fn decided(&mut self, answer: Answer) -> Step {
        let State::Deciding(envelope) = self.take() else {
            return self.confused();
        };
        match answer {
            Answer::Permitted(permit) => {
                let mail = Arc::clone(&envelope.mail);
                self.state = State::Offering(envelope, permit.clone());
                Step::Offer(mail, permit)
            }
            Answer::Refused(reply) => self.go(State::Transaction(envelope), reply),
            Answer::Foreign(reply) => {
                self.state = State::Transaction(envelope);
                self.error(reply)
            }
        }
    }

    /// Takes the answer to [`Step::Offer`]: the reply, which accepts or not.
    pub fn offered(&mut self, reply: Reply) -> Step {
        match self.take() {
            State::Offering(mut envelope, permit) => {
                if reply.is_positive() {
                    envelope.permits.push(permit);
                }
                self.go(State::Transaction(envelope), reply)
            }
            _ => self.confused(),
        }
    }

    /// Takes the answer to [`Step::Deliver`].
    pub fn delivered(&mut self, reply: Reply) -> Step {
        match self.take() {
            State::Delivering(helo) => self.go(State::Greeted(helo), reply),
            _ => self.confused(),
        }
    }

    /// The handshake after [`Step::StartTls`] is done: as if just connected.
    pub fn secured(&mut self) {
        self.state = State::Connected;
        self.secured = true;
    }

    /// Ends the session from the host's side.
    pub fn close(&mut self, reply: Reply) -> Step {
        self.abandon();
        self.state = State::Closed;
        Step::Close(reply)
    }

    /// Whether the reply to the last command may wait for those to the commands that came
    /// with it.
    pub fn may_hold_reply(&self) -> bool {
        self.is_grouped
    }

    /// Whether part of a message has come, and the rest is to come behind commands: a host
    /// that stops waits for it, as for content.
    pub fn is_between_chunks(&self) -> bool {
        matches!(self.state, State::Chunks(..))
    }

    /// Permits of transactions that ended without delivery, since the last call; none
    /// when no transaction did.
    pub fn take_abandoned(&mut self) -> Option<Vec<Permit>> {
        self.abandoned.take()
    }

    /// The client is gone: whatever was permitted is abandoned.
    pub fn disconnected(&mut self) -> Option<Vec<Permit>> {
        self.abandon();
        self.take_abandoned()
    }

    fn dispatch(&mut self, command: Command) -> Step {
        match command {
            Command::Quit => self.close(Reply::new(221, "2.0.0", "Bye")),
            Command::Noop => self.reply(Reply::new(250, "2.0.0", "Ok")),
            Command::Greet(helo) => self.greet(helo),
            Command::StartTls => self.start_tls(),
            Command::Rset => self.reset(),
            Command::Help => self.reply(Reply::new(
                214,
                "2.0.0",
                "EHLO HELO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT STARTTLS (RFC 5321, RFC 3030, RFC 3207)",
            )),
            Command::Bdat { size, .. } if size > chunk::most_readable(self.profile.message_size) => {
                self.close(reply::bad_content(
                    ContentFault::TooLarge,
                    self.profile.message_size,
                    None,
                ))
            }
            Command::Bdat { size, .. } if self.profile.require_tls && !self.secured => {
                self.skip(size, Reply::new(530, "5.7.0", "Must issue a STARTTLS command first"))
            }
            _ if self.profile.require_tls && !self.secured => self.error(Reply::new(
                530,
                "5.7.0",
                "Must issue a STARTTLS command first",
            )),
            Command::Vrfy => self.reply(Reply::new(
                252,
                "2.0.0",
                "Cannot verify, will try to deliver",
            )),
            Command::Mail {
                sender,
                international,
                parameters,
            } => self.mail(sender, international, parameters),
            Command::Rcpt {
                recipient,
                international,
            } => self.rcpt(recipient, international),
            Command::Data => self.data(),
            Command::Bdat { size, last } => self.bdat(size, last),
        }
    }

    /// EHLO and HELO also reset (RFC 5321, section 4.1.4).
    fn greet(&mut self, helo: Helo) -> Step {
        self.abandon();
        let reply = match helo.verb {
            HeloVerb::Helo => Reply::new(250, "", self.profile.hostname.clone()),
            HeloVerb::Ehlo => self.extensions(&helo),
        };
        self.go(State::Greeted(helo), reply)
    }

    fn extensions(&self, helo: &Helo) -> Reply {
        let mut lines = vec![
            format!("{} greets {}", self.profile.hostname, helo.name).into(),
            "PIPELINING".into(),
            format!("SIZE {}", self.profile.message_size).into(),
            "8BITMIME".into(),
            "SMTPUTF8".into(),
            "CHUNKING".into(),
        ];
        if self.secured {
            lines.push("REQUIRETLS".into());
        }
        if !self.secured && self.profile.starttls != StartTls::Never {
            lines.push("STARTTLS".into());
        }
        lines.push("HELP".into());
        lines.push("ENHANCEDSTATUSCODES".into());
        Reply::lines(250, "", lines)
    }

    fn start_tls(&mut self) -> Step {
        if self.secured {
            return self.error(Reply::new(503, "5.5.1", "TLS is already in use"));
        }
        match self.profile.starttls {
            StartTls::Never => self.error(Reply::new(502, "5.5.1", "STARTTLS is not offered here")),
            StartTls::Unavailable => self.reply(Reply::new(454, "4.7.0", "TLS not available")),
            StartTls::Offered => {
                self.abandon();
                self.state = State::Securing;
                Step::StartTls(Reply::new(220, "2.0.0", "Ready to start TLS"))
            }
        }
    }

    fn reset(&mut self) -> Step {
        let ok = Reply::new(250, "2.0.0", "Ok");
        match self.take() {
            State::Transaction(envelope) | State::Chunks(envelope, _) => {
                let helo = envelope.mail.helo.clone();
                self.abandoned
                    .get_or_insert_default()
                    .extend(envelope.permits);
                self.go(State::Greeted(helo), ok)
            }
            State::Spoiled(spoiled) => self.go(State::Greeted(spoiled.helo), ok),
            state => self.go(state, ok),
        }
    }

    fn out_of_order(&mut self, state: State, text: &'static str) -> Step {
        self.state = state;
        self.error(Reply::new(503, "5.5.1", text))
    }

    fn reply(&mut self, reply: Reply) -> Step {
        Step::Reply(reply)
    }

    fn go(&mut self, state: State, reply: Reply) -> Step {
        self.state = state;
        Step::Reply(reply)
    }

    /// Counts a command in error. What a policy refuses does not count: one tenant's
    /// refusals must not end a session that others' mail is in.
    fn error(&mut self, reply: Reply) -> Step {
        self.errors += 1;
        if self.errors > self.profile.errors {
            return self.close(reply::too_many_errors());
        }
        Step::Reply(reply)
    }

    /// An answer that nothing asked for; a fault of the driver, which must not panic.
    fn confused(&mut self) -> Step {
        self.close(Reply::new(
            421,
            "4.3.0",
            "Internal error, closing connection",
        ))
    }

    fn abandon(&mut self) {
        match self.take() {
            State::Transaction(envelope)
            | State::Deciding(envelope)
            | State::Offering(envelope, _)
            | State::Content(envelope)
            | State::Chunk(envelope, _)
            | State::Chunks(envelope, _) => {
                self.state = State::Greeted(envelope.mail.helo.clone());
                self.abandoned
                    .get_or_insert_default()
                    .extend(envelope.permits);
            }
            state => self.state = state,
        }
    }

    fn take(&mut self) -> State {
        std::mem::replace(&mut self.state, State::Closed)
    }
}
