//! Listeners: their sockets, and what their sessions offer.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;

use super::StartError;
use crate::admin::Doors;
use crate::config::{self, Config};
use crate::smtp::listener::{Listener, ListenerTls, SessionLimits};
use crate::smtp::profile::Profile;
use crate::tls::TlsServer;
use crate::{listen, metrics};

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

/// Everything that a host listens on, bound and not served yet: what may need the
/// rights of root, and no more.
#[derive(Debug)]
pub struct Sockets {
    pub(super) listeners: Vec<(Listening, TcpListener)>,
    pub(super) metrics: Option<metrics::Bound>,
    pub(super) admin: Option<(SocketAddr, TcpListener)>,
}

impl Sockets {
    /// Binds all addresses of the configuration.
    ///
    /// # Errors
    /// The first that cannot be bound.
    pub async fn bind(config: &Config) -> Result<Self, StartError> {
        let mut listeners = Vec::new();
        for listener in &config.listeners {
            listeners.push(bind(listener)?);
        }
        let metrics = match &config.metrics {
            Some(address) => Some(metrics::Bound::bind(*address).await?),
            None => None,
        };
        let admin = match &config.admin {
            Some(admin) => Some(Doors::address(admin.address).await?),
            None => None,
        };
        Ok(Self {
            listeners,
            metrics,
            admin,
        })
    }
}

fn bind(listener: &config::Listener) -> Result<(Listening, TcpListener), StartError> {
    let fault = |source| StartError::Bind {
        name: listener.name.to_string(),
        address: listener.address,
        source,
    };
    let socket = listen::bind(listener.address).map_err(fault)?;
    let address = socket.local_addr().map_err(fault)?;
    let listening = Listening {
        name: listener.name.to_string(),
        address,
        tls: listener.tls,
    };
    Ok((listening, socket))
}

/// What the sessions of this listener have.
pub(super) fn of(
    listener: &config::Listener,
    config: &Config,
    tls: Option<&TlsServer>,
) -> Arc<Listener> {
    let server = tls.map(|tls| tls.config(listener.ask_client_certificate));
    let tls = match listener.tls {
        config::ListenerTls::None => ListenerTls::Never,
        config::ListenerTls::Starttls => ListenerTls::StartTls(server),
        config::ListenerTls::Implicit => ListenerTls::Implicit(server),
    };
    Arc::new(Listener {
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
        limits: SessionLimits {
            command_timeout: config.limits.command_timeout,
            data_timeout: config.limits.data_timeout,
            handshake_timeout: config.limits.handshake_timeout,
        },
    })
}
