//! Listeners: binding, accepting, whose connection it is, and the limits on who has a
//! session.

mod admission;
mod counts;
mod descriptors;
mod limit;
mod peer;
pub mod proxy;
mod rate;
mod refusals;
mod source;
mod waiting;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::task::TaskTracker;

pub use admission::{Admission, Bounds, Leave, Place};
pub use descriptors::sessions_that_fit;
pub use limit::Limit;
pub use peer::{NoPeer, Peer, Proxies};
pub use source::Source;
pub use waiting::Standing;

use crate::host::{Host, Shutdown};
use crate::smtp::drive::drive;
use crate::smtp::listener::Listener;
use crate::smtp::reply;

/// Connections that the kernel may hold for us until they are accepted: as many as a
/// Linux kernel takes unless it is told otherwise. A client that finds no room there
/// waits a second before it knocks again.
const BACKLOG: u32 = 4096;

/// How long to wait after accepting failed, as it does when descriptors run out:
/// long enough for sessions to end, short enough for clients not to notice.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A listener on its socket.
#[derive(Debug)]
pub struct Bound {
    /// What it is now. A session keeps what it began with.
    pub listener: Arc<ArcSwap<Listener>>,
    /// Where it listens.
    pub socket: TcpListener,
}

/// All sessions of a host, whichever listener they came by.
#[derive(Clone)]
pub struct Sessions {
    /// What they share.
    pub host: Arc<Host>,
    /// Who may have one.
    pub admission: Arc<Admission>,
    /// Whom to wait for at the end.
    pub tracker: TaskTracker,
    /// When the end is.
    pub shutdown: Shutdown,
}

/// Listens on an address; port 0 is any free port.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    // A host that is started again need not wait for the last one's connections.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts until the host stops, and starts a session for each connection that is
/// admitted.
pub async fn accept(bound: Bound, sessions: Sessions) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = sessions.shutdown.draining() => return,
            accepted = bound.socket.accept() => accepted,
        };
        match accepted {
            Ok((socket, client)) => sessions.start(bound.listener.load_full(), socket, client),
            Err(error) => {
                tracing::warn!(listener = %bound.listener.load().name, %error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

impl Sessions {
    fn start(&self, listener: Arc<Listener>, socket: TcpStream, address: SocketAddr) {
        let entered = match &listener.proxies {
            None => self.admission.begin(address.ip()),
            Some(proxies) => match proxies.admit(address.ip()) {
                Ok(()) => self.admission.enter(address.ip()),
                Err(why) => return self.admission.no_session(&listener.name, address, &why),
            },
        };
        match entered {
            Ok(place) => {
                let session = self.clone().session(listener, socket, address, place);
                self.tracker.spawn(session);
            }
            Err(limit) => self.turn_away(&listener, socket, limit),
        }
    }

    /// Finds out whose connection it is, and admits that client where a proxy says it.
    async fn session(
        self,
        listener: Arc<Listener>,
        mut socket: TcpStream,
        address: SocketAddr,
        mut place: Place,
    ) {
        let peer = match self.peer(&listener, &mut socket, address, &place).await {
            Ok(peer) => peer,
            Err(why) => {
                return self.admission.no_session(&listener.name, address, &why);
            }
        };
        if listener.proxies.is_some()
            && let Err(limit) = place.admit(peer.client.ip())
        {
            return self.turn_away(&listener, socket, limit);
        }
        let Self { host, shutdown, .. } = self;
        drive(host, listener, socket, peer, place, shutdown).await;
    }

    /// A socket that is new takes a short reply at once, so that this does not wait.
    fn turn_away(&self, listener: &Listener, socket: TcpStream, limit: Limit) {
        // Where TLS begins with the first octet, a reply in clear means nothing.
        if listener.is_implicit() {
            return;
        }
        let reply = reply::limited(limit);
        self.host.metrics.reply(reply.code());
        let mut octets = Vec::new();
        reply.write(&mut octets);
        // Whether the client is still there to read it is its own affair.
        let _ = socket
            .into_std()
            .and_then(|mut socket| socket.write_all(&octets));
    }

    /// Whose connection it is, once that is known.
    async fn peer(
        &self,
        listener: &Listener,
        socket: &mut TcpStream,
        address: SocketAddr,
        place: &Place,
    ) -> Result<Peer, NoPeer> {
        let peer = Peer::direct(socket, address)?;
        let Some(proxies) = &listener.proxies else {
            return Ok(peer);
        };
        tokio::select! {
            peer = peer.through(proxies, socket) => peer,
            _ = place.asked_to_leave() => Err(NoPeer::Closed),
        }
    }
}
