//! A connection to a next hop: commands out, replies in, each wait bounded.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::timeout;

use super::capabilities::Capabilities;
use super::error::Fault;
use super::reply::{HopReply, Replies, Reply};

/// What is read at once: more than any usual reply.
const READ: usize = 1024;

/// Octets in both directions.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Wire for T {}

/// Who could have listened or interfered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protection {
    /// Nobody: it does not leave this machine.
    Local,
    /// Anybody on the way.
    Clear,
    /// Whoever pretends to be the next hop.
    Encrypted,
    /// Nobody but the next hop.
    Verified,
}

/// A connection past its greeting.
pub(super) struct Connection {
    wire: Box<dyn Wire>,
    replies: Replies,
    pub(super) capabilities: Capabilities,
    pub(super) protection: Protection,
    /// Transactions begun on it.
    pub(super) transactions: u32,
}

/// How a command is answered when all is well.
#[derive(Debug)]
pub(super) enum Answer {
    /// With the class that was asked for.
    Yes(Reply),
    /// With 4yz or 5yz.
    No(HopReply),
}

impl Answer {
    /// The reply, where a refusal is not for our client but means that the hop cannot
    /// be used.
    pub(super) fn yes(self) -> Result<Reply, Fault> {
        match self {
            Self::Yes(reply) => Ok(reply),
            Self::No(reply) => Err(Fault::Unexpected(reply)),
        }
    }
}

impl Connection {
    pub(super) fn new(wire: Box<dyn Wire>, protection: Protection) -> Self {
        Self {
            wire,
            replies: Replies::default(),
            capabilities: Capabilities::default(),
            protection,
            transactions: 0,
        }
    }

    /// What TLS is put upon. Refused when there is anything behind the reply to
    /// STARTTLS: it came in clear and would be taken for something that TLS protects.
    pub(super) fn into_wire(self) -> Result<Box<dyn Wire>, Fault> {
        if self.replies.is_empty() {
            Ok(self.wire)
        } else {
            Err(Fault::Unasked)
        }
    }

    /// One command and its reply, of this class (2 or 3).
    pub(super) async fn ask(
        &mut self,
        command: &str,
        class: u16,
        limit: Duration,
    ) -> Result<Answer, Fault> {
        within(limit, async {
            self.check_quiet().await?;
            self.write(format!("{command}\r\n").as_bytes()).await?;
            self.answer(class).await
        })
        .await
    }

    /// Writes all of it, in one flush.
    pub(super) async fn write(&mut self, octets: &[u8]) -> Result<(), Fault> {
        self.wire.write_all(octets).await?;
        Ok(self.wire.flush().await?)
    }

    /// The next reply, which should be of this class.
    pub(super) async fn answer(&mut self, class: u16) -> Result<Answer, Fault> {
        let reply = self.reply().await?;
        match reply.class() {
            _ if reply.code == 421 => Err(Fault::Closing(reply.into_hop_reply())),
            4 | 5 => Ok(Answer::No(reply.into_hop_reply())),
            found if found == class => Ok(Answer::Yes(reply)),
            _ => Err(Fault::Unexpected(reply.into_hop_reply())),
        }
    }

    async fn reply(&mut self) -> Result<Reply, Fault> {
        loop {
            if let Some(reply) = self.replies.next()? {
                return Ok(reply);
            }
            self.replies.input().reserve(READ);
            if self.wire.read_buf(self.replies.input()).await? == 0 {
                return Err(Fault::Closed);
            }
        }
    }

    /// Whether nothing has come that was not asked for: a reply too many would be taken
    /// for the answer to the next command, in the worst case to the content. Only what
    /// is there already can be seen.
    pub(super) async fn check_quiet(&mut self) -> Result<(), Fault> {
        if !self.replies.is_empty() {
            return Err(self.unasked().await);
        }
        let mut octet = [0];
        let mut buffer = ReadBuf::new(&mut octet);
        let read = poll_fn(|context| {
            let wire = Pin::new(&mut *self.wire);
            Poll::Ready(wire.poll_read(context, &mut buffer))
        });
        match read.await {
            Poll::Pending => Ok(()),
            Poll::Ready(Err(error)) => Err(error.into()),
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => Err(Fault::Closed),
            Poll::Ready(Ok(())) => {
                self.replies.input().extend_from_slice(buffer.filled());
                Err(self.unasked().await)
            }
        }
    }

    /// The one reply that needs no command is 421, before a hop closes.
    async fn unasked(&mut self) -> Fault {
        match self.reply().await {
            Ok(reply) if reply.code == 421 => Fault::Closing(reply.into_hop_reply()),
            _ => Fault::Unasked,
        }
    }

    /// Says goodbye. What comes of it matters to nobody.
    pub(super) async fn quit(mut self, limit: Duration) {
        if let Err(error) = self.ask("QUIT", 2, limit).await {
            tracing::debug!(%error, "a next hop did not answer QUIT");
        }
        let _ = timeout(limit, self.wire.shutdown()).await;
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("protection", &self.protection)
            .field("transactions", &self.transactions)
            .finish_non_exhaustive()
    }
}

/// Whatever takes longer is given up.
pub(super) async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    match timeout(limit, work).await {
        Ok(done) => done,
        Err(_) => Err(Fault::Timeout(limit)),
    }
}
