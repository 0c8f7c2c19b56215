//! The client to next hops: LMTP (RFC 2033) and SMTP (RFC 5321).
//!
//! **Every wait has a bound**: for a place in the pool, for a connection up to its
//! last EHLO, for each reply, and for the replies to the content.
//! **Nothing is sent twice**: a command is repeated on a new connection only where
//! that was MAIL on an idle connection which had died; whatever follows MAIL is tried
//! once, and the client of the host tries again.
//! **What a hop has against the host is not told to the client**: its mail would bounce
//! for what whoever operates the host can mend.
//! **Verified TLS never falls back to clear**, and whatever was learnt in clear is
//! forgotten when TLS begins.
//!
//! Deliberately not here: a queue, and any lookup of MX records. A next hop is named
//! by whoever operates the host.

mod capabilities;
mod connection;
mod content;
mod dialogue;
mod error;
mod hop;
mod mail;
mod open;
mod pool;
mod reply;
mod stuffing;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

pub use dialogue::Dialogue;
pub(super) use dialogue::{Late, Sent};
pub(super) use error::STOPPING;
pub use error::{AFTER_FINAL_DOT, Capability, RelayError};
pub use hop::{HopAddress, HopTls, NextHop, Protocol};
pub use reply::HopReply;

use self::connection::{Answer, Connection};
use self::dialogue::Line;
use self::error::{Failure, Fault};
use self::open::Opener;
use self::pool::{Place, Pool};
use crate::address::Mailbox;
use crate::facts::MailParameters;

/// A next hop in use: its connections, bounded and kept for reuse. Shared by all
/// sessions.
pub struct Relay {
    hop: NextHop,
    opener: Opener,
    pool: Arc<Pool>,
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
            opener: Opener::new(&hop, hostname),
            pool: Pool::new(hop.connections, hop.keep_idle),
            hop,
        })
    }

    /// The next hop as it was configured.
    pub fn hop(&self) -> &NextHop {
        &self.hop
    }

    /// Opens a transaction: an idle connection or a new one, then MAIL. An idle one that
    /// turns out to be dead is replaced, once.
    ///
    /// # Errors
    ///
    /// [`RelayError::Lacks`] when the hop cannot carry the message, before it is asked;
    /// [`RelayError::Refused`] with the hop's own reply to MAIL; else
    /// [`RelayError::Unavailable`].
    pub async fn begin(self: &Arc<Self>, mail: &HopMail) -> Result<Dialogue, RelayError> {
        let place = self.pool.place(self.hop.connect_timeout).await;
        let mut place = place.map_err(|fault| self.unavailable(fault.at("connection")))?;
        if let Some(connection) = place.take_idle().await {
            match self.mail(place, connection, mail).await? {
                Begun::Dialogue(dialogue) => return Ok(dialogue),
                Begun::Failed(failure, vacated) => {
                    vacated.drop_idle();
                    if let Fault::Timeout(_) = failure.fault {
                        // It may only be slow; our client has waited long enough.
                        return Err(self.unavailable(failure));
                    }
                    tracing::debug!(hop = %self, error = %failure.fault, "an idle connection was dead");
                    place = vacated;
                }
            }
        }
        let connection = self.opener.open(&self.hop).await;
        let connection = connection.map_err(|failure| self.unavailable(failure))?;
        match self.mail(place, connection, mail).await? {
            Begun::Dialogue(dialogue) => Ok(dialogue),
            Begun::Failed(failure, _) => Err(self.unavailable(failure)),
        }
    }

    /// MAIL, if the hop has what the message needs. What it refuses leaves the
    /// connection as it was.
    async fn mail(
        self: &Arc<Self>,
        place: Place,
        mut connection: Connection,
        mail: &HopMail,
    ) -> Result<Begun, RelayError> {
        let command = match mail::command(mail, &connection, self.hop.protocol) {
            Ok(command) => command,
            Err(lacking) => {
                place.put_back(connection);
                return Err(RelayError::Lacks(lacking));
            }
        };
        connection.transactions += 1;
        let answer = connection.ask(&command, 2, self.hop.command_timeout).await;
        match answer {
            Ok(Answer::Yes(_)) => {
                let line = Line { connection, place };
                Ok(Begun::Dialogue(Dialogue::new(Arc::clone(self), line, mail)))
            }
            Ok(Answer::No(reply)) if is_for_the_host(reply.code) => {
                tracing::error!(
                    hop = %self, %reply,
                    "a next hop takes no mail from this host: it wants something of the host itself"
                );
                Err(self.unavailable(Fault::Unexpected(reply).at("MAIL")))
            }
            Ok(Answer::No(reply)) => {
                place.put_back(connection);
                Err(RelayError::Refused(reply))
            }
            Err(fault) => Ok(Begun::Failed(fault.at("MAIL"), place)),
        }
    }

    fn unavailable(&self, failure: Failure) -> RelayError {
        failure.of(self)
    }
}

/// Whether a refusal of MAIL has nothing to do with the message: the hop does not know
/// the command or not here (RFC 5321, section 4.2.2), takes no mail at all (RFC 7504), or
/// wants TLS or a log-in first (RFC 3207, section 4; RFC 4954, section 6).
fn is_for_the_host(code: u16) -> bool {
    matches!(code, 500 | 502 | 503 | 521 | 530 | 534 | 535 | 538)
}

/// What became of MAIL, unless the hop refused it.
enum Begun {
    Dialogue(Dialogue),
    /// The connection is of no use; its place is free for another.
    Failed(Failure, Place),
}

/// For logs: `lmtp unix:/run/lmtp`, `smtp mx.example:25`.
impl fmt::Display for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.hop.fmt(f)
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay")
            .field("hop", &self.hop)
            .finish_non_exhaustive()
    }
}
