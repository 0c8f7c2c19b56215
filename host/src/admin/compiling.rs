//! Modules that somebody waits for and that have to be compiled first: what a host of
//! another version compiled is compiled again.
//!
//! **It goes on where nobody waits any more**, so that whoever asks again finds it done.
//! **Of each tenant one at a time**: its modules are held in memory meanwhile.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::problem::Problem;
use crate::digest::Digest;
use crate::facts::TenantId;
use crate::server::ReloadError;

/// How long a request waits: what is then to be done has its time within a request's
/// minute.
const PATIENCE: Duration = Duration::from_secs(10);

/// After which time it is worth another try.
const AGAIN: Duration = Duration::from_secs(10);

/// How long it is remembered what came of it, for whoever asks again.
const REMEMBERED: Duration = Duration::from_secs(600);

/// What is being compiled, and what came of it. A clone is another handle of the same.
#[derive(Clone)]
pub(super) struct Compiling<T> {
    of: Arc<Mutex<HashMap<TenantId, Work<T>>>>,
    tasks: TaskTracker,
    /// When it ends all the same.
    stop: CancellationToken,
}

/// What came of it; nothing while it goes on.
type Outcome<T> = watch::Receiver<Option<Result<T, Problem>>>;

struct Work<T> {
    digest: Digest,
    began: Instant,
    outcome: Outcome<T>,
}

impl<T> Work<T> {
    fn goes_on(&self) -> bool {
        self.outcome.borrow().is_none() && self.outcome.has_changed().is_ok()
    }
}

impl<T: Clone + Send + Sync + 'static> Compiling<T> {
    /// Nothing. What is begun goes on as one of these tasks until it is done or stopped.
    pub(super) fn new(tasks: TaskTracker, stop: CancellationToken) -> Self {
        Self {
            of: Arc::default(),
            tasks,
            stop,
        }
    }

    /// What comes of this work on a module, unless it goes on already.
    pub(super) async fn done(
        &self,
        tenant: &TenantId,
        digest: Digest,
        work: impl Future<Output = Result<T, Problem>> + Send + 'static,
    ) -> Result<T, Problem> {
        let mut outcome = self.begin(tenant, digest, work)?;
        match timeout(PATIENCE, outcome.wait_for(Option::is_some)).await {
            Ok(Ok(done)) => {
                let done = done.clone();
                self.forget(tenant, digest);
                done.unwrap_or_else(|| Err(ReloadError::Stopping.into()))
            }
            Ok(Err(_ended)) => Err(ReloadError::Stopping.into()),
            Err(_) => Err(unready(
                "the module is still being compiled by this version of the host",
            )),
        }
    }

    fn begin(
        &self,
        tenant: &TenantId,
        digest: Digest,
        work: impl Future<Output = Result<T, Problem>> + Send + 'static,
    ) -> Result<Outcome<T>, Problem> {
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        of.retain(|_, work| work.goes_on() || work.began.elapsed() < REMEMBERED);
        match of.get(tenant) {
            Some(known) if known.digest == digest => return Ok(known.outcome.clone()),
            Some(other) if other.goes_on() => {
                return Err(unready("another module of this tenant is being compiled"));
            }
            _ => {}
        }
        let (tell, outcome) = watch::channel(None);
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                done = work => drop(tell.send_replace(Some(done))),
            }
        });
        let work = Work {
            digest,
            began: Instant::now(),
            outcome: outcome.clone(),
        };
        of.insert(tenant.clone(), work);
        Ok(outcome)
    }

    /// Whoever asks next begins anew.
    fn forget(&self, tenant: &TenantId, digest: Digest) {
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        if of.get(tenant).is_some_and(|work| work.digest == digest) {
            of.remove(tenant);
        }
    }
}

fn unready(why: &str) -> Problem {
    let detail = format!("{why}: try again in {} s", AGAIN.as_secs());
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).again_after(AGAIN)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    use tokio::time::sleep;

    use super::*;

    fn compiling() -> Compiling<u32> {
        Compiling::new(TaskTracker::new(), CancellationToken::new())
    }

    fn id(text: &str) -> TenantId {
        text.parse().expect("an id")
    }

    #[tokio::test(start_paused = true)]
    async fn what_takes_long_is_done_when_it_is_asked_for_again() {
        let (compiling, begun) = (compiling(), Arc::new(AtomicU32::new(0)));
        let work = || {
            let begun = Arc::clone(&begun);
            async move {
                begun.fetch_add(1, Relaxed);
                sleep(Duration::from_secs(100)).await;
                Ok(7)
            }
        };
        let (acme, bank) = (id("acme"), id("bank"));
        let (one, other) = (Digest::of(b"1"), Digest::of(b"2"));
        let unready = compiling.done(&acme, one, work()).await;
        assert_eq!(unready.expect_err("it takes longer").status(), 503);
        // It is not begun again, nor another beside it; the other tenant's is.
        let busy = compiling.done(&acme, other, work()).await;
        assert_eq!(busy.expect_err("one at a time").status(), 503);
        let unready = compiling.done(&bank, one, work()).await;
        assert_eq!(unready.expect_err("it takes longer").status(), 503);
        assert_eq!(begun.load(Relaxed), 2);
        sleep(Duration::from_secs(100)).await;
        assert_eq!(compiling.done(&acme, one, work()).await.ok(), Some(7));
        assert_eq!(begun.load(Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn what_failed_is_said_once_and_then_tried_again() {
        let compiling = compiling();
        let failing = async {
            sleep(Duration::from_secs(100)).await;
            Err(Problem::impossible("no module"))
        };
        let (acme, one) = (id("acme"), Digest::of(b"1"));
        let unready = compiling.done(&acme, one, failing).await;
        assert_eq!(unready.expect_err("it takes longer").status(), 503);
        sleep(Duration::from_secs(100)).await;
        let again = || async { Ok(8) };
        let failed = compiling.done(&acme, one, again()).await;
        assert_eq!(failed.expect_err("what came of it").status(), 422);
        assert_eq!(compiling.done(&acme, one, again()).await.ok(), Some(8));
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_with_the_host() {
        let compiling = compiling();
        let forever = std::future::pending();
        compiling.stop.cancel();
        let ended = compiling.done(&id("acme"), Digest::of(b"1"), forever).await;
        assert_eq!(ended.expect_err("it was stopped").status(), 503);
        compiling.tasks.close();
        compiling.tasks.wait().await;
    }
}
