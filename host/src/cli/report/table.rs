//! The report as rows: for a terminal, and for a spreadsheet.

use std::io::Write;

use crate::cli::{columns, rows};
use crate::facts::Direction;
use crate::policy::Moment;
use crate::report::figures::{count, days_until, share};
use crate::report::{Report, Tally, Traffic};
use crate::unicode;

const HEAD: [&str; 11] = [
    "sender",
    "messages",
    "in clear",
    "TLS 1.3",
    "post-quantum",
    "certificate",
    "trusted",
    "covering",
    "days left",
    "refused",
    "would be",
];

/// The sentence, and a line for each sender, numbers below each other.
pub(super) fn show(report: &Report) -> anyhow::Result<()> {
    let sentence = format!(
        "{} From {} until {}.",
        report.summary(),
        report.from,
        report.to
    );
    if report.total.messages == 0 {
        return rows::lines([sentence]);
    }
    let senders = report.senders.iter().map(|sender| {
        let name = match sender.direction {
            Direction::Inbound => sender.sender.clone(),
            Direction::Outbound => format!("{} (outbound)", sender.sender),
        };
        (name, &sender.traffic)
    });
    let others = report.others.iter();
    let others = others.map(|others| ("everybody else".to_owned(), others));
    let total = [("together".to_owned(), &report.total)];
    let all = senders.chain(others).chain(total);
    let rows: Vec<_> = all.map(|(name, t)| row(&name, t, report.made)).collect();
    let (head, rows) = to_the_right(HEAD, rows);
    let lines = columns::lines(head.each_ref().map(String::as_str), &rows);
    rows::lines([sentence, String::new()].into_iter().chain(lines))
}

fn row(name: &str, traffic: &Traffic, made: Moment) -> [String; 11] {
    let all = traffic.messages;
    let certificates = &traffic.certificates;
    let left = |end| days_until(end, made).to_string();
    [
        unicode::shown(name),
        count(all),
        share(traffic.clear, all),
        share(traffic.modern(), all),
        share(traffic.post_quantum, all),
        share(certificates.presented, all),
        share(certificates.trusted, all),
        share(certificates.covering, all),
        certificates.last_expires.map_or("–".to_owned(), left),
        count(traffic.refused),
        count(traffic.would_be_refused),
    ]
}

/// Head and rows, in which all columns but the first end below each other.
fn to_the_right<const N: usize>(
    head: [&str; N],
    mut rows: Vec<[String; N]>,
) -> ([String; N], Vec<[String; N]>) {
    let mut head = head.map(str::to_owned);
    for column in 1..N {
        let all = rows.iter().chain([&head]);
        let width = all.map(|row| row[column].chars().count()).max();
        let width = width.unwrap_or(0);
        for row in rows.iter_mut().chain([&mut head]) {
            row[column] = format!("{:>width$}", row[column]);
        }
    }
    (head, rows)
}

/// A line for each sender, and one for all beyond.
///
/// # Errors
/// When it cannot be written.
pub(super) fn csv(report: &Report, out: impl Write) -> anyhow::Result<()> {
    let mut out = csv::Writer::from_writer(out);
    out.write_record([
        "sender",
        "direction",
        "messages",
        "clear",
        "claimed",
        "tls_versions",
        "ciphers",
        "key_exchanges",
        "post_quantum",
        "certificate_presented",
        "certificate_trusted",
        "certificate_covering",
        "certificate_last_expires",
        "certificate_first_expires",
        "refused",
        "refusals",
        "monitored",
        "would_be_refused",
        "would_be_refusals",
    ])?;
    for sender in &report.senders {
        let direction = sender.direction.as_str();
        out.write_record(record(&sender.sender, direction, &sender.traffic))?;
    }
    if let Some(others) = &report.others {
        out.write_record(record("(others)", "", others))?;
    }
    Ok(out.flush()?)
}

fn record(sender: &str, direction: &str, traffic: &Traffic) -> [String; 19] {
    let time = |moment: Option<Moment>| moment.map(|m| m.to_string()).unwrap_or_default();
    let certificates = &traffic.certificates;
    [
        cell(sender),
        direction.to_owned(),
        traffic.messages.to_string(),
        traffic.clear.to_string(),
        traffic.claimed.to_string(),
        words(&traffic.versions),
        words(&traffic.ciphers),
        words(&traffic.key_exchanges),
        traffic.post_quantum.to_string(),
        certificates.presented.to_string(),
        certificates.trusted.to_string(),
        certificates.covering.to_string(),
        time(certificates.last_expires),
        time(certificates.first_expires),
        traffic.refused.to_string(),
        words(&traffic.refusals),
        traffic.monitored.to_string(),
        traffic.would_be_refused.to_string(),
        words(&traffic.would_be_refusals),
    ]
}

/// Such as `TLS 1.2: 3, TLS 1.3: 40`.
fn words(tally: &Tally) -> String {
    let words = tally.iter().map(|(word, count)| format!("{word}: {count}"));
    cell(&words.collect::<Vec<_>>().join(", "))
}

/// Text that no spreadsheet takes for a formula.
fn cell(text: &str) -> String {
    match text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        true => format!("'{text}"),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula() {
        for (text, expected) in [
            ("partner.example", "partner.example"),
            ("<>", "<>"),
            ("=1+1", "'=1+1"),
            ("@sum", "'@sum"),
            ("-x", "'-x"),
        ] {
            assert_eq!(cell(text), expected);
        }
    }
}
