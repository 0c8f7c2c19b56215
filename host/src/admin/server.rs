//! Where the API is asked: a socket for the host's own user and root, and an address.
//! Strangers on the address cannot keep the owner out, for each has its own connections.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::bodies::Bodies;
use super::compiling::Compiling;
use super::guard::Origin;
use super::turns::Turns;
use super::{AdminTls, Api, Rooms, description, routes};
use crate::receipt::source::Source;
use crate::replay::Replays;
use crate::{http, owner_socket};

/// The socket's name in the data directory.
pub const SOCKET: &str = "admin.sock";

/// A hundred scripts at once wait a little for each other.
const CONNECTIONS: usize = 64;

/// For reading an answer. The longest are some megabytes.
const DEADLINE: Duration = Duration::from_secs(60);

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
    /// Spoken at the address, if any is.
    tls: Option<AdminTls>,
}

/// The API, served until this is stopped or dropped.
#[derive(Debug)]
pub struct Admin {
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
    path: PathBuf,
    address: Option<SocketAddr>,
    has_tls: bool,
    changes: TaskTracker,
    replays: Replays,
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
    /// other host's: what an earlier one left there is removed. With TLS nothing else is
    /// spoken at the address.
    ///
    /// # Errors
    /// As the system says; above all when the directory's path is too long for a socket
    /// (some 90 characters).
    pub fn open(
        data_dir: &Path,
        address: Option<(SocketAddr, TcpListener)>,
        tls: Option<AdminTls>,
    ) -> Result<Self, BindError> {
        let path = data_dir.join(SOCKET);
        match owner_socket::bind(&path) {
            Ok(socket) => Ok(Self {
                socket,
                path,
                address,
                tls,
            }),
            Err(source) => Err(BindError::Socket { path, source }),
        }
    }

    /// Answers for this host, whose receipts are looked for there, and are in day files,
    /// too, or not.
    pub fn serve(self, rooms: Rooms, receipts: Source, has_day_files: bool) -> Admin {
        let Rooms {
            host,
            reloader,
            uploads,
            replays,
            look,
        } = rooms;
        let described = serde_json::to_string(&description()).unwrap_or_default();
        let changes = TaskTracker::new();
        let stop = CancellationToken::new();
        let api = Api {
            host,
            reloader,
            changes: changes.clone(),
            places: Arc::new(Semaphore::new(CONNECTIONS)),
            bodies: Bodies::default(),
            uploads,
            replays: replays.clone(),
            dry_runs: Turns::default(),
            reports: Turns::default(),
            look,
            compiling: Compiling::new(changes.clone(), stop.clone()),
            receipts,
            reading: Arc::new(Semaphore::new(1)),
            has_day_files,
            rate: Arc::default(),
            erasing: Arc::new(Semaphore::new(1)),
            description: described.into(),
        };
        let address = self.address.as_ref().map(|(address, _)| *address);
        let has_tls = self.tls.is_some();
        let network = self.address.map(|(_, listener)| {
            let router = routes::router(api.clone(), Origin::Network);
            let service = service("admin.address", router);
            serve_network(listener, self.tls, service, stop.clone())
        });
        let accept = async move || owner_socket::accept(&self.socket).await;
        let service = service(SOCKET, routes::router(api, Origin::Owner));
        let owner = tokio::spawn(http::serve(accept, service, stop.clone()));
        Admin {
            tasks: network.into_iter().chain([owner]).collect(),
            path: self.path,
            address,
            has_tls,
            changes,
            replays,
            stop,
        }
    }
}

/// **With TLS, nothing is said in clear.**
fn serve_network(
    listener: TcpListener,
    tls: Option<AdminTls>,
    service: http::Service,
    stop: CancellationToken,
) -> JoinHandle<()> {
    let accept = async move || Ok(listener.accept().await?.0);
    match tls {
        None => tokio::spawn(http::serve(accept, service, stop)),
        Some(tls) => {
            let open = move |client| tls.clone().handshake(client);
            tokio::spawn(http::serve_opened(accept, open, service, stop))
        }
    }
}

fn service(name: &'static str, router: Router) -> http::Service {
    http::Service {
        name,
        connections: CONNECTIONS,
        deadline: DEADLINE,
        router,
    }
}

impl Admin {
    /// Where it is, beside the socket: with the port that was chosen where 0 was asked for.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Whether TLS is spoken there.
    pub fn has_tls(&self) -> bool {
        self.has_tls
    }

    /// Ends it, and removes the socket. When this returns it holds nothing of the host any
    /// more.
    pub async fn stop(mut self) {
        self.stop.cancel();
        for task in &mut self.tasks {
            // It ends by itself, or it panicked: over it is.
            let _ = task.await;
        }
        self.changes.close();
        self.changes.wait().await;
        self.replays.ended().await;
        // The next host removes it otherwise.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}
