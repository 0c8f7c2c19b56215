//! An explanation for people: what was asked, every policy in its place, and what
//! comes of it.

use std::fmt::{Display, Write};

use super::Report;
use crate::cli::columns;
use crate::decision::{Decision, Requirements};
use crate::facts::{Direction, Stage};
use crate::name::Name;
use crate::policy::{Answer, Candidate, Explanation, Inquiry, Mode, Standing};
use crate::unicode;

const HEAD: [&str; 8] = [
    "place", "policy", "mode", "override", "from", "to", "source", "result",
];

/// The whole of it.
pub(super) fn text(report: &Report) -> String {
    let explanation = &report.explanation;
    let mut lines = Vec::new();
    if let Some(receipt) = report.receipt {
        lines.push(line("receipt", receipt));
    }
    lines.push(line("tenant", &report.tenant));
    lines.extend(asked(&report.question));
    lines.push(String::new());
    if explanation.candidates.is_empty() {
        lines.push("the tenant has no policies".to_owned());
    } else {
        let rows: Vec<_> = rows(explanation);
        lines.extend(columns::lines(HEAD, &rows));
    }
    lines.push(String::new());
    lines.push(line("applies", applies(explanation)));
    if let Some(name) = &explanation.monitored {
        lines.push(line("monitored", named(explanation, name)));
    }
    for change in report.changes.iter().flatten() {
        lines.push(line("changed", change));
    }
    let mut text = String::new();
    for line in lines {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", unicode::shown(&line));
    }
    text
}

fn line(name: &str, value: impl Display) -> String {
    format!("{name:<12} {value}")
}

fn asked(question: &Inquiry) -> Vec<String> {
    let stage = match question.stage {
        Stage::Recipient => "at RCPT TO",
        Stage::Content => "at the end of data",
    };
    let direction = match question.direction {
        Direction::Inbound => "inbound",
        Direction::Outbound => "outbound",
    };
    let sender = question.sender.as_ref();
    let mut lines = vec![
        line("asked", format_args!("{stage}, {}", question.now)),
        line("direction", direction),
        line("from", sender.map_or("<>".to_owned(), ToString::to_string)),
    ];
    if question.stage == Stage::Content {
        let addresses: Vec<String> = question
            .header_from
            .iter()
            .map(ToString::to_string)
            .collect();
        let addresses = match addresses.as_slice() {
            [] => "<>".to_owned(),
            addresses => addresses.join(", "),
        };
        lines.push(line("header from", addresses));
    }
    lines.push(line("to", &question.recipient));
    lines.push(line("client", question.client));
    lines
}

fn rows(explanation: &Explanation) -> Vec<[String; HEAD.len()]> {
    let all = explanation.candidates.iter();
    all.map(|candidate| row(candidate, explanation)).collect()
}

/// What is done with what it decides, and the share of senders who are enforced where its
/// ramp makes that so.
fn mode(candidate: &Candidate) -> String {
    let mode = match candidate.mode {
        Mode::Enforce => "enforce",
        Mode::Monitor => "monitor",
    };
    match candidate.ramp {
        None => mode.to_owned(),
        Some(stand) => format!("{mode} ({} %)", stand.percent()),
    }
}

fn row(candidate: &Candidate, explanation: &Explanation) -> [String; HEAD.len()] {
    let mode = mode(candidate);
    let (from, to) = (candidate.from.to_string(), candidate.to.to_string());
    let name = candidate.policy.to_string();
    match &candidate.result {
        Standing::Matched {
            place,
            exchanged,
            rank,
        } => {
            let (from, to) = if *exchanged { (to, from) } else { (from, to) };
            let overrides = if rank.overrides { "yes" } else { "no" };
            let source = rank
                .source_prefix
                .map_or("any".to_owned(), |bits| format!("/{bits}"));
            let result = result(&candidate.policy, *exchanged, explanation);
            [
                place.to_string(),
                name,
                mode,
                overrides.to_owned(),
                from,
                to,
                source,
                result,
            ]
        }
        Standing::NotMatched(mismatch) => {
            let blank = || "-".to_owned();
            let result = mismatch.to_string();
            [blank(), name, mode, blank(), from, to, blank(), result]
        }
    }
}

/// What comes of a policy that matches.
fn result(name: &Name, exchanged: bool, explanation: &Explanation) -> String {
    let is = |other: &Option<Name>| other.as_ref() == Some(name);
    let result = if explanation.exempt.is_some() {
        "the recipient is exempt"
    } else if is(&explanation.in_force) {
        "applies"
    } else if is(&explanation.monitored) {
        "would apply"
    } else {
        "others go before it"
    };
    let how = if exchanged {
        ", with from and to exchanged"
    } else {
        ""
    };
    format!("{result}{how}")
}

fn applies(explanation: &Explanation) -> String {
    match (explanation.exempt, &explanation.in_force) {
        (Some(exemption), _) => format!("no policy: {}", exemption.reason()),
        (None, None) => "no policy: what Default means is decided".to_owned(),
        (None, Some(name)) => named(explanation, name),
    }
}

/// The policy and what it answers.
fn named(explanation: &Explanation, name: &Name) -> String {
    match explanation
        .candidate(name)
        .map(|candidate| &candidate.option)
    {
        Some(Answer::Module(module)) => format!("{name}: asks the module {module}"),
        Some(Answer::Constant(decision)) => format!("{name}: {}", word(decision)),
        None => name.to_string(),
    }
}

fn word(decision: &Decision) -> &'static str {
    match decision {
        Decision::Default => "default",
        Decision::Opportunistic => "opportunistic",
        Decision::Enforced(requirements) if *requirements == Requirements::default() => "enforced",
        Decision::Enforced(_) => "enforced, with requirements",
    }
}
