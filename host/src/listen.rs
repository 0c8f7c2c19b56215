//! Listeners: binding, accepting, and the bound on sessions.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::host::{Host, Shutdown};
use crate::smtp::drive::drive;
use crate::smtp::listener::Listener;

/// How long to wait after accepting failed, as it does when descriptors run out:
/// long enough for sessions to end, short enough for clients not to notice.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A listener on its socket.
#[derive(Debug)]
pub struct Bound {
    /// What it is.
    pub listener: Arc<Listener>,
    /// Where it listens.
    pub socket: TcpListener,
}

/// All sessions of a host, whichever listener they came by.
#[derive(Clone)]
pub struct Sessions {
    /// What they share.
    pub host: Arc<Host>,
    /// One place each; no more sessions than places.
    pub places: Arc<Semaphore>,
    /// Whom to wait for at the end.
    pub tracker: TaskTracker,
    /// When the end is.
    pub shutdown: Shutdown,
}

/// Accepts until the host stops, and starts a session for each connection while there
/// is a place.
pub async fn accept(bound: Bound, sessions: Sessions) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = sessions.shutdown.draining() => return,
            accepted = bound.socket.accept() => accepted,
        };
        match accepted {
            Ok((socket, client)) => sessions.start(&bound.listener, socket, client),
            Err(error) => {
                tracing::warn!(listener = %bound.listener.name, %error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

impl Sessions {
    fn start(&self, listener: &Arc<Listener>, socket: TcpStream, client: SocketAddr) {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            self.host.metrics.limit_hit("sessions");
            tracing::warn!(client.addr = %client, "too many sessions, turning a client away");
            // On an implicit TLS listener a reply in clear means nothing.
            if !listener.is_implicit() {
                self.tracker.spawn(turn_away(socket));
            }
            return;
        };
        let (host, listener) = (Arc::clone(&self.host), Arc::clone(listener));
        let shutdown = self.shutdown.clone();
        self.tracker.spawn(async move {
            drive(host, listener, socket, client, shutdown).await;
            drop(place);
        });
    }
}

/// The reply is small enough for the socket's buffer, so this does not wait.
async fn turn_away(mut socket: TcpStream) -> io::Result<()> {
    socket
        .write_all(b"421 4.3.2 Too many sessions, please try again later\r\n")
        .await?;
    socket.shutdown().await
}
