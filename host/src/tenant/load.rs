//! From the checked configuration to a snapshot: certificates are read, modules are
//! admitted, settings are checked by the modules they are for.
//!
//! **Every fault is reported**, as the configuration reports its own; a configuration
//! with faults gives no snapshot, so what was loaded before stays in force.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use super::{Snapshot, Tenant};
use crate::config::{
    self, Config, Fault, Located, ModuleConfig, PolicyConfig, ReadError, TenantConfig,
};
use crate::digest::Digest;
use crate::engine::{AdmissionError, Engine, Module, SettingsFault};
use crate::facts::TenantId;
use crate::policy::{Choice, Name};
use crate::tls::pem::{self, PemError};
use crate::tls::{PublicRoots, TrustError, TrustSettings, TrustStore};

/// Loads all tenants.
///
/// # Errors
/// Every fault, by file and line.
pub async fn load(config: &Config, engine: &Engine) -> Result<Snapshot, Vec<Fault>> {
    let (tenants, faults) = load_all(config, engine).await;
    if faults.is_empty() {
        Ok(Snapshot::new(tenants, config.default.clone()))
    } else {
        Err(faults)
    }
}

/// What only loading shows to be wrong, also with what could be read of a
/// configuration that has other faults.
pub async fn faults(config: &Config, engine: &Engine) -> Vec<Fault> {
    load_all(config, engine).await.1
}

async fn load_all(config: &Config, engine: &Engine) -> (Vec<Arc<Tenant>>, Vec<Fault>) {
    let mut loader = Loader {
        engine,
        module_size: config.engine.module_size as u64,
        public_roots: None,
        checked: HashMap::new(),
        faults: Vec::new(),
    };
    loader.public_roots = loader.public_roots(config).await;
    let mut tenants = Vec::new();
    for tenant in &config.tenants {
        tenants.extend(loader.tenant(tenant).await.map(Arc::new));
    }
    loader.faults.sort();
    loader.faults.dedup();
    (tenants, loader.faults)
}

struct Loader<'a> {
    engine: &'a Engine,
    /// Largest module in bytes.
    module_size: u64,
    public_roots: Option<Arc<PublicRoots>>,
    /// What modules said of settings, by the digests of both: each check starts a
    /// process, and many policies have the same settings.
    checked: HashMap<(Digest, Digest), Vec<SettingsFault>>,
    faults: Vec<Fault>,
}

impl Loader<'_> {
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
        let modules = self.modules(config).await;
        for policy in &config.policies {
            self.check_settings(policy, &modules).await;
        }
        Some(Tenant {
            id: config.id.clone(),
            domains: config.domains.clone(),
            contact: config.contact.clone(),
            default: config.default.clone(),
            on_failure: config.on_failure,
            trust: Arc::new(trust?),
            lists: Arc::new(config.lists.clone()),
            policies: config
                .policies
                .iter()
                .map(|read| read.policy.clone())
                .collect(),
            modules,
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

    /// The modules that could be admitted; the others have been reported.
    async fn modules(&mut self, config: &TenantConfig) -> BTreeMap<Name, Arc<Module>> {
        let mut modules = BTreeMap::new();
        for module in &config.modules {
            match self.module(&config.id, module).await {
                Ok(admitted) => {
                    modules.insert(module.name.clone(), admitted);
                }
                Err(fault) => self.faults.push(fault),
            }
        }
        modules
    }

    async fn module(&self, tenant: &TenantId, named: &ModuleConfig) -> Result<Arc<Module>, Fault> {
        let at = &named.path.at;
        let (path, limit) = (named.path.value.clone(), self.module_size);
        let bytes = in_background(move || config::read(&path, limit))
            .await
            .map_err(|error| match error {
                ReadError::TooLarge { .. } => at.fault(format_args!(
                    "{error}: build it with optimisation, and strip it"
                )),
                error => at.fault(error),
            })?;
        self.engine
            .admit(tenant, &bytes)
            .await
            .map_err(|error| at.fault(error))
    }

    /// Nothing to check without settings, or without the module, which was reported.
    async fn check_settings(&mut self, read: &PolicyConfig, modules: &BTreeMap<Name, Arc<Module>>) {
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
            Err(error) => self.faults.push(settings.at.fault(error)),
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
