//! Making what tenants' mail needs before there is mail.
//!
//! **Nobody waits for it**: a disk that hangs holds up its own tenant alone, and not the
//! start, a reload, or what comes after that. What goes wrong is in the log, and is
//! tried again when there is mail.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::tenant::{Snapshot, Tenant};

/// Targets that are prepared at one time, each in a thread of its own: a disk that hangs
/// leaves the others room, and a thousand tenants do not take all threads there are.
const AT_ONE_TIME: usize = 16;

/// Tasks that prepare the targets of some tenants. They end with it.
#[derive(Debug)]
pub(super) struct Preparation {
    tasks: JoinSet<()>,
    places: Arc<Semaphore>,
}

impl Preparation {
    /// Prepares the targets of all tenants. A target has a time within which it has to
    /// be done, so this comes to an end.
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let mut preparation = Self {
            tasks: JoinSet::new(),
            places: Arc::new(Semaphore::new(AT_ONE_TIME)),
        };
        for tenant in snapshot.tenants() {
            preparation.add(tenant);
        }
        preparation
    }

    /// Prepares those of another one.
    pub(super) fn add(&mut self, tenant: &Tenant) {
        // Those that have ended are forgotten, so that thousands of changes leave nothing.
        while self.tasks.try_join_next().is_some() {}
        let (target, places) = (Arc::clone(&tenant.target), Arc::clone(&self.places));
        self.tasks.spawn(async move {
            // It is never closed.
            let _place = places.acquire().await;
            target.prepare().await;
        });
    }
}
