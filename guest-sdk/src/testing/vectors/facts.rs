//! The facts of a case: how it differs from the ordinary message.
//!
//! What can only be one way is not asked for twice: a certificate that is there is given,
//! and a session of TLS 1.2 has the cipher suite and key exchange of one.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::reader::{Table, Value};
use super::time::seconds;
use crate::domain::Domain;
use crate::fingerprint::Fingerprint;
use crate::testing::facts::{Certificate, Endpoint, Facts, Judgement, Tls};
use crate::testing::{certificate, message, tls};

/// Hex digits and letters of a ULID (Crockford's base 32).
const ULID: &str = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The ordinary message with these facts set.
pub(super) fn read(table: &Table<'_>) -> Facts {
    table.only(Facts::NAMES);
    let mut facts = message().facts().clone();
    read_connection(table, &mut facts);
    read_envelope(table, &mut facts);
    facts
}

fn read_connection(table: &Table<'_>, facts: &mut Facts) {
    table.set("id", &mut facts.id, id);
    table.set("now", &mut facts.now, seconds);
    table.set("stage", &mut facts.stage, |value| {
        word(value, &["recipient", "content"])
    });
    table.set("direction", &mut facts.direction, |value| {
        word(value, &["inbound", "outbound"])
    });
    table.set("tenant", &mut facts.tenant, name);
    table.set("listener", &mut facts.listener, name);
    let port = facts.client.port;
    table.set("client", &mut facts.client, |value| endpoint(value, port));
    table.set("server", &mut facts.server, |value| endpoint(value, 25));
    table.set("proxied_by", &mut facts.proxied_by, |value| {
        value.optional(|value| endpoint(value, port))
    });
    optional_text(table, "reverse_name", &mut facts.reverse_name);
    boolean(
        table,
        "reverse_name_confirmed",
        &mut facts.reverse_name_confirmed,
    );
    if facts.reverse_name_confirmed && facts.reverse_name.is_none() {
        contradiction(
            table,
            "reverse_name_confirmed",
            "there is no reverse_name to confirm",
        );
    }
    boolean(table, "starttls_offered", &mut facts.starttls_offered);
    read_handshake_failure(table, facts);
    table.set("tls", &mut facts.tls, |value| value.optional(session));
}

fn read_envelope(table: &Table<'_>, facts: &mut Facts) {
    table.set("helo_verb", &mut facts.helo_verb, |value| {
        word(value, &["EHLO", "HELO"])
    });
    text(table, "helo", &mut facts.helo);
    table.set("sender", &mut facts.sender, sender);
    table.set("recipient", &mut facts.recipient, address);
    number(table, "recipients_so_far", &mut facts.recipients_so_far);
    table.set("declared_size", &mut facts.declared_size, |value| {
        value.optional(Value::number)
    });
    table.set("body", &mut facts.body, |value| {
        value.optional(|value| word(value, &["7BIT", "8BITMIME"]))
    });
    boolean(table, "smtputf8", &mut facts.smtputf8);
    boolean(table, "requiretls", &mut facts.requiretls);
    table.set("header_from", &mut facts.header_from, |value| {
        value.each(address)
    });
}

/// Age and reason are there together.
fn read_handshake_failure(table: &Table<'_>, facts: &mut Facts) {
    table.set(
        "handshake_failure_age",
        &mut facts.handshake_failure_age,
        |value| value.optional(Value::number),
    );
    let reason = &mut facts.handshake_failure_reason;
    optional_text(table, "handshake_failure_reason", reason);
    if facts.handshake_failure_age.is_some() {
        *reason = reason
            .take()
            .or_else(|| Some("no shared cipher".to_owned()));
    } else if reason.is_some() {
        contradiction(
            table,
            "handshake_failure_reason",
            "no handshake failed: give handshake_failure_age, too",
        );
    }
}

fn session(value: &Value<'_>) -> Option<Tls> {
    let table = value.table()?;
    table.only(Tls::NAMES);
    let mut facts = tls().into_facts();
    table.set("origin", &mut facts.origin, |value| {
        word(value, &["socket", "proxy"])
    });
    table.set("version", &mut facts.version, version);
    read_cipher(&table, &mut facts);
    optional_text(&table, "server_name", &mut facts.server_name);
    boolean(&table, "resumed", &mut facts.resumed);
    table.set("certificate", &mut facts.certificate, |value| {
        value.optional(presented)
    });
    read_client_certificate(&table, &mut facts);
    Some(facts)
}

/// What follows from the version, unless it is said.
fn read_cipher(table: &Table<'_>, facts: &mut Tls) {
    if facts.version < 0x0304 {
        facts.cipher_suite = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384".to_owned();
        facts.key_exchange = Some("X25519".to_owned());
    }
    text(table, "cipher_suite", &mut facts.cipher_suite);
    if facts.cipher_suite.contains("AES_128") {
        facts.secret_bits = 128;
    }
    number(table, "secret_bits", &mut facts.secret_bits);
    optional_text(table, "key_exchange", &mut facts.key_exchange);
    facts.post_quantum = facts
        .key_exchange
        .as_deref()
        .is_some_and(|group| group.contains("MLKEM"));
    boolean(table, "post_quantum", &mut facts.post_quantum);
}

fn read_client_certificate(table: &Table<'_>, facts: &mut Tls) {
    if facts.certificate.is_some() {
        "given".clone_into(&mut facts.client_certificate);
    }
    table.set(
        "client_certificate",
        &mut facts.client_certificate,
        |value| word(value, &["not-asked", "none", "given", "claimed"]),
    );
    match (facts.client_certificate.as_str(), &facts.certificate) {
        ("given", None) => {
            contradiction(table, "client_certificate", "give the certificate, too");
        }
        ("given", Some(_)) | (_, None) => {}
        (_, Some(_)) => contradiction(
            table,
            "client_certificate",
            "a certificate that the host has seen is \"given\"",
        ),
    }
}

fn presented(value: &Value<'_>) -> Option<Certificate> {
    let table = value.table()?;
    let known = [Certificate::NAMES, &["trust", "accept_self_signed"]].concat();
    table.only(&known);
    let mut facts = certificate().into_facts();
    read_names(&table, &mut facts);
    text(&table, "serial", &mut facts.serial);
    table.set("not_before", &mut facts.not_before, seconds);
    table.set("not_after", &mut facts.not_after, seconds);
    text(&table, "key_type", &mut facts.key_type);
    table.set("key_bits", &mut facts.key_bits, |value| {
        value.optional(Value::number)
    });
    text(
        &table,
        "signature_algorithm",
        &mut facts.signature_algorithm,
    );
    texts(
        &table,
        "extended_key_usages",
        &mut facts.extended_key_usages,
    );
    table.set("sha256", &mut facts.sha256, digest);
    table.set("spki_sha256", &mut facts.spki_sha256, digest);
    number(&table, "chain_length", &mut facts.chain_length);
    if let Some(trust) = table.get("trust") {
        read_trust(&trust, &mut facts);
    }
    boolean(&table, "accept_self_signed", &mut facts.accept_self_signed);
    Some(facts)
}

fn read_names(table: &Table<'_>, facts: &mut Certificate) {
    text(table, "subject", &mut facts.subject);
    text(table, "issuer", &mut facts.issuer);
    optional_text(table, "common_name", &mut facts.common_name);
    texts(table, "dns_names", &mut facts.dns_names);
    texts(table, "email_addresses", &mut facts.email_addresses);
    table.set("ip_addresses", &mut facts.ip_addresses, |value| {
        value.each(|address| Some(address.parsed::<IpAddr>()?.to_string()))
    });
    texts(table, "uris", &mut facts.uris);
}

/// One text for both purposes, or a table with one for each.
fn read_trust(value: &Value<'_>, facts: &mut Certificate) {
    if !value.is_table() {
        if let Some(judged) = judgement(value) {
            facts.client_trust = judged.clone();
            facts.server_trust = judged;
        }
        return;
    }
    if let Some(purposes) = value.table() {
        purposes.only(&["client", "server"]);
        purposes.set("client", &mut facts.client_trust, judgement);
        purposes.set("server", &mut facts.server_trust, judgement);
    }
}

/// What each state rests on, where nothing else is said.
const STATES: [(&str, &str); 4] = [
    ("trusted", "CN=anchor"),
    ("pinned", "pinned"),
    ("self-signed", "signed by its own key"),
    ("untrusted", "unknown issuer"),
];

/// What else a text may be: a detail that has one state only.
const DETAILS: [(&str, &str); 19] = [
    ("pinned; certificate expired", "pinned"),
    ("pinned; certificate not yet valid", "pinned"),
    ("unknown issuer", "untrusted"),
    ("expired", "untrusted"),
    ("not yet valid", "untrusted"),
    ("revoked", "untrusted"),
    ("revocation list unusable", "untrusted"),
    ("bad signature", "untrusted"),
    ("unsupported signature", "untrusted"),
    ("name constraint", "untrusted"),
    ("not for this purpose", "untrusted"),
    ("unknown critical extension", "untrusted"),
    ("version 1", "untrusted"),
    ("version 2", "untrusted"),
    ("authority used as end entity", "untrusted"),
    ("issuer not an authority", "untrusted"),
    ("chain too complex", "untrusted"),
    ("malformed", "untrusted"),
    ("signed by its own key", "self-signed"),
];

/// A state, a detail that tells its state, or a table with both.
fn judgement(value: &Value<'_>) -> Option<Judgement> {
    if value.is_table() {
        return judgement_in_full(&value.table()?);
    }
    let words: Vec<&'static str> = STATES
        .iter()
        .chain(&DETAILS)
        .map(|(word, _)| *word)
        .collect();
    let found = value.choice(&words)?;
    let (state, detail) = match DETAILS.iter().find(|(detail, _)| *detail == found) {
        Some((detail, state)) => (*state, *detail),
        None => (found, detail_of(found)),
    };
    Some(Judgement {
        state: state.to_owned(),
        detail: detail.to_owned(),
    })
}

fn judgement_in_full(table: &Table<'_>) -> Option<Judgement> {
    table.only(&["state", "detail"]);
    let state = table
        .required("state")?
        .choice(&STATES.map(|(state, _)| state))?;
    let mut detail = detail_of(state).to_owned();
    text(table, "detail", &mut detail);
    Some(Judgement {
        state: state.to_owned(),
        detail,
    })
}

fn detail_of(state: &str) -> &'static str {
    STATES
        .iter()
        .find(|(word, _)| *word == state)
        .map_or("", |(_, detail)| *detail)
}

fn contradiction(table: &Table<'_>, key: &str, message: impl fmt::Display) {
    match table.get(key) {
        Some(value) => value.fault(message),
        None => table.place().fault(format_args!("{key}: {message}")),
    }
}

fn text(table: &Table<'_>, key: &str, to: &mut String) {
    table.set(key, to, Value::owned);
}

fn optional_text(table: &Table<'_>, key: &str, to: &mut Option<String>) {
    table.set(key, to, |value| value.optional(Value::owned));
}

fn texts(table: &Table<'_>, key: &str, to: &mut Vec<String>) {
    table.set(key, to, |value| value.each(Value::owned));
}

fn boolean(table: &Table<'_>, key: &str, to: &mut bool) {
    table.set(key, to, Value::boolean);
}

fn number<T: TryFrom<i128>>(table: &Table<'_>, key: &str, to: &mut T) {
    table.set(key, to, Value::number);
}

fn word(value: &Value<'_>, words: &[&'static str]) -> Option<String> {
    value.choice(words).map(str::to_owned)
}

fn id(value: &Value<'_>) -> Option<String> {
    let text = value.text()?;
    // 26 digits of five bits are two more than the 128 of an id.
    let sound = text.len() == 26
        && text.chars().all(|c| ULID.contains(c))
        && text.starts_with(|first: char| first <= '7');
    value.expected(
        sound.then(|| text.to_owned()),
        "the 26 letters and digits of a ULID",
    )
}

/// What the host takes for the name of a tenant, a listener or a list.
pub(super) fn is_name(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && !text.starts_with('-')
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn name(value: &Value<'_>) -> Option<String> {
    let text = value.text()?;
    value.expected(
        is_name(text).then(|| text.to_owned()),
        "a name of 1 to 63 of a-z, 0-9 and '-'",
    )
}

/// In the form in which the host gives addresses, with this port where none is written.
fn endpoint(value: &Value<'_>, port: u16) -> Option<Endpoint> {
    let text = value.text()?;
    let address = text
        .parse::<SocketAddr>()
        .or_else(|_| text.parse().map(|ip: IpAddr| SocketAddr::new(ip, port)));
    let what = "an address, such as \"192.0.2.1:25\", \"[2001:db8::1]:25\" or \"192.0.2.1\"";
    let address = value.expected(address.ok(), what)?;
    Some(Endpoint {
        address: address.ip().to_canonical().to_string(),
        port: address.port(),
    })
}

fn sender(value: &Value<'_>) -> Option<Option<String>> {
    if value.is_absent() || value.node().as_str() == Some("") {
        return Some(None);
    }
    address(value).map(Some)
}

/// In the form in which the host gives addresses: the domain in lower case.
fn address(value: &Value<'_>) -> Option<String> {
    let text = value.text()?;
    let what = "a mail address, such as \"amy@partner.example\"";
    let parts = text.rsplit_once('@').filter(|(local, _)| !local.is_empty());
    let (local, domain) = value.expected(parts, what)?;
    if domain.starts_with('[') && domain.ends_with(']') {
        return Some(text.to_owned());
    }
    let domain: Domain = value.told(domain.parse())?;
    Some(format!("{local}@{domain}"))
}

fn version(value: &Value<'_>) -> Option<u16> {
    if value.node().is_integer() {
        return value.number();
    }
    let code = match value.node().as_str() {
        Some("1.2") => Some(0x0303),
        Some("1.3") => Some(0x0304),
        _ => None,
    };
    value.expected(
        code,
        "\"1.2\", \"1.3\" or the wire code of a version, such as 0x0304",
    )
}

fn digest(value: &Value<'_>) -> Option<String> {
    let digest: Fingerprint = value.parsed()?;
    Some(digest.to_string())
}
