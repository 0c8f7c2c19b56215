//! MAIL as a next hop gets it, or what the hop lacks for it. Pure but for reading what
//! is known of the connection.

use super::HopMail;
use super::capabilities::Capabilities;
use super::connection::{Connection, Protection};
use super::error::Capability;
use super::hop::Protocol;
use crate::facts::Body;

/// What our fields add to the size that the client declared: more than the longest,
/// whose foreign parts are bounded. RFC 1870, section 6.1, asks for an estimate that
/// is not too small.
const OUR_FIELDS: u64 = 4096;

/// MAIL for this message over this connection.
pub(super) fn command(
    mail: &HopMail,
    connection: &Connection,
    protocol: Protocol,
) -> Result<String, Capability> {
    let capabilities = &connection.capabilities;
    if mail.parameters.requiretls && !keeps_require_tls(connection, protocol) {
        return Err(Capability::RequireTls);
    }
    check(mail, capabilities)?;
    let sender = mail.sender.as_ref().map(ToString::to_string);
    let mut command = format!("MAIL FROM:<{}>", sender.unwrap_or_default());
    for parameter in parameters(mail, capabilities) {
        command.push(' ');
        command.push_str(&parameter);
    }
    Ok(command)
}

/// Whether a message that requires TLS may go this way (RFC 8689, section 4.2): over
/// TLS that is verified, to a hop that will require it in turn. LMTP over a socket of
/// this machine passes too, with or without the keyword: nothing is transmitted that
/// TLS could protect, and behind LMTP is where the mail is kept, not another relay.
fn keeps_require_tls(connection: &Connection, protocol: Protocol) -> bool {
    match connection.protection {
        Protection::Local => protocol == Protocol::Lmtp,
        Protection::Verified => connection.capabilities.requiretls,
        Protection::Clear | Protection::Encrypted => false,
    }
}

fn check(mail: &HopMail, capabilities: &Capabilities) -> Result<(), Capability> {
    let eight_bit = mail.parameters.body == Some(Body::EightBitMime);
    if eight_bit && !capabilities.eight_bit_mime {
        return Err(Capability::EightBitMime);
    }
    let sender = mail.sender.as_ref().map(ToString::to_string);
    let international = !sender.unwrap_or_default().is_ascii();
    if mail.parameters.smtputf8 && !capabilities.smtputf8
        || international && !mail.parameters.smtputf8
    {
        return Err(Capability::SmtpUtf8);
    }
    Ok(())
}

fn parameters(mail: &HopMail, capabilities: &Capabilities) -> Vec<String> {
    let asked = &mail.parameters;
    let size = asked.size.filter(|_| capabilities.size);
    // Fields of ours name addresses as they are, so international mail has eight bits.
    let eight_bit =
        asked.body == Some(Body::EightBitMime) || asked.smtputf8 && capabilities.eight_bit_mime;
    let requiretls = asked.requiretls && capabilities.requiretls;
    let size = size.map(|size| format!("SIZE={}", size.saturating_add(OUR_FIELDS)));
    let flags = [
        (eight_bit, "BODY=8BITMIME"),
        (asked.smtputf8, "SMTPUTF8"),
        (requiretls, "REQUIRETLS"),
    ];
    let flags = flags.into_iter().filter(|(is_set, _)| *is_set);
    size.into_iter()
        .chain(flags.map(|(_, flag)| flag.to_owned()))
        .collect()
}
