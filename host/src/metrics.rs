//! What a running host counts, and the address where it tells.
//!
//! **Labels are bounded**: their values come from the configuration or from words in
//! the code, never from the wire, and tenants' policies have a cap on top
//! ([`decisions`]). **Counting waits for nothing**: what happens for every reply and
//! decision is an addition to a number that was found beforehand; locks and lookups
//! are for what happens once a session.
//!
//! What other rooms know at any time (instances in use, receipts that wait) is read
//! when somebody asks, not counted here. Deliberately not here: thresholds and alerts,
//! which are for whoever collects (`docs/metrics.md` has some).

mod api;
mod clock;
pub mod decisions;
mod exposition;
mod health;
mod histogram;
mod http;
mod session;
mod tls;
mod warnings;
mod words;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

pub use api::ApiCounts;
use decisions::{Decisions, TenantSeries};
pub use histogram::Histogram;
pub use http::{BindError, Bound, Endpoint};
pub use session::ListenerCounts;
pub use session::SessionMeter;
pub use warnings::WarningCounts;
pub(crate) use words::Words;

use crate::facts::{Direction, TenantId, Tls, unix_seconds};
use crate::listen::Limit;
use crate::name::Name;
use crate::receipt::{Monitored, Outcome, VerdictEvent};

/// A policy's ramp as it is now.
#[derive(Clone, Debug)]
pub struct RampSample {
    /// Whose.
    pub tenant: TenantId,
    /// The policy's name.
    pub policy: Name,
    /// Sender domains that are enforced, in per cent of all.
    pub percent: u32,
    /// Whether it was halted.
    pub is_halted: bool,
}

/// Ramps that are told of: who has more has rules that look at all of them.
const MOST_RAMPS: usize = 1_000;

/// Everything that a host counts itself.
#[derive(Debug)]
pub struct Metrics {
    started: u64,
    listeners: Mutex<BTreeMap<Box<str>, Arc<ListenerCounts>>>,
    limits: Words<1>,
    sessions_limit: AtomicU64,
    refused_headers: Words<1>,
    reverse_names: Words<1>,
    handshakes: Words<3>,
    handshake_failures: Words<1>,
    replies: Replies,
    messages: AtomicU64,
    octets: AtomicU64,
    relaying_refused: AtomicU64,
    /// The decisions of every tenant.
    pub decisions: Decisions,
    policy_failures: Words<1>,
    shadows: Words<1>,
    constant_time: Histogram,
    module_time: Histogram,
    fuel: Histogram,
    outcomes: Words<1>,
    deliveries: Words<3>,
    delivery_time: Mutex<BTreeMap<&'static str, Arc<Histogram>>>,
    reloads: Words<2>,
    last_reloads: Mutex<BTreeMap<&'static str, bool>>,
    certificates: Mutex<BTreeMap<String, i64>>,
    ramps: Mutex<Vec<RampSample>>,
    lacks_certificate: AtomicBool,
    store_behind: AtomicBool,
    /// Of the admin API.
    pub api: ApiCounts,
    /// What administrators should look at.
    pub warnings: WarningCounts,
    /// Attempts to tell a webhook, by how they ended.
    pub(crate) webhooks: Words<1>,
}

/// Codes of replies have three digits.
const CODES: usize = 600;

#[derive(Debug)]
struct Replies(Box<[AtomicU64]>);

/// Microseconds for a constant, tens of them for a module, and the time that one may
/// wait for an instance.
const DECISION_TIME: &[u64] = &[
    5 * clock::MICROSECOND,
    10 * clock::MICROSECOND,
    20 * clock::MICROSECOND,
    50 * clock::MICROSECOND,
    100 * clock::MICROSECOND,
    200 * clock::MICROSECOND,
    500 * clock::MICROSECOND,
    clock::MILLISECOND,
    2 * clock::MILLISECOND,
    5 * clock::MILLISECOND,
    10 * clock::MILLISECOND,
    50 * clock::MILLISECOND,
    100 * clock::MILLISECOND,
    500 * clock::MILLISECOND,
    clock::SECOND,
];

/// From the sync of a fast disk to the patience of a client.
const DELIVERY_TIME: &[u64] = &[
    clock::MILLISECOND,
    2 * clock::MILLISECOND,
    5 * clock::MILLISECOND,
    10 * clock::MILLISECOND,
    20 * clock::MILLISECOND,
    50 * clock::MILLISECOND,
    100 * clock::MILLISECOND,
    200 * clock::MILLISECOND,
    500 * clock::MILLISECOND,
    clock::SECOND,
    2 * clock::SECOND,
    5 * clock::SECOND,
    10 * clock::SECOND,
    30 * clock::SECOND,
    60 * clock::SECOND,
    300 * clock::SECOND,
];

/// A policy of a few comparisons uses thousands; the default limit is ten million.
const FUEL: &[u64] = &[
    1_000,
    2_000,
    5_000,
    10_000,
    20_000,
    50_000,
    100_000,
    1_000_000,
    10_000_000,
    100_000_000,
    1_000_000_000,
];

impl Default for Metrics {
    fn default() -> Self {
        Self {
            started: unix_seconds(SystemTime::now()),
            listeners: Mutex::default(),
            limits: Words::of(Limit::ALL.iter().map(|limit| [limit.word()])),
            sessions_limit: AtomicU64::new(0),
            refused_headers: Words::default(),
            reverse_names: Words::default(),
            handshakes: Words::default(),
            handshake_failures: Words::default(),
            replies: Replies((0..CODES).map(|_| AtomicU64::new(0)).collect()),
            messages: AtomicU64::new(0),
            octets: AtomicU64::new(0),
            relaying_refused: AtomicU64::new(0),
            decisions: Decisions::default(),
            policy_failures: Words::of(decisions::FAILURES.iter().map(|code| [*code])),
            shadows: Words::of(SHADOWS.iter().map(|result| [*result])),
            constant_time: Histogram::of_time(DECISION_TIME),
            module_time: Histogram::of_time(DECISION_TIME),
            fuel: Histogram::new(FUEL),
            outcomes: Words::of(OUTCOMES.iter().map(|outcome| [*outcome])),
            deliveries: Words::default(),
            delivery_time: Mutex::default(),
            reloads: Words::default(),
            last_reloads: Mutex::default(),
            certificates: Mutex::default(),
            ramps: Mutex::default(),
            lacks_certificate: AtomicBool::new(false),
            store_behind: AtomicBool::new(false),
            api: ApiCounts::default(),
            warnings: WarningCounts::default(),
            webhooks: Words::of(WEBHOOKS.iter().map(|end| [*end])),
        }
    }
}

/// What came of asking candidates.
const SHADOWS: [&str; 3] = ["agrees", "differs", "not-run"];

/// Each is there from the beginning, so that the first one is an increase.
const OUTCOMES: [&str; 4] = ["delivered", "deferred", "refused", "abandoned"];

/// Each is there from the beginning, so that the first one is an increase.
const WEBHOOKS: [&str; 3] = ["delivered", "failed", "given-up"];

impl Metrics {
    /// A session of this listener begins; it ends when the meter is dropped.
    pub fn session(&self, listener: &str) -> SessionMeter {
        SessionMeter::start(self.listener(listener))
    }

    /// What is counted of a listener; asking makes it known.
    pub fn listener(&self, name: &str) -> Arc<ListenerCounts> {
        let mut listeners = lock(&self.listeners);
        if let Some(known) = listeners.get(name) {
            return Arc::clone(known);
        }
        Arc::clone(listeners.entry(name.into()).or_default())
    }

    /// Most sessions that there may be at one time.
    pub fn sessions_limit(&self, limit: usize) {
        self.sessions_limit.store(limit as u64, Relaxed);
    }

    /// A limit turned something away. The word is a name in the code, never one from
    /// the wire.
    pub fn limit_hit(&self, limit: &'static str) {
        self.limits.count([limit]);
    }

    /// A connection to a listener behind proxies was closed without a session, for this
    /// reason of [`crate::listen::NoPeer::word`].
    pub fn proxy_header_refused(&self, reason: &'static str) {
        self.refused_headers.count([reason]);
    }

    /// A look-up of a client's name came to this: a word in the code.
    pub fn reverse_name(&self, result: &'static str) {
        self.reverse_names.count([result]);
    }

    /// A TLS handshake succeeded.
    pub fn handshake(&self, tls: &Tls) {
        self.handshakes.count(tls::labels(tls));
    }

    /// A TLS handshake failed, with this reason of [`crate::tls::failure_reason`].
    pub fn handshake_failed(&self, reason: &str) {
        self.handshake_failures
            .count([crate::tls::failure_label(reason)]);
    }

    /// A reply was given.
    pub fn reply(&self, code: u16) {
        if let Some(count) = self.replies.0.get(usize::from(code)) {
            count.fetch_add(1, Relaxed);
        }
    }

    /// The content of a message was taken, of so many octets.
    pub fn message(&self, octets: u64) {
        self.messages.fetch_add(1, Relaxed);
        self.octets.fetch_add(octets, Relaxed);
    }

    /// A recipient whom nobody here owns was refused.
    pub fn relaying_refused(&self) {
        self.relaying_refused.fetch_add(1, Relaxed);
    }

    /// A recipient of this tenant was decided, in this time.
    pub fn decided(&self, tenant: &TenantSeries, event: &VerdictEvent, took: Duration) {
        tenant.count(event);
        match event.fuel {
            Some(fuel) => {
                self.module_time.observe_time(took);
                self.fuel.observe(fuel);
            }
            None => self.constant_time.observe_time(took),
        }
        if let Some(failure) = &event.failure {
            self.policy_failures.count([decisions::failure(failure)]);
        }
    }

    /// A policy of this tenant would have decided so, where this was in force.
    pub fn monitored(&self, tenant: &TenantSeries, monitored: &Monitored, in_force: &VerdictEvent) {
        tenant.count_monitored(monitored, in_force);
    }

    /// A candidate was asked about a decision, with this result (a word in the code), or
    /// not asked.
    pub fn shadowed(&self, result: &'static str) {
        self.shadows.count([result]);
    }

    /// A recipient's message came to this end.
    pub fn outcome(&self, outcome: Outcome) {
        self.outcomes.count([word(outcome)]);
    }

    /// A target of this kind (a word in the code) did this with a message that was
    /// offered to it at `since`.
    pub fn delivery(
        &self,
        target: &'static str,
        direction: Direction,
        outcome: Outcome,
        since: Instant,
    ) {
        self.deliveries
            .count([target, direction.as_str(), word(outcome)]);
        self.delivery_time(target).observe_time(since.elapsed());
    }

    fn delivery_time(&self, target: &'static str) -> Arc<Histogram> {
        let mut known = lock(&self.delivery_time);
        let new = || Arc::new(Histogram::of_time(DELIVERY_TIME));
        Arc::clone(known.entry(target).or_insert_with(new))
    }

    /// `what` (such as `configuration` or `certificates`) was loaded anew, or what was
    /// there before stays.
    pub fn reloaded(&self, what: &'static str, done: bool) {
        let result = if done { "done" } else { "refused" };
        self.reloads.count([what, result]);
        lock(&self.last_reloads).insert(what, done);
    }

    /// The ramps that there are now, all of them.
    pub fn ramps(&self, mut all: Vec<RampSample>) {
        all.truncate(MOST_RAMPS);
        *lock(&self.ramps) = all;
    }

    /// The host's certificates as they are now: name and end of validity in seconds
    /// since 1970. Of several with one name the first to end counts.
    pub fn certificates<'a>(&self, all: impl Iterator<Item = (&'a str, i64)>) {
        let mut ends: BTreeMap<String, i64> = BTreeMap::new();
        for (name, end) in all {
            let known = ends.entry(name.to_owned()).or_insert(end);
            *known = end.min(*known);
        }
        *lock(&self.certificates) = ends;
    }

    /// Whether a listener needs a certificate that the host does not have: it is not
    /// ready then.
    pub fn lacks_certificate(&self, lacks: bool) {
        self.lacks_certificate.store(lacks, Relaxed);
    }

    /// Whether the store lacks what the files in force say.
    pub fn store_behind(&self, behind: bool) {
        self.store_behind.store(behind, Relaxed);
    }
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Delivered => "delivered",
        Outcome::Deferred => "deferred",
        Outcome::Refused => "refused",
        Outcome::Abandoned => "abandoned",
    }
}

/// Numbers are whole whatever happened to the thread that held them.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
