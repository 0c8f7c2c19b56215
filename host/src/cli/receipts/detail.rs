//! One receipt in full, for people: what was decided, on what, and why.

use std::fmt::{Display, Write};

use super::{connection, decision, sender, would};
use crate::engine::LogLine;
use crate::facts::{Certificate, Facts, Judgement, ReverseName};
use crate::receipt::read::Receipt;
use crate::receipt::{
    FailureRecord, Monitored, OutcomeEvent, PolicyUsed, RelayCause, RelayEvent, VerdictEvent,
    timestamp,
};
use crate::unicode;

/// The receipt, a fact a line, and the policy that decided as it was then. What is left
/// out is in `--json`.
pub(super) fn detail(
    receipt: &Receipt,
    policy: Option<&str>,
    shadows: &[(String, Monitored)],
) -> String {
    let mut lines = Lines(String::new());
    if receipt.is_erased() {
        lines.put(
            "erased",
            "an address was erased, so this cannot be explained",
        );
    }
    match receipt {
        Receipt::Decided(verdict, content, outcome) => {
            let outcome = outcome.as_ref();
            decided(&mut lines, verdict, outcome.filter(|_| content.is_none()));
            if let Some(content) = content {
                decided_again(&mut lines, content, outcome);
            }
        }
        Receipt::Relay(relay) => refused_relaying(&mut lines, relay),
    }
    for (stage, answer) in shadows {
        tried(&mut lines, stage, answer);
    }
    lines.put_some("as it was", policy);
    lines.0
}

struct Lines(String);

impl Lines {
    fn put(&mut self, name: &str, value: impl Display) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "{name:<12} {}", unicode::shown(&value.to_string()));
    }

    fn put_some(&mut self, name: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }
}

fn decided(lines: &mut Lines, verdict: &VerdictEvent, outcome: Option<&OutcomeEvent>) {
    let facts = &verdict.facts;
    lines.put("receipt", verdict.id);
    lines.put(
        "time",
        format_args!("{}, on {}", verdict.time, verdict.node),
    );
    lines.put("tenant", &facts.tenant);
    lines.put("from", sender(facts.sender.as_ref()));
    lines.put("to", &facts.recipient);
    lines.put("direction", facts.direction.as_str());
    seen(lines, verdict);
    lines.put_some("certificate", facts.certificate().map(|c| shown(c, facts)));
    conclusion(lines, verdict, outcome);
}

/// The second decision, on the header From.
fn decided_again(lines: &mut Lines, verdict: &VerdictEvent, outcome: Option<&OutcomeEvent>) {
    let addresses = verdict.facts.header_from.iter().map(ToString::to_string);
    let shown = addresses.collect::<Vec<_>>().join(", ");
    let from = if shown.is_empty() {
        "no address"
    } else {
        shown.as_str()
    };
    lines.put("header From", from);
    conclusion(lines, verdict, outcome);
}

fn conclusion(lines: &mut Lines, verdict: &VerdictEvent, outcome: Option<&OutcomeEvent>) {
    lines.put(
        "policy",
        verdict.policy.as_ref().map_or("none matches".into(), used),
    );
    lines.put("decision", decision(verdict));
    lines.put("because", &verdict.reason);
    lines.put_some("failure", verdict.failure.as_ref().map(failure));
    lines.put("reply", &verdict.reply);
    lines.put_some("outcome", outcome.map(came_to));
    if let Some(monitored) = &verdict.monitored {
        watched(lines, monitored);
    }
    for line in &verdict.log {
        lines.put("log", logged(line));
    }
    let fuel = verdict
        .fuel
        .map(|fuel| format!(", {fuel} units of fuel"))
        .unwrap_or_default();
    lines.put(
        "cost",
        format_args!("{} microseconds{fuel}", verdict.micros),
    );
}

/// What a revision that was tried beside the active one would have decided.
fn tried(lines: &mut Lines, stage: &str, answer: &Monitored) {
    let when = match stage {
        "content" => ", at the end of data",
        _ => "",
    };
    lines.put("shadow", format_args!("{}{when}", used(&answer.policy)));
    would_be(lines, answer);
}

/// What a policy in monitor mode would have decided.
fn watched(lines: &mut Lines, monitored: &Monitored) {
    lines.put("monitored", used(&monitored.policy));
    would_be(lines, monitored);
}

fn would_be(lines: &mut Lines, monitored: &Monitored) {
    lines.put(
        "would be",
        format_args!("{}: {}", would(monitored), monitored.reason),
    );
    lines.put_some("failure", monitored.failure.as_ref().map(failure));
    lines.put_some("reply", monitored.reply.as_ref());
    for line in &monitored.log {
        lines.put("log", logged(line));
    }
}

fn failure(failure: &FailureRecord) -> String {
    format!("{}: {}", failure.code, failure.detail)
}

fn logged(line: &LogLine) -> String {
    let level = format!("{:?}", line.level).to_lowercase();
    format!("{level}: {}", line.text)
}

fn seen(lines: &mut Lines, verdict: &VerdictEvent) {
    let (facts, from) = (&verdict.facts, &verdict.facts.connection);
    let (verb, name) = (facts.helo.verb.as_str(), &facts.helo.name);
    lines.put(
        "client",
        format_args!("{} on {}, {verb} {name}", from.client, from.listener),
    );
    lines.put_some("proxy", from.proxied_by);
    lines.put_some("reverse name", from.reverse_name.as_ref().map(reverse));
    lines.put_some(
        "failed TLS",
        from.handshake_failure.as_ref().map(|failure| {
            let ago = facts.now.saturating_sub(failure.at);
            format!("{ago} seconds before: {}", failure.reason)
        }),
    );
    let tls = from.tls.as_ref();
    let how = tls.map(|tls| {
        let group = tls
            .key_exchange
            .as_deref()
            .unwrap_or("unknown key exchange");
        format!("{}, {}, {group}", connection(verdict), tls.cipher_suite)
    });
    let offered = if from.starttls_offered {
        "offered"
    } else {
        "not offered"
    };
    lines.put(
        "connection",
        how.unwrap_or_else(|| format!("clear, STARTTLS was {offered}")),
    );
}

fn reverse(reverse: &ReverseName) -> String {
    let confirmed = if reverse.confirmed {
        "resolves to the client's address"
    } else {
        "does not resolve to the client's address"
    };
    format!("{}, which {confirmed}", reverse.name)
}

fn shown(certificate: &Certificate, facts: &Facts) -> String {
    let trust = facts.trust.as_ref().map_or("not judged", Judgement::detail);
    let trusted = facts
        .trusted_certificate()
        .map_or("not trusted", |_| "trusted");
    let until = timestamp(u64::try_from(certificate.not_after).unwrap_or(0));
    format!(
        "{} for {}, until {until}, {trusted}: {trust}; its key is {}",
        certificate.subject,
        certificate.dns_names.join(", "),
        certificate.spki_sha256
    )
}

fn used(policy: &PolicyUsed) -> String {
    match &policy.module {
        Some(module) => format!(
            "{} ({}), module {} ({}), settings {}",
            policy.name, policy.revision, module.name, module.digest, module.settings
        ),
        None => format!("{} ({})", policy.name, policy.revision),
    }
}

fn came_to(outcome: &OutcomeEvent) -> String {
    let what = format!("{:?}", outcome.outcome).to_lowercase();
    let parts = [what.as_str(), &outcome.detail, &outcome.reply];
    parts
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(": ")
}

fn refused_relaying(lines: &mut Lines, relay: &RelayEvent) {
    lines.put("receipt", relay.id);
    lines.put("time", format_args!("{}, on {}", relay.time, relay.node));
    lines.put("from", sender(relay.sender.as_ref()));
    lines.put("to", &relay.recipient);
    lines.put(
        "client",
        format_args!(
            "{} on {}",
            relay.connection.client, relay.connection.listener
        ),
    );
    lines.put("because", because(&relay.because));
    lines.put("reply", &relay.reply);
}

fn because(cause: &RelayCause) -> String {
    match cause {
        RelayCause::Foreign => "no tenant has the recipient's domain, and the client is no server \
             of the tenant who has the sender's"
            .to_owned(),
        RelayCause::NoTarget { tenant } => format!(
            "no tenant has the recipient's domain, and {tenant}, whose mail it is, has no \
             [targets.outbound]"
        ),
        RelayCause::Unclear => "no tenant has the recipient's domain, the client is a server of \
             several tenants, and the null sender does not say whose mail it is"
            .to_owned(),
    }
}
