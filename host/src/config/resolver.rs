//! `[dns]`: whom the host asks for clients' names.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::fault::Located;
use super::keys;
use super::reader::{Table, Value};
use crate::reverse_name::ReverseNameSettings;

/// The port of DNS (RFC 1035, section 4.2).
const PORT: u16 = 53;

pub(super) fn reverse_names(table: &Table<'_>) -> Option<Located<ReverseNameSettings>> {
    // Faults are faults, whether the table counts or not.
    let servers = table.elements("servers");
    let settings = ReverseNameSettings {
        servers: servers.iter().filter_map(server).collect(),
        timeout: Duration::from_millis(table.number(&keys::DNS_TIMEOUT)),
    };
    if let Some(named) = table.get("servers")
        && named
            .node()
            .as_array()
            .is_some_and(|array| array.is_empty())
    {
        named.fault("no server is named: name one, or remove the key");
    }
    let wanted = table.get("reverse_names")?;
    (wanted.boolean() == Some(true)).then(|| wanted.located(settings))
}

fn server(value: &Value<'_>) -> Option<SocketAddr> {
    let text = value.text()?;
    let address = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, PORT));
    let parsed = text.parse().or(address);
    if parsed.is_err() {
        value.fault(format_args!(
            "{text:?} is not the address of a name server: write \"192.0.2.53\", \
             \"192.0.2.53:5353\" or \"[2001:db8::53]:5353\""
        ));
    }
    parsed.ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tests::Files;
    use crate::config::Config;

    fn read(dns: &str) -> Result<Config, String> {
        let files = Files::new();
        files.write("portcullis.toml", format!("[dns]\n{dns}\n"));
        files.read()
    }

    #[test]
    fn servers() {
        let config = read(
            "reverse_names = true\n\
             servers = [\"192.0.2.53\", \"127.0.0.1:5353\", \"2001:db8::53\", \"[::1]:54\"]",
        );
        let settings = config
            .expect("no fault")
            .reverse_names
            .expect("it is on")
            .value;
        let servers: Vec<String> = settings.servers.iter().map(ToString::to_string).collect();
        let expected = [
            "192.0.2.53:53",
            "127.0.0.1:5353",
            "[2001:db8::53]:53",
            "[::1]:54",
        ];
        assert_eq!(servers, expected);
        assert_eq!(settings.timeout, Duration::from_secs(3));
        let off = read("servers = [\"192.0.2.53\"]").expect("no fault");
        assert!(off.reverse_names.is_none());
    }

    #[test]
    fn faults() {
        for (dns, expected) in [
            (
                "servers = []",
                "dns.servers: no server is named: name one, or remove the key",
            ),
            (
                "servers = [\"ns.example\"]",
                "dns.servers[0]: \"ns.example\" is not the address of a name server: write \
                 \"192.0.2.53\", \"192.0.2.53:5353\" or \"[2001:db8::53]:5353\"",
            ),
            (
                "timeout_ms = 99",
                "dns.timeout_ms: 99 is not within 100 to 30000",
            ),
        ] {
            let found = read(dns).err().unwrap_or_default();
            assert_eq!(found, format!("portcullis.toml:2: {expected}"));
        }
    }
}
