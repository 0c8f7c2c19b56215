//! Deliveries whose disk or next hop does not answer in time.
//!
//! The client has been told to come back, and the message may yet appear. Until that
//! is known its copies are *under way*: who asks for them meanwhile is put off, so that
//! they do not come twice. A host that stops waits for that, too, as long as it waits for
//! sessions.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::task::JoinHandle;

use super::DeliveryError;
use super::ledger::{Addressed, ContentHash, Ledger};
use super::relay::Late as Unanswered;
use crate::address::Mailbox;
use crate::content::Content;

/// How long the reply may wait for the hash of a message that is not all in memory.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// The names of a message's copies, made when they are first asked for.
pub(super) struct Copies {
    sender: Option<Mailbox>,
    content: Arc<Content>,
    hash: OnceCell<Option<ContentHash>>,
}

/// Copies of a message in one place, of which nobody knows yet whether they are there.
pub(super) struct Late {
    pub(super) ledger: Arc<Ledger>,
    pub(super) copies: Arc<Copies>,
    pub(super) recipients: Vec<Mailbox>,
}

impl Copies {
    pub(super) fn new(sender: Option<Mailbox>, content: Arc<Content>) -> Self {
        Self {
            sender,
            content,
            hash: OnceCell::new(),
        }
    }

    /// Whether they have been asked for.
    pub(super) fn are_known(&self) -> bool {
        self.hash.get().is_some_and(Option::is_some)
    }

    /// The copies of these recipients, in order; none when the content cannot be read in
    /// this time, now or before.
    pub(super) async fn of<'a>(
        &self,
        recipients: impl Iterator<Item = &'a Mailbox>,
        patience: Duration,
    ) -> Option<Vec<Addressed>> {
        let hash = self.hash.get_or_init(|| self.hash(patience));
        let hash = hash.await.as_ref()?;
        let sender = self.sender.as_ref();
        Some(recipients.map(|one| hash.copy(sender, one)).collect())
    }

    async fn hash(&self, patience: Duration) -> Option<ContentHash> {
        let hashed = self.content.in_thread(patience, ContentHash::of).await;
        hashed
            .inspect_err(|error| tracing::error!(%error, "a message cannot be read again"))
            .ok()
    }
}

impl Late {
    /// Waits in the background for work that is not done yet. Each such wait belongs to
    /// a thread of a maildir, which has few.
    pub(super) async fn watch(self, work: JoinHandle<Result<PathBuf, DeliveryError>>) {
        let Some(copies) = self.under_way().await else {
            return;
        };
        let ledger = Arc::clone(&self.ledger);
        self.ledger.watch(async move {
            let arrived = work.await;
            let path = arrived.ok().and_then(Result::ok);
            if let Some(path) = &path {
                tracing::warn!(path = %path.display(), "a message arrived after the client had been told to come back");
            }
            ledger.arrived(&copies, path.is_some()).await;
        });
    }

    /// Listens in the background to a next hop that has the message. Each such wait belongs
    /// to one of its connections.
    pub(super) async fn listen(self, hop: Unanswered) {
        let Some(copies) = self.under_way().await else {
            return;
        };
        let ledger = Arc::clone(&self.ledger);
        self.ledger.watch(async move {
            let outcomes = hop.outcomes().await;
            for (copy, outcome) in copies.iter().zip(&outcomes) {
                match outcome {
                    Ok(reply) => {
                        tracing::warn!(%reply, "a next hop took a message after the client had been told to come back");
                    }
                    Err(error) => tracing::debug!(%error, "a next hop did not take a message"),
                }
                ledger.arrived(&[*copy], outcome.is_ok()).await;
            }
        });
    }

    /// Whoever asks for these copies from now on is put off; none when they have no names.
    async fn under_way(&self) -> Option<Vec<Addressed>> {
        let copies = self.copies.of(self.recipients.iter(), PATIENCE).await;
        let Some(copies) = copies else {
            tracing::error!("copies of this message may come twice");
            return None;
        };
        for copy in &copies {
            self.ledger.under_way(copy);
        }
        Some(copies)
    }
}
