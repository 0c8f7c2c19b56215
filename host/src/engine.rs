//! The engine: admits modules that tenants upload, and asks them.
//!
//! **Only the compile worker sees an uploaded module first**: this process measures and
//! hashes uploaded bytes, and hands them on. **One tenant's module cannot touch
//! another's mail**: a fresh store per decision, limits on instructions, time, memory
//! and everything the host does on a guest's behalf, and a share of the engine per
//! tenant. Whatever goes wrong in a guest is a [`Failure`], never an error of the host;
//! what a failure means is the tenant's choice, made in `policy`.
//!
//! Read in this order: `settings`, `worker` (what happens to an upload), `cache`,
//! `run` (what happens to a question), `host` (what a guest may call).

mod backtrace;
mod bindings;
mod breaker;
mod budget;
mod cache;
mod compiler;
mod componentise;
mod convert;
mod host;
mod log;
mod module;
mod names;
mod outcome;
mod run;
mod scan;
mod schema;
mod settings;
mod share;
mod ticker;
mod told;
mod trace;
mod tuning;
mod unserved;
mod usage;
mod warm;
pub mod worker;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use cache::Cache;
use compiler::Compiler;
use host::Question;
use run::{Limits, Linked, Program};
use share::Shares;
use ticker::Ticker;
use usage::Work;

pub use compiler::AdmissionError;
pub use module::{Manifest, Module, SettingsFault};
pub use names::demangled;
pub use outcome::{Answer, Failure, LogLevel, LogLine, Ran, may_be_the_hosts};
pub use settings::EngineSettings;
pub use told::told;
pub use trace::{Event, Listed, Trace};
pub use usage::Usage;
pub use warm::Warm;

use crate::digest::Digest;
use crate::facts::{Facts, TenantId};
use crate::lists::Lists;

/// How often something of the past is tried for which the host has no time: a busy moment
/// is over by the third.
const REPLAY_TRIES: u32 = 3;

/// Pages of WebAssembly's memory.
const PAGE: usize = 64 << 10;

/// Admits modules and runs them.
pub struct Engine {
    settings: EngineSettings,
    wasm: wasmtime::Engine,
    ticker: Ticker,
    cache: Cache,
    compiler: Compiler,
    shares: Shares,
    /// What is loaded, by digest: tenants who upload the same bytes share the code.
    loaded: Mutex<HashMap<Digest, Weak<Program>>>,
    work: Arc<Work>,
}

/// The engine cannot start.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// wasmtime refuses these limits, or the machine has not enough address space.
    #[error("the engine cannot start with {instances} instances of {memory} bytes: {reason}")]
    Wasm {
        /// As set.
        instances: u32,
        /// As set.
        memory: usize,
        /// What wasmtime says.
        reason: String,
    },
    /// The cache's directory cannot be used.
    #[error(transparent)]
    Cache(#[from] cache::CacheError),
    /// No thread for the ticker.
    #[error("the engine's ticker cannot start: {0}")]
    Ticker(std::io::Error),
}

impl Engine {
    /// Starts an engine, and a thread that measures time for it while it lives.
    ///
    /// # Errors
    /// When the limits do not fit the machine or the cache's directory cannot be used.
    pub fn new(mut settings: EngineSettings) -> Result<Arc<Self>, EngineError> {
        settings.memory = settings.memory.next_multiple_of(PAGE);
        let config = tuning::config(
            settings.memory,
            settings.instances,
            tuning::Effort::Optimise,
        );
        let wasm = wasmtime::Engine::new(&config).map_err(|error| EngineError::Wasm {
            instances: settings.instances,
            memory: settings.memory,
            reason: format!("{error:#}"),
        })?;
        let ticker = Ticker::start(&wasm).map_err(EngineError::Ticker)?;
        Ok(Arc::new(Self {
            cache: Cache::open(&settings.cache, tuning::compatibility(&wasm))?,
            compiler: Compiler::new(&settings),
            shares: Shares::new(settings.instances),
            loaded: Mutex::default(),
            work: Arc::default(),
            wasm,
            ticker,
            settings,
        }))
    }

    /// Admits a module for a tenant: from what is loaded, from the cache, or through
    /// the compile worker.
    ///
    /// # Errors
    /// [`AdmissionError::Refused`] with a reason for the uploader; the others are the
    /// host's.
    pub async fn admit(
        &self,
        tenant: &TenantId,
        bytes: &[u8],
    ) -> Result<Arc<Module>, AdmissionError> {
        compiler::check_size(bytes, self.settings.module_size)?;
        let digest = Digest::of(bytes);
        let share = self.shares.of(tenant);
        let program = match self.find(digest).await {
            Some(program) => program,
            None => {
                let _one_at_a_time = share.compiling.lock().await;
                // Another upload of the same bytes may have been before us.
                match self.find(digest).await {
                    Some(program) => program,
                    None => self.compile(digest, bytes).await?,
                }
            }
        };
        Ok(self.module(tenant, program))
    }

    /// Admits a module that was compiled before; none where it has to be compiled.
    pub async fn admit_known(&self, tenant: &TenantId, digest: Digest) -> Option<Arc<Module>> {
        let program = self.find(digest).await?;
        Some(self.module(tenant, program))
    }

    /// The component that a module becomes when it is admitted, for its author, made by
    /// the compile worker; a component stays one.
    ///
    /// # Errors
    /// As [`Self::admit`] has them.
    pub async fn componentise(&self, bytes: &[u8]) -> Result<Vec<u8>, AdmissionError> {
        compiler::check_size(bytes, self.settings.module_size)?;
        self.compiler.componentise(bytes).await
    }

    /// Asks a module about one recipient. Never fails: a failure is an outcome.
    pub async fn decide(
        &self,
        module: &Module,
        settings: &str,
        facts: &Arc<Facts>,
        lists: &Arc<Lists>,
    ) -> Ran {
        if let Some(remaining) = module.breaker.remaining(Instant::now()) {
            return Ran::not_run(Failure::Quarantined { remaining });
        }
        let waited = self.settings.wait;
        let Some(_turn) = self.shares.turn(&module.share, waited).await else {
            return Ran::not_run(Failure::Unavailable { waited });
        };
        self.run(module, &module.breaker, settings, facts, lists)
            .await
    }

    /// Asks a module what it would decide. It is run only where an instance is free at
    /// once and another remains, of the tenant's share and of all, and has a quarantine of
    /// its own: what is merely monitored stands in nobody's way, and its breakdowns are
    /// none of the policies in force.
    pub async fn monitor(
        &self,
        module: &Module,
        settings: &str,
        facts: &Arc<Facts>,
        lists: &Arc<Lists>,
    ) -> Ran {
        if let Some(remaining) = module.monitor.remaining(Instant::now()) {
            return Ran::not_run(Failure::Quarantined { remaining });
        }
        let Some(_turn) = self.shares.spare_turn(&module.share) else {
            let waited = Duration::ZERO;
            return Ran::not_run(Failure::Unavailable { waited });
        };
        self.run(module, &module.monitor, settings, facts, lists)
            .await
    }

    /// Asks a module for its author, within the bounds of a decision. What it does there
    /// brings nothing into quarantine.
    pub async fn try_out(
        &self,
        module: &Module,
        settings: &str,
        facts: &Arc<Facts>,
        lists: &Arc<Lists>,
    ) -> Ran {
        let waited = self.settings.wait;
        let Some(_turn) = self.shares.turn(&module.share, waited).await else {
            return Ran::not_run(Failure::Unavailable { waited });
        };
        let unobserved = breaker::Breaker::default();
        self.run(module, &unobserved, settings, facts, lists).await
    }

    /// The same, and all that the module asked and said meanwhile.
    pub async fn trace(
        &self,
        module: &Module,
        settings: &str,
        facts: &Arc<Facts>,
        lists: &Arc<Lists>,
    ) -> (Ran, Trace) {
        let waited = self.settings.wait;
        let Some(_turn) = self.shares.turn(&module.share, waited).await else {
            let ran = Ran::not_run(Failure::Unavailable { waited });
            return (ran, Trace::default());
        };
        let question = Question {
            facts: Arc::clone(facts),
            lists: Arc::clone(lists),
        };
        let linked = &module.program.linked;
        linked.trace(settings, question, self.limits()).await
    }

    /// Asks a module what it would have decided about mail of the past, for which nobody
    /// waits: it waits itself until an instance is free and another remains, as long as
    /// that takes. What the host does not get done in time it tries again; what breaks down
    /// brings nothing into quarantine.
    pub async fn replay(
        &self,
        module: &Module,
        settings: &str,
        facts: &Arc<Facts>,
        lists: &Arc<Lists>,
    ) -> Ran {
        let unobserved = breaker::Breaker::default();
        let mut tries = REPLAY_TRIES;
        loop {
            let turn = self.shares.idle_turn(&module.share).await;
            let ran = self.run(module, &unobserved, settings, facts, lists).await;
            drop(turn);
            tries -= 1;
            let is_passing = ran.result.as_ref().is_err_and(Failure::is_passing);
            if tries == 0 || !is_passing {
                return ran;
            }
        }
    }

    /// Largest upload in bytes.
    pub fn module_size(&self) -> usize {
        self.settings.module_size
    }

    /// Runs a module for which there is a turn.
    async fn run(
        &self,
        module: &Module,
        breaker: &breaker::Breaker,
        settings: &str,
        facts: &Arc<Facts>,
        lists: &Arc<Lists>,
    ) -> Ran {
        let question = Question {
            facts: Arc::clone(facts),
            lists: Arc::clone(lists),
        };
        let linked = &module.program.linked;
        let ran = linked.decide(settings, question, self.limits()).await;
        let broke_down = ran.result.as_ref().is_err_and(Failure::is_breakdown);
        breaker.note(broke_down, Instant::now());
        ran
    }

    /// Checks a policy's settings: against the module's schema, in the compile worker,
    /// and if that finds nothing, by the module itself. Returns every fault; none means
    /// that they fit.
    ///
    /// # Errors
    /// When the check itself cannot be made.
    pub async fn check_settings(
        &self,
        module: &Module,
        settings: &serde_json::Value,
    ) -> Result<Vec<SettingsFault>, AdmissionError> {
        let schema = &module.program.manifest.settings_schema;
        let text = settings.to_string();
        let faults = {
            let _one_at_a_time = module.share.checking.lock().await;
            self.compiler.check_settings(schema, &text).await?
        };
        if !faults.is_empty() {
            return Ok(faults);
        }
        let waited = self.settings.wait;
        let Some(_turn) = self.shares.turn(&module.share, waited).await else {
            return Err(AdmissionError::Busy);
        };
        let checked = module.program.linked.check(&text, self.limits()).await;
        let faults = checked.map_err(|failure| AdmissionError::Refused(failure.to_string()))?;
        // The path, where there is one, stands within the module's message.
        let faults = faults.iter().take(module::FAULTS);
        Ok(faults.map(|fault| SettingsFault::new("", fault)).collect())
    }

    /// What the answer to a check of settings depends on beside module and settings.
    pub fn judgement(&self) -> Digest {
        let EngineSettings {
            fuel,
            deadline,
            memory,
            ..
        } = &self.settings;
        let version = env!("CARGO_PKG_VERSION");
        Digest::of(format!("{version} {fuel} {deadline:?} {memory}").as_bytes())
    }

    /// Removes from the cache what was compiled for none of these modules, is not loaded, and
    /// was not compiled just now. How many, and whether there may be more: it takes some at a
    /// time.
    ///
    /// # Errors
    /// When the cache's directory cannot be read or written.
    pub async fn prune_cache(
        &self,
        needed: impl IntoIterator<Item = Digest>,
    ) -> std::io::Result<(usize, bool)> {
        let mut needed: HashSet<Digest> = needed.into_iter().collect();
        needed.extend(self.loaded());
        self.cache.prune(needed).await
    }

    fn loaded(&self) -> Vec<Digest> {
        let loaded = self.lock();
        let loaded = loaded
            .iter()
            .filter(|(_, program)| program.strong_count() > 0);
        loaded.map(|(digest, _)| *digest).collect()
    }

    /// What is in use just now.
    pub fn usage(&self) -> Usage {
        let loaded = self.lock();
        let modules = loaded.values().filter(|program| program.strong_count() > 0);
        Usage {
            instances: self.shares.in_use(),
            instances_limit: self.settings.instances as usize,
            waits: self.shares.waits(),
            modules: modules.count(),
            compile_queue: self.compiler.queued(),
            work: Arc::clone(&self.work),
        }
    }

    /// Whether an instance is free within this time.
    pub async fn is_answering(&self, patience: Duration) -> bool {
        self.shares.is_free(patience).await
    }

    fn module(&self, tenant: &TenantId, program: Arc<Program>) -> Arc<Module> {
        Arc::new(Module {
            tenant: tenant.clone(),
            program,
            share: self.shares.of(tenant),
            breaker: breaker::Breaker::default(),
            monitor: breaker::Breaker::default(),
        })
    }

    /// What is loaded, or else in the cache.
    async fn find(&self, digest: Digest) -> Option<Arc<Program>> {
        if let Some(program) = self.lock().get(&digest).and_then(Weak::upgrade) {
            return Some(program);
        }
        let compiled = self.cache.load(digest).await?;
        match self.load(digest, &compiled) {
            Ok(program) => Some(program),
            Err(reason) => {
                tracing::warn!(module.digest = %digest, %reason, "a cached module does not load and is compiled again");
                None
            }
        }
    }

    async fn compile(&self, digest: Digest, bytes: &[u8]) -> Result<Arc<Program>, AdmissionError> {
        let started = Instant::now();
        let compiled = self.compiler.compile(bytes).await;
        let elapsed = started.elapsed();
        self.work.compiled(&compiled, elapsed);
        let compiled = compiled?;
        tracing::info!(module.digest = %digest, ?elapsed, "compiled a module");
        if let Err(error) = self.cache.store(digest, &compiled).await {
            // It will be compiled again after a restart.
            tracing::warn!(module.digest = %digest, %error, "a compiled module cannot be kept");
        }
        self.load(digest, &compiled)
            .map_err(|reason| AdmissionError::Internal(reason.into()))
    }

    fn load(
        &self,
        digest: Digest,
        compiled: &cache::Compiled,
    ) -> Result<Arc<Program>, wasmtime::Error> {
        let component = cache::deserialize(&self.wasm, compiled)?;
        let program = Arc::new(Program {
            digest,
            manifest: compiled.manifest().clone(),
            linked: Linked::new(&component, self.ticker.clone())?,
        });
        let mut loaded = self.lock();
        loaded.retain(|_, program| program.strong_count() > 0);
        loaded.insert(digest, Arc::downgrade(&program));
        Ok(program)
    }

    fn limits(&self) -> Limits {
        Limits {
            fuel: self.settings.fuel,
            deadline: self.settings.deadline,
            memory: self.settings.memory,
        }
    }

    /// The map is whole whatever happened to the thread that held it.
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Digest, Weak<Program>>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
