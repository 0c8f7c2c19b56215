//! A tenant's webhook: told of warnings when they appear and when they end.
//!
//! Messages are those of Standard Webhooks: an id that stays the same, a time, and an
//! HMAC-SHA256 over both and the body. **What was told is in the store**, so that a restart
//! repeats nothing and forgets nothing. **It goes where the operator lets it go**, which is
//! judged by the address (`address`), when it is connected to (`client`).

mod address;
mod client;
mod deliver;
mod news;
mod schedule;
mod signature;

use url::Url;

pub use address::Reach;
pub use client::WebhookClient;
pub use deliver::deliver;
pub use news::news;
pub use signature::{SecretError, SigningSecret};

use super::Kind;

/// A tenant's webhook. Its secret is in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Where messages go.
    pub url: Url,
    /// Of which kinds of warnings it is told; of all where this is empty.
    pub kinds: Vec<Kind>,
}
