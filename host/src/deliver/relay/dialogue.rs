//! One transaction with a next hop.

use super::{HopReply, RelayError};
use crate::address::Mailbox;
use crate::deliver::Parcel;

/// A transaction with a next hop, from MAIL on. Dropped before its end, it closes its
/// connection, which tells the next hop to forget it.
#[derive(Debug)]
pub struct Dialogue {
    recipients: Vec<Mailbox>,
}

impl Dialogue {
    /// RCPT.
    ///
    /// # Errors
    ///
    /// After [`RelayError::Refused`] and [`RelayError::Lacks`], which concern this
    /// recipient alone, the dialogue goes on; after any other it is over.
    pub async fn recipient(&mut self, recipient: &Mailbox) -> Result<(), RelayError> {
        self.recipients.push(recipient.clone());
        Ok(())
    }

    /// Those accepted so far, in order.
    pub fn recipients(&self) -> &[Mailbox] {
        &self.recipients
    }

    /// DATA and the content, then for each accepted recipient, in order, what the next
    /// hop said. Over SMTP that is one reply, given for each of them.
    pub async fn send(self, parcel: &Parcel) -> Vec<Result<HopReply, RelayError>> {
        let _ = parcel;
        Vec::new()
    }

    /// Gives the transaction up. The connection is kept, once RSET has cleared it.
    pub fn abandon(self) {}
}
