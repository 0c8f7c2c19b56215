//! The content of a message: by DATA (RFC 5321, section 4.1.1.4) or in chunks by BDAT
//! (RFC 3030).
//!
//! **No octet of a chunk is ever a command**: a chunk that is refused is read to its
//! end and thrown away.

use super::{CHUNKS_HAVE_BEGUN, Incoming, Review, Session, Spoiled, State, Step};
use crate::content::Content;
use crate::decision::Permit;
use crate::facts::Helo;
use crate::smtp::chunk;
use crate::smtp::data::ContentFault;
use crate::smtp::envelope::Envelope;
use crate::smtp::reply::{self, Reply};

impl Session {
    /// Takes the content, read to its end, or what is wrong with it.
    pub fn received(&mut self, content: Result<Content, ContentFault>) -> Step {
        let State::Content(envelope) = self.take() else {
            return self.confused();
        };
        let helo = envelope.mail.helo.clone();
        match content {
            Ok(content) => {
                self.state = State::Reviewing(helo);
                Step::Review(envelope, content)
            }
            Err(fault) => {
                self.state = State::Greeted(helo);
                let reply = self.content_refused(&envelope, fault);
                Step::Refuse(envelope.permits, reply)
            }
        }
    }

    /// Takes the answer to [`Step::Review`]. What was refused is not delivered.
    pub fn reviewed(&mut self, review: Review) -> Step {
        let State::Reviewing(helo) = self.take() else {
            return self.confused();
        };
        match review {
            Review::Passed(envelope, content) => {
                self.state = State::Delivering(helo);
                Step::Deliver(envelope, content)
            }
            Review::Refused(permits, reply) => {
                self.state = State::Greeted(helo);
                Step::Refuse(permits, reply)
            }
        }
    }

    /// Takes a chunk that is not the last, with those before it, or what is wrong.
    pub fn chunk(&mut self, incoming: Result<Box<Incoming>, ContentFault>) -> Step {
        let State::Chunk(envelope, size) = self.take() else {
            return self.confused();
        };
        match incoming {
            Ok(incoming) => {
                let text = format!("{size} octets received");
                let reply = Reply::new(250, "2.0.0", text);
                self.go(State::Chunks(envelope, incoming), reply)
            }
            Err(fault) => {
                let reply = self.content_refused(&envelope, fault);
                self.spoil(envelope.mail.helo.clone(), reply.clone());
                Step::Refuse(envelope.permits, reply)
            }
        }
    }

    fn content_refused(&self, envelope: &Envelope, fault: ContentFault) -> Reply {
        let receipt = envelope.permits.first().map(Permit::receipt);
        reply::bad_content(fault, self.profile.message_size, receipt)
    }

    pub(super) fn data(&mut self) -> Step {
        match self.take() {
            State::Transaction(envelope) if envelope.permits.is_empty() => {
                let asked = envelope.asked;
                self.state = State::Transaction(envelope);
                let reply = Reply::new(554, "5.5.1", "No valid recipients");
                // Whoever pipelines cannot know yet that a policy refused them all.
                if asked == 0 {
                    self.error(reply)
                } else {
                    self.reply(reply)
                }
            }
            State::Transaction(envelope) => {
                self.state = State::Content(envelope);
                Step::Receive(Reply::new(354, "", "End data with <CR><LF>.<CR><LF>"))
            }
            State::Connected => self.out_of_order(State::Connected, "Send EHLO or HELO first"),
            state @ State::Chunks(..) => self.out_of_order(state, CHUNKS_HAVE_BEGUN),
            state => self.out_of_order(state, "Send MAIL and RCPT first"),
        }
    }

    /// Whatever the state: the octets of the chunk are read, or the session is closed.
    pub(super) fn bdat(&mut self, size: u64, last: bool) -> Step {
        match self.take() {
            State::Transaction(envelope) if envelope.permits.is_empty() => {
                let asked = envelope.asked;
                let reply = Reply::new(554, "5.5.1", "No valid recipients");
                let helo = envelope.mail.helo.clone();
                match last {
                    true => self.state = State::Greeted(helo),
                    false => self.spoil(helo, reply.clone()),
                }
                // A target may have been asked and have refused.
                self.abandoned.get_or_insert_default();
                // Whoever pipelines cannot know yet that a policy refused them all.
                match asked {
                    0 => self.skip(size, reply),
                    _ => Step::Skip(size, reply),
                }
            }
            State::Transaction(envelope) => self.read_chunk(envelope, None, size, last),
            State::Chunks(envelope, before) => self.read_chunk(envelope, Some(before), size, last),
            State::Spoiled(spoiled) => self.throw_away(spoiled, size, last),
            state => {
                self.state = state;
                self.skip(size, Reply::new(503, "5.5.1", "Send MAIL and RCPT first"))
            }
        }
    }

    /// The message can only be begun anew.
    fn spoil(&mut self, helo: Helo, reply: Reply) {
        self.state = State::Spoiled(Spoiled {
            helo,
            reply,
            patience: chunk::most_readable(self.profile.message_size),
        });
    }

    /// A chunk of a message that is refused already (RFC 3030, section 2).
    fn throw_away(&mut self, spoiled: Spoiled, size: u64, last: bool) -> Step {
        let Some(patience) = spoiled.patience.checked_sub(size) else {
            return self.close(reply::too_many_errors());
        };
        let reply = spoiled.reply.clone();
        self.state = match last {
            true => State::Greeted(spoiled.helo),
            false => State::Spoiled(Spoiled {
                patience,
                ..spoiled
            }),
        };
        if size >= chunk::SMALL {
            // Counted by its octets.
            self.idle = 0;
        }
        Step::Skip(size, reply)
    }

    fn read_chunk(
        &mut self,
        envelope: Envelope,
        before: Option<Box<Incoming>>,
        size: u64,
        last: bool,
    ) -> Step {
        // Counted as a chunk.
        self.idle = 0;
        self.state = match last {
            true => State::Content(envelope),
            false => State::Chunk(envelope, size),
        };
        Step::Chunk { size, last, before }
    }

    /// Counts a chunk in error; it is read whatever becomes of the session.
    pub(super) fn skip(&mut self, size: u64, reply: Reply) -> Step {
        match self.error(reply) {
            Step::Reply(reply) => Step::Skip(size, reply),
            step => step,
        }
    }
}
