//! Receipts whose time is over go while the host runs, a little at a time, and once a day
//! what was compiled of modules that nobody has any more. **A clock that jumps removes
//! nothing**: what time it is, as far as receipts are removed by it, is the `calendar`'s.

mod calendar;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use calendar::{Calendar, News};

use crate::engine::Engine;
use crate::facts::unix_seconds;
use crate::host::Shutdown;
use crate::receipt::timestamp;
use crate::store::{Store, StoreError};

/// How often it is looked what is over: a quota is exceeded by what comes in a minute.
const EVERY: Duration = Duration::from_secs(60);

/// How often it is looked which compiled modules nobody has any more.
const DAY: Duration = Duration::from_secs(86_400);

/// Keeps receipts for as many days, where a tenant has no number of its own, until the
/// host stops.
pub(super) async fn keep(store: Store, keep_days: u32, engine: Arc<Engine>, shutdown: Shutdown) {
    let (began, mut calendar) = (Instant::now(), Calendar::default());
    let mut next_prune = began;
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
            done = look(&store, keep_days, &mut calendar, began) => match done {
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

async fn look(
    store: &Store,
    keep_days: u32,
    calendar: &mut Calendar,
    began: Instant,
) -> Result<i64, StoreError> {
    let wall = unix_seconds(SystemTime::now());
    let newest = store.newest_receipt_before(calendar::settled(wall)).await?;
    let (now, news) = calendar.look(wall, newest, began.elapsed().as_secs());
    match news {
        Some(News::Doubtful) => tracing::warn!(
            clock = timestamp(wall),
            taken = timestamp(now),
            "the clock is far ahead of the receipts, so they are not removed by it until it is confirmed"
        ),
        Some(News::Confirmed) => {
            tracing::info!(
                clock = timestamp(wall),
                "receipts are removed by the clock again"
            );
        }
        None => {}
    }
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
    // As whoever else notes what lingers.
    store.tidy(wall).await?;
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
