//! Why a next hop did not take a message.

use std::fmt;
use std::io;
use std::time::Duration;

use super::reply::{HopReply, ReplyFault};

/// Why a next hop did not take a message or a recipient.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RelayError {
    /// Its own 4yz or 5yz to MAIL, RCPT, DATA or the content; never 421.
    #[error("refused by the next hop: {0}")]
    Refused(HopReply),
    /// It cannot carry the message, and was not asked.
    #[error("the next hop lacks {0}, which the message needs")]
    Lacks(Capability),
    /// It cannot be reached, or does not behave.
    #[error("{hop} is unavailable: {step}: {detail}")]
    Unavailable {
        /// Which.
        hop: String,
        /// Where in the dialogue: [`AFTER_FINAL_DOT`] says that the message may have
        /// been taken.
        step: &'static str,
        /// What was seen, printable.
        detail: String,
    },
    /// It has the whole message, and has not said in time what it does with it. It may yet.
    #[error("{hop} is unavailable: {AFTER_FINAL_DOT}: {detail}")]
    Unanswered {
        /// Which.
        hop: String,
        /// For how long.
        detail: String,
    },
}

/// The step at which nobody knows any more whether the next hop has the message: all of
/// it was sent, and no reply came.
pub const AFTER_FINAL_DOT: &str = "after the final dot";

/// What there is to say where the next hop was not waited for.
pub(in crate::deliver) const STOPPING: &str = "this host stops, and there was no answer yet";

impl RelayError {
    /// Whether the next hop may have taken the message all the same.
    pub fn is_outcome_unknown(&self) -> bool {
        match self {
            Self::Unavailable { step, .. } => *step == AFTER_FINAL_DOT,
            Self::Unanswered { .. } => true,
            Self::Refused(_) | Self::Lacks(_) => false,
        }
    }
}

/// What a message needs and a next hop may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Capability {
    /// RFC 6152.
    EightBitMime,
    /// RFC 6531.
    SmtpUtf8,
    /// RFC 8689: the keyword, or TLS that was verified.
    RequireTls,
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EightBitMime => "8BITMIME",
            Self::SmtpUtf8 => "SMTPUTF8",
            Self::RequireTls => "REQUIRETLS",
        })
    }
}

/// What ends a dialogue. Where it happened is said by whoever knows.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    #[error("the connection was closed")]
    Closed,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Reply(#[from] ReplyFault),
    #[error("unexpected reply: {0}")]
    Unexpected(HopReply),
    /// 421, which may answer anything (RFC 5321, section 3.8).
    #[error("it closes the connection: {0}")]
    Closing(HopReply),
    #[error("it speaks without being asked")]
    Unasked,
    #[error("{0}")]
    Other(String),
}

impl Fault {
    pub(super) fn at(self, step: &'static str) -> Failure {
        Failure { step, fault: self }
    }
}

/// A fault, and where in the dialogue.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) step: &'static str,
    pub(super) fault: Fault,
}

impl Failure {
    pub(super) fn of(self, hop: impl fmt::Display) -> RelayError {
        RelayError::Unavailable {
            hop: hop.to_string(),
            step: self.step,
            detail: self.fault.to_string(),
        }
    }
}
