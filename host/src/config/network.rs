//! Networks: ranges of client addresses.

use std::net::IpAddr;

use ipnet::IpNet;

use super::reader::{Table, Value, shown};

/// The networks under a key; none where there is no such key.
pub(super) fn networks(table: &Table<'_>, key: &str) -> Option<Vec<IpNet>> {
    let elements = table.get(key)?.elements();
    Some(elements.iter().filter_map(network).collect())
}

/// A network, or one address.
fn network(value: &Value<'_>) -> Option<IpNet> {
    let text = value.text()?;
    let address = text.parse::<IpAddr>().map(IpNet::from);
    let Ok(net) = text.parse::<IpNet>().or(address) else {
        value.fault(format_args!(
            "{:?} is not a network: write \"192.0.2.0/24\" or \"2001:db8::/32\"",
            shown(text)
        ));
        return None;
    };
    let mapped = matches!(net.addr(), IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
    if mapped {
        let message = "an IPv4 client is matched by its IPv4 address: write it without ::ffff:";
        value.fault(format_args!("{text:?} matches nothing: {message}"));
        return None;
    }
    if net != net.trunc() {
        let right = net.trunc();
        value.fault(format_args!(
            "{text:?} has bits beyond its prefix: write {right}"
        ));
        return None;
    }
    Some(net)
}
