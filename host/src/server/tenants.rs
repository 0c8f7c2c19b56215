//! From the configuration and the store to tenants that can be put in force.
//!
//! **What does not load changes nothing**: tenants of files are loaded before the store
//! is made equal to them, so that the store never holds what the host would refuse.

use std::collections::HashMap;
use std::sync::Arc;

use super::StartError;
use crate::config::{Authority, Config, Fault};
use crate::digest::Digest;
use crate::lists::List;
use crate::metrics::Metrics;
use crate::store::{Edit, Store, StoreError};
use crate::tenant::{self, Loaded, Means, Snapshot};

/// Who changes the store in the name of the files.
const FILES: &str = "files";

/// Tenants that can be put in force, and what has to be done in the store before.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) loaded: Loaded,
    /// Or why it cannot be known.
    edits: Result<Vec<Edit>, StoreError>,
}

impl Ready {
    /// The same where these modules and settings were found to fit before.
    pub(super) fn knowing(mut self, found: Vec<(Digest, Digest)>) -> Self {
        self.loaded.checked.pairs.extend(found);
        self
    }
}

/// Why there are none.
#[derive(Debug)]
pub(super) enum TenantsError {
    Faults(Vec<Fault>),
    Store(StoreError),
}

impl From<StoreError> for TenantsError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<TenantsError> for StartError {
    fn from(error: TenantsError) -> Self {
        match error {
            TenantsError::Faults(faults) => Self::Faults(faults),
            TenantsError::Store(error) => Self::Store(error),
        }
    }
}

/// Loads the tenants of the files, or of the store where there are no files.
pub(super) async fn prepare(
    config: &Config,
    store: &Store,
    means: Means<'_>,
) -> Result<Ready, TenantsError> {
    let (loaded, edits) = match &config.authority {
        Authority::Files(_) => {
            let edits = match plan(config, store).await {
                Err(TenantsError::Store(error)) if error.is_passing() => Err(error),
                planned => Ok(planned?),
            };
            // What does not answer once is not asked again for each module.
            let store = means.store.filter(|_| edits.is_ok());
            let means = Means { store, ..means };
            (tenant::load(config, &config.tenants, means).await, edits)
        }
        Authority::Store => {
            let versions = store.versions().await?;
            let known = known_lists(means.before);
            let known = |digest| known.get(&digest).cloned();
            let kept = store.documents(versions.keys(), known).await?;
            let documents: Vec<_> = kept.into_iter().map(|kept| kept.document).collect();
            // It is much work where there are many.
            let host = config.clone();
            let read = tenant::in_background(move || host.read_stored(&documents)).await;
            let tenants = read.map_err(TenantsError::Faults)?;
            (tenant::load(config, &tenants, means).await, Ok(Vec::new()))
        }
    };
    let loaded = loaded.map_err(TenantsError::Faults)?;
    Ok(Ready { loaded, edits })
}

/// What makes the store equal to the files.
async fn plan(config: &Config, store: &Store) -> Result<Vec<Edit>, TenantsError> {
    if config.tenants.is_empty() {
        let lost = config.loss(store.versions().await?.len());
        lost.map_or(Ok(()), |fault| Err(TenantsError::Faults(vec![fault])))?;
    }
    let documents = config.tenants.iter().map(|tenant| &tenant.document);
    let wanted: Vec<_> = documents.map(Arc::clone).collect();
    Ok(store.plan(&wanted).await?)
}

/// The lists in force, which need not be read again.
fn known_lists(before: Option<&Snapshot>) -> HashMap<Digest, Arc<List>> {
    let tenants = before.into_iter().flat_map(Snapshot::tenants);
    let lists = tenants.flat_map(|tenant| tenant.lists.iter());
    lists
        .map(|(_, list)| (list.digest(), Arc::clone(list)))
        .collect()
}

/// Makes the store equal to the files, and notes what was checked. Mail does not wait for
/// a store that cannot be used just now where files have the last word: they are in force,
/// and the next start or reload makes up for it.
pub(super) async fn record(
    store: &Store,
    ready: Ready,
    metrics: &Metrics,
) -> Result<Loaded, StoreError> {
    let Ready { loaded, edits } = ready;
    let written = match edits {
        Ok(edits) => write(store, &edits, &loaded).await,
        Err(error) => Err(error),
    };
    match written {
        Err(error) if error.is_passing() => {
            metrics.store_behind(true);
            tracing::error!(%error, "the store could not be made equal to the files, which are in force");
        }
        written => {
            written?;
            metrics.store_behind(false);
            loaded.snapshot.is_stored();
        }
    }
    Ok(loaded)
}

async fn write(store: &Store, edits: &[Edit], loaded: &Loaded) -> Result<(), StoreError> {
    store.carry_out(edits, &loaded.checked, FILES).await?;
    let changes: usize = edits.iter().map(|edit| edit.changes.len()).sum();
    if changes > 0 {
        let tenants = edits.len();
        tracing::info!(tenants, changes, "the store was made equal to the files");
    }
    Ok(())
}
