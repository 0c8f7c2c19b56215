//! The configuration: `portcullis.toml`, and one file for each tenant.
//!
//! **A checked [`Config`] holds no impossible value, and all faults of all files are
//! reported at once**, each with its file, line and key. What can only be judged by
//! loading it (certificates, modules, settings) keeps its [`Position`], so that the
//! later step reports in the same way.
//!
//! Read in this order: `keys` (what there is), `document` and `reader` (how it is
//! read), `host` (portcullis.toml), `tenant_file`, `source_table`,
//! `target_table`, `policy_table`.

mod contents;
mod document;
mod fault;
mod host;
mod keys;
mod limits;
mod list_table;
mod module_edit;
mod module_table;
mod network;
mod observation;
mod policy_table;
mod process;
mod quotas;
mod read;
mod reader;
mod receipts;
mod resolver;
mod settings;
mod similar;
mod source_table;
mod target_table;
mod tenant_document;
mod tenant_edit;
mod tenant_file;
mod tree;
mod warnings;
mod webhook;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ipnet::IpNet;

pub use contents::Pem;
pub use fault::{Fault, Located, Position};
#[cfg(test)]
pub(crate) use keys::{range, written_keys};
pub use quotas::{ModuleQuotas, Retention};
pub use read::{ReadError, read};
pub use receipts::ReceiptsConfig;
pub use settings::Settings;
pub use similar::similar;
pub use tenant_document::{Object, TenantDocument, pins};
pub use tenant_edit::{EditError, Half};
pub use tree::{FileContent, TreeError, TreeFile};
pub use warnings::{shared_source, warnings};
pub use webhook::WebhooksConfig;

use crate::address::{Domain, Mailbox};
use crate::decision::Resolved;
use crate::deliver::{HopAddress, Protocol};
use crate::digest::{Digest, Fingerprint};
use crate::engine::EngineSettings;
use crate::facts::TenantId;
use crate::listen::Proxies;
use crate::lists::Lists;
use crate::log::LogSettings;
use crate::name::Name;
use crate::policy::{Exempt, Policy};
use crate::reverse_name::ReverseNameSettings;
use crate::tenant::Sources;
use crate::tls::SelfSigned;
use crate::warnings::webhook::Webhook;

/// Largest PEM file that is read, in bytes: revocation lists of large authorities have
/// some ten megabytes.
pub const MAX_PEM: u64 = 64 << 20;

/// The configuration of a host and its tenants, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// `portcullis.toml`.
    pub file: Arc<Path>,
    /// The name that the host gives itself in its greeting and in `Received`.
    pub hostname: Domain,
    /// Who gets mail to `<Postmaster>` without a domain (RFC 5321, section 4.5.1).
    pub postmaster: Mailbox,
    /// Where the host keeps what it writes.
    pub data_dir: PathBuf,
    /// At least one.
    pub listeners: Vec<Listener>,
    /// Certificates and public roots.
    pub tls: TlsConfig,
    /// The directory in which each tenant has a maildir of its id.
    pub maildirs: PathBuf,
    /// Where mail goes of tenants who do not say.
    pub target: TargetConfig,
    /// Limits of sessions.
    pub limits: Limits,
    /// Limits of the engine.
    pub engine: EngineSettings,
    /// What Default means for tenants who do not say.
    pub default: Resolved,
    /// Where receipts are kept, and for how long.
    pub receipts: ReceiptsConfig,
    /// Where metrics are asked for, if anywhere; port 0 is any free port.
    pub metrics: Option<SocketAddr>,
    /// Where the admin API is asked, beside its socket; port 0 is any free port.
    pub admin: Option<AdminConfig>,
    /// How clients' names are looked up, if at all.
    pub reverse_names: Option<Located<ReverseNameSettings>>,
    /// Where webhooks of tenants may go.
    pub webhooks: WebhooksConfig,
    /// How the log is written.
    pub log: LogSettings,
    /// Whom the process belongs to once it listens.
    pub process: ProcessConfig,
    /// Who has the last word on tenants.
    pub authority: Authority,
    /// Those of the files, by id; none where the store has the last word.
    pub tenants: Vec<TenantConfig>,
}

/// Who has the last word on tenants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authority {
    /// The files in this directory: the store is made equal to them.
    Files(PathBuf),
    /// The store, since there is no such directory, or one that nobody named and that has
    /// no tenant.
    Store,
}

/// Where and how the host listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Unique.
    pub name: Name,
    /// Port 0 is any free port.
    pub address: SocketAddr,
    /// How TLS begins.
    pub tls: ListenerTls,
    /// Ask clients for a certificate; never require one.
    pub ask_client_certificate: bool,
    /// Not for the public: only such a listener may require TLS (RFC 3207, section 4).
    pub private: bool,
    /// Take no mail in clear from anyone.
    pub require_tls: bool,
    /// The proxies in front, from whom every connection comes then.
    pub proxies: Option<Proxies>,
    /// How long to wait before the greeting; who talks in that time is refused.
    pub greeting_delay: Duration,
    /// Where it is written.
    pub at: Position,
}

/// How TLS begins on a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerTls {
    /// With the STARTTLS command (RFC 3207).
    Starttls,
    /// With the first byte.
    Implicit,
    /// Never.
    None,
}

/// What TLS needs.
#[derive(Clone, Debug, Default)]
pub struct TlsConfig {
    /// A PEM file in place of the bundled public roots.
    pub public_roots: Option<Located<PathBuf>>,
    /// The host's certificates; the host makes a self-signed one where there is none.
    pub certificates: Vec<CertificateFiles>,
}

/// One certificate of the host.
#[derive(Clone, Debug)]
pub struct CertificateFiles {
    /// PEM file, the end entity first.
    pub chain: Located<PathBuf>,
    /// PEM file of the private key.
    pub key: Located<PathBuf>,
}

/// Where the admin API is asked, beside its socket.
#[derive(Clone, Debug)]
pub struct AdminConfig {
    /// A loopback address, unless there is TLS.
    pub address: SocketAddr,
    /// What TLS needs; none for HTTP in clear.
    pub tls: Option<CertificateFiles>,
}

/// Whom the process belongs to once it listens, by name.
#[derive(Clone, Debug, Default)]
pub struct ProcessConfig {
    /// None to stay what it is.
    pub user: Option<Located<String>>,
    /// None for the user's own. Never without a user.
    pub group: Option<Located<String>>,
}

/// Limits of sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest message in octets.
    pub message_size: u64,
    /// Octets of all messages together that are held in memory while they are
    /// received and delivered.
    pub content_memory: u64,
    /// Most recipients of a message.
    pub recipients: usize,
    /// Most sessions at one time.
    pub sessions: usize,
    /// Most sessions of one client at one time.
    pub client_sessions: usize,
    /// Most sessions of one network at one time.
    pub network_sessions: usize,
    /// New sessions of one client in a second.
    pub client_session_rate: u32,
    /// New TLS handshakes of one client in a second.
    pub client_handshake_rate: u32,
    /// Clients for whom the four above do not count.
    pub exempt: Vec<IpNet>,
    /// Error replies in a session before it is closed with 421.
    pub errors: usize,
    /// Longest wait for a command.
    pub command_timeout: Duration,
    /// Longest wait for the next octets of a message.
    pub data_timeout: Duration,
    /// Longest TLS handshake.
    pub handshake_timeout: Duration,
    /// How long sessions that are receiving a message may go on when the host stops.
    pub grace: Duration,
}

/// A tenant as configured.
#[derive(Clone, Debug)]
pub struct TenantConfig {
    /// The stem of its file's name.
    pub id: TenantId,
    /// Its file.
    pub file: Arc<Path>,
    /// As the store keeps it.
    pub document: Arc<TenantDocument>,
    /// At least one, and no other tenant's.
    pub domains: Vec<Domain>,
    /// A line for replies that refuse.
    pub contact: Option<String>,
    /// Who is told of warnings.
    pub webhook: Option<Webhook>,
    /// What Default means; none leaves it to the host.
    pub default: Option<Resolved>,
    /// Recipients whom no policy is asked about.
    pub exempt: Exempt,
    /// How its own servers are recognised.
    pub sources: Located<Sources>,
    /// Where mail to its domains goes.
    pub inbound: TargetConfig,
    /// Where mail from its own servers to others goes, if anywhere.
    pub outbound: Option<TargetConfig>,
    /// Whom it trusts.
    pub trust: TrustConfig,
    /// Its lists.
    pub lists: Lists,
    /// Its modules, each name once.
    pub modules: Vec<ModuleConfig>,
    /// Its policies, in the order of the file.
    pub policies: Vec<PolicyConfig>,
}

/// Where mail goes, as configured.
#[derive(Clone, Debug)]
pub enum TargetConfig {
    /// To the tenant's directory in [`Config::maildirs`].
    Maildir {
        /// How long the disk may take for a message.
        delivery_timeout: Duration,
    },
    /// To another mail server.
    NextHop(NextHopConfig),
    /// To nowhere.
    Discard,
}

/// What goes nowhere is a fault anyway: whoever reads on to find more needs some value.
impl Default for TargetConfig {
    fn default() -> Self {
        Self::Maildir {
            delivery_timeout: Duration::from_secs(keys::DELIVERY_TIMEOUT.default),
        }
    }
}

/// A next hop as configured.
#[derive(Clone, Debug)]
pub struct NextHopConfig {
    /// What is spoken.
    pub protocol: Protocol,
    /// Where.
    pub address: HopAddress,
    /// How it is protected.
    pub tls: HopTlsConfig,
    /// Most connections at one time, at least one.
    pub connections: usize,
    /// How long a connection without a transaction is kept.
    pub keep_idle: Duration,
    /// Longest wait for a connection that can be used.
    pub connect_timeout: Duration,
    /// Longest wait for a reply.
    pub command_timeout: Duration,
    /// Longest wait for the replies to the content.
    pub delivery_timeout: Duration,
}

/// How the connection to a next hop is protected, as configured.
#[derive(Clone, Debug)]
pub enum HopTlsConfig {
    /// Not at all.
    None,
    /// TLS with any certificate where it can be had.
    Opportunistic,
    /// TLS with a certificate for this name, or no mail.
    Verified {
        /// Which the certificate must match.
        name: Domain,
        /// Trust anchors; none for the public roots.
        anchors: Vec<Located<Pem>>,
    },
}

/// Whom a tenant trusts, as configured.
#[derive(Clone, Debug)]
pub struct TrustConfig {
    /// Trust anchors.
    pub anchors: Vec<Located<Pem>>,
    /// Revocation lists.
    pub crls: Vec<Located<Pem>>,
    /// Public keys.
    pub pins: BTreeSet<Fingerprint>,
    /// What to make of self-signed certificates.
    pub self_signed: SelfSigned,
    /// Trust the public roots besides.
    pub public_roots: bool,
}

/// A module as configured.
#[derive(Clone, Debug)]
pub struct ModuleConfig {
    /// What policies call it.
    pub name: Name,
    /// The revision that is active.
    pub content: ModuleContent,
    /// Other revisions that there are, which policies may pin.
    pub others: Vec<OtherRevision>,
    /// Where it is named.
    pub at: Position,
}

/// A revision of a module that is there and not active.
#[derive(Clone, Debug)]
pub struct OtherRevision {
    /// What it is.
    pub content: ModuleContent,
    /// Where it is named.
    pub at: Position,
}

/// The bytes of a module.
#[derive(Clone, Debug)]
pub enum ModuleContent {
    /// These.
    Given {
        /// The bytes.
        bytes: Bytes,
        /// Their SHA-256.
        digest: Digest,
    },
    /// Those that the store has by this digest.
    Stored(Digest),
}

/// A policy, and what only its module can judge.
#[derive(Clone, Debug)]
pub struct PolicyConfig {
    /// The policy.
    pub policy: Policy,
    /// Its settings, when it asks a module.
    pub settings: Option<Settings>,
    /// Where it is written.
    pub at: Position,
}

/// What could be read of a configuration, and what is wrong with it: for those who
/// look for more faults, never for serving.
#[derive(Clone, Debug)]
pub struct Examined {
    /// Without the parts that had faults; none when the host itself has some.
    pub config: Option<Config>,
    /// Every fault of every file, by file and line.
    pub faults: Vec<Fault>,
}

impl Config {
    /// Reads `portcullis.toml` and the files of its tenants.
    ///
    /// # Errors
    /// Every fault of every file, by file and line.
    pub fn read(file: &Path) -> Result<Self, Vec<Fault>> {
        Self::examine(file).checked()
    }

    /// Takes `text` for what stands in `file`, and reads the files of its tenants.
    ///
    /// # Errors
    /// Every fault of every file, by file and line.
    pub fn parse(file: &Path, text: &str) -> Result<Self, Vec<Fault>> {
        Self::examine_text(file, text).checked()
    }

    /// Reads `portcullis.toml` alone, for those who want to know where the host is.
    ///
    /// # Errors
    /// What keeps it from being read; other faults do not matter here.
    pub fn read_host(file: &Path) -> Result<Self, Vec<Fault>> {
        let text = host::text_of(file, host::MAX_HOST).map_err(|fault| vec![fault])?;
        let faults = document::Faults::default();
        match host::read_alone(file, &text, &faults) {
            Some(config) => Ok(config),
            None => Err(faults.into_sorted()),
        }
    }

    /// Reads where a host's data directory is, whatever else is wrong in its file; none where
    /// not even that can be told.
    pub fn read_data_dir(file: &Path) -> Option<PathBuf> {
        let text = host::text_of(file, host::MAX_HOST).ok()?;
        host::data_dir(file, &text)
    }

    /// Reads the tenants of another tree of files: those in its directory `tenants`.
    ///
    /// # Errors
    /// Every fault of every file, by file and line.
    pub fn read_tree(&self, directory: &Path) -> Result<Vec<TenantConfig>, Vec<Fault>> {
        let directory = directory.join("tenants");
        let files = tenant_file::list(&directory).map_err(|error| {
            let message = format!("the directory of tenants cannot be read: {error}");
            vec![Position::file(&directory).fault(message)]
        })?;
        let faults = document::Faults::default();
        let tenants = tenant_file::read_files(&files, Some(&self.target), &faults);
        let faults = faults.into_sorted();
        if faults.is_empty() {
            Ok(tenants)
        } else {
            Err(faults)
        }
    }

    /// What is wrong where files have the last word and name no tenant, and the store has
    /// so many: nobody empties a host by a directory that is empty.
    pub fn loss(&self, kept: usize) -> Option<Fault> {
        let Authority::Files(directory) = &self.authority else {
            return None;
        };
        if !self.tenants.is_empty() || kept == 0 {
            return None;
        }
        let message = format!(
            "no file here is a tenant's, and the store has tenants ({kept}), which would all be removed: \
             put the files back, or take the key \"tenants\" away, so that the store has the last word"
        );
        Some(Position::file(directory).fault(message))
    }

    /// Reads as much as can be read.
    pub fn examine(file: &Path) -> Examined {
        match host::text_of(file, host::MAX_HOST) {
            Ok(text) => Self::examine_text(file, &text),
            Err(fault) => Examined {
                config: None,
                faults: vec![fault],
            },
        }
    }

    fn examine_text(file: &Path, text: &str) -> Examined {
        let faults = document::Faults::default();
        let config = host::read(file, text, &faults);
        Examined {
            config,
            faults: faults.into_sorted(),
        }
    }
}

impl Examined {
    fn checked(self) -> Result<Config, Vec<Fault>> {
        match self.config {
            Some(config) if self.faults.is_empty() => Ok(config),
            _ => Err(self.faults),
        }
    }
}

#[cfg(test)]
mod docs_tests;
#[cfg(test)]
pub(crate) mod example_tests;
#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod policy_tests;
#[cfg(test)]
mod tests;
