//! Reading content: by DATA, in chunks, or to throw it away.

use std::io;

use bytes::Buf;
use tokio::time::{Instant, timeout_at};

use super::Conversation;
use super::input::read;
use crate::content::{Content, Receiving};
use crate::listen::Limit;
use crate::smtp::chunk::Chunks;
use crate::smtp::data::{ContentFault, Data, Progress};
use crate::smtp::reply::{self, Reply};
use crate::smtp::session::Incoming;

/// How much content must come within the time for content (three minutes, unless set
/// otherwise): 364 octets a second, a fifth of a modem's rate.
const CONTENT_PIECE: usize = 64 * 1024;

/// What was read, or the reply with which the session is to be closed.
type Read<T> = Result<T, Reply>;

/// A chunk that was read to its end, and those before it.
pub(super) enum Chunk {
    /// More are to come.
    More(Result<Box<Incoming>, ContentFault>),
    /// It was the last.
    Last(Result<Content, ContentFault>),
}

/// How much has to come, and by when.
struct Pace {
    due: Instant,
    octets: usize,
}

impl Conversation {
    /// Says that content may come, and reads it to CRLF.CRLF, whatever is wrong with it.
    /// Where there is no memory for any, it need not come.
    pub(super) async fn receive(
        &mut self,
        go_ahead: &Reply,
    ) -> io::Result<Read<Result<Content, ContentFault>>> {
        let mut receiving = self.service.host.spool.receive();
        if let Some(error) = receiving.error() {
            return Ok(Ok(Err(error.into())));
        }
        self.say(go_ahead);
        let mut data = Data::new(self.service.listener.profile.message_size);
        let mut pace = self.pace();
        loop {
            let progress = data.push(&self.input, receiving.room());
            let end = match progress {
                Progress::End(length) => length,
                Progress::More => self.input.len(),
            };
            self.input.advance(end);
            keep_or_discard(&mut receiving, data.fault()).await;
            if progress != Progress::More {
                self.service.place.work();
                return Ok(Ok(finish(data.finish(), receiving).await));
            }
            if let Err(reply) = self.more(&mut pace).await? {
                return Ok(Err(reply));
            }
        }
    }

    /// Reads a chunk to its end, whatever is wrong with it.
    pub(super) async fn read_chunk(
        &mut self,
        size: u64,
        last: bool,
        before: Option<Box<Incoming>>,
    ) -> io::Result<Read<Chunk>> {
        let mut incoming = before.unwrap_or_else(|| {
            Box::new(Incoming {
                chunks: Chunks::new(self.service.listener.profile.message_size),
                receiving: self.service.host.spool.receive(),
            })
        });
        incoming.chunks.begin(size, last);
        let mut left = size;
        let mut pace = self.pace();
        loop {
            let here = self.of_chunk(left);
            let Incoming { chunks, receiving } = &mut *incoming;
            chunks.push(&self.input[..here], receiving.room());
            self.input.advance(here);
            left -= here as u64;
            keep_or_discard(receiving, chunks.fault()).await;
            if left == 0 {
                if last {
                    self.service.place.work();
                }
                return Ok(Ok(chunk(incoming, last).await));
            }
            if let Err(reply) = self.more(&mut pace).await? {
                return Ok(Err(reply));
            }
        }
    }

    /// Reads a chunk that is not wanted.
    pub(super) async fn skip(&mut self, size: u64) -> io::Result<Read<()>> {
        let mut left = size;
        let mut pace = self.pace();
        loop {
            let here = self.of_chunk(left);
            self.input.advance(here);
            left -= here as u64;
            if left == 0 {
                return Ok(Ok(()));
            }
            if let Err(reply) = self.more(&mut pace).await? {
                return Ok(Err(reply));
            }
        }
    }

    /// How much of what has been read belongs to a chunk of which so much is left.
    fn of_chunk(&self, left: u64) -> usize {
        usize::try_from(left).map_or(self.input.len(), |left| left.min(self.input.len()))
    }

    fn pace(&self) -> Pace {
        Pace {
            due: Instant::now() + self.service.listener.limits.data_timeout,
            octets: CONTENT_PIECE,
        }
    }

    /// Reads more; a reply instead when the session is to be closed. Meanwhile the host
    /// waits for the client, as for commands: what comes too slowly makes room.
    async fn more(&mut self, pace: &mut Pace) -> io::Result<Read<()>> {
        self.service.place.wait(self.session.standing());
        self.flush().await?;
        let read = tokio::select! {
            read = timeout_at(pace.due, read(&mut self.stream, &mut self.input)) => read,
            () = self.service.shutdown.cut_off() => return Ok(Err(reply::shutting_down())),
            () = self.service.place.asked_to_make_room() => {
                return Ok(Err(reply::limited(Limit::MakeRoom)));
            }
        };
        if let Ok(Ok(octets)) = read {
            self.note(octets);
        }
        match read {
            Ok(Ok(0)) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(Ok(octets)) if octets >= pace.octets => {
                *pace = self.pace();
                Ok(Ok(()))
            }
            Ok(Ok(octets)) => {
                pace.octets -= octets;
                Ok(Ok(()))
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Ok(Err(reply::timeout())),
        }
    }

    /// A piece of content is progress; chunks that are smaller add up to one.
    fn note(&mut self, octets: usize) {
        self.content += octets;
        if self.content >= CONTENT_PIECE {
            self.content = 0;
            self.service.place.progress();
        }
    }
}

/// What will be refused is not worth its room.
async fn keep_or_discard(receiving: &mut Receiving, fault: Option<ContentFault>) {
    match fault {
        Some(_) => receiving.discard(),
        None => receiving.settle().await,
    }
}

async fn chunk(incoming: Box<Incoming>, last: bool) -> Chunk {
    let Incoming { chunks, receiving } = *incoming;
    if last {
        return Chunk::Last(finish(chunks.finish(), receiving).await);
    }
    let unkept = receiving.error().map(ContentFault::from);
    Chunk::More(match chunks.fault().or(unkept) {
        Some(fault) => Err(fault),
        None => Ok(Box::new(Incoming { chunks, receiving })),
    })
}

/// The content, if there is nothing wrong with it and the disk has it.
async fn finish(
    read: Result<(), ContentFault>,
    receiving: Receiving,
) -> Result<Content, ContentFault> {
    read?;
    Ok(receiving.finish().await?)
}
