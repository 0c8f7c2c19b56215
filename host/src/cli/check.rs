//! `portcullis check`.

use std::path::Path;

use crate::config::{Config, Fault};
use crate::engine::Engine;
use crate::server;
use crate::tenant;

/// Checks everything that `serve` would load. Modules are compiled in a scratch
/// cache, so that checking needs no right to write where the host keeps its data.
pub(super) async fn check(path: &Path) -> anyhow::Result<()> {
    let mut config = config(path)?;
    let scratch = tempfile::tempdir()?;
    config.engine.cache = scratch.path().join("modules");
    let engine = Engine::new(config.engine.clone())?;
    let snapshot = tenant::load(&config, &engine)
        .await
        .map_err(|faults| all(&faults))?;
    if !config.tls.certificates.is_empty() {
        server::tls_server(&config)?;
    }
    println!(
        "ok: {} listeners, {} tenants",
        config.listeners.len(),
        snapshot.tenants().len()
    );
    Ok(())
}

/// The configuration, or all of its faults.
pub(super) fn config(path: &Path) -> anyhow::Result<Config> {
    Config::read(path).map_err(|faults| all(&faults))
}

fn all(faults: &[Fault]) -> anyhow::Error {
    for fault in faults {
        eprintln!("{fault}");
    }
    anyhow::anyhow!(
        "{} {}",
        faults.len(),
        if faults.len() == 1 { "fault" } else { "faults" }
    )
}
