//! Who may run and compile at one time: all tenants together, and each its share, so
//! that one tenant's slow module leaves room for the others'.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::facts::TenantId;

/// How long somebody who has time waits before looking again for a turn: as long as some
/// hundred decisions take.
const IDLE: Duration = Duration::from_millis(2);

/// One tenant's share of the engine.
#[derive(Debug)]
pub(super) struct Share {
    running: Semaphore,
    /// Held while a worker compiles a module of this tenant: one at a time.
    pub(super) compiling: AsyncMutex<()>,
    /// The same while one checks settings, for which no module is waited for: what a
    /// tenant uploads holds up no change.
    pub(super) checking: AsyncMutex<()>,
}

/// The shares of all tenants.
#[derive(Debug)]
pub(super) struct Shares {
    all: Semaphore,
    instances: usize,
    each: usize,
    /// Turns that were not to be had at once.
    waits: AtomicU64,
    by_tenant: Mutex<HashMap<TenantId, Arc<Share>>>,
}

/// Leave to run, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    _own: SemaphorePermit<'a>,
    _all: SemaphorePermit<'a>,
}

impl Shares {
    /// Shares of this many instances: a quarter for each tenant, at least one.
    pub(super) fn new(instances: u32) -> Self {
        let instances = instances as usize;
        Self {
            all: Semaphore::new(instances),
            instances,
            each: (instances / 4).max(1),
            waits: AtomicU64::new(0),
            by_tenant: Mutex::default(),
        }
    }

    /// The share of this tenant.
    pub(super) fn of(&self, tenant: &TenantId) -> Arc<Share> {
        let mut shares = self
            .by_tenant
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // Only tenants who have a module loaded are remembered.
        shares.retain(|_, share| Arc::strong_count(share) > 1);
        let share = shares.entry(tenant.clone()).or_insert_with(|| {
            Arc::new(Share {
                running: Semaphore::new(self.each),
                compiling: AsyncMutex::new(()),
                checking: AsyncMutex::new(()),
            })
        });
        Arc::clone(share)
    }

    /// Waits for a turn of this share, and no longer than this.
    pub(super) async fn turn<'a>(&'a self, share: &'a Share, wait: Duration) -> Option<Turn<'a>> {
        if let Some(turn) = self.turn_at_once(share) {
            return Some(turn);
        }
        self.waits.fetch_add(1, Relaxed);
        let both = async {
            // One's own first: a tenant who has used up his share holds nothing that
            // others wait for.
            let own = share.running.acquire().await.ok()?;
            let all = self.all.acquire().await.ok()?;
            Some(Turn {
                _own: own,
                _all: all,
            })
        };
        timeout(wait, both).await.ok().flatten()
    }

    /// A turn that is free just now.
    pub(super) fn turn_at_once<'a>(&'a self, share: &'a Share) -> Option<Turn<'a>> {
        let own = share.running.try_acquire().ok()?;
        let all = self.all.try_acquire().ok()?;
        Some(Turn {
            _own: own,
            _all: all,
        })
    }

    /// A turn that is free just now and leaves another, of this share and of all: the
    /// next who needs one has it at once.
    pub(super) fn spare_turn<'a>(&'a self, share: &'a Share) -> Option<Turn<'a>> {
        let turn = self.turn_at_once(share)?;
        let leaves_one = |turns: &Semaphore| turns.available_permits() > 0;
        (leaves_one(&share.running) && leaves_one(&self.all)).then_some(turn)
    }

    /// Waits for a turn that is free and leaves another, however long that takes. It stands
    /// in no queue: whoever is in one goes first. Where a share is of one turn, or all are,
    /// there is no other to be left.
    pub(super) async fn idle_turn<'a>(&'a self, share: &'a Share) -> Turn<'a> {
        loop {
            let turn = match self.each == 1 {
                true => self.turn_at_once(share),
                false => self.spare_turn(share),
            };
            match turn {
                Some(turn) => return turn,
                None => tokio::time::sleep(IDLE).await,
            }
        }
    }

    /// Turns that are taken.
    pub(super) fn in_use(&self) -> usize {
        self.instances.saturating_sub(self.all.available_permits())
    }

    /// How many turns were waited for.
    pub(super) fn waits(&self) -> u64 {
        self.waits.load(Relaxed)
    }

    /// Whether there is a turn for anyone within this time.
    pub(super) async fn is_free(&self, wait: Duration) -> bool {
        matches!(timeout(wait, self.all.acquire()).await, Ok(Ok(_)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(id: &str) -> TenantId {
        id.parse().expect("a tenant id")
    }

    #[tokio::test(start_paused = true)]
    async fn a_tenant_leaves_room_for_others() {
        let shares = Shares::new(8);
        let (a, b) = (shares.of(&tenant("a")), shares.of(&tenant("b")));
        let wait = Duration::from_millis(500);
        let first = shares.turn(&a, wait).await;
        let second = shares.turn(&a, wait).await;
        assert!(first.is_some() && second.is_some());
        assert!(shares.turn(&a, wait).await.is_none(), "over its share");
        assert!(shares.turn(&b, wait).await.is_some(), "not the other's");
        drop(first);
        assert!(shares.turn(&a, wait).await.is_some());
    }

    #[tokio::test]
    async fn a_spare_turn_leaves_one() {
        // Of this tenant's share there are two, and of all eight.
        let shares = Shares::new(8);
        let wait = Duration::ZERO;
        let (a, b) = (shares.of(&tenant("a")), shares.of(&tenant("b")));
        let spare = shares.spare_turn(&a);
        assert!(spare.is_some());
        assert!(shares.spare_turn(&a).is_none(), "the last of the share");
        assert!(shares.turn(&a, wait).await.is_some(), "it is still there");
        drop(spare);
        let all = shares.all.acquire_many(7).await.expect("never closed");
        assert!(shares.spare_turn(&b).is_none(), "the last of all");
        assert!(shares.turn(&b, wait).await.is_some(), "it is still there");
        drop(all);
        assert!(shares.spare_turn(&b).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_time_waits_until_a_turn_is_left_over() {
        let shares = Shares::new(8);
        let a = shares.of(&tenant("a"));
        let mail = shares.turn(&a, Duration::ZERO).await;
        let long = Duration::from_secs(10);
        let idle = shares.idle_turn(&a);
        assert!(timeout(long, idle).await.is_err(), "the last of the share");
        drop(mail);
        assert!(timeout(long, shares.idle_turn(&a)).await.is_ok());
        let one = Shares::new(1);
        let a = one.of(&tenant("a"));
        assert!(
            timeout(long, one.idle_turn(&a)).await.is_ok(),
            "all there is"
        );
    }

    #[test]
    fn shares_outlive_no_module() {
        let shares = Shares::new(8);
        drop(shares.of(&tenant("a")));
        let _b = shares.of(&tenant("b"));
        let known = shares.by_tenant.lock().expect("not poisoned");
        assert_eq!(known.len(), 1);
    }
}
