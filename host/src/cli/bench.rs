//! `portcullis bench`: what a module costs, beside a constant in the same run.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use serde_json::{Value, json};

use super::subject::{Subject, SubjectArguments};
use super::{document, rows};
use crate::author::bench::{Asked, BenchError, Bound, Cost, Samples};
use crate::author::vectors::{Given, Outcome, Trial, ordinary};

/// Each kind is measured this often, by turns.
const ROUNDS: u32 = 5;

/// Questions of a kind in a round: more say nothing more.
const QUESTIONS: usize = 20_000;

/// What is measured, in the order of the table.
const KINDS: [&str; 4] = [
    "a constant, no module",
    "the module, as on the way of mail",
    "the same in an instance that is there",
    "the same, loaded for the first decision",
];

/// The one whose costs are the module's own.
const WARM: usize = 2;

/// Which module, and what it is asked.
#[derive(clap::Args)]
pub(super) struct BenchArguments {
    #[command(flatten)]
    subject: SubjectArguments,
    /// A case of the crate's vectors, or of --vectors, by its name. Without it, the first;
    /// without vectors, an ordinary message.
    #[arg(long, value_name = "NAME")]
    case: Option<String>,
    /// The vectors that have the case.
    #[arg(long, value_name = "FILE")]
    vectors: Vec<PathBuf>,
    /// Settings in the place of those of the case, as TOML or JSON; - is standard input.
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// Measure for about so many seconds.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=600))]
    seconds: u16,
    /// JSON, on one line.
    #[arg(long)]
    json: bool,
    /// Take the engine's limits of this host's configuration, not the defaults.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// What was measured.
struct Measured {
    subject: Subject,
    /// What it was asked, for people.
    about: String,
    /// One run of it, whose fuel and memory are those of all.
    outcome: Outcome,
    /// How often each was asked, how many a second, and what one costs.
    kinds: [(usize, f64, Cost); KINDS.len()],
}

pub(super) async fn run(arguments: &BenchArguments) -> anyhow::Result<()> {
    let settings = arguments.settings.as_deref().map(document::object);
    let settings = settings.transpose()?.map(Value::Object);
    let (about, mut given) = asked_about(arguments)?;
    if let Some(settings) = settings {
        given.settings = settings;
    }
    let config = arguments.config.as_deref();
    let subject = arguments.subject.load(config).await?;
    let mut trial = Trial::new(&subject.bench, &subject.module);
    let outcome = trial.ask(&given).await?;
    if let Some(failure) = outcome.found().failure {
        bail!(
            "the module gives no answer to {about}: {failure}; --case names another case, and \
             --settings has other settings"
        );
    }
    let time = Duration::from_secs(arguments.seconds.into());
    let (subject, samples) = measure(subject, given, time).await?;
    let measured = Measured {
        subject,
        about,
        outcome,
        kinds: samples.map(|samples| (samples.len(), samples.per_second(), samples.cost())),
    };
    rows::lines(match arguments.json {
        true => vec![measured.json().to_string()],
        false => measured.text(),
    })
}

/// The case that is named, the first, or an ordinary message.
fn asked_about(arguments: &BenchArguments) -> anyhow::Result<(String, Given)> {
    if let Some(name) = &arguments.case {
        let given = arguments.subject.case(&arguments.vectors, name)?;
        return Ok((format!("case {name:?}"), given));
    }
    let subject = &arguments.subject;
    let has_vectors = !arguments.vectors.is_empty() || !subject.found()?.is_empty();
    let cases = match has_vectors {
        true => subject.cases(&arguments.vectors)?,
        false => Vec::new(),
    };
    let first = cases.into_iter().next();
    Ok(match first {
        Some(first) => (format!("case {:?}", first.name), first.given),
        None => ("an ordinary message".to_owned(), ordinary()),
    })
}

/// Measures each kind by turns. The module is let go where it is to be loaded.
async fn measure(
    subject: Subject,
    given: Given,
    time: Duration,
) -> Result<(Subject, [Samples; KINDS.len()]), BenchError> {
    let asked = Asked {
        settings: given.settings.to_string(),
        facts: given.facts,
        lists: given.lists,
    };
    let Subject {
        path,
        bytes,
        bench,
        mut module,
        compiled,
    } = subject;
    let bound = Bound {
        questions: QUESTIONS,
        time: time / (ROUNDS * KINDS.len() as u32),
    };
    let engine = bench.engine();
    let mut all: [Samples; KINDS.len()] = Default::default();
    for _ in 0..ROUNDS {
        all[0].extend(asked.constant(bound).await);
        all[1].extend(asked.fresh(engine, &module, bound).await?);
        all[WARM].extend(asked.warm(engine, &module, bound).await?);
        drop(module);
        all[3].extend(asked.cold(engine, bench.tenant(), &bytes, bound).await?);
        module = bench.admit(&bytes).await?;
    }
    let subject = Subject {
        path,
        bytes,
        bench,
        module,
        compiled,
    };
    Ok((subject, all))
}

impl Measured {
    fn text(&self) -> Vec<String> {
        let Outcome { ran, trace, .. } = &self.outcome;
        let median = |kind: usize| self.kinds[kind].2.median.as_secs_f64();
        let rows = KINDS
            .iter()
            .zip(&self.kinds)
            .map(|(name, (_, rate, cost))| {
                let own = cost.median.as_secs_f64();
                [
                    (*name).to_owned(),
                    micros(cost.median),
                    micros(cost.p99),
                    format!("{rate:.0}"),
                    format!("{:.1}", own / median(0)),
                    format!("{:.1}", own / median(WARM)),
                ]
            });
        let head = [
            "",
            "median, µs",
            "99 %, µs",
            "a second",
            "× constant",
            "× instance",
        ];
        let mut lines = vec![self.subject.title(), format!("asked about {}", self.about)];
        lines.push(String::new());
        lines.extend(super::columns::lines(head, &rows.collect::<Vec<_>>()));
        lines.push(String::new());
        let compiled = self.subject.compiled.as_secs_f64() * 1e3;
        lines.extend([
            format!("fuel      {} units", ran.fuel),
            format!("memory    {} KiB of the instance", trace.memory >> 10),
            format!(
                "size      {} KiB of the module",
                self.subject.bytes.len() >> 10
            ),
            format!("compiled  in {compiled:.0} ms, once for a host"),
        ]);
        lines
    }

    fn json(&self) -> Value {
        let keys = ["constant", "module", "warm", "cold"];
        let Outcome { ran, trace, .. } = &self.outcome;
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let mut json = json!({
            "module": {
                "digest": self.subject.module.digest().to_string(),
                "size": self.subject.bytes.len(),
            },
            "about": self.about,
            "fuel": ran.fuel,
            "memory": trace.memory,
            "compile_ns": nanos(self.subject.compiled),
        });
        for (key, (questions, rate, cost)) in keys.into_iter().zip(&self.kinds) {
            json[key] = json!({
                "questions": questions,
                "per_second": rate,
                "median_ns": nanos(cost.median),
                "p99_ns": nanos(cost.p99),
            });
        }
        json
    }
}

fn micros(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64() * 1e6)
}
