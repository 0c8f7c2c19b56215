//! Changing one tenant while the host runs, as administrators ask for it.
//!
//! **All or nothing**: what the host would refuse at its next start gets nowhere, and
//! what could not be written is not in force. **One at a time of each tenant**: whoever
//! says on which revision a change is founded is never overtaken. **Nobody waits for
//! another's modules**: only the tenant that changes is loaded, which may take as long as
//! its modules like, and only then everything else is held up, for as long as the disk
//! takes to write. A transaction keeps the tenants it began with.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::OwnedMutexGuard;
use tokio::time::timeout;

use super::reload::{ReloadError, Reloader, State, in_background, means, news};
use crate::config::{Authority, Config, TenantConfig, TenantDocument};
use crate::digest::Digest;
use crate::facts::TenantId;
use crate::host::Host;
use crate::store::{Checked, Edit, Kept, StoreError, Subject};
use crate::tenant::{self, Loaded, Means, Tenant};

/// Longest that the modules of a change may take to look at their settings: whoever waits
/// for the answer has a minute.
const LOADING: Duration = Duration::from_secs(45);

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
    /// When it was asked for.
    pub asked: Instant,
}

/// What is there when a change begins.
#[derive(Clone, Debug)]
pub struct Current {
    /// The tenant; none where there is none of this id.
    pub document: Option<Arc<TenantDocument>>,
    /// The revision of the part; none where there is no such part.
    pub revision: Option<i64>,
    /// Where the part is a module: what was active before, for a roll back.
    pub previous: Option<Digest>,
}

/// A change that was made, or would be.
#[derive(Clone, Debug)]
pub struct Amended {
    /// A line for each difference; none where it was so already.
    pub changes: Vec<String>,
    /// What is no fault and is hardly meant, for operators: a line each.
    pub warnings: Vec<String>,
    /// How long it took from the question until it was in force; none where it was not
    /// to be.
    pub took: Option<Duration>,
    /// The revision of the part now; none where it is gone.
    pub revision: Option<i64>,
    /// Whether there was no such part before.
    pub is_new: bool,
}

/// Whose turn it is to change a tenant, for each that somebody changes just now.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<HashMap<TenantId, Weak<tokio::sync::Mutex<()>>>>);

/// What is there, and what is to be made of it.
struct Work {
    host: Arc<Host>,
    config: Arc<Config>,
    edit: Edit,
}

impl Reloader {
    /// Changes one tenant. `change` is given what is there, and gives what is to be: none
    /// for no tenant any more. It runs where it holds up nobody. When this returns it is on
    /// disk and in force.
    ///
    /// # Errors
    /// What `change` says; every fault of what would be; what is wrong with the store; or
    /// that files have the last word. Then nothing has changed.
    pub async fn amend<E: From<ReloadError> + Send + 'static>(
        &self,
        amendment: &Amendment,
        change: impl FnOnce(Current) -> Result<Option<TenantDocument>, E> + Send + 'static,
    ) -> Result<Amended, E> {
        let _turn = self.turn(&amendment.tenant).await;
        let host = self.host.upgrade().ok_or(ReloadError::Stopping)?;
        let config = self.config();
        if let Authority::Files(files) = &config.authority {
            return Err(ReloadError::Files(files.clone()).into());
        }
        let (before, current) = current(&host, amendment).await?;
        let revision = current.revision;
        // A hundred thousand entries are hashed and compared here.
        let edit = in_background(move || {
            let wanted = change(current)?;
            Ok::<_, E>(Edit::new(before, wanted.map(Arc::new)))
        });
        let Some(edit) = edit.await?? else {
            return Ok(Amended {
                changes: Vec::new(),
                warnings: Vec::new(),
                took: (!amendment.dry_run).then(|| amendment.asked.elapsed()),
                revision,
                is_new: revision.is_none(),
            });
        };
        let work = Work { host, config, edit };
        // It is large, and nothing else of this waits.
        let amended = Box::pin(self.carry_out(amendment, work)).await?;
        Ok(Amended {
            is_new: revision.is_none(),
            ..amended
        })
    }

    /// The turn to change a tenant, for as long as this is kept.
    pub async fn turn(&self, tenant: &TenantId) -> OwnedMutexGuard<()> {
        self.turns.of(tenant).lock_owned().await
    }

    async fn carry_out(&self, amendment: &Amendment, work: Work) -> Result<Amended, ReloadError> {
        let loaded = match &work.edit.after {
            Some(after) => Some(self.load_one(&work, Arc::clone(after)).await?),
            None => None,
        };
        let mut state = self.state.lock().await;
        let Work { host, config, edit } = work;
        if let Some(loaded) = &loaded {
            let news = news(&loaded.refused, &state.refused(&host));
            if !news.is_empty() {
                return Err(ReloadError::Faults(news));
            }
        }
        let id = &amendment.tenant;
        // What was reloaded meanwhile is in another host than this was loaded for.
        if !Arc::ptr_eq(&config, &self.config()) {
            return Err(StoreError::Stale(id.clone()).into());
        }
        let changes = edit.lines();
        let warnings = loaded.as_ref().map_or_else(Vec::new, |loaded| {
            let now = host.snapshot.load();
            let tenants = loaded.snapshot.tenants().iter();
            let warnings = tenants.map(|tenant| now.shared_sources(tenant, &now));
            warnings.flatten().collect()
        });
        if amendment.dry_run {
            return Ok(Amended {
                changes,
                warnings,
                took: None,
                revision: None,
                is_new: false,
            });
        }
        let checked = loaded.as_ref().map(|loaded| loaded.checked.clone());
        let checked = checked.unwrap_or_else(|| Checked::nothing(host.engine.judgement()));
        let who = &amendment.who;
        host.store.carry_out(&[edit], &checked, who).await?;
        state.refused.retain(|refusal| refusal.tenant != *id);
        let tenant = loaded.and_then(|loaded| {
            state.refused.extend(loaded.refused);
            loaded.snapshot.tenants().first().map(Arc::clone)
        });
        swap(&host, id, tenant, &mut state);
        let took = amendment.asked.elapsed();
        tracing::info!(tenant.id = %id, what = %amendment.part, who, ?took, "a tenant was changed");
        // What was written can be read but for an accident of the disk, after which whoever
        // changes it again asks for the revision first.
        let revision = host.store.revision(id, &amendment.part).await;
        Ok(Amended {
            changes,
            warnings,
            took: Some(took),
            revision: revision.ok().flatten(),
            is_new: false,
        })
    }

    /// The tenant alone, which has to be without a fault.
    async fn load_one(
        &self,
        work: &Work,
        document: Arc<TenantDocument>,
    ) -> Result<Loaded, ReloadError> {
        let Work { host, config, .. } = work;
        let before = host.snapshot.load_full();
        let reader = Arc::clone(config);
        let read = in_background(move || reader.read_stored(&[document])).await?;
        let tenants = read.map_err(ReloadError::Faults)?;
        self.load_in_time(config, &tenants, means(host, &before))
            .await
    }

    /// Loads as long as whoever waits for the answer does.
    pub(super) async fn load_in_time(
        &self,
        config: &Config,
        tenants: &[TenantConfig],
        means: Means<'_>,
    ) -> Result<Loaded, ReloadError> {
        let load = tenant::load(config, tenants, means);
        let loaded = tokio::select! {
            biased;
            () = self.shutdown.draining() => return Err(ReloadError::Stopping),
            loaded = timeout(LOADING, load) => loaded.map_err(|_| ReloadError::Busy)?,
        };
        let loaded = loaded.map_err(ReloadError::Faults)?;
        match loaded.refused.iter().any(|refusal| refusal.is_passing) {
            true => Err(ReloadError::Busy),
            false => Ok(loaded),
        }
    }
}

async fn current(
    host: &Host,
    amendment: &Amendment,
) -> Result<(Option<Kept>, Current), ReloadError> {
    let id = &amendment.tenant;
    let snapshot = host.snapshot.load_full();
    let lists = snapshot.tenant(id).map(|tenant| Arc::clone(&tenant.lists));
    let known = |digest| {
        let mut lists = lists.iter().flat_map(|lists| lists.iter());
        let found = lists.find(|(_, list)| list.digest() == digest);
        found.map(|(_, list)| Arc::clone(list))
    };
    let kept = host.store.documents([id], known).await?.pop();
    let current = Current {
        document: kept.as_ref().map(|kept| Arc::clone(&kept.document)),
        revision: host.store.revision(id, &amendment.part).await?,
        previous: match &amendment.part {
            Subject::Module(name) => host.store.previous(id, name).await?,
            _ => None,
        },
    };
    Ok((kept, current))
}

/// Puts the tenant in force. A target that was there before has been prepared already.
fn swap(host: &Host, id: &TenantId, tenant: Option<Arc<Tenant>>, state: &mut State) {
    let before = host.snapshot.load();
    if let Some(tenant) = &tenant {
        let known = before.tenant(id);
        if known.is_none_or(|known| !Arc::ptr_eq(&known.target, &tenant.target)) {
            state.preparation.add(tenant);
        }
    }
    host.snapshot.store(Arc::new(before.replacing(id, tenant)));
    // A module may be gone, or its candidate be the one that is active now.
    host.shadows.look_again();
}

impl Turns {
    fn of(&self, tenant: &TenantId) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| turn.strong_count() > 0);
        let known = turns.get(tenant).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let turn = Arc::default();
            turns.insert(tenant.clone(), Arc::downgrade(&turn));
            turn
        })
    }
}
