//! A session on a stream: reads, hands lines to the pure [`Session`], does what it asks
//! for, and writes.
//!
//! Replies to pipelined commands leave in one flush, when there is nothing left to
//! read; those to other commands and to content leave at once (RFC 2920, section 3.2), and
//! none waits long for another. A line has to be complete within the time for a command, however its octets
//! trickle in, and content has to keep a minimum rate.

mod content;
mod input;
mod output;

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_util::sync::WaitForCancellationFutureOwned;
use tracing::Instrument;

use content::Chunk;
use input::read;
use output::{held_back, held_until, write_out};

use super::{Service, Stream};
use crate::address::Mailbox;
use crate::boxed::boxed;
use crate::content::Content;
use crate::decision::Permit;
use crate::listen::{Leave, Limit};
use crate::smtp::command::Foreign;
use crate::smtp::envelope::{Envelope, Mail};
use crate::smtp::line::{Front, front};
use crate::smtp::reply::{self, Reply};
use crate::smtp::session::{Incoming, Session, Step};
use crate::transaction::{Abandoned, Client, Transaction};

/// Replies that wait for the last command of a group: beyond this they leave without
/// it, so that a client that does not read them cannot have them pile up here.
const REPLIES: usize = 8 * 1024;

/// How long a client may take to see our last reply before the socket is closed, and
/// any reply when the host stops.
const LINGER: Duration = Duration::from_secs(2);

/// Most that is read and thrown away meanwhile.
const LINGER_OCTETS: usize = 256 * 1024;

/// Why a conversation ended.
pub(super) enum End {
    /// Over, with this reply.
    Closed(Reply),
    /// The client is to shake hands.
    StartTls,
}

/// A session on a stream, in clear or TLS.
pub(super) struct Conversation {
    stream: Stream,
    service: Box<Service>,
    session: Session,
    client: Client,
    transaction: Transaction,
    input: BytesMut,
    output: Vec<u8>,
    /// Rings when the client has had its time for a command. There is one for all of them:
    /// to put it off costs far less than to set another.
    alarm: Pin<Box<Sleep>>,
    /// Ends when the session is to leave. There is one for all commands, too.
    leaving: Pin<Box<WaitForCancellationFutureOwned>>,
    /// When the first of what is to be written was said, if more had come by then.
    held_since: Option<Instant>,
    /// Octets of content since there was a good part of it last.
    content: usize,
}

impl Conversation {
    pub(super) fn new(
        stream: Stream,
        service: Box<Service>,
        session: Session,
        client: Client,
    ) -> Self {
        let transaction = Transaction::new(service.host.snapshot.load_full());
        let (input, output) = (BytesMut::new(), Vec::new());
        let patience = service.listener.limits.command_timeout;
        Self {
            alarm: Box::pin(sleep(patience)),
            leaving: Box::pin(service.place.leaving()),
            stream,
            service,
            session,
            client,
            transaction,
            input,
            output,
            held_since: None,
            content: 0,
        }
    }

    /// What goes on in TLS. Buffered input is dropped: it came in clear.
    pub(super) fn into_parts(self) -> (Stream, Box<Service>, Session, Client) {
        (self.stream, self.service, self.session, self.client)
    }

    /// A client must wait for the greeting (RFC 5321, section 3.1); one that does not
    /// is no mail server.
    pub(super) async fn greet(&mut self, greeting: &Reply) -> io::Result<()> {
        let patience = self.service.listener.greeting_delay;
        if patience.is_zero() {
            self.say(greeting);
            return Ok(());
        }
        let refusal = tokio::select! {
            biased;
            early = timeout(patience, read(&mut self.stream, &mut self.input)) => {
                let Ok(read) = early else {
                    self.say(greeting);
                    return Ok(());
                };
                if read? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                match Foreign::begins(&self.input) {
                    Some(protocol) => {
                        self.service.place.hears(protocol.name());
                        reply::foreign(protocol)
                    }
                    None => reply::early(),
                }
            }
            leave = self.service.place.asked_to_leave() => farewell(leave),
        };
        self.say(&refusal);
        self.service.meter.closing(refusal.code());
        self.finish().await?;
        Err(io::Error::other(refusal.to_string()))
    }

    /// Runs until the session is over or is to go on in TLS.
    pub(super) async fn run(&mut self) -> io::Result<End> {
        let ended = self.converse().await;
        let (permits, why) = match &ended {
            Ok(End::StartTls) => (self.session.take_abandoned(), Abandoned::ByClient),
            Ok(End::Closed(reply)) if reply.is_positive() => {
                (self.session.take_abandoned(), Abandoned::ByClient)
            }
            Ok(End::Closed(reply)) => (self.session.take_abandoned(), Abandoned::Closed(reply)),
            Err(error) => (self.session.disconnected(), Abandoned::Lost(error)),
        };
        if let Some(permits) = permits {
            let (transaction, host) = (&mut self.transaction, &self.service.host);
            boxed(|| transaction.abandoned(host, permits, &why)).await;
        }
        // What is left was decided, though nobody may have heard of it.
        self.transaction.replied(&self.service.host);
        ended
    }

    async fn converse(&mut self) -> io::Result<End> {
        self.set_alarm();
        loop {
            let step = match front(&self.input) {
                Front::Line(line, length) => {
                    let step = self.session.command(line, self.input.len() > length);
                    self.input.advance(length);
                    step
                }
                Front::Fault(fault) => self.session.bad_line(fault),
                Front::More => match self.next_input().await? {
                    Some(reply) => self.session.close(reply),
                    None => continue,
                },
            };
            if let Some(end) = self.perform(step).await? {
                return Ok(end);
            }
            if self.output.len() >= REPLIES || !self.session.may_hold_reply() {
                // Between two commands nothing is under way, so a client that does not
                // read is one that waits.
                self.service.place.wait(self.session.standing());
                self.flush().await?;
            }
            if let Some(permits) = self.session.take_abandoned() {
                let (transaction, host) = (&mut self.transaction, &self.service.host);
                boxed(|| transaction.abandoned(host, permits, &Abandoned::ByClient)).await;
            }
            self.set_alarm();
        }
    }

    /// From now on the client has its time for a command.
    fn set_alarm(&mut self) {
        let patience = self.service.listener.limits.command_timeout;
        self.alarm.as_mut().reset(Instant::now() + patience);
    }

    /// Reads more; a reply instead when the session is to be closed.
    async fn next_input(&mut self) -> io::Result<Option<Reply>> {
        self.service.place.wait(self.session.standing());
        self.flush().await?;
        if self.input.is_empty() {
            // Long groups of commands were here; those who wait need no room for them.
            self.input = BytesMut::new();
        }
        let between_chunks = self.session.is_between_chunks();
        let Service {
            place, shutdown, ..
        } = &*self.service;
        let leave = async {
            self.leaving.as_mut().await;
            let leave = place.leave();
            if between_chunks && leave == Leave::Stopping {
                shutdown.cut_off().await;
            }
            farewell(leave)
        };
        // First: who sends without end has to leave all the same.
        tokio::select! {
            biased;
            reply = leave => Ok(Some(reply)),
            read = read(&mut self.stream, &mut self.input) => match read? {
                0 => Err(io::ErrorKind::UnexpectedEof.into()),
                _ => Ok(None),
            },
            () = self.alarm.as_mut() => Ok(Some(reply::timeout())),
        }
    }

    /// Does what the session asks for until it wants input again.
    async fn perform(&mut self, mut step: Step) -> io::Result<Option<End>> {
        loop {
            step = match step {
                Step::Reply(reply) => {
                    self.say(&reply);
                    return Ok(None);
                }
                Step::Begin(reply) => {
                    self.transaction
                        .begin(self.service.host.snapshot.load_full());
                    Step::Reply(reply)
                }
                Step::StartTls(reply) => match self.service.place.shake_hands() {
                    Ok(()) => {
                        self.say(&reply);
                        self.flush().await?;
                        return Ok(Some(End::StartTls));
                    }
                    Err(limit) => self.session.close(reply::limited(limit)),
                },
                Step::Foreign(protocol) => {
                    self.service.place.hears(protocol.name());
                    self.session.close(reply::foreign(protocol))
                }
                Step::Close(reply) => {
                    if reply == reply::too_many_errors() {
                        self.service.place.hit(Limit::Errors);
                    }
                    self.service.meter.closing(reply.code());
                    self.say(&reply);
                    match reply.is_positive() && self.input.is_empty() {
                        // Whoever says QUIT says nothing more.
                        true => self.hang_up().await?,
                        false => boxed(|| self.finish()).await?,
                    }
                    return Ok(Some(End::Closed(reply)));
                }
                // Each in a box of its own: what it needs is many times what a session needs
                // that waits.
                Step::Refuse(permits, reply) => boxed(|| self.refuse(permits, reply)).await,
                Step::Decide(mail, recipient) => boxed(|| self.decide(mail, recipient)).await?,
                Step::Offer(mail, permit) => boxed(|| self.offer(mail, permit)).await?,
                Step::Receive(reply) => boxed(|| self.take_content(reply)).await?,
                Step::Chunk { size, last, before } => {
                    boxed(|| self.take_chunk(size, last, before)).await?
                }
                Step::Skip(size, reply) => match boxed(|| self.skip(size)).await? {
                    Ok(()) => Step::Reply(reply),
                    Err(reply) => self.session.close(reply),
                },
                Step::Review(envelope, content) => boxed(|| self.review(envelope, content)).await?,
                Step::Deliver(envelope, content) => {
                    boxed(|| self.deliver(envelope, content)).await?
                }
            };
        }
    }

    /// The client's name, which the first recipient waits for.
    async fn learn_name(&mut self) {
        let learnt = tokio::select! {
            biased;
            name = self.service.reverse_name.name() => name,
            () = self.service.shutdown.cut_off() => None,
        };
        if let Some(name) = learnt {
            Arc::make_mut(&mut self.client.connection).reverse_name = Some(name);
        }
    }

    async fn refuse(&mut self, permits: Vec<Permit>, reply: Reply) -> Step {
        let host = &self.service.host;
        self.transaction.refused(host, permits, &reply).await;
        Step::Reply(reply)
    }

    async fn decide(&mut self, mail: Arc<Mail>, recipient: Mailbox) -> io::Result<Step> {
        self.service.place.work();
        self.learn_name().await;
        let (answer, written) = {
            let service = &self.service;
            let (host, offer) = (&service.host, service.listener.tls_offer());
            let (client, span) = (&self.client, self.transaction.span());
            let transaction = &mut self.transaction;
            let deciding = pin!(transaction.decide(host, client, &mail, recipient, offer));
            let deciding = pin!(deciding.instrument(span));
            let until = held_until(&self.output, self.held_since);
            let (stream, output) = (&mut self.stream, &mut self.output);
            held_back(stream, output, service, until, deciding).await
        };
        match (self.session.decided(answer), written) {
            // What was decided has its receipt with the target's answer, whoever has gone.
            (Step::Offer(mail, permit), Err(error)) => {
                let _ = self.offer(mail, permit).await;
                Err(error)
            }
            (step, written) => written.map(|()| step),
        }
    }

    async fn offer(&mut self, mail: Arc<Mail>, permit: Permit) -> io::Result<Step> {
        let (service, span) = (&self.service, self.transaction.span());
        let offering = pin!(self.transaction.offer(&service.host, &mail, &permit));
        let offering = pin!(offering.instrument(span));
        let until = held_until(&self.output, self.held_since);
        let (stream, output) = (&mut self.stream, &mut self.output);
        let (reply, written) = held_back(stream, output, service, until, offering).await;
        let step = self.session.offered(reply);
        written.map(|()| step)
    }

    async fn take_content(&mut self, reply: Reply) -> io::Result<Step> {
        Ok(match self.receive(&reply).await? {
            Ok(content) => self.session.received(content),
            Err(reply) => self.session.close(reply),
        })
    }

    async fn take_chunk(
        &mut self,
        size: u64,
        last: bool,
        before: Option<Box<Incoming>>,
    ) -> io::Result<Step> {
        Ok(match self.read_chunk(size, last, before).await? {
            Ok(Chunk::Last(content)) => self.session.received(content),
            Ok(Chunk::More(incoming)) => self.session.chunk(incoming),
            Err(reply) => self.session.close(reply),
        })
    }

    /// A last chunk comes without waiting, so replies to what came with it may be held back
    /// here and below. What was received comes to its end, whoever has gone.
    async fn review(&mut self, envelope: Envelope, content: Content) -> io::Result<Step> {
        let (reviewed, written) = {
            let (service, client) = (&self.service, &self.client);
            service.host.metrics.message(content.len());
            let (offer, span) = (service.listener.tls_offer(), self.transaction.span());
            let (host, transaction) = (&service.host, &mut self.transaction);
            let reviewing = pin!(transaction.review(host, client, envelope, content, offer));
            let reviewing = pin!(reviewing.instrument(span));
            let until = held_until(&self.output, self.held_since);
            let (stream, output) = (&mut self.stream, &mut self.output);
            held_back(stream, output, service, until, reviewing).await
        };
        let step = self.session.reviewed(reviewed);
        let Err(error) = written else {
            return Ok(step);
        };
        match step {
            Step::Deliver(envelope, content) => {
                let _ = boxed(|| self.deliver(envelope, content)).await;
            }
            Step::Refuse(permits, reply) => {
                let _ = self.refuse(permits, reply).await;
            }
            _ => {}
        }
        Err(error)
    }

    async fn deliver(&mut self, envelope: Envelope, content: Content) -> io::Result<Step> {
        let (service, client) = (&self.service, &self.client);
        let (cut_off, span) = (service.shutdown.cutting_off(), self.transaction.span());
        let (host, transaction) = (&service.host, &mut self.transaction);
        let delivering = pin!(transaction.deliver(host, client, envelope, content, cut_off));
        let delivering = pin!(delivering.instrument(span));
        let until = held_until(&self.output, self.held_since);
        let (stream, output) = (&mut self.stream, &mut self.output);
        let (reply, written) = held_back(stream, output, service, until, delivering).await;
        let step = self.session.delivered(reply);
        written.map(|()| step)
    }

    fn say(&mut self, reply: &Reply) {
        self.service.host.metrics.reply(reply.code());
        if self.output.is_empty() {
            // Where nothing more has come it leaves at once, and nobody looks at the clock.
            self.held_since = (!self.input.is_empty()).then(Instant::now);
        }
        reply.write(&mut self.output);
    }

    /// Writes what there is to say.
    async fn flush(&mut self) -> io::Result<()> {
        if self.output.is_empty() {
            return Ok(());
        }
        write_out(&mut self.stream, &mut self.output, &self.service).await?;
        self.transaction.replied(&self.service.host);
        Ok(())
    }

    /// Closes behind the last reply.
    async fn hang_up(&mut self) -> io::Result<()> {
        self.flush().await?;
        // A client that is gone already has what it wanted.
        let _ = timeout(LINGER, self.stream.shutdown()).await;
        Ok(())
    }

    /// Closes so that the last reply arrives: what the client still sends is read and
    /// thrown away for a moment, since a close with unread input is a reset. Where room
    /// is needed there is no such moment, but for what has come already.
    async fn finish(&mut self) -> io::Result<()> {
        self.flush().await?;
        let drain = async {
            self.stream.shutdown().await?;
            let mut thrown_away = 0;
            while thrown_away < LINGER_OCTETS {
                self.input.clear();
                match read(&mut self.stream, &mut self.input).await? {
                    0 => break,
                    read => thrown_away += read,
                }
            }
            io::Result::Ok(())
        };
        let asked = self.service.place.is_asked_to_make_room();
        let patience = if asked { Duration::ZERO } else { LINGER };
        // Neither a reset nor a client that stays is of interest any more.
        let _ = timeout(patience, drain).await;
        Ok(())
    }
}

/// What a session is told that is to leave.
fn farewell(leave: Leave) -> Reply {
    match leave {
        Leave::MakeRoom => reply::limited(Limit::MakeRoom),
        Leave::Stopping => reply::shutting_down(),
    }
}
