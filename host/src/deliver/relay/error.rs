//! Why a next hop did not take a message.

use std::fmt;

use super::reply::HopReply;

/// Why a next hop did not take a message or a recipient.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RelayError {
    /// Its own 4yz or 5yz to MAIL, RCPT, DATA or the content.
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
}

/// The step at which nobody knows any more whether the next hop has the message: all of
/// it was sent, and no reply came.
pub const AFTER_FINAL_DOT: &str = "after the final dot";

impl RelayError {
    /// Whether the next hop may have taken the message all the same.
    pub fn is_outcome_unknown(&self) -> bool {
        matches!(self, Self::Unavailable { step, .. } if *step == AFTER_FINAL_DOT)
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
