//! How long clients waited, by step.

use std::fmt;
use std::time::Duration;

use portcullis::author::bench::percentile;

/// What a client waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// From connecting to the greeting.
    Greeting,
    /// The reply to EHLO.
    Ehlo,
    /// The reply to STARTTLS.
    StartTls,
    /// The TLS handshake.
    Handshake,
    /// The reply to MAIL.
    Mail,
    /// The reply to RCPT: the decision.
    Rcpt,
    /// The reply to DATA.
    Data,
    /// The reply to the end of the content.
    Content,
    /// The reply to QUIT.
    Quit,
}

/// All steps, in their order, with their names.
pub(super) const STEPS: [(Step, &str); 9] = [
    (Step::Greeting, "greeting"),
    (Step::Ehlo, "EHLO"),
    (Step::StartTls, "STARTTLS"),
    (Step::Handshake, "handshake"),
    (Step::Mail, "MAIL"),
    (Step::Rcpt, "RCPT"),
    (Step::Data, "DATA"),
    (Step::Content, "content"),
    (Step::Quit, "QUIT"),
];

/// Waiting times of each step.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latencies([Vec<Duration>; STEPS.len()]);

impl Latencies {
    /// One more.
    pub(crate) fn add(&mut self, step: Step, took: Duration) {
        self.0[step as usize].push(took);
    }

    /// All of a step.
    pub(crate) fn of(&self, step: Step) -> &[Duration] {
        &self.0[step as usize]
    }

    /// Those of another client, too.
    pub(crate) fn merge(&mut self, other: Self) {
        for (own, others) in self.0.iter_mut().zip(other.0) {
            own.extend(others);
        }
    }
}

impl fmt::Display for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("max", 100.0)];
        write!(f, "{:<10}", "step (ms)")?;
        columns
            .iter()
            .try_for_each(|(name, _)| write!(f, "{name:>10}"))?;
        writeln!(f)?;
        for (step, name) in STEPS {
            let mut all = self.of(step).to_vec();
            if all.is_empty() {
                continue;
            }
            write!(f, "{name:<10}")?;
            for (_, percent) in columns {
                let value = percentile(&mut all, percent).as_secs_f64() * 1000.0;
                write!(f, "{value:>10.3}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_stand_in_their_order() {
        for (place, (step, _)) in STEPS.iter().enumerate() {
            assert_eq!(*step as usize, place);
        }
    }
}
