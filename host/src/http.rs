//! HTTP/1.1 for those who look after a host: a router, served.
//!
//! **Bounded**: in connections, each of which is for one request, and in the time and the
//! size of a request. How long an answer may be in the making is the router's own to
//! bound.

use std::future::ready;
use std::io;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// The head of a request comes in one packet, and a handshake before it in a few.
const HEAD_DEADLINE: Duration = Duration::from_secs(5);

/// Clients send some ten fields of some hundred octets.
const HEAD_FIELDS: usize = 64;
/// The least that hyper allows.
const HEAD_OCTETS: usize = 8 * 1024;

/// After accepting failed, as it does when descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What is served, and within which bounds.
#[derive(Clone, Debug)]
pub struct Service {
    /// For the log: the key of the configuration, or the name of the socket.
    pub name: &'static str,
    /// Connections at one time; more wait.
    pub connections: usize,
    /// From an answer on, until the client has read it.
    pub deadline: Duration,
    /// What answers, within a time of its own.
    pub router: Router,
}

/// Serves whoever is accepted until it is stopped. Connections end with it.
pub async fn serve<Client: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    accept: impl AsyncFn() -> io::Result<Client>,
    service: Service,
    stop: CancellationToken,
) {
    let as_it_is = |client| ready(Ok(client));
    serve_opened(accept, as_it_is, service, stop).await;
}

/// The same where something comes before HTTP, such as a handshake.
pub async fn serve_opened<Client, Stream, Opening>(
    accept: impl AsyncFn() -> io::Result<Client>,
    open: impl Fn(Client) -> Opening,
    service: Service,
    stop: CancellationToken,
) where
    Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    Opening: Future<Output = io::Result<Stream>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = accept(), if connections.len() < service.connections => match accepted {
                Ok(client) => {
                    connections.spawn(opened(open(client), service.clone()));
                }
                Err(error) => {
                    tracing::warn!(service = service.name, %error, "an HTTP connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    connections.shutdown().await;
}

async fn opened<Stream: AsyncRead + AsyncWrite + Unpin>(
    opening: impl Future<Output = io::Result<Stream>>,
    service: Service,
) {
    match timeout(HEAD_DEADLINE, opening).await {
        Ok(Ok(stream)) => converse(stream, service).await,
        Ok(Err(error)) => {
            tracing::debug!(service = service.name, %error, "an HTTP connection did not come about");
        }
        Err(_) => tracing::debug!(
            service = service.name,
            "an HTTP connection took too long to come about"
        ),
    }
}

async fn converse(client: impl AsyncRead + AsyncWrite + Unpin, service: Service) {
    let Service {
        name,
        deadline,
        router,
        ..
    } = service;
    let router = TowerToHyperService::new(router);
    let answered = CancellationToken::new();
    let answering = service_fn(|request: Request<Incoming>| {
        let answer = router.call(request);
        let answered = answered.clone();
        async move {
            let answer = answer.await;
            answered.cancel();
            answer
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_headers(HEAD_FIELDS)
        .max_buf_size(HEAD_OCTETS)
        .keep_alive(false)
        .serve_connection(TokioIo::new(client), answering);
    let overdue = async {
        answered.cancelled().await;
        tokio::time::sleep(deadline).await;
    };
    tokio::select! {
        ended = connection => {
            if let Err(error) = ended {
                tracing::debug!(service = name, %error, "an HTTP connection failed");
            }
        }
        () = overdue => tracing::debug!(service = name, "an HTTP connection took too long"),
    }
}
