//! Matching a certificate's DNS names: the only implementation, used for facts,
//! requirements and policies alike.
//!
//! Never the common name. A wildcard stands for exactly one whole left-most label
//! (RFC 9525, section 6.3). Names of a certificate that are not trusted match
//! nothing: anybody can write any name into a certificate of their own.

use super::{Certificate, Facts};
use crate::address::Domain;

impl Facts {
    /// The certificate is trusted and one of its DNS names matches this host name.
    pub fn covers(&self, name: &Domain) -> bool {
        self.trusted_names()
            .any(|presented| matches(presented, name))
    }

    /// The certificate is trusted and one of its DNS names is this domain or lies
    /// below it.
    pub fn within(&self, domain: &Domain) -> bool {
        self.trusted_names()
            .any(|presented| lies_within(presented, domain))
    }

    /// The certificate, if there is one and it is trusted.
    pub fn trusted_certificate(&self) -> Option<&Certificate> {
        let trusted = self
            .trust
            .as_ref()
            .is_some_and(super::Judgement::is_trusted);
        self.certificate().filter(|_| trusted)
    }

    fn trusted_names(&self) -> impl Iterator<Item = &str> {
        self.trusted_certificate()
            .into_iter()
            .flat_map(|certificate| certificate.dns_names.iter().map(String::as_str))
    }
}

impl Certificate {
    /// Whether one of its DNS names matches this host name. **Only a claim**: whoever
    /// relies on it has to see who vouches for the certificate.
    pub fn claims(&self, name: &Domain) -> bool {
        let mut names = self.dns_names.iter();
        names.any(|presented| matches(presented, name))
    }
}

fn matches(presented: &str, name: &Domain) -> bool {
    match presented.strip_prefix("*.") {
        Some(rest) => name
            .as_str()
            .split_once('.')
            .is_some_and(|(_, parent)| is(rest, parent)),
        None => is(presented, name.as_str()),
    }
}

fn is(presented: &str, name: &str) -> bool {
    presented
        .parse::<Domain>()
        .is_ok_and(|presented| presented.as_str() == name)
}

/// `*.example.com` counts as below `example.com`: whatever it stands for is.
fn lies_within(presented: &str, domain: &Domain) -> bool {
    match presented.strip_prefix("*.") {
        Some(rest) => rest
            .parse::<Domain>()
            .is_ok_and(|rest| rest.is_within(domain)),
        None => presented
            .parse::<Domain>()
            .is_ok_and(|name| name.is_within(domain)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(text: &str) -> Domain {
        text.parse().expect("a domain")
    }

    #[test]
    fn host_names() {
        for (presented, name, expected) in [
            ("mx.example.com", "mx.example.com", true),
            ("MX.Example.com", "mx.example.com", true),
            ("*.example.com", "mx.example.com", true),
            ("*.example.com", "a.mx.example.com", false),
            ("*.example.com", "example.com", false),
            ("m*.example.com", "mx.example.com", false),
            ("mx.*.com", "mx.example.com", false),
            ("*", "com", false),
            ("*.com", "com", false),
            ("example.com", "mx.example.com", false),
            ("*.bücher.example", "mx.xn--bcher-kva.example", true),
            ("", "mx.example.com", false),
        ] {
            assert_eq!(
                matches(presented, &domain(name)),
                expected,
                "{presented} for {name}"
            );
        }
    }

    #[test]
    fn domains() {
        for (presented, parent, expected) in [
            ("partner.example", "partner.example", true),
            ("mx.partner.example", "partner.example", true),
            ("*.partner.example", "partner.example", true),
            ("*.mx.partner.example", "partner.example", true),
            ("badpartner.example", "partner.example", false),
            ("example", "partner.example", false),
            ("*.example", "partner.example", false),
        ] {
            assert_eq!(
                lies_within(presented, &domain(parent)),
                expected,
                "{presented} in {parent}"
            );
        }
    }
}
