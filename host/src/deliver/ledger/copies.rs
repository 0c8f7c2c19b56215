//! The names of copies: digests, so that the ledger says nothing of who wrote to whom.

use std::io;

use crate::address::Mailbox;
use crate::content::Content;
use crate::digest::{Digest, Hasher};

/// How much of a long message is read at once.
const PIECE: usize = 256 * 1024;

/// A sender and a recipient: the front of SHA-256 over both. Sixteen octets of it are
/// enough that no two are ever alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Pair(pub(super) [u8; 16]);

/// A copy, by whom it is from and to and what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::deliver) struct Addressed {
    pub(super) pair: Pair,
    /// SHA-256 over the octets received, the sender and the recipient, each with its
    /// length.
    pub(super) digest: Digest,
}

/// SHA-256 over the octets of a message, to be ended by sender and recipient: a
/// message is read once, however many recipients it has.
#[derive(Clone)]
pub(in crate::deliver) struct ContentHash(Hasher);

impl Pair {
    pub(super) fn of(sender: Option<&Mailbox>, recipient: &Mailbox) -> Self {
        let mut hasher = Hasher::new();
        addresses(&mut hasher, sender, recipient);
        let mut front = [0; 16];
        front.copy_from_slice(&hasher.finish().as_bytes()[..16]);
        Self(front)
    }
}

impl ContentHash {
    /// Reads the whole content: not for a thread that must not wait.
    ///
    /// # Errors
    /// The disk's.
    pub(in crate::deliver) fn of(content: &Content) -> io::Result<Self> {
        let mut hasher = Hasher::new();
        hasher.update(&content.len().to_be_bytes());
        hasher.update(content.front());
        let mut offset = content.front().len() as u64;
        let mut buffer = Vec::new();
        while offset < content.len() {
            buffer.resize(PIECE, 0);
            match content.read_behind_front(offset, &mut buffer)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => {
                    hasher.update(&buffer[..read]);
                    offset += read as u64;
                }
            }
        }
        Ok(Self(hasher))
    }

    /// The copy of this sender to this recipient.
    pub(in crate::deliver) fn copy(
        &self,
        sender: Option<&Mailbox>,
        recipient: &Mailbox,
    ) -> Addressed {
        let mut hasher = self.0.clone();
        addresses(&mut hasher, sender, recipient);
        Addressed {
            pair: Pair::of(sender, recipient),
            digest: hasher.finish(),
        }
    }
}

/// The null sender is an empty one.
fn addresses(hasher: &mut Hasher, sender: Option<&Mailbox>, recipient: &Mailbox) {
    let sender = sender.map(ToString::to_string).unwrap_or_default();
    for address in [sender, recipient.to_string()] {
        hasher.update(&(address.len() as u64).to_be_bytes());
        hasher.update(address.as_bytes());
    }
}
