//! What a session knows of the listener that took its connection.

use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio_rustls::TlsAcceptor;

use super::profile::{Profile, StartTls};
use crate::decision::TlsOffer;
use crate::listen::Proxies;

/// What a listener is, apart from its socket.
#[derive(Debug)]
pub struct Listener {
    /// Its name in facts and logs.
    pub name: String,
    /// What its sessions offer.
    pub profile: Arc<Profile>,
    /// How it speaks TLS.
    pub tls: ListenerTls,
    /// From whom it takes the header that says whose connection it is; without any it
    /// takes none.
    pub proxies: Option<Proxies>,
    /// Whether it asks clients for a certificate.
    pub asks_client_certificate: bool,
    /// How long it holds its greeting back, to see whether the client waits for it.
    pub greeting_delay: Duration,
    /// Bounds of its sessions.
    pub limits: SessionLimits,
}

/// Bounds of a session that are not the protocol's.
#[derive(Clone, Debug)]
pub struct SessionLimits {
    /// How long to wait for a command (RFC 5321, section 4.5.3.2.7).
    pub command_timeout: Duration,
    /// How long to wait for each piece of content (section 4.5.3.2.5).
    pub data_timeout: Duration,
    /// How long a TLS handshake may take.
    pub handshake_timeout: Duration,
}

/// How a listener speaks TLS.
#[derive(Clone, Debug)]
pub enum ListenerTls {
    /// Not at all.
    Never,
    /// From STARTTLS on; none while the host has no usable certificate.
    StartTls(Option<Arc<ServerConfig>>),
    /// From the first octet; none while the host has no usable certificate.
    Implicit(Option<Arc<ServerConfig>>),
}

impl ListenerTls {
    /// What sessions answer to STARTTLS.
    pub fn starttls(&self) -> StartTls {
        match self {
            Self::StartTls(Some(_)) => StartTls::Offered,
            Self::StartTls(None) => StartTls::Unavailable,
            Self::Never | Self::Implicit(_) => StartTls::Never,
        }
    }
}

impl Listener {
    /// Whether TLS begins with the first octet.
    pub fn is_implicit(&self) -> bool {
        matches!(self.tls, ListenerTls::Implicit(_))
    }

    /// What becomes of enforcement in clear.
    pub fn tls_offer(&self) -> TlsOffer {
        match &self.tls {
            ListenerTls::Never => TlsOffer::Never,
            ListenerTls::StartTls(Some(_)) | ListenerTls::Implicit(Some(_)) => TlsOffer::Offered,
            ListenerTls::StartTls(None) | ListenerTls::Implicit(None) => TlsOffer::Unavailable,
        }
    }

    /// Shakes hands, where there is something to do it with.
    pub fn acceptor(&self) -> Option<TlsAcceptor> {
        match &self.tls {
            ListenerTls::StartTls(Some(config)) | ListenerTls::Implicit(Some(config)) => {
                Some(TlsAcceptor::from(Arc::clone(config)))
            }
            _ => None,
        }
    }
}
