//! The header that a proxy puts before a connection: PROXY protocol, versions 1 and 2
//! (<https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>).
//!
//! **Pure functions of octets**: whoever reads asks [`parse`] how many octets more
//! belong to the header, and reads no more than these, since what is behind them is the
//! client's. No input panics, and none makes it ask for more than [`LONGEST`].
//!
//! What a header says of TLS is the proxy's claim. Deliberately not here: who may send
//! a header, and what a claim is worth.

mod binary;
mod claim;
mod line;

use std::net::SocketAddr;

use crate::facts::Tls;

/// The longest header that is taken, in octets.
pub const LONGEST: usize = binary::FIXED + binary::LONGEST_BLOCK;

/// What a header says.
#[derive(Clone, Debug, PartialEq)]
pub enum Header {
    /// The connection is the proxy's own, such as a health check, or one of which it
    /// knows no addresses: those of the connection itself count.
    Local,
    /// The connection is a client's.
    Proxied(Box<Proxied>),
}

/// A connection that came to a proxy.
#[derive(Clone, Debug, PartialEq)]
pub struct Proxied {
    /// Whose it is.
    pub client: SocketAddr,
    /// Where it went.
    pub server: SocketAddr,
    /// What the proxy says of its TLS; none in clear, or where it says nothing.
    pub tls: Option<Tls>,
}

/// How far a header has come.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// At least so many octets more belong to it.
    More(usize),
    /// It is whole, and that many octets long.
    Whole(Header, usize),
}

/// Why octets are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// They begin like neither version.
    #[error("no PROXY header")]
    Missing,
    /// Over the limit of its version.
    #[error("PROXY header too long")]
    TooLong,
    /// They break the grammar.
    #[error("malformed PROXY header")]
    Malformed,
    /// The checksum is that of another header.
    #[error("wrong checksum of the PROXY header")]
    Checksum,
}

/// Reads a header from the first octets of a connection.
///
/// # Errors
/// As soon as it is known that they begin no header.
pub fn parse(octets: &[u8]) -> Result<Progress, HeaderError> {
    match octets {
        // Either version may come.
        [] => Ok(Progress::More(line::SHORTEST)),
        _ if agree(octets, &binary::SIGNATURE) => binary::parse(octets),
        _ if agree(octets, line::PREFIX) => line::parse(octets),
        _ => Err(HeaderError::Missing),
    }
}

/// Whether one of them begins with the other.
fn agree(octets: &[u8], beginning: &[u8]) -> bool {
    octets.iter().zip(beginning).all(|(a, b)| a == b)
}

#[cfg(test)]
mod tests;
