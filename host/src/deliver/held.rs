//! A dialogue with a next hop while the client takes its time.
//!
//! A connection of the next hop's is a scarce thing, and next hops give up on clients
//! that say nothing. **So it is not held for a client that does not go on**: it goes
//! back to its pool, at once if somebody waits for it there, and the transaction is opened
//! again when the content is there.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::AbortHandle;

use super::relay::Dialogue;

/// How long a dialogue waits for the client: longer than a message of ordinary size
/// takes, far shorter than the five minutes that next hops wait (RFC 5321, section
/// 4.5.3.2.7).
const HOLD: Duration = Duration::from_secs(20);

/// A dialogue that waits for the client.
#[derive(Debug)]
pub(super) struct Held {
    dialogue: Arc<Mutex<Option<Dialogue>>>,
    timer: AbortHandle,
}

impl Held {
    pub(super) fn new(dialogue: Dialogue) -> Self {
        let asked_back = dialogue.asked_back();
        let dialogue = Arc::new(Mutex::new(Some(dialogue)));
        let held = Arc::clone(&dialogue);
        let timer = tokio::spawn(async move {
            // Either is a reason to give it back.
            let _ = tokio::time::timeout(HOLD, asked_back).await;
            if let Some(dialogue) = take(&held) {
                dialogue.abandon();
            }
        });
        Self {
            dialogue,
            timer: timer.abort_handle(),
        }
    }

    /// The dialogue; none when it was held for too long.
    pub(super) fn take(&self) -> Option<Dialogue> {
        take(&self.dialogue)
    }
}

impl Drop for Held {
    /// Drops the dialogue, too: that closes its connection.
    fn drop(&mut self) {
        self.timer.abort();
        drop(self.take());
    }
}

fn take(dialogue: &Mutex<Option<Dialogue>>) -> Option<Dialogue> {
    let mut held = dialogue.lock().unwrap_or_else(PoisonError::into_inner);
    held.take()
}
