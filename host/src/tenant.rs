//! Tenants: whose mail a message is, and what they have set.
//!
//! The mail side reads an immutable [`Snapshot`], swapped whole when the configuration
//! is loaded again. **A swap never changes a transaction under way**: a transaction
//! holds the snapshot it began with.

mod load;
mod modules;
mod pending;
mod route;
mod sources;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

pub(crate) use load::in_background;
pub use load::{Loaded, Means, Refusal, faults, load, public_roots};
pub(crate) use modules::Held;
use modules::Modules;
pub use modules::Standing;
use pending::Pending;
pub(crate) use pending::Wait;
pub use pending::{Filling, Queue};
pub use route::{Denial, Origin, Route};
pub use sources::{Recognition, Sources};

use crate::address::{Domain, Mailbox};
use crate::config::shared_source;
use crate::decision::Resolved;
use crate::deliver::Target;
use crate::digest::Digest;
use crate::facts::{Direction, Facts, Stage, TenantId};
use crate::lists::Lists;
use crate::metrics::decisions::TenantSeries;
use crate::name::Name;
use crate::policy::{
    ByHeader, Consultation, Exempt, Mode, Policy, Question, Selected, by_header, select,
};
use crate::tls::TrustStore;
use crate::warnings::webhook::Webhook;

/// All tenants at one moment, by id.
#[derive(Debug)]
pub struct Snapshot {
    tenants: Vec<Arc<Tenant>>,
    by_domain: HashMap<Domain, Arc<Tenant>>,
    by_id: HashMap<TenantId, Arc<Tenant>>,
    default: Resolved,
}

/// A tenant, ready to decide.
#[derive(Debug)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// Mail to these is its mail.
    pub domains: Vec<Domain>,
    /// A line for refusals that no policy has a line for.
    pub contact: Option<String>,
    /// Who is told of warnings.
    pub webhook: Option<Webhook>,
    /// What Default means; none leaves it to the host ([`Snapshot::default`]).
    pub default: Option<Resolved>,
    /// Recipients whom its policies are not asked about.
    pub exempt: Exempt,
    /// How its own servers are recognised.
    pub sources: Sources,
    /// Where mail to its domains goes.
    pub target: Arc<Target>,
    /// Where mail from its own servers to others goes, if anywhere.
    pub outbound: Option<Arc<Target>>,
    /// Whom it trusts.
    pub trust: Arc<TrustStore>,
    /// Its lists.
    pub lists: Arc<Lists>,
    /// Its policies, in the order of its file.
    pub policies: Vec<Policy>,
    /// What its policies decided is counted here.
    pub series: TenantSeries,
    /// Digest of its document: of all that it has, as the store notes it.
    pub document: Digest,
    /// Of what it was loaded: its document, and what of the host goes into it.
    origin: Digest,
    /// How many modules it should have, those that policies pin included.
    named_modules: usize,
    /// Every module that was admitted, or is still to be; a policy whose module is not among
    /// them fails.
    modules: Modules,
    /// Digests of the policies, which every receipt names.
    revisions: BTreeMap<Name, Digest>,
}

impl Snapshot {
    /// These tenants, no two of which have a domain in common; `default` is the host's.
    pub fn new(mut tenants: Vec<Arc<Tenant>>, default: Resolved) -> Self {
        tenants.sort_by(|one, other| one.id.cmp(&other.id));
        let by_domain = tenants
            .iter()
            .flat_map(|tenant| {
                let domains = tenant.domains.iter().cloned();
                domains.map(|domain| (domain, Arc::clone(tenant)))
            })
            .collect();
        let by_id = tenants
            .iter()
            .map(|tenant| (tenant.id.clone(), Arc::clone(tenant)))
            .collect();
        Self {
            tenants,
            by_domain,
            by_id,
            default,
        }
    }

    /// The same with another tenant in the place of the one of this id, or with none.
    pub fn replacing(&self, id: &TenantId, tenant: Option<Arc<Tenant>>) -> Self {
        let others = self.tenants.iter().filter(|other| other.id != *id);
        let tenants = others.map(Arc::clone).chain(tenant).collect();
        Self::new(tenants, self.default.clone())
    }

    /// What comes of `loaded`, which was made of `before`, where this is in force by now:
    /// a tenant that has come, gone or changed meanwhile is as it is now.
    pub fn overtaking(&self, before: &Self, loaded: &Self) -> Self {
        let own = self.tenants.iter();
        let own = own.filter(|tenant| !Self::agree_on(&tenant.id, self, before));
        let others = loaded.tenants.iter();
        let others = others.filter(|tenant| Self::agree_on(&tenant.id, self, before));
        let tenants = own.chain(others).map(Arc::clone).collect();
        Self::new(tenants, self.default.clone())
    }

    /// Whether both have the very same tenant of this id, or none.
    pub fn agree_on(id: &TenantId, one: &Self, other: &Self) -> bool {
        match (one.tenant(id), other.tenant(id)) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }

    /// What the sources of a tenant have in common with those of the others, for operators: a
    /// line for each of them. None where it has the sources that it had `before`.
    pub fn shared_sources(&self, tenant: &Tenant, before: &Self) -> Vec<String> {
        let known = before.tenant(&tenant.id).map(|known| &known.sources);
        if known == Some(&tenant.sources) {
            return Vec::new();
        }
        let others = self.tenants.iter().filter(|other| other.id != tenant.id);
        let shared = others.filter_map(|other| {
            let shared = tenant.sources.shared_with(&other.sources)?;
            let other = format_args!("{} as well", other.id);
            let meaning = shared_source(&shared, &other);
            Some(format!("tenant {}: sources: {meaning}", tenant.id))
        });
        shared.collect()
    }

    /// The tenant whose mail this recipient's is; none for a foreign domain.
    pub fn owner(&self, recipient: &Mailbox) -> Option<&Arc<Tenant>> {
        self.by_domain.get(recipient.domain()?)
    }

    /// The tenant of this id.
    pub fn tenant(&self, id: &TenantId) -> Option<&Arc<Tenant>> {
        self.by_id.get(id)
    }

    /// All tenants, by id.
    pub fn tenants(&self) -> &[Arc<Tenant>] {
        &self.tenants
    }

    /// How many modules are not compiled yet.
    pub fn pending(&self) -> usize {
        self.cells().filter(|cell| !cell.is_done()).count()
    }

    /// What was refused of modules that were not compiled when their tenants were loaded.
    pub fn refused_since(&self) -> Vec<Refusal> {
        let refused = self.cells().map(|cell| cell.refused());
        refused.flatten().cloned().collect()
    }

    /// The bytes of all modules are in the store now, and need not be held any more.
    pub(crate) fn is_stored(&self) {
        self.cells().for_each(|cell| cell.is_stored());
    }

    fn cells(&self) -> impl Iterator<Item = &Arc<Pending>> {
        self.tenants
            .iter()
            .flat_map(|tenant| tenant.modules.cells())
    }

    /// What Default means for tenants who do not say.
    pub fn default(&self) -> &Resolved {
        &self.default
    }
}

impl Tenant {
    /// Which of its policies applies to these facts.
    pub fn select(&self, facts: &Facts) -> Selected<'_> {
        self.select_at(facts, facts.now)
    }

    /// The same by the policies that are valid at another time, in seconds since 1970.
    pub fn select_at(&self, facts: &Facts, now: u64) -> Selected<'_> {
        select(&self.policies, &self.exempt, &self.question_at(facts, now))
    }

    /// What may apply at the end of data where the header From is not known, by the
    /// policies that are valid at this time.
    pub fn by_header(&self, facts: &Facts, now: u64) -> ByHeader<'_> {
        let question = Question {
            stage: Stage::Recipient,
            ..self.question_at(facts, now)
        };
        by_header(&self.policies, &question)
    }

    /// What these facts ask of its policies.
    pub fn question<'a>(&'a self, facts: &'a Facts) -> Question<'a> {
        self.question_at(facts, facts.now)
    }

    fn question_at<'a>(&'a self, facts: &'a Facts, now: u64) -> Question<'a> {
        Question {
            now,
            ..Question::new(facts, &self.domains, &self.lists)
        }
    }

    /// Whether the mailbox is in one of its domains.
    pub fn has(&self, mailbox: &Mailbox) -> bool {
        mailbox
            .domain()
            .is_some_and(|domain| self.domains.contains(domain))
    }

    /// Where its mail in this direction goes, if anywhere.
    pub fn target(&self, direction: Direction) -> Option<&Arc<Target>> {
        match direction {
            Direction::Inbound => Some(&self.target),
            Direction::Outbound => self.outbound.as_ref(),
        }
    }

    /// Whether none of its policies is asked about this recipient.
    pub fn exempts(&self, recipient: &Mailbox) -> bool {
        self.exempt.of(recipient, &self.domains).is_some()
    }

    /// What its policies on the header From do about a recipient of mail in this
    /// direction: enforce, only watch, or nothing, where there are none or it is exempt.
    pub fn header_mode(&self, direction: Direction, recipient: &Mailbox, now: u64) -> Option<Mode> {
        if self.exempts(recipient) {
            return None;
        }
        let all = self.policies.iter();
        let readers = all.filter(|policy| policy.reads_header(direction, now));
        let modes: Vec<Mode> = readers.map(|policy| policy.mode_at(now)).collect();
        match modes.contains(&Mode::Enforce) {
            true => Some(Mode::Enforce),
            false => modes.first().copied(),
        }
    }

    /// The digest of a policy of this tenant.
    pub fn revision(&self, policy: &Policy) -> Digest {
        let known = self.revisions.get(&policy.name).copied();
        known.unwrap_or_else(|| policy.digest())
    }

    /// Its modules with those that policies pin, by name: which they are, and how far.
    /// Those that were refused when it was loaded are not among them.
    pub fn modules(&self) -> impl Iterator<Item = (&Name, Digest, Standing)> {
        let all = self.modules.iter();
        all.map(|(name, held)| (name, held.digest(), held.standing()))
    }

    /// Whether none of its modules, nor settings for them, were refused.
    fn is_whole(&self) -> bool {
        let mut modules = self.modules.iter();
        self.modules.len() == self.named_modules && modules.all(|(_, held)| held.is_whole())
    }

    /// The module that a policy of this tenant asks; none where it was refused when the
    /// tenant was loaded.
    pub(crate) fn module(&self, consultation: &Consultation) -> Option<&Held> {
        self.modules.get(consultation)
    }
}

#[cfg(test)]
pub(crate) mod tests;
