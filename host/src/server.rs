//! A running host: put together from its configuration, started, stopped.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::config::{self, Config, Fault};
use crate::content::Spool;
use crate::deliver::{Ledger, LedgerError, Targets};
use crate::directory;
use crate::engine::{Engine, EngineError};
use crate::host::{Host, RelayReceipts, SessionLimits, Shutdown};
use crate::listen::{self, Admission, Bound, Bounds, Sessions, accept};
use crate::metrics::{self, Endpoint, Metrics};
use crate::receipt::journal::{Journal, JournalError, Writer};
use crate::reverse_name::{ResolverError, ReverseNames};
use crate::smtp::listener::{Listener, ListenerTls};
use crate::smtp::profile::Profile;
use crate::tenant::{self, Loaded};
use crate::tls::{
    self, FailedHandshakes, HostCertificateError, Identity, IdentityError, NoIdentity, TlsServer,
};

/// How long sessions that are cut off may take for their last reply, and then the disk
/// for the last receipts.
const FAREWELL: Duration = Duration::from_secs(5);

/// A running host.
#[derive(Debug)]
pub struct Server {
    listening: Vec<Listening>,
    shutdown: Shutdown,
    tracker: TaskTracker,
    receipts: Writer,
    /// Where metrics are asked for, until the end.
    metrics: Option<Endpoint>,
}

/// Where a listener can be reached.
#[derive(Clone, Debug)]
pub struct Listening {
    /// Its name.
    pub name: String,
    /// Where it is bound: with the port that was chosen where 0 was asked for.
    pub address: SocketAddr,
    /// How it speaks TLS.
    pub tls: config::ListenerTls,
}

/// Why a host did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration or what it names has faults.
    #[error("{}", shown(.0))]
    Faults(Vec<Fault>),
    /// The engine cannot be set up.
    #[error("the policy engine cannot start: {0}")]
    Engine(#[from] EngineError),
    /// The directory of receipts cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The ledger cannot be kept.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
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

/// Why the host has no certificate of its own to use.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// One of those configured.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The one that the host makes itself.
    #[error(transparent)]
    Own(#[from] HostCertificateError),
    /// None at all.
    #[error(transparent)]
    None(#[from] NoIdentity),
}

fn shown(faults: &[Fault]) -> String {
    let lines: Vec<_> = faults.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

impl Server {
    /// Starts a host: when this returns, it listens.
    pub async fn start(config: &Config) -> Result<Self, StartError> {
        make_directory(&config.data_dir)?;
        let metrics = Arc::new(Metrics::default());
        let engine = Engine::new(config.engine.clone())?;
        let targets = Targets::default();
        let Loaded { snapshot, refused } =
            tenant::load(config, &engine, &metrics.decisions, &targets)
                .await
                .map_err(StartError::Faults)?;
        for fault in refused {
            tracing::error!(%fault, "a module is not loaded, and every policy that asks it fails");
        }
        let tls = tls_or_none(config, &metrics);
        for tenant in snapshot.tenants() {
            tenant.target.prepare();
        }
        let reverse_names = reverse_names(config, &metrics)?;
        let ledger = Ledger::open(&config.data_dir.join("ledger"))?;
        let bound = bind_all(config, tls.as_ref())?;
        let asked = bind_metrics(config).await?;
        let (journal, receipts) =
            Journal::start(&config.data_dir.join("receipts"), config.keep_receipts)?;
        let admission = Admission::new(bounds(&config.limits), Arc::clone(&metrics));
        let host = Arc::new(Host {
            hostname: config.hostname.to_string(),
            limits: session_limits(&config.limits),
            engine,
            spool: Spool::new(config.data_dir.join("spool"), config.limits.content_memory),
            targets,
            ledger,
            journal,
            relay_receipts: RelayReceipts::default(),
            reverse_names,
            failed_handshakes: FailedHandshakes::default(),
            metrics,
            snapshot: Arc::new(snapshot),
        });
        let sessions = Sessions {
            host,
            admission: Arc::new(admission),
            tracker: TaskTracker::new(),
            shutdown: Shutdown::default(),
        };
        Ok(Self::run(sessions, bound, asked, receipts))
    }

    fn run(
        sessions: Sessions,
        bound: Vec<(Listening, Bound)>,
        asked: Option<metrics::Bound>,
        receipts: Writer,
    ) -> Self {
        let mut listening = Vec::new();
        for (place, bound) in bound {
            sessions.host.metrics.listener(&place.name);
            listening.push(place);
            sessions.tracker.spawn(accept(bound, sessions.clone()));
        }
        sessions.tracker.close();
        let Sessions {
            host,
            shutdown,
            tracker,
            ..
        } = sessions;
        let metrics = asked.map(|asked| asked.serve(host, shutdown.clone()));
        Self {
            listening,
            shutdown,
            tracker,
            receipts,
            metrics,
        }
    }

    /// Where metrics are asked for, if anywhere.
    pub fn metrics(&self) -> Option<SocketAddr> {
        self.metrics.as_ref().map(Endpoint::address)
    }

    /// Where it listens.
    pub fn listening(&self) -> &[Listening] {
        &self.listening
    }

    /// Stops: no new sessions, idle ones are told to come back, those that are
    /// receiving content may finish it until `cut` resolves, and are then told to come
    /// back, too. Every receipt is on disk then, unless the disk does not answer.
    pub async fn stop(self, cut: impl Future<Output = ()>) {
        self.shutdown.drain();
        tokio::select! {
            () = self.tracker.wait() => {}
            () = cut => {
                tracing::warn!(sessions = self.tracker.len(), "cutting off the sessions that are left");
                self.shutdown.cut();
            }
        }
        let ended = timeout(FAREWELL, self.tracker.wait()).await.is_ok();
        // It knows the host, whose receipts are over only when nobody does any more.
        if let Some(metrics) = self.metrics {
            metrics.stop().await;
        }
        let written = tokio::task::spawn_blocking(move || self.receipts.finish());
        if !ended || timeout(FAREWELL, written).await.is_err() {
            tracing::error!("the host ends while sessions or receipts hang");
        }
    }
}

fn make_directory(path: &Path) -> Result<(), StartError> {
    directory::make(path).map_err(|source| StartError::DataDirectory {
        path: path.to_owned(),
        source,
    })
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
fn tls_or_none(config: &Config, metrics: &Metrics) -> Option<TlsServer> {
    let server = tls_server(config, metrics);
    let mut listeners = config.listeners.iter();
    let needed = listeners.any(|listener| listener.tls != config::ListenerTls::None);
    metrics.lacks_certificate(needed && server.is_err());
    match server {
        Ok(server) => Some(server),
        Err(error) => {
            tracing::error!(%error, "TLS is not available: STARTTLS gets 454, enforced routes 451");
            None
        }
    }
}

/// The configured certificates, or one that the host makes itself.
pub fn tls_server(config: &Config, metrics: &Metrics) -> Result<TlsServer, CertificateError> {
    let mut identities = Vec::new();
    for certificate in &config.tls.certificates {
        identities.push(Identity::load(
            &certificate.chain.value,
            &certificate.key.value,
        )?);
    }
    if identities.is_empty() {
        identities.push(own_certificate(config)?);
    }
    metrics.certificates(identities.iter().map(Identity::expiry));
    Ok(TlsServer::new(identities)?)
}

fn own_certificate(config: &Config) -> Result<Identity, CertificateError> {
    let directory = config.data_dir.join("tls");
    let hostname = config.hostname.as_str();
    let (identity, origin) = tls::host_certificate(&directory, hostname, SystemTime::now())?;
    match origin {
        tls::Provenance::Reused => {
            tracing::info!(hostname, "using the host's own self-signed certificate");
        }
        made => tracing::warn!(
            hostname,
            ?made,
            path = %directory.display(),
            "no certificate is configured, so the host made itself a self-signed one"
        ),
    }
    Ok(identity)
}

async fn bind_metrics(config: &Config) -> Result<Option<metrics::Bound>, metrics::BindError> {
    match &config.metrics {
        Some(address) => metrics::Bound::bind(*address).await.map(Some),
        None => Ok(None),
    }
}

fn bind_all(
    config: &Config,
    tls: Option<&TlsServer>,
) -> Result<Vec<(Listening, Bound)>, StartError> {
    let mut all = Vec::new();
    for listener in &config.listeners {
        let fault = |source| StartError::Bind {
            name: listener.name.to_string(),
            address: listener.address,
            source,
        };
        let socket = listen::bind(listener.address).map_err(fault)?;
        let address = socket.local_addr().map_err(fault)?;
        let place = Listening {
            name: listener.name.to_string(),
            address,
            tls: listener.tls,
        };
        all.push((
            place,
            Bound {
                listener: Arc::new(of(listener, config, tls)),
                socket,
            },
        ));
    }
    Ok(all)
}

fn of(listener: &config::Listener, config: &Config, tls: Option<&TlsServer>) -> Listener {
    let server = tls.map(|tls| tls.config(listener.ask_client_certificate));
    let tls = match listener.tls {
        config::ListenerTls::None => ListenerTls::Never,
        config::ListenerTls::Starttls => ListenerTls::StartTls(server),
        config::ListenerTls::Implicit => ListenerTls::Implicit(server),
    };
    Listener {
        name: listener.name.to_string(),
        profile: Arc::new(Profile {
            hostname: config.hostname.to_string(),
            starttls: tls.starttls(),
            require_tls: listener.require_tls,
            message_size: config.limits.message_size,
            recipients: config.limits.recipients,
            errors: config.limits.errors,
            postmaster: config.postmaster.clone(),
        }),
        tls,
        proxies: listener.proxies.clone(),
        asks_client_certificate: listener.ask_client_certificate,
        greeting_delay: listener.greeting_delay,
    }
}

fn session_limits(limits: &config::Limits) -> SessionLimits {
    SessionLimits {
        message_size: limits.message_size,
        command_timeout: limits.command_timeout,
        data_timeout: limits.data_timeout,
        handshake_timeout: limits.handshake_timeout,
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
