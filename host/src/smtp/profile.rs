//! What a listener offers and bounds, as its sessions see it.

use crate::address::Mailbox;

/// What a listener offers and bounds; the same for all of its sessions.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The host's name, in the greeting.
    pub hostname: String,
    /// What it answers to STARTTLS.
    pub starttls: StartTls,
    /// Mail only over TLS: for private listeners (RFC 3207, section 4).
    pub require_tls: bool,
    /// Largest message in octets.
    pub message_size: u64,
    /// Most recipients asked for in one transaction.
    pub recipients: usize,
    /// Most commands in error before the session is ended.
    pub errors: usize,
    /// Who gets mail to `<Postmaster>` without a domain.
    pub postmaster: Mailbox,
}

/// What a listener says to STARTTLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartTls {
    /// It is offered.
    Offered,
    /// Not on this listener.
    Never,
    /// The host has no usable certificate just now.
    Unavailable,
}
