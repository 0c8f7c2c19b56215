//! One message to one webhook, over HTTP.
//!
//! **Connected is to the address that was judged**: a name is resolved once for each attempt,
//! and what it resolves to is looked at before anything is sent. **No redirect is followed**,
//! no proxy asked, and of the answer only the status counts.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::{Host, Position, Url};

use super::address::Reach;
use crate::tls::client_failure;

/// For all of it, from the name to the status: a receiver that has more to do takes the
/// message and does it later.
const PATIENCE: Duration = Duration::from_secs(15);

/// Whatever octets go both ways on.
trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// What is sent.
pub(super) struct Message<'a> {
    pub(super) id: &'a str,
    pub(super) seconds: u64,
    pub(super) signature: String,
    pub(super) body: &'a str,
}

/// Sends to webhooks.
#[derive(Clone)]
pub struct WebhookClient {
    reach: Arc<Reach>,
    tls: TlsConnector,
    allow_http: bool,
}

/// Why a message did not arrive.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    #[error("{0} is not https, and the operator allows nothing else (webhooks.allow_http)")]
    Clear(String),
    #[error("the name cannot be resolved: {0}")]
    Name(io::Error),
    #[error("it is at {0}, where webhooks may not go: the operator allows it with webhooks.allow")]
    Forbidden(IpAddr),
    #[error("the name resolves to nothing")]
    Nowhere,
    #[error("it cannot be connected to: {0}")]
    Connect(io::Error),
    #[error("TLS failed: {0}")]
    Tls(String),
    #[error("HTTP failed: {0}")]
    Http(String),
    #[error("it did not answer within {} s", PATIENCE.as_secs())]
    Slow,
    #[error("it answered {0}")]
    Status(StatusCode),
}

impl WebhookClient {
    /// Goes where `reach` says, over TLS as `tls` has it, and in clear where that is allowed.
    pub fn new(reach: Reach, tls: Arc<ClientConfig>, allow_http: bool) -> Self {
        Self {
            reach: Arc::new(reach),
            tls: TlsConnector::from(tls),
            allow_http,
        }
    }

    /// Sends a message; it has arrived where the status is one of success.
    pub(super) async fn send(&self, url: &Url, message: &Message<'_>) -> Result<(), SendError> {
        match timeout(PATIENCE, self.converse(url, message)).await {
            Ok(Ok(status)) if status.is_success() => Ok(()),
            Ok(Ok(status)) => Err(SendError::Status(status)),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(SendError::Slow),
        }
    }

    async fn converse(&self, url: &Url, message: &Message<'_>) -> Result<StatusCode, SendError> {
        let wire = self.open(url).await?;
        let http = |error: hyper::Error| SendError::Http(error.to_string());
        let (mut sender, connection) = http1::handshake(TokioIo::new(wire)).await.map_err(http)?;
        let request = request(url, message);
        let request = request.map_err(|error| SendError::Http(error.to_string()))?;
        // Both end with this future: nothing goes on when nobody waits any more.
        let answer = sender.send_request(request);
        tokio::pin!(answer);
        let answer = tokio::select! {
            biased;
            answer = &mut answer => answer,
            // It may have ended with the answer, which is there then.
            ended = connection => match ended {
                Ok(()) => answer.await,
                Err(error) => Err(error),
            },
        };
        Ok(answer.map_err(http)?.status())
    }

    async fn open(&self, url: &Url) -> Result<Box<dyn Wire>, SendError> {
        let is_secure = url.scheme() == "https";
        if !is_secure && !self.allow_http {
            return Err(SendError::Clear(url[..Position::AfterScheme].to_owned()));
        }
        let addresses = resolve(url).await.map_err(SendError::Name)?;
        let addresses = self.within_reach(&addresses)?;
        let stream = TcpStream::connect(addresses.as_slice()).await;
        let stream = stream.map_err(SendError::Connect)?;
        if !is_secure {
            return Ok(Box::new(stream));
        }
        let name = name(url).ok_or_else(|| SendError::Tls("the host is no name".to_owned()))?;
        match self.tls.connect(name, stream).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(SendError::Tls(client_failure(&error))),
        }
    }

    /// Those that may be connected to, of which there is one at least.
    fn within_reach(&self, addresses: &[SocketAddr]) -> Result<Vec<SocketAddr>, SendError> {
        let all = addresses.iter().copied();
        let within: Vec<_> = all.filter(|at| self.reach.includes(at.ip())).collect();
        match (within.is_empty(), addresses.first()) {
            (false, _) => Ok(within),
            (true, Some(first)) => Err(SendError::Forbidden(first.ip())),
            (true, None) => Err(SendError::Nowhere),
        }
    }
}

async fn resolve(url: &Url) -> io::Result<Vec<SocketAddr>> {
    let port = url.port_or_known_default().unwrap_or_default();
    match url.host() {
        Some(Host::Ipv4(ip)) => Ok(vec![(ip, port).into()]),
        Some(Host::Ipv6(ip)) => Ok(vec![(ip, port).into()]),
        Some(Host::Domain(name)) => Ok(lookup_host((name, port)).await?.collect()),
        None => Ok(Vec::new()),
    }
}

fn name(url: &Url) -> Option<ServerName<'static>> {
    match url.host()? {
        Host::Ipv4(ip) => Some(IpAddr::from(ip).into()),
        Host::Ipv6(ip) => Some(IpAddr::from(ip).into()),
        Host::Domain(name) => ServerName::try_from(name.to_owned()).ok(),
    }
}

fn request(url: &Url, message: &Message<'_>) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
    let agent = concat!("portcullis/", env!("CARGO_PKG_VERSION"));
    Request::post(&url[Position::BeforePath..Position::AfterQuery])
        .header(HOST, &url[Position::BeforeHost..Position::AfterPort])
        .header(USER_AGENT, agent)
        .header(CONTENT_TYPE, "application/json")
        .header("webhook-id", message.id)
        .header("webhook-timestamp", message.seconds.to_string())
        .header("webhook-signature", &message.signature)
        .body(Full::new(Bytes::copy_from_slice(message.body.as_bytes())))
}
