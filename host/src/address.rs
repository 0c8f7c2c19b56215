//! Domains and mailboxes of the envelope, parsed once at the edge.
//!
//! Domains are kept in lower case with IDNA A-labels, so that two spellings of one
//! domain are equal. Local parts are kept byte for byte: only their owner may fold
//! them (RFC 5321, section 2.4).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest domain in octets (RFC 5321, section 4.5.3.1.2).
pub const MAX_DOMAIN: usize = 255;
/// Longest path in octets, brackets included (RFC 5321, section 4.5.3.1.3).
pub const MAX_PATH: usize = 256;
/// Longest local part in octets (RFC 5321, section 4.5.3.1.1).
pub const MAX_LOCAL_PART: usize = 64;

/// A DNS domain, lower case, A-labels, no trailing dot.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Domain(String);

/// What stands behind the `@` of a mailbox.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    /// A domain.
    Domain(Domain),
    /// An address literal such as `[192.0.2.1]` (RFC 5321, section 4.1.3).
    Literal(IpAddr),
}

/// A mailbox: local part and host.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mailbox {
    local: String,
    host: Host,
}

/// Why a text is no domain or mailbox.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not a domain name.
    #[error("{0:?} is not a domain name")]
    Domain(String),
    /// A domain over [`MAX_DOMAIN`].
    #[error("a domain of {0} octets is over the limit of {MAX_DOMAIN}")]
    LongDomain(usize),
    /// No `@`, or nothing before it.
    #[error("{0:?} is not a mailbox: write local-part@domain")]
    Mailbox(String),
    /// Not an address literal.
    #[error("{0:?} is not an address literal: write [192.0.2.1] or [IPv6:2001:db8::1]")]
    Literal(String),
    /// A local part over [`MAX_LOCAL_PART`].
    #[error("a local part of {0} octets is over the limit of {MAX_LOCAL_PART}")]
    LongLocalPart(usize),
    /// A path over [`MAX_PATH`].
    #[error("a path of {0} octets is over the limit of {MAX_PATH}")]
    LongPath(usize),
    /// A local part that breaks the grammar.
    #[error("{0:?} is not a local part")]
    LocalPart(String),
}

impl Domain {
    /// The domain as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is `other` or lies below it.
    pub fn is_within(&self, other: &Domain) -> bool {
        self == other || self.is_below(other)
    }

    /// Whether this lies below `other`.
    pub fn is_below(&self, other: &Domain) -> bool {
        self.0
            .strip_suffix(other.as_str())
            .is_some_and(|rest| rest.ends_with('.'))
    }
}

impl FromStr for Domain {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let fault = || AddressError::Domain(text.to_owned());
        let bare = text.strip_suffix('.').unwrap_or(text);
        let ascii = idna::domain_to_ascii_cow(bare.as_bytes(), idna::AsciiDenyList::EMPTY)
            .map_err(|_| fault())?;
        if ascii.len() > MAX_DOMAIN {
            return Err(AddressError::LongDomain(ascii.len()));
        }
        // An all-numeric last label is an address without its brackets.
        let numeric = ascii
            .rsplit('.')
            .next()
            .is_some_and(|l| l.bytes().all(|b| b.is_ascii_digit()));
        if numeric || !ascii.split('.').all(is_label) {
            return Err(fault());
        }
        Ok(Self(ascii.into_owned()))
    }
}

/// A label of letters, digits, hyphens and underscores (which real hosts carry).
fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

impl FromStr for Host {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        match text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
            Some(literal) => parse_literal(literal)
                .map(Self::Literal)
                .ok_or_else(|| AddressError::Literal(text.to_owned())),
            None => text.parse().map(Self::Domain),
        }
    }
}

fn parse_literal(inner: &str) -> Option<IpAddr> {
    match inner.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("IPv6:") => {
            inner.get(5..)?.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
        }
        _ => inner.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

impl Mailbox {
    /// The local part as it was written, quotes included.
    pub fn local(&self) -> &str {
        &self.local
    }

    /// The domain; none for an address literal.
    pub fn domain(&self) -> Option<&Domain> {
        match &self.host {
            Host::Domain(domain) => Some(domain),
            Host::Literal(_) => None,
        }
    }
}

impl FromStr for Mailbox {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (local, host) = text
            .rsplit_once('@')
            .filter(|(local, _)| !local.is_empty())
            .ok_or_else(|| AddressError::Mailbox(text.to_owned()))?;
        if local.len() > MAX_LOCAL_PART {
            return Err(AddressError::LongLocalPart(local.len()));
        }
        if !is_dot_string(local) && !is_quoted_string(local) {
            return Err(AddressError::LocalPart(local.to_owned()));
        }
        Ok(Self {
            local: local.to_owned(),
            host: host.parse()?,
        })
    }
}

/// Dot-string (RFC 5321, section 4.1.2), and non-ASCII (RFC 6531, section 3.3).
fn is_dot_string(local: &str) -> bool {
    local
        .split('.')
        .all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}

fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || "!#$%&'*+-/=?^_`{|}~".contains(c)
        || (!c.is_ascii() && !c.is_control())
}

/// Quoted-string (RFC 5321, section 4.1.2).
fn is_quoted_string(local: &str) -> bool {
    let Some(inner) = local.strip_prefix('"').and_then(|l| l.strip_suffix('"')) else {
        return false;
    };
    let mut characters = inner.chars();
    while let Some(c) = characters.next() {
        let sound = match c {
            '\\' => characters.next().is_some_and(|c| (' '..='~').contains(&c)),
            '"' => false,
            c => (' '..='~').contains(&c) || (!c.is_ascii() && !c.is_control()),
        };
        if !sound {
            return false;
        }
    }
    !inner.is_empty()
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Domain(domain) => write!(f, "{}@{domain}", self.local),
            Host::Literal(IpAddr::V4(v4)) => write!(f, "{}@[{v4}]", self.local),
            Host::Literal(IpAddr::V6(v6)) => write!(f, "{}@[IPv6:{v6}]", self.local),
        }
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

macro_rules! text_conversions {
    ($($name:ident),*) => {$(
        impl TryFrom<String> for $name {
            type Error = AddressError;

            fn try_from(text: String) -> Result<Self, AddressError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }
    )*};
}

text_conversions!(Domain, Mailbox);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_are_normalised() {
        for (text, domain) in [
            ("Example.COM", "example.com"),
            ("example.com.", "example.com"),
            ("Bücher.example", "xn--bcher-kva.example"),
            ("_tcp.example.com", "_tcp.example.com"),
            ("localhost", "localhost"),
        ] {
            assert_eq!(
                text.parse::<Domain>().map(String::from),
                Ok(domain.to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_domain() {
        for text in [
            "",
            ".",
            "a..b",
            "-a.b",
            "a-.b",
            "a b",
            "192.0.2.1",
            "a\0b",
            "a@b",
            "xn--\u{ff}",
        ] {
            assert!(text.parse::<Domain>().is_err(), "{text:?}");
        }
        assert!(
            ["a"; 200].join(".").parse::<Domain>().is_err(),
            "over 255 octets"
        );
    }

    #[test]
    fn mailboxes() {
        for (text, shown) in [
            ("A.b+c@Example.com", "A.b+c@example.com"),
            ("\"a b\"@example.com", "\"a b\"@example.com"),
            ("\"a@b\"@example.com", "\"a@b\"@example.com"),
            ("δοκιμή@example.com", "δοκιμή@example.com"),
            ("a@[192.0.2.1]", "a@[192.0.2.1]"),
            ("a@[ipv6:2001:db8::1]", "a@[IPv6:2001:db8::1]"),
        ] {
            assert_eq!(
                text.parse::<Mailbox>().map(String::from),
                Ok(shown.to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_mailbox() {
        for text in [
            "",
            "a",
            "@b",
            "a@",
            ".a@b",
            "a.@b",
            "a..b@c",
            "a b@c",
            "\"a@b",
            "\"a\"b\"@c",
            "\"\"@c",
            "a@[300.1.1.1]",
            "a@[::1]",
            "a\r@b",
            "a@b@c",
            "a>b@c",
        ] {
            assert!(text.parse::<Mailbox>().is_err(), "{text:?}");
        }
        assert!(format!("{}@b", "x".repeat(65)).parse::<Mailbox>().is_err());
    }

    #[test]
    fn below_is_a_matter_of_labels() {
        let domain = |text: &str| text.parse::<Domain>().expect("a domain");
        assert!(domain("mx.example.com").is_below(&domain("example.com")));
        assert!(!domain("example.com").is_below(&domain("example.com")));
        assert!(domain("example.com").is_within(&domain("example.com")));
        assert!(!domain("badexample.com").is_within(&domain("example.com")));
    }
}
