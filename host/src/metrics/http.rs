//! The address where metrics and health are asked for.
//!
//! There is no authentication: the address is a loopback one unless
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
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::exposition::{Exposition, classic};
use super::health::Health;
use crate::host::{Host, Shutdown};
use crate::http;

/// One or two collectors, a prober, and an administrator with a browser.
const CONNECTIONS: usize = 16;

/// For reading an answer: collectors give up after ten seconds by default.
const DEADLINE: Duration = Duration::from_secs(10);

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
        let service = http::Service {
            name: "metrics.address",
            connections: CONNECTIONS,
            deadline: DEADLINE,
            router: router(Asked { host, shutdown }),
        };
        let accept = async move || Ok(self.socket.accept().await?.0);
        let stop = CancellationToken::new();
        Endpoint {
            address: self.address,
            task: tokio::spawn(http::serve(accept, service, stop.clone())),
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
        pending: host.snapshot.load().pending(),
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
