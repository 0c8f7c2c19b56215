//! Which module is compiled next: what mail waits for before what nobody waits for, and
//! **of each tenant one at a time**, so that a tenant's slow modules hold up one of those who
//! fill cells, and not both. The same bytes of two tenants are not compiled twice either.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::Pending;
use crate::digest::Digest;
use crate::facts::TenantId;

/// Cells that are not filled. Those of tenants that are gone meanwhile go by themselves.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: Mutex<Waiting>,
    /// A cell is there, or a tenant has its turn again.
    changed: Notify,
    /// Nobody waits any more.
    closed: CancellationToken,
}

#[derive(Debug, Default)]
struct Waiting {
    /// What mail waits for.
    first: VecDeque<Weak<Pending>>,
    others: VecDeque<Weak<Pending>>,
    /// What is compiled just now.
    at_work: AtWork,
}

#[derive(Debug, Default)]
struct AtWork {
    tenants: HashSet<TenantId>,
    modules: HashSet<Digest>,
}

/// A cell that is to be filled; the turn of its tenant is over when this is dropped.
pub(super) struct Turn<'q> {
    pub(super) cell: Arc<Pending>,
    /// Whether mail waits for it.
    is_first: bool,
    queue: &'q Queue,
}

impl Queue {
    pub(super) fn add(&self, cell: &Arc<Pending>) {
        self.lock().others.push_back(Arc::downgrade(cell));
        self.changed.notify_waiters();
    }

    /// Mail waits for this one.
    pub(super) fn put_first(&self, cell: &Pending) {
        let waiting = &mut *self.lock();
        let mut others = waiting.others.iter();
        if let Some(place) = others.position(|other| std::ptr::eq(other.as_ptr(), cell)) {
            waiting.first.extend(waiting.others.remove(place));
        }
    }

    /// The next that is to be filled.
    pub(super) async fn next(&self) -> Turn<'_> {
        loop {
            // What changes from here on is heard of.
            let changed = self.changed.notified();
            if let Some(turn) = self.begin() {
                return turn;
            }
            changed.await;
        }
    }

    fn begin(&self) -> Option<Turn<'_>> {
        let waiting = &mut *self.lock();
        let first = take(&mut waiting.first, &waiting.at_work);
        let is_first = first.is_some();
        let cell = first.or_else(|| take(&mut waiting.others, &waiting.at_work))?;
        waiting.at_work.tenants.insert(cell.tenant.clone());
        waiting.at_work.modules.insert(cell.digest);
        Some(Turn {
            cell,
            is_first,
            queue: self,
        })
    }

    /// From now on no mail waits: the host ends.
    pub fn close(&self) {
        self.closed.cancel();
    }

    /// Waits for that.
    pub(super) async fn closed(&self) {
        self.closed.cancelled().await;
    }

    /// Whether there is nothing to do any more.
    pub(super) fn is_idle(&self) -> bool {
        let waiting = self.lock();
        let mut cells = waiting.first.iter().chain(&waiting.others);
        waiting.at_work.tenants.is_empty() && cells.all(|cell| cell.strong_count() == 0)
    }

    /// The order is whole whatever happened to the thread that held it.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AtWork {
    fn has(&self, cell: &Pending) -> bool {
        self.tenants.contains(&cell.tenant) || self.modules.contains(&cell.digest)
    }
}

/// The first whose tenant and module are not at work.
fn take(cells: &mut VecDeque<Weak<Pending>>, at_work: &AtWork) -> Option<Arc<Pending>> {
    cells.retain(|cell| cell.strong_count() > 0);
    for place in 0..cells.len() {
        let cell = cells.get(place).and_then(Weak::upgrade);
        if let Some(cell) = cell.filter(|cell| !at_work.has(cell)) {
            cells.remove(place);
            return Some(cell);
        }
    }
    None
}

impl Turn<'_> {
    /// It could not be filled just now: it is again, after all the others for which mail
    /// waits, or does not, as for this one.
    pub(super) fn put_back(self) {
        match self.is_first {
            true => self
                .queue
                .lock()
                .first
                .push_back(Arc::downgrade(&self.cell)),
            false => self.queue.add(&self.cell),
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let at_work = &mut self.queue.lock().at_work;
        at_work.tenants.remove(&self.cell.tenant);
        at_work.modules.remove(&self.cell.digest);
        self.queue.changed.notify_waiters();
    }
}
