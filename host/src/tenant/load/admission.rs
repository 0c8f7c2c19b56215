//! Admitting the modules of tenants: some at a time, and no more of their bytes in memory.
//!
//! At a start, what is not compiled and not among the first of these is left pending
//! (`tenant::pending`), so that mail does not wait for thousands.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use super::Means;
use crate::config::{Config, ModuleContent, OtherRevision, TenantConfig};
use crate::digest::Digest;
use crate::engine::{AdmissionError, Module};
use crate::facts::TenantId;
use crate::name::Name;
use crate::policy::Choice;
use crate::store::StoreError;

/// What came of a module: it is admitted, refused, or its bytes cannot be read.
pub(super) type Admitted = Result<Result<Arc<Module>, AdmissionError>, StoreError>;

/// Modules that a start compiles before it serves: two at a time, at some ten milliseconds
/// each, that is a second. A host of some tenants hears of every refusal before it serves,
/// as `check` says it.
const AT_A_START: usize = 32;

/// What came of the modules of several tenants.
#[derive(Default)]
pub(super) struct Ahead {
    pub(super) admitted: HashMap<(TenantId, Digest), Admitted>,
    /// Those that are left pending.
    pub(super) pending: HashSet<(TenantId, Digest)>,
}

/// A module that a tenant needs.
type Wanted = (TenantId, ModuleContent);

/// A revision that a tenant needs: that of a name, and whether a policy pins it.
pub(super) struct Needed {
    pub(super) name: Name,
    pub(super) is_pinned: bool,
    pub(super) revision: OtherRevision,
}

/// The revisions that policies of a tenant may come to ask: those that are active, and
/// those that are pinned, each once.
pub(super) fn needed(tenant: &TenantConfig) -> Vec<Needed> {
    let mut needed: Vec<Needed> = tenant
        .modules
        .iter()
        .map(|module| Needed {
            name: module.name.clone(),
            is_pinned: false,
            revision: OtherRevision {
                content: module.content.clone(),
                at: module.at.clone(),
            },
        })
        .collect();
    let mut known = HashSet::new();
    for read in &tenant.policies {
        let Choice::Module(asked) = &read.policy.option else {
            continue;
        };
        let module = tenant
            .modules
            .iter()
            .find(|module| module.name == asked.module);
        let pinned = asked.revision.and_then(|digest| module?.revision(digest));
        let Some(revision) = pinned else { continue };
        if known.insert((&asked.module, revision.content.digest())) {
            needed.push(Needed {
                name: asked.module.clone(),
                is_pinned: true,
                revision,
            });
        }
    }
    needed
}

/// Admits what these tenants need.
pub(super) async fn admit_all<'t>(
    config: &Config,
    means: Means<'_>,
    tenants: impl IntoIterator<Item = &'t TenantConfig>,
) -> Ahead {
    let mut known = HashSet::new();
    let wanted = tenants.into_iter().flat_map(|tenant| {
        let needed = needed(tenant).into_iter();
        needed.map(|needed| (tenant.id.clone(), needed.revision.content))
    });
    let wanted = wanted
        .filter(|(tenant, content)| known.insert((tenant.clone(), content.digest())))
        .collect();
    let (mut ahead, wanted) = match means.pending {
        Some(_) => what_is_compiled(config, means, wanted).await,
        None => (Ahead::default(), wanted),
    };
    let done = two_at_a_time(wanted, |(tenant, content)| async move {
        let admitted = admit(means, &tenant, &content).await;
        ((tenant, content.digest()), admitted)
    });
    ahead.admitted.extend(done.await);
    ahead
}

/// What is compiled already, and what is not but is not left pending.
async fn what_is_compiled(
    config: &Config,
    means: Means<'_>,
    wanted: Vec<Wanted>,
) -> (Ahead, Vec<Wanted>) {
    let places = wanted.into_iter().enumerate().collect();
    let asked = two_at_a_time(places, |(place, (tenant, content))| async move {
        let fits = fits(config, &content);
        let known = match fits {
            true => means.engine.admit_known(&tenant, content.digest()).await,
            false => None,
        };
        (place, (tenant, content), fits, known)
    });
    let mut asked = asked.await;
    // The first are those of the first tenants, whoever of the two has asked.
    asked.sort_by_key(|(place, ..)| *place);
    let (mut ahead, mut wanted, mut first) = (Ahead::default(), Vec::new(), HashSet::new());
    for (_, (tenant, content), fits, known) in asked {
        let digest = content.digest();
        // Tenants with the same bytes have them compiled once.
        let is_first = first.contains(&digest) || first.len() < AT_A_START;
        match known {
            Some(module) => {
                ahead.admitted.insert((tenant, digest), Ok(Ok(module)));
            }
            // What is too large is refused at once.
            None if is_first || !fits => {
                first.extend(fits.then_some(digest));
                wanted.push((tenant, content));
            }
            None => {
                ahead.pending.insert((tenant, digest));
            }
        }
    }
    (ahead, wanted)
}

/// Whether it is not too large to be looked at.
fn fits(config: &Config, content: &ModuleContent) -> bool {
    match content {
        ModuleContent::Given { bytes, .. } => bytes.len() <= config.engine.module_size,
        ModuleContent::Stored(_) => true,
    }
}

/// Two at a time: with a thousand to compile nobody waits for one after the other, and
/// mail keeps its cores. Whatever takes long holds up one of the two.
async fn two_at_a_time<W, F: Future>(wanted: Vec<W>, work: impl Fn(W) -> F) -> Vec<F::Output> {
    let queue = Mutex::new(wanted.into_iter());
    let worker = || async {
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        let mut done = Vec::new();
        while let Some(wanted) = next() {
            done.push(work(wanted).await);
        }
        done
    };
    let (mut one, other) = tokio::join!(worker(), worker());
    one.extend(other);
    one
}

/// Admits one.
pub(super) async fn admit(
    means: Means<'_>,
    tenant: &TenantId,
    content: &ModuleContent,
) -> Admitted {
    match content {
        ModuleContent::Given { bytes, .. } => Ok(means.engine.admit(tenant, bytes).await),
        ModuleContent::Stored(digest) => stored(means, tenant, *digest).await,
    }
}

/// A module of the store. Its bytes are wanted only where it is not compiled yet.
async fn stored(means: Means<'_>, tenant: &TenantId, digest: Digest) -> Admitted {
    if let Some(known) = means.engine.admit_known(tenant, digest).await {
        return Ok(Ok(known));
    }
    let Some(store) = means.store else {
        let why = "it is kept in a store, and none is open";
        return Ok(Err(AdmissionError::Internal(why.into())));
    };
    let bytes = store.module(digest).await?;
    Ok(means.engine.admit(tenant, &bytes).await)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use tokio::time::{Instant, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_slow_module_holds_up_nobody_elses() {
        let began = Instant::now();
        let at_work = Cell::new(0);
        let at_work = &at_work;
        let times = two_at_a_time(vec![100, 1, 1, 1, 1], |seconds: u64| async move {
            at_work.set(at_work.get() + 1);
            assert!(at_work.get() <= 2, "two at a time");
            sleep(Duration::from_secs(seconds)).await;
            at_work.set(at_work.get() - 1);
            (seconds, began.elapsed().as_secs())
        });
        let mut times = times.await;
        times.sort_unstable();
        assert_eq!(times, [(1, 1), (1, 2), (1, 3), (1, 4), (100, 100)]);
    }
}
