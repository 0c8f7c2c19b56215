//! The envelope of a message under way.

use std::sync::Arc;

use crate::address::Mailbox;
use crate::decision::Permit;
use crate::facts::{Helo, MailParameters};

/// A transaction from MAIL on.
#[derive(Debug)]
pub struct Envelope {
    /// What MAIL said.
    pub mail: Arc<Mail>,
    /// Recipients that a decision accepted and the target takes.
    pub permits: Vec<Permit>,
    /// Recipients asked for, accepted or not.
    pub(super) asked: usize,
}

/// What is known of a message before its recipients.
#[derive(Debug)]
pub struct Mail {
    /// How the client introduced itself.
    pub helo: Helo,
    /// None for the null sender.
    pub sender: Option<Mailbox>,
    /// Parameters of MAIL.
    pub parameters: MailParameters,
}
