//! Addresses of the envelope and of the header.

use std::fmt;

use crate::domain::Domain;

/// A mail address as the host gives it: the local part byte for byte, the domain in
/// lower case with A-labels.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(String);

impl Address {
    pub(crate) fn new(text: String) -> Self {
        Self(text)
    }

    /// The whole address.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands before the last `@`. Only its owner may fold its case (RFC 5321,
    /// section 2.4).
    pub fn local_part(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(local, _)| local)
    }

    /// The domain; none where an address literal such as `[192.0.2.1]` stands instead.
    pub fn domain(&self) -> Option<Domain> {
        let (_, domain) = self.0.rsplit_once('@')?;
        domain.parse().ok()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        for (text, local, domain) in [
            ("a@example.com", "a", Some("example.com")),
            ("\"a@b\"@example.com", "\"a@b\"", Some("example.com")),
            ("a@[192.0.2.1]", "a", None),
            ("a@[IPv6:2001:db8::1]", "a", None),
            ("nobody", "", None),
        ] {
            let address = Address::new(text.to_owned());
            assert_eq!(address.local_part(), local, "{text}");
            let found = address.domain();
            assert_eq!(found.as_ref().map(Domain::as_str), domain, "{text}");
        }
    }
}
