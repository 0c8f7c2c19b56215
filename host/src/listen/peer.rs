//! Who is at the other end of a connection: whoever connected, or whose connection a
//! trusted proxy says it is.
//!
//! **On a listener that has proxies every connection comes from one of them and begins
//! with a header**; there is no guessing whether there is one. What does not is closed
//! without a word, since nobody is known to whom it could be said. What is behind the
//! header is not read.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::proxy::{self, Header, HeaderError, Progress};
use crate::facts::{Origin, Tls};

/// How long a header may take. The protocol asks for three seconds at least, for one
/// lost segment, and a proxy that is near and sound needs a millisecond.
const HEADER_TIME: Duration = Duration::from_secs(5);

/// The proxies of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxies {
    /// Where they are.
    pub from: Vec<IpNet>,
    /// What they say of TLS counts.
    pub trust_tls: bool,
}

/// The other end of a connection. Addresses of IPv4 are such also where they came to a
/// socket of IPv6.
#[derive(Clone, Debug, PartialEq)]
pub struct Peer {
    /// The client.
    pub client: SocketAddr,
    /// What it connected to.
    pub server: SocketAddr,
    /// The proxy that says so.
    pub proxied_by: Option<SocketAddr>,
    /// What that says of TLS.
    pub tls: Option<Tls>,
}

/// Why a connection is closed before it is a session.
#[derive(Debug, thiserror::Error)]
pub enum NoPeer {
    /// Nobody the listener takes a header from.
    #[error("not a proxy of this listener")]
    Untrusted,
    /// The header is none.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// It did not come in time.
    #[error("no PROXY header in time")]
    TimedOut,
    /// The other end closed before it was whole.
    #[error("closed before the PROXY header")]
    Closed,
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl NoPeer {
    /// A word for metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Untrusted => "untrusted",
            Self::Header(HeaderError::Missing) => "missing",
            Self::Header(HeaderError::TooLong) => "too-long",
            Self::Header(HeaderError::Malformed) => "malformed",
            Self::Header(HeaderError::Checksum) => "checksum",
            Self::TimedOut => "timed-out",
            Self::Closed | Self::Io(_) => "closed",
        }
    }
}

impl Proxies {
    /// Whether a header may come from there.
    ///
    /// # Errors
    /// [`NoPeer::Untrusted`] if not.
    pub fn admit(&self, address: IpAddr) -> Result<(), NoPeer> {
        let address = address.to_canonical();
        if self.from.iter().any(|network| network.contains(&address)) {
            return Ok(());
        }
        Err(NoPeer::Untrusted)
    }
}

impl Peer {
    /// The other end of a connection as TCP has it.
    pub fn direct(socket: &TcpStream, client: SocketAddr) -> io::Result<Self> {
        Ok(Self {
            client: canonical(client),
            server: canonical(socket.local_addr()?),
            proxied_by: None,
            tls: None,
        })
    }

    /// Reads the header that one of these proxies has to send, and nothing behind it.
    ///
    /// # Errors
    /// Without a whole and sound one in time.
    pub async fn through(self, proxies: &Proxies, socket: &mut TcpStream) -> Result<Self, NoPeer> {
        let header = timeout(HEADER_TIME, header(socket)).await;
        match header.unwrap_or(Err(NoPeer::TimedOut))? {
            Header::Local => Ok(self),
            Header::Proxied(proxied) => Ok(Self {
                client: canonical(proxied.client),
                server: canonical(proxied.server),
                proxied_by: Some(self.client),
                tls: proxied.tls.map(|tls| judged(tls, proxies)),
            }),
        }
    }
}

fn judged(claim: Tls, proxies: &Proxies) -> Tls {
    let origin = match proxies.trust_tls {
        true => Origin::TrustedProxy,
        false => Origin::Proxy,
    };
    Tls { origin, ..claim }
}

async fn header(stream: &mut (impl AsyncRead + Unpin)) -> Result<Header, NoPeer> {
    let mut octets = Vec::new();
    loop {
        let missing = match proxy::parse(&octets)? {
            Progress::Whole(header, _) => return Ok(header),
            Progress::More(missing) => missing,
        };
        let known = octets.len();
        octets.resize(known + missing, 0);
        let read = stream.read(&mut octets[known..]).await?;
        if read == 0 {
            return Err(NoPeer::Closed);
        }
        octets.truncate(known + read);
    }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_known_by_their_networks() {
        let networks = ["10.0.0.0/8", "2001:db8::/32"];
        let proxies = Proxies {
            from: networks.map(|net| net.parse().expect("a network")).into(),
            trust_tls: false,
        };
        for (address, admitted) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("11.1.2.3", false),
            ("2001:db8::1", true),
            ("2001:db9::1", false),
            ("::1", false),
        ] {
            let address = address.parse().expect("an address");
            assert_eq!(proxies.admit(address).is_ok(), admitted, "{address}");
        }
    }

    /// What is behind the header is the client's, and stays for whoever reads it.
    #[tokio::test]
    async fn not_an_octet_behind_the_header_is_read() {
        let header_v2 =
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\xc0\0\x02\x02\0\x01\0\x02";
        for before in [
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n".as_slice(),
            b"PROXY UNKNOWN\r\n",
            header_v2,
        ] {
            for behind in [b"".as_slice(), b"\r\n", b"\x16\x03\x01", b"EHLO x\r\n"] {
                let all = [before, behind].concat();
                let mut stream = all.as_slice();
                header(&mut stream).await.expect("a header");
                assert_eq!(stream, behind);
            }
        }
    }

    #[tokio::test]
    async fn a_header_that_ends_early_is_none() {
        let mut stream = b"PROXY TCP4 192.0.2.1".as_slice();
        let error = header(&mut stream).await.expect_err("it is not whole");
        assert_eq!(error.word(), "closed");
    }
}
