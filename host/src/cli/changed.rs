//! What became of a change, for people and for programs.

use serde::Deserialize;

use super::api::Answer;
use super::check::counted;
use super::rows;
use crate::unicode;

#[derive(Deserialize)]
struct Changed {
    changes: Vec<String>,
    /// A host of another version may not say.
    #[serde(default)]
    warnings: Vec<String>,
    in_force_ms: Option<f64>,
}

/// A line for each difference, and how soon it was in force. What is hardly meant is for
/// people, on standard error.
pub(super) fn show(answer: &Answer, json: bool) -> anyhow::Result<()> {
    if json {
        return rows::lines([answer.text()]);
    }
    differences(answer)?;
    conclusion(answer)
}

/// A line for each difference, and what is hardly meant; how many differences there are.
pub(super) fn differences(answer: &Answer) -> anyhow::Result<usize> {
    let changed: Changed = answer.json()?;
    let changes = changed.changes.iter().map(|change| unicode::shown(change));
    // What is done next does not depend on who reads this.
    rows::read_or_not(rows::lines(changes))?;
    for warning in &changed.warnings {
        rows::aside(format_args!("warning: {}", unicode::shown(warning)));
    }
    Ok(changed.changes.len())
}

/// How many there were, and how soon they were in force.
pub(super) fn conclusion(answer: &Answer) -> anyhow::Result<()> {
    let changed: Changed = answer.json()?;
    let changes = counted(changed.changes.len(), "change");
    rows::lines([match changed.in_force_ms {
        None => format!("{changes}; nothing was changed, as asked"),
        Some(took) => format!("{changes}, in force after {took:.3} ms"),
    }])
}
