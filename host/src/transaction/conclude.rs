//! From the facts about one recipient to the verdict, and beside it what a policy in
//! monitor mode would have made of them.
//!
//! **Monitoring changes nothing but the time**: the policy in force is asked before, and
//! its verdict is there when the other is asked. The permit of a monitored verdict is
//! dropped where it was made.

use std::sync::Arc;
use std::time::Instant;

use super::ask::{Answered, Runner, ask, consult};
use super::evidence::Conclusion;
use crate::decision::{Permit, Refusal, Resolved, TlsOffer};
use crate::engine::Engine;
use crate::facts::Facts;
use crate::host::Host;
use crate::policy::{Mode, Policy};
use crate::receipt::{Monitored, VerdictEvent, timestamp};
use crate::smtp::reply;
use crate::tenant::Tenant;

/// A tenant that is asked about one recipient.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) tenant: &'a Arc<Tenant>,
    pub(super) host_default: &'a Resolved,
    pub(super) facts: &'a Arc<Facts>,
    pub(super) offer: TlsOffer,
    /// Runs modules; none where there is no time left for them.
    pub(super) engine: Option<&'a Engine>,
}

impl<'a> Asked<'a> {
    fn runner(&self) -> Option<Runner<'a>> {
        self.engine.map(Runner::Mail)
    }
}

/// The verdict with all the evidence but the reply; the permit, or why there is none;
/// and the line that a refusal carries.
pub(super) type Concluded = (VerdictEvent, Result<Permit, Refusal>, Option<String>);

/// Asks the policy that applies, and then the one that is monitored, if one is.
pub(super) async fn conclude(host: &Host, asked: Asked<'_>) -> Concluded {
    let started = Instant::now();
    let selected = asked.tenant.select(asked.facts);
    let answered = ask(asked.tenant, &selected, asked.facts, asked.runner()).await;
    let mut concluded = draw(host, asked, answered, started);
    let series = &asked.tenant.series;
    host.metrics
        .decided(series, &concluded.0, started.elapsed());
    if let Some(policy) = selected.monitored
        && let Some(monitored) = monitor(host, asked, policy).await
    {
        host.metrics.monitored(series, &monitored, &concluded.0);
        concluded.0.monitored = Some(Box::new(monitored));
    }
    concluded
}

/// Asks the policy that is monitored alone, beside a verdict that stands; none where no
/// policy is.
pub(super) async fn watch(
    host: &Host,
    asked: Asked<'_>,
    verdict: VerdictEvent,
) -> Option<VerdictEvent> {
    let policy = asked.tenant.select(asked.facts).monitored?;
    let monitored = monitor(host, asked, policy).await?;
    let mut event = VerdictEvent {
        time: timestamp(asked.facts.now),
        facts: Arc::clone(asked.facts),
        ..verdict
    };
    host.metrics
        .monitored(&asked.tenant.series, &monitored, &event);
    event.monitored = Some(Box::new(monitored));
    Some(event)
}

/// What this policy would have decided.
async fn monitor(host: &Host, asked: Asked<'_>, policy: &Policy) -> Option<Monitored> {
    let started = Instant::now();
    let runner = asked.runner();
    let answered = consult(asked.tenant, policy, Mode::Monitor, asked.facts, runner).await;
    would(draw(host, asked, answered, started))
}

/// The same as it is recorded; none where no policy decided.
pub(super) fn would((event, judged, contact): Concluded) -> Option<Monitored> {
    let refused = judged.err();
    let reply = refused.map(|refusal| reply::refused(&refusal, contact.as_deref(), event.id));
    Some(Monitored {
        policy: event.policy?,
        decision: event.decision,
        reason: event.reason,
        failure: event.failure,
        resolved: event.resolved,
        default_of: event.default_of,
        verdict: event.verdict,
        reply: reply.map(|reply| reply.to_string()),
        micros: event.micros,
        fuel: event.fuel,
        log: event.log,
        log_dropped: event.log_dropped,
    })
}

fn draw(host: &Host, asked: Asked<'_>, answered: Answered, started: Instant) -> Concluded {
    let conclusion = Conclusion {
        tenant: asked.tenant,
        host_default: asked.host_default,
        facts: Arc::clone(asked.facts),
        answered,
        offer: asked.offer,
        started,
    };
    conclusion.draw(&host.hostname)
}
