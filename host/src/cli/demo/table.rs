//! The demo's table.

use std::fmt::Write;

use super::scenes::Scene;
use crate::address::Mailbox;
use crate::cli::columns;
use crate::cli::receipts::{connection, decision};
use crate::facts::ClientCertificate;
use crate::receipt::VerdictEvent;
use crate::receipt::read::Receipt;

/// One recipient of one scene.
pub(super) struct Row {
    pub(super) scene: &'static Scene,
    pub(super) receipt: Receipt,
}

const HEAD: [&str; 5] = [
    "scene",
    "connection",
    "certificate",
    "decided by",
    "decision",
];

/// The table: below each row who wrote to whom, what the client was told, and why.
pub(super) fn table(rows: &[Row]) -> String {
    let cells: Vec<[String; 5]> = rows.iter().map(cells).collect();
    let lines = columns::lines(HEAD, &cells);
    let mut lines = lines.iter();
    let mut text = lines
        .next()
        .map_or_else(String::new, |head| format!("{head}\n"));
    for (row, line) in rows.iter().zip(lines) {
        let (reply, reason) = told(&row.receipt);
        let (sender, recipient) = addresses(&row.receipt);
        // Writing to a String cannot fail.
        let _ = write!(text, "{line}\n    {sender} -> {recipient}: {reply}\n");
        if !reason.is_empty() {
            let _ = writeln!(text, "    because {reason}");
        }
    }
    let refused = rows
        .iter()
        .filter(|row| !told(&row.receipt).0.starts_with('2'))
        .count();
    let _ = writeln!(
        text,
        "\n{} recipients decided, {refused} refused; every receipt says what the client was told",
        rows.len()
    );
    text
}

fn cells(row: &Row) -> [String; 5] {
    let scene = row.scene.title.to_owned();
    match &row.receipt {
        Receipt::Decided(v, ..) => [scene, how(v), certificate(v), by(v), decision(v)],
        Receipt::Relay(r) => {
            let tls = r.connection.tls.as_ref();
            let how = tls.map_or("clear".into(), |tls| tls.version.to_string());
            [
                scene,
                how,
                "-".into(),
                "the host".into(),
                "relaying refused".into(),
            ]
        }
    }
}

fn addresses(receipt: &Receipt) -> (String, &Mailbox) {
    let (sender, recipient) = match receipt {
        Receipt::Decided(verdict, ..) => (&verdict.facts.sender, &verdict.facts.recipient),
        Receipt::Relay(relay) => (&relay.sender, &relay.recipient),
    };
    (
        sender.as_ref().map_or("<>".into(), ToString::to_string),
        recipient,
    )
}

fn told(receipt: &Receipt) -> (&str, &str) {
    match receipt {
        Receipt::Decided(verdict, ..) => (&verdict.reply, &verdict.reason),
        Receipt::Relay(relay) => (&relay.reply, ""),
    }
}

fn how(verdict: &VerdictEvent) -> String {
    let group = verdict
        .facts
        .connection
        .tls
        .as_ref()
        .and_then(|tls| tls.key_exchange.as_deref());
    match group {
        Some(group) => format!("{} {group}", connection(verdict)),
        None => connection(verdict),
    }
}

fn certificate(verdict: &VerdictEvent) -> String {
    let facts = &verdict.facts;
    match facts
        .connection
        .tls
        .as_ref()
        .map(|tls| &tls.client_certificate)
    {
        None | Some(ClientCertificate::None | ClientCertificate::NotAsked) => "-".into(),
        Some(ClientCertificate::Claimed(_)) => "claimed by a proxy".into(),
        Some(ClientCertificate::Given(_)) => {
            let trust = facts.trust.as_ref();
            trust
                .map_or("not judged", |trust| trust.client.state.as_str())
                .into()
        }
    }
}

fn by(verdict: &VerdictEvent) -> String {
    match &verdict.policy {
        None => "no policy".into(),
        Some(policy) => match &policy.module {
            Some(module) => format!("{} ({:.8})", policy.name, module.digest.to_string()),
            None => policy.name.clone(),
        },
    }
}
