//! Looking for warnings now and then, so that they are counted.
//!
//! **Never in the way of mail**: one tenant after the other, a page of receipts at a time,
//! and three times as long as that took nothing is done.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;
use tokio::time::Instant;

use super::webhook::news;
use super::{Evidence, Inquiry, PERIOD, RECENT, USUAL_DAYS, Warning, warnings};
use crate::facts::unix_seconds;
use crate::host::{Host, Shutdown};
use crate::policy::Moment;
use crate::receipt::read::ReadError;
use crate::receipt::scan::{Scan, Span};
use crate::receipt::source::Source;
use crate::store::{Last, StoreError};
use crate::tenant::Tenant;

/// From the end of one look until the next.
const EVERY: Duration = Duration::from_secs(3600);

/// So many times as long as a page took nothing is read.
const PAUSES: u32 = 3;

/// Rung to have something done now.
#[derive(Clone, Debug, Default)]
pub struct Bells {
    /// It is looked for warnings.
    pub look: Arc<Notify>,
    /// What is to be told to webhooks is sent.
    pub send: Arc<Notify>,
}

/// Looks until the host stops.
pub async fn watch(host: Arc<Host>, source: Source, bells: Bells, shutdown: Shutdown) {
    loop {
        tokio::select! {
            () = shutdown.draining() => return,
            () = look(&host, &source) => bells.send.notify_one(),
        }
        tokio::select! {
            () = shutdown.draining() => return,
            () = bells.look.notified() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

async fn look(host: &Host, source: &Source) {
    let snapshot = host.snapshot.load_full();
    let mut found = BTreeMap::new();
    for tenant in snapshot.tenants() {
        match of_tenant(tenant, source).await {
            Ok(warnings) => {
                if let Err(error) = tell(host, tenant, &warnings).await {
                    tracing::warn!(tenant.id = %tenant.id, %error, "what a webhook is to be told could not be kept");
                }
                found.insert(tenant.id.clone(), warnings);
            }
            Err(error) => {
                tracing::warn!(tenant.id = %tenant.id, %error, "warnings could not be looked for");
            }
        }
    }
    let now = unix_seconds(SystemTime::now());
    host.metrics.warnings.set(&found, now);
}

/// Has the tenant's webhook told what is new, where it has one that can be signed for.
async fn tell(host: &Host, tenant: &Tenant, found: &[Warning]) -> Result<(), StoreError> {
    let has_secret = host.store.webhook_secret(&tenant.id).await?.is_some();
    match tenant.webhook.as_ref().filter(|_| has_secret) {
        Some(webhook) => {
            let now = Moment::new(unix_seconds(SystemTime::now()));
            let news = |last: &[Last]| news(last, found, &webhook.kinds, now);
            host.store.tell_webhook(&tenant.id, news).await
        }
        None if has_secret => host.store.forget_webhook(&tenant.id).await,
        None => Ok(()),
    }
}

async fn of_tenant(tenant: &Tenant, source: &Source) -> Result<Vec<Warning>, ReadError> {
    let now = unix_seconds(SystemTime::now());
    let span = Span {
        tenant: tenant.id.clone(),
        from: Some(now.saturating_sub(PERIOD)),
        to: None,
    };
    let mut evidence = Evidence::new(now.saturating_sub(RECENT));
    let mut scan = Scan::new(source.clone(), span);
    loop {
        let began = Instant::now();
        let Some(receipts) = scan.next().await? else {
            break;
        };
        receipts.iter().for_each(|receipt| evidence.add(receipt));
        tokio::time::sleep(began.elapsed() * PAUSES).await;
    }
    let inquiry = Inquiry {
        now,
        within_days: USUAL_DAYS,
    };
    let policies = tenant.policies.iter();
    Ok(warnings(&tenant.id, policies, &evidence, inquiry))
}
