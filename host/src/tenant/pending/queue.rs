//! Which module is compiled next: what mail waits for before what nobody waits for, and
//! **of each tenant one at a time**, so that a tenant's slow modules hold up one of those who
//! fill cells, and not both.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::Notify;

use super::Pending;
use crate::facts::TenantId;

/// Cells that are not filled. Those of tenants that are gone meanwhile go by themselves.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: Mutex<Waiting>,
    /// A cell is there, or a tenant has its turn again.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    /// What mail waits for.
    first: VecDeque<Weak<Pending>>,
    others: VecDeque<Weak<Pending>>,
    /// Whose modules are compiled just now.
    at_work: HashSet<TenantId>,
}

/// A cell that is to be filled; the turn of its tenant is over when this is dropped.
pub(super) struct Turn<'q> {
    pub(super) cell: Arc<Pending>,
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
        let cell = take(&mut waiting.first, &waiting.at_work)
            .or_else(|| take(&mut waiting.others, &waiting.at_work))?;
        waiting.at_work.insert(cell.tenant.clone());
        Some(Turn { cell, queue: self })
    }

    /// Whether there is nothing to do any more.
    pub(super) fn is_idle(&self) -> bool {
        let waiting = self.lock();
        let mut cells = waiting.first.iter().chain(&waiting.others);
        waiting.at_work.is_empty() && cells.all(|cell| cell.strong_count() == 0)
    }

    /// The order is whole whatever happened to the thread that held it.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The first whose tenant is not at work.
fn take(cells: &mut VecDeque<Weak<Pending>>, at_work: &HashSet<TenantId>) -> Option<Arc<Pending>> {
    cells.retain(|cell| cell.strong_count() > 0);
    for place in 0..cells.len() {
        let cell = cells.get(place).and_then(Weak::upgrade);
        if let Some(cell) = cell.filter(|cell| !at_work.contains(&cell.tenant)) {
            cells.remove(place);
            return Some(cell);
        }
    }
    None
}

impl Turn<'_> {
    /// It could not be filled just now: it is again, after all the others.
    pub(super) fn put_back(self) {
        self.queue.add(&self.cell);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.queue.lock().at_work.remove(&self.cell.tenant);
        self.queue.changed.notify_waiters();
    }
}
