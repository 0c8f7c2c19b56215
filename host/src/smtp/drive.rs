//! Drives one connection: from accept through TLS to its end.
//!
//! This and `conversation` are the only parts of SMTP that wait, and every wait for a
//! client has a bound.

mod conversation;
mod stream;

use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use conversation::{Conversation, End};
use stream::Stream;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tracing::Instrument;

use super::listener::Listener;
use super::session::Session;
use crate::boxed::boxed;
use crate::decision::TlsOffer;
use crate::facts::{Connection, HandshakeFailure, SessionId, unix_seconds};
use crate::host::{Host, Shutdown};
use crate::listen::{Leave, Peer, Place};
use crate::metrics::SessionMeter;
use crate::reverse_name::Pending;
use crate::tls;
use crate::transaction::Client;

/// Serves one accepted connection to its end. Whatever waits for a client is small: what
/// comes in here is put in order at once, and is not kept a second time while the session
/// lasts.
pub fn drive(
    host: Arc<Host>,
    listener: Arc<Listener>,
    socket: TcpStream,
    peer: Peer,
    place: Place,
    shutdown: Shutdown,
) -> impl Future<Output = ()> + Send {
    // Replies are small and written whole: waiting to fill a segment only delays them.
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let service = Box::new(Service {
        place,
        meter: host.metrics.session(&listener.name),
        reverse_name: host
            .reverse_names
            .as_ref()
            .map(|names| names.begin(peer.client.ip()))
            .unwrap_or_default(),
        host,
        listener,
        shutdown,
    });
    // At the level of errors, so that every line of a session has its fields.
    let span = tracing::error_span!(
        "session",
        session.id = %SessionId::new(SystemTime::now()),
        client.addr = %peer.client,
        proxy.addr = peer.proxied_by.map(tracing::field::display),
        listener = %service.listener.name,
    );
    let connection = Arc::new(service.connection(peer));
    let serve = async move {
        tracing::debug!("session began");
        let served = match service.listener.is_implicit() {
            true => boxed(|| service.serve_implicit(socket, connection)).await,
            false => service.serve_clear(socket, connection).await,
        };
        match served {
            Ok(()) => tracing::debug!("session ended"),
            Err(error) => tracing::debug!(%error, "connection ended"),
        }
    };
    serve.instrument(span)
}

/// What a conversation stands on.
struct Service {
    /// Free before the session counts as over.
    place: Place,
    meter: SessionMeter,
    reverse_name: Pending,
    host: Arc<Host>,
    listener: Arc<Listener>,
    shutdown: Shutdown,
}

/// A session that has begun in clear and is to go on in TLS.
type Begun = (Stream, Box<Service>, Session, Client);

impl Service {
    fn connection(&self, peer: Peer) -> Connection {
        let now = unix_seconds(SystemTime::now());
        Connection {
            listener: self.listener.name.clone(),
            handshake_failure: self.host.failed_handshakes.last(peer.client.ip(), now),
            client: peer.client,
            server: peer.server,
            proxied_by: peer.proxied_by,
            reverse_name: None,
            starttls_offered: self.listener.tls_offer() == TlsOffer::Offered,
            tls: peer.tls,
        }
    }

    async fn serve_implicit(
        self: Box<Self>,
        socket: TcpStream,
        connection: Arc<Connection>,
    ) -> io::Result<()> {
        let unwelcome = |_| io::Error::other("too many handshakes");
        self.place.shake_hands().map_err(unwelcome)?;
        let (stream, client) = boxed(|| self.shake_hands(socket, connection)).await?;
        let (session, greeting) = Session::new(Arc::clone(&self.listener.profile), true);
        let mut conversation = Conversation::new(stream, self, session, client);
        conversation.greet(&greeting).await?;
        conversation.run().await.map(drop)
    }

    /// Each part in a box of its own: a session that waits in clear has no room for what
    /// it may be in TLS, nor one in TLS for what it was in clear.
    async fn serve_clear(
        self: Box<Self>,
        socket: TcpStream,
        connection: Arc<Connection>,
    ) -> io::Result<()> {
        let clear = boxed(|| self.converse_in_clear(socket, connection)).await?;
        match clear {
            None => Ok(()),
            Some(begun) => boxed(|| Self::converse_in_tls(begun)).await,
        }
    }

    /// What goes on in TLS; nothing where the session is over.
    async fn converse_in_clear(
        self: Box<Self>,
        socket: TcpStream,
        connection: Arc<Connection>,
    ) -> io::Result<Option<Box<Begun>>> {
        // A proxy's TLS is no reason to refuse the client's own inside it, unless it
        // counts: then there is TLS already.
        let secured = connection.secured().is_some();
        let (session, greeting) = Session::new(Arc::clone(&self.listener.profile), secured);
        let client = Client {
            connection,
            chain: Arc::default(),
        };
        let mut conversation = Conversation::new(Stream::Clear(socket), self, session, client);
        conversation.greet(&greeting).await?;
        Ok(match conversation.run().await? {
            End::Closed(_) => None,
            End::StartTls => Some(Box::new(conversation.into_parts())),
        })
    }

    async fn converse_in_tls(begun: Box<Begun>) -> io::Result<()> {
        let (stream, service, mut session, client) = *begun;
        let Stream::Clear(socket) = stream else {
            return Err(io::Error::other("TLS within TLS"));
        };
        let (stream, client) = boxed(|| service.shake_hands(socket, client.connection)).await?;
        session.secured();
        let mut conversation = Conversation::new(stream, service, session, client);
        conversation.run().await.map(drop)
    }

    /// Shakes hands; what the host then knows of the connection replaces what it knew.
    async fn shake_hands(
        &self,
        socket: TcpStream,
        connection: Arc<Connection>,
    ) -> io::Result<(Stream, Client)> {
        let unusable = || io::Error::other("no usable certificate");
        let acceptor = self.listener.acceptor().ok_or_else(unusable)?;
        let accepted = tokio::select! {
            biased;
            accepted = timeout(self.listener.limits.handshake_timeout, acceptor.accept(socket)) => {
                accepted.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            }
            leave = self.place.asked_to_leave() => return Err(left(leave)),
        };
        let stream = accepted.inspect_err(|error| self.note_failure(&connection, error))?;
        let observed = tls::observe(stream.get_ref().1, self.listener.asks_client_certificate);
        self.host.metrics.handshake(&observed.tls);
        let mut connection = Arc::unwrap_or_clone(connection);
        connection.tls = Some(observed.tls);
        let client = Client {
            connection: Arc::new(connection),
            chain: observed.chain.into(),
        };
        Ok((Stream::Tls(Box::new(stream)), client))
    }

    fn note_failure(&self, connection: &Connection, error: &io::Error) {
        let reason = tls::failure_reason(error);
        tracing::info!(reason, "TLS handshake failed");
        self.meter.handshake_failed();
        let failure = HandshakeFailure {
            at: unix_seconds(SystemTime::now()),
            reason: reason.clone(),
        };
        let failed = &self.host.failed_handshakes;
        failed.note(connection.client.ip(), failure);
        self.host.metrics.handshake_failed(&reason);
    }
}

/// The end of a session that has no time for a reply.
fn left(leave: Leave) -> io::Error {
    io::Error::other(match leave {
        Leave::MakeRoom => "closed to make room for others",
        Leave::Stopping => "the host is stopping",
    })
}
