//! Admitting the modules of tenants: some at a time, and no more of their bytes in memory.

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

/// What came of the modules of several tenants.
pub(super) type Ahead = HashMap<(TenantId, Digest), Admitted>;

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
    let wanted: Vec<_> = wanted
        .filter(|(tenant, content)| known.insert((tenant.clone(), content.digest())))
        .collect();
    let done = two_at_a_time(wanted, |(tenant, content)| async move {
        let admitted = admit(config, means, &tenant, &content).await;
        ((tenant, content.digest()), admitted)
    });
    done.await.into_iter().collect()
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
    config: &Config,
    means: Means<'_>,
    tenant: &TenantId,
    content: &ModuleContent,
) -> Admitted {
    match content {
        ModuleContent::Given { bytes, .. } => Ok(given(config, means, tenant, bytes).await),
        ModuleContent::Stored(digest) => stored(config, means, tenant, *digest).await,
    }
}

/// A module of a file, or one of the store that is not compiled yet.
async fn given(
    config: &Config,
    means: Means<'_>,
    tenant: &TenantId,
    bytes: &[u8],
) -> Result<Arc<Module>, AdmissionError> {
    let (size, limit) = (bytes.len(), config.engine.module_size);
    if size > limit {
        return Err(AdmissionError::Refused(format!(
            "this module has {size} bytes, over the limit of {limit}: build it with optimisation, and strip it"
        )));
    }
    means.engine.admit(tenant, bytes).await
}

/// A module of the store. Its bytes are wanted only where it is not compiled yet.
async fn stored(config: &Config, means: Means<'_>, tenant: &TenantId, digest: Digest) -> Admitted {
    if let Some(known) = means.engine.admit_known(tenant, digest).await {
        return Ok(Ok(known));
    }
    let Some(store) = means.store else {
        let why = "it is kept in a store, and none is open";
        return Ok(Err(AdmissionError::Internal(why.into())));
    };
    let bytes = store.module(digest).await?;
    Ok(given(config, means, tenant, &bytes).await)
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
