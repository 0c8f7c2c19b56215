//! What is written of a receipt after an address was erased: it was on its way then, or
//! came of mail that was under way.
//!
//! **The host remembers whom it has erased**, for as long as it runs: what follows a receipt
//! comes from the same process, in which its session or its candidate is. **Only receipts
//! that began before are looked at**, so that nobody else's mail costs anything, and what
//! comes later is new.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use serde_json::Value as Json;

use super::whole::{erase_later, erase_row};
use crate::facts::{ReceiptId, TenantId};
use crate::receipt::eraser::Eraser;
use crate::store::receipt_columns::{Batch, Later};
use crate::store::shadow_columns::Shadowed;

/// Erasures that are remembered: some hundred kilobytes. Sessions that are older than as
/// many erasures are not there.
const REMEMBERED: usize = 1000;

/// The erasures since the host began.
#[derive(Debug, Default)]
pub(in crate::store) struct Late(Mutex<VecDeque<Arc<Erasure>>>);

#[derive(Debug)]
struct Erasure {
    eraser: Eraser,
    /// None for all.
    tenant: Option<TenantId>,
    /// Receipts up to this one began before.
    until: String,
}

impl Late {
    /// From now on, what is written of earlier receipts goes without this address.
    pub(in crate::store) fn remember(&self, eraser: &Eraser, tenant: Option<&TenantId>) {
        let erasure = Arc::new(Erasure {
            eraser: eraser.clone(),
            tenant: tenant.cloned(),
            until: ReceiptId::new(SystemTime::now()).to_string(),
        });
        let mut remembered = self.lock();
        remembered.push_back(erasure);
        let over = remembered.len().saturating_sub(REMEMBERED);
        remembered.drain(..over);
    }

    /// The last erasure of this address is none.
    pub(in crate::store) fn forget(&self, eraser: &Eraser) {
        let mut remembered = self.lock();
        let mut places = (0..remembered.len()).rev();
        let last = places.find(|place| remembered[*place].eraser.digest() == eraser.digest());
        if let Some(last) = last {
            remembered.remove(last);
        }
    }

    /// Erases from what is about to be written.
    pub(in crate::store) fn erase_from(&self, batch: &mut Batch) {
        for erasure in self.all() {
            for row in &mut batch.new {
                if erasure.is_about(&row.id) && erasure.is_theirs(&row.tenant) {
                    erase_row(row, &erasure.eraser);
                }
            }
            for later in &mut batch.later {
                let (Later::Content { id, tenant, .. } | Later::Outcome { id, tenant, .. }) =
                    &*later;
                if erasure.is_about(id) && erasure.is_theirs(tenant) {
                    erase_later(later, &erasure.eraser);
                }
            }
        }
    }

    /// The same of what candidates have said.
    pub(in crate::store) fn erase_from_shadowed(&self, shadowed: &mut Shadowed) {
        for erasure in self.all() {
            shadowed.samples.retain(|sample| {
                let is_theirs = erasure.is_theirs(sample.pair.of.tenant.as_str());
                let has = || {
                    let read = serde_json::from_str::<Json>(&sample.answer);
                    read.is_ok_and(|mut answer| erasure.eraser.erase(&mut answer))
                };
                !(is_theirs && erasure.is_about(&sample.receipt) && has())
            });
        }
    }

    fn all(&self) -> Vec<Arc<Erasure>> {
        self.lock().iter().map(Arc::clone).collect()
    }

    /// The queue is whole whatever happened to the thread that held it.
    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Arc<Erasure>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Erasure {
    fn is_about(&self, receipt: &str) -> bool {
        *receipt <= *self.until
    }

    fn is_theirs(&self, tenant: &str) -> bool {
        let own = self.tenant.as_ref();
        own.is_none_or(|own| own.as_str() == tenant)
    }
}
