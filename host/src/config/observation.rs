//! How the host is observed and administered: `[metrics]`, `[admin]` and `[log]`.

use std::net::SocketAddr;

use super::Listener;
use super::host::address;
use super::reader::Table;
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

/// Tokens go over this connection, in clear: it does not leave the machine.
pub(super) fn admin(table: &Table<'_>, taken: &[SocketAddr]) -> Option<SocketAddr> {
    let value = table.get("address")?;
    let address = address(&value)?;
    if !address.ip().to_canonical().is_loopback() {
        value.fault(format_args!(
            "{address} is no loopback address, and tokens would be sent there in clear: write \
             \"127.0.0.1:{}\", and let others come through a tunnel or a proxy with TLS",
            address.port()
        ));
    }
    if address.port() != 0 && taken.contains(&address) {
        value.fault(format_args!(
            "{address} is the address of a listener or of metrics already"
        ));
    }
    Some(address)
}

pub(super) fn log(table: &Table<'_>) -> LogSettings {
    LogSettings {
        format: table.choice("format", &FORMATS, Format::Text),
        level: table.choice("level", &LEVELS, Level::Info),
    }
}
