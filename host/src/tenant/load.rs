//! From the checked configuration to a snapshot: certificates are read, modules are
//! admitted, settings are checked by the modules they are for.
//!
//! **Every fault is reported**, as the configuration reports its own; a configuration
//! with faults gives no snapshot, so what was loaded before stays in force.
//!
//! **A module that is refused is its tenant's trouble alone**: it is left out, and the
//! policies that name it fail as they have chosen to. What was admitted yesterday may be
//! refused after an upgrade of the host, which must not take everybody's mail with it.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use rustls_pki_types::CertificateDer;

use super::{Snapshot, Tenant};
use crate::config::{
    self, Config, Fault, HopTlsConfig, Located, ModuleConfig, PolicyConfig, ReadError,
    TargetConfig, TenantConfig,
};
use crate::deliver::{HopTls, NextHop, Target, TargetSettings, Targets};
use crate::digest::Digest;
use crate::engine::{AdmissionError, Engine, Module, SettingsFault};
use crate::facts::TenantId;
use crate::metrics::decisions::Decisions;
use crate::name::Name;
use crate::policy::Choice;
use crate::tls::pem::{self, PemError};
use crate::tls::{PublicRoots, TrustError, TrustSettings, TrustStore};

/// A snapshot, and what is missing from it.
#[derive(Debug)]
pub struct Loaded {
    /// All tenants.
    pub snapshot: Snapshot,
    /// Modules that were refused and left out, by file and line.
    pub refused: Vec<Fault>,
}

/// Loads all tenants. What their policies decide is counted in `decisions`, where counts
/// of policies that were there before go on.
///
/// # Errors
/// Every fault, by file and line, unless all of them are modules that were refused.
pub async fn load(
    config: &Config,
    engine: &Engine,
    decisions: &Decisions,
    targets: &Targets,
) -> Result<Loaded, Vec<Fault>> {
    let loader = load_all(config, engine, decisions, targets).await;
    if loader.faults.is_empty() {
        Ok(Loaded {
            snapshot: Snapshot::new(loader.tenants, config.default.clone()),
            refused: sorted(loader.refused),
        })
    } else {
        Err(loader.all_faults())
    }
}

/// What only loading shows to be wrong, also with what could be read of a
/// configuration that has other faults.
pub async fn faults(config: &Config, engine: &Engine) -> Vec<Fault> {
    let (decisions, targets) = (Decisions::default(), Targets::default());
    load_all(config, engine, &decisions, &targets)
        .await
        .all_faults()
}

async fn load_all<'a>(
    config: &'a Config,
    engine: &'a Engine,
    decisions: &'a Decisions,
    targets: &'a Targets,
) -> Loader<'a> {
    let mut loader = Loader {
        config,
        engine,
        decisions,
        targets,
        module_size: config.engine.module_size as u64,
        public_roots: None,
        checked: HashMap::new(),
        tenants: Vec::new(),
        faults: Vec::new(),
        refused: Vec::new(),
    };
    loader.public_roots = loader.public_roots(config).await;
    for tenant in &config.tenants {
        let tenant = loader.tenant(tenant).await;
        loader.tenants.extend(tenant.map(Arc::new));
    }
    loader
}

/// By file and line, each once.
fn sorted(mut faults: Vec<Fault>) -> Vec<Fault> {
    faults.sort();
    faults.dedup();
    faults
}

struct Loader<'a> {
    config: &'a Config,
    engine: &'a Engine,
    decisions: &'a Decisions,
    targets: &'a Targets,
    /// Largest module in bytes.
    module_size: u64,
    public_roots: Option<Arc<PublicRoots>>,
    /// What modules said of settings, by the digests of both: each check starts a
    /// process, and many policies have the same settings.
    checked: HashMap<(Digest, Digest), Vec<SettingsFault>>,
    /// Those that could be loaded.
    tenants: Vec<Arc<Tenant>>,
    /// What stands in the way of a snapshot.
    faults: Vec<Fault>,
    /// What a snapshot goes without.
    refused: Vec<Fault>,
}

impl Loader<'_> {
    fn all_faults(self) -> Vec<Fault> {
        sorted([self.faults, self.refused].concat())
    }

    async fn public_roots(&mut self, config: &Config) -> Option<Arc<PublicRoots>> {
        let Some(named) = config.tls.public_roots.clone() else {
            return Some(PublicRoots::bundled());
        };
        match in_background(move || read_roots(&named)).await {
            Ok(roots) => Some(roots),
            Err(faults) => {
                self.faults.extend(faults);
                None
            }
        }
    }

    /// `None` has been reported.
    async fn tenant(&mut self, config: &TenantConfig) -> Option<Tenant> {
        let trust = self.trust(config).await;
        let target = self.target(config, &config.inbound).await;
        let outbound = match &config.outbound {
            Some(outbound) => Some(self.target(config, outbound).await?),
            None => None,
        };
        let mut modules = self.modules(config).await;
        for policy in &config.policies {
            self.check_settings(policy, &mut modules).await;
        }
        Some(Tenant {
            id: config.id.clone(),
            domains: config.domains.clone(),
            contact: config.contact.clone(),
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
            series: self.decisions.tenant(
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
        Some(self.targets.get(settings, hostname))
    }

    /// `None` has been reported.
    async fn hop_tls(&mut self, config: &HopTlsConfig) -> Option<HopTls> {
        match config {
            HopTlsConfig::None => Some(HopTls::None),
            HopTlsConfig::Opportunistic => Some(HopTls::Opportunistic),
            HopTlsConfig::Verified { name, anchors } => {
                let files = anchors.clone();
                match in_background(move || read_anchors(&files)).await {
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

    /// The modules that could be admitted; the others have been reported.
    async fn modules(&mut self, config: &TenantConfig) -> BTreeMap<Name, Arc<Module>> {
        let mut modules = BTreeMap::new();
        for module in &config.modules {
            if let Some(admitted) = self.module(&config.id, module).await {
                modules.insert(module.name.clone(), admitted);
            }
        }
        modules
    }

    /// `None` has been reported.
    async fn module(&mut self, tenant: &TenantId, named: &ModuleConfig) -> Option<Arc<Module>> {
        let at = &named.path.at;
        let (path, limit) = (named.path.value.clone(), self.module_size);
        match in_background(move || config::read(&path, limit)).await {
            Ok(bytes) => match self.engine.admit(tenant, &bytes).await {
                Ok(module) => return Some(module),
                Err(error) => self.refused.push(at.fault(error)),
            },
            Err(error @ ReadError::TooLarge { .. }) => self.refused.push(at.fault(format_args!(
                "{error}: build it with optimisation, and strip it"
            ))),
            Err(error) => self.faults.push(at.fault(error)),
        }
        None
    }

    /// Nothing to check without settings, or without the module, which was reported. A
    /// module that cannot be asked about its settings is not to be asked about mail.
    async fn check_settings(
        &mut self,
        read: &PolicyConfig,
        modules: &mut BTreeMap<Name, Arc<Module>>,
    ) {
        let (Choice::Module(consultation), Some(settings)) = (&read.policy.option, &read.settings)
        else {
            return;
        };
        let Some(module) = modules.get(&consultation.module) else {
            return;
        };
        let key = (module.digest(), consultation.settings_digest);
        match self.checked(key, module, &settings.value).await {
            Ok(found) => self
                .faults
                .extend(found.iter().map(|f| settings.fault(&f.path, &f.message))),
            Err(error) => {
                self.refused.push(settings.at.fault(error));
                modules.remove(&consultation.module);
            }
        }
    }

    async fn checked(
        &mut self,
        key: (Digest, Digest),
        module: &Module,
        settings: &serde_json::Value,
    ) -> Result<Vec<SettingsFault>, AdmissionError> {
        if let Some(known) = self.checked.get(&key) {
            return Ok(known.clone());
        }
        let found = self.engine.check_settings(module, settings).await?;
        self.checked.insert(key, found.clone());
        Ok(found)
    }
}

/// Reading files blocks, and sessions share these threads.
async fn in_background<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
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

fn read_roots(named: &Located<PathBuf>) -> Result<Arc<PublicRoots>, Vec<Fault>> {
    let certificates =
        pem::certificates(&named.value).map_err(|error| vec![named.at.fault(error)])?;
    PublicRoots::from_certificates(&certificates)
        .map_err(|errors| errors.iter().map(|e| named.at.fault(e)).collect())
}

/// The certificates of all files, each of which can be a trust anchor.
fn read_anchors(files: &[Located<PathBuf>]) -> Result<Vec<CertificateDer<'static>>, Vec<Fault>> {
    let mut faults = Vec::new();
    let read = read_all(files, pem::certificates, &mut faults);
    for (certificate, file) in &read {
        if let Err(error) = webpki::anchor_from_trusted_cert(certificate) {
            faults.push(
                file.at
                    .fault(format_args!("not the certificate of an authority: {error}")),
            );
        }
    }
    if faults.is_empty() {
        Ok(read
            .into_iter()
            .map(|(certificate, _)| certificate)
            .collect())
    } else {
        Err(faults)
    }
}

fn build_trust(
    config: &config::TrustConfig,
    public_roots: Option<Arc<PublicRoots>>,
) -> Result<TrustStore, Vec<Fault>> {
    let mut faults = Vec::new();
    let anchors = read_all(&config.anchors, pem::certificates, &mut faults);
    let lists = read_all(&config.crls, pem::revocation_lists, &mut faults);
    let (anchors, anchor_files) = unzip(anchors);
    let (revocation_lists, list_files) = unzip(lists);
    let store = TrustStore::new(TrustSettings {
        anchors,
        revocation_lists,
        pins: config.pins.clone(),
        self_signed: config.self_signed,
        public_roots: public_roots.filter(|_| config.public_roots),
    });
    match store {
        Ok(store) if faults.is_empty() => Ok(store),
        Ok(_) => Err(faults),
        Err(errors) => {
            faults.extend(errors.iter().filter_map(|error| {
                let file = file_of(error, &anchor_files, &list_files)?;
                Some(file.at.fault(error))
            }));
            Err(faults)
        }
    }
}

type Read<'a, T> = Vec<(T, &'a Located<PathBuf>)>;

/// What the files hold, each part with its file.
fn read_all<'a, T>(
    files: &'a [Located<PathBuf>],
    read: impl Fn(&std::path::Path) -> Result<Vec<T>, PemError>,
    faults: &mut Vec<Fault>,
) -> Read<'a, T> {
    let mut all = Vec::new();
    for file in files {
        match read(&file.value) {
            Ok(parts) => all.extend(parts.into_iter().map(|part| (part, file))),
            Err(error) => faults.push(file.at.fault(error)),
        }
    }
    all
}

fn unzip<T>(read: Read<'_, T>) -> (Vec<T>, Vec<&Located<PathBuf>>) {
    read.into_iter().unzip()
}

/// Errors count from one, over all files.
fn file_of<'a>(
    error: &TrustError,
    anchors: &[&'a Located<PathBuf>],
    lists: &[&'a Located<PathBuf>],
) -> Option<&'a Located<PathBuf>> {
    let (files, position) = match error {
        TrustError::Anchor { position, .. } => (anchors, position),
        TrustError::RevocationList { position, .. } => (lists, position),
    };
    files.get(position.checked_sub(1)?).copied()
}
