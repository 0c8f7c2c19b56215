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
use crate::store::{Edit, Store, StoreError};
use crate::tenant::{self, Loaded, Means, Snapshot};

/// Who changes the store in the name of the files.
const FILES: &str = "files";

/// Tenants that can be put in force, and what has to be done in the store before.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) loaded: Loaded,
    pub(super) edits: Vec<Edit>,
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
            if config.tenants.is_empty() {
                let lost = config.loss(store.versions().await?.len());
                lost.map_or(Ok(()), |fault| Err(TenantsError::Faults(vec![fault])))?;
            }
            let loaded = tenant::load(config, &config.tenants, means).await;
            let wanted: Vec<_> = config
                .tenants
                .iter()
                .map(|tenant| Arc::clone(&tenant.document))
                .collect();
            (loaded, store.plan(&wanted).await?)
        }
        Authority::Store => {
            let versions = store.versions().await?;
            let known = known_lists(means.before);
            let known = |digest| known.get(&digest).cloned();
            let kept = store.documents(versions.keys(), known).await?;
            let documents: Vec<_> = kept.into_iter().map(|kept| kept.document).collect();
            let tenants = config.read_stored(&documents);
            let tenants = tenants.map_err(TenantsError::Faults)?;
            (tenant::load(config, &tenants, means).await, Vec::new())
        }
    };
    let loaded = loaded.map_err(TenantsError::Faults)?;
    Ok(Ready { loaded, edits })
}

/// The lists in force, which need not be read again.
fn known_lists(before: Option<&Snapshot>) -> HashMap<Digest, Arc<List>> {
    let tenants = before.into_iter().flat_map(Snapshot::tenants);
    let lists = tenants.flat_map(|tenant| tenant.lists.iter());
    lists
        .map(|(_, list)| (list.digest(), Arc::clone(list)))
        .collect()
}

/// Makes the store equal to the files, and notes what was checked.
pub(super) async fn record(store: &Store, ready: &Ready) -> Result<(), StoreError> {
    let Ready { loaded, edits } = ready;
    store.carry_out(edits, &loaded.checked, FILES).await?;
    let changes: usize = edits.iter().map(|edit| edit.changes.len()).sum();
    if changes > 0 {
        let tenants = edits.len();
        tracing::info!(tenants, changes, "the store was made equal to the files");
    }
    Ok(())
}
