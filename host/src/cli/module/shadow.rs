//! What a revision that is tried would have decided, for people.

use serde::Deserialize;

use crate::cli::rows;
use crate::unicode;

#[derive(Deserialize)]
pub(super) struct Shadow {
    revision: Option<i64>,
    since: Option<i64>,
    decisions: i64,
    agree: i64,
    differ: i64,
    not_run: i64,
    pairs: Vec<Pair>,
    senders: Vec<Sender>,
    senders_complete: bool,
    samples: Vec<Sample>,
}

#[derive(Deserialize)]
struct Side {
    decision: String,
    verdict: String,
}

#[derive(Deserialize)]
struct Pair {
    was: Side,
    would: Side,
    decisions: i64,
}

#[derive(Deserialize)]
struct Sender {
    domain: String,
    was: String,
    would: String,
    decisions: i64,
}

#[derive(Deserialize)]
struct Sample {
    receipt: String,
    was: Side,
    would: Side,
    reason: String,
}

/// How it is going, and then a table for each of what there is.
pub(super) fn show(module: &str, shadow: Shadow) -> anyhow::Result<()> {
    let trial = match (shadow.revision, shadow.since) {
        (Some(revision), Some(since)) => {
            format!(
                "revision {revision} of {module} is tried since {}",
                rows::time(since)
            )
        }
        _ => format!("no revision of {module} is tried"),
    };
    let Shadow {
        decisions,
        agree,
        differ,
        not_run,
        ..
    } = shadow;
    rows::lines([
        trial,
        format!(
            "{decisions} decisions: {agree} the same, {differ} others; not asked about {not_run}"
        ),
    ])?;
    pairs(shadow.pairs)?;
    senders(shadow.senders, shadow.senders_complete)?;
    samples(shadow.samples)
}

fn pairs(pairs: Vec<Pair>) -> anyhow::Result<()> {
    let row = |pair: Pair| {
        [
            pair.decisions.to_string(),
            side(&pair.was),
            side(&pair.would),
        ]
    };
    table(["decisions", "was", "would be"], pairs.into_iter().map(row))
}

fn senders(senders: Vec<Sender>, is_complete: bool) -> anyhow::Result<()> {
    let row = |sender: Sender| {
        let domain = match sender.domain.as_str() {
            "" => "<>".to_owned(),
            domain => domain.to_owned(),
        };
        [
            domain,
            sender.decisions.to_string(),
            sender.was,
            sender.would,
        ]
    };
    table(
        ["sender", "decisions", "was", "would be"],
        senders.into_iter().map(row),
    )?;
    match is_complete {
        true => Ok(()),
        false => rows::lines(["there are more senders than are kept apart".to_owned()]),
    }
}

fn samples(samples: Vec<Sample>) -> anyhow::Result<()> {
    let row = |sample: Sample| {
        [
            sample.receipt,
            side(&sample.was),
            side(&sample.would),
            unicode::shown(&sample.reason),
        ]
    };
    table(
        ["receipt", "was", "would be", "because"],
        samples.into_iter().map(row),
    )
}

fn side(side: &Side) -> String {
    format!("{} {}", side.decision, side.verdict)
}

/// Nothing where there is nothing.
fn table<const N: usize>(
    head: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
) -> anyhow::Result<()> {
    let rows: Vec<_> = rows.collect();
    if rows.is_empty() {
        return Ok(());
    }
    rows::lines([String::new()])?;
    rows::table(head, &rows)
}
