//! What came of cases, for people.

use std::collections::BTreeSet;
use std::time::Duration;

use portcullis_sdk::testing::vectors::Difference;

use crate::author::vectors::{self, Case, Coverage, Tried};
use crate::cli::check::counted as count;
use crate::cli::{columns, trace};
use crate::engine::{Event, told};
use crate::unicode;

/// How many cases there are, and where.
pub(super) fn counted(cases: &[Case]) -> String {
    let files: BTreeSet<_> = cases.iter().map(|case| &case.file).collect();
    let files: Vec<_> = files
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    let text = format!(
        "running {} of {}",
        count(cases.len(), "case"),
        files.join(", ")
    );
    unicode::shown(&text)
}

/// A case that failed: what was expected beside what was found, what the module did, and
/// what else the case says.
pub(super) fn failure(case: &Case, tried: &Tried) -> Vec<String> {
    let title = format!(
        "---- {} ({}:{}) ----",
        case.name,
        case.file.display(),
        case.line
    );
    let mut lines = vec![unicode::shown(&title)];
    lines.extend(differences(&tried.differences));
    let events = &tried.outcome.trace.events;
    if !events.is_empty() {
        lines.push(String::new());
        lines.extend(trace::table(events));
    }
    let unread = unread(case, events);
    if !unread.is_empty() {
        lines.push(String::new());
        lines.extend(columns::lines(["of the case", "not read"], &unread));
    }
    lines.extend([String::new(), trace::cost(&tried.outcome)]);
    lines
}

fn differences(differences: &[Difference]) -> Vec<String> {
    let rows: Vec<_> = differences
        .iter()
        .map(|difference| {
            let Difference {
                what,
                expected,
                found,
            } = difference;
            [
                (*what).to_owned(),
                unicode::shown(expected),
                unicode::shown(found),
            ]
        })
        .collect();
    columns::lines(["", "expected", "found"], &rows)
}

/// The facts by which the case differs from the ordinary message, and which the module did
/// not ask for.
fn unread(case: &Case, events: &[Event]) -> Vec<[String; 2]> {
    let ordinary = told(&vectors::ordinary().facts);
    let all = told(&case.given.facts).into_iter();
    let named = |event: &Event, other: &Event| trace::asked(event) == trace::asked(other);
    all.filter(|event| !ordinary.contains(event))
        .filter(|event| !events.iter().any(|read| named(event, read)))
        .filter_map(|event| match &event {
            Event::Fact { name, value, .. } => {
                let told = unicode::shown(&trace::told(name, value));
                Some([trace::asked(&event), told])
            }
            _ => None,
        })
        .collect()
}

/// What all cases together have seen.
pub(super) fn coverage(coverage: &Coverage) -> Vec<String> {
    let decisions = coverage
        .decisions
        .iter()
        .map(|(decision, count)| match count {
            0 => format!("{decision} never"),
            count => format!("{decision} {count}"),
        });
    let failures = coverage.failures.iter();
    let failures = failures.map(|(code, count)| format!("{code} {count}"));
    let rows = [
        ("decisions", decisions.collect::<Vec<_>>()),
        ("failures", failures.collect()),
        (
            "facts",
            coverage.facts.iter().map(|&fact| fact.to_owned()).collect(),
        ),
        ("lists", coverage.lists.iter().cloned().collect()),
        ("requires", coverage.requirements.iter().cloned().collect()),
    ];
    let rows = rows.map(|(name, seen)| {
        let seen = match seen.is_empty() {
            true => "none".to_owned(),
            false => seen.join(", "),
        };
        format!("  {name:<9}  {}", unicode::shown(&seen))
    });
    let head = [String::new(), "coverage:".to_owned()];
    head.into_iter().chain(rows).collect()
}

/// The last line.
pub(super) fn result(cases: usize, failed: usize, filtered: usize, took: Duration) -> String {
    let word = if failed == 0 { "ok" } else { "FAILED" };
    let passed = cases - failed;
    let filtered = match filtered {
        0 => String::new(),
        filtered => format!("; {filtered} filtered out"),
    };
    let took = took.as_secs_f64();
    format!("\ntest result: {word}. {passed} passed; {failed} failed{filtered}; in {took:.2} s")
}
