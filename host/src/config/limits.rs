//! What clients may take of the host: `[limits]`.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::Limits;
use super::host::seconds;
use super::keys::{self, Number};
use super::network::networks;
use super::reader::Table;

pub(super) fn limits(table: &Table<'_>) -> Option<Limits> {
    let count = |number: &Number| usize::try_from(table.number(number)).ok();
    let rate = |number: &Number| u32::try_from(table.number(number)).ok();
    let recipients = count(&keys::RECIPIENTS);
    let sessions = count(&keys::SESSIONS);
    let client_sessions = count(&keys::CLIENT_SESSIONS);
    let network_sessions = count(&keys::NETWORK_SESSIONS);
    let client_session_rate = rate(&keys::CLIENT_SESSION_RATE);
    let client_handshake_rate = rate(&keys::CLIENT_HANDSHAKE_RATE);
    let errors = count(&keys::ERRORS);
    Some(Limits {
        message_size: table.number(&keys::MESSAGE_SIZE),
        content_memory: table.number(&keys::CONTENT_MEMORY),
        exempt: networks(table, "exempt").unwrap_or_else(own),
        command_timeout: seconds(table, &keys::COMMAND_TIMEOUT),
        data_timeout: seconds(table, &keys::DATA_TIMEOUT),
        handshake_timeout: seconds(table, &keys::HANDSHAKE_TIMEOUT),
        grace: seconds(table, &keys::GRACE),
        recipients: recipients?,
        sessions: sessions?,
        client_sessions: client_sessions?,
        network_sessions: network_sessions?,
        client_session_rate: client_session_rate?,
        client_handshake_rate: client_handshake_rate?,
        errors: errors?,
    })
}

/// The machine itself: what comes from there is the operator's own, or stands for many
/// clients whom it has taken care of.
fn own() -> Vec<IpNet> {
    let loopback = Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8);
    let loopback6 = Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128);
    vec![loopback.into(), loopback6.into()]
}
