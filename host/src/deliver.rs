//! Handing accepted mail on.
//!
//! **Nothing is delivered without a permit**: every recipient comes as a
//! [`Permit`], which only [`crate::decision`] makes.
//! **250 means kept**: [`Maildirs::deliver`] returns success only when every maildir
//! has the message on disk, file and directory synced.

mod header;
mod maildir;
mod parcel;
mod relay;
mod trace;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

pub use maildir::Maildirs;
pub use parcel::Parcel;
pub use relay::{
    AFTER_FINAL_DOT, Capability, Dialogue, HopAddress, HopMail, HopReply, HopTls, NextHop,
    Protocol, Relay, RelayError,
};

use crate::address::Mailbox;
use crate::content::Content;
use crate::decision::Permit;
use crate::facts::{Connection, Helo, Judgement, MailParameters, TenantId};

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
#[derive(Debug)]
pub struct Consignment {
    /// Who gets it.
    pub tenant: TenantId,
    /// What the tenant's trust says of the client certificate.
    pub trust: Option<Judgement>,
    /// The tenant's recipients; at least one.
    pub permits: Vec<Permit>,
}

/// Where one tenant's part of the message is now.
#[derive(Clone, Debug)]
pub struct Delivered {
    /// Whose.
    pub tenant: TenantId,
    /// The file.
    pub path: PathBuf,
}

/// Why a message was not delivered.
#[derive(Debug, thiserror::Error)]
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
        source: io::Error,
        /// Who has it all the same, and will get it again.
        kept: Vec<Delivered>,
    },
    /// The disk does not answer.
    #[error("maildir {path}: no answer from the disk", path = .path.display())]
    Timeout {
        /// Which maildir.
        path: PathBuf,
    },
}

impl DeliveryError {
    fn storage(path: PathBuf, source: io::Error) -> Self {
        Self::Storage {
            path,
            source,
            kept: Vec::new(),
        }
    }

    /// The same, and these have the message all the same.
    fn but(mut self, these: Vec<Delivered>) -> Self {
        if let Self::Storage { kept, .. } = &mut self {
            kept.extend(these);
        }
        self
    }

    /// Who has the message all the same.
    pub fn kept(&self) -> &[Delivered] {
        match self {
            Self::Storage { kept, .. } => kept,
            Self::Loop { .. } | Self::Timeout { .. } => &[],
        }
    }
}
