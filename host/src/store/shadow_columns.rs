//! What candidates came to in a batch of events, as the rows that are written for it. Pure.

use std::collections::BTreeMap;

use crate::receipt::{Came, ShadowEvent, ShadowOf, Side};

/// Samples of one pair of decisions that are kept.
pub(super) const SAMPLES: usize = 20;

/// Domains of senders of one candidate that are kept apart: beyond these only the counts go
/// on.
pub(super) const SENDERS: i64 = 5_000;

/// What stands in the place of what a candidate would have decided that was not asked.
pub(super) const NOT_RUN: &str = "not-run";

/// What a batch comes to.
#[derive(Debug, Default)]
pub(super) struct Shadowed {
    /// How many events it is.
    pub(super) events: i64,
    pub(super) counts: BTreeMap<Pair, i64>,
    pub(super) senders: BTreeMap<Sender, i64>,
    pub(super) samples: Vec<Sample>,
}

/// A pair of decisions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pair {
    pub(super) of: ShadowOf,
    pub(super) was: Side,
    pub(super) would: Side,
    pub(super) agrees: bool,
}

/// A sender's domain whose mail would have had another verdict.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sender {
    pub(super) of: ShadowOf,
    pub(super) domain: String,
    pub(super) was: &'static str,
    pub(super) would: &'static str,
}

/// An answer that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) receipt: String,
    pub(super) stage: &'static str,
    pub(super) pair: Pair,
    pub(super) answer: String,
}

impl Shadowed {
    /// What these come to.
    pub(super) fn of<'a>(events: impl Iterator<Item = &'a ShadowEvent>) -> Self {
        let (mut all, mut samples) = (Self::default(), BTreeMap::new());
        for event in events {
            all.take(event, &mut samples);
        }
        all
    }

    fn take(&mut self, event: &ShadowEvent, samples: &mut BTreeMap<Pair, usize>) {
        self.events += 1;
        let beside = match &event.came {
            Came::NotRun(decisions) => {
                let decisions = i64::try_from(*decisions).unwrap_or(i64::MAX);
                *self.counts.entry(Pair::not_run(&event.of)).or_default() += decisions;
                return;
            }
            Came::Answered(beside) => beside,
        };
        let pair = Pair {
            of: event.of.clone(),
            was: beside.was.clone(),
            would: beside.would.clone(),
            agrees: beside.agrees,
        };
        *self.counts.entry(pair.clone()).or_default() += 1;
        if beside.was.verdict != beside.would.verdict {
            let sender = Sender {
                of: event.of.clone(),
                domain: beside.sender_domain.clone(),
                was: beside.was.verdict,
                would: beside.would.verdict,
            };
            *self.senders.entry(sender).or_default() += 1;
        }
        let known = samples.entry(pair.clone()).or_default();
        if !beside.agrees
            && *known < SAMPLES
            && let Ok(answer) = serde_json::to_string(&beside.answer)
        {
            *known += 1;
            self.samples.push(Sample {
                receipt: event.receipt.to_string(),
                stage: beside.stage.as_str(),
                pair,
                answer,
            });
        }
    }
}

impl Pair {
    fn not_run(of: &ShadowOf) -> Self {
        let side = |decision: &str| Side {
            decision: decision.to_owned(),
            verdict: "",
        };
        Self {
            of: of.clone(),
            was: side(""),
            would: side(NOT_RUN),
            agrees: false,
        }
    }
}
