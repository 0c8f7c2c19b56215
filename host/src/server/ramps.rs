//! Ramps that refuse too much are halted.
//!
//! **A halt is a change of the policy like any other**: written to the store with its place
//! in the audit, in force at once, and there after a restart. Nothing else moves a ramp:
//! between two such changes it is a function of time and domain alone.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use super::amend::Amendment;
use super::reload::{ReloadError, Reloader};
use crate::config::TenantDocument;
use crate::facts::{TenantId, unix_seconds};
use crate::host::Host;
use crate::metrics::RampSample;
use crate::name::Name;
use crate::policy::{Moment, Policy, Ramp};
use crate::store::{Scope, StoreError, Subject};

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(10);

/// The time whose mail is counted: what a sender does now is not hidden by weeks in which
/// all was well.
const WINDOW: u64 = 86_400;

/// Less mail than this says nothing: one sender who comes back with TLS would be a large
/// part of it.
const LEAST: u64 = 20;

/// A ramp that refuses more than it may.
#[derive(Debug)]
struct Excess {
    tenant: TenantId,
    policy: Name,
    ramp: Ramp,
    scope: Scope,
}

impl Reloader {
    /// Looks after ramps until the host stops.
    pub(super) async fn watch_ramps(self: Arc<Self>) {
        loop {
            tokio::select! {
                biased;
                () = self.shutdown.draining() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
            let Some(host) = self.host.upgrade() else {
                return;
            };
            let now = unix_seconds(SystemTime::now());
            let excesses = tokio::select! {
                biased;
                () = self.shutdown.draining() => return,
                excesses = look(&host, now, self.config().receipts.store) => excesses,
            };
            for excess in excesses {
                self.halt(&excess, now).await;
            }
        }
    }

    async fn halt(&self, excess: &Excess, now: u64) {
        let Excess {
            tenant,
            policy,
            ramp,
            scope,
        } = excess;
        let amendment = Amendment {
            tenant: tenant.clone(),
            part: Subject::Policy(policy.to_string()),
            who: "host (ramp)".to_owned(),
            dry_run: false,
            asked: Instant::now(),
        };
        let halted = ramp.halted_at(now);
        let (name, ramp) = (policy.clone(), *ramp);
        let amended = self.amend(&amendment, move |current| {
            let mut document = current.document.map(Arc::unwrap_or_clone);
            match document.as_mut().map(|it| write(it, &name, &ramp, halted)) {
                Some(true) => Ok(document),
                // Somebody was faster, and has had the last word.
                _ => Err(Unhalted::Changed),
            }
        });
        let (mail, refused) = (scope.mail, scope.refused);
        let percent = halted.percent(now);
        match amended.await {
            Ok(_) => {
                tracing::warn!(tenant.id = %tenant, policy.id = %policy, mail, refused, percent, "a ramp refused too much and was halted");
            }
            Err(Unhalted::Changed) => {}
            Err(Unhalted::Failed(error)) => {
                tracing::error!(tenant.id = %tenant, policy.id = %policy, mail, refused, %error, "a ramp refuses too much and could not be halted");
            }
        }
    }
}

/// Why a ramp was not halted.
enum Unhalted {
    /// The policy is another one by now.
    Changed,
    /// The change could not be made.
    Failed(ReloadError),
}

impl From<ReloadError> for Unhalted {
    fn from(error: ReloadError) -> Self {
        Self::Failed(error)
    }
}

/// Those that refuse too much. All there are are counted on the way. Only receipts in the
/// store tell what was refused.
async fn look(host: &Host, now: u64, has_receipts: bool) -> Vec<Excess> {
    let (mut excesses, mut samples) = (Vec::new(), Vec::new());
    let snapshot = host.snapshot.load_full();
    for tenant in snapshot.tenants() {
        for (policy, ramp) in tenant.policies.iter().filter_map(ramp) {
            samples.push(RampSample {
                tenant: tenant.id.clone(),
                policy: policy.name.clone(),
                percent: ramp.percent(now),
                is_halted: ramp.is_halted(now),
            });
            let is_watched = ramp.halt_above().is_some() && ramp.is_rising(now);
            if is_watched && !has_receipts {
                tracing::error!(tenant.id = %tenant.id, policy.id = %policy.name, error = "receipts are not in the store", "what a ramp refuses could not be counted");
            }
            match excess(host, &tenant.id, policy, ramp, now).await {
                Ok(excess) => excesses.extend(excess),
                Err(error) => {
                    tracing::error!(tenant.id = %tenant.id, policy.id = %policy.name, %error, "what a ramp refuses could not be counted");
                }
            }
        }
    }
    host.metrics.ramps(samples);
    excesses
}

fn ramp(policy: &Policy) -> Option<(&Policy, &Ramp)> {
    let ramp = policy.ramp.as_ref().filter(|_| policy.enabled)?;
    Some((policy, ramp))
}

async fn excess(
    host: &Host,
    tenant: &TenantId,
    policy: &Policy,
    ramp: &Ramp,
    now: u64,
) -> Result<Option<Excess>, StoreError> {
    let Some(limit) = ramp.halt_above().filter(|_| ramp.is_rising(now)) else {
        return Ok(None);
    };
    let watched = ramp.watched_from().unix_seconds();
    let since = watched.max(now.saturating_sub(WINDOW));
    let scope = host.store.scope(tenant, &policy.name, since).await?;
    Ok(is_too_much(scope, limit).then(|| Excess {
        tenant: tenant.clone(),
        policy: policy.name.clone(),
        ramp: *ramp,
        scope,
    }))
}

fn is_too_much(Scope { mail, refused }: Scope, limit: u8) -> bool {
    mail >= LEAST && refused.saturating_mul(100) > mail.saturating_mul(limit.into())
}

/// Writes into the document that its ramp was halted; false where it has another one.
fn write(document: &mut TenantDocument, policy: &Name, ramp: &Ramp, halted: Ramp) -> bool {
    let Some(place) = document.place(policy.as_str()) else {
        return false;
    };
    let keys = &mut document.policies[place];
    let is_off = keys.get("enabled") == Some(&Value::Bool(false));
    let Some(Value::Object(keys)) = keys.get_mut("ramp") else {
        return false;
    };
    let moment = |key| {
        keys.get(key)
            .and_then(Value::as_str)?
            .parse::<Moment>()
            .ok()
    };
    let limit = keys.get("halt_above").and_then(Value::as_u64);
    let is_known = (moment("start"), moment("end")) == (Some(ramp.start()), Some(ramp.end()))
        && (moment("halted"), limit) == (ramp.halted(), ramp.halt_above().map(u64::from));
    let Some(at) = halted.halted().filter(|_| is_known && !is_off) else {
        return false;
    };
    keys.insert("halted".to_owned(), at.to_string().into());
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_little_mail_and_a_few_refusals_are_not_too_much() {
        for (mail, refused, limit, expected) in [
            (0, 0, 0, false),
            (19, 19, 0, false),
            (20, 0, 0, false),
            (20, 1, 0, true),
            (20, 1, 5, false),
            (20, 2, 5, true),
            (1_000, 50, 5, false),
            (1_000, 51, 5, true),
            (1_000, 1_000, 100, false),
        ] {
            let scope = Scope { mail, refused };
            assert_eq!(is_too_much(scope, limit), expected, "{scope:?} {limit}");
        }
    }
}
