//! Candidates: revisions of modules that are tried on live mail beside the active ones.
//!
//! **Live mail pays nothing for them**: a candidate is asked when the reply is out; nobody
//! waits for it; it runs where an instance is to spare, one at a time on the whole host, and
//! rests four times as long as it ran. What finds no room in its tenant's queue, or no
//! instance for a second, is not run, and counted as that. **Nothing of it has an effect**:
//! what it comes to is counted, and some of it kept as samples, in the store.
//!
//! Which candidates there are stands in the store; they are loaded when that has changed,
//! and never on the way of a message.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::digest::Digest;
use crate::engine::{AdmissionError, Engine, Module};
use crate::facts::{ReceiptId, TenantId};
use crate::metrics::Metrics;
use crate::receipt::journal::Journal;
use crate::receipt::{Came, Event, ShadowEvent, ShadowOf};
use crate::store::{Store, StoreError};
use crate::transaction::shadow::{NotRun, Standing};

/// Decisions of one tenant that wait for its candidates: a second of a busy tenant, and
/// some hundred kilobytes.
const QUEUE: usize = 1_000;

/// How often an instance is looked for, and how long it is waited in between: a moment in
/// which all are at work is over by then.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(50);

/// What takes less needs no rest.
const SHORT: Duration = Duration::from_millis(1);

/// Longest that a change waits until it is taken up.
const UPTAKE: Duration = Duration::from_secs(5);

/// How many times as long a candidate rests as it ran.
const REST: u32 = 4;

/// How often it is written how many were not run.
const EVERY: Duration = Duration::from_secs(1);

/// After a candidate could not be loaded.
const AGAIN: Duration = Duration::from_secs(60);

/// A revision that is tried.
#[derive(Debug)]
pub struct Candidate {
    pub(crate) module: Arc<Module>,
}

/// What candidates are run with.
pub struct Means {
    /// Runs them.
    pub engine: Arc<Engine>,
    /// Says which there are.
    pub store: Store,
    /// Keeps what they come to.
    pub journal: Journal,
    /// Counts it.
    pub metrics: Arc<Metrics>,
    /// Name of the host.
    pub node: String,
}

/// The candidates of all tenants.
pub struct Shadows {
    means: Means,
    of: ArcSwap<HashMap<TenantId, OfTenant>>,
    /// Held by whoever looks which there are.
    looking: tokio::sync::Mutex<()>,
    look_again: Notify,
    /// Taken while one runs, or rests from that: how long it still has to.
    lane: tokio::sync::Mutex<Duration>,
    /// Decisions that no candidate was asked about, and the last of them.
    missed: Mutex<BTreeMap<ShadowOf, (ReceiptId, u64)>>,
    workers: TaskTracker,
    stop: CancellationToken,
}

/// Those of one tenant, by module.
#[derive(Clone, Debug)]
struct OfTenant {
    candidates: BTreeMap<String, Arc<Candidate>>,
    queue: mpsc::Sender<Standing>,
}

/// The task that runs them, until this is stopped or dropped.
#[derive(Debug)]
pub struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Candidate {
    /// SHA-256 of its bytes.
    pub fn digest(&self) -> Digest {
        self.module.digest()
    }
}

impl Shadows {
    /// None, until [`Shadows::start`].
    pub fn new(means: Means) -> Arc<Self> {
        Arc::new(Self {
            means,
            of: ArcSwap::default(),
            looking: tokio::sync::Mutex::default(),
            look_again: Notify::new(),
            lane: tokio::sync::Mutex::default(),
            missed: Mutex::default(),
            workers: TaskTracker::new(),
            stop: CancellationToken::new(),
        })
    }

    /// Loads those that there are, and runs them.
    pub fn start(self: &Arc<Self>) -> Running {
        Running {
            stop: self.stop.clone(),
            task: tokio::spawn(Arc::clone(self).run()),
        }
    }

    /// The candidate of a tenant's module, if there is one.
    pub fn candidate(&self, tenant: &TenantId, module: &str) -> Option<Arc<Candidate>> {
        let of = self.of.load();
        of.get(tenant)?.candidates.get(module).map(Arc::clone)
    }

    /// Has the candidate asked by and by.
    pub(crate) fn put(&self, standing: Standing) {
        let of = self.of.load();
        // It went meanwhile.
        let Some(tenant) = of.get(&standing.of.tenant) else {
            return;
        };
        if let Err(full) = tenant.queue.try_send(standing) {
            self.pass_over(&full.into_inner());
        }
    }

    /// Counts a decision that the candidate is not asked about.
    pub(crate) fn pass_over(&self, standing: &Standing) {
        self.means.metrics.shadowed("not-run");
        let ShadowEvent { of, receipt, .. } = standing.not_run(1);
        self.miss(of, receipt, 1);
    }

    fn miss(&self, of: ShadowOf, receipt: ReceiptId, decisions: u64) {
        let mut missed = self.missed.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, count) = missed.entry(of).or_insert((receipt, 0));
        (*last, *count) = (receipt, *count + decisions);
    }

    /// The store may have others now.
    pub fn look_again(&self) {
        self.look_again.notify_one();
    }

    /// Makes the candidates those of the store, but for those that have to be compiled first:
    /// so that a host begins with them, and does not wait for them. When this returns they
    /// are asked.
    ///
    /// # Errors
    /// When it cannot be read which there are.
    pub async fn load_known(self: &Arc<Self>) -> Result<(), StoreError> {
        self.look(false).await.map(drop)
    }

    /// Takes up what has just been changed: when this returns it is so, as a rule, and what
    /// has to be waited for comes by and by.
    pub async fn take_up(self: &Arc<Self>) {
        // Whatever came of it, it is looked at once more.
        let _ = timeout(UPTAKE, self.load_known()).await;
        self.look_again();
    }

    /// Makes the candidates those of the store. When this returns they are asked; false
    /// where one could not be loaded, which is tried again.
    ///
    /// # Errors
    /// When it cannot be read which there are. Then they are those that were.
    async fn refresh(self: &Arc<Self>) -> Result<bool, StoreError> {
        self.look(true).await
    }

    async fn look(self: &Arc<Self>, compiles: bool) -> Result<bool, StoreError> {
        let _one_at_a_time = self.looking.lock().await;
        let before = self.of.load_full();
        let (mut next, mut is_whole) = (HashMap::new(), true);
        for (tenant, module, digest) in self.means.store.shadows().await? {
            let known = before
                .get(&tenant)
                .and_then(|of| of.candidates.get(&module));
            let candidate = match known.filter(|known| known.digest() == digest) {
                Some(known) => Arc::clone(known),
                None => match self.load(&tenant, digest, compiles).await {
                    Ok(Some(module)) => Arc::new(Candidate { module }),
                    Ok(None) => {
                        is_whole = false;
                        continue;
                    }
                    Err(error) => {
                        is_whole = false;
                        tracing::warn!(tenant.id = %tenant, module.name = module, module.digest = %digest, %error, "a candidate is not run, since it cannot be loaded");
                        continue;
                    }
                },
            };
            let of = next
                .entry(tenant)
                .or_insert_with_key(|tenant| self.of_tenant(before.get(tenant)));
            of.candidates.insert(module, candidate);
        }
        self.of.store(Arc::new(next));
        Ok(is_whole)
    }

    /// None where it would have to be compiled, and is not to be.
    async fn load(
        &self,
        tenant: &TenantId,
        digest: Digest,
        compiles: bool,
    ) -> Result<Option<Arc<Module>>, AdmissionError> {
        let engine = &self.means.engine;
        let known = engine.admit_known(tenant, digest).await;
        if known.is_some() || !compiles {
            return Ok(known);
        }
        // What a host of another version compiled is compiled again.
        let bytes = self.means.store.module(digest).await;
        let bytes = bytes.map_err(|error| AdmissionError::Internal(error.into()))?;
        engine.admit(tenant, &bytes).await.map(Some)
    }

    /// With the queue that it had, if it had one.
    fn of_tenant(self: &Arc<Self>, before: Option<&OfTenant>) -> OfTenant {
        let queue = before.map(|before| before.queue.clone());
        let queue = queue.unwrap_or_else(|| {
            let (queue, receiver) = mpsc::channel(QUEUE);
            self.workers.spawn(Arc::clone(self).work(receiver));
            queue
        });
        OfTenant {
            candidates: BTreeMap::new(),
            queue,
        }
    }

    /// Looks which there are when that may have changed, and writes what was not run.
    async fn run(self: Arc<Self>) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut look_at = Some(Instant::now());
        loop {
            if look_at.is_some_and(|at| at <= Instant::now()) {
                let refreshed = tokio::select! {
                    () = self.stop.cancelled() => break,
                    refreshed = self.refresh() => refreshed,
                };
                let is_done = refreshed.unwrap_or_else(|error| {
                    tracing::warn!(%error, "it cannot be read which candidates there are, and is tried again");
                    false
                });
                look_at = (!is_done).then(|| Instant::now() + AGAIN);
            }
            tokio::select! {
                () = self.stop.cancelled() => break,
                () = self.look_again.notified() => look_at = Some(Instant::now()),
                _ = ticks.tick() => self.write_missed(),
            }
        }
        self.workers.close();
        self.workers.wait().await;
        self.write_missed();
    }

    fn write_missed(&self) {
        let missed =
            std::mem::take(&mut *self.missed.lock().unwrap_or_else(PoisonError::into_inner));
        for (of, (receipt, decisions)) in missed {
            let event = ShadowEvent {
                of: of.clone(),
                receipt,
                came: Came::NotRun(decisions),
            };
            if !self.means.journal.offer(Event::Shadow(Box::new(event))) {
                self.miss(of, receipt, decisions);
            }
        }
    }

    /// Asks the candidates of one tenant, until it has none any more.
    async fn work(self: Arc<Self>, mut queue: mpsc::Receiver<Standing>) {
        loop {
            let next = tokio::select! {
                biased;
                () = self.stop.cancelled() => None,
                next = queue.recv() => next,
            };
            let Some(standing) = next else { break };
            self.ask(&standing).await;
        }
        queue.close();
        while let Ok(standing) = queue.try_recv() {
            self.pass_over(&standing);
        }
    }

    /// Asks one, and rests before another is asked.
    async fn ask(&self, standing: &Standing) {
        let Means { engine, node, .. } = &self.means;
        for _ in 0..TRIES {
            let mut owed = self.lane.lock().await;
            if self.stop.is_cancelled() {
                break;
            }
            let now = self.candidate(&standing.of.tenant, &standing.of.module);
            if now.is_none_or(|now| !Arc::ptr_eq(&now, &standing.candidate)) {
                // Another is tried by now, whose numbers these are not.
                return;
            }
            let began = Instant::now();
            let asked = standing.ask(engine, node).await;
            match asked {
                Ok(event) => {
                    self.keep(standing, event);
                    *owed += began.elapsed() * REST;
                    if *owed > SHORT {
                        tokio::select! {
                            () = self.stop.cancelled() => {}
                            () = sleep(*owed) => {}
                        }
                        *owed = Duration::ZERO;
                    }
                    return;
                }
                Err(NotRun::Out) => break,
                Err(NotRun::Busy) => {
                    drop(owed);
                    sleep(PAUSE).await;
                }
            }
        }
        self.pass_over(standing);
    }

    fn keep(&self, standing: &Standing, event: ShadowEvent) {
        let result = match &event.came {
            Came::Answered(beside) if beside.agrees => "agrees",
            _ => "differs",
        };
        match self.means.journal.offer(Event::Shadow(Box::new(event))) {
            true => self.means.metrics.shadowed(result),
            false => self.pass_over(standing),
        }
    }
}

impl Running {
    /// Ends it: what waits is not run. When this returns nothing is handed to receipts any
    /// more.
    pub async fn stop(mut self) {
        self.stop.cancel();
        // It ends by itself, or it panicked: over it is.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Those who ask end by this alone.
        self.stop.cancel();
        self.task.abort();
    }
}
