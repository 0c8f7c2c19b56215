//! The client to next hops: LMTP (RFC 2033) and SMTP (RFC 5321).
//!
//! **Every wait has a bound**: for a place in the pool, for a connection up to its
//! last EHLO, for each reply, and for the replies to the content.
//! **Nothing is sent twice**: a command is repeated on a new connection only where
//! that was MAIL on an idle connection which had died; whatever follows MAIL is tried
//! once, and the client of the host tries again.
//! **Verified TLS never falls back to clear**, and whatever was learnt in clear is
//! forgotten when TLS begins.
//!
//! Deliberately not here: a queue, and any lookup of MX records. A next hop is named
//! by whoever operates the host.

mod dialogue;
mod error;
mod hop;
mod reply;

use std::fmt;
use std::sync::Arc;

pub use dialogue::Dialogue;
pub use error::{AFTER_FINAL_DOT, Capability, RelayError};
pub use hop::{HopAddress, HopTls, NextHop, Protocol};
pub use reply::HopReply;

use crate::address::Mailbox;
use crate::facts::MailParameters;

/// A next hop in use: its connections, bounded and kept for reuse. Shared by all
/// sessions.
#[derive(Debug)]
pub struct Relay {
    hop: NextHop,
    hostname: String,
}

/// What MAIL to a next hop is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HopMail {
    /// Envelope sender; none for the null sender.
    pub sender: Option<Mailbox>,
    /// What the client said of its message. The next hop has to have what it needs.
    pub parameters: MailParameters,
}

impl Relay {
    /// A next hop, to which nothing is connected yet. `hostname` is how the host
    /// introduces itself.
    pub fn new(hop: NextHop, hostname: &str) -> Arc<Self> {
        Arc::new(Self {
            hop,
            hostname: hostname.to_owned(),
        })
    }

    /// The next hop as it was configured.
    pub fn hop(&self) -> &NextHop {
        &self.hop
    }

    /// Opens a transaction: an idle connection or a new one, then MAIL.
    ///
    /// # Errors
    ///
    /// [`RelayError::Lacks`] when the hop cannot carry the message, before it is asked;
    /// [`RelayError::Refused`] with the hop's own reply to MAIL; else
    /// [`RelayError::Unavailable`].
    pub async fn begin(self: &Arc<Self>, mail: &HopMail) -> Result<Dialogue, RelayError> {
        let _ = (mail, &self.hostname);
        Err(RelayError::Unavailable {
            hop: self.to_string(),
            step: "connection",
            detail: "not built".to_owned(),
        })
    }
}

/// For logs: `lmtp unix:/run/lmtp`, `smtp mx.example:25`.
impl fmt::Display for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.hop.fmt(f)
    }
}
