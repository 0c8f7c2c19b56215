//! The client's name in reverse DNS, for whom the operator wants to know it.
//!
//! **Nobody waits for DNS but the client itself, and it not for long**: a look-up begins
//! with the session, is asked for at the first recipient, and is over in its time
//! whatever servers do. One that fails is a name that is not known, and mail flows.
//! **Bounded**: look-ups at one time, answers that are kept and for how long, names that
//! are followed, the size of an answer (there is no TCP).
//!
//! A name is a claim of whoever holds the address, and *confirmed* when it resolves
//! back to it. What is no domain name by the rules of envelopes is no name.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ProtocolConfig, ResolveHosts, ResolverConfig,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::system_conf::read_system_conf;
use hickory_resolver::{Resolver, TokioResolver};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use crate::address::Domain;
use crate::facts::ReverseName;
use crate::metrics::Metrics;

/// Look-ups at one time. Each is a datagram and some kilobytes; beyond them names are
/// not known rather than waited for.
const AT_ONE_TIME: usize = 256;

/// Answers that are kept, at most some 1,200 octets each: some megabytes.
const CACHED: u64 = 4096;

/// The longest that an answer is kept: addresses change hands.
const KEPT: Duration = Duration::from_secs(60 * 60);

/// The longest that it is kept that there is none, so that what was mended is seen.
const KEPT_NONE: Duration = Duration::from_secs(5 * 60);

/// Names of one address that are followed. One is what there should be; an address with
/// thousands would have the host ask for all of them.
const NAMES: usize = 3;

/// How names are looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReverseNameSettings {
    /// Whom to ask; those of `/etc/resolv.conf` where none is given.
    pub servers: Vec<SocketAddr>,
    /// How long a look-up may take in all.
    pub timeout: Duration,
}

/// Looks names up.
pub struct ReverseNames {
    resolver: TokioResolver,
    timeout: Duration,
    places: Arc<Semaphore>,
    metrics: Arc<Metrics>,
}

impl ReverseNameSettings {
    /// Whether there is somebody to ask.
    ///
    /// # Errors
    /// Those of [`ReverseNames::new`].
    pub fn check(&self) -> Result<(), ResolverError> {
        resolver(self).map(drop)
    }
}

/// Why names cannot be looked up at all.
#[derive(Debug, thiserror::Error)]
pub enum ResolverError {
    /// The system names no servers.
    #[error("/etc/resolv.conf names no server that can be asked: {0}; name one in dns.servers")]
    System(NetError),
    /// The resolver does not start.
    #[error("the resolver cannot start: {0}")]
    Start(NetError),
}

/// A name that is being looked up. The look-up ends with whoever waits for it.
#[derive(Debug, Default)]
pub struct Pending(Option<AbortOnDropHandle<Option<ReverseName>>>);

impl Pending {
    /// The name, once: when it is known, or not to be known in time.
    pub async fn name(&mut self) -> Option<ReverseName> {
        // One that panicked is one that failed.
        self.0.take()?.await.ok().flatten()
    }
}

impl ReverseNames {
    /// Reads the system's configuration where it has to; asks nobody yet.
    ///
    /// # Errors
    /// When there is nobody to ask.
    pub fn new(
        settings: &ReverseNameSettings,
        metrics: Arc<Metrics>,
    ) -> Result<Self, ResolverError> {
        Ok(Self {
            resolver: resolver(settings)?,
            timeout: settings.timeout,
            places: Arc::new(Semaphore::new(AT_ONE_TIME)),
            metrics,
        })
    }

    /// Begins to look a client's name up, and waits for nothing.
    pub fn begin(self: &Arc<Self>, client: IpAddr) -> Pending {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            self.metrics.reverse_name("busy");
            return Pending(None);
        };
        let names = Arc::clone(self);
        Pending(Some(AbortOnDropHandle::new(tokio::spawn(async move {
            let name = names.name(client).await;
            drop(place);
            name
        }))))
    }

    async fn name(&self, client: IpAddr) -> Option<ReverseName> {
        let found = match timeout(self.timeout, self.look_up(client)).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) if error.is_no_records_found() => None,
            Ok(Err(error)) => {
                tracing::debug!(%client, %error, "no reverse name");
                self.metrics.reverse_name("failed");
                return None;
            }
            Err(_) => {
                self.metrics.reverse_name("timed-out");
                return None;
            }
        };
        self.metrics.reverse_name(match &found {
            Some(name) if name.confirmed => "confirmed",
            Some(_) => "unconfirmed",
            None => "none",
        });
        found
    }

    /// The first name that is confirmed, or else the first. Where not even that can be
    /// asked, names are what they are without: unconfirmed.
    async fn look_up(&self, client: IpAddr) -> Result<Option<ReverseName>, NetError> {
        let answer = self.resolver.lookup(Name::from(client), RecordType::PTR);
        let answer = answer.await?;
        let named = answer
            .answers()
            .iter()
            .filter_map(|record| match &record.data {
                RData::PTR(name) => domain(&name.0),
                _ => None,
            });
        let names: Vec<Domain> = named.take(NAMES).collect();
        for name in &names {
            if self.resolves(name, client).await {
                return Ok(Some(reverse(name, true)));
            }
        }
        Ok(names.first().map(|name| reverse(name, false)))
    }

    /// Whether a name resolves to an address.
    async fn resolves(&self, name: &Domain, address: IpAddr) -> bool {
        let kind = match address {
            IpAddr::V4(_) => RecordType::A,
            IpAddr::V6(_) => RecordType::AAAA,
        };
        // With its dot: nothing is added to it.
        let Ok(absolute) = Name::from_ascii(format!("{name}.")) else {
            return false;
        };
        let Ok(answer) = self.resolver.lookup(absolute, kind).await else {
            return false;
        };
        let mut records = answer.answers().iter();
        records.any(|record| record.data.ip_addr() == Some(address))
    }
}

/// A name that stands in DNS, if it is a domain.
fn domain(name: &Name) -> Option<Domain> {
    name.to_ascii().parse().ok()
}

fn reverse(name: &Domain, confirmed: bool) -> ReverseName {
    ReverseName {
        name: name.to_string(),
        confirmed,
    }
}

fn resolver(settings: &ReverseNameSettings) -> Result<TokioResolver, ResolverError> {
    let mut servers = match settings.servers.as_slice() {
        [] => system_servers()?,
        named => named.iter().map(|server| udp(*server)).collect(),
    };
    for server in &mut servers {
        let is_udp = |by: &ConnectionConfig| matches!(by.protocol, ProtocolConfig::Udp);
        server.connections.retain(is_udp);
    }
    let config = ResolverConfig::from_name_servers(servers);
    let mut builder = Resolver::builder_with_config(config, TokioRuntimeProvider::default());
    let options = builder.options_mut();
    options.cache_size = CACHED;
    options.positive_max_ttl = Some(KEPT);
    options.negative_max_ttl = Some(KEPT_NONE);
    options.use_hosts_file = ResolveHosts::Never;
    // A lost datagram is sent once more within the time for all.
    options.timeout = settings.timeout / 2;
    options.attempts = 1;
    builder.build().map_err(ResolverError::Start)
}

fn system_servers() -> Result<Vec<NameServerConfig>, ResolverError> {
    let (config, _) = read_system_conf().map_err(ResolverError::System)?;
    let (_, _, servers) = config.into_parts();
    Ok(servers)
}

fn udp(server: SocketAddr) -> NameServerConfig {
    let mut config = NameServerConfig::udp(server.ip());
    for connection in &mut config.connections {
        connection.port = server.port();
    }
    config
}

impl std::fmt::Debug for ReverseNames {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReverseNames").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_domains_are_names() {
        for (labels, expected) in [
            (vec!["mx", "partner", "example"], Some("mx.partner.example")),
            (vec!["MX", "Partner", "example"], Some("mx.partner.example")),
            (vec!["b\u{fc}cher", "example"], None),
            (vec!["a b", "example"], None),
            (vec!["a\r\nb", "example"], None),
            (vec!["a\0", "example"], None),
            (vec!["a.b", "example"], None),
            (vec!["-a", "example"], None),
            (vec!["192", "0", "2", "1"], None),
            (vec![], None),
        ] {
            let octets = labels.iter().map(|label| label.as_bytes());
            let name = Name::from_labels(octets).expect("labels are octets");
            let found = domain(&name);
            assert_eq!(found.as_ref().map(Domain::as_str), expected, "{labels:?}");
        }
    }
}
