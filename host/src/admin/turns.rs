//! Work that is done for a tenant one at a time.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::StatusCode;

use super::problem::Problem;
use crate::facts::TenantId;

/// Tenants for which something is under way just now: one thing for each.
#[derive(Clone, Debug, Default)]
pub(super) struct Turns(Arc<Mutex<HashSet<TenantId>>>);

/// The turn of a tenant, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Turns,
    tenant: TenantId,
}

impl Turns {
    /// The turn of this tenant to have such a thing done.
    ///
    /// # Errors
    /// 429 while another is under way.
    pub(super) fn take(&self, tenant: &TenantId, thing: &str) -> Result<Turn, Problem> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !taken.insert(tenant.clone()) {
            return Err(Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                format!("another {thing} of this tenant is under way: try again in a moment"),
            ));
        }
        Ok(Turn {
            turns: self.clone(),
            tenant: tenant.clone(),
        })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let taken = self.turns.0.lock();
        let mut taken = taken.unwrap_or_else(PoisonError::into_inner);
        taken.remove(&self.tenant);
    }
}
