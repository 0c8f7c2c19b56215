//! Loading anew while the host runs: the configuration with all tenants, and
//! certificates when their files change.
//!
//! **All or nothing**: what has a fault changes nothing, and what has none is swapped
//! in after everything was loaded. **Nobody is disturbed**: a transaction keeps the
//! tenants it began with, a session the listener it began with, and a handshake its
//! certificate. **One at a time**: a second reload begins when the first has ended. **Nobody
//! waits for it**: tenants are loaded beside what is in force. Where somebody has changed one
//! meanwhile, that one is loaded again, which is soon done; who is overtaken again and again
//! holds the others up at last.

use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::{Mutex, MutexGuard};

use super::amend::Turns;
use super::certificates::{Ends, Sources, Watch};
use super::listeners;
use super::preparation::Preparation;
use super::settle::{Settled, settle};
use super::tenants::{self, Ready, TenantsError};
use crate::config::{Config, Fault};
use crate::host::{Host, Shutdown};
use crate::smtp::listener::Listener;
use crate::store::StoreError;
use crate::supervisor;
use crate::tenant::{Loaded, Means, Refusal, Snapshot};
use crate::tls::{Identity, TlsServer};

/// How often the files of certificates are looked at. A look costs a microsecond for
/// each file, and half a second is soon for whoever waits for a new certificate.
pub(super) const LOOK: Duration = Duration::from_millis(250);

/// How often tenants are loaded beside changes before these have to wait.
const OVERTAKEN: usize = 3;

/// Loads anew.
#[derive(Debug)]
pub struct Reloader {
    /// The host ends when its sessions have, not when nobody can reload it any more.
    pub(super) host: Weak<Host>,
    pub(super) shutdown: Shutdown,
    listeners: Vec<Arc<ArcSwap<Listener>>>,
    /// In force. Whoever replaces it holds the state.
    config: ArcSwap<Config>,
    /// Held as long as something is put in force, and not while it is loaded.
    pub(super) state: Mutex<State>,
    /// Held by a reload or an apply from its beginning to its end. Whoever has the state
    /// never waits for it.
    pub(super) loading: Mutex<()>,
    pub(super) turns: Turns,
}

/// What has to be known of what is in force when something is loaded anew.
#[derive(Debug)]
pub(super) struct State {
    pub(super) certificates: Watch,
    pub(super) ends: Ends,
    /// None while there is no usable certificate.
    pub(super) tls: Option<TlsServer>,
    /// Modules that tenants go without since they were loaded.
    pub(super) refused: Vec<Refusal>,
    /// Of the tenants in force.
    pub(super) preparation: Preparation,
}

impl State {
    /// Modules that tenants go without, those included that were compiled meanwhile.
    pub(super) fn refused(&self, host: &Host) -> Vec<Refusal> {
        let since = host.snapshot.load().refused_since();
        self.refused.iter().cloned().chain(since).collect()
    }
}

/// A reload that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reloaded {
    /// How many tenants there are now.
    pub tenants: usize,
    /// Keys whose new value waits for a restart.
    pub waiting: Vec<&'static str>,
}

/// Why everything is as it was before.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The configuration, or what it names, has faults.
    #[error("{} faults", .0.len())]
    Faults(Vec<Fault>),
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Files have the last word on tenants, not whoever applies others.
    #[error(
        "the files in {0:?} have the last word on tenants: edit those and reload, or take the key \"tenants\" and the directory away"
    )]
    Files(PathBuf),
    /// What a tree would change is something else than somebody has seen.
    #[error(
        "what would change is not what was shown, since the files or the store have changed: look at it again"
    )]
    Planned,
    /// Modules could not be asked about their settings just now.
    #[error("the engine is busy, or a module takes too long to look at its settings: try again")]
    Busy,
    /// It is too late.
    #[error("the host is stopping")]
    Stopping,
}

impl Reloader {
    pub(super) fn new(
        host: &Arc<Host>,
        shutdown: Shutdown,
        listeners: Vec<Arc<ArcSwap<Listener>>>,
        config: Config,
        state: State,
    ) -> Self {
        Self {
            host: Arc::downgrade(host),
            shutdown,
            listeners,
            config: ArcSwap::from_pointee(without_tenants(config)),
            state: Mutex::new(state),
            loading: Mutex::default(),
            turns: Turns::default(),
        }
    }

    /// Loads the configuration, all tenants and the certificates anew. When this
    /// returns, all of it is in force, or nothing has changed; the log has it, too.
    ///
    /// # Errors
    /// Every fault, or that the host is stopping.
    pub async fn reload(&self) -> Result<Reloaded, ReloadError> {
        let _one_at_a_time = self.loading.lock().await;
        supervisor::reloading();
        let reloaded = tokio::select! {
            biased;
            () = self.shutdown.draining() => Err(ReloadError::Stopping),
            // It is large, and nothing else of this waits.
            reloaded = Box::pin(self.load_and_put_in_force()) => reloaded,
        };
        if let Err(error) = &reloaded {
            refuse(self.host.upgrade().as_deref(), error);
        }
        if !self.shutdown.is_draining() {
            supervisor::ready();
        }
        reloaded
    }

    /// The configuration in force. What waits for a restart is not in it.
    pub fn config(&self) -> Arc<Config> {
        self.config.load_full()
    }

    async fn load_and_put_in_force(&self) -> Result<Reloaded, ReloadError> {
        let host = self.host.upgrade().ok_or(ReloadError::Stopping)?;
        let running = self.config();
        let file = Arc::clone(&running.file);
        let read = in_background(move || Config::read(&file)).await?;
        let Settled { config, waiting } = settle(read.map_err(ReloadError::Faults)?, &running);
        let (prepared, mut state) = self.prepare(&config, &host).await;
        let sources = Sources::of(&config);
        let (stamp, identities) = in_background(move || (sources.stamp(), sources.load())).await?;
        let identities = identities.map_err(|unusable| unusable.faults);
        let prepared = prepared.and_then(|ready| without_news(ready, &state.refused(&host)));
        let (ready, identities) = both(prepared, identities)?;
        let Loaded {
            snapshot, refused, ..
        } = tenants::record(&host.store, ready, &host.metrics).await?;
        state.certificates = Watch::new(stamp);
        state.refused = refused;
        let next = Next {
            snapshot,
            config,
            identities,
            waiting,
        };
        Ok(self.put_in_force(next, &host, &mut state))
    }

    /// Loads the tenants. Nobody changes anything any more when this returns, and nobody has
    /// since they were read.
    async fn prepare(
        &self,
        config: &Config,
        host: &Host,
    ) -> (Result<Ready, TenantsError>, MutexGuard<'_, State>) {
        let mut before = host.snapshot.load_full();
        let mut checked = Vec::new();
        for _ in 0..OVERTAKEN {
            let seen = host.snapshot.load_full();
            let prepared = tenants::prepare(config, &host.store, means(host, &before)).await;
            let state = self.state.lock().await;
            if Arc::ptr_eq(&seen, &host.snapshot.load_full()) {
                return (prepared.map(|ready| ready.knowing(checked)), state);
            }
            drop(state);
            // What was loaded is taken from there, and what was changed is loaded again.
            if let Ok(Ready { loaded, .. }) = prepared {
                checked.extend(loaded.checked.pairs);
                before = Arc::new(loaded.snapshot);
            }
        }
        let state = self.state.lock().await;
        let prepared = tenants::prepare(config, &host.store, means(host, &before)).await;
        (prepared.map(|ready| ready.knowing(checked)), state)
    }

    /// Waits for nothing, so that nothing can come in between.
    fn put_in_force(&self, next: Next, host: &Host, state: &mut State) -> Reloaded {
        let tenants = next.snapshot.tenants().len();
        state.preparation = Preparation::of(&next.snapshot);
        crate::log::set_level(next.config.log.level);
        self.config.store(Arc::new(without_tenants(next.config)));
        self.use_identities(next.identities, host, state);
        self.replace_listeners(state);
        host.snapshot.store(Arc::new(next.snapshot));
        host.shadows.look_again();
        host.metrics.reloaded("configuration", true);
        tracing::info!(tenants, "the configuration was loaded anew");
        for key in &next.waiting {
            tracing::warn!(key, "a change of the configuration waits for a restart");
        }
        Reloaded {
            tenants,
            waiting: next.waiting,
        }
    }

    /// Where there was no certificate before, listeners learn of it by being replaced.
    fn use_identities(&self, identities: Vec<Identity>, host: &Host, state: &mut State) {
        host.metrics
            .certificates(identities.iter().map(Identity::expiry));
        state.ends = Ends::of(&identities);
        host.metrics.lacks_certificate(false);
        let used = match &state.tls {
            Some(server) => server.replace(identities),
            None => TlsServer::new(identities).map(|server| state.tls = Some(server)),
        };
        used.expect("whoever loads identities without a fault has at least one");
    }

    fn replace_listeners(&self, state: &State) {
        let config = self.config();
        for slot in &self.listeners {
            let name = &slot.load().name;
            let mut known = config.listeners.iter();
            if let Some(listener) = known.find(|listener| listener.name.as_str() == name) {
                slot.store(listeners::of(listener, &config, state.tls.as_ref()));
            }
        }
    }

    /// Uses certificates when their files change, until the host stops.
    pub(super) async fn watch_certificates(self: Arc<Self>) {
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let look = async {
                looks.tick().await;
                self.look_at_certificates().await
            };
            tokio::select! {
                biased;
                () = self.shutdown.draining() => return,
                looked = look => if looked.is_err() { return },
            }
        }
    }

    async fn look_at_certificates(&self) -> Result<(), ReloadError> {
        let mut state = self.state.lock().await;
        state.ends.tell();
        let sources = Sources::of(&self.config());
        let look = sources.clone();
        let stamp = in_background(move || look.stamp()).await?;
        if !state.certificates.is_news(&stamp, Instant::now()) {
            return Ok(());
        }
        let loaded = in_background(move || sources.load()).await?;
        let host = self.host.upgrade().ok_or(ReloadError::Stopping)?;
        match loaded {
            Ok(identities) => {
                state.certificates = Watch::new(stamp);
                let had_none = state.tls.is_none();
                self.use_identities(identities, &host, &mut state);
                if had_none {
                    self.replace_listeners(&state);
                }
                host.metrics.reloaded("certificates", true);
                tracing::info!("new certificates are in use");
            }
            Err(unusable) => {
                let watch = &mut state.certificates;
                // At first it may be half of what is being written.
                if !watch.is_refused(stamp, &unusable, Instant::now()) {
                    return Ok(());
                }
                host.metrics.reloaded("certificates", false);
                for fault in unusable.faults {
                    tracing::error!(%fault, "a new certificate cannot be used, and those that were in use stay");
                }
            }
        }
        Ok(())
    }
}

/// What was loaded without a fault.
struct Next {
    snapshot: Snapshot,
    config: Config,
    identities: Vec<Identity>,
    waiting: Vec<&'static str>,
}

/// The tenants are in the snapshot, and modules are large.
fn without_tenants(config: Config) -> Config {
    Config {
        tenants: Vec::new(),
        ..config
    }
}

/// Reading files blocks, and sessions share these threads.
pub(super) async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ReloadError> {
    // It does not panic; what does not come back is ended with the host.
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| ReloadError::Stopping)
}

/// All tenants, unless a module is refused now and was not in `before`.
fn without_news(ready: Ready, before: &[Refusal]) -> Result<Ready, TenantsError> {
    let news = news(&ready.loaded.refused, before);
    match news.is_empty() {
        true => Ok(ready),
        false => Err(TenantsError::Faults(news)),
    }
}

pub(super) fn means<'a>(host: &'a Host, before: &'a Snapshot) -> Means<'a> {
    Means {
        engine: &host.engine,
        decisions: &host.metrics.decisions,
        targets: &host.targets,
        store: Some(&host.store),
        before: Some(before),
        pending: None,
    }
}

/// Both, or the faults of both.
fn both<A, B>(
    one: Result<A, TenantsError>,
    other: Result<B, Vec<Fault>>,
) -> Result<(A, B), ReloadError> {
    match (one, other) {
        (Ok(one), Ok(other)) => Ok((one, other)),
        (Err(TenantsError::Store(error)), _) => Err(error.into()),
        (Err(TenantsError::Faults(mut faults)), other) => {
            faults.extend(other.err().unwrap_or_default());
            faults.sort();
            Err(ReloadError::Faults(faults))
        }
        (Ok(_), Err(faults)) => Err(ReloadError::Faults(faults)),
    }
}

/// Modules that are refused now and were not before. A tenant whose module the host
/// has refused since its start does not keep everybody else from reloading; a module
/// that is in force is not given up for one that is refused.
pub(super) fn news(now: &[Refusal], before: &[Refusal]) -> Vec<Fault> {
    let is_news = |refusal: &&Refusal| !before.iter().any(|earlier| refusal.is_again(earlier));
    let news = now.iter().filter(is_news);
    news.map(|refusal| refusal.fault.clone()).collect()
}

fn refuse(host: Option<&Host>, error: &ReloadError) {
    let faults = match error {
        ReloadError::Faults(faults) => faults.iter().map(ToString::to_string).collect(),
        ReloadError::Store(error) => vec![error.to_string()],
        ReloadError::Files(_)
        | ReloadError::Planned
        | ReloadError::Busy
        | ReloadError::Stopping => return,
    };
    if let Some(host) = host {
        host.metrics.reloaded("configuration", false);
    }
    for fault in &faults {
        tracing::error!(%fault, "a fault of the new configuration");
    }
    tracing::error!(
        faults = faults.len(),
        "the new configuration was refused, and what was in force stays"
    );
}
