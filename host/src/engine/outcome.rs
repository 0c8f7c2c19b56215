//! What came of asking a policy: an answer, or a failure in words.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::decision::Decision;
use crate::facts::FactSet;

/// One run of a module.
#[derive(Clone, Debug)]
pub struct Ran {
    /// What it answered, or why it did not.
    pub result: Result<Answer, Failure>,
    /// Units of fuel used: the same for the same module on the same facts, settings
    /// and lists. Zero where it did not start.
    pub fuel: u64,
    /// How long it ran, the wait for an instance not counted.
    pub elapsed: Duration,
    /// What it read of the facts that may be missing where it is asked again.
    pub reads: FactSet,
    /// What it logged.
    pub log: Vec<LogLine>,
    /// How many lines it logged beyond the limit.
    pub log_dropped: u64,
}

impl Ran {
    /// A module that did not even start.
    pub(crate) fn not_run(failure: Failure) -> Self {
        Self {
            result: Err(failure),
            fuel: 0,
            elapsed: Duration::ZERO,
            reads: FactSet::default(),
            log: Vec::new(),
            log_dropped: 0,
        }
    }
}

/// A policy's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// What it wants.
    pub decision: Decision,
    /// Why: at most 1,000 bytes, control characters escaped.
    pub reason: String,
}

/// One line that a policy logged: at most 1,000 bytes, control characters escaped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// How much it matters.
    pub level: LogLevel,
    /// The text.
    pub text: String,
}

/// Level of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogLevel {
    /// For the policy's author.
    Debug,
    /// For the administrator.
    Info,
    /// For the administrator's attention.
    Warn,
}

/// Why a policy gave no answer. The text is for the administrator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The policy's own error.
    #[error("the policy answered with an error: {0}")]
    Error(String),
    /// It panicked, overran its stack or did something else that ends a module.
    #[error("the policy trapped: {0}")]
    Trap(String),
    /// It ran out of fuel.
    #[error(
        "the policy used up its fuel of {limit} units (about one per instruction){place}: it loops, or does too much"
    )]
    OutOfFuel {
        /// All it had.
        limit: u64,
        /// The functions that it was in, where it has names.
        place: String,
    },
    /// It ran out of time.
    #[error("the policy ran longer than {} ms{place}: it does too much for one recipient", limit.as_millis())]
    Deadline {
        /// All it had.
        limit: Duration,
        /// The functions that it was in, where it has names.
        place: String,
    },
    /// It was not done in time, though it did not run for long: the host is busy.
    #[error("the policy had no answer within {} ms on a busy host", limit.as_millis())]
    Overdue {
        /// How long it was waited for.
        limit: Duration,
    },
    /// It asked for more memory, or a larger table, than it may have.
    #[error("the policy asked for {asked} {what}{place}, and may have {limit}: it keeps too much")]
    Memory {
        /// "bytes of memory" or "table elements".
        what: &'static str,
        /// How much it asked for.
        asked: usize,
        /// The limit.
        limit: usize,
        /// The functions that it was in, where it has names.
        place: String,
    },
    /// It handed the host too much, or asked it too often.
    #[error("the policy asked too much of the host: {0}")]
    TooMuch(String),
    /// The tenant has no list of this name.
    #[error(
        "the policy asked for the list {0:?}, which the tenant does not have: make it, or mend its name in the settings of the policy"
    )]
    UnknownList(String),
    /// A requirement that cannot be.
    #[error("the policy stated a requirement that cannot be: {0}")]
    BadRequirement(String),
    /// All instances were busy for too long, those of this tenant's share or all.
    #[error("no instance was free within {} ms", waited.as_millis())]
    Unavailable {
        /// How long it waited.
        waited: Duration,
    },
    /// It was not compiled when the host started, and is not yet.
    #[error("the module is not compiled yet, which was waited for {} s", waited.as_secs())]
    NotCompiled {
        /// How long it was waited for.
        waited: Duration,
    },
    /// It failed too often in a row and is not asked for a while.
    #[error("the module is in quarantine for another {} s after repeated failures", remaining.as_secs() + 1)]
    Quarantined {
        /// How much longer.
        remaining: Duration,
    },
    /// The host could not run it.
    #[error("the host could not run the policy: {0}")]
    Host(String),
}

impl Failure {
    /// A short name for receipts and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Error(_) => "error",
            Self::Trap(_) => "trap",
            Self::OutOfFuel { .. } => "out-of-fuel",
            Self::Deadline { .. } | Self::Overdue { .. } => "deadline",
            Self::Memory { .. } => "memory",
            Self::TooMuch(_) => "too-much",
            Self::UnknownList(_) => "unknown-list",
            Self::BadRequirement(_) => "bad-requirement",
            Self::Unavailable { .. } => "unavailable",
            Self::NotCompiled { .. } => "not-compiled",
            Self::Quarantined { .. } => "quarantined",
            Self::Host(_) => "host",
        }
    }

    /// The same with the functions that the policy was in, where it is about them.
    pub(super) fn at(mut self, found: String) -> Self {
        if let Self::OutOfFuel { place, .. }
        | Self::Deadline { place, .. }
        | Self::Memory { place, .. } = &mut self
        {
            *place = found;
        }
        self
    }

    /// Whether it is the host's, which might have done better another time.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Overdue { .. }
            | Self::Unavailable { .. }
            | Self::NotCompiled { .. }
            | Self::Quarantined { .. }
            | Self::Host(_) => true,
            Self::Error(_)
            | Self::Trap(_)
            | Self::OutOfFuel { .. }
            | Self::Deadline { .. }
            | Self::Memory { .. }
            | Self::TooMuch(_)
            | Self::UnknownList(_)
            | Self::BadRequirement(_) => false,
        }
    }

    /// Whether it counts towards quarantine: the module cost the host something. An
    /// error that the policy answers with does not, nor does what is not its doing.
    pub(super) fn is_breakdown(&self) -> bool {
        match self {
            Self::Trap(_)
            | Self::OutOfFuel { .. }
            | Self::Deadline { .. }
            | Self::Memory { .. }
            | Self::TooMuch(_) => true,
            Self::Error(_)
            | Self::UnknownList(_)
            | Self::BadRequirement(_)
            | Self::Overdue { .. }
            | Self::Unavailable { .. }
            | Self::NotCompiled { .. }
            | Self::Quarantined { .. }
            | Self::Host(_) => false,
        }
    }
}

/// Whether a failure with this code may have been the host's: of time alone nobody knows
/// whose it was.
pub fn may_be_the_hosts(code: &str) -> bool {
    matches!(
        code,
        "deadline" | "unavailable" | "not-compiled" | "quarantined" | "host"
    )
}
