//! Changing one tenant while the host runs, as administrators ask for it.
//!
//! **All or nothing**: what the host would refuse at its next start gets nowhere, and
//! what could not be written is not in force. **One at a time**, with reloads too: whoever
//! says on which revision a change is founded is never overtaken. Only the tenant that
//! changes is loaded; a transaction keeps the tenants it began with.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::reload::{ReloadError, Reloader, State, in_background, means, news};
use crate::config::{Authority, TenantDocument};
use crate::facts::TenantId;
use crate::host::Host;
use crate::store::{Checked, Edit, Kept, Subject};
use crate::tenant::{self, Loaded, Tenant};

/// A change that is asked for.
#[derive(Clone, Debug)]
pub struct Amendment {
    /// Whose.
    pub tenant: TenantId,
    /// Of what.
    pub part: Subject,
    /// Who asks, for the audit.
    pub who: String,
    /// Only say what would change.
    pub dry_run: bool,
}

/// What is there when a change begins.
#[derive(Debug)]
pub struct Current<'a> {
    /// The tenant; none where there is none of this id.
    pub document: Option<&'a TenantDocument>,
    /// The revision of the part; none where there is no such part.
    pub revision: Option<i64>,
}

/// A change that was made, or would be.
#[derive(Clone, Debug)]
pub struct Amended {
    /// A line for each difference; none where it was so already.
    pub changes: Vec<String>,
    /// How long it took until it was in force; none where it was not to be.
    pub took: Option<Duration>,
    /// The revision of the part now; none where it is gone.
    pub revision: Option<i64>,
}

impl Reloader {
    /// Changes one tenant. `change` is given what is there, and gives what is to be: none
    /// for no tenant any more. When this returns it is on disk and in force.
    ///
    /// # Errors
    /// What `change` says; every fault of what would be; what is wrong with the store; or
    /// that files have the last word. Then nothing has changed.
    pub async fn amend<E: From<ReloadError>>(
        &self,
        amendment: &Amendment,
        change: impl FnOnce(Current<'_>) -> Result<Option<TenantDocument>, E>,
    ) -> Result<Amended, E> {
        let began = Instant::now();
        let mut state = self.state.lock().await;
        let (host, before, revision) = self.current(amendment).await?;
        let wanted = change(Current {
            document: before.as_ref().map(|kept| &*kept.document),
            revision,
        })?;
        let edit = Edit::new(before, wanted.map(Arc::new));
        let Some(edit) = edit else {
            return Ok(Amended {
                changes: Vec::new(),
                took: (!amendment.dry_run).then(|| began.elapsed()),
                revision,
            });
        };
        // It is large, and nothing else of this waits.
        let amended = Box::pin(self.carry_out(amendment, &host, edit, &mut state, began)).await;
        Ok(amended?)
    }

    async fn current(
        &self,
        amendment: &Amendment,
    ) -> Result<(Arc<Host>, Option<Kept>, Option<i64>), ReloadError> {
        let host = self.host.upgrade().ok_or(ReloadError::Stopping)?;
        if let Authority::Files(files) = &self.config().authority {
            return Err(ReloadError::Files(files.clone()));
        }
        let id = &amendment.tenant;
        let snapshot = host.snapshot.load_full();
        let lists = snapshot.tenant(id).map(|tenant| Arc::clone(&tenant.lists));
        let known = |digest| {
            let mut lists = lists.iter().flat_map(|lists| lists.iter());
            let found = lists.find(|(_, list)| list.digest() == digest);
            found.map(|(_, list)| Arc::clone(list))
        };
        let kept = host.store.documents([id], known).await?.pop();
        let revision = host.store.revision(id, &amendment.part).await?;
        Ok((host, kept, revision))
    }

    async fn carry_out(
        &self,
        amendment: &Amendment,
        host: &Host,
        edit: Edit,
        state: &mut State,
        began: Instant,
    ) -> Result<Amended, ReloadError> {
        let loaded = match &edit.after {
            Some(after) => Some(self.load_one(host, Arc::clone(after), state).await?),
            None => None,
        };
        let changes = edit.lines();
        if amendment.dry_run {
            return Ok(Amended {
                changes,
                took: None,
                revision: None,
            });
        }
        let checked = loaded.as_ref().map(|loaded| loaded.checked.clone());
        let checked = checked.unwrap_or_else(|| Checked::nothing(host.engine.judgement()));
        let edits = [edit];
        let who = &amendment.who;
        host.store.carry_out(&edits, &checked, who).await?;
        let id = &amendment.tenant;
        state.refused.retain(|refusal| refusal.tenant != *id);
        let tenant = loaded.and_then(|loaded| {
            state.refused.extend(loaded.refused);
            loaded.snapshot.tenants().first().map(Arc::clone)
        });
        self.swap(host, id, tenant, state);
        let took = began.elapsed();
        tracing::info!(tenant.id = %id, what = %amendment.part, who, ?took, "a tenant was changed");
        Ok(Amended {
            changes,
            took: Some(took),
            // What was written can be read but for an accident of the disk, after which
            // whoever changes it again asks for the revision first.
            revision: host
                .store
                .revision(id, &amendment.part)
                .await
                .ok()
                .flatten(),
        })
    }

    /// The tenant alone, which has to be without a fault.
    async fn load_one(
        &self,
        host: &Host,
        document: Arc<TenantDocument>,
        state: &State,
    ) -> Result<Loaded, ReloadError> {
        let config = self.config();
        let before = host.snapshot.load_full();
        let reader = Arc::clone(&config);
        let read = in_background(move || reader.read_stored(&[document])).await?;
        let tenants = read.map_err(ReloadError::Faults)?;
        let loaded = tenant::load(&config, &tenants, means(host, &before)).await;
        let loaded = loaded.map_err(ReloadError::Faults)?;
        match news(&loaded.refused, &state.refused) {
            news if news.is_empty() => Ok(loaded),
            news => Err(ReloadError::Faults(news)),
        }
    }

    fn swap(&self, host: &Host, id: &TenantId, tenant: Option<Arc<Tenant>>, state: &mut State) {
        if let Some(tenant) = &tenant {
            state.preparation.add(tenant);
        }
        let next = host.snapshot.load().replacing(id, tenant);
        host.snapshot.store(Arc::new(next));
    }
}
