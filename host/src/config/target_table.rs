//! Where mail goes: `[delivery]` for all tenants, `[targets.inbound]` for one, and
//! `[targets.outbound]` for what it sends to others.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::keys::{self, Number};
use super::reader::{Table, Value, shown};
use super::tenant_file::pem_texts;
use super::{HopTlsConfig, NextHopConfig, TargetConfig};
use crate::address::Domain;
use crate::deliver::{HopAddress, Protocol};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Maildir,
    NextHop(Protocol),
    Discard,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tls {
    None,
    Opportunistic,
    Verified,
}

const KINDS: [(&str, Kind); 4] = [
    ("maildir", Kind::Maildir),
    ("lmtp", Kind::NextHop(Protocol::Lmtp)),
    ("smtp", Kind::NextHop(Protocol::Smtp)),
    ("discard", Kind::Discard),
];

const TLS: [(&str, Tls); 3] = [
    ("none", Tls::None),
    ("opportunistic", Tls::Opportunistic),
    ("verified", Tls::Verified),
];

/// What says nothing of other targets.
const OF_NEXT_HOPS: [&str; 8] = [
    "address",
    "tls",
    "name",
    "anchors",
    keys::CONNECTIONS.key,
    keys::KEEP_IDLE.key,
    keys::CONNECT_TIMEOUT.key,
    keys::REPLY_TIMEOUT.key,
];

/// The target for tenants who name none.
pub(super) fn default(table: &Table<'_>) -> Option<TargetConfig> {
    target(table, table.choice("kind", &KINDS, Kind::Maildir))
}

/// The targets of a tenant's own.
pub(super) struct Targets {
    /// Of mail to it; the outer `None` has been reported.
    pub(super) inbound: Option<Option<TargetConfig>>,
    /// Of mail from it, if it sends any.
    pub(super) outbound: Option<TargetConfig>,
}

pub(super) fn targets(tenant: &Table<'_>) -> Targets {
    let Some(targets) = tenant.get("targets") else {
        return Targets {
            inbound: Some(None),
            outbound: None,
        };
    };
    let targets = targets.table(&keys::TARGETS);
    let named = |key: &str| targets.as_ref().and_then(|targets| targets.get(key));
    let inbound = match named("inbound") {
        Some(value) => inbound(&value).map(Some),
        None => targets.is_some().then_some(None),
    };
    Targets {
        inbound,
        outbound: named("outbound").and_then(|value| outbound(&value)),
    }
}

fn inbound(value: &Value<'_>) -> Option<TargetConfig> {
    let table = value.table(&keys::INBOUND)?;
    let kind = table.required("kind")?.choice(&KINDS)?;
    target(&table, kind)
}

/// Mail to others leaves this machine: no maildir here is theirs.
fn outbound(value: &Value<'_>) -> Option<TargetConfig> {
    let table = value.table(&keys::OUTBOUND)?;
    let kind = table.required("kind")?;
    match kind.choice(&KINDS)? {
        Kind::Maildir => {
            kind.fault(
                "mail to others is not theirs in a maildir of this machine: set kind = \"smtp\" \
                 with the address of a mail server that sends it on",
            );
            None
        }
        other => target(&table, other),
    }
}

fn target(table: &Table<'_>, kind: Kind) -> Option<TargetConfig> {
    let delivery_timeout = seconds(table, &keys::DELIVERY_TIMEOUT);
    if !matches!(kind, Kind::NextHop(_)) {
        for value in OF_NEXT_HOPS.iter().filter_map(|key| table.get(key)) {
            value.fault("this is for next hops: set kind = \"lmtp\" or kind = \"smtp\"");
        }
    }
    match kind {
        Kind::Maildir => Some(TargetConfig::Maildir { delivery_timeout }),
        Kind::Discard => Some(TargetConfig::Discard),
        Kind::NextHop(protocol) => {
            next_hop(table, protocol, delivery_timeout).map(TargetConfig::NextHop)
        }
    }
}

fn next_hop(
    table: &Table<'_>,
    protocol: Protocol,
    delivery_timeout: Duration,
) -> Option<NextHopConfig> {
    let address = table
        .required("address")
        .and_then(|value| address(&value, protocol));
    let tls = tls(table, address.as_ref());
    let connections = usize::try_from(table.number(&keys::CONNECTIONS)).ok();
    Some(NextHopConfig {
        protocol,
        keep_idle: seconds(table, &keys::KEEP_IDLE),
        connect_timeout: seconds(table, &keys::CONNECT_TIMEOUT),
        command_timeout: seconds(table, &keys::REPLY_TIMEOUT),
        delivery_timeout,
        connections: connections?,
        address: address?,
        tls: tls?,
    })
}

fn seconds(table: &Table<'_>, number: &Number) -> Duration {
    Duration::from_secs(table.number(number))
}

/// `unix:PATH`, or a name or address with a port.
fn address(value: &Value<'_>, protocol: Protocol) -> Option<HopAddress> {
    let text = value.text()?;
    if let Some(path) = text.strip_prefix("unix:") {
        if protocol == Protocol::Smtp {
            value.fault("SMTP goes over TCP: give a host and port, or set kind = \"lmtp\"");
            return None;
        }
        if path.is_empty() || path.contains('\0') {
            value.fault(format_args!("{:?} is not a path", shown(path)));
            return None;
        }
        let path = value.resolve(path);
        if value.is_stored() && path.is_relative() {
            value.fault("give the whole path, from \"/\" on");
            return None;
        }
        return Some(HopAddress::Unix(path));
    }
    let parsed = tcp(text);
    if parsed.is_none() {
        value.fault(format_args!(
            "{:?} is no address of a next hop: write \"unix:/run/lmtp\", \"mail.example:25\", \
             \"192.0.2.1:24\" or \"[2001:db8::1]:25\"",
            shown(text)
        ));
    }
    parsed
}

fn tcp(text: &str) -> Option<HopAddress> {
    let (host, port) = text.rsplit_once(':')?;
    let port: u16 = port.parse().ok().filter(|port| *port != 0)?;
    let host = match host.strip_prefix('[') {
        Some(v6) => {
            let v6: Ipv6Addr = v6.strip_suffix(']')?.parse().ok()?;
            v6.to_string()
        }
        None => match host.parse::<Ipv4Addr>() {
            Ok(v4) => v4.to_string(),
            Err(_) => host.parse::<Domain>().ok()?.to_string(),
        },
    };
    Some(HopAddress::Tcp { host, port })
}

/// Over a network there is TLS where it can be had, unless it is set otherwise.
fn tls(table: &Table<'_>, address: Option<&HopAddress>) -> Option<HopTlsConfig> {
    let local = matches!(address, Some(HopAddress::Unix(_)));
    let default = if local { Tls::None } else { Tls::Opportunistic };
    let value = table.get("tls");
    let chosen = match &value {
        Some(value) => value.choice(&TLS)?,
        None => default,
    };
    if let Some(value) = value.filter(|_| local && chosen != Tls::None) {
        value.fault("a socket of this machine has no TLS: leave it out");
        return None;
    }
    let anchors = pem_texts(table, "anchors");
    if chosen == Tls::Verified {
        let name = name(table, address)?;
        return Some(HopTlsConfig::Verified { name, anchors });
    }
    for value in ["name", "anchors"].iter().filter_map(|key| table.get(key)) {
        value.fault("this is looked at only with tls = \"verified\": set that, or leave it out");
    }
    Some(match chosen {
        Tls::None => HopTlsConfig::None,
        Tls::Opportunistic | Tls::Verified => HopTlsConfig::Opportunistic,
    })
}

/// The name that the certificate must match: the one in the address, unless set.
fn name(table: &Table<'_>, address: Option<&HopAddress>) -> Option<Domain> {
    if let Some(value) = table.get("name") {
        return value.parsed();
    }
    let HopAddress::Tcp { host, .. } = address? else {
        return None;
    };
    let name = host.parse().ok();
    if name.is_none() {
        table.report(
            "tls",
            format_args!("{host} is no name that a certificate can be for: add name = \"…\""),
        );
    }
    name
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Files, faults_of, sound};
    use super::*;

    fn inbound(keys: &str) -> String {
        format!("[targets.inbound]\n{keys}")
    }

    #[test]
    fn faults_of_targets() {
        for (keys, expected) in [
            ("", "2: targets.inbound: \"kind\" is missing"),
            (
                "kind = \"pop3\"",
                "3: targets.inbound.kind: \"pop3\" is none of \"maildir\", \"lmtp\", \"smtp\", \"discard\"",
            ),
            (
                "kind = \"maildir\"\naddress = \"unix:/run/lmtp\"\nconnections = 3",
                "4: targets.inbound.address: this is for next hops: set kind = \"lmtp\" or kind = \"smtp\"\n\
                 5: targets.inbound.connections: this is for next hops: set kind = \"lmtp\" or kind = \"smtp\"",
            ),
            (
                "kind = \"discard\"\ntls = \"none\"",
                "4: targets.inbound.tls: this is for next hops: set kind = \"lmtp\" or kind = \"smtp\"",
            ),
            (
                "kind = \"lmtp\"",
                "2: targets.inbound: \"address\" is missing",
            ),
            (
                "kind = \"smtp\"\naddress = \"unix:/run/smtp\"",
                "4: targets.inbound.address: SMTP goes over TCP: give a host and port, or set kind = \"lmtp\"",
            ),
            (
                "kind = \"smtp\"\naddress = \"mail.example\"",
                "4: targets.inbound.address: \"mail.example\" is no address of a next hop: write \"unix:/run/lmtp\", \
                 \"mail.example:25\", \"192.0.2.1:24\" or \"[2001:db8::1]:25\"",
            ),
            (
                "kind = \"lmtp\"\naddress = \"unix:/run/lmtp\"\ntls = \"verified\"",
                "5: targets.inbound.tls: a socket of this machine has no TLS: leave it out",
            ),
            (
                "kind = \"smtp\"\naddress = \"mail.example:25\"\nname = \"mail.example\"\nanchors = [\"none.pem\"]",
                "5: targets.inbound.name: this is looked at only with tls = \"verified\": set that, or leave it out\n\
                 6: targets.inbound.anchors: this is looked at only with tls = \"verified\": set that, or leave it out\n\
                 6: targets.inbound.anchors[0]: \"tenants/none.pem\" cannot be read: No such file or directory (os error 2)",
            ),
            (
                "kind = \"smtp\"\naddress = \"192.0.2.1:25\"\ntls = \"verified\"",
                "5: targets.inbound.tls: 192.0.2.1 is no name that a certificate can be for: add name = \"…\"",
            ),
            (
                "kind = \"smtp\"\naddress = \"mail.example:25\"\nconnections = 0\nreply_timeout_s = 600",
                "5: targets.inbound.connections: 0 is not within 1 to 1000\n\
                 6: targets.inbound.reply_timeout_s: 600 is not within 1 to 120",
            ),
        ] {
            let found = faults_of(&inbound(keys)).replace("tenants/a.toml:", "");
            assert_eq!(found, expected, "{keys}");
        }
    }

    /// Read like those of mail to the tenant, with one kind less.
    #[test]
    fn faults_of_outbound_targets() {
        for (keys, expected) in [
            ("", "2: targets.outbound: \"kind\" is missing"),
            (
                "kind = \"maildir\"",
                "3: targets.outbound.kind: mail to others is not theirs in a maildir of this machine: set \
                 kind = \"smtp\" with the address of a mail server that sends it on",
            ),
            (
                "kind = \"smtp\"",
                "2: targets.outbound: \"address\" is missing",
            ),
            (
                "kind = \"smtp\"\naddress = \"smarthost.example:25\"\nport = 25",
                "5: targets.outbound.port: unknown key",
            ),
        ] {
            let found = faults_of(&format!("[targets.outbound]\n{keys}"));
            assert_eq!(found.replace("tenants/a.toml:", ""), expected, "{keys}");
        }
        let config = sound("[targets.outbound]\nkind = \"smtp\"\naddress = \"192.0.2.1:25\"");
        let tenant = &config.tenants[0];
        assert!(matches!(tenant.outbound, Some(TargetConfig::NextHop(_))));
        assert!(matches!(tenant.inbound, TargetConfig::Maildir { .. }));
    }

    #[test]
    fn addresses_of_next_hops() {
        for (text, shown) in [
            ("mail.example:25", Some("mail.example:25")),
            ("Localhost:2424", Some("localhost:2424")),
            ("192.0.2.1:24", Some("192.0.2.1:24")),
            ("[2001:db8::1]:25", Some("[2001:db8::1]:25")),
            ("2001:db8::1:25", None),
            ("mail.example:0", None),
            ("mail.example:", None),
            (":25", None),
            ("[mail.example]:25", None),
            ("a b:25", None),
            ("mail.example:70000", None),
        ] {
            let found = tcp(text).map(|address| address.to_string());
            assert_eq!(found.as_deref(), shown, "{text}");
        }
    }

    #[test]
    fn a_tenants_target_is_its_own_or_the_hosts() {
        let files = Files::new();
        files.write(
            "portcullis.toml",
            "[delivery]\nkind = \"lmtp\"\naddress = \"unix:run/lmtp\"\nconnections = 7\n",
        );
        files.write("tenants/a.toml", "domains = [\"a.example\"]");
        files.write(
            "tenants/b.toml",
            "domains = [\"b.example\"]\n[targets.inbound]\nkind = \"maildir\"",
        );
        let config = files.read().expect("no fault");
        let TargetConfig::NextHop(hop) = &config.tenants[0].inbound else {
            unreachable!("{:?}", config.tenants[0].inbound);
        };
        assert_eq!((hop.protocol, hop.connections), (Protocol::Lmtp, 7));
        let HopAddress::Unix(path) = &hop.address else {
            unreachable!("{:?}", hop.address);
        };
        assert!(path.is_absolute() && path.ends_with("run/lmtp"), "{path:?}");
        assert!(matches!(hop.tls, HopTlsConfig::None));
        assert!(matches!(
            config.tenants[1].inbound,
            TargetConfig::Maildir { .. }
        ));
    }

    #[test]
    fn tls_is_verified_for_the_name_in_the_address() {
        for (more, name) in [
            ("", "mail.example"),
            ("name = \"mx.example\"", "mx.example"),
        ] {
            let config = sound(&inbound(&format!(
                "kind = \"smtp\"\naddress = \"mail.example:25\"\ntls = \"verified\"\n{more}"
            )));
            let TargetConfig::NextHop(hop) = &config.tenants[0].inbound else {
                unreachable!("it is a next hop");
            };
            let HopTlsConfig::Verified { name: found, .. } = &hop.tls else {
                unreachable!("{:?}", hop.tls);
            };
            assert_eq!(found.as_str(), name);
        }
    }
}
