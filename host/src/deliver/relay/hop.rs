//! A next hop as it is configured.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use rustls_pki_types::CertificateDer;

use crate::address::Domain;

/// A next hop, configured and checked. Equal hops can share their connections, so a
/// reload keeps those of a hop that did not change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextHop {
    /// What is spoken.
    pub protocol: Protocol,
    /// Where.
    pub address: HopAddress,
    /// How it is protected.
    pub tls: HopTls,
    /// Most connections at one time, at least 1.
    pub connections: usize,
    /// How long a connection without a transaction is kept.
    pub keep_idle: Duration,
    /// For the connection, the greeting, EHLO and TLS together; also for a place among
    /// the connections, and again for the second attempt of opportunistic TLS.
    pub connect_timeout: Duration,
    /// For each reply but those to the content (RFC 5321, section 4.5.3.2).
    pub command_timeout: Duration,
    /// From the final dot to the last reply to the content; as long again for sending
    /// the content itself.
    pub delivery_timeout: Duration,
}

/// The protocol of a next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// RFC 2033: a reply to the content for each recipient.
    Lmtp,
    /// RFC 5321: one reply to the content.
    Smtp,
}

/// Where a next hop is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HopAddress {
    /// A socket of this machine; for LMTP.
    Unix(PathBuf),
    /// A name or an address, and a port.
    Tcp {
        /// Name, IPv4 address, or IPv6 address without brackets.
        host: String,
        /// Port.
        port: u16,
    },
}

/// How the connection to a next hop is protected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HopTls {
    /// Not at all.
    None,
    /// Against those who only listen: TLS with any certificate where it can be had,
    /// else in clear.
    Opportunistic,
    /// Against those who interfere as well: STARTTLS with a certificate for `name`, or
    /// no mail.
    Verified {
        /// Name of the next hop that its certificate has to match.
        name: Domain,
        /// Whose word counts; the public roots where there are none.
        anchors: Vec<CertificateDer<'static>>,
    },
}

impl fmt::Display for NextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.protocol, self.address)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lmtp => "lmtp",
            Self::Smtp => "smtp",
        })
    }
}

impl fmt::Display for HopAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
        }
    }
}
