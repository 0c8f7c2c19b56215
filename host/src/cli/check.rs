//! `portcullis check`.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Context;

use crate::config::{Authority, Config, Examined, Fault, TenantConfig};
use crate::engine::Engine;
use crate::facts::unix_seconds;
use crate::privileges;
use crate::receipt::timestamp;
use crate::server::StartError;
use crate::store::Store;
use crate::tenant;
use crate::tls::Identity;

/// Checks everything that `serve` would load, and loads what it can even where the
/// configuration has faults: the operator sees all of them in one run.
pub(super) async fn check(path: &Path) -> anyhow::Result<()> {
    let Examined { config, mut faults } = Config::examine(path);
    let Some(mut config) = config else {
        return Err(all(&faults));
    };
    let listeners = config.listeners.len();
    let certificates = Certificates::of(&config);
    faults.extend(certificates.faults);
    faults.extend(resolver_fault(&config));
    faults.extend(
        privileges::account(&config.process)
            .err()
            .unwrap_or_default(),
    );
    let tenants = match stored_tenants(&config).await? {
        Ok(tenants) => tenants,
        Err(found) => {
            faults.extend(found);
            Tenants::default()
        }
    };
    config.tenants.extend(tenants.stored);
    if faults.is_empty() && config.tenants.is_empty() {
        faults.extend(config.loss(kept(&config).await?));
    }
    let count = config.tenants.len();
    let mut warnings = crate::config::warnings(&config);
    warnings.extend(certificates.warnings);
    warnings.sort();
    faults.extend(tenant_faults(config, tenants.store.as_ref()).await?);
    if !faults.is_empty() {
        faults.sort();
        return Err(all(&faults));
    }
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
    println!(
        "ok: {}, {}",
        counted(listeners, "listener"),
        counted(count, "tenant")
    );
    Ok(())
}

/// Tenants that are not in files.
#[derive(Default)]
struct Tenants {
    stored: Vec<TenantConfig>,
    store: Option<Store>,
}

/// Those of the store, where there are no files and a host has run; or their faults.
async fn stored_tenants(config: &Config) -> anyhow::Result<Result<Tenants, Vec<Fault>>> {
    if config.authority != Authority::Store || !Store::is_there(&config.data_dir)? {
        return Ok(Ok(Tenants::default()));
    }
    let store = Store::read_at_this_moment(&config.data_dir).await?;
    let versions = store.versions().await?;
    let kept = store.documents(versions.keys(), |_| None).await?;
    let documents: Vec<_> = kept.into_iter().map(|kept| kept.document).collect();
    let tenants = config.read_stored(&documents);
    Ok(tenants.map(|stored| Tenants {
        stored,
        store: Some(store),
    }))
}

/// How many tenants the store has, if a host has run.
async fn kept(config: &Config) -> anyhow::Result<usize> {
    if !Store::is_there(&config.data_dir)? {
        return Ok(0);
    }
    let store = Store::read(&config.data_dir).await?;
    Ok(store.versions().await?.len())
}

/// The configuration with the tenants of the store, where these have the last word.
pub(super) async fn whole(path: &Path) -> anyhow::Result<Config> {
    let mut config = config(path)?;
    let tenants = stored_tenants(&config).await?;
    let tenants = tenants.map_err(|faults| all(&faults))?;
    config.tenants.extend(tenants.stored);
    Ok(config)
}

/// Modules are compiled in a scratch cache, so that checking needs no right to write
/// where the host keeps its data.
async fn tenant_faults(mut config: Config, store: Option<&Store>) -> anyhow::Result<Vec<Fault>> {
    let scratch = tempfile::tempdir()?;
    config.engine.cache = scratch.path().join("modules");
    let engine = Engine::new(config.engine.clone())?;
    Ok(tenant::faults(&config, &engine, store).await)
}

/// What there is to say of the host's certificates.
#[derive(Default)]
struct Certificates {
    faults: Vec<Fault>,
    warnings: Vec<Fault>,
}

impl Certificates {
    fn of(config: &Config) -> Self {
        let now = unix_seconds(SystemTime::now()).cast_signed();
        let admin = config.admin.iter().flat_map(|admin| &admin.tls);
        let mut found = Self::default();
        for files in config.tls.certificates.iter().chain(admin) {
            let at = &files.chain.at;
            match Identity::load(&files.chain.value, &files.key.value) {
                Ok(identity) => {
                    let end = identity.not_after();
                    if end < now {
                        let ended = timestamp(end.max(0).cast_unsigned());
                        let warning = format!("its certificate ended at {ended}: renew it");
                        found.warnings.push(at.fault(warning));
                    }
                }
                Err(error) => found.faults.push(at.fault(error)),
            }
        }
        found
    }
}

fn resolver_fault(config: &Config) -> Option<Fault> {
    let names = config.reverse_names.as_ref()?;
    let checked = names.value.check();
    checked.err().map(|error| names.at.fault(error))
}

/// The configuration, or all of its faults.
pub(super) fn config(path: &Path) -> anyhow::Result<Config> {
    Config::read(path).map_err(|faults| all(&faults))
}

/// The configuration of the host alone. Its tenants may have faults: what is kept in its
/// data directory is wanted most when something is wrong.
pub(super) fn host(path: &Path) -> anyhow::Result<Config> {
    Config::read_host(path).map_err(|faults| all(&faults))
}

/// The data directory that a configuration names.
pub(super) fn data_dir(path: &Path) -> anyhow::Result<PathBuf> {
    Ok(host(path)?.data_dir)
}

/// A path as a host knows it, which has a working directory of its own.
pub(super) fn named(path: &Path) -> anyhow::Result<String> {
    let path = std::path::absolute(path)?;
    let text = path.to_str();
    let text = text.with_context(|| format!("the path {} is not UTF-8", path.display()))?;
    Ok(text.to_owned())
}

/// Faults a line each, as `check` shows them.
pub(super) fn start_error(error: StartError) -> anyhow::Error {
    match error {
        StartError::Faults(faults) => all(&faults),
        other => other.into(),
    }
}

pub(super) fn all(faults: &[Fault]) -> anyhow::Error {
    for fault in faults {
        eprintln!("{fault}");
    }
    anyhow::anyhow!(counted(faults.len(), "fault"))
}

pub(super) fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}
