//! Making what tenants' mail needs before there is mail.
//!
//! **Nobody waits for it**: a disk that hangs holds up its own tenant alone, and not the
//! start, a reload, or what comes after that. What goes wrong is in the log, and is
//! tried again when there is mail.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::tenant::Snapshot;

/// Targets that are prepared at one time, each in a thread of its own: a disk that hangs
/// leaves the others room, and a thousand tenants do not take all threads there are.
const AT_ONE_TIME: usize = 16;

/// Tasks that prepare the targets of some tenants. They end with it.
#[derive(Debug)]
pub(super) struct Preparation(#[expect(dead_code, reason = "it is there to be held")] JoinSet<()>);

impl Preparation {
    /// Prepares the targets of all tenants. A target has a time within which it has to
    /// be done, so this comes to an end.
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let places = Arc::new(Semaphore::new(AT_ONE_TIME));
        let mut tasks = JoinSet::new();
        for tenant in snapshot.tenants() {
            let (target, places) = (Arc::clone(&tenant.target), Arc::clone(&places));
            tasks.spawn(async move {
                // It is never closed.
                let _place = places.acquire().await;
                target.prepare().await;
            });
        }
        Self(tasks)
    }
}
