//! Where a tenant's webhook may go: to the internet, and not into the operator's house.
//!
//! **An address is judged where it is connected to**: a name may resolve to anything, and to
//! something else the next time. Pure.

use std::net::IpAddr;

use ipnet::IpNet;

/// What is nobody's on the internet (the registries of special-purpose addresses, RFC 6890):
/// this machine, private and shared networks, links, documentation, tests, multicast, and
/// what is reserved.
const SPECIAL: [&str; 24] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/3",
    "::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "2001::/23",
    "2001:db8::/32",
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
    "fe80::/9",
    "ff00::/8",
];

/// Networks of IPv6 in which addresses of IPv4 are, and at which bit: NAT64 (RFC 6052) and
/// 6to4 (RFC 3056).
const EMBEDDING: [(&str, u32); 2] = [("64:ff9b::/96", 96), ("2002::/16", 16)];

/// Where webhooks may go.
#[derive(Clone, Debug)]
pub struct Reach {
    special: Vec<IpNet>,
    embedding: Vec<(IpNet, u32)>,
    allowed: Vec<IpNet>,
}

impl Reach {
    /// To the internet, and into these networks.
    pub fn new(allowed: Vec<IpNet>) -> Self {
        let net = |text: &str| text.parse().expect("the tables have networks");
        Self {
            special: SPECIAL.map(net).into(),
            embedding: EMBEDDING.map(|(text, bit)| (net(text), bit)).into(),
            allowed,
        }
    }

    /// Whether this address may be connected to.
    pub fn includes(&self, address: IpAddr) -> bool {
        let address = self.real(address.to_canonical());
        let is_in = |nets: &[IpNet]| nets.iter().any(|net| net.contains(&address));
        is_in(&self.allowed) || !is_in(&self.special)
    }

    /// The address of IPv4 that one of IPv6 leads to, where it does.
    fn real(&self, address: IpAddr) -> IpAddr {
        let IpAddr::V6(v6) = address else {
            return address;
        };
        let embedded = self
            .embedding
            .iter()
            .find(|(net, _)| net.contains(&address));
        match embedded {
            Some((_, bit)) => {
                let [.., one, two, three, four] = ((v6.to_bits() << bit) >> 96).to_be_bytes();
                IpAddr::from([one, two, three, four])
            }
            None => address,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_internet_is_within_reach_and_the_house_is_not() {
        let reach = Reach::new(Vec::new());
        for address in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00::1",
            "64:ff9b::101:101",
            "2002:101:101::1",
            "::ffff:1.1.1.1",
        ] {
            assert!(
                reach.includes(address.parse().expect("an address")),
                "{address}"
            );
        }
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.168.1.1",
            "198.19.0.1",
            "203.0.113.9",
            "224.0.0.1",
            "239.1.2.3",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::1",
            "2002:a9fe:a9fe::1",
            "2001::1",
            "2001:db8::1",
            "fc00::1",
            "fdff::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(
                !reach.includes(address.parse().expect("an address")),
                "{address}"
            );
        }
    }

    #[test]
    fn the_operator_may_allow_a_part_of_the_house() {
        let reach = Reach::new(vec!["127.0.0.0/8".parse().expect("a network")]);
        let includes = |text: &str| reach.includes(text.parse().expect("an address"));
        assert!(includes("127.0.0.1") && includes("::ffff:127.0.0.1"));
        assert!(!includes("10.0.0.1") && !includes("::1"));
    }
}
