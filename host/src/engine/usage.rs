//! What the engine is busy with, for metrics.

use std::sync::Arc;
use std::time::Duration;

use super::cache::Compiled;
use super::compiler::AdmissionError;
use crate::metrics::{Histogram, Words};

const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MILLISECOND;

/// A policy takes tens of milliseconds, and the processor time of a worker is ten
/// seconds by default, which on a busy machine may be a hundred.
const COMPILE_TIME: &[u64] = &[
    10 * MILLISECOND,
    20 * MILLISECOND,
    50 * MILLISECOND,
    100 * MILLISECOND,
    200 * MILLISECOND,
    500 * MILLISECOND,
    SECOND,
    2 * SECOND,
    5 * SECOND,
    10 * SECOND,
    30 * SECOND,
    100 * SECOND,
];

/// What is in use at one moment.
#[derive(Debug)]
pub struct Usage {
    /// Instances that run.
    pub instances: usize,
    /// Most that may run.
    pub instances_limit: usize,
    /// Decisions that had to wait for an instance since the start.
    pub waits: u64,
    /// Modules that are loaded.
    pub modules: usize,
    /// Jobs of the compile worker, waiting or at work.
    pub compile_queue: usize,
    /// What was compiled since the start.
    pub(crate) work: Arc<Work>,
}

/// What was compiled.
#[derive(Debug)]
pub(crate) struct Work {
    results: Words<1>,
    time: Histogram,
}

impl Default for Work {
    fn default() -> Self {
        let results = ["done", "refused", "busy", "failed"];
        Self {
            results: Words::of(results.map(|result| [result]).into_iter()),
            time: Histogram::of_time(COMPILE_TIME),
        }
    }
}

impl Work {
    pub(super) fn compiled(&self, result: &Result<Compiled, AdmissionError>, took: Duration) {
        self.results.count([match result {
            Ok(_) => "done",
            Err(AdmissionError::Refused(_)) => "refused",
            Err(AdmissionError::Busy) => "busy",
            Err(AdmissionError::Internal(_)) => "failed",
        }]);
        self.time.observe_time(took);
    }

    /// How often it came to what.
    pub(crate) fn results(&self) -> &Words<1> {
        &self.results
    }

    /// How long it took.
    pub(crate) fn time(&self) -> &Histogram {
        &self.time
    }
}
