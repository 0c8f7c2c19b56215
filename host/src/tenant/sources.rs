//! How a tenant's own servers are recognised: by their addresses, or by their client
//! certificates.
//!
//! **Nobody is recognised by what they can make themselves.** The address is the one
//! that the host saw, or was told by a proxy that its listener names. A pin is a key
//! whose possession the handshake has proved. A name in a certificate is only a claim
//! until somebody vouches for it: it counts where the tenant's trust finds the
//! certificate under an anchor, never by the tenant's pins nor for being self-signed,
//! whatever the tenant accepts otherwise.

use std::collections::BTreeSet;

use ipnet::IpNet;

use crate::address::Domain;
use crate::digest::Fingerprint;
use crate::facts::{ClientCertificate, Connection};

/// The servers of a tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    networks: Vec<IpNet>,
    names: Vec<Domain>,
    pins: BTreeSet<Fingerprint>,
}

/// What the connection alone says of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recognition {
    /// It is none of the tenant's servers.
    None,
    /// It is one if the tenant's trust finds its certificate under an anchor.
    ByName,
    /// It is one.
    Certain,
}

impl Sources {
    /// Servers in these networks, or with a certificate for one of these host names or
    /// with one of these keys.
    pub fn new(networks: Vec<IpNet>, names: Vec<Domain>, pins: BTreeSet<Fingerprint>) -> Self {
        Self {
            networks,
            names,
            pins,
        }
    }

    /// The tenant names no servers.
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty() && self.names.is_empty() && self.pins.is_empty()
    }

    /// Whether the client is one of these, as far as that can be told without looking
    /// for who vouches for its certificate.
    pub fn recognise(&self, connection: &Connection) -> Recognition {
        // A dual-stack socket shows IPv4 clients as ::ffff:192.0.2.1.
        let client = connection.client.ip().to_canonical();
        if self
            .networks
            .iter()
            .any(|network| network.contains(&client))
        {
            return Recognition::Certain;
        }
        let given = connection.tls.as_ref().map(|tls| &tls.client_certificate);
        let Some(ClientCertificate::Given(certificate)) = given else {
            return Recognition::None;
        };
        if self.pins.contains(&certificate.spki_sha256) {
            return Recognition::Certain;
        }
        match self.names.iter().any(|name| certificate.claims(name)) {
            true => Recognition::ByName,
            false => Recognition::None,
        }
    }

    /// A network of servers and one of these that have addresses in common.
    pub fn overlap_with<'a>(&'a self, others: &'a [IpNet]) -> Option<(&'a IpNet, &'a IpNet)> {
        let mut pairs = self
            .networks
            .iter()
            .flat_map(|own| others.iter().map(move |other| (own, other)));
        let overlaps =
            |(own, other): &(&IpNet, &IpNet)| own.contains(*other) || other.contains(*own);
        pairs.find(overlaps)
    }

    /// Something by which a client would be one of both tenants' servers, for people.
    pub fn shared_with(&self, other: &Self) -> Option<String> {
        let mut networks = self.networks.iter().flat_map(|own| {
            let overlaps = |net: &&IpNet| own.contains(*net) || net.contains(own);
            other
                .networks
                .iter()
                .find(overlaps)
                .map(|_| own.to_string())
        });
        let mut names = self.names.iter().filter(|name| other.names.contains(name));
        let mut pins = self.pins.intersection(&other.pins);
        networks
            .next()
            .or_else(|| names.next().map(ToString::to_string))
            .or_else(|| pins.next().map(ToString::to_string))
    }
}

#[cfg(test)]
mod tests;
