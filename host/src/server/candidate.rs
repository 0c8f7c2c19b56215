//! A tenant as it would be, for a replay: loaded exactly as a change is, and not put in
//! force.
//!
//! **Nothing is left of it**: no mail goes to its targets, and what its policies decide is
//! counted nowhere. It may be asked for where files have the last word, too.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use super::reload::{ReloadError, Reloader, in_background, news};
use crate::config::{Config, ListenerTls, TenantConfig, TenantDocument};
use crate::deliver::Targets;
use crate::facts::TenantId;
use crate::host::Host;
use crate::metrics::decisions::Decisions;
use crate::replay::Candidate;
use crate::store::{Edit, Kept, StoreError};
use crate::tenant::{Means, Tenant};

impl Reloader {
    /// The tenant with a change, as if it were in force at this second since 1970.
    ///
    /// # Errors
    /// What `change` says; every fault of what would be; what is wrong with the store.
    pub async fn candidate<E: From<ReloadError>>(
        &self,
        id: &TenantId,
        at: u64,
        change: impl FnOnce(TenantDocument) -> Result<TenantDocument, E>,
    ) -> Result<Candidate, E> {
        let host = self.host.upgrade().ok_or(ReloadError::Stopping)?;
        let before = kept(&host, id).await?;
        let after = Arc::new(change((*before.document).clone())?);
        let (config, document) = (self.config(), Arc::clone(&after));
        let reader = Arc::clone(&config);
        let read = in_background(move || reader.read_stored(&[document])).await?;
        let read = read.map_err(ReloadError::Faults)?;
        let tenant = self.load_candidate(&host, &config, &read).await?;
        Ok(candidate(
            &host,
            &config,
            tenant,
            changes(before, after),
            at,
        ))
    }

    /// The same of what a tree of files has for this tenant; none where it has nothing.
    ///
    /// # Errors
    /// Every fault of the tree, or what is wrong with the store.
    pub async fn candidate_of_tree(
        &self,
        id: &TenantId,
        at: u64,
        directory: &Path,
    ) -> Result<Option<Candidate>, ReloadError> {
        let host = self.host.upgrade().ok_or(ReloadError::Stopping)?;
        let config = self.config();
        let (reader, directory) = (Arc::clone(&config), directory.to_owned());
        let read = in_background(move || reader.read_tree(&directory)).await?;
        let mut read = read.map_err(ReloadError::Faults)?;
        read.retain(|tenant| tenant.id == *id);
        let Some(wanted) = read.first() else {
            return Ok(None);
        };
        let (before, after) = (kept(&host, id).await?, Arc::clone(&wanted.document));
        let tenant = self.load_candidate(&host, &config, &read).await?;
        let changes = changes(before, after);
        Ok(Some(candidate(&host, &config, tenant, changes, at)))
    }

    async fn load_candidate(
        &self,
        host: &Host,
        config: &Config,
        tenants: &[TenantConfig],
    ) -> Result<Arc<Tenant>, ReloadError> {
        let before = host.snapshot.load_full();
        let means = Means {
            engine: &host.engine,
            decisions: &Decisions::default(),
            targets: &Targets::default(),
            store: Some(&host.store),
            before: Some(&before),
            pending: None,
        };
        let loaded = self.load_in_time(config, tenants, means).await?;
        let news = news(&loaded.refused, &self.state.lock().await.refused(host));
        if !news.is_empty() {
            return Err(ReloadError::Faults(news));
        }
        let tenant = loaded.snapshot.tenants().first().map(Arc::clone);
        tenant.ok_or(ReloadError::Stopping)
    }
}

async fn kept(host: &Host, id: &TenantId) -> Result<Kept, ReloadError> {
    let found = host.store.documents([id], |_| None).await?.pop();
    found.ok_or_else(|| StoreError::NoTenant(id.clone()).into())
}

fn changes(before: Kept, after: Arc<TenantDocument>) -> Vec<String> {
    Edit::new(Some(before), Some(after)).map_or_else(Vec::new, |edit| edit.lines())
}

fn candidate(
    host: &Host,
    config: &Config,
    tenant: Arc<Tenant>,
    changes: Vec<String>,
    at: u64,
) -> Candidate {
    let listeners = config.listeners.iter();
    let with_tls = listeners.filter(|listener| listener.tls != ListenerTls::None);
    let with_tls: HashSet<String> = with_tls.map(|one| one.name.to_string()).collect();
    Candidate {
        tenant,
        default: host.snapshot.load().default().clone(),
        changes,
        at,
        with_tls,
    }
}
