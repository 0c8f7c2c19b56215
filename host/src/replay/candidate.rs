//! What is asked about the mail of the past.

use std::collections::HashSet;
use std::sync::Arc;

use crate::decision::{Refusal, Resolved, TlsOffer, Verdict};
use crate::policy::{Mode, Moment, Policy, WHOLE};
use crate::receipt::VerdictEvent;
use crate::tenant::Tenant;

/// A tenant as it would be, loaded and not in force.
#[derive(Debug)]
pub struct Candidate {
    /// The tenant.
    pub tenant: Arc<Tenant>,
    /// What Default means where the tenant does not say.
    pub default: Resolved,
    /// A line for each difference from what is in force.
    pub changes: Vec<String>,
    /// When it is taken to be in force, in seconds since 1970.
    pub at: u64,
    /// Listeners that offer TLS, unless the host has no usable certificate.
    pub with_tls: HashSet<String>,
}

impl Candidate {
    /// Whether TLS was to be had. A receipt says whether it was offered; what kept a
    /// listener from it is known where mail was refused for it, and else taken from what
    /// the listener is now.
    pub(super) fn offer(&self, event: &VerdictEvent) -> TlsOffer {
        let connection = &event.facts.connection;
        match &event.verdict {
            _ if connection.starttls_offered => TlsOffer::Offered,
            Verdict::Refused(Refusal::PlaintextOnly) => TlsOffer::Never,
            Verdict::Refused(Refusal::TlsUnavailable) => TlsOffer::Unavailable,
            _ if self.with_tls.contains(&connection.listener) => TlsOffer::Unavailable,
            _ => TlsOffer::Never,
        }
    }

    /// That a policy is enforced for a part of the senders alone.
    fn of_ramp(&self, policy: &Policy) -> Option<String> {
        let (name, at) = (&policy.name, Moment::new(self.at));
        let ramp = policy.ramp?;
        let percent = ramp.percent(self.at);
        (ramp.share(self.at) < WHOLE).then(|| {
            format!(
                "policy {name} is enforced for {percent} % of sender domains at {at}, by its ramp: \
                 --at says when it is asked"
            )
        })
    }

    /// What of it has no effect at that moment, though somebody may expect it: policies
    /// that differ from those in force, or all of them.
    pub(super) fn notes(&self, before: Option<&Tenant>) -> Vec<String> {
        let known = |digest| {
            let mut known = before.into_iter().flat_map(|tenant| &tenant.policies);
            before.is_some_and(|tenant| known.any(|policy| tenant.revision(policy) == digest))
        };
        let policies = self.tenant.policies.iter();
        policies
            .filter(|policy| !known(self.tenant.revision(policy)))
            .filter_map(|policy| {
                let name = &policy.name;
                let (at, valid) = (Moment::new(self.at), policy.valid);
                match (valid.from(), policy.mode) {
                    _ if !policy.enabled => Some(format!("policy {name} is switched off")),
                    (Some(from), _) if at < from => Some(format!(
                        "policy {name} is not valid before {from}: --at says when it is asked"
                    )),
                    _ if valid.is_over(self.at) => {
                        Some(format!("policy {name} is not valid any more"))
                    }
                    (_, Mode::Monitor) => Some(format!(
                        "policy {name} is in monitor mode, so that it refuses nothing"
                    )),
                    _ => self.of_ramp(policy),
                }
            })
            .collect()
    }
}
