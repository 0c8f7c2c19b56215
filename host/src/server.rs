//! A running host: put together from its configuration, started, stopped.

mod admin_certificate;
mod amend;
mod apply;
mod candidate;
mod certificates;
mod listeners;
mod preparation;
mod ramps;
mod reload;
mod retention;
mod settle;
mod tenants;

use std::fs::{File, TryLockError};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use admin_certificate::AdminCertificate;
pub use amend::{Amended, Amendment, Current};
pub use apply::Applied;
use certificates::{Ends, Sources, Watch};
pub use listeners::{Listening, Sockets};
use preparation::Preparation;
use reload::State;
pub use reload::{ReloadError, Reloaded, Reloader};

use crate::admin::{Admin, Doors, Rooms};
use crate::config::{self, Config, Fault};
use crate::content::Spool;
use crate::deliver::{Ledger, LedgerError, Targets};
use crate::directory;
use crate::engine::{Engine, EngineError};
use crate::host::{Host, RelayReceipts, Shutdown};
use crate::listen::{self, Admission, Bound, Bounds, Sessions, accept};
use crate::metrics::{self, Endpoint, Metrics};
use crate::receipt::journal::{Journal, JournalError, Places, Writer};
use crate::receipt::source::{self, Source};
use crate::replay::Replays;
use crate::reverse_name::{ResolverError, ReverseNames};
use crate::shadow::{self, Shadows};
use crate::smtp::listener::Listener;
use crate::store::{Store, StoreError};
use crate::tenant::{self, Loaded, Means, Refusal};
use crate::tls::{FailedHandshakes, Identity, TlsServer, publicly_verified_client};
use crate::uploads::{self, Uploads};
use crate::warnings::watch::{Bells, watch};
use crate::warnings::webhook::{Reach, WebhookClient, deliver};

/// How long sessions that are cut off may take for their last reply, and then the disk
/// for the last receipts.
const FAREWELL: Duration = Duration::from_secs(5);

/// Held for as long as a host runs, so that no other one writes in the same directory.
const LOCK: &str = "lock";

/// A running host.
#[derive(Debug)]
pub struct Server {
    listening: Vec<Listening>,
    shutdown: Shutdown,
    tracker: TaskTracker,
    ledger: Arc<Ledger>,
    receipts: Writer,
    /// Where metrics are asked for, until the end.
    metrics: Option<Endpoint>,
    reloader: Arc<Reloader>,
    admin: Admin,
    /// Has uploaded modules looked at.
    admission: uploads::Running,
    /// Compiles modules that were not at the start.
    filling: tenant::Filling,
    /// Has candidates asked about what was decided.
    shadows: shadow::Running,
    /// What goes on until the host stops: certificates and ramps are looked at, tenants are
    /// warned, and receipts whose time is over are removed.
    background: Vec<JoinHandle<()>>,
    store: Store,
    #[expect(dead_code, reason = "it is there to be held")]
    lock: File,
}

/// What a host is put together from.
struct Parts {
    sessions: Sessions,
    sockets: Sockets,
    config: Config,
    state: State,
    receipts: Writer,
    admin: Doors,
    admin_certificate: Option<AdminCertificate>,
    webhooks: WebhookClient,
    /// Modules that are still to be compiled.
    pending: Arc<tenant::Queue>,
    lock: File,
}

/// Why a host did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration or what it names has faults.
    #[error("{}", shown(.0))]
    Faults(Vec<Fault>),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The engine cannot be set up.
    #[error("the policy engine cannot start: {0}")]
    Engine(#[from] EngineError),
    /// The directory of receipts cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The ledger cannot be kept.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Another host has the data directory.
    #[error("data directory {0}: another host runs on it: stop that one first")]
    Taken(PathBuf),
    /// The admin API has nowhere to be.
    #[error(transparent)]
    Admin(#[from] crate::admin::BindError),
    /// The data directory cannot be made.
    #[error("data directory {path}: {source}")]
    DataDirectory {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Names cannot be looked up.
    #[error(transparent)]
    Resolver(#[from] ResolverError),
    /// The address of metrics cannot be bound.
    #[error(transparent)]
    Metrics(#[from] metrics::BindError),
    /// A listener cannot be bound.
    #[error("listener {name:?} cannot listen on {address}: {source}")]
    Bind {
        /// Which.
        name: String,
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// The tenants to begin with. The log has what they go without.
async fn first_tenants(
    config: &Config,
    store: &Store,
    means: Means<'_>,
    metrics: &Metrics,
) -> Result<Loaded, StartError> {
    let ready = tenants::prepare(config, store, means).await?;
    let loaded = tenants::record(store, ready, metrics).await?;
    loaded.refused.iter().for_each(Refusal::log);
    let pending = loaded.snapshot.pending();
    if pending > 0 {
        tracing::info!(
            modules = pending,
            "modules are compiled while the host serves, those first that mail waits for"
        );
    }
    if loaded.snapshot.tenants().is_empty() {
        tracing::warn!("there are no tenants, so all mail is refused");
    }
    Ok(loaded)
}

fn shown(faults: &[Fault]) -> String {
    let lines: Vec<_> = faults.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

impl Server {
    /// Starts a host: when this returns, it listens.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn start(config: &Config) -> Result<Self, StartError> {
        Self::start_on(Sockets::bind(config).await?, config).await
    }

    /// Starts a host on what is bound already.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn start_on(mut sockets: Sockets, config: &Config) -> Result<Self, StartError> {
        let lock = claim(&config.data_dir)?;
        let metrics = Arc::new(Metrics::default());
        let engine = Engine::new(config.engine.clone())?;
        let targets = Targets::default();
        let store = Store::of(&config.data_dir);
        let pending = Arc::default();
        let means = Means {
            engine: &engine,
            decisions: &metrics.decisions,
            targets: &targets,
            store: Some(&store),
            before: None,
            pending: Some(&pending),
        };
        let Loaded {
            snapshot, refused, ..
        } = first_tenants(config, &store, means, &metrics).await?;
        let (tls, certificates, ends) = tls_or_none(config, &metrics);
        let preparation = Preparation::of(&snapshot);
        let reverse_names = reverse_names(config, &metrics)?;
        let ledger = Ledger::open(&config.data_dir.join("ledger"))?;
        let admin_certificate = AdminCertificate::of(config);
        let admin_tls = admin_certificate.as_ref().map(AdminCertificate::tls);
        let admin = Doors::open(&config.data_dir, sockets.admin.take(), admin_tls)?;
        let (journal, receipts) = Journal::start(places(config, &store))?;
        let shadows = Shadows::new(shadow::Means {
            engine: Arc::clone(&engine),
            store: store.clone(),
            journal: journal.clone(),
            metrics: Arc::clone(&metrics),
            node: config.hostname.to_string(),
        });
        if let Err(error) = shadows.load_known().await {
            // It is tried again when the host runs.
            tracing::debug!(%error, "candidates are loaded later");
        }
        let shutdown = Shutdown::default();
        let bounds = bounds(&config.limits);
        let admission = Admission::new(bounds, shutdown.clone(), Arc::clone(&metrics));
        let host = Arc::new(Host {
            hostname: config.hostname.to_string(),
            engine,
            spool: Spool::new(config.data_dir.join("spool"), config.limits.content_memory),
            targets,
            ledger,
            journal,
            relay_receipts: RelayReceipts::default(),
            reverse_names,
            failed_handshakes: FailedHandshakes::default(),
            shadows,
            metrics,
            store,
            snapshot: ArcSwap::from_pointee(snapshot),
        });
        let sessions = Sessions {
            host,
            admission: Arc::new(admission),
            tracker: TaskTracker::new(),
            shutdown,
        };
        let state = State {
            certificates,
            ends,
            tls,
            refused,
            preparation,
        };
        Ok(Self::run(Parts {
            sessions,
            sockets,
            config: config.clone(),
            state,
            receipts,
            admin,
            admin_certificate,
            webhooks: webhooks(config)?,
            pending,
            lock,
        }))
    }

    fn run(parts: Parts) -> Self {
        let Parts {
            sessions,
            sockets,
            config,
            state,
            receipts,
            admin,
            admin_certificate,
            webhooks,
            pending,
            lock,
        } = parts;
        let (listening, slots) = listen(&sessions, &config, &state, sockets.listeners);
        sessions.tracker.close();
        let Sessions {
            host,
            shutdown,
            tracker,
            ..
        } = sessions;
        let (store, ledger) = (host.store.clone(), Arc::clone(&host.ledger));
        let source = Source::of(&config, &store);
        let has_day_files = config.receipts.files;
        let bells = Bells::default();
        let warnings = watch(
            Arc::clone(&host),
            source.clone(),
            bells.clone(),
            shutdown.clone(),
        );
        let sending = deliver(Arc::clone(&host), webhooks, bells.send, shutdown.clone());
        let retention = retention::keep(
            store.clone(),
            config.receipts.keep_days,
            Arc::clone(&host.engine),
            shutdown.clone(),
        );
        let reloader = Reloader::new(&host, shutdown.clone(), slots, config, state);
        let reloader = Arc::new(reloader);
        let engine = Arc::clone(&host.engine);
        let filling = tenant::Filling::start(pending, engine, store.clone());
        let (uploads, admission) = Uploads::start(Arc::clone(&host.engine), store.clone());
        let shadows = host.shadows.start();
        let rooms = Rooms {
            host: Arc::clone(&host),
            reloader: Arc::clone(&reloader),
            uploads,
            replays: Replays::new(shutdown.clone()),
            look: bells.look,
        };
        let admin = admin.serve(rooms, source, has_day_files);
        let certificates = Arc::clone(&reloader).watch_certificates();
        let ramps = Arc::clone(&reloader).watch_ramps();
        let background = [
            tokio::spawn(certificates),
            tokio::spawn(ramps),
            tokio::spawn(retention),
            tokio::spawn(warnings),
            tokio::spawn(sending),
        ];
        let admin_certificate =
            admin_certificate.map(|certificate| tokio::spawn(certificate.watch(shutdown.clone())));
        Self {
            metrics: sockets
                .metrics
                .map(|bound| bound.serve(host, shutdown.clone())),
            background: background.into_iter().chain(admin_certificate).collect(),
            store,
            admin,
            admission,
            filling,
            shadows,
            reloader,
            listening,
            shutdown,
            tracker,
            ledger,
            receipts,
            lock,
        }
    }

    /// Loads anew while this runs.
    pub fn reloader(&self) -> &Arc<Reloader> {
        &self.reloader
    }

    /// Where metrics are asked for, if anywhere.
    pub fn metrics(&self) -> Option<SocketAddr> {
        self.metrics.as_ref().map(Endpoint::address)
    }

    /// Where the admin API is asked, if anywhere beside its socket.
    pub fn admin(&self) -> Option<SocketAddr> {
        self.admin.address()
    }

    /// Whether TLS is spoken there.
    pub fn admin_has_tls(&self) -> bool {
        self.admin.has_tls()
    }

    /// Where it listens.
    pub fn listening(&self) -> &[Listening] {
        &self.listening
    }

    /// Stops: no new sessions, idle ones are told to come back, those that are
    /// receiving content may finish it until `cut` resolves, and are then told to come
    /// back, too; deliveries that are late are waited for as long. Every receipt is on disk
    /// then, unless the disk does not answer.
    pub async fn stop(self, cut: impl Future<Output = ()>) {
        self.shutdown.drain();
        let over = async {
            self.tracker.wait().await;
            self.ledger.settled().await;
        };
        tokio::select! {
            () = over => {}
            () = cut => {
                let (sessions, late) = (self.tracker.len(), self.ledger.unsettled());
                tracing::warn!(sessions, late, "cutting off the sessions and late deliveries that are left");
                self.shutdown.cut();
                self.filling.close();
            }
        }
        let ended = timeout(FAREWELL, self.tracker.wait()).await.is_ok();
        // These know the host, whose receipts are over only when nobody does any more.
        self.admin.stop().await;
        self.admission.stop().await;
        self.filling.stop().await;
        self.shadows.stop().await;
        if let Some(metrics) = self.metrics {
            metrics.stop().await;
        }
        for task in self.background {
            // It has ended, for it waits for nothing but the same.
            let _ = task.await;
        }
        let written = tokio::task::spawn_blocking(move || self.receipts.finish());
        // Whoever hangs may still have a receipt to hand over, and then this does not end;
        // what was handed over is on disk well within that time all the same.
        let written = timeout(FAREWELL, written).await.is_ok();
        if timeout(FAREWELL, self.store.close()).await.is_err() {
            // What was committed is on disk.
            tracing::warn!(
                "the disk is slow: part of the store stays in portcullis.db-wal until the next start"
            );
        }
        if !ended || !written {
            tracing::error!("the host ends while sessions or receipts hang");
        }
    }
}

/// The data directory, for this process alone, until what this gives is dropped.
///
/// # Errors
/// When a host runs on it, or it cannot be made.
pub fn claim(path: &Path) -> Result<File, StartError> {
    let fault = |source| StartError::DataDirectory {
        path: path.to_owned(),
        source,
    };
    directory::make(path).map_err(fault)?;
    let mut options = File::options();
    options.write(true).create(true).truncate(false).mode(0o600);
    let lock = options.open(path.join(LOCK)).map_err(fault)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(StartError::Taken(path.to_owned())),
        Err(TryLockError::Error(source)) => Err(fault(source)),
    }
}

/// Accepts on these sockets, which are those of the configuration's listeners in their order:
/// where that is, and what each serves by, to be replaced at a reload.
fn listen(
    sessions: &Sessions,
    config: &Config,
    state: &State,
    sockets: Vec<(Listening, TcpListener)>,
) -> (Vec<Listening>, Vec<Arc<ArcSwap<Listener>>>) {
    let (mut listening, mut slots) = (Vec::new(), Vec::new());
    let bound = config.listeners.iter().zip(sockets);
    for (listener, (place, socket)) in bound {
        let listener = listeners::of(listener, config, state.tls.as_ref());
        let slot = Arc::new(ArcSwap::new(listener));
        sessions.host.metrics.listener(&place.name);
        let bound = Bound {
            listener: Arc::clone(&slot),
            socket,
        };
        sessions.tracker.spawn(accept(bound, sessions.clone()));
        listening.push(place);
        slots.push(slot);
    }
    (listening, slots)
}

/// What sends to webhooks of tenants, where they may go.
fn webhooks(config: &Config) -> Result<WebhookClient, StartError> {
    let roots = tenant::public_roots(config).map_err(StartError::Faults)?;
    let reach = Reach::new(config.webhooks.allow.clone());
    let tls = publicly_verified_client(roots);
    Ok(WebhookClient::new(reach, tls, config.webhooks.allow_http))
}

/// Where receipts are written.
fn places(config: &Config, store: &Store) -> Places {
    let receipts = &config.receipts;
    Places {
        store: receipts.store.then(|| store.clone()),
        files: receipts
            .files
            .then(|| (source::directory(&config.data_dir), receipts.keep_days)),
    }
}

fn reverse_names(
    config: &Config,
    metrics: &Arc<Metrics>,
) -> Result<Option<Arc<ReverseNames>>, ResolverError> {
    let Some(settings) = &config.reverse_names else {
        return Ok(None);
    };
    let names = ReverseNames::new(&settings.value, Arc::clone(metrics))?;
    Ok(Some(Arc::new(names)))
}

/// TLS, or none while there is no usable certificate: mail that need not be
/// encrypted still flows then, and what must be is deferred.
fn tls_or_none(config: &Config, metrics: &Metrics) -> (Option<TlsServer>, Watch, Ends) {
    let sources = Sources::of(config);
    let stamp = sources.stamp();
    match sources.load() {
        Ok(identities) => {
            metrics.certificates(identities.iter().map(Identity::expiry));
            let ends = Ends::of(&identities);
            let server = TlsServer::new(identities);
            (server.ok(), Watch::new(stamp), ends)
        }
        Err(unusable) => {
            let mut listeners = config.listeners.iter();
            let needed = listeners.any(|listener| listener.tls != config::ListenerTls::None);
            metrics.lacks_certificate(needed);
            tracing::error!(error = %shown(&unusable.faults), "TLS is not available: STARTTLS gets 454, enforced routes 451");
            let watch = Watch::refused(stamp, &unusable, Instant::now());
            (None, watch, Ends::default())
        }
    }
}

/// Fewer sessions where the process may not have the files open that they need.
fn bounds(limits: &config::Limits) -> Bounds {
    Bounds {
        sessions: listen::sessions_that_fit(limits.sessions),
        client_sessions: limits.client_sessions,
        network_sessions: limits.network_sessions,
        client_session_rate: limits.client_session_rate,
        client_handshake_rate: limits.client_handshake_rate,
        exempt: limits.exempt.clone(),
    }
}
