//! What a module costs, beside a constant and beside the module itself where an instance
//! of it is there already: `portcullis bench`, and the project's own benchmark.
//!
//! **All kinds are measured in the same process and by turns**, so that what else the
//! machine does falls on each. What is compared are their medians; how long one takes here
//! says nothing of another machine.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::address::Domain;
use crate::decision::Decision;
use crate::engine::{AdmissionError, Answer, Engine, Failure, Module, Warm};
use crate::facts::{Facts, TenantId};
use crate::lists::Lists;
use crate::policy::{Choice, Exempt, Policy, Question, select};

/// Questions to one warm instance at most: a guest's allocator takes nothing back, and with
/// large settings its memory is used up before.
const RENEWED: usize = 100;

/// After so many questions others get their turn, an interruption among them: a question is
/// microseconds, and often waits for nothing.
const YIELDED: usize = 64;

/// What is asked of a module.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The policy's settings, as JSON text.
    pub settings: String,
    /// The facts.
    pub facts: Arc<Facts>,
    /// The tenant's lists.
    pub lists: Arc<Lists>,
}

/// How many questions of a kind, and for how long at most: a module may take its whole
/// deadline for each.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    /// Questions; at least one is asked.
    pub questions: usize,
    /// No question is begun later than this.
    pub time: Duration,
}

/// How long each question took.
#[derive(Clone, Debug, Default)]
pub struct Samples(Vec<Duration>);

/// Median and 99th percentile.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Half of them took no longer.
    pub median: Duration,
    /// Ninety-nine of a hundred took no longer.
    pub p99: Duration,
}

/// There is nothing to measure.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The module gives no answer: what it costs until then says nothing.
    #[error("the module gives no answer to what it is asked: {0}")]
    Failed(#[from] Failure),
    /// It cannot be loaded any more.
    #[error(transparent)]
    Admission(#[from] AdmissionError),
}

impl Samples {
    /// Adds those of another turn.
    pub fn extend(&mut self, more: Self) {
        self.0.extend(more.0);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many one after the other a second has.
    pub fn per_second(&self) -> f64 {
        let all: Duration = self.0.iter().sum();
        self.0.len() as f64 / all.as_secs_f64()
    }

    /// What they come to.
    pub fn cost(mut self) -> Cost {
        Cost {
            median: percentile(&mut self.0, 50.0),
            p99: percentile(&mut self.0, 99.0),
        }
    }

    /// Asks until the bound is reached.
    async fn of<E>(
        bound: Bound,
        mut ask: impl AsyncFnMut(usize) -> Result<Duration, E>,
    ) -> Result<Self, E> {
        let until = Instant::now() + bound.time;
        let mut took = Vec::with_capacity(bound.questions);
        for question in 0..bound.questions.max(1) {
            took.push(ask(question).await?);
            if Instant::now() >= until {
                break;
            }
            if question % YIELDED == 0 {
                tokio::task::yield_now().await;
            }
        }
        Ok(Self(took))
    }
}

/// The value below which so many of a hundred are; zero where there are none. It sorts.
pub fn percentile(values: &mut [Duration], percent: f64) -> Duration {
    values.sort_unstable();
    let rank = (values.len() as f64 * percent / 100.0).ceil() as usize;
    values
        .get(rank.saturating_sub(1))
        .copied()
        .unwrap_or_default()
}

impl Asked {
    /// Finds the policy that applies, which is all that there is to a constant.
    pub async fn constant(&self, bound: Bound) -> Samples {
        let policies = [Policy::new(
            "all".parse().expect("lower-case letters are a name"),
            Choice::Constant(Decision::Opportunistic),
        )];
        let domains: Vec<Domain> = self.facts.recipient.domain().cloned().into_iter().collect();
        let exempt = Exempt::default();
        let samples = Samples::of::<std::convert::Infallible>(bound, async |_| {
            let began = Instant::now();
            let question = Question::new(&self.facts, &domains, &self.lists);
            black_box(select(&policies, &exempt, &question));
            Ok(began.elapsed())
        });
        match samples.await {
            Ok(samples) => samples,
            Err(never) => match never {},
        }
    }

    /// Asks as on the way of mail: a fresh instance for each decision.
    ///
    /// # Errors
    /// When the module gives no answer.
    pub async fn fresh(
        &self,
        engine: &Engine,
        module: &Module,
        bound: Bound,
    ) -> Result<Samples, Failure> {
        Samples::of(bound, async |_| {
            let began = Instant::now();
            black_box(self.answer(engine, module).await?);
            Ok(began.elapsed())
        })
        .await
    }

    /// Asks an instance that is there already: what the module itself takes, and the
    /// calls between it and the host. One that fails after others is used up, and another
    /// is asked in its place.
    ///
    /// # Errors
    /// When a fresh one gives no answer.
    pub async fn warm(
        &self,
        engine: &Engine,
        module: &Module,
        bound: Bound,
    ) -> Result<Samples, Failure> {
        let mut warm = Warm::new(engine, module)?;
        let mut used = 0;
        Samples::of(bound, async |_| {
            loop {
                if used == RENEWED {
                    (warm, used) = (Warm::new(engine, module)?, 0);
                }
                let began = Instant::now();
                let answer = warm.decide(&self.settings, &self.facts, &self.lists).await;
                let elapsed = began.elapsed();
                match black_box(answer) {
                    Ok(_) => {
                        used += 1;
                        return Ok(elapsed);
                    }
                    Err(failure) if used == 0 => return Err(failure),
                    Err(_) => used = RENEWED,
                }
            }
        })
        .await
    }

    /// Loads a module that was compiled before, and asks it once: what the first decision
    /// takes after a start. Nobody may hold the module meanwhile, or it is loaded already.
    ///
    /// # Errors
    /// When the module cannot be loaded, or gives no answer.
    pub async fn cold(
        &self,
        engine: &Engine,
        tenant: &TenantId,
        bytes: &[u8],
        bound: Bound,
    ) -> Result<Samples, BenchError> {
        Samples::of(bound, async |_| {
            let began = Instant::now();
            let module = engine.admit(tenant, bytes).await?;
            black_box(self.answer(engine, &module).await?);
            Ok(began.elapsed())
        })
        .await
    }

    /// Asks once.
    ///
    /// # Errors
    /// When the module gives no answer.
    pub async fn answer(&self, engine: &Engine, module: &Module) -> Result<Answer, Failure> {
        let (facts, lists) = (&self.facts, &self.lists);
        let ran = engine.decide(module, &self.settings, facts, lists).await;
        ran.result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(values: &[u64]) -> Vec<Duration> {
        values.iter().copied().map(Duration::from_micros).collect()
    }

    #[test]
    fn percentiles() {
        let mut values = micros(&(1..=100).rev().collect::<Vec<_>>());
        for (percent, expected) in [(0.0, 1), (1.0, 1), (50.0, 50), (99.0, 99), (100.0, 100)] {
            let found = percentile(&mut values, percent);
            assert_eq!(found, Duration::from_micros(expected), "{percent}");
        }
        // Of ten none but the last has ninety-nine of a hundred that took no longer.
        let mut ten = micros(&(1..=10).collect::<Vec<_>>());
        assert_eq!(percentile(&mut ten, 99.0), Duration::from_micros(10));
        assert_eq!(percentile(&mut [], 50.0), Duration::ZERO);
        assert_eq!(
            percentile(&mut micros(&[7]), 99.0),
            Duration::from_micros(7)
        );
    }

    #[tokio::test]
    async fn a_bound_is_kept_and_one_question_is_always_asked() {
        let of = async |questions, time| {
            let bound = Bound { questions, time };
            let asked = Samples::of::<Failure>(bound, async |_| Ok(Duration::from_micros(2)));
            asked.await.expect("samples")
        };
        assert_eq!(of(10, Duration::MAX / 4).await.len(), 10);
        assert_eq!(of(10, Duration::ZERO).await.len(), 1);
        assert_eq!(of(0, Duration::MAX / 4).await.len(), 1);
        let all = of(4, Duration::MAX / 4).await;
        assert_eq!(all.per_second(), 500_000.0);
    }
}
