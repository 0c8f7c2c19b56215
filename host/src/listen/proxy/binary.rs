//! Version 2: a fixed part, addresses, and what else the proxy has to say (section 2.2).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crc::{CRC_32_ISCSI, Crc};

use super::{Header, HeaderError, Progress, Proxied, claim};

/// What it begins with.
pub(super) const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// Octets before the block of addresses and extensions.
pub(super) const FIXED: usize = 16;

/// The longest block that is taken. The protocol has headers fit into one segment,
/// some 1,400 octets; this leaves room for a client's certificate, which some proxies
/// add, and keeps connections that never come to anything small.
pub(super) const LONGEST_BLOCK: usize = 4096;

/// CRC32C, by the name that its catalogue has for it.
const CHECKSUM: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

const AUTHORITY: u8 = 0x02;
const CRC32C: u8 = 0x03;
const SSL: u8 = 0x20;

/// Reads a header that begins like one, as far as it goes.
pub(super) fn parse(octets: &[u8]) -> Result<Progress, HeaderError> {
    let Some((fixed, behind)) = octets.split_first_chunk::<FIXED>() else {
        return Ok(Progress::More(FIXED - octets.len()));
    };
    let [.., version, family, high, low] = *fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > LONGEST_BLOCK {
        return Err(HeaderError::TooLong);
    }
    let Some(block) = behind.get(..length) else {
        return Ok(Progress::More(length - behind.len()));
    };
    let header = match version {
        // Its block, whatever is in it, is to be discarded.
        0x20 => Header::Local,
        0x21 => proxied(fixed, family, block)?,
        _ => return Err(HeaderError::Malformed),
    };
    Ok(Progress::Whole(header, FIXED + length))
}

/// TCP is what there can be behind a mail server. Of what else is valid the host
/// believes nothing, as the protocol allows.
fn proxied(fixed: &[u8; FIXED], family: u8, block: &[u8]) -> Result<Header, HeaderError> {
    let (client, server, extensions) = match family {
        0x11 => addresses(block, |octets: [u8; 4]| Ipv4Addr::from(octets).into())?,
        0x21 => addresses(block, |octets: [u8; 16]| Ipv6Addr::from(octets).into())?,
        0x00..=0x02 | 0x10 | 0x12 | 0x20 | 0x22 | 0x30..=0x32 => return Ok(Header::Local),
        _ => return Err(HeaderError::Malformed),
    };
    let mut said = Extensions::default();
    for extension in elements(extensions) {
        said.take(extension?)?;
    }
    if let Some(checksum) = said.checksum {
        let before = &block[..block.len() - extensions.len() + checksum.at];
        verify(fixed, before, checksum, block)?;
    }
    let tls = match said.ssl {
        Some(ssl) => claim::of(ssl, said.authority)?,
        None => None,
    };
    Ok(Header::Proxied(Box::new(Proxied {
        client,
        server,
        tls,
    })))
}

/// Of client and server, and what is behind them.
fn addresses<const N: usize>(
    block: &[u8],
    ip: fn([u8; N]) -> IpAddr,
) -> Result<(SocketAddr, SocketAddr, &[u8]), HeaderError> {
    let fault = HeaderError::Malformed;
    let (client, block) = block.split_first_chunk().ok_or(fault)?;
    let (server, block) = block.split_first_chunk().ok_or(fault)?;
    let (client_port, block) = block.split_first_chunk().ok_or(fault)?;
    let (server_port, block) = block.split_first_chunk().ok_or(fault)?;
    Ok((
        SocketAddr::new(ip(*client), u16::from_be_bytes(*client_port)),
        SocketAddr::new(ip(*server), u16::from_be_bytes(*server_port)),
        block,
    ))
}

/// Extensions of which the host makes something.
#[derive(Default)]
struct Extensions<'a> {
    checksum: Option<Checksum>,
    ssl: Option<&'a [u8]>,
    authority: Option<&'a [u8]>,
}

#[derive(Clone, Copy)]
struct Checksum {
    /// Where it stands among the extensions.
    at: usize,
    value: [u8; 4],
}

impl<'a> Extensions<'a> {
    /// A header that says something twice says nothing that can be relied on.
    fn take(&mut self, element: Element<'a>) -> Result<(), HeaderError> {
        let again = match element.kind {
            CRC32C => {
                let value = element.value.try_into();
                let value = value.map_err(|_| HeaderError::Malformed)?;
                let at = element.at;
                self.checksum.replace(Checksum { at, value }).is_some()
            }
            SSL => self.ssl.replace(element.value).is_some(),
            AUTHORITY => self.authority.replace(element.value).is_some(),
            _ => false,
        };
        if again {
            return Err(HeaderError::Malformed);
        }
        Ok(())
    }
}

/// The sum of the whole header, with zeros in the place of the sum (section 2.2.3).
fn verify(
    fixed: &[u8],
    before: &[u8],
    checksum: Checksum,
    block: &[u8],
) -> Result<(), HeaderError> {
    let mut digest = CHECKSUM.digest();
    digest.update(fixed);
    digest.update(before);
    digest.update(&[0; 4]);
    digest.update(&block[before.len() + checksum.value.len()..]);
    if digest.finalize() != u32::from_be_bytes(checksum.value) {
        return Err(HeaderError::Checksum);
    }
    Ok(())
}

/// A type, a length and a value.
#[derive(Clone, Copy)]
pub(super) struct Element<'a> {
    pub(super) kind: u8,
    pub(super) value: &'a [u8],
    /// Where its value stands in what it was read from.
    at: usize,
}

/// The elements that octets are made of, up to the first fault.
pub(super) fn elements(octets: &[u8]) -> impl Iterator<Item = Result<Element<'_>, HeaderError>> {
    let mut rest = octets;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let Some((kind, value, behind)) = element(rest) else {
            rest = &[];
            return Some(Err(HeaderError::Malformed));
        };
        let at = octets.len() - behind.len() - value.len();
        rest = behind;
        Some(Ok(Element { kind, value, at }))
    })
}

fn element(octets: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let ([kind, high, low], behind) = octets.split_first_chunk()?;
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    let (value, behind) = behind.split_at_checked(length)?;
    Some((*kind, value, behind))
}
