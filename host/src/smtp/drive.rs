//! Drives one connection: the only part of SMTP that waits.
//!
//! Reads, hands lines to the pure [`Session`], does what it asks for, and writes.
//! Replies to pipelined commands leave in one flush, when there is nothing left to
//! read. Every wait has a bound.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use rustls_pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use super::data::{ContentFault, Data, Progress};
use super::line::{Front, front};
use super::reply::Reply;
use super::session::{Envelope, Session, Step};
use crate::decision::Permit;
use crate::decision::TlsOffer;
use crate::facts::Connection;
use crate::host::Host;
use crate::listen::Listener;
use crate::tls;
use crate::transaction::{Client, Transaction};

/// How much is read at once: a TLS record is at most 16 KiB, and most command groups
/// are far smaller.
const READ: usize = 8 * 1024;

/// How long a client may take to see our last reply before the socket is closed.
const LINGER: Duration = Duration::from_secs(2);

/// Most that is read and thrown away meanwhile.
const LINGER_OCTETS: usize = 256 * 1024;

/// Why a conversation ended.
enum End {
    /// Over.
    Closed,
    /// The client is to shake hands.
    StartTls,
}

/// Serves one accepted connection to its end.
pub async fn drive(
    host: Arc<Host>,
    listener: Arc<Listener>,
    socket: TcpStream,
    client: SocketAddr,
    shutdown: CancellationToken,
) {
    let Ok(server) = socket.local_addr() else {
        return;
    };
    // Replies are small and written whole: waiting to fill a segment only delays them.
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let connection = Connection {
        listener: listener.name.clone(),
        client,
        server,
        proxied_by: None,
        reverse_name: None,
        starttls_offered: listener.tls_offer() == TlsOffer::Offered,
        handshake_failure: None,
        tls: None,
    };
    let service = Service {
        host,
        listener,
        shutdown,
    };
    let ended = match service.listener.is_implicit() {
        true => service.drive_implicit(socket, connection).await,
        false => service.drive_clear(socket, connection).await,
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}

/// What a conversation stands on.
struct Service {
    host: Arc<Host>,
    listener: Arc<Listener>,
    shutdown: CancellationToken,
}

impl Service {
    async fn drive_implicit(self, socket: TcpStream, connection: Connection) -> io::Result<()> {
        let (stream, client) = self.shake_hands(socket, connection).await?;
        let (session, greeting) = Session::new(Arc::clone(&self.listener.profile), true);
        let mut conversation = Conversation::new(stream, self, session, client);
        conversation.greet(&greeting).await?;
        conversation.run().await.map(|_| ())
    }

    async fn drive_clear(self, socket: TcpStream, connection: Connection) -> io::Result<()> {
        let (session, greeting) = Session::new(Arc::clone(&self.listener.profile), false);
        let client = Client {
            connection: Arc::new(connection),
            chain: Arc::default(),
        };
        let mut conversation = Conversation::new(socket, self, session, client);
        conversation.greet(&greeting).await?;
        match conversation.run().await? {
            End::Closed => Ok(()),
            End::StartTls => {
                let Conversation {
                    stream,
                    service,
                    mut session,
                    client,
                    ..
                } = conversation;
                let connection = Connection::clone(&client.connection);
                let (stream, client) = service.shake_hands(stream, connection).await?;
                session.secured();
                Conversation::new(stream, service, session, client)
                    .run()
                    .await
                    .map(|_| ())
            }
        }
    }

    /// Shakes hands; what the host then knows of the connection replaces what it knew.
    async fn shake_hands(
        &self,
        socket: TcpStream,
        mut connection: Connection,
    ) -> io::Result<(Box<TlsStream<TcpStream>>, Client)> {
        let acceptor = self
            .listener
            .acceptor()
            .ok_or_else(|| io::Error::other("no usable certificate"))?;
        let accepted = timeout(self.host.limits.handshake_timeout, acceptor.accept(socket)).await;
        let stream = accepted.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).inspect_err(|error| {
            let reason = tls::failure_reason(error);
            tracing::info!(client.addr = %connection.client, listener = %self.listener.name, reason, "TLS handshake failed");
        })?;
        let observed = tls::observe(stream.get_ref().1, self.listener.asks_client_certificate);
        connection.tls = Some(observed.tls);
        let chain: Arc<[CertificateDer<'static>]> = observed.chain.into();
        Ok((
            Box::new(stream),
            Client {
                connection: Arc::new(connection),
                chain,
            },
        ))
    }
}

/// A session on a stream, in clear or TLS.
struct Conversation<S> {
    stream: S,
    service: Service,
    session: Session,
    client: Client,
    transaction: Transaction,
    input: BytesMut,
    output: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Conversation<S> {
    fn new(stream: S, service: Service, session: Session, client: Client) -> Self {
        let transaction = Transaction::new(Arc::clone(&service.host.snapshot));
        Self {
            stream,
            service,
            session,
            client,
            transaction,
            input: BytesMut::new(),
            output: Vec::new(),
        }
    }

    /// A client must wait for the greeting (RFC 5321, section 3.1); one that does not
    /// is no mail server.
    async fn greet(&mut self, greeting: &Reply) -> io::Result<()> {
        let patience = self.service.listener.greeting_delay;
        if let Ok(read) = timeout(patience, self.stream.read_buf(&mut self.input)).await {
            if read? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let early = Reply::new(
                554,
                "5.5.1",
                "You must wait for the greeting; closing connection",
            );
            self.session.close(early.clone());
            self.say(&early);
            self.finish().await?;
            return Err(io::Error::other("the client did not wait for the greeting"));
        }
        self.say(greeting);
        Ok(())
    }

    /// Runs until the session is over or is to go on in TLS.
    async fn run(&mut self) -> io::Result<End> {
        let ended = self.converse().await;
        let permits = match &ended {
            Ok(_) => self.session.take_abandoned(),
            Err(_) => self.session.disconnected(),
        };
        self.abandoned(permits).await;
        ended
    }

    async fn converse(&mut self) -> io::Result<End> {
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
            let permits = self.session.take_abandoned();
            self.abandoned(permits).await;
        }
    }

    /// Reads more; a reply instead when the session is to be closed.
    async fn next_input(&mut self) -> io::Result<Option<Reply>> {
        self.flush().await?;
        self.input.reserve(READ);
        let patience = self.service.host.limits.command_timeout;
        tokio::select! {
            biased;
            read = timeout(patience, self.stream.read_buf(&mut self.input)) => match read {
                Ok(Ok(0)) => Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(Ok(_)) => Ok(None),
                Ok(Err(error)) => Err(error),
                Err(_) => Ok(Some(Reply::new(421, "4.4.2", "Timeout, closing connection"))),
            },
            () = self.service.shutdown.cancelled() => {
                Ok(Some(Reply::new(421, "4.3.2", "Service shutting down, please try again later")))
            }
        }
    }

    /// Does what the session asks for until it wants input again.
    async fn perform(&mut self, mut step: Step) -> io::Result<Option<End>> {
        let mut content = Vec::new();
        loop {
            step = match step {
                Step::Reply(reply) => {
                    self.say(&reply);
                    return Ok(None);
                }
                Step::Refuse(permits, reply) => {
                    self.transaction
                        .refused(&self.service.host, permits, &reply)
                        .await;
                    self.say(&reply);
                    return Ok(None);
                }
                Step::Begin(reply) => {
                    self.transaction
                        .begin(Arc::clone(&self.service.host.snapshot));
                    self.say(&reply);
                    return Ok(None);
                }
                Step::Decide(mail, recipient) => {
                    let answer = self
                        .transaction
                        .decide(
                            &self.service.host,
                            &self.client,
                            &mail,
                            recipient,
                            self.service.listener.tls_offer(),
                        )
                        .await;
                    self.session.decided(answer)
                }
                Step::Offer(permit) => {
                    let reply = self.transaction.offer(&self.service.host, &permit).await;
                    self.session.offered(reply)
                }
                Step::Receive(reply) => {
                    self.say(&reply);
                    match self.receive().await? {
                        Ok(received) => {
                            content = received;
                            self.session.received()
                        }
                        Err(fault) => self.session.refused_content(fault),
                    }
                }
                Step::Deliver(envelope) => {
                    let reply = self.deliver(envelope, std::mem::take(&mut content)).await;
                    self.session.delivered(reply)
                }
                Step::StartTls(reply) => {
                    self.say(&reply);
                    self.flush().await?;
                    return Ok(Some(End::StartTls));
                }
                Step::Close(reply) => {
                    self.say(&reply);
                    self.finish().await?;
                    return Ok(Some(End::Closed));
                }
            };
        }
    }

    /// Reads content to its end, whatever is wrong with it.
    async fn receive(&mut self) -> io::Result<Result<Vec<u8>, ContentFault>> {
        self.flush().await?;
        let limits = &self.service.host.limits;
        let mut data = Data::new(limits.message_size);
        loop {
            match data.push(&self.input) {
                Progress::End(length) => {
                    self.input.advance(length);
                    return Ok(data.finish());
                }
                Progress::More => self.input.clear(),
            }
            self.input.reserve(READ);
            match timeout(limits.data_timeout, self.stream.read_buf(&mut self.input)).await {
                Ok(Ok(0)) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(error),
                Err(_) => return Err(self.data_timeout().await),
            }
        }
    }

    async fn data_timeout(&mut self) -> io::Error {
        self.say(&Reply::new(421, "4.4.2", "Timeout, closing connection"));
        match self.finish().await {
            Ok(()) => io::ErrorKind::TimedOut.into(),
            Err(error) => error,
        }
    }

    async fn deliver(&mut self, envelope: Envelope, content: Vec<u8>) -> Reply {
        self.transaction
            .deliver(&self.service.host, &self.client, envelope, content)
            .await
    }

    async fn abandoned(&mut self, permits: Vec<Permit>) {
        self.transaction
            .abandoned(&self.service.host, permits)
            .await;
    }

    fn say(&mut self, reply: &Reply) {
        reply.write(&mut self.output);
    }

    async fn flush(&mut self) -> io::Result<()> {
        if self.output.is_empty() {
            return Ok(());
        }
        let write = async {
            self.stream.write_all(&self.output).await?;
            self.stream.flush().await
        };
        timeout(self.service.host.limits.command_timeout, write)
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        self.output.clear();
        Ok(())
    }

    /// Closes so that the last reply arrives: what the client still sends is read and
    /// thrown away for a moment, since a close with unread input is a reset.
    async fn finish(&mut self) -> io::Result<()> {
        self.flush().await?;
        let drain = async {
            self.stream.shutdown().await?;
            let mut thrown_away = 0;
            while thrown_away < LINGER_OCTETS {
                self.input.clear();
                self.input.reserve(READ);
                match self.stream.read_buf(&mut self.input).await? {
                    0 => break,
                    read => thrown_away += read,
                }
            }
            io::Result::Ok(())
        };
        // Neither a reset nor a client that stays is of interest any more.
        let _ = timeout(LINGER, drain).await;
        Ok(())
    }
}
