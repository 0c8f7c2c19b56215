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
    let changed: Changed = answer.json()?;
    for warning in &changed.warnings {
        eprintln!("warning: {}", unicode::shown(warning));
    }
    let changes = counted(changed.changes.len(), "change");
    let conclusion = match changed.in_force_ms {
        None => format!("{changes}; nothing was changed, as asked"),
        Some(took) => format!("{changes}, in force after {took:.3} ms"),
    };
    let changes = changed.changes.iter().map(|change| unicode::shown(change));
    rows::lines(changes.chain([conclusion]))
}
