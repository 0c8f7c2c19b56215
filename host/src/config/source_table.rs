//! `[sources]`: how a tenant's own servers are recognised.
//!
//! **Nobody is recognised by what anybody can have**: not by a network that is nearly
//! everybody's, and not by a name alone, which counts only in a certificate that the
//! tenant's trust finds under an anchor (see [`Sources`]).

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use super::fault::Located;
use super::keys;
use super::network::network;
use super::reader::{Table, Value};
use super::tenant_file::pins;
use crate::address::Domain;
use crate::digest::Fingerprint;
use crate::tenant::Sources;

/// The largest private network is 10.0.0.0/8; nobody's own is larger.
const SHORTEST_V4: u8 = 8;
/// Registries give out /32 and, to the very largest, a /19.
const SHORTEST_V6: u8 = 19;
/// Unique local addresses (RFC 4193), which are private as a whole.
const UNIQUE_LOCAL: u8 = 7;

/// The sources of a tenant; empty where it names none.
pub(super) fn read(tenant: &Table<'_>) -> Located<Sources> {
    let table = tenant.section("sources", &keys::SOURCES);
    let mut names = Vec::new();
    let mut keys_of = BTreeSet::new();
    for certificate in table.sections("certificate", &keys::SOURCE_CERTIFICATE) {
        match identity(&certificate) {
            Some(Identity::Names(more)) => names.extend(more),
            Some(Identity::Pins(more)) => keys_of.extend(more),
            None => {}
        }
    }
    Located {
        value: Sources::new(networks(&table), names, keys_of),
        at: table.at(),
    }
}

fn networks(table: &Table<'_>) -> Vec<IpNet> {
    let elements = table.elements("networks");
    let own = elements.iter().filter_map(|element| {
        let network = network(element)?;
        if is_too_wide(&network) {
            element.fault(format_args!(
                "{network} is far more than a tenant's own servers, and everybody in it could \
                 send mail through this host: name the addresses of the servers"
            ));
            return None;
        }
        Some(network)
    });
    own.collect()
}

fn is_too_wide(network: &IpNet) -> bool {
    let shortest = match network.addr() {
        IpAddr::V4(_) => SHORTEST_V4,
        IpAddr::V6(address) if address.is_unique_local() => UNIQUE_LOCAL,
        IpAddr::V6(_) => SHORTEST_V6,
    };
    network.prefix_len() < shortest
}

/// By what a certificate is recognised.
enum Identity {
    Names(Vec<Domain>),
    Pins(BTreeSet<Fingerprint>),
}

/// Either, since both in one table would leave open whether both must hold.
fn identity(table: &Table<'_>) -> Option<Identity> {
    let names = table.get("names").map(|value| {
        let elements = value.elements();
        if elements.is_empty() && value.node().is_array() {
            value.fault("no certificate has one of no names: name one, or remove the key");
        }
        elements.iter().filter_map(Value::parsed).collect()
    });
    let pinned = table.get("pins").map(|value| {
        if value.node().as_array().is_some_and(|pins| pins.is_empty()) {
            value.fault("no key is one of no pins: name one, or remove the key");
        }
        pins(table, "pins")
    });
    match (names, pinned) {
        (Some(names), None) => Some(Identity::Names(names)),
        (None, Some(pins)) => Some(Identity::Pins(pins)),
        (Some(_), Some(_)) => {
            table.report(
                "pins",
                "either names or pins: give each a [[sources.certificate]] of its own",
            );
            None
        }
        (None, None) => {
            table.missing("a certificate is recognised by \"names\" or by \"pins\": add one");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{faults_of, sound};

    fn faults(sources: &str) -> String {
        faults_of(&format!("[sources]\n{sources}")).replace("tenants/a.toml:", "")
    }

    #[test]
    fn faults_of_sources() {
        for (sources, expected) in [
            (
                "networks = [\"192.0.2.1/24\"]",
                "3: sources.networks[0]: \"192.0.2.1/24\" has bits beyond its prefix: write 192.0.2.0/24",
            ),
            (
                "network = [\"192.0.2.0/24\"]",
                "3: sources.network: unknown key; did you mean \"networks\"?",
            ),
            (
                "[[sources.certificate]]",
                "3: sources.certificate[0]: a certificate is recognised by \"names\" or by \"pins\": add one",
            ),
            (
                "[[sources.certificate]]\nnames = []",
                "4: sources.certificate[0].names: no certificate has one of no names: name one, or remove the key",
            ),
            (
                "[[sources.certificate]]\nnames = [\"*.acme.example\"]",
                "4: sources.certificate[0].names[0]: \"*.acme.example\" is not a domain name",
            ),
            (
                "[[sources.certificate]]\npins = []",
                "4: sources.certificate[0].pins: no key is one of no pins: name one, or remove the key",
            ),
            (
                "[[sources.certificate]]\nnames = [\"mail.acme.example\"]\n\
                 pins = [\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"]",
                "5: sources.certificate[0].pins: either names or pins: give each a [[sources.certificate]] of its own",
            ),
        ] {
            assert_eq!(faults(sources), expected, "{sources}");
        }
    }

    #[test]
    fn what_is_nearly_everybody_is_no_source() {
        for network in [
            "0.0.0.0/0",
            "::/0",
            "0.0.0.0/1",
            "128.0.0.0/1",
            "2000::/3",
            "2001::/16",
            "8000::/1",
        ] {
            let found = faults(&format!("networks = [\"192.0.2.1\", \"{network}\"]"));
            let expected = format!(
                "3: sources.networks[1]: {network} is far more than a tenant's own servers, and \
                 everybody in it could send mail through this host: name the addresses of the servers"
            );
            assert_eq!(found, expected);
        }
        for network in ["10.0.0.0/8", "fc00::/7", "2001:db8::/32", "192.0.2.1"] {
            let config = sound(&format!("[sources]\nnetworks = [\"{network}\"]"));
            assert!(!config.tenants[0].sources.value.is_empty(), "{network}");
        }
    }
}
