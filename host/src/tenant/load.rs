//! From the checked configuration to a snapshot: certificates are read, modules are
//! admitted, settings are checked by the modules they are for.
//!
//! **Every fault is reported**, as the configuration reports its own; a configuration
//! with faults gives no snapshot, so what was loaded before stays in force.
//!
//! **A module that is refused is its tenant's trouble alone**, and so are settings that it
//! does not take: it is left out, and the policies that name it fail as they have chosen to,
//! or those alone that have the settings. What was admitted yesterday may be
//! refused after an upgrade of the host, which must not take everybody's mail with it.

mod admission;
mod certificates;
mod settings;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use admission::{Ahead, Needed, admit, admit_all, needed};
use certificates::{build_trust, read_anchors, read_roots};
use settings::checks;

use super::modules::{Held, Modules};
use super::pending::{self, Pending, Place};
use super::{Snapshot, Tenant};
use crate::config::{Config, Fault, HopTlsConfig, OtherRevision, TargetConfig, TenantConfig};
use crate::deliver::{HopTls, NextHop, Target, TargetSettings, Targets};
use crate::digest::Digest;
use crate::engine::{Engine, Module, SettingsFault};
use crate::facts::TenantId;
use crate::metrics::decisions::Decisions;
use crate::name::Name;
use crate::store::{Checked, Store};
use crate::tls::{PublicRoots, TrustStore};

/// A snapshot, and what is missing from it.
#[derive(Debug)]
pub struct Loaded {
    /// All tenants.
    pub snapshot: Snapshot,
    /// Modules that were refused and left out, by file and line.
    pub refused: Vec<Refusal>,
    /// Settings that were found to fit, and were not known to.
    pub checked: Checked,
}

/// A module that was refused and left out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refusal {
    /// Why, and where the module is named.
    pub fault: Fault,
    /// Whose it is.
    pub tenant: TenantId,
    /// What the tenant calls it.
    pub module: Name,
    /// What it is.
    pub digest: Digest,
    /// Whether it was the host that could not look at it just now.
    pub is_passing: bool,
    /// Whether the module is there, and does not take the settings of a policy.
    pub is_of_settings: bool,
}

impl Refusal {
    /// Whether the same module of the same tenant is refused for the same reason, wherever
    /// it stands: in a file, in another tree of files, or in the store.
    pub fn is_again(&self, earlier: &Self) -> bool {
        self.tenant == earlier.tenant
            && self.module == earlier.module
            && self.digest == earlier.digest
            && self.fault.message == earlier.fault.message
    }

    /// Says so in the log, where mail is served nonetheless.
    pub fn log(&self) {
        let fault = &self.fault;
        match self.is_of_settings {
            true => {
                tracing::error!(%fault, "a module does not take the settings of a policy, which fails");
            }
            false => {
                tracing::error!(%fault, "a module is not loaded, and every policy that asks it fails");
            }
        }
    }
}

/// What tenants are loaded with.
#[derive(Clone, Copy)]
pub struct Means<'a> {
    /// Admits modules.
    pub engine: &'a Engine,
    /// Counts what policies decide; counts of policies that were there before go on.
    pub decisions: &'a Decisions,
    /// Where mail goes; those that were there before go on.
    pub targets: &'a Targets,
    /// Has the modules of tenants that were read from it.
    pub store: Option<&'a Store>,
    /// What is in force: tenants that have not changed are taken from it as they are.
    pub before: Option<&'a Snapshot>,
    /// Takes modules that are compiled when tenants are in force; none where all are
    /// compiled before.
    pub pending: Option<&'a Arc<pending::Queue>>,
}

/// Loads these tenants, which are all there are.
///
/// # Errors
/// Every fault, by file and line, unless all of them are modules that were refused.
pub async fn load(
    config: &Config,
    tenants: &[TenantConfig],
    means: Means<'_>,
) -> Result<Loaded, Vec<Fault>> {
    let loader = load_all(config, tenants, means).await;
    if loader.faults.is_empty() {
        Ok(Loaded {
            snapshot: Snapshot::new(loader.tenants, config.default.clone()),
            refused: sorted(loader.refused),
            checked: Checked {
                engine: means.engine.judgement(),
                pairs: loader.found_to_fit,
            },
        })
    } else {
        Err(loader.all_faults())
    }
}

/// What only loading shows to be wrong, also with what could be read of a
/// configuration that has other faults.
pub async fn faults(config: &Config, engine: &Engine, store: Option<&Store>) -> Vec<Fault> {
    let means = Means {
        engine,
        decisions: &Decisions::default(),
        targets: &Targets::default(),
        store,
        before: None,
        pending: None,
    };
    load_all(config, &config.tenants, means).await.all_faults()
}

async fn load_all<'a>(
    config: &'a Config,
    tenants: &[TenantConfig],
    means: Means<'a>,
) -> Loader<'a> {
    let mut loader = Loader {
        config,
        means,
        surroundings: Digest::of(&[]),
        public_roots: None,
        ahead: Ahead::default(),
        checked: HashMap::new(),
        known_to_fit: HashSet::new(),
        found_to_fit: Vec::new(),
        tenants: Vec::new(),
        faults: Vec::new(),
        refused: Vec::new(),
    };
    loader.public_roots = loader.public_roots(config).await;
    loader.surroundings = loader.surroundings();
    let anew = tenants
        .iter()
        .filter(|tenant| loader.kept(tenant).is_none());
    loader.ahead = admit_all(config, means, anew).await;
    for tenant in tenants {
        let loaded = match loader.kept(tenant) {
            Some(kept) => Some(kept),
            None => loader.tenant(tenant).await.map(Arc::new),
        };
        loader.tenants.extend(loaded);
    }
    loader
}

/// By file and line, each once.
fn sorted<T: Ord>(mut faults: Vec<T>) -> Vec<T> {
    faults.sort();
    faults.dedup();
    faults
}

struct Loader<'a> {
    config: &'a Config,
    means: Means<'a>,
    /// Digest of what of the host goes into every tenant.
    surroundings: Digest,
    public_roots: Option<Arc<PublicRoots>>,
    /// Modules of the tenants that are still to be loaded.
    ahead: Ahead,
    /// What modules said of settings, by the digests of both: each check starts a
    /// process, and many policies have the same settings.
    checked: HashMap<(Digest, Digest), Vec<SettingsFault>>,
    /// Modules and settings of the tenant that is loaded of which the store knows that they
    /// fit.
    known_to_fit: HashSet<(Digest, Digest)>,
    /// Modules and settings of which it does not know yet.
    found_to_fit: Vec<(Digest, Digest)>,
    /// Those that could be loaded.
    tenants: Vec<Arc<Tenant>>,
    /// What stands in the way of a snapshot.
    faults: Vec<Fault>,
    /// What a snapshot goes without.
    refused: Vec<Refusal>,
}

/// The public roots that a host of this configuration takes.
///
/// # Errors
/// Every fault of the file that has them.
pub fn public_roots(config: &Config) -> Result<Arc<PublicRoots>, Vec<Fault>> {
    let named = config.tls.public_roots.as_ref();
    named.map_or_else(|| Ok(PublicRoots::bundled()), read_roots)
}

impl Loader<'_> {
    fn all_faults(self) -> Vec<Fault> {
        let refused = self.refused.into_iter().map(|refusal| refusal.fault);
        sorted(self.faults.into_iter().chain(refused).collect())
    }

    async fn public_roots(&mut self, config: &Config) -> Option<Arc<PublicRoots>> {
        let config = config.clone();
        match in_background(move || public_roots(&config)).await {
            Ok(roots) => Some(roots),
            Err(faults) => {
                self.faults.extend(faults);
                None
            }
        }
    }

    /// What of the host goes into every tenant beside the tenant's own document.
    fn surroundings(&self) -> Digest {
        let Config {
            hostname,
            maildirs,
            target,
            engine,
            ..
        } = self.config;
        let roots = self.public_roots.as_ref().map(|roots| roots.digest());
        let all = format!("{hostname} {maildirs:?} {target:?} {engine:?} {roots:?}");
        Digest::of(all.as_bytes())
    }

    /// What tells a loaded tenant from one that has to be loaded anew.
    fn origin(&self, config: &TenantConfig) -> Digest {
        let own = config.document.digest();
        Digest::of(&[self.surroundings.as_bytes().as_slice(), own.as_bytes()].concat())
    }

    /// The tenant as it is in force, if nothing of it has changed. One whose module was
    /// refused is loaded anew, since that may have had another cause than the module.
    fn kept(&self, config: &TenantConfig) -> Option<Arc<Tenant>> {
        let tenants = self.means.before?.tenants();
        let place = tenants.binary_search_by(|tenant| tenant.id.cmp(&config.id));
        let kept = &tenants[place.ok()?];
        let same = kept.is_whole() && kept.origin == self.origin(config);
        same.then(|| Arc::clone(kept))
    }

    /// `None` has been reported.
    async fn tenant(&mut self, config: &TenantConfig) -> Option<Tenant> {
        let trust = self.trust(config).await;
        let target = self.target(config, &config.inbound).await;
        let outbound = match &config.outbound {
            Some(outbound) => Some(self.target(config, outbound).await?),
            None => None,
        };
        let needed = needed(config);
        let named_modules = needed.len();
        let mut modules = self.modules(config, needed).await;
        let origin = self.origin(config);
        self.known_to_fit = self.known(config, &modules).await;
        for policy in &config.policies {
            self.check_settings(&config.id, policy, &mut modules).await;
        }
        Some(Tenant {
            id: config.id.clone(),
            domains: config.domains.clone(),
            contact: config.contact.clone(),
            webhook: config.webhook.clone(),
            default: config.default.clone(),
            exempt: config.exempt.clone(),
            sources: config.sources.value.clone(),
            target: target?,
            outbound,
            trust: Arc::new(trust?),
            lists: Arc::new(config.lists.clone()),
            policies: config
                .policies
                .iter()
                .map(|read| read.policy.clone())
                .collect(),
            document: config.document.digest(),
            origin,
            named_modules,
            series: self.means.decisions.tenant(
                &config.id,
                config.policies.iter().map(|read| &read.policy.name),
            ),
            modules,
            revisions: config
                .policies
                .iter()
                .map(|read| (read.policy.name.clone(), read.policy.digest()))
                .collect(),
        })
    }

    async fn trust(&mut self, config: &TenantConfig) -> Option<TrustStore> {
        let roots = self.public_roots.clone();
        let trust = config.trust.clone();
        match in_background(move || build_trust(&trust, roots)).await {
            Ok(store) => Some(store),
            Err(faults) => {
                self.faults.extend(faults);
                None
            }
        }
    }

    /// `None` has been reported.
    async fn target(
        &mut self,
        tenant: &TenantConfig,
        configured: &TargetConfig,
    ) -> Option<Arc<Target>> {
        let settings = match configured {
            TargetConfig::Maildir { delivery_timeout } => TargetSettings::Maildir {
                path: self.config.maildirs.join(tenant.id.as_str()),
                delivery_timeout: *delivery_timeout,
            },
            TargetConfig::Discard => {
                tracing::warn!(tenant.id = %tenant.id, "mail of this tenant is accepted and thrown away, as its target says");
                TargetSettings::Discard
            }
            TargetConfig::NextHop(hop) => TargetSettings::NextHop(NextHop {
                protocol: hop.protocol,
                address: hop.address.clone(),
                tls: self.hop_tls(&hop.tls).await?,
                connections: hop.connections,
                keep_idle: hop.keep_idle,
                connect_timeout: hop.connect_timeout,
                command_timeout: hop.command_timeout,
                delivery_timeout: hop.delivery_timeout,
            }),
        };
        let hostname = self.config.hostname.as_str();
        Some(self.means.targets.get(settings, hostname))
    }

    /// `None` has been reported.
    async fn hop_tls(&mut self, config: &HopTlsConfig) -> Option<HopTls> {
        match config {
            HopTlsConfig::None => Some(HopTls::None),
            HopTlsConfig::Opportunistic => Some(HopTls::Opportunistic),
            HopTlsConfig::Verified { name, anchors } => {
                let texts = anchors.clone();
                match in_background(move || read_anchors(&texts)).await {
                    Ok(anchors) => Some(HopTls::Verified {
                        name: name.clone(),
                        anchors,
                    }),
                    Err(faults) => {
                        self.faults.extend(faults);
                        None
                    }
                }
            }
        }
    }

    /// The modules that could be admitted, or are to be; the others have been reported.
    async fn modules(&mut self, tenant: &TenantConfig, needed: Vec<Needed>) -> Modules {
        let mut modules = Modules::default();
        for needed in needed {
            let held = match self.pending(tenant, &needed) {
                Some(cell) => Some(Held::Pending(cell)),
                None => self.module(&tenant.id, &needed).await.map(Held::loaded),
            };
            let Some(held) = held else { continue };
            match needed.is_pinned {
                true => modules.pin(needed.name, held),
                false => modules.activate(needed.name, held),
            }
        }
        modules
    }

    /// The cell of a module that is left pending, which looks at settings when it can.
    fn pending(&self, tenant: &TenantConfig, needed: &Needed) -> Option<Arc<Pending>> {
        let OtherRevision { content, at } = &needed.revision;
        let key = (tenant.id.clone(), content.digest());
        let queue = self.means.pending?;
        if !self.ahead.pending.contains(&key) {
            return None;
        }
        let place = Place {
            tenant: tenant.id.clone(),
            name: needed.name.clone(),
            at: at.clone(),
        };
        let work = pending::Work {
            content: content.clone(),
            checks: checks(tenant, needed),
        };
        Some(Pending::new(place, work, queue))
    }

    /// `None` has been reported.
    async fn module(&mut self, tenant: &TenantId, needed: &Needed) -> Option<Arc<Module>> {
        let OtherRevision { content, at } = &needed.revision;
        let digest = content.digest();
        let admitted = match self.ahead.admitted.remove(&(tenant.clone(), digest)) {
            Some(admitted) => admitted,
            // Of a second module with the same bytes.
            None => admit(self.means, tenant, content).await,
        };
        let error = match admitted {
            Ok(Ok(module)) => return Some(module),
            Ok(Err(refused)) => refused,
            Err(error) => {
                self.faults.push(at.fault(error));
                return None;
            }
        };
        self.refused.push(Refusal {
            is_passing: error.is_passing(),
            fault: at.fault(error),
            tenant: tenant.clone(),
            module: needed.name.clone(),
            digest,
            is_of_settings: false,
        });
        None
    }
}

/// Reading files blocks, and sessions share these threads.
pub(crate) async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    let error = match tokio::task::spawn_blocking(work).await {
        Ok(done) => return done,
        Err(error) => error,
    };
    match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        // The runtime is ending, and with it whoever waits here.
        Err(_cancelled) => std::future::pending().await,
    }
}
