//! Version 1: a line of text (section 2.1).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use memchr::memmem;

use super::{Header, HeaderError, Progress, Proxied};

/// What it begins with.
pub(super) const PREFIX: &[u8] = b"PROXY ";

/// `PROXY UNKNOWN` and its CRLF.
pub(super) const SHORTEST: usize = 15;

/// With all that may stand behind UNKNOWN, and the CRLF.
const LONGEST: usize = 107;

/// Reads a line that begins like one, as far as it goes.
pub(super) fn parse(octets: &[u8]) -> Result<Progress, HeaderError> {
    let line = &octets[..octets.len().min(LONGEST)];
    match memmem::find(line, b"\r\n") {
        Some(end) => Ok(Progress::Whole(header(&line[..end])?, end + 2)),
        None => more(line),
    }
}

fn more(line: &[u8]) -> Result<Progress, HeaderError> {
    let of_the_end = if line.ends_with(b"\r") { 1 } else { 2 };
    let missing = of_the_end.max(SHORTEST.saturating_sub(line.len()));
    if line.len() + missing > LONGEST {
        return Err(HeaderError::TooLong);
    }
    Ok(Progress::More(missing))
}

fn header(line: &[u8]) -> Result<Header, HeaderError> {
    let line = line.strip_prefix(PREFIX).ok_or(HeaderError::Missing)?;
    // Whatever stands behind it is to be ignored.
    if line == b"UNKNOWN" || line.starts_with(b"UNKNOWN ") {
        return Ok(Header::Local);
    }
    let line = std::str::from_utf8(line).map_err(|_| HeaderError::Malformed)?;
    let words: Vec<&str> = line.split(' ').collect();
    let [family, client, server, client_port, server_port] = words[..] else {
        return Err(HeaderError::Malformed);
    };
    let address = match family {
        "TCP4" => address::<Ipv4Addr>,
        "TCP6" => address::<Ipv6Addr>,
        _ => return Err(HeaderError::Malformed),
    };
    Ok(Header::Proxied(Box::new(Proxied {
        client: SocketAddr::new(address(client)?, port(client_port)?),
        server: SocketAddr::new(address(server)?, port(server_port)?),
        tls: None,
    })))
}

fn address<A: FromStr + Into<IpAddr>>(word: &str) -> Result<IpAddr, HeaderError> {
    let parsed = word.parse::<A>().map_err(|_| HeaderError::Malformed)?;
    Ok(parsed.into())
}

/// Digits without zeros in front of them.
fn port(word: &str) -> Result<u16, HeaderError> {
    let digits = word.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || (word.len() > 1 && word.starts_with('0')) {
        return Err(HeaderError::Malformed);
    }
    word.parse().map_err(|_| HeaderError::Malformed)
}
