//! Where mail goes: `[delivery]` for all tenants, `[targets.inbound]` for one.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

use super::fault::Located;
use super::keys::{self, Number};
use super::reader::{Table, Value, shown};
use super::{HopTlsConfig, NextHopConfig, TargetConfig};
use crate::address::Domain;
use crate::deliver::{HopAddress, Protocol};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Maildir,
    NextHop(Protocol),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tls {
    None,
    Opportunistic,
    Verified,
}

const KINDS: [(&str, Kind); 3] = [
    ("maildir", Kind::Maildir),
    ("lmtp", Kind::NextHop(Protocol::Lmtp)),
    ("smtp", Kind::NextHop(Protocol::Smtp)),
];

const TLS: [(&str, Tls); 3] = [
    ("none", Tls::None),
    ("opportunistic", Tls::Opportunistic),
    ("verified", Tls::Verified),
];

/// What says nothing of a maildir.
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

/// The target of a tenant's own; the outer `None` has been reported.
pub(super) fn inbound(tenant: &Table<'_>) -> Option<Option<TargetConfig>> {
    let Some(targets) = tenant.get("targets") else {
        return Some(None);
    };
    let Some(inbound) = targets.table(&keys::TARGETS)?.get("inbound") else {
        return Some(None);
    };
    let table = inbound.table(&keys::INBOUND)?;
    let kind = table.required("kind")?.choice(&KINDS)?;
    target(&table, kind).map(Some)
}

fn target(table: &Table<'_>, kind: Kind) -> Option<TargetConfig> {
    let delivery_timeout = seconds(table, &keys::DELIVERY_TIMEOUT);
    match kind {
        Kind::Maildir => {
            for value in OF_NEXT_HOPS.iter().filter_map(|key| table.get(key)) {
                value.fault("this is for next hops: set kind = \"lmtp\" or kind = \"smtp\"");
            }
            Some(TargetConfig::Maildir { delivery_timeout })
        }
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
        return Some(HopAddress::Unix(value.resolve(path)));
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
    let anchors = anchors(table);
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

fn anchors(table: &Table<'_>) -> Vec<Located<PathBuf>> {
    let elements = table.elements("anchors");
    elements
        .iter()
        .filter_map(|element| element.path(super::MAX_PEM))
        .collect()
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
