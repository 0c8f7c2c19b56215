//! Receipts whose time is over go while the host runs, a little at a time.

use std::time::{Duration, Instant, SystemTime};

use crate::facts::unix_seconds;
use crate::host::Shutdown;
use crate::store::{Store, StoreError};

/// How often it is looked what is over: a quota is exceeded by what comes in a minute.
const EVERY: Duration = Duration::from_secs(60);

/// Keeps receipts for as many days, where a tenant has no number of its own, until the
/// host stops.
pub(super) async fn keep(store: Store, keep_days: u32, shutdown: Shutdown) {
    loop {
        tokio::select! {
            () = shutdown.draining() => return,
            done = look(&store, keep_days) => match done {
                Ok(0) => {}
                Ok(receipts) => tracing::debug!(receipts, "receipts whose time is over were removed"),
                Err(error) => tracing::warn!(%error, "receipts whose time is over could not be removed"),
            }
        }
        tokio::select! {
            () = shutdown.draining() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

async fn look(store: &Store, keep_days: u32) -> Result<i64, StoreError> {
    let now = unix_seconds(SystemTime::now());
    let mut removed = 0;
    for allowance in store.allowances(keep_days, now).await? {
        loop {
            let began = Instant::now();
            let some = store.expire(&allowance).await?;
            removed += some;
            if some == 0 {
                break;
            }
            // Whoever waits to write has as much time.
            tokio::time::sleep(began.elapsed()).await;
        }
    }
    store.tidy(now).await?;
    Ok(removed)
}
