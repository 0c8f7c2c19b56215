//! Handing accepted mail on.
//!
//! **Nothing is delivered without a permit**: every recipient comes as a
//! [`Permit`], which only [`crate::decision`] makes.
//! **250 means kept**: it is the reply only when the target of every recipient has the
//! message: a maildir, file and directory synced, or a next hop by its own word.
//! There is no queue here, so there is nothing of ours to lose.
//! **What was delivered is not delivered again**, where recipients of one message come
//! to different ends: the client is told to come back, and the [`Ledger`] knows who
//! has it.

mod handover;
mod header;
mod held;
mod late;
mod ledger;
mod maildir;
mod parcel;
mod part;
mod relay;
mod settle;
mod sharing;
mod target;
mod trace;
mod until;

#[cfg(test)]
mod scripted;
#[cfg(test)]
mod simulation;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

pub use handover::{Delivered, Handover};
pub use ledger::{Ledger, LedgerError};
pub use parcel::Parcel;
pub use relay::{
    AFTER_FINAL_DOT, Capability, Dialogue, HopAddress, HopMail, HopReply, HopTls, NextHop,
    Protocol, Relay, RelayError,
};
pub use settle::Ending;
pub use target::{Target, TargetSettings, Targets};
pub use until::Until;

use crate::address::Mailbox;
use crate::content::Content;
use crate::decision::Permit;
use crate::facts::{Connection, Helo, Judgement, MailParameters, TenantId};
use crate::receipt::Outcome;

/// A message, and what is known of how it came.
#[derive(Debug)]
pub struct Message {
    /// Over which connection.
    pub connection: Arc<Connection>,
    /// How the client introduced itself.
    pub helo: Helo,
    /// Envelope sender.
    pub sender: Option<Mailbox>,
    /// Parameters of MAIL.
    pub parameters: MailParameters,
    /// When its end was read, in seconds since 1970.
    pub received: u64,
    /// What it says.
    pub content: Arc<Content>,
}

/// The part of a message that one tenant gets.
#[derive(Clone, Debug)]
pub struct Consignment {
    /// Who gets it.
    pub tenant: TenantId,
    /// What the tenant's trust says of the client certificate.
    pub trust: Option<Judgement>,
    /// The tenant's recipients, each once; at least one.
    pub permits: Vec<Permit>,
}

/// Why a recipient does not have a message.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DeliveryError {
    /// It has been through too many hosts.
    #[error("mail loop: {found} Received fields, and more than {limit} mean that it goes in circles", limit = header::MAX_RECEIVED)]
    Loop {
        /// How many `Received` fields it has.
        found: usize,
    },
    /// A maildir cannot take it.
    #[error("maildir {path}: {source}", path = .path.display())]
    Storage {
        /// Which file or directory.
        path: PathBuf,
        /// Why.
        source: Arc<io::Error>,
    },
    /// The disk does not answer.
    #[error("maildir {path}: no answer from the disk", path = .path.display())]
    Timeout {
        /// Which maildir.
        path: PathBuf,
    },
    /// A next hop did not take it.
    #[error("{}", of_next_hop(.hop, .source))]
    Relay {
        /// Which.
        hop: String,
        /// Why.
        source: RelayError,
    },
    /// The target has not answered about the last time it came.
    #[error("whether an earlier copy was stored is not known yet")]
    UnderWay,
    /// It may have been delivered before, and cannot be compared with that.
    #[error("some of it may have been delivered before, and it cannot be read again to tell")]
    Unnamed,
    /// It cannot be in a transaction with those who are there already.
    #[error(
        "to be sent separately: recipients of this sender came to different ends before, or have too many next hops"
    )]
    Apart,
    /// A tenant decides about the whole message, and not for others.
    #[error(
        "to be sent separately: a policy on the header From decides about the message as a whole, for recipients of one tenant alone"
    )]
    OneTenant,
    /// The host itself failed.
    #[error("internal error: {0}")]
    Lost(String),
}

/// Says which next hop it was, once.
fn of_next_hop(hop: &str, error: &RelayError) -> String {
    match error {
        RelayError::Unavailable { .. } | RelayError::Unanswered { .. } => error.to_string(),
        RelayError::Refused(reply) => format!("{hop}: {reply}"),
        RelayError::Lacks(_) => format!("{hop}: {error}"),
    }
}

impl DeliveryError {
    fn storage(path: PathBuf, source: io::Error) -> Self {
        Self::Storage {
            path,
            source: Arc::new(source),
        }
    }

    /// What it means for the message.
    pub fn outcome(&self) -> Outcome {
        if self.is_permanent() {
            Outcome::Refused
        } else {
            Outcome::Deferred
        }
    }

    /// Whether trying again is of no use.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Loop { .. } => true,
            Self::Relay { source, .. } => match source {
                RelayError::Refused(reply) => reply.code >= 500,
                RelayError::Lacks(_) => true,
                RelayError::Unavailable { .. } | RelayError::Unanswered { .. } => false,
            },
            Self::Storage { .. }
            | Self::Timeout { .. }
            | Self::UnderWay
            | Self::Unnamed
            | Self::Apart
            | Self::OneTenant
            | Self::Lost(_) => false,
        }
    }
}
