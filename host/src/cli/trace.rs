//! What a policy did in a decision, as a table for people.

use serde_json::Value;

use super::columns;
use crate::author::vectors::{Outcome, requirement};
use crate::engine::{Event, Listed, LogLevel, LogLine};
use crate::facts::TlsVersion;
use crate::receipt::timestamp;
use crate::unicode;

/// A line for each call, in their order, below a head.
pub(super) fn table(events: &[Event]) -> Vec<String> {
    let rows: Vec<_> = events.iter().map(row).collect();
    let rows: Vec<_> = rows
        .iter()
        .map(|row| row.each_ref().map(|cell| unicode::shown(cell)))
        .collect();
    columns::lines(["it", "what", "answer"], &rows)
}

/// What it took.
pub(super) fn cost(outcome: &Outcome) -> String {
    let (fuel, micros) = (outcome.ran.fuel, outcome.ran.elapsed.as_micros());
    let memory = outcome.trace.memory >> 10;
    format!("{fuel} units of fuel, {micros} µs, {memory} KiB of memory")
}

fn row(event: &Event) -> [String; 3] {
    match event {
        Event::Fact { name, value, .. } => ["read".to_owned(), asked(event), told(name, value)],
        Event::List { name, key, answer } => {
            let answer = match answer {
                Listed::Found(value) if value.is_empty() => "has it".to_owned(),
                Listed::Found(value) => format!("{value:?}"),
                Listed::Absent => "has it not".to_owned(),
                Listed::NoList => "there is no list of this name".to_owned(),
            };
            ["asked".to_owned(), format!("list {name}: {key:?}"), answer]
        }
        Event::Requirement {
            requirement: one, ..
        } => ["required".to_owned(), requirement(one), String::new()],
        Event::Log(LogLine { level, text }) => {
            let level = match level {
                LogLevel::Debug => "debug",
                LogLevel::Info => "info",
                LogLevel::Warn => "warn",
            };
            [
                "logged".to_owned(),
                format!("{level}: {text}"),
                String::new(),
            ]
        }
    }
}

/// A fact as it was asked for: `certificate.within("partner.example")`.
pub(super) fn asked(event: &Event) -> String {
    match event {
        Event::Fact {
            name,
            argument: Some(argument),
            ..
        } => format!("{name}({argument:?})"),
        Event::Fact { name, .. } => (*name).to_owned(),
        _ => String::new(),
    }
}

/// What was told, and what a number means.
pub(super) fn told(name: &str, value: &Value) -> String {
    match (name, value) {
        ("message.tls" | "tls.certificate", Value::String(present)) => present.clone(),
        (_, Value::Null) => "none".to_owned(),
        ("tls.version", Value::Number(code)) => match code.as_u64().map(u16::try_from) {
            Some(Ok(code)) => format!("{code:#06x} ({})", TlsVersion(code)),
            _ => code.to_string(),
        },
        (
            "message.now" | "certificate.not-before" | "certificate.not-after",
            Value::Number(seconds),
        ) => match seconds.as_u64() {
            Some(moment) => format!("{seconds} ({})", timestamp(moment)),
            None => seconds.to_string(),
        },
        (_, value) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::decision::Requirement;

    #[test]
    fn a_trace_stands_in_columns() {
        let fact = |name, argument: Option<&str>, value| Event::Fact {
            name,
            argument: argument.map(str::to_owned),
            value,
        };
        let list = |key: &str, answer| Event::List {
            name: "partners".to_owned(),
            key: key.to_owned(),
            answer,
        };
        let events = [
            fact("message.sender", None, json!("amy@partner.example")),
            fact("message.now", None, json!(1_798_891_200)),
            fact("message.reverse-name", None, Value::Null),
            fact("message.helo", None, json!("a\u{1b}[31m")),
            fact("message.tls", None, json!("present")),
            fact("tls.version", None, json!(0x0303)),
            fact("tls.client-certificate", None, json!("none")),
            fact(
                "certificate.dns-names",
                None,
                json!(["a.example", "b.example"]),
            ),
            fact("certificate.not-before", None, json!(-1)),
            fact("certificate.within", Some("partner.example"), json!(true)),
            list("a", Listed::Found(String::new())),
            list("b", Listed::Found("1.3".to_owned())),
            list("c", Listed::Absent),
            list("d", Listed::NoList),
            Event::Requirement {
                set: 0,
                requirement: Requirement::Trusted,
            },
            Event::Log(LogLine {
                level: LogLevel::Warn,
                text: "seen".to_owned(),
            }),
        ];
        let expected = r#"it        what                                   answer
read      message.sender                         "amy@partner.example"
read      message.now                            1798891200 (2027-01-02T12:00:00Z)
read      message.reverse-name                   none
read      message.helo                           "a\u001b[31m"
read      message.tls                            present
read      tls.version                            0x0303 (TLS 1.2)
read      tls.client-certificate                 "none"
read      certificate.dns-names                  ["a.example","b.example"]
read      certificate.not-before                 -1
read      certificate.within("partner.example")  true
asked     list partners: "a"                     has it
asked     list partners: "b"                     "1.3"
asked     list partners: "c"                     has it not
asked     list partners: "d"                     there is no list of this name
required  certificate-trusted
logged    warn: seen"#;
        assert_eq!(table(&events).join("\n"), expected);
    }
}
