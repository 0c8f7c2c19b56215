//! Why what was asked for was not done, and how the exit code says it.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use hyper::StatusCode;
use serde::Deserialize;

use crate::unicode;

/// Exit code: there is no such thing, or it is another tenant's.
const NOT_THERE: u8 = 4;

/// Exit code: it has been changed since it was read.
const STALE: u8 = 5;

/// Why there is no good answer.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum Failure {
    /// Nobody listens there.
    #[error("no host runs on the data directory {}: is it started, and with this configuration?", .0.display())]
    NoHost(PathBuf),
    /// Not this user.
    #[error("{}: only the host's own user and root may ask it", .0.display())]
    Forbidden(PathBuf),
    /// Nobody answers.
    #[error(
        "{place}: cannot be asked: {reason}; is the host started, and is this where its admin API is?"
    )]
    Unreachable { place: String, reason: String },
    /// It is at it for too long.
    #[error("{place}: the host has not answered within {} s, and may be at it still: its log says what becomes of it", .patience.as_secs())]
    Timeout { place: String, patience: Duration },
    /// It went away.
    #[error("{place}: the host did not answer: {reason}{consequence}")]
    Lost {
        place: String,
        reason: String,
        consequence: &'static str,
    },
    /// It wants to know who asks.
    #[error(
        "{place}: this needs a token, and there was none: put it into PORTCULLIS_TOKEN, or into a file that --token-file names"
    )]
    NoToken { place: String },
    /// Something else answers there.
    #[error("{place}: {what} is no answer of an admin API of this version: is this where it is?")]
    Strange { place: String, what: String },
    /// It says no.
    #[error("{}{}", unicode::shown(&.0.detail), .0.when())]
    Refused(Problem),
}

/// What it says (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(in crate::cli) struct Problem {
    pub(in crate::cli) status: u16,
    pub(in crate::cli) detail: String,
    #[serde(default)]
    pub(in crate::cli) faults: Vec<String>,
    /// After how long it is worth another try, if that is said.
    #[serde(skip)]
    pub(super) again_after: Option<Duration>,
}

impl Problem {
    fn when(&self) -> String {
        let after = |wait: Duration| format!("; try again in {} s", wait.as_secs());
        self.again_after.map(after).unwrap_or_default()
    }
}

impl Failure {
    pub(super) fn lost(place: &str, reason: &str, changes: bool) -> Self {
        Self::Lost {
            place: place.to_owned(),
            reason: reason.to_owned(),
            consequence: match changes {
                true => "; what was asked for may be done all the same",
                false => "",
            },
        }
    }

    /// The status of what it says, if it says anything.
    pub(in crate::cli) fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Refused(problem) => StatusCode::from_u16(problem.status).ok(),
            _ => None,
        }
    }

    /// After how long it is worth another try, if that is said.
    pub(super) fn again_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(problem) => problem.again_after,
            _ => None,
        }
    }

    /// Whether it is because nobody said who asks.
    pub(super) fn wants_a_token(&self) -> bool {
        self.status() == Some(StatusCode::UNAUTHORIZED)
    }

    /// Whether it is not there.
    pub(in crate::cli) fn is_not_there(&self) -> bool {
        self.status() == Some(StatusCode::NOT_FOUND)
    }

    /// Every fault of what was refused, unless it is the only one and said anyway.
    pub(in crate::cli) fn faults(&self) -> &[String] {
        match self {
            Self::Refused(problem) if problem.faults != [problem.detail.as_str()] => {
                &problem.faults
            }
            _ => &[],
        }
    }

    /// What the process ends with.
    pub(in crate::cli) fn exit_code(&self) -> ExitCode {
        match self.status() {
            Some(StatusCode::NOT_FOUND) => ExitCode::from(NOT_THERE),
            Some(StatusCode::PRECONDITION_FAILED) => ExitCode::from(STALE),
            _ => ExitCode::FAILURE,
        }
    }
}

/// hyper says what failed, and its source why.
pub(super) fn in_words(error: &hyper::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
