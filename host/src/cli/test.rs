//! `portcullis test`: a module's vectors, asked of the module itself in the real engine.
//!
//! Like `cargo test`: a line for each case, then what of those that failed is not as it
//! should be, then the result. Exit code 1 where a case failed or none could be asked.

mod shown;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{anyhow, bail};

use super::interrupt::unless_interrupted;
use super::rows;
use super::subject::{Subject, SubjectArguments};
use crate::author::vectors::{Case, Coverage, Trial, Tried};
use crate::unicode;

/// Which module, and which cases.
#[derive(clap::Args)]
pub(super) struct TestArguments {
    #[command(flatten)]
    subject: SubjectArguments,
    /// Vectors; without any, the crate's vectors.toml and vectors/*.toml.
    #[arg(long, value_name = "FILE")]
    vectors: Vec<PathBuf>,
    /// Try again whenever a file of the crate, its vectors or the module changes, until
    /// interrupted.
    #[arg(long)]
    watch: bool,
    /// Take the engine's limits of this host's configuration, not the defaults.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Only cases that have one of these in their names.
    #[arg(last = true, value_name = "PATTERN")]
    patterns: Vec<String>,
}

/// Tries all cases once, or whenever something changes.
pub(super) async fn run(arguments: &TestArguments) -> anyhow::Result<ExitCode> {
    if arguments.watch {
        return watch::run(arguments).await;
    }
    let holds = unless_interrupted(once(arguments)).await?;
    Ok(ExitCode::from(u8::from(!holds)))
}

/// Builds, and tries all cases; whether all hold.
async fn once(arguments: &TestArguments) -> anyhow::Result<bool> {
    // What is wrong with vectors is told before anything is built.
    let cases = arguments.subject.cases(&arguments.vectors)?;
    let all = cases.len();
    let cases = arguments.chosen(cases)?;
    let config = arguments.config.as_deref();
    let subject = arguments.subject.load(config).await?;
    try_all(&subject, &cases, all - cases.len()).await
}

impl TestArguments {
    /// The cases that are meant. A pattern that means none is a slip of the finger.
    fn chosen(&self, cases: Vec<Case>) -> anyhow::Result<Vec<Case>> {
        let has = |case: &Case, pattern: &String| case.name.contains(pattern.as_str());
        let unknown = |pattern: &&String| !cases.iter().any(|case| has(case, pattern));
        if let Some(pattern) = self.patterns.iter().find(unknown) {
            bail!(
                "no case has {pattern:?} in its name: there are {}",
                names(&cases)
            );
        }
        let patterns = &self.patterns;
        let is_meant =
            |case: &Case| patterns.is_empty() || patterns.iter().any(|one| has(case, one));
        Ok(cases.into_iter().filter(is_meant).collect())
    }
}

fn names(cases: &[Case]) -> String {
    let names: Vec<_> = cases
        .iter()
        .map(|case| format!("{:?}", case.name))
        .collect();
    names.join(", ")
}

/// Tries these cases of a module, and shows what comes of them; whether all hold.
pub(super) async fn try_all(
    subject: &Subject,
    cases: &[Case],
    filtered: usize,
) -> anyhow::Result<bool> {
    let began = Instant::now();
    let mut trial = Trial::new(&subject.bench, &subject.module);
    let (mut failed, mut coverage) = (Vec::new(), Coverage::new());
    // Whoever reads the first line alone is to hear of the others by the exit code.
    let show = |lines: Vec<String>| rows::read_or_not(rows::lines(lines));
    show(vec![subject.title(), shown::counted(cases)])?;
    for case in cases {
        let tried = trial
            .case(case)
            .await
            .map_err(|error| anyhow!("case {:?} cannot be tried: {error}", case.name))?;
        coverage.add(&tried.outcome);
        let word = if tried.holds() { "ok" } else { "FAILED" };
        show(vec![format!(
            "case {} ... {word}",
            unicode::shown(&case.name)
        )])?;
        if !tried.holds() {
            failed.push((case, tried));
        }
    }
    show(failures(&failed))?;
    show(shown::coverage(&coverage))?;
    let result = shown::result(cases.len(), failed.len(), filtered, began.elapsed());
    show(vec![result])?;
    Ok(failed.is_empty())
}

pub(super) fn failures(failed: &[(&Case, Tried)]) -> Vec<String> {
    if failed.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![String::new(), "failures:".to_owned()];
    for (case, tried) in failed {
        lines.push(String::new());
        lines.extend(shown::failure(case, tried));
    }
    lines
}
