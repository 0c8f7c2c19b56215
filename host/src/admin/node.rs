//! What this node runs: not what the store says, but what decides about mail just now.

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::input::{Asked, Json, Named};
use super::page::{Page, Part};
use super::problem::Problem;
use super::shapes::NameText;
use super::tenants;
use crate::digest::Digest;
use crate::name::Name;
use crate::store::{Store, Version};
use crate::tenant::{Standing, Tenant};

/// This node.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Node {
    /// Its name in SMTP.
    hostname: String,
    /// Of Portcullis.
    version: &'static str,
    /// How many tenants are in force.
    tenants: usize,
    /// How many of their modules are not compiled yet.
    modules_pending: usize,
}

/// A tenant that is in force, among others.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RunningTenant {
    /// Its id.
    #[schema(value_type = NameText)]
    id: String,
    /// The revision of the tenant that this is; null where the store has another, or cannot
    /// be read.
    revision: Option<i64>,
    /// SHA-256 of its document: of all that it has.
    digest: String,
    /// How many policies it has.
    policies: usize,
    /// How many lists it has.
    lists: usize,
    /// How many modules, and revisions of them that policies pin, it has.
    modules: usize,
    /// How many of these are not compiled yet.
    modules_pending: usize,
}

/// What is in force of a tenant. Digests are those that receipts name.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Running {
    /// The revision of the tenant that this is; null where the store has another, or cannot
    /// be read.
    revision: Option<i64>,
    /// SHA-256 of its document: of all that it has, domains, sources, targets, defaults and
    /// exempt recipients among it.
    digest: String,
    /// SHA-256 of whom it trusts, the public roots included.
    trust: String,
    /// By name.
    policies: Vec<RunningPart>,
    /// By name.
    lists: Vec<RunningPart>,
    /// By name; those that were refused are not among them, and policies that ask them
    /// fail.
    modules: Vec<RunningModule>,
}

/// Something that is in force.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
pub(super) struct RunningPart {
    /// Unique among its kind in the tenant.
    name: String,
    /// SHA-256.
    digest: String,
}

/// A module that is in force.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
pub(super) struct RunningModule {
    /// Its name; that of the module where policies pin another revision of it.
    name: String,
    /// The number of its revision; null where the store has none of these bytes, or cannot
    /// be read.
    revision: Option<i64>,
    /// SHA-256.
    digest: String,
    /// How far it is.
    state: ModuleStanding,
}

/// How far a module is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ModuleStanding {
    /// It is asked.
    Ready,
    /// It was not compiled when the host started, and is not yet: mail that needs it waits.
    Pending,
}

/// This node: its version, and how many tenants are in force.
#[utoipa::path(get, path = "/v1/node", tag = "node",
    responses((status = 200, body = Node)))]
pub(super) async fn node(State(api): State<Api>) -> Json<Node> {
    let snapshot = api.host.snapshot.load();
    Json(Node {
        hostname: api.host.hostname.clone(),
        version: env!("CARGO_PKG_VERSION"),
        tenants: snapshot.tenants().len(),
        modules_pending: snapshot.pending(),
    })
}

/// What is in force of a tenant on this node.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/running", tag = "node",
    params(("tenant" = String, Path, description = "The tenant's id.")),
    responses((status = 200, body = Running)))]
pub(super) async fn running(
    State(api): State<Api>,
    Named(tenant): Named<String>,
) -> Result<Json<Running>, Problem> {
    let id = tenants::id(&tenant)?;
    let snapshot = api.host.snapshot.load_full();
    let found = snapshot.tenant(&id);
    let found = found.ok_or_else(|| Problem::no_tenant(&tenant))?;
    Ok(Json(Running::of(found, &api.host.store).await))
}

/// What is in force of all tenants on this node, by id.
#[utoipa::path(get, path = "/v1/running", tag = "node", params(Part),
    responses((status = 200, body = Page<RunningTenant>)))]
pub(super) async fn all_running(
    State(api): State<Api>,
    Asked(part): Asked<Part>,
) -> Result<Json<Page<RunningTenant>>, Problem> {
    let page = part.named()?;
    let snapshot = api.host.snapshot.load_full();
    // What is in force can be told without the store.
    let versions = api.host.store.versions().await.unwrap_or_default();
    let tenants = snapshot.tenants();
    let from = tenants.partition_point(|tenant| tenant.id.as_str() <= page.after.as_str());
    let limit = usize::try_from(page.limit).unwrap_or(0);
    let found = tenants.iter().skip(from).take(limit);
    let found = found.map(|tenant| RunningTenant::of(tenant, versions.get(&tenant.id)));
    let key = |tenant: &RunningTenant| tenant.id.clone();
    Ok(Json(Page::of(found.collect(), page.limit, key)))
}

impl RunningTenant {
    fn of(tenant: &Tenant, version: Option<&Version>) -> Self {
        let modules = || tenant.modules().map(|(_, _, standing)| standing);
        Self {
            id: tenant.id.to_string(),
            revision: version
                .filter(|version| version.digest == tenant.document)
                .map(|version| version.revision),
            digest: tenant.document.to_string(),
            policies: tenant.policies.len(),
            lists: tenant.lists.iter().count(),
            modules: modules().filter(|of| *of != Standing::Refused).count(),
            modules_pending: modules().filter(|of| *of == Standing::Pending).count(),
        }
    }
}

impl Running {
    async fn of(tenant: &Tenant, store: &Store) -> Self {
        let mut modules = Vec::new();
        for (name, digest, standing) in tenant.modules() {
            if let Some(state) = ModuleStanding::of(standing) {
                modules.push(RunningModule {
                    name: name.to_string(),
                    revision: number(store, tenant, name, digest).await,
                    digest: digest.to_string(),
                    state,
                });
            }
        }
        let policies = tenant.policies.iter();
        let policies = policies.map(|policy| part(&policy.name, tenant.revision(policy)));
        let lists = tenant.lists.iter();
        let lists = lists.map(|(name, list)| part(name, list.digest()));
        Self {
            revision: revision(store, tenant).await,
            digest: tenant.document.to_string(),
            trust: tenant.trust.digest().to_string(),
            policies: sorted(policies),
            lists: sorted(lists),
            modules: sorted(modules.into_iter()),
        }
    }
}

/// The revision of a tenant, where the store has what is in force.
async fn revision(store: &Store, tenant: &Tenant) -> Option<i64> {
    let kept = store.tenant(&tenant.id).await.ok()??;
    (kept.digest == tenant.document.to_string()).then_some(kept.revision)
}

/// The number of a revision of a module, where the store has it.
async fn number(store: &Store, tenant: &Tenant, name: &Name, digest: Digest) -> Option<i64> {
    let kept = store.module_with_revisions(&tenant.id, name.as_str()).await;
    let (_, revisions) = kept.ok()??;
    let digest = digest.to_string();
    let found = revisions.iter().find(|revision| revision.digest == digest);
    found.map(|revision| revision.number)
}

impl ModuleStanding {
    fn of(standing: Standing) -> Option<Self> {
        match standing {
            Standing::Ready => Some(Self::Ready),
            Standing::Pending => Some(Self::Pending),
            Standing::Refused => None,
        }
    }
}

fn part(name: &(impl ToString + ?Sized), digest: Digest) -> RunningPart {
    RunningPart {
        name: name.to_string(),
        digest: digest.to_string(),
    }
}

fn sorted<T: Ord>(parts: impl Iterator<Item = T>) -> Vec<T> {
    let mut parts: Vec<_> = parts.collect();
    parts.sort();
    parts
}
