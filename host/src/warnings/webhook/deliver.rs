//! Messages to webhooks, sent when they are due until they arrive or were tried often enough.
//!
//! **A receiver that hangs holds up no other for long**: each message has its time, and some
//! are sent at once, of each tenant one. **At least once**: what arrived just before the host
//! stopped, or after the time that it has, is sent again under the same id.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;
use tokio::task::{Id, JoinSet};

use super::client::{Message, SendError, WebhookClient};
use super::schedule::wait;
use super::signature::SigningSecret;
use crate::facts::{TenantId, unix_seconds};
use crate::host::{Host, Shutdown};
use crate::store::{Due, StoreError};

/// Messages that are sent at once.
const AT_ONCE: usize = 8;

/// Messages that are looked at for that, of each tenant one.
const LOOKED_AT: i64 = 256;

/// Longest time without a look at what is due.
const EVERY: Duration = Duration::from_secs(60);

/// Sends what is due until the host stops; `news` is told when there is more.
pub async fn deliver(
    host: Arc<Host>,
    client: WebhookClient,
    news: Arc<Notify>,
    shutdown: Shutdown,
) {
    loop {
        let pause = tokio::select! {
            () = shutdown.draining() => return,
            pause = round(&host, &client) => pause,
        };
        let pause = match pause {
            Ok(pause) => pause,
            Err(error) => {
                tracing::warn!(%error, "messages to webhooks could not be looked up");
                EVERY
            }
        };
        tokio::select! {
            () = shutdown.draining() => return,
            () = news.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Sends what is due, and says how long nothing else is.
async fn round(host: &Arc<Host>, client: &WebhookClient) -> Result<Duration, StoreError> {
    let mut sending = JoinSet::new();
    let mut receivers: HashMap<Id, TenantId> = HashMap::new();
    loop {
        let (due, next) = host.store.due_webhooks(LOOKED_AT).await?;
        for message in due {
            let tenant = message.tenant.clone();
            let is_told = receivers.values().any(|other| *other == tenant);
            if sending.len() < AT_ONCE && !is_told {
                let task = sending.spawn(attempt(Arc::clone(host), client.clone(), message));
                receivers.insert(task.id(), tenant);
            }
        }
        let Some(done) = sending.join_next_with_id().await else {
            let now = unix_seconds(SystemTime::now());
            let next = next.and_then(|next| u64::try_from(next).ok());
            let left = next.map(|next| Duration::from_secs(next.saturating_sub(now).max(1)));
            return Ok(left.unwrap_or(EVERY).min(EVERY));
        };
        let (task, settled) = done.unwrap_or_else(|error| (error.id(), Ok(())));
        receivers.remove(&task);
        if let Err(error) = settled {
            // What was sent is settled before the store is asked again.
            while sending.join_next().await.is_some() {}
            return Err(error);
        }
    }
}

async fn attempt(host: Arc<Host>, client: WebhookClient, message: Due) -> Result<(), StoreError> {
    let snapshot = host.snapshot.load_full();
    let tenant = snapshot.tenant(&message.tenant);
    let Some(webhook) = tenant.and_then(|tenant| tenant.webhook.as_ref()) else {
        // Nobody wants to know any more.
        return host.store.forget_webhook(&message.tenant).await;
    };
    let secret = host.store.webhook_secret(&message.tenant).await?;
    let Some(secret) = secret.and_then(|text| SigningSecret::parse(&text).ok()) else {
        return host.store.forget_webhook(&message.tenant).await;
    };
    let seconds = unix_seconds(SystemTime::now());
    let sent = Message {
        id: &message.id,
        seconds,
        signature: secret.sign(&message.id, seconds, &message.body),
        body: &message.body,
    };
    let result = client.send(&webhook.url, &sent).await;
    settle(&host, &message, result).await
}

async fn settle(
    host: &Host,
    message: &Due,
    result: Result<(), SendError>,
) -> Result<(), StoreError> {
    let attempts = message.attempts + 1;
    let again = match (&result, wait(attempts)) {
        (Ok(()), _) => None,
        (Err(_), again) => again,
    };
    host.store.webhook_attempted(message, again).await?;
    let Due { id, tenant, .. } = message;
    let word = match (result, again) {
        (Ok(()), _) => "delivered",
        (Err(error), Some(_)) => {
            tracing::info!(tenant.id = %tenant, message.id = id, attempts, %error, "a message to a webhook did not arrive, and is tried again");
            "failed"
        }
        (Err(error), None) => {
            tracing::warn!(tenant.id = %tenant, message.id = id, attempts, %error, "a message to a webhook was given up");
            "given-up"
        }
    };
    host.metrics.webhooks.count([word]);
    Ok(())
}
