//! How the host is observed and administered: `[metrics]`, `[admin]` and `[log]`.

use std::net::SocketAddr;

use super::host::{address, certificate};
use super::reader::Table;
use super::{AdminConfig, Listener, keys};
use crate::log::{Format, Level, LogSettings};

const FORMATS: [(&str, Format); 2] = [("text", Format::Text), ("json", Format::Json)];

const LEVELS: [(&str, Level); 5] = [
    ("error", Level::Error),
    ("warn", Level::Warn),
    ("info", Level::Info),
    ("debug", Level::Debug),
    ("trace", Level::Trace),
];

/// Metrics name tenants and policies, and whoever can ask gets them: the address is a
/// loopback one unless the operator says that others are meant to ask.
pub(super) fn metrics(table: &Table<'_>, listeners: &[Listener]) -> Option<SocketAddr> {
    let allow_remote = table.boolean("allow_remote", false);
    let value = table.get("address")?;
    let address = address(&value)?;
    if !address.ip().to_canonical().is_loopback() && !allow_remote {
        value.fault(format_args!(
            "{address} is no loopback address, and metrics are told to anyone who asks: \
             write \"127.0.0.1:{}\", or set allow_remote = true",
            address.port()
        ));
    }
    let taken = |listener: &&Listener| listener.address == address && address.port() != 0;
    if let Some(listener) = listeners.iter().find(taken) {
        value.fault(format_args!(
            "{address} is the address of the listener {:?} already",
            listener.name
        ));
    }
    Some(address)
}

/// Tokens go over this connection: in clear it does not leave the machine.
pub(super) fn admin(table: &Table<'_>, taken: &[SocketAddr]) -> Option<AdminConfig> {
    let section = table.get("tls");
    let tls = section
        .as_ref()
        .and_then(|value| certificate(&value.table(&keys::ADMIN_TLS)?));
    let Some(value) = table.get("address") else {
        if let Some(section) = section {
            section.fault("there is no address that could speak TLS: set admin.address");
        }
        return None;
    };
    let address = address(&value)?;
    // With faults of its own a certificate was meant all the same.
    if !address.ip().to_canonical().is_loopback() && section.is_none() {
        value.fault(format_args!(
            "{address} is no loopback address, and tokens would be sent there in clear: name a \
             certificate in [admin.tls], or write \"127.0.0.1:{}\" and let others come through a \
             tunnel",
            address.port()
        ));
    }
    if address.port() != 0 && taken.contains(&address) {
        value.fault(format_args!(
            "{address} is the address of a listener or of metrics already"
        ));
    }
    Some(AdminConfig { address, tls })
}

pub(super) fn log(table: &Table<'_>) -> LogSettings {
    LogSettings {
        format: table.choice("format", &FORMATS, Format::Text),
        level: table.choice("level", &LEVELS, Level::Info),
    }
}
