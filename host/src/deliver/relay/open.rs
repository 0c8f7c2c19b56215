//! Opening a connection: socket, greeting, EHLO or LHLO, STARTTLS.
//!
//! **Whatever was learnt in clear is forgotten when TLS begins**: capabilities are
//! those of the EHLO inside, and octets behind the reply to STARTTLS end the attempt.
//! **Verified means verified**: without STARTTLS, or with another certificate, there is
//! no connection. Only opportunistic TLS goes on in clear.

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use rustls_pki_types::{IpAddr, Ipv4Addr, ServerName};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use super::capabilities::Capabilities;
use super::connection::{Answer, Connection, Protection, Wire, within};
use super::error::{Failure, Fault};
use super::hop::{HopAddress, HopTls, NextHop, Protocol};
use crate::address::Domain;
use crate::tls::{client_failure, unverified_client, verified_client};

/// Most addresses of a name that are tried: those of a larger set are as good.
const MAX_ADDRESSES: usize = 8;

/// Opens connections to one next hop.
pub(super) struct Opener {
    hostname: String,
    starttls: Starttls,
}

/// Whether TLS is to begin, and with whom.
enum Starttls {
    No,
    With(TlsClient),
    /// It has to, and cannot.
    Unusable(String),
}

struct TlsClient {
    connector: TlsConnector,
    name: ServerName<'static>,
    is_verified: bool,
}

/// Why there is no connection.
enum Unopened {
    /// There would be none in clear either, or must not be.
    Failed(Failure),
    /// TLS, which was only tried, failed.
    OnlyTls(Failure),
}

impl Unopened {
    fn into_failure(self) -> Failure {
        match self {
            Self::Failed(failure) | Self::OnlyTls(failure) => failure,
        }
    }
}

impl From<Failure> for Unopened {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Opener {
    pub(super) fn new(hop: &NextHop, hostname: &str) -> Self {
        let starttls = match &hop.tls {
            HopTls::None => Starttls::No,
            HopTls::Opportunistic => Starttls::With(TlsClient::unverified(&hop.address)),
            HopTls::Verified { name, anchors } => match TlsClient::verified(name, anchors) {
                Ok(client) => Starttls::With(client),
                Err(why) => Starttls::Unusable(why),
            },
        };
        Self {
            hostname: hostname.to_owned(),
            starttls,
        }
    }

    /// Opens a connection, within the time for one; where TLS was tried and failed,
    /// another in clear, within the same time again.
    pub(super) async fn open(&self, hop: &NextHop) -> Result<Connection, Failure> {
        let opening = |starttls| self.attempt(hop, starttls);
        match opening(&self.starttls).await {
            Ok(connection) => Ok(connection),
            Err(Unopened::Failed(failure)) => Err(failure),
            Err(Unopened::OnlyTls(failure)) => {
                goes_on_in_clear(hop, &failure);
                opening(&Starttls::No).await.map_err(Unopened::into_failure)
            }
        }
    }

    async fn attempt(&self, hop: &NextHop, starttls: &Starttls) -> Result<Connection, Unopened> {
        let opening = Opening {
            hop,
            hostname: &self.hostname,
            deadline: Instant::now() + hop.connect_timeout,
        };
        match starttls {
            Starttls::No => Ok(opening.in_clear().await?),
            Starttls::With(client) => opening.in_tls(client).await,
            Starttls::Unusable(why) => Err(Fault::Other(why.clone()).at("TLS").into()),
        }
    }
}

impl TlsClient {
    fn unverified(address: &HopAddress) -> Self {
        // Asking for the name by which the hop is known helps those that have several.
        let name = match address {
            HopAddress::Tcp { host, .. } => ServerName::try_from(host.clone()).ok(),
            HopAddress::Unix(_) => None,
        };
        let nobody = ServerName::IpAddress(IpAddr::V4(Ipv4Addr::from([0; 4])));
        Self {
            connector: TlsConnector::from(unverified_client()),
            name: name.unwrap_or(nobody),
            is_verified: false,
        }
    }

    fn verified(
        name: &Domain,
        anchors: &[rustls_pki_types::CertificateDer<'static>],
    ) -> Result<Self, String> {
        let config = verified_client(anchors).map_err(|faults| {
            let texts: Vec<String> = faults.iter().map(ToString::to_string).collect();
            texts.join("; ")
        })?;
        let name = ServerName::try_from(name.as_str().to_owned())
            .map_err(|_| format!("{name} cannot be the name of a certificate"))?;
        Ok(Self {
            connector: TlsConnector::from(config),
            name,
            is_verified: true,
        })
    }

    fn unopened(&self, failure: Failure) -> Unopened {
        match self.is_verified {
            true => Unopened::Failed(failure),
            false => Unopened::OnlyTls(failure),
        }
    }

    fn protection(&self) -> Protection {
        match self.is_verified {
            true => Protection::Verified,
            false => Protection::Encrypted,
        }
    }
}

/// One attempt, which ends at its deadline.
struct Opening<'a> {
    hop: &'a NextHop,
    hostname: &'a str,
    deadline: Instant,
}

impl Opening<'_> {
    async fn in_clear(&self) -> Result<Connection, Failure> {
        let (wire, protection) = self
            .connect()
            .await
            .map_err(|fault| fault.at("connection"))?;
        let mut connection = Connection::new(wire, protection);
        let greeting = self.within(connection.answer(2)).await;
        greeting
            .and_then(Answer::yes)
            .map_err(|fault| fault.at("greeting"))?;
        self.introduce(&mut connection).await?;
        Ok(connection)
    }

    async fn in_tls(&self, client: &TlsClient) -> Result<Connection, Unopened> {
        let mut connection = self.in_clear().await?;
        if !connection.capabilities.starttls {
            if client.is_verified {
                let fault = Fault::Other("it does not offer STARTTLS".to_owned());
                return Err(fault.at("STARTTLS").into());
            }
            // Whoever takes the offer out on the way leaves no other trace.
            tracing::info!(hop = %self.hop, "a next hop offers no TLS: mail goes to it in clear, since its TLS is opportunistic");
            return Ok(connection);
        }
        match connection.ask("STARTTLS", 2, self.left()).await {
            Ok(Answer::Yes(_)) => {}
            Ok(Answer::No(reply)) => {
                let failure = Fault::Unexpected(reply).at("STARTTLS");
                if client.is_verified {
                    return Err(failure.into());
                }
                goes_on_in_clear(self.hop, &failure);
                return Ok(connection);
            }
            Err(fault) => return Err(fault.at("STARTTLS").into()),
        }
        let wire = connection
            .into_wire()
            .map_err(|fault| fault.at("STARTTLS"))?;
        let mut connection = self
            .shake_hands(client, wire)
            .await
            .map_err(|fault| client.unopened(fault.at("TLS handshake")))?;
        // In TLS 1.3 the server may still find fault with the handshake here.
        self.introduce(&mut connection)
            .await
            .map_err(|failure| client.unopened(failure))?;
        Ok(connection)
    }

    async fn shake_hands(
        &self,
        client: &TlsClient,
        wire: Box<dyn Wire>,
    ) -> Result<Connection, Fault> {
        let handshake = client.connector.connect(client.name.clone(), wire);
        let said = |error| Fault::Other(client_failure(&error));
        let stream = self.within(async { handshake.await.map_err(said) }).await?;
        Ok(Connection::new(Box::new(stream), client.protection()))
    }

    /// EHLO or LHLO; for SMTP also HELO, where a hop knows no better (RFC 5321, section
    /// 3.2).
    async fn introduce(&self, connection: &mut Connection) -> Result<(), Failure> {
        let (verb, step) = match self.hop.protocol {
            Protocol::Lmtp => ("LHLO", "LHLO"),
            Protocol::Smtp => ("EHLO", "EHLO"),
        };
        let command = format!("{verb} {}", self.hostname);
        let answer = connection.ask(&command, 2, self.left()).await;
        let answer = answer.map_err(|fault| fault.at(step))?;
        match answer {
            Answer::No(reply) if self.hop.protocol == Protocol::Smtp && reply.code >= 500 => {
                let command = format!("HELO {}", self.hostname);
                let answer = connection.ask(&command, 2, self.left()).await;
                let reply = answer.and_then(Answer::yes);
                reply.map(drop).map_err(|fault| fault.at("HELO"))
            }
            answer => {
                let reply = answer.yes().map_err(|fault| fault.at(step))?;
                connection.capabilities = Capabilities::of(&reply);
                Ok(())
            }
        }
    }

    async fn connect(&self) -> Result<(Box<dyn Wire>, Protection), Fault> {
        match &self.hop.address {
            HopAddress::Unix(path) => {
                let socket = self.within(unix(path)).await?;
                Ok((Box::new(socket), Protection::Local))
            }
            HopAddress::Tcp { host, port } => {
                let socket = self.connect_to_any(host, *port).await?;
                // Commands are small and written whole: waiting to fill a segment only
                // delays them.
                socket.set_nodelay(true)?;
                Ok((Box::new(socket), Protection::Clear))
            }
        }
    }

    /// The first address that answers. Each gets its share of the time that is left, so
    /// that one which swallows everything does not hide the others.
    async fn connect_to_any(&self, host: &str, port: u16) -> Result<TcpStream, Fault> {
        let addresses = self.within(resolve(host, port)).await?;
        let mut last = Fault::Other(format!("{host} has no address"));
        for (index, address) in addresses.iter().enumerate() {
            let others = u32::try_from(addresses.len() - index).unwrap_or(1);
            let share = self.left() / others.max(1);
            let attempt = within(share, async { Ok(TcpStream::connect(address).await?) });
            match attempt.await {
                Ok(socket) => return Ok(socket),
                Err(fault) => last = Fault::Other(format!("{address}: {fault}")),
            }
        }
        Err(last)
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// A fault names the whole time for a connection, which people know.
    async fn within<T>(&self, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        within(self.left(), work)
            .await
            .map_err(|fault| match fault {
                Fault::Timeout(_) => Fault::Timeout(self.hop.connect_timeout),
                other => other,
            })
    }
}

fn goes_on_in_clear(hop: &NextHop, failure: &Failure) {
    tracing::warn!(
        %hop, step = failure.step, error = %failure.fault,
        "TLS with a next hop failed; going on in clear, since its TLS is opportunistic"
    );
}

async fn unix(path: &Path) -> Result<UnixStream, Fault> {
    let connected = UnixStream::connect(path).await;
    connected.map_err(|error| Fault::Other(format!("{}: {error}", path.display())))
}

async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, Fault> {
    let found = lookup_host((host, port)).await;
    let addresses = found.map_err(|error| Fault::Other(format!("{host}: {error}")))?;
    Ok(addresses.take(MAX_ADDRESSES).collect())
}
