//! What a replay found, for people.

use super::Replay;
use crate::cli::check::counted;
use crate::cli::{columns, rows};
use crate::replay::{Asked, Findings, RefusedSender};
use crate::unicode;

/// What a null sender is called.
const NULL: &str = "<>";

pub(super) fn show(
    tenant: &str,
    replay: &Replay,
    findings: &Findings,
    senders: usize,
) -> anyhow::Result<()> {
    let mut lines = vec![period(tenant, replay, findings)];
    lines.extend(candidate(findings));
    if findings.receipts > 0 {
        lines.extend(counts(findings));
        lines.extend(pairs(findings));
        lines.extend(refused(findings, senders));
        lines.extend(asked(findings));
        lines.extend(undetermined(findings));
        lines.extend(failures(findings));
    }
    rows::lines(lines.iter().map(|line| unicode::shown(line)))
}

fn period(tenant: &str, replay: &Replay, findings: &Findings) -> String {
    let from = replay.from.as_deref();
    let from = from.map_or_else(String::new, |from| format!(" from {from}"));
    let to = replay.to.as_deref();
    let to = to.map_or_else(String::new, |to| format!(" until {to}"));
    let at = &replay.at;
    match findings.receipts {
        0 => format!("there are no receipts of {tenant}{from}{to}: nothing was asked"),
        _ => {
            let receipts = receipts(findings.receipts);
            format!("{receipts} of {tenant}{from}{to}, as if it were in force at {at}")
        }
    }
}

fn receipts(count: u64) -> String {
    counted(usize::try_from(count).unwrap_or(usize::MAX), "receipt")
}

fn candidate(findings: &Findings) -> Vec<String> {
    let changes = findings.changes.iter().cloned();
    let notes = findings.notes.iter().map(|note| format!("note: {note}"));
    let none = findings.changes.is_empty();
    let none = none.then(|| "the candidate is what is in force".to_owned());
    changes.chain(none).chain(notes).collect()
}

fn counts(findings: &Findings) -> Vec<String> {
    let rows = [
        ("newly refused", findings.newly_refused),
        ("newly accepted", findings.newly_accepted),
        ("refused for another reason", findings.refused_otherwise),
        ("unchanged", findings.unchanged),
        ("not known", findings.undetermined),
        ("an address was erased", findings.erased),
        ("cannot be read", findings.unreadable),
    ];
    let rows = rows.into_iter().filter(|(what, count)| {
        // The first are said in any case.
        *count > 0 || matches!(*what, "newly refused" | "newly accepted" | "unchanged")
    });
    let rows: Vec<[String; 2]> = rows
        .map(|(what, count)| [what.to_owned(), count.to_string()])
        .collect();
    part(["", "receipts"], &rows)
}

fn pairs(findings: &Findings) -> Vec<String> {
    let pairs = findings
        .pairs
        .iter()
        .filter(|pair| pair.was != pair.would_be);
    let rows: Vec<[String; 4]> = pairs
        .map(|pair| {
            let sample = pair.samples.first().cloned().unwrap_or_default();
            let receipts = pair.receipts.to_string();
            [pair.was.clone(), pair.would_be.clone(), receipts, sample]
        })
        .collect();
    part(["then", "candidate", "receipts", "for example"], &rows)
}

fn refused(findings: &Findings, senders: usize) -> Vec<String> {
    let all = &findings.refused;
    let rows: Vec<[String; 6]> = all.iter().take(senders).map(row).collect();
    let head = [
        "would be refused",
        "receipts",
        "newly",
        "of",
        "why",
        "TLS before",
    ];
    let mut lines = part(head, &rows);
    if let Some(more) = all.len().checked_sub(senders).filter(|more| *more > 0) {
        lines.push(format!(
            "and {}: --senders shows more",
            counted(more, "sender")
        ));
    }
    if let Some(others) = &findings.others {
        lines.push(format!(
            "and {} of {} of senders that are too many to be told apart",
            others.refused,
            receipts(others.receipts)
        ));
    }
    lines
}

fn row(sender: &RefusedSender) -> [String; 6] {
    let why = sender
        .by
        .iter()
        .map(|(kind, count)| format!("{kind} {count}"));
    let Asked {
        receipts: asked, ..
    } = sender.asked;
    let before = match (asked, sender.in_tls) {
        (0, _) => String::new(),
        (_, 0) => "no".to_owned(),
        (_, in_tls) => format!("yes, {in_tls}"),
    };
    [
        sender.sender.clone().unwrap_or_else(|| NULL.to_owned()),
        sender.refused.to_string(),
        sender.newly_refused.to_string(),
        sender.receipts.to_string(),
        why.collect::<Vec<_>>().join(", "),
        before,
    ]
}

/// No record knows what a client does that is asked for TLS.
fn asked(findings: &Findings) -> Vec<String> {
    let asked = &findings.asked;
    if asked.receipts == 0 {
        return Vec::new();
    }
    let of_senders = asked.of_senders_in_tls;
    vec![
        String::new(),
        format!(
            "{} would be asked for TLS, and may come back with it: {of_senders} of senders that came in TLS too, {} of them by the same client; {} of senders that never did",
            receipts(asked.receipts),
            asked.of_clients_in_tls,
            asked.receipts.saturating_sub(of_senders),
        ),
    ]
}

fn undetermined(findings: &Findings) -> Vec<String> {
    let rows = findings.undetermined_by.iter();
    let rows: Vec<[String; 3]> = rows
        .map(|one| {
            let what = format!("{}: {}", one.cause, one.detail);
            [one.receipts.to_string(), one.sample.clone(), what]
        })
        .collect();
    part(["not known", "for example", "why"], &rows)
}

fn failures(findings: &Findings) -> Vec<String> {
    let rows = findings.failures.iter();
    let rows: Vec<[String; 3]> = rows
        .map(|one| {
            let what = format!("{}: {}", one.code, one.detail);
            [one.receipts.to_string(), one.sample.clone(), what]
        })
        .collect();
    part(["module failed", "for example", "why"], &rows)
}

/// A table behind an empty line, unless it is empty.
fn part<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> Vec<String> {
    if rows.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![String::new()];
    lines.extend(columns::lines(head, rows));
    lines
}
