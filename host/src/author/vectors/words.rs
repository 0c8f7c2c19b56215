//! What came of a run, in the words that vectors use.

use std::collections::BTreeSet;

use portcullis_sdk::testing::vectors::Found;

use crate::decision::{Decision, Requirement, Requirements};
use crate::engine::{Failure, LogLevel, LogLine, Ran, SettingsFault};

/// A requirement as vectors write it: its name in the interface, and what it takes.
pub fn requirement(requirement: &Requirement) -> String {
    match requirement {
        Requirement::AtLeast(version) => match version.0 {
            0x0303 => "at-least 1.2".to_owned(),
            0x0304 => "at-least 1.3".to_owned(),
            code => format!("at-least {code:#06x}"),
        },
        Requirement::PostQuantum => "post-quantum-key-exchange".to_owned(),
        Requirement::Presented => "certificate-presented".to_owned(),
        Requirement::Trusted => "certificate-trusted".to_owned(),
        Requirement::Covers(name) => format!("certificate-covers {name}"),
        Requirement::Within(domain) => format!("certificate-within {domain}"),
        Requirement::Pinned(pins) => {
            let pins = pins.iter().map(|pin| format!(" {pin}"));
            format!("certificate-pinned{}", pins.collect::<String>())
        }
    }
}

/// A line of the log: `warn: seen`.
pub(super) fn line(line: &LogLine) -> String {
    let level = match line.level {
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warn => "warn",
    };
    format!("{level}: {}", line.text)
}

pub(super) fn found(ran: &Ran) -> Found {
    let lines = ran.log.as_slice();
    let (lines, failure) = match &ran.result {
        Ok(_) => (lines, None),
        Err(failure) => {
            let (lines, failure) = explained(failure, lines);
            (lines, Some(failure))
        }
    };
    let answer = ran.result.as_ref().ok();
    let (decision, requirements) = match answer.map(|answer| &answer.decision) {
        None => (None, BTreeSet::new()),
        Some(Decision::Default) => (Some("default"), BTreeSet::new()),
        Some(Decision::Opportunistic) => (Some("opportunistic"), BTreeSet::new()),
        Some(Decision::Enforced(requirements)) => (Some("enforced"), all(requirements)),
    };
    Found {
        decision: decision.map(str::to_owned),
        requirements,
        reason: answer.map_or_else(String::new, |answer| answer.reason.clone()),
        failure,
        log: lines.iter().map(line).collect(),
    }
}

/// Settings that a policy cannot have. Natively nobody knows more of them than what the
/// module says when it is asked, which is therefore part of it.
pub(super) fn refused(faults: &[SettingsFault], ran: &Ran) -> Found {
    let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
    let faults = faults.join("; ");
    let Found {
        decision,
        failure,
        log,
        ..
    } = found(ran);
    let said = failure.or(decision.map(|decision| format!("it decided {decision}")));
    let said = said.unwrap_or_default();
    Found {
        failure: Some(format!(
            "no policy can have these settings: {faults}; asked all the same, {said}"
        )),
        log,
        ..Found::default()
    }
}

fn all(requirements: &Requirements) -> BTreeSet<String> {
    requirements.iter().map(requirement).collect()
}

/// A trap says nothing; the text of the panic that ends in it is the last line of the log.
/// Natively there is no such line, and so it counts as a part of the failure.
fn explained<'l>(failure: &Failure, lines: &'l [LogLine]) -> (&'l [LogLine], String) {
    match (failure, lines.split_last()) {
        (Failure::Trap(_), Some((last, before))) if last.level == LogLevel::Warn => {
            (before, format!("{failure}: {}", last.text))
        }
        _ => (lines, failure.to_string()),
    }
}
