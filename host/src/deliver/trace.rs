//! The fields that the host puts before a message: the evidence in standard form.
//!
//! `Received` (RFC 5321, section 4.4; protocol names of RFC 3848 and RFC 6531),
//! `Authentication-Results` (RFC 8601) under our own id with the method `x-tls`, as
//! none is registered; and for a maildir `Return-Path` and `Delivered-To`.
//! Whatever the client had a hand in is sanitised.

use std::fmt::Write;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::{Consignment, Message};
use crate::facts::{Certificate, ClientCertificate, Connection, HeloVerb, Judgement, Origin, Tls};

/// Longest text of foreign origin in one place of a field, so that lines stay short.
const MAX_FOREIGN: usize = 200;

/// The fields for one tenant's copy, each ended by CRLF.
pub(super) fn fields(hostname: &str, message: &Message, consignment: &Consignment) -> String {
    let mut fields = received(hostname, message, consignment);
    fields.push_str(&authentication_results(
        hostname,
        message,
        consignment.trust.as_ref(),
    ));
    fields
}

/// The fields that go before those where the message has arrived, and nowhere else
/// (RFC 5321, section 4.4).
pub(super) fn of_final_delivery(message: &Message, consignment: &Consignment) -> String {
    let sender = message.sender.as_ref().map(ToString::to_string);
    let mut fields = format!("Return-Path: <{}>\r\n", sender.unwrap_or_default());
    for permit in &consignment.permits {
        // Writing to a String cannot fail.
        let _ = write!(fields, "Delivered-To: {}\r\n", permit.recipient());
    }
    fields
}

fn received(hostname: &str, message: &Message, consignment: &Consignment) -> String {
    let connection = &message.connection;
    let mut field = format!(
        "Received: from {} ({})\r\n",
        word(&message.helo.name),
        client(connection)
    );
    if let Some(proxy) = connection.proxied_by {
        let _ = write!(field, "\t(through the proxy [{}])\r\n", address(proxy.ip()));
    }
    if let Some(tls) = &connection.tls {
        field.push_str(&tls_comment(tls, consignment.trust.as_ref()));
    }
    let _ = write!(
        field,
        "\tby {hostname} (Portcullis) with {}",
        protocol(message)
    );
    if let Some(permit) = consignment.permits.first() {
        let _ = write!(field, " id {}", permit.receipt());
    }
    // With several recipients the field would tell each of the others.
    if let [permit] = consignment.permits.as_slice() {
        let _ = write!(field, "\r\n\tfor <{}>", permit.recipient());
    }
    let _ = write!(field, ";\r\n\t{}\r\n", date(message.received));
    field
}

/// The client as TCP knows it (RFC 5321, section 4.4): its address, and before that its
/// name where it resolves to the address.
fn client(connection: &Connection) -> String {
    let literal = format!("[{}]", address(connection.client.ip()));
    match &connection.reverse_name {
        Some(reverse) if reverse.confirmed => format!("{} {literal}", word(&reverse.name)),
        _ => literal,
    }
}

fn protocol(message: &Message) -> &'static str {
    let tls = message.connection.secured().is_some();
    match (message.helo.verb, message.parameters.smtputf8, tls) {
        (_, true, false) => "UTF8SMTP",
        (_, true, true) => "UTF8SMTPS",
        (HeloVerb::Helo, false, false) => "SMTP",
        (HeloVerb::Helo | HeloVerb::Ehlo, false, true) => "ESMTPS",
        (HeloVerb::Ehlo, false, false) => "ESMTP",
    }
}

fn tls_comment(tls: &Tls, trust: Option<&Judgement>) -> String {
    let mut comment = format!(
        "\t({} {} with cipher {} ({} bits)\r\n\t key exchange {}",
        match tls.origin {
            Origin::Socket => "using",
            Origin::Proxy | Origin::TrustedProxy => "the proxy says: using",
        },
        version(tls),
        tls.cipher_suite,
        tls.secret_bits,
        tls.key_exchange.as_deref().unwrap_or("unknown"),
    );
    match &tls.client_certificate {
        ClientCertificate::NotAsked => comment.push_str("\r\n\t client certificate not asked for"),
        ClientCertificate::None => comment.push_str("\r\n\t no client certificate"),
        ClientCertificate::Claimed(_) => {
            comment.push_str("\r\n\t client certificate not seen by this host");
        }
        ClientCertificate::Given(certificate) => {
            let _ = write!(
                comment,
                "\r\n\t client certificate {}\r\n\t {}",
                text(&certificate.subject),
                verification(trust)
            );
        }
    }
    comment.push_str(")\r\n");
    comment
}

fn version(tls: &Tls) -> String {
    tls.version.to_string().replace("TLS ", "TLSv")
}

fn verification(trust: Option<&Judgement>) -> String {
    match trust {
        Some(judgement) if judgement.is_trusted() => {
            format!("verified: {}", text(judgement.detail()))
        }
        Some(judgement) => format!("not verified: {}", text(judgement.detail())),
        None => "not verified".into(),
    }
}

fn authentication_results(hostname: &str, message: &Message, trust: Option<&Judgement>) -> String {
    let Some(tls) = message.connection.secured() else {
        return format!(
            "Authentication-Results: {hostname};\r\n\tx-tls=none (received in clear)\r\n"
        );
    };
    let says = match tls.origin {
        Origin::Socket => "",
        Origin::Proxy | Origin::TrustedProxy => " (the proxy says)",
    };
    let mut field = format!(
        "Authentication-Results: {hostname};\r\n\tx-tls={}{says} smtp.tls-version={} smtp.tls-cipher={}",
        result(tls, trust),
        version(tls),
        tls.cipher_suite,
    );
    if let ClientCertificate::Given(certificate) = &tls.client_certificate {
        field.push_str(&certificate_properties(certificate));
    }
    field.push_str("\r\n");
    field
}

/// RFC 8601 results: pass and fail judge the client's certificate; without one there
/// is nothing to judge, and the encryption stands in the properties.
fn result(tls: &Tls, trust: Option<&Judgement>) -> &'static str {
    match &tls.client_certificate {
        ClientCertificate::Given(_) if trust.is_some_and(Judgement::is_trusted) => "pass",
        ClientCertificate::Given(_) => "fail",
        ClientCertificate::NotAsked | ClientCertificate::None | ClientCertificate::Claimed(_) => {
            "neutral"
        }
    }
}

fn certificate_properties(certificate: &Certificate) -> String {
    format!("\r\n\tsmtp.tls-client-sha256={}", certificate.sha256)
}

fn date(seconds: u64) -> String {
    let fits = i64::try_from(seconds).ok();
    fits.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
        .format(&Rfc2822)
        .unwrap_or_default()
}

fn address(ip: std::net::IpAddr) -> String {
    match ip {
        std::net::IpAddr::V4(v4) => v4.to_string(),
        std::net::IpAddr::V6(v6) => format!("IPv6:{v6}"),
    }
}

/// Foreign text outside a comment: one word that ends nothing.
fn word(foreign: &str) -> String {
    clean(foreign, |c| {
        c.is_ascii_alphanumeric() || "-._[]:".contains(c)
    })
}

/// Foreign text inside a comment: nothing that could end it or begin another.
fn text(foreign: &str) -> String {
    clean(foreign, |c| (' '..='~').contains(&c) && !"()\\".contains(c))
}

fn clean(foreign: &str, keep: impl Fn(char) -> bool) -> String {
    foreign
        .chars()
        .take(MAX_FOREIGN)
        .map(|c| if keep(c) { c } else { '?' })
        .collect()
}
