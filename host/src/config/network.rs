//! IP networks, as policies name those of clients, tenants those of their servers and
//! listeners those of proxies.

use std::net::IpAddr;

use ipnet::IpNet;

use super::ListenerTls;
use super::reader::{Table, Value, shown};
use crate::listen::Proxies;

/// The networks under a key; none where there is no such key.
pub(super) fn networks(table: &Table<'_>, key: &str) -> Option<Vec<IpNet>> {
    let elements = table.get(key)?.elements();
    Some(elements.iter().filter_map(network).collect())
}

/// A network, or one address.
pub(super) fn network(value: &Value<'_>) -> Option<IpNet> {
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

/// Whoever is believed here can be anybody to every policy, so it is named one by one.
pub(super) fn proxies(table: &Table<'_>, tls: ListenerTls) -> Option<Proxies> {
    let trust_tls = table.boolean("trust_proxy_tls", false);
    let value = table.get("proxy_from");
    if let Some(trust) = table.get("trust_proxy_tls").filter(|_| trust_tls) {
        if value.is_none() {
            trust.fault("there is no proxy to trust: name its address in proxy_from");
        }
        if tls == ListenerTls::Implicit {
            trust.fault(
                "with tls = \"implicit\" the host speaks TLS with the client itself: remove it",
            );
        }
    }
    let value = value?;
    let elements = value.elements();
    if value
        .node()
        .as_array()
        .is_some_and(|array| array.is_empty())
    {
        value.fault("no proxy is named: name one, or remove the key");
    }
    let from = elements.iter().filter_map(|element| {
        let network = network(element)?;
        if network.prefix_len() == 0 {
            element.fault(format_args!(
                "{network} is everybody, and everybody could claim to be anyone: name the \
                 addresses of your proxies"
            ));
        }
        Some(network)
    });
    Some(Proxies {
        from: from.collect(),
        trust_tls,
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::Files;
    use crate::config::Config;

    fn read(listener: &str) -> Result<Config, String> {
        let files = Files::new();
        let head = "[[listener]]\naddress = \"127.0.0.1:0\"";
        files.write("portcullis.toml", format!("{head}\n{listener}\n"));
        files.read()
    }

    #[test]
    fn proxies_of_a_listener() {
        let config = read(
            "private = true\nrequire_tls = true\ntls = \"none\"\n\
             proxy_from = [\"10.0.0.1\", \"2001:db8::/32\"]\ntrust_proxy_tls = true",
        );
        let config = config.expect("no fault");
        let proxies = config.listeners[0].proxies.as_ref().expect("there are");
        let from: Vec<String> = proxies.from.iter().map(ToString::to_string).collect();
        assert_eq!(from, ["10.0.0.1/32", "2001:db8::/32"]);
        assert!(proxies.trust_tls);
        let config = read("trust_proxy_tls = false").expect("no fault");
        assert_eq!(config.listeners[0].proxies, None);
    }

    #[test]
    fn faults_of_proxies() {
        for (listener, fault) in [
            (
                "proxy_from = []",
                "proxy_from: no proxy is named: name one, or remove the key",
            ),
            (
                "proxy_from = [\"10.0.0.1\", \"0.0.0.0/0\"]",
                "proxy_from[1]: 0.0.0.0/0 is everybody, and everybody could claim to be anyone: \
                 name the addresses of your proxies",
            ),
            (
                "proxy_from = [\"haproxy\"]",
                "proxy_from[0]: \"haproxy\" is not a network: write \"192.0.2.0/24\" or \
                 \"2001:db8::/32\"",
            ),
            (
                "proxy_from = \"10.0.0.1\"",
                "proxy_from: found a string, expected an array",
            ),
            (
                "trust_proxy_tls = true",
                "trust_proxy_tls: there is no proxy to trust: name its address in proxy_from",
            ),
            (
                "trust_proxy_tls = true\ntls = \"implicit\"\nproxy_from = [\"10.0.0.1\"]",
                "trust_proxy_tls: with tls = \"implicit\" the host speaks TLS with the client \
                 itself: remove it",
            ),
        ] {
            let found = read(listener).err().unwrap_or_default();
            let expected = format!("portcullis.toml:3: listener[0].{fault}");
            assert_eq!(found, expected, "{listener}");
        }
    }
}
