//! The address where metrics and health are asked for.
//!
//! **Bounded**: in connections, each of which is for one request, in the time and the
//! size of a request. There is no authentication: the address is a loopback one unless
//! the configuration says that others may ask.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::exposition::{Exposition, classic};
use super::health::Health;
use crate::host::{Host, Shutdown};

/// One or two collectors, a prober, and an administrator with a browser.
const CONNECTIONS: usize = 16;

/// The whole of a connection: collectors give up after ten seconds by default.
const DEADLINE: Duration = Duration::from_secs(10);

/// The head of a request comes in one packet.
const HEAD_DEADLINE: Duration = Duration::from_secs(5);

/// Collectors send some ten fields of some hundred octets.
const HEAD_FIELDS: usize = 64;
/// The least that hyper allows.
const HEAD_OCTETS: usize = 8 * 1024;

/// After accepting failed, as it does when descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What OpenMetrics calls its text format.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What everybody else reads.
const CLASSIC: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The address of metrics cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("metrics.address {address}: {source}")]
pub struct BindError {
    address: SocketAddr,
    source: io::Error,
}

/// An address that is bound and not served yet.
#[derive(Debug)]
pub struct Bound {
    socket: TcpListener,
    address: SocketAddr,
}

/// The address, served until this is dropped.
#[derive(Debug)]
pub struct Endpoint {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

#[derive(Clone)]
struct Asked {
    host: Arc<Host>,
    shutdown: Shutdown,
}

impl Bound {
    /// Binds the address; port 0 is any free one.
    pub async fn bind(address: SocketAddr) -> Result<Self, BindError> {
        let fault = |source| BindError { address, source };
        let socket = TcpListener::bind(address).await.map_err(fault)?;
        let address = socket.local_addr().map_err(fault)?;
        Ok(Self { socket, address })
    }

    /// Answers for this host, also while it is stopping.
    pub fn serve(self, host: Arc<Host>, shutdown: Shutdown) -> Endpoint {
        let router = router(Asked { host, shutdown });
        let stop = CancellationToken::new();
        Endpoint {
            address: self.address,
            task: tokio::spawn(accept(self.socket, router, stop.clone())),
            stop,
        }
    }
}

impl Endpoint {
    /// Where it is: with the port that was chosen where 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it. When this returns it holds nothing of the host any more.
    pub async fn stop(mut self) {
        self.stop.cancel();
        // It ends by itself, or it panicked: over it is.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn router(asked: Asked) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(asked)
}

async fn metrics(State(asked): State<Asked>, head: HeaderMap) -> Response {
    let host = &asked.host;
    let exposition = Exposition {
        metrics: Arc::clone(&host.metrics),
        engine: host.engine.usage(),
        receipts: host.journal.state(),
        log_lines_lost: crate::log::lines_lost(),
    };
    let accepted = head.get_all(header::ACCEPT).iter();
    let mut accepted = accepted.filter_map(|value| value.to_str().ok());
    let openmetrics = accepted.any(|value| value.contains("application/openmetrics-text"));
    match exposition.into_text() {
        Ok(page) if openmetrics => typed(OPENMETRICS, page),
        Ok(page) => typed(CLASSIC, classic(&page)),
        // Writing to memory does not fail.
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn typed(kind: &'static str, page: String) -> Response {
    ([(header::CONTENT_TYPE, kind)], page).into_response()
}

async fn ready(State(asked): State<Asked>) -> Response {
    let health = Health::of(&asked.host, &asked.shutdown).await;
    let status = if health.is_ready() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, health.to_string()).into_response()
}

/// Connections end with the set, which ends with this.
async fn accept(socket: TcpListener, router: Router, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        if connections.len() >= CONNECTIONS {
            tokio::select! {
                _ = connections.join_next() => continue,
                () = stop.cancelled() => break,
            }
        }
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = socket.accept() => match accepted {
                Ok((client, _)) => {
                    connections.spawn(converse(client, router.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection for metrics could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    connections.shutdown().await;
}

async fn converse(client: TcpStream, router: Router) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_headers(HEAD_FIELDS)
        .max_buf_size(HEAD_OCTETS)
        .keep_alive(false)
        .serve_connection(TokioIo::new(client), TowerToHyperService::new(router));
    match timeout(DEADLINE, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection for metrics failed"),
        Err(_) => tracing::debug!("a connection for metrics took too long"),
    }
}
