//! Which host is asked.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use url::{Host, Url};

/// Which host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Target {
    /// Over the network.
    Url(Address),
    /// Over this socket.
    Socket(PathBuf),
    /// Over the socket in the data directory that this file names.
    Config(PathBuf),
}

/// What is said beside the command line. What is empty is not said.
#[derive(Debug, Default)]
pub(super) struct Environment {
    pub(super) url: Option<String>,
    pub(super) token: Option<String>,
}

impl Environment {
    pub(super) fn of_process() -> Self {
        let said = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            url: said("PORTCULLIS_URL"),
            token: said("PORTCULLIS_TOKEN"),
        }
    }
}

/// Where an admin API is: `http://` or `https://`, a host, perhaps a port and a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Address(Url);

/// Not such an address, or not for tokens.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::cli) enum AddressError {
    #[error("{0:?} is no URL of an admin API: write one such as https://mx.example:8925")]
    Url(String),
    #[error(
        "{0:?} has a user, a query or a fragment: leave it out; a token is in PORTCULLIS_TOKEN or in a --token-file"
    )]
    More(String),
    #[error(
        "the token would go to {0} in clear, for everybody on the way to read: use https://, or a tunnel (ssh -L 8925:127.0.0.1:8925 {0}) and http://127.0.0.1:8925"
    )]
    Clear(String),
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let not_one = || AddressError::Url(text.to_owned());
        let url = Url::parse(text).map_err(|_| not_one())?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(not_one());
        }
        let is_bare = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        match is_bare {
            true => Ok(Self(url)),
            // It may be a secret.
            false => Err(AddressError::More(format!("{}://…", url.scheme()))),
        }
    }
}

impl Address {
    pub(super) fn url(&self) -> &Url {
        &self.0
    }

    pub(super) fn is_secure(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Whether nobody but the host reads what goes there.
    pub(super) fn may_carry_a_token(&self) -> Result<(), AddressError> {
        let is_here = match self.0.host() {
            Some(Host::Ipv4(ip)) => IpAddr::V4(ip).is_loopback(),
            Some(Host::Ipv6(ip)) => IpAddr::V6(ip).is_loopback(),
            // RFC 6761, section 6.3; what it resolves to is looked at as well.
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        };
        let name = || self.0.host_str().unwrap_or_default().to_owned();
        match self.is_secure() || is_here {
            true => Ok(()),
            false => Err(AddressError::Clear(name())),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_bare() {
        for (text, sound) in [
            ("http://127.0.0.1:8925", true),
            ("https://mx.example/", true),
            ("https://proxy.example/portcullis", true),
            ("http://[::1]:8925", true),
            ("mx.example:8925", false),
            ("127.0.0.1:8925", false),
            ("ftp://mx.example", false),
            ("https://", false),
            ("unix:/run/admin.sock", false),
            ("https://amy@mx.example", false),
            ("https://amy:secret@mx.example", false),
            ("https://mx.example/?token=secret", false),
            ("https://mx.example/#secret", false),
            ("", false),
        ] {
            let parsed = text.parse::<Address>();
            assert_eq!(parsed.is_ok(), sound, "{text}: {parsed:?}");
            let said = parsed.err().map(|error| error.to_string());
            assert!(!said.unwrap_or_default().contains("secret"), "{text}");
        }
    }

    #[test]
    fn tokens_go_to_this_machine_or_in_tls() {
        for (text, may) in [
            ("http://127.0.0.1:8925", true),
            ("http://127.9.9.9", true),
            ("http://[::1]:8925", true),
            ("http://localhost:8925", true),
            ("https://mx.example", true),
            ("https://192.0.2.1", true),
            ("http://mx.example", false),
            ("http://192.0.2.1:8925", false),
            ("http://localhost.mx.example", false),
            ("http://[2001:db8::1]", false),
            ("http://0.0.0.0", false),
        ] {
            let address: Address = text.parse().expect(text);
            assert_eq!(address.may_carry_a_token().is_ok(), may, "{text}");
        }
    }
}
