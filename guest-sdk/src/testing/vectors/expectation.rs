//! Reading what a case expects.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use super::expected::{Expected, Outcome};
use super::faults::hint;
use super::reader::{Table, Value, shown};
use crate::answer::Requirement;
use crate::tls::TlsVersion;

/// None has been told.
pub(super) fn read(value: &Value<'_>) -> Option<Expected> {
    let table = value.table()?;
    table.only(&["decision", "requirements", "reason", "fails", "log"]);
    let log = table.get("log").map(|value| value.each(line));
    let outcome = match table.get("fails") {
        Some(fails) => failure(&table, &fails),
        None => answer(&table),
    };
    Some(Expected {
        outcome: outcome?,
        log: match log {
            Some(log) => Some(log?),
            None => None,
        },
    })
}

fn failure(table: &Table<'_>, fails: &Value<'_>) -> Option<Outcome> {
    for key in ["decision", "requirements", "reason"] {
        if let Some(value) = table.get(key) {
            value.fault("a policy that fails gives no answer: leave it out, or \"fails\"");
        }
    }
    fails.owned().map(Outcome::Fails)
}

fn answer(table: &Table<'_>) -> Option<Outcome> {
    let requirements = table.get("requirements");
    let reason = table.get("reason").map(|value| value.owned());
    let read = requirements
        .as_ref()
        .map(|value| value.each::<BTreeSet<String>, _>(requirement));
    let Some(decision) = table.get("decision") else {
        table.place().missing(
            "\"decision\" is missing (or \"fails\", where the policy is to give no answer)",
        );
        return None;
    };
    let decision = decision.choice(&["default", "opportunistic", "enforced"])?;
    if let (Some(value), Some(Some(some))) = (&requirements, &read)
        && decision != "enforced"
        && !some.is_empty()
    {
        value.fault(format_args!(
            "{decision:?} has no requirements: only \"enforced\" has"
        ));
    }
    Some(Outcome::Answer {
        decision: decision.to_owned(),
        requirements: read.map_or(Some(None), |read| read.map(Some))?,
        reason: reason.map_or(Some(None), |reason| reason.map(Some))?,
    })
}

fn line(value: &Value<'_>) -> Option<String> {
    let text = value.text()?;
    let levelled = ["debug: ", "info: ", "warn: "]
        .iter()
        .any(|level| text.starts_with(level));
    value.expected(
        levelled.then(|| text.to_owned()),
        "a level and a line, such as \"warn: the pins expire tomorrow\"",
    )
}

/// The names of the requirements in `wit/demands.wit`, and what they take.
const REQUIREMENTS: [(&str, &str); 7] = [
    ("at-least", "a TLS version: 1.2, 1.3 or a wire code"),
    ("post-quantum-key-exchange", ""),
    ("certificate-presented", ""),
    ("certificate-trusted", ""),
    ("certificate-covers", "the name of a host"),
    ("certificate-within", "a domain"),
    ("certificate-pinned", "SHA-256 digests of public keys"),
];

/// In the form of [`Requirement`]'s own text.
fn requirement(value: &Value<'_>) -> Option<String> {
    let text = value.text()?;
    let mut words = text.split_whitespace();
    let name = words.next().unwrap_or_default();
    let words: Vec<&str> = words.collect();
    let Some((_, takes)) = REQUIREMENTS.iter().find(|(known, _)| *known == name) else {
        let known = REQUIREMENTS.map(|(known, _)| known);
        value.fault(format_args!(
            "{:?} is no requirement{}; there are {}",
            shown(name),
            hint(name, known),
            known.join(", ")
        ));
        return None;
    };
    let read = requirement_of(name, &words).map_err(|fault| match (*takes, fault.as_str()) {
        ("", _) => format!("{name} takes nothing"),
        (takes, "") => format!("{name} takes {takes}"),
        (takes, fault) => format!("{name} takes {takes}: {fault}"),
    });
    value.told(read).map(|requirement| requirement.to_string())
}

/// The error is empty where the number of words says everything.
fn requirement_of(name: &str, words: &[&str]) -> Result<Requirement, String> {
    Ok(match (name, words) {
        ("at-least", [version]) => Requirement::AtLeast(version_of(version)?),
        ("post-quantum-key-exchange", []) => Requirement::PostQuantumKeyExchange,
        ("certificate-presented", []) => Requirement::CertificatePresented,
        ("certificate-trusted", []) => Requirement::CertificateTrusted,
        ("certificate-covers", [host]) => Requirement::CertificateCovers(parsed(host)?),
        ("certificate-within", [domain]) => Requirement::CertificateWithin(parsed(domain)?),
        ("certificate-pinned", pins) => {
            let pins: Result<_, _> = pins.iter().map(|pin| parsed(pin)).collect();
            Requirement::CertificatePinned(pins?)
        }
        _ => return Err(String::new()),
    })
}

fn parsed<T: FromStr<Err: fmt::Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|fault: T::Err| fault.to_string())
}

fn version_of(text: &str) -> Result<TlsVersion, String> {
    match text {
        "1.2" => Ok(TlsVersion::Tls12),
        "1.3" => Ok(TlsVersion::Tls13),
        _ => text
            .strip_prefix("0x")
            .and_then(|digits| u16::from_str_radix(digits, 16).ok())
            .map(TlsVersion::from_code)
            .ok_or_else(|| format!("{text:?} is none")),
    }
}
