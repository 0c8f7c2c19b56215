//! Making the store equal to a tree of files while the host runs.
//!
//! As with a reload: **all or nothing**, one at a time, and a transaction keeps the
//! tenants it began with. Tenants that do not change are not loaded again. **Nobody else's
//! change waits for the modules of a tree**: it is loaded beside what is in force, and only
//! then everything else is held up, for as long as the disk takes to write. A tenant that
//! somebody has changed meanwhile, and that the tree would change, is refused as stale;
//! one that the tree leaves as it was keeps what has become of it.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::preparation::Preparation;
use super::reload::{ReloadError, Reloader, State, in_background, means, news};
use crate::config::{Authority, TenantConfig};
use crate::digest::Digest;
use crate::facts::TenantId;
use crate::host::Host;
use crate::store::{Edit, StoreError};
use crate::tenant::{self, Loaded, Snapshot};

/// Who changes the store in the name of such a tree.
const APPLY: &str = "apply";

/// What was done.
#[derive(Clone, Debug)]
pub struct Applied {
    /// A line for each change.
    pub changes: Vec<String>,
    /// What is no fault and is hardly meant: a line each.
    pub warnings: Vec<String>,
    /// What tells these changes from all others.
    pub plan: Digest,
    /// How long it took until it was in force; none where it was not to be.
    pub took: Option<Duration>,
}

impl Reloader {
    /// Makes the tenants those of this tree and no others, in the store and in force; or
    /// only says what would change. Where somebody has seen a plan, that and nothing else is
    /// done.
    ///
    /// # Errors
    /// Every fault of the tree, what is wrong with the store, that it would be another plan,
    /// or that files have the last word. Then nothing has changed.
    pub async fn apply(
        &self,
        directory: &Path,
        dry_run: bool,
        seen: Option<Digest>,
    ) -> Result<Applied, ReloadError> {
        tokio::select! {
            biased;
            () = self.shutdown.draining() => Err(ReloadError::Stopping),
            // It is large, and nothing else of this waits.
            applied = Box::pin(self.make_equal(directory, dry_run, seen)) => applied,
        }
    }

    async fn make_equal(
        &self,
        directory: &Path,
        dry_run: bool,
        seen: Option<Digest>,
    ) -> Result<Applied, ReloadError> {
        let began = Instant::now();
        let _one_at_a_time = self.loading.lock().await;
        let host = self.host.upgrade().ok_or(ReloadError::Stopping)?;
        let tenants = self.read_tree(directory).await?;
        let Planned { edits, before } = self.plan(&host, &tenants).await?;
        let plan = Edit::plan(&edits);
        if seen.is_some_and(|seen| seen != plan) {
            return Err(ReloadError::Planned);
        }
        self.read_back(&edits).await?;
        let loaded = tenant::load(&self.config(), &tenants, means(&host, &before)).await;
        let loaded = loaded.map_err(ReloadError::Faults)?;
        let mut state = self.state.lock().await;
        let news = news(&loaded.refused, &state.refused(&host));
        if !news.is_empty() {
            return Err(ReloadError::Faults(news));
        }
        let changes = edits.iter().flat_map(Edit::lines).collect();
        let warnings = shared_sources(&loaded.snapshot, &before);
        if dry_run {
            return Ok(Applied {
                changes,
                warnings,
                plan,
                took: None,
            });
        }
        let done = host.store.carry_out(&edits, &loaded.checked, APPLY).await;
        done.map_err(|error| match error {
            StoreError::Stale(_) if seen.is_some() => ReloadError::Planned,
            error => error.into(),
        })?;
        put_in_force(&host, &before, loaded, &mut state);
        let took = began.elapsed();
        tracing::info!(
            tenants = edits.len(),
            ?took,
            "the store was made equal to a tree of files"
        );
        Ok(Applied {
            changes,
            warnings,
            plan,
            took: Some(took),
        })
    }

    /// What makes the store equal to these, and the tenants in force that it is founded on:
    /// both of one moment.
    async fn plan(&self, host: &Host, tenants: &[TenantConfig]) -> Result<Planned, ReloadError> {
        let documents: Vec<_> = tenants
            .iter()
            .map(|tenant| Arc::clone(&tenant.document))
            .collect();
        let _nobody_changes_anything = self.state.lock().await;
        Ok(Planned {
            edits: host.store.plan(&documents).await?,
            before: host.snapshot.load_full(),
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
}

/// What tenants whose sources are new have in common with others.
fn shared_sources(loaded: &Snapshot, before: &Snapshot) -> Vec<String> {
    let tenants = loaded.tenants().iter();
    let warnings = tenants.map(|tenant| loaded.shared_sources(tenant, before));
    warnings.flatten().collect()
}

/// What is to be done, and what it is founded on.
struct Planned {
    edits: Vec<Edit>,
    before: Arc<Snapshot>,
}

/// Puts in force what was loaded, but for tenants that somebody has changed since `before`.
fn put_in_force(host: &Host, before: &Snapshot, loaded: Loaded, state: &mut State) {
    let now = host.snapshot.load_full();
    let next = now.overtaking(before, &loaded.snapshot);
    let is_kept = |id: &TenantId| !Snapshot::agree_on(id, &now, before);
    state.refused.retain(|refusal| is_kept(&refusal.tenant));
    let refused = loaded.refused.into_iter();
    state
        .refused
        .extend(refused.filter(|refusal| !is_kept(&refusal.tenant)));
    state.preparation = Preparation::of(&next);
    host.snapshot.store(Arc::new(next));
    host.shadows.look_again();
}
