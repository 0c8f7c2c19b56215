//! Vectors against a policy's own function, natively.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::de::DeserializeOwned;

use super::{Case, Found, Vectors};
use crate::answer::{Answer, Decision, Requirements};
use crate::message::{Level, Message};
use crate::settings::expect_no_settings;
use crate::testing::MessageBuilder;

/// A policy's function, with settings or without. `Form` only tells the two apart.
pub trait Decide<Form> {
    /// What it answers, with settings as JSON text.
    ///
    /// # Errors
    /// The policy's own, and that the settings are not what it takes.
    fn ask(&self, message: &Message, settings: &str) -> crate::Result;
}

impl<F: Fn(&Message) -> crate::Result> Decide<()> for F {
    fn ask(&self, message: &Message, settings: &str) -> crate::Result {
        expect_no_settings(settings)?;
        self(message)
    }
}

impl<F, S> Decide<(S,)> for F
where
    F: Fn(&Message, &S) -> crate::Result,
    S: DeserializeOwned,
{
    fn ask(&self, message: &Message, settings: &str) -> crate::Result {
        self(message, &crate::parse_settings(settings)?)
    }
}

/// Asks a policy about every case of its vectors, natively: the whole test of a policy
/// that has its vectors in `vectors.toml`.
///
/// ```
/// # use portcullis_sdk::{Answer, Message, Requirements, Result};
/// # fn decide(_: &Message) -> Result {
/// #     Ok(Answer::enforced(Requirements::tls(), "always"))
/// # }
/// # let vectors = r#"
/// # [[case]]
/// # name = "everybody"
/// # expect = { decision = "enforced", reason = "always" }
/// # "#;
/// use portcullis_sdk::testing::check_vectors;
///
/// // let vectors = include_str!("../vectors.toml");
/// check_vectors(vectors, decide);
/// ```
///
/// # Panics
/// When the text is no file of vectors, or a case does not hold: with all that is wrong.
#[expect(clippy::panic, reason = "it is how a test fails")]
#[expect(
    clippy::needless_pass_by_value,
    reason = "a function is named without an ampersand"
)]
#[track_caller]
pub fn check_vectors<Form>(text: &str, decide: impl Decide<Form>) {
    let vectors = match Vectors::parse(text) {
        Ok(vectors) => vectors,
        Err(faults) => panic!("these are no vectors:\n{faults}"),
    };
    let failed: Vec<String> = vectors
        .cases
        .iter()
        .filter_map(|case| failed(case, &decide))
        .collect();
    if !failed.is_empty() {
        let (some, all) = (failed.len(), vectors.cases.len());
        panic!("{some} of {all} cases failed:\n{}", failed.join("\n"));
    }
}

/// How a case does not hold, in words.
fn failed<Form>(case: &Case, decide: &impl Decide<Form>) -> Option<String> {
    let differences = case.expected.differences(&run(case, decide));
    if differences.is_empty() {
        return None;
    }
    let told: Vec<String> = differences
        .iter()
        .map(|difference| format!("    {difference}"))
        .collect();
    let (line, name) = (case.line, &case.name);
    Some(format!("line {line}: case {name:?}:\n{}", told.join("\n")))
}

/// Asks once. A panic ends a module, and a host goes on; so does the test.
fn run<Form>(case: &Case, decide: &impl Decide<Form>) -> Found {
    let message = message(case);
    let settings = case.settings.to_string();
    let ran = catch_unwind(AssertUnwindSafe(|| decide.ask(&message, &settings)));
    let mut found = match ran {
        Ok(Ok(answer)) => answered(answer),
        Ok(Err(error)) => failure(error.as_str()),
        Err(panic) => failure(text_of(panic.as_ref())),
    };
    found.log = message.logged().into_iter().map(line).collect();
    found
}

/// What `panic!` was given.
fn text_of(panic: &(dyn Any + Send)) -> &str {
    let formatted = panic.downcast_ref::<String>().map(String::as_str);
    formatted
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without text")
}

fn message(case: &Case) -> Message {
    let mut builder = MessageBuilder::from(case.facts.clone());
    for (name, entries) in &case.lists {
        let entries = entries
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()));
        builder = builder.map(name, entries);
    }
    builder.build()
}

fn answered(answer: Answer) -> Found {
    let (decision, requirements) = match answer.decision {
        Decision::Default => ("default", None),
        Decision::Opportunistic => ("opportunistic", None),
        Decision::Enforced(requirements) => ("enforced", Some(requirements)),
    };
    Found {
        decision: Some(decision.to_owned()),
        requirements: requirements
            .iter()
            .flat_map(Requirements::iter)
            .map(ToString::to_string)
            .collect(),
        reason: answer.reason,
        ..Found::default()
    }
}

fn failure(text: &str) -> Found {
    Found {
        failure: Some(text.to_owned()),
        ..Found::default()
    }
}

fn line((level, text): (Level, String)) -> String {
    let level = match level {
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
    };
    format!("{level}: {text}")
}
