//! Receipts whose time is over go while the host runs, a little at a time, and once a day
//! what was compiled of modules that nobody has any more.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::engine::Engine;
use crate::facts::unix_seconds;
use crate::host::Shutdown;
use crate::store::{Store, StoreError};

/// How often it is looked what is over: a quota is exceeded by what comes in a minute.
const EVERY: Duration = Duration::from_secs(60);

/// How often it is looked which compiled modules nobody has any more.
const DAY: Duration = Duration::from_secs(86_400);

/// Keeps receipts for as many days, where a tenant has no number of its own, until the
/// host stops.
pub(super) async fn keep(store: Store, keep_days: u32, engine: Arc<Engine>, shutdown: Shutdown) {
    let mut next_prune = Instant::now();
    loop {
        if Instant::now() >= next_prune {
            // What is left of many is for the next look.
            let wait = if prune(&store, &engine).await {
                EVERY
            } else {
                DAY
            };
            next_prune = Instant::now() + wait;
        }
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

/// Removes what was compiled of modules that nobody has any more; whether there may be more
/// of it.
async fn prune(store: &Store, engine: &Engine) -> bool {
    let needed = match store.module_digests().await {
        Ok(needed) => needed,
        Err(error) => {
            tracing::warn!(%error, "compiled modules that nobody has any more could not be looked for");
            return false;
        }
    };
    match engine.prune_cache(needed).await {
        Ok((0, more)) => more,
        Ok((modules, more)) => {
            tracing::info!(
                modules,
                "compiled modules that nobody has any more were removed"
            );
            more
        }
        Err(error) => {
            tracing::warn!(%error, "compiled modules that nobody has any more could not be removed");
            false
        }
    }
}
