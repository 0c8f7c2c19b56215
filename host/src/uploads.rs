//! Uploaded modules, from received to ready or refused.
//!
//! **What is received is on disk first** (`store`), and what a crash leaves unfinished is
//! taken up at the next start. **Tenants take turns**: of each tenant one module is looked at
//! at a time, and whoever was served last waits for the others, so that a hundred uploads of
//! one keep nobody else's waiting. A module is looked at by the engine's compile worker
//! alone; nothing of it is in force until somebody makes it active.

mod turns;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::{Id, JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use turns::Turns;

use crate::engine::{AdmissionError, Engine};
use crate::facts::TenantId;
use crate::store::{Arrival, ModuleRevision, RevisionState, Store, StoreError, Upload, Waiting};

/// Modules that are looked at at one time: two, so that the others have a turn while one
/// tenant's takes long.
const AT_ONE_TIME: usize = 2;

/// Bodies of one tenant that are received at one time. They are held in memory.
const BODIES: usize = 2;

/// After the host itself was not able to look at a module.
const AGAIN: Duration = Duration::from_secs(10);

/// Receives modules, and has them looked at.
pub struct Uploads {
    engine: Arc<Engine>,
    store: Store,
    /// Something was received.
    arrived: Notify,
    /// Something became of one.
    changed: watch::Sender<()>,
    /// How many bodies of each tenant are being received.
    bodies: Mutex<HashMap<TenantId, usize>>,
}

/// Leave to send a body, given back when it is dropped.
pub struct Place {
    uploads: Arc<Uploads>,
    tenant: TenantId,
}

/// The task that has modules looked at, until this is stopped or dropped.
#[derive(Debug)]
pub struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// What came of a turn.
enum Turn {
    /// It is known what becomes of the revision.
    Done,
    /// The host could not say: later.
    Later,
}

impl Uploads {
    /// Begins with what an earlier host left unfinished.
    pub fn start(engine: Arc<Engine>, store: Store) -> (Arc<Self>, Running) {
        let uploads = Arc::new(Self {
            engine,
            store,
            arrived: Notify::new(),
            changed: watch::Sender::new(()),
            bodies: Mutex::default(),
        });
        let stop = CancellationToken::new();
        let task = tokio::spawn(Arc::clone(&uploads).run(stop.clone()));
        (uploads, Running { stop, task })
    }

    /// Leave for this tenant to send a module; none where it sends as many as it may.
    pub fn place(self: &Arc<Self>, tenant: &TenantId) -> Option<Place> {
        let mut bodies = self.bodies.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = bodies.entry(tenant.clone()).or_default();
        if *taken >= BODIES {
            return None;
        }
        *taken += 1;
        Some(Place {
            uploads: Arc::clone(self),
            tenant: tenant.clone(),
        })
    }

    /// Keeps an upload, and has it looked at. When this returns it is on disk. `who` is for
    /// the audit.
    ///
    /// # Errors
    /// As [`Store::receive`].
    pub async fn receive(
        &self,
        upload: &Upload<'_>,
        who: &str,
    ) -> Result<(ModuleRevision, Arrival), StoreError> {
        let received = self.store.receive(upload, who).await?;
        if received.1 != Arrival::Known {
            self.arrived.notify_one();
        }
        Ok(received)
    }

    /// A revision as soon as it is known what becomes of it, or as it is when this time is
    /// over; none where there is none of this number.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn settled(
        &self,
        tenant: &TenantId,
        module: &str,
        number: i64,
        patience: Duration,
    ) -> Result<Option<ModuleRevision>, StoreError> {
        let end = Instant::now() + patience;
        let mut changed = self.changed.subscribe();
        loop {
            changed.mark_unchanged();
            let found = self.store.module_revision(tenant, module, number).await?;
            let waits = found.as_ref().is_some_and(|found| found.state.is_waiting());
            if !waits || timeout_at(end, changed.changed()).await.is_err() {
                return Ok(found);
            }
        }
    }

    async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut turns = Turns::new(AT_ONE_TIME);
        let (mut at_work, mut whose) = (JoinSet::new(), HashMap::new());
        loop {
            let look_again = self.begin(&mut turns, &mut at_work, &mut whose).await;
            let later = async {
                match look_again {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.arrived.notified() => {}
                Some(done) = at_work.join_next_with_id(), if !at_work.is_empty() => {
                    let (task, turn) = done.unwrap_or_else(|error| {
                        tracing::error!(%error, "looking at an uploaded module failed, and is tried again");
                        (error.id(), Turn::Later)
                    });
                    let rest = matches!(turn, Turn::Later).then(|| Instant::now() + AGAIN);
                    if let Some(tenant) = whose.remove(&task) {
                        turns.end(tenant, rest);
                    }
                }
                () = later => {}
            }
        }
        // What is given up here is taken up at the next start.
        at_work.shutdown().await;
    }

    /// Lets whoever has a turn begin; when to look again, if nothing happens before.
    async fn begin(
        self: &Arc<Self>,
        turns: &mut Turns,
        at_work: &mut JoinSet<Turn>,
        whose: &mut HashMap<Id, TenantId>,
    ) -> Option<Instant> {
        let waiting = match self.store.waiting().await {
            Ok(waiting) => waiting,
            Err(error) => {
                tracing::debug!(%error, "whether modules wait to be compiled cannot be read");
                return Some(Instant::now() + AGAIN);
            }
        };
        while let Some(next) = turns.begin(&waiting, Instant::now()) {
            let (uploads, next) = (Arc::clone(self), next.clone());
            let tenant = next.tenant.clone();
            let task = at_work.spawn(async move { uploads.look_at(&next).await });
            whose.insert(task.id(), tenant);
        }
        turns.look_again(&waiting)
    }

    async fn look_at(&self, waiting: &Waiting) -> Turn {
        match self.admit(waiting).await {
            Ok(()) => Turn::Done,
            Err(error) => {
                let Waiting {
                    tenant,
                    module,
                    number,
                    ..
                } = waiting;
                tracing::warn!(tenant.id = %tenant, module.name = module, module.revision = number, %error, "an uploaded module could not be looked at, and will be again");
                // As it was, unless the store is what is wrong.
                let _ = self.note(waiting, RevisionState::Received, None).await;
                Turn::Later
            }
        }
    }

    async fn admit(&self, waiting: &Waiting) -> Result<(), AdmissionError> {
        let internal = |error: StoreError| AdmissionError::Internal(error.into());
        let Waiting {
            tenant,
            module,
            number,
            digest,
        } = waiting;
        let compiling = self.note(waiting, RevisionState::Compiling, None).await;
        if !compiling.map_err(internal)? {
            // It was removed, or files have made it active.
            return Ok(());
        }
        let bytes = self.store.module(*digest).await.map_err(internal)?;
        match self.engine.admit(tenant, &bytes).await {
            Ok(_) => {
                let noted = self.note(waiting, RevisionState::Ready, None).await;
                noted.map_err(internal)?;
                tracing::info!(tenant.id = %tenant, module.name = module, module.revision = number, module.digest = %digest, "an uploaded module can be made active");
            }
            Err(AdmissionError::Refused(reason)) => {
                let noted = self
                    .note(waiting, RevisionState::Refused, Some(&reason))
                    .await;
                noted.map_err(internal)?;
                tracing::info!(tenant.id = %tenant, module.name = module, module.revision = number, module.digest = %digest, reason, "an uploaded module was refused");
            }
            Err(error @ (AdmissionError::Busy | AdmissionError::Internal(_))) => return Err(error),
        }
        Ok(())
    }

    async fn note(
        &self,
        waiting: &Waiting,
        state: RevisionState,
        reason: Option<&str>,
    ) -> Result<bool, StoreError> {
        let noted = self.store.note_revision(waiting, state, reason).await?;
        self.changed.send_replace(());
        Ok(noted)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let bodies = self.uploads.bodies.lock();
        let mut bodies = bodies.unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = bodies.get_mut(&self.tenant) {
            *taken -= 1;
            if *taken == 0 {
                bodies.remove(&self.tenant);
            }
        }
    }
}

impl Running {
    /// Ends it. When this returns nothing is compiled any more.
    pub async fn stop(mut self) {
        self.stop.cancel();
        // It ends by itself, or it panicked: over it is.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}
