//! One decision, for people and for programs.

use serde_json::{Value, json};

use crate::author::vectors::Outcome;
use crate::cli::subject::Subject;
use crate::cli::trace;
use crate::unicode;

/// What it decided, what it took, and all that it did.
pub(super) fn text(subject: &Subject, outcome: &Outcome) -> Vec<String> {
    let mut lines = vec![subject.title()];
    lines.extend(decided(outcome));
    lines.push(format!("cost       {}", trace::cost(outcome)));
    if !outcome.trace.events.is_empty() {
        lines.push(String::new());
        lines.extend(trace::table(&outcome.trace.events));
    }
    lines
}

fn decided(outcome: &Outcome) -> Vec<String> {
    let found = outcome.found();
    let mut lines = Vec::new();
    let mut put = |name: &str, value: &str| {
        lines.push(format!("{name:<9}  {}", unicode::shown(value)));
    };
    match (&found.decision, &found.failure) {
        (Some(decision), _) => {
            put("decision", decision);
            for requirement in &found.requirements {
                put("requires", requirement);
            }
            put("because", &found.reason);
        }
        (None, failure) => {
            put(
                "decision",
                "none: what the policy has as on_failure applies",
            );
            put("failure", failure.as_deref().unwrap_or_default());
        }
    }
    lines
}

/// All of it as one object.
pub(super) fn json(subject: &Subject, outcome: &Outcome) -> Value {
    let manifest = subject.module.manifest();
    let found = outcome.found();
    let micros = outcome.ran.elapsed.as_micros();
    json!({
        "module": {
            "name": manifest.name,
            "version": manifest.version,
            "digest": subject.module.digest().to_string(),
            "size": subject.bytes.len(),
        },
        "decision": found.decision,
        "requirements": found.requirements,
        "reason": found.decision.is_some().then_some(found.reason),
        "failure": found.failure.map(|detail| json!({ "code": outcome.failure(), "detail": detail })),
        "log": found.log,
        "trace": outcome.trace.events,
        "fuel": outcome.ran.fuel,
        "micros": u64::try_from(micros).unwrap_or(u64::MAX),
        "memory": outcome.trace.memory,
    })
}
