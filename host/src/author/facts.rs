//! The facts of a vector as the host has them.
//!
//! A policy under `cargo test` is told any text; the host knows what addresses, digests
//! and identities are, and has no message that lacks them. **What the host cannot be in is
//! an error, never something near it**: a vector that passes has been asked as mail would
//! be.

mod tls;

use std::fmt::Display;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;

use portcullis_sdk::testing::vectors;

use crate::address::Mailbox;
use crate::facts::{
    Body, Connection, Direction, Facts, HandshakeFailure, Helo, HeloVerb, MailParameters,
    ReverseName, Stage,
};

/// A fact of a vector that no message on this host could have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("facts.{path}: {message}")]
pub struct FactFault {
    /// Its key, such as `tls.certificate.sha256`.
    pub path: String,
    /// What is wrong, with the value.
    pub message: String,
}

/// Reads the facts of a vector.
///
/// # Errors
/// Every fact that no message on this host could have.
pub fn facts(given: &vectors::Facts) -> Result<Facts, Vec<FactFault>> {
    let mut faults = Faults::default();
    let read = read(given, &mut faults);
    match read {
        Some(facts) if faults.0.is_empty() => Ok(facts),
        _ => Err(faults.0),
    }
}

/// What was found wrong so far.
#[derive(Default)]
struct Faults(Vec<FactFault>);

impl Faults {
    fn push(&mut self, path: &str, message: impl Display) {
        self.0.push(FactFault {
            path: path.to_owned(),
            message: message.to_string(),
        });
    }

    /// A text that is read as what it is.
    fn parsed<T: FromStr<Err: Display>>(&mut self, path: &str, text: &str) -> Option<T> {
        let read = text.parse();
        read.map_err(|error| self.push(path, error)).ok()
    }

    /// One of these words.
    fn one_of<T: Copy>(&mut self, path: &str, text: &str, words: &[(&str, T)]) -> Option<T> {
        let found = words.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let words: Vec<_> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
            let message = format_args!("{text:?} is not one of {}", words.join(", "));
            self.push(path, message);
        }
        found.map(|(_, value)| *value)
    }

    /// Something that may be missing. None is that it has been found wrong.
    fn optional<F, T>(
        &mut self,
        given: Option<F>,
        read: impl FnOnce(&mut Self, F) -> Option<T>,
    ) -> Option<Option<T>> {
        match given {
            None => Some(None),
            Some(given) => read(self, given).map(Some),
        }
    }

    /// All of them, or none after a fault in any.
    fn each<T: FromStr<Err: Display>>(&mut self, path: &str, texts: &[String]) -> Option<Vec<T>> {
        let texts = texts.iter().enumerate();
        let read: Vec<_> = texts
            .map(|(place, text)| self.parsed(&format!("{path}[{place}]"), text))
            .collect();
        read.into_iter().collect()
    }
}

/// Goes on after a fault, so that all of them are told.
fn read(given: &vectors::Facts, faults: &mut Faults) -> Option<Facts> {
    let stages = [("recipient", Stage::Recipient), ("content", Stage::Content)];
    let directions = [
        ("inbound", Direction::Inbound),
        ("outbound", Direction::Outbound),
    ];
    let id = faults.parsed("id", &given.id);
    let stage = faults.one_of("stage", &given.stage, &stages);
    let direction = faults.one_of("direction", &given.direction, &directions);
    let tenant = faults.parsed("tenant", &given.tenant);
    let connection = connection(given, faults);
    let helo = helo(given, faults);
    let sender = faults.optional(given.sender.as_deref(), |faults, sender| {
        faults.parsed("sender", sender)
    });
    let recipient = faults.parsed("recipient", &given.recipient);
    let parameters = parameters(given, faults);
    let header_from = header_from(given, faults);
    let certificate = given.tls.as_ref().and_then(|tls| tls.certificate.as_ref());
    let trust = faults.optional(certificate, |faults, certificate| {
        tls::judgement(certificate, faults)
    });
    Some(Facts {
        id: id?,
        now: given.now,
        stage: stage?,
        direction: direction?,
        tenant: tenant?,
        connection: Arc::new(connection?),
        helo: helo?,
        sender: sender?,
        recipient: recipient?,
        recipients_so_far: given.recipients_so_far,
        parameters: parameters?,
        header_from: header_from?,
        trust: trust?,
    })
}

/// The header comes with the content.
fn header_from(given: &vectors::Facts, faults: &mut Faults) -> Option<Vec<Mailbox>> {
    if given.stage == Stage::Recipient.as_str() && !given.header_from.is_empty() {
        let message = "is known at the end of data: with stage = \"content\"";
        faults.push("header_from", message);
        return None;
    }
    faults.each("header_from", &given.header_from)
}

fn connection(given: &vectors::Facts, faults: &mut Faults) -> Option<Connection> {
    let client = endpoint("client", &given.client, faults);
    let server = endpoint("server", &given.server, faults);
    let proxied_by = faults.optional(given.proxied_by.as_ref(), |faults, proxy| {
        endpoint("proxied_by", proxy, faults)
    });
    let reverse_name = reverse_name(given, faults);
    let handshake_failure = handshake_failure(given, faults);
    let tls = faults.optional(given.tls.as_ref(), |faults, tls| tls::session(tls, faults));
    check_origin(given, faults);
    Some(Connection {
        listener: given.listener.clone(),
        client: client?,
        server: server?,
        proxied_by: proxied_by?,
        reverse_name: reverse_name?,
        starttls_offered: given.starttls_offered,
        handshake_failure: handshake_failure?,
        tls: tls?,
    })
}

/// What a session in TLS says of the connection that it is on.
fn check_origin(given: &vectors::Facts, faults: &mut Faults) {
    let origin = given.tls.as_ref().map(|tls| tls.origin.as_str());
    match origin {
        Some(tls::SOCKET) if !given.starttls_offered => {
            let message = "false, and the session is in TLS that this host offered";
            faults.push("starttls_offered", message);
        }
        Some(tls::PROXY) if given.proxied_by.is_none() => {
            let message = "is missing, and tls.origin is \"proxy\"";
            faults.push("proxied_by", message);
        }
        _ => {}
    }
}

fn endpoint(path: &str, given: &vectors::Endpoint, faults: &mut Faults) -> Option<SocketAddr> {
    let Ok(address) = given.address.parse() else {
        let message = format_args!("{:?} is not an IP address", given.address);
        faults.push(path, message);
        return None;
    };
    Some(SocketAddr::new(address, given.port))
}

fn reverse_name(given: &vectors::Facts, faults: &mut Faults) -> Option<Option<ReverseName>> {
    if given.reverse_name.is_none() && given.reverse_name_confirmed {
        let message = "true, and there is no reverse_name that could be confirmed";
        faults.push("reverse_name_confirmed", message);
        return None;
    }
    let named = |name: &String| ReverseName {
        name: name.clone(),
        confirmed: given.reverse_name_confirmed,
    };
    Some(given.reverse_name.as_ref().map(named))
}

/// A host keeps when it was, and tells how long ago that is.
fn handshake_failure(
    given: &vectors::Facts,
    faults: &mut Faults,
) -> Option<Option<HandshakeFailure>> {
    let (age, reason) = (given.handshake_failure_age, &given.handshake_failure_reason);
    let (age, reason) = match (age, reason) {
        (None, None) => return Some(None),
        (Some(age), Some(reason)) => (age, reason.clone()),
        (Some(_), None) => {
            let message = "is missing, and there is a handshake_failure_age";
            faults.push("handshake_failure_reason", message);
            return None;
        }
        (None, Some(_)) => {
            let message = "is missing, and there is a handshake_failure_reason";
            faults.push("handshake_failure_age", message);
            return None;
        }
    };
    let Some(at) = given.now.checked_sub(age) else {
        let message = format_args!("{age} seconds before now is before 1970");
        faults.push("handshake_failure_age", message);
        return None;
    };
    Some(Some(HandshakeFailure { at, reason }))
}

fn helo(given: &vectors::Facts, faults: &mut Faults) -> Option<Helo> {
    let verbs = [("EHLO", HeloVerb::Ehlo), ("HELO", HeloVerb::Helo)];
    Some(Helo {
        verb: faults.one_of("helo_verb", &given.helo_verb, &verbs)?,
        name: given.helo.clone(),
    })
}

fn parameters(given: &vectors::Facts, faults: &mut Faults) -> Option<MailParameters> {
    let bodies = [("7BIT", Body::SevenBit), ("8BITMIME", Body::EightBitMime)];
    let body = faults.optional(given.body.as_deref(), |faults, body| {
        faults.one_of("body", body, &bodies)
    });
    Some(MailParameters {
        size: given.declared_size,
        body: body?,
        smtputf8: given.smtputf8,
        requiretls: given.requiretls,
    })
}

#[cfg(test)]
mod tests;
