//! The way to a host: a socket, or TCP, with TLS inside where the URL says so.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::anyhow;
use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use super::failure::{Failure, in_words};
use super::target::{Address, Target};
use crate::admin::SOCKET;
use crate::cli::check;
use crate::tls::{client_failure, pem, verified_client};

/// For one connection with its handshake: a machine that is there answers at once.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whatever octets go both ways on.
trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// Where a host is asked.
pub(super) enum Door {
    Socket {
        path: PathBuf,
        /// Whose it is, where that is known.
        data_dir: Option<PathBuf>,
        base: Url,
    },
    Network {
        address: Address,
        tls: Option<TlsConnector>,
    },
}

impl Door {
    /// The way to this host, whose certificate is taken under the anchors in this file.
    pub(super) fn of(target: Target, anchors: Option<&Path>) -> anyhow::Result<Self> {
        match target {
            Target::Socket(path) => Ok(Self::socket(path, None)),
            Target::Config(file) => Ok(Self::data_directory(&check::data_dir(&file)?)),
            Target::Url(address) => {
                let tls = address
                    .is_secure()
                    .then(|| connector(anchors))
                    .transpose()?;
                Ok(Self::Network { address, tls })
            }
        }
    }

    pub(super) fn data_directory(path: &Path) -> Self {
        Self::socket(path.join(SOCKET), Some(path.to_owned()))
    }

    fn socket(path: PathBuf, data_dir: Option<PathBuf>) -> Self {
        Self::Socket {
            path,
            data_dir,
            base: Url::parse("http://localhost").expect("it is one"),
        }
    }

    /// What paths are below.
    pub(super) fn base(&self) -> &Url {
        match self {
            Self::Socket { base, .. } => base,
            Self::Network { address, .. } => address.url(),
        }
    }

    /// A new connection, for one request.
    pub(super) async fn open(&self) -> Result<SendRequest<Full<Bytes>>, Failure> {
        let wire = match timeout(PATIENCE, self.connect()).await {
            Ok(wire) => wire?,
            Err(_) => return Err(self.unreachable("it does not answer")),
        };
        let (sender, connection) = http1::handshake(TokioIo::new(wire))
            .await
            .map_err(|error| self.unreachable(&in_words(&error)))?;
        // It ends with the answer, or with this process.
        tokio::spawn(connection);
        Ok(sender)
    }

    async fn connect(&self) -> Result<Box<dyn Wire>, Failure> {
        match self {
            Self::Socket { path, data_dir, .. } => match UnixStream::connect(path).await {
                Ok(stream) => Ok(Box::new(stream)),
                Err(error) => Err(no_socket(path, data_dir.as_deref(), &error)),
            },
            Self::Network { address, tls } => {
                let stream = self.tcp(address.url()).await;
                let stream = stream.map_err(|error| self.unreachable(&error.to_string()))?;
                match tls {
                    None => Ok(Box::new(stream)),
                    Some(connector) => self.secure(stream, address.url(), connector).await,
                }
            }
        }
    }

    /// What is named `localhost` is on this machine, whatever resolves it.
    async fn tcp(&self, url: &Url) -> io::Result<TcpStream> {
        let port = url.port_or_known_default().unwrap_or_default();
        let addresses: Vec<SocketAddr> = match url.host() {
            Some(Host::Ipv4(ip)) => vec![(ip, port).into()],
            Some(Host::Ipv6(ip)) => vec![(ip, port).into()],
            Some(Host::Domain(name)) => {
                let found = lookup_host((name, port)).await?;
                let here = name == "localhost";
                found.filter(|at| !here || at.ip().is_loopback()).collect()
            }
            None => Vec::new(),
        };
        // One after the other, as they come.
        TcpStream::connect(addresses.as_slice()).await
    }

    async fn secure(
        &self,
        stream: TcpStream,
        url: &Url,
        connector: &TlsConnector,
    ) -> Result<Box<dyn Wire>, Failure> {
        let name = match url.host() {
            Some(Host::Ipv4(ip)) => Ok(ServerName::from(std::net::IpAddr::from(ip))),
            Some(Host::Ipv6(ip)) => Ok(ServerName::from(std::net::IpAddr::from(ip))),
            Some(Host::Domain(name)) => ServerName::try_from(name.to_owned()),
            None => ServerName::try_from(String::new()),
        };
        let name = name.map_err(|_| self.unreachable("its name is none that certificates have"))?;
        match connector.connect(name, stream).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(self.unreachable(&format!(
                "TLS failed: {}; --ca names other anchors",
                client_failure(&error)
            ))),
        }
    }

    fn unreachable(&self, reason: &str) -> Failure {
        Failure::Unreachable {
            place: self.to_string(),
            reason: reason.to_owned(),
        }
    }
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket { path, .. } => path.display().fmt(f),
            Self::Network { address, .. } => address.fmt(f),
        }
    }
}

fn connector(anchors: Option<&Path>) -> anyhow::Result<TlsConnector> {
    let anchors = anchors.map(pem::certificates).transpose()?;
    let config = verified_client(&anchors.unwrap_or_default()).map_err(|faults| {
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        anyhow!("--ca: {}", faults.join("; "))
    })?;
    Ok(TlsConnector::from(config))
}

fn no_socket(path: &Path, data_dir: Option<&Path>, error: &io::Error) -> Failure {
    match (error.kind(), data_dir) {
        (io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused, Some(data_dir)) => {
            Failure::NoHost(data_dir.to_owned())
        }
        (io::ErrorKind::PermissionDenied, _) => Failure::Forbidden(path.to_owned()),
        _ => Failure::Unreachable {
            place: path.display().to_string(),
            reason: error.to_string(),
        },
    }
}
