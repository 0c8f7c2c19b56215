//! Listeners: binding, accepting, and the bound on sessions.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::host::Host;
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

/// Accepts until `shutdown`, and starts a session for each connection while there are
/// fewer than `sessions`.
pub async fn accept(
    bound: Bound,
    host: Arc<Host>,
    sessions: Arc<Semaphore>,
    tracker: TaskTracker,
    shutdown: CancellationToken,
) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            accepted = bound.socket.accept() => accepted,
        };
        match accepted {
            Ok((socket, client)) => {
                start(
                    &bound.listener,
                    &host,
                    &sessions,
                    &tracker,
                    &shutdown,
                    socket,
                    client,
                );
            }
            Err(error) => {
                tracing::warn!(listener = %bound.listener.name, %error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn start(
    listener: &Arc<Listener>,
    host: &Arc<Host>,
    sessions: &Arc<Semaphore>,
    tracker: &TaskTracker,
    shutdown: &CancellationToken,
    socket: TcpStream,
    client: SocketAddr,
) {
    let Ok(place) = Arc::clone(sessions).try_acquire_owned() else {
        tracing::warn!(client.addr = %client, "too many sessions, turning a client away");
        tracker.spawn(turn_away(socket));
        return;
    };
    let (host, listener, shutdown) = (Arc::clone(host), Arc::clone(listener), shutdown.clone());
    tracker.spawn(async move {
        drive(host, listener, socket, client, shutdown).await;
        drop(place);
    });
}

/// The reply is small enough for the socket's buffer, so this does not wait.
async fn turn_away(mut socket: TcpStream) -> io::Result<()> {
    socket
        .write_all(b"421 4.3.2 Too many sessions, please try again later\r\n")
        .await?;
    socket.shutdown().await
}
