//! `portcullis check`.

use std::path::Path;

use crate::config::{Config, Examined, Fault};
use crate::engine::Engine;
use crate::privileges;
use crate::server::StartError;
use crate::tenant;
use crate::tls::Identity;

/// Checks everything that `serve` would load, and loads what it can even where the
/// configuration has faults: the operator sees all of them in one run.
pub(super) async fn check(path: &Path) -> anyhow::Result<()> {
    let Examined { config, mut faults } = Config::examine(path);
    let Some(config) = config else {
        return Err(all(&faults));
    };
    let (listeners, tenants) = (config.listeners.len(), config.tenants.len());
    faults.extend(certificate_faults(&config));
    faults.extend(resolver_fault(&config));
    faults.extend(
        privileges::account(&config.process)
            .err()
            .unwrap_or_default(),
    );
    let warnings = crate::config::warnings(&config);
    faults.extend(tenant_faults(config).await?);
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
        counted(tenants, "tenant")
    );
    Ok(())
}

/// Modules are compiled in a scratch cache, so that checking needs no right to write
/// where the host keeps its data.
async fn tenant_faults(mut config: Config) -> anyhow::Result<Vec<Fault>> {
    let scratch = tempfile::tempdir()?;
    config.engine.cache = scratch.path().join("modules");
    let engine = Engine::new(config.engine.clone())?;
    Ok(tenant::faults(&config, &engine).await)
}

fn certificate_faults(config: &Config) -> impl Iterator<Item = Fault> {
    config.tls.certificates.iter().filter_map(|files| {
        let loaded = Identity::load(&files.chain.value, &files.key.value);
        loaded.err().map(|error| files.chain.at.fault(error))
    })
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
