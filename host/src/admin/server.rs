//! Where the API is asked: the doors, and the connections that come through them.
//!
//! **Bounded**: in connections, each of which is for one request, in the time and the
//! size of a request. The socket is for the host's own user and root alone, by its mode
//! and by what the kernel says of who connects; strangers on the address cannot keep
//! them out, for each door has its own connections.

use std::fs::{self, Permissions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::guard::Origin;
use super::{Api, description, routes};
use crate::host::Host;

/// The socket's name in the data directory.
const SOCKET: &str = "admin.sock";

/// A hundred scripts at once wait a little for each other.
const CONNECTIONS: usize = 64;

/// The whole of a connection. Who looks for a receipt waits for those before.
const DEADLINE: Duration = Duration::from_secs(60);

/// The head of a request comes in one packet.
const HEAD_DEADLINE: Duration = Duration::from_secs(5);

/// Clients send some ten fields of some hundred octets.
const HEAD_FIELDS: usize = 64;
/// The least that hyper allows.
const HEAD_OCTETS: usize = 8 * 1024;

/// After accepting failed, as it does when descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A door cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The socket.
    #[error("admin socket {path}: {source}", path = .path.display())]
    Socket {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The address.
    #[error("admin.address {address}: {source}")]
    Address {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// Where the API can be asked: bound and not served yet.
#[derive(Debug)]
pub struct Doors {
    socket: UnixListener,
    path: PathBuf,
    address: Option<(SocketAddr, TcpListener)>,
}

/// The API, served until this is stopped or dropped.
#[derive(Debug)]
pub struct Admin {
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
    path: PathBuf,
    address: Option<SocketAddr>,
}

enum Door {
    Socket(UnixListener),
    Address(TcpListener),
}

enum Client {
    Socket(UnixStream),
    Address(TcpStream),
}

impl Doors {
    /// Binds the address; port 0 is any free one.
    ///
    /// # Errors
    /// When it cannot be bound.
    pub async fn address(address: SocketAddr) -> Result<(SocketAddr, TcpListener), BindError> {
        let fault = |source| BindError::Address { address, source };
        let listener = TcpListener::bind(address).await.map_err(fault)?;
        let address = listener.local_addr().map_err(fault)?;
        Ok((address, listener))
    }

    /// Makes the socket in the data directory, of which the caller is sure that it is no
    /// other host's: what an earlier one left there is removed.
    ///
    /// # Errors
    /// As the system says; above all when the directory's path is too long for a socket
    /// (some 90 characters).
    pub fn open(
        data_dir: &Path,
        address: Option<(SocketAddr, TcpListener)>,
    ) -> Result<Self, BindError> {
        let path = data_dir.join(SOCKET);
        match socket(&path) {
            Ok(socket) => Ok(Self {
                socket,
                path,
                address,
            }),
            Err(source) => Err(BindError::Socket { path, source }),
        }
    }

    /// Answers for this host, whose receipts are in this directory.
    pub fn serve(self, host: Arc<Host>, receipts: PathBuf) -> Admin {
        let described = serde_json::to_string(&description()).unwrap_or_default();
        let api = Api {
            host,
            receipts: receipts.into(),
            reading: Arc::new(Semaphore::new(1)),
            description: described.into(),
        };
        let stop = CancellationToken::new();
        let address = self.address.as_ref().map(|(address, _)| *address);
        let network = self.address.map(|(_, listener)| {
            let router = routes::router(api.clone(), Origin::Network);
            tokio::spawn(accept(Door::Address(listener), router, stop.clone()))
        });
        let router = routes::router(api, Origin::Owner);
        let owner = tokio::spawn(accept(Door::Socket(self.socket), router, stop.clone()));
        Admin {
            tasks: network.into_iter().chain([owner]).collect(),
            path: self.path,
            address,
            stop,
        }
    }
}

fn socket(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = UnixListener::bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(socket)
}

impl Admin {
    /// Where it is, beside the socket: with the port that was chosen where 0 was asked for.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Ends it, and removes the socket. When this returns it holds nothing of the host any
    /// more.
    pub async fn stop(mut self) {
        self.stop.cancel();
        for task in &mut self.tasks {
            // It ends by itself, or it panicked: over it is.
            let _ = task.await;
        }
        // The next host removes it otherwise.
        let _ = fs::remove_file(&self.path);
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Door {
    async fn accept(&self) -> io::Result<Client> {
        match self {
            Self::Socket(listener) => {
                let (client, _) = listener.accept().await?;
                Ok(Client::Socket(client))
            }
            Self::Address(listener) => {
                let (client, _) = listener.accept().await?;
                Ok(Client::Address(client))
            }
        }
    }
}

/// Connections end with the set, which ends with this.
async fn accept(door: Door, router: Router, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = door.accept(), if connections.len() < CONNECTIONS => match accepted {
                Ok(client) => {
                    connections.spawn(converse(client, router.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection to the admin API could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    connections.shutdown().await;
}

async fn converse(client: Client, router: Router) {
    match client {
        Client::Address(client) => answer(client, router).await,
        Client::Socket(client) => match is_owner(&client) {
            Ok(true) => answer(client, router).await,
            Ok(false) => tracing::debug!("a stranger connected to the admin socket"),
            Err(error) => tracing::debug!(%error, "who connects to the admin socket is not known"),
        },
    }
}

/// The host's own user, or root.
fn is_owner(client: &UnixStream) -> io::Result<bool> {
    let user = client.peer_cred()?.uid();
    Ok(user == 0 || user == rustix::process::geteuid().as_raw())
}

async fn answer(client: impl AsyncRead + AsyncWrite + Unpin, router: Router) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_headers(HEAD_FIELDS)
        .max_buf_size(HEAD_OCTETS)
        .keep_alive(false)
        .serve_connection(TokioIo::new(client), TowerToHyperService::new(router));
    match timeout(DEADLINE, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection to the admin API failed"),
        Err(_) => tracing::debug!("a connection to the admin API took too long"),
    }
}
