//! Replays under way, and those that have ended of late: in memory, so that they are gone
//! when the host restarts.
//!
//! **One at a time of each tenant**, and a bounded number of all. A replay ends when it is
//! cancelled, when its tenant is removed, and when the host drains; what it found until
//! then is told by nobody, for a part of the receipts is no answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use ulid::Ulid;

use super::findings::Findings;
use super::run::{Errand, Progress, ReplayError, run};
use crate::facts::{TenantId, unix_seconds};
use crate::host::Shutdown;

/// How long one that has ended can be asked about.
const KEPT: Duration = Duration::from_secs(3600);

/// How many that have ended are kept of a tenant, and of all: some megabytes each at most.
const KEPT_OF_ONE: usize = 8;
const KEPT_OF_ALL: usize = 64;

/// How many may be under way: each has the senders of a tenant in memory.
const RUNNING: usize = 16;

/// Replays of a host. A clone is another handle of the same.
#[derive(Clone, Debug)]
pub struct Replays {
    state: Arc<Mutex<State>>,
    tasks: TaskTracker,
    shutdown: Shutdown,
}

#[derive(Debug, Default)]
struct State {
    /// Oldest first.
    jobs: Vec<Arc<Job>>,
    /// Tenants of which one is under way, or, as long as there is no id, is about to be.
    busy: HashMap<TenantId, Option<Ulid>>,
}

/// A tenant's leave to have one under way, given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    state: Arc<Mutex<State>>,
    tenant: TenantId,
}

/// A replay.
#[derive(Debug)]
pub struct Job {
    /// Its id.
    pub id: Ulid,
    /// Whose.
    pub tenant: TenantId,
    /// From this second on, since 1970.
    pub from: Option<u64>,
    /// Before this second.
    pub to: Option<u64>,
    /// When the candidate is taken to be in force.
    pub at: u64,
    /// When it began, in seconds since 1970.
    pub began: u64,
    /// How far it is.
    pub progress: Arc<Progress>,
    cancel: CancellationToken,
    ending: watch::Sender<Ending>,
    ended: Mutex<Option<Instant>>,
}

/// What became of a replay.
#[derive(Clone, Debug)]
pub enum Ending {
    /// It is under way.
    Running,
    /// It is done.
    Done(Arc<Findings>),
    /// Somebody cancelled it.
    Cancelled,
    /// It came to no end by itself.
    Failed(String),
}

/// Why none may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    /// One of the tenant's is under way.
    #[error("replay {0} of this tenant is under way: wait for its end, or cancel it")]
    Busy(Ulid),
    /// One of the tenant's is about to be.
    #[error("another replay of this tenant is about to begin: try again in a moment")]
    Beginning,
    /// So many are.
    #[error("{RUNNING} replays of other tenants are under way: try again in a moment")]
    Full,
}

impl Replays {
    /// None yet.
    pub fn new(shutdown: Shutdown) -> Self {
        Self {
            state: Arc::default(),
            tasks: TaskTracker::new(),
            shutdown,
        }
    }

    /// Leave for this tenant to have one under way.
    ///
    /// # Errors
    /// When there is one already, or too many of others.
    pub fn place(&self, tenant: &TenantId) -> Result<Place, JobError> {
        let mut state = self.lock();
        match state.busy.get(tenant) {
            Some(Some(id)) => return Err(JobError::Busy(*id)),
            Some(None) => return Err(JobError::Beginning),
            None => {}
        }
        if state.busy.len() >= RUNNING {
            return Err(JobError::Full);
        }
        state.busy.insert(tenant.clone(), None);
        Ok(Place {
            state: Arc::clone(&self.state),
            tenant: tenant.clone(),
        })
    }

    /// Begins one.
    pub fn begin(&self, place: Place, errand: Errand) -> Arc<Job> {
        let now = SystemTime::now();
        let job = Arc::new(Job {
            id: Ulid::generate(),
            tenant: errand.span.tenant.clone(),
            from: errand.span.from,
            to: errand.span.to,
            at: errand.candidate.at,
            began: unix_seconds(now),
            progress: Arc::default(),
            cancel: CancellationToken::new(),
            ending: watch::Sender::new(Ending::Running),
            ended: Mutex::default(),
        });
        let mut state = self.lock();
        state.forget_old();
        state.jobs.push(Arc::clone(&job));
        state.busy.insert(place.tenant.clone(), Some(job.id));
        drop(state);
        let (under_way, shutdown) = (Arc::clone(&job), self.shutdown.clone());
        self.tasks.spawn(async move {
            let ending = under_way.work(&errand, &shutdown).await;
            drop((errand, place));
            under_way.end(ending);
        });
        job
    }

    /// One of this tenant's.
    pub fn one(&self, tenant: &TenantId, id: Ulid) -> Option<Arc<Job>> {
        let mut state = self.lock();
        state.forget_old();
        let mut jobs = state.jobs.iter();
        let found = jobs.find(|job| job.id == id && job.tenant == *tenant);
        found.map(Arc::clone)
    }

    /// Forgets all of a tenant that is no more: whoever is called so next is another.
    pub fn forget(&self, tenant: &TenantId) {
        let mut state = self.lock();
        for job in &state.jobs {
            if job.tenant == *tenant {
                job.cancel();
            }
        }
        state.jobs.retain(|job| job.tenant != *tenant);
    }

    /// Waits until all have ended, which they do when the host drains.
    pub async fn ended(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// It is whole whatever happened to the thread that held it.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Those that have ended long ago, and the oldest where there are too many.
    fn forget_old(&mut self) {
        self.jobs
            .retain(|job| job.ended().is_none_or(|ended| ended.elapsed() < KEPT));
        let (mut of_all, mut jobs) = (0, Vec::new());
        while let Some(job) = self.jobs.pop() {
            let of_one = jobs
                .iter()
                .filter(|other: &&Arc<Job>| other.tenant == job.tenant && other.ended().is_some());
            let has_ended = job.ended().is_some();
            if !has_ended || (of_all < KEPT_OF_ALL && of_one.count() < KEPT_OF_ONE) {
                of_all += usize::from(has_ended);
                jobs.push(job);
            }
        }
        jobs.reverse();
        self.jobs = jobs;
    }
}

impl Job {
    async fn work(&self, errand: &Errand, shutdown: &Shutdown) -> Ending {
        let done = tokio::select! {
            biased;
            () = self.cancel.cancelled() => return Ending::Cancelled,
            () = shutdown.draining() => Err(ReplayError::Stopping),
            done = run(errand, &self.progress) => done,
        };
        match done {
            Ok(findings) => Ending::Done(Arc::new(findings)),
            Err(error) => {
                if matches!(error, ReplayError::Read(_)) {
                    tracing::error!(tenant.id = %self.tenant, %error, "a replay could not read receipts");
                    let reason = "receipts cannot be read just now: the host's log says why";
                    return Ending::Failed(reason.to_owned());
                }
                Ending::Failed(error.to_string())
            }
        }
    }

    fn end(&self, ending: Ending) {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        *ended = Some(Instant::now());
        drop(ended);
        self.ending.send_replace(ending);
    }

    fn ended(&self) -> Option<Instant> {
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has it end, if it has not.
    pub fn cancel(&self) {
        self.cancel.cancel();
    }

    /// What became of it, once it has ended or this time is over.
    pub async fn ending(&self, patience: Duration) -> Ending {
        let mut ending = self.ending.subscribe();
        let ended = ending.wait_for(|ending| !matches!(ending, Ending::Running));
        // The sender is here, so that only time ends this otherwise.
        let _ = timeout(patience, ended).await;
        self.ending.borrow().clone()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let state = self.state.lock();
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        state.busy.remove(&self.tenant);
    }
}

#[cfg(test)]
mod tests;
