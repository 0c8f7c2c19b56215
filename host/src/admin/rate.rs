//! How often tenants may change something: every change is in the audit, of which nothing
//! is ever removed. Operators may as they like.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::{Method, StatusCode};
use tokio::time::Instant;

use super::access::{Caller, Rule, Who};
use super::problem::Problem;
use crate::facts::TenantId;
use crate::store::Role;

/// Ten a second: more than a script does that waits for each answer to be on disk.
const EACH: Duration = Duration::from_millis(100);

/// So many at once: all that a new tenant has, policy by policy.
const BURST: u32 = 300;

/// What tenants have changed of late. For each the moment until which it has used up its
/// share, as by the generic cell rate algorithm.
#[derive(Debug, Default)]
pub(super) struct Rate(Mutex<HashMap<TenantId, Instant>>);

impl Rate {
    /// Counts a request that may change something.
    ///
    /// # Errors
    /// When it is one too many, with the time after which it would not be.
    pub(super) fn count(&self, rule: &Rule, caller: &Caller) -> Result<(), Problem> {
        let Some(tenant) = caller.tenant.as_ref().filter(|_| changes(rule)) else {
            return Ok(());
        };
        match self.take(tenant, Instant::now()) {
            Ok(()) => Ok(()),
            Err(wait) => Err(Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                format!(
                    "this tenant has made over {BURST} changes in a short time: go on at ten a second"
                ),
            )
            .again_after(wait)),
        }
    }

    fn take(&self, tenant: &TenantId, now: Instant) -> Result<(), Duration> {
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Only tenants who have changed something of late are remembered.
        used.retain(|_, until| *until > now);
        let until = used.entry(tenant.clone()).or_insert(now);
        let ahead = until.duration_since(now);
        let most = EACH * (BURST - 1);
        if ahead > most {
            return Err(ahead - most);
        }
        *until += EACH;
        Ok(())
    }
}

/// Whether what is asked by this row may change something. What viewers may do changes
/// nothing, and dry runs and replays are bounded by themselves.
fn changes(rule: &Rule) -> bool {
    let reads = rule.method == Method::GET
        || rule.path.ends_with("/dry-runs")
        || rule.path.contains("/replays");
    // Whoever stops somebody does not wait for them.
    let revokes = rule.method == Method::DELETE && rule.path.starts_with("/v1/tokens/");
    !reads && !revokes && !matches!(rule.who, Who::AtLeast(Role::Viewer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::access::rule_of;

    #[tokio::test(start_paused = true)]
    async fn a_tenant_changes_as_much_as_it_may() {
        let (rate, now) = (Rate::default(), Instant::now());
        let [acme, bank]: [TenantId; 2] = ["acme", "bank"].map(|id| id.parse().expect("an id"));
        for _ in 0..BURST {
            assert_eq!(rate.take(&acme, now), Ok(()));
        }
        assert_eq!(rate.take(&acme, now), Err(EACH));
        assert_eq!(rate.take(&bank, now), Ok(()), "the other's own");
        assert_eq!(rate.take(&acme, now + EACH), Ok(()));
        assert_eq!(rate.take(&acme, now + EACH), Err(EACH));
        let later = now + EACH * (BURST + 1);
        for _ in 0..BURST {
            assert_eq!(rate.take(&acme, later), Ok(()));
        }
        assert_eq!(rate.0.lock().expect("not poisoned").len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_tenants_changes_are_counted() {
        let tenant: Option<TenantId> = "acme".parse().ok();
        for (method, path, tenant, counts) in [
            (
                Method::PUT,
                "/v1/tenants/{tenant}/policies/{policy}",
                &tenant,
                true,
            ),
            (
                Method::PUT,
                "/v1/tenants/{tenant}/policies/{policy}",
                &None,
                false,
            ),
            (Method::GET, "/v1/audit", &tenant, false),
            (
                Method::POST,
                "/v1/tenants/{tenant}/explanations",
                &tenant,
                false,
            ),
            (
                Method::POST,
                "/v1/tenants/{tenant}/dry-runs",
                &tenant,
                false,
            ),
            (Method::POST, "/v1/tokens", &tenant, true),
        ] {
            let caller = Caller {
                name: "test".to_owned(),
                role: Role::Admin,
                tenant: tenant.clone(),
            };
            let (rate, rule) = (Rate::default(), rule_of(&method, path).expect("a row"));
            let let_through = (0..BURST + 10).filter(|_| rate.count(rule, &caller).is_ok());
            let expected = if counts { BURST } else { BURST + 10 };
            assert_eq!(let_through.count(), expected as usize, "{method} {path}");
        }
    }
}
