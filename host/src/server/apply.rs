//! Making the store equal to a tree of files while the host runs.
//!
//! As with a reload: **all or nothing**, one at a time, and a transaction keeps the
//! tenants it began with. Tenants that do not change are not loaded again.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::preparation::Preparation;
use super::reload::{ReloadError, Reloader, State, in_background, means, news};
use crate::config::{Authority, TenantConfig};
use crate::host::Host;
use crate::store::Edit;
use crate::tenant::{self, Loaded};

/// Who changes the store in the name of such a tree.
const APPLY: &str = "apply";

/// What was done.
#[derive(Clone, Debug)]
pub struct Applied {
    /// A line for each change.
    pub changes: Vec<String>,
    /// How long it took until it was in force; none where it was not to be.
    pub took: Option<Duration>,
}

impl Reloader {
    /// Makes the tenants those of this tree and no others, in the store and in force; or
    /// only says what would change.
    ///
    /// # Errors
    /// Every fault of the tree, what is wrong with the store, or that files have the
    /// last word. Then nothing has changed.
    pub async fn apply(&self, directory: &Path, dry_run: bool) -> Result<Applied, ReloadError> {
        tokio::select! {
            biased;
            () = self.shutdown.draining() => Err(ReloadError::Stopping),
            // It is large, and nothing else of this waits.
            applied = Box::pin(self.make_equal(directory, dry_run)) => applied,
        }
    }

    async fn make_equal(&self, directory: &Path, dry_run: bool) -> Result<Applied, ReloadError> {
        let began = Instant::now();
        let mut state = self.state.lock().await;
        let host = self.host.upgrade().ok_or(ReloadError::Stopping)?;
        let tenants = self.read_tree(directory).await?;
        let documents: Vec<_> = tenants
            .iter()
            .map(|tenant| Arc::clone(&tenant.document))
            .collect();
        let edits = host.store.plan(&documents).await?;
        self.read_back(&edits).await?;
        let loaded = self.load_tree(&host, &state, &tenants).await?;
        let changes = edits.iter().flat_map(Edit::lines).collect();
        if dry_run {
            return Ok(Applied {
                changes,
                took: None,
            });
        }
        host.store.carry_out(&edits, &loaded.checked, APPLY).await?;
        state.refused = loaded.refused;
        state.preparation = Preparation::of(&loaded.snapshot);
        host.snapshot.store(Arc::new(loaded.snapshot));
        host.shadows.look_again();
        let took = began.elapsed();
        tracing::info!(
            tenants = edits.len(),
            ?took,
            "the store was made equal to a tree of files"
        );
        Ok(Applied {
            changes,
            took: Some(took),
        })
    }

    async fn read_tree(&self, directory: &Path) -> Result<Vec<TenantConfig>, ReloadError> {
        let config = self.config();
        if let Authority::Files(files) = &config.authority {
            return Err(ReloadError::Files(files.clone()));
        }
        let directory = directory.to_owned();
        let read = in_background(move || config.read_tree(&directory)).await?;
        read.map_err(ReloadError::Faults)
    }

    /// What the next start would not take of the store does not get there: a document is
    /// written in another way than its file, and the reader has limits.
    async fn read_back(&self, edits: &[Edit]) -> Result<(), ReloadError> {
        let config = self.config();
        let after: Vec<_> = edits.iter().filter_map(|edit| edit.after.clone()).collect();
        let read = in_background(move || config.read_stored(&after).map(drop)).await?;
        read.map_err(ReloadError::Faults)
    }

    async fn load_tree(
        &self,
        host: &Host,
        state: &State,
        tenants: &[TenantConfig],
    ) -> Result<Loaded, ReloadError> {
        let before = host.snapshot.load_full();
        let loaded = tenant::load(&self.config(), tenants, means(host, &before)).await;
        let loaded = loaded.map_err(ReloadError::Faults)?;
        let news = news(&loaded.refused, &state.refused(host));
        if news.is_empty() {
            Ok(loaded)
        } else {
            Err(ReloadError::Faults(news))
        }
    }
}
