//! Whom limits count as one: a client, and the network it is in.

use std::net::{IpAddr, Ipv6Addr};

/// The part of an IPv6 address that a client cannot choose: whoever has one address has
/// the other 2^64 of the subnet, too.
const IPV6_CLIENT: u8 = 64;

/// The longest prefix that is routed between providers, and what one tenant of a
/// hosting company rents at most.
const IPV4_NETWORK: u8 = 24;

/// The most that a site is given (RFC 6177), and the longest prefix that is routed.
const IPV6_NETWORK: u8 = 48;

/// Where a connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// An IPv4 address, or the first of an IPv6 /64.
    pub client: IpAddr,
    /// The first address of an IPv4 /24 or an IPv6 /48.
    pub network: IpAddr,
}

impl Source {
    /// That of a client's address; IPv4 inside IPv6 is IPv4.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => {
                let network = u32::from(v4) & (u32::MAX << (32 - IPV4_NETWORK));
                Self {
                    client: v4.into(),
                    network: IpAddr::V4(network.into()),
                }
            }
            IpAddr::V6(v6) => Self {
                client: first_of(v6, IPV6_CLIENT),
                network: first_of(v6, IPV6_NETWORK),
            },
        }
    }
}

fn first_of(address: Ipv6Addr, prefix: u8) -> IpAddr {
    let kept = u128::from(address) & (u128::MAX << (128 - prefix));
    IpAddr::V6(kept.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_and_networks() {
        for (address, client, network) in [
            ("192.0.2.77", "192.0.2.77", "192.0.2.0"),
            ("::ffff:192.0.2.77", "192.0.2.77", "192.0.2.0"),
            ("255.255.255.255", "255.255.255.255", "255.255.255.0"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::", "2001:db8:1::"),
            ("2001:db8:1:ffff::", "2001:db8:1:ffff::", "2001:db8:1::"),
            ("::1", "::", "::"),
        ] {
            let parse = |text: &str| text.parse::<IpAddr>().expect("an address");
            let expected = Source {
                client: parse(client),
                network: parse(network),
            };
            assert_eq!(Source::of(parse(address)), expected, "{address}");
        }
    }
}
