//! What this node runs: not what the store says, but what decides about mail just now.

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::input::{Json, Named};
use super::problem::Problem;
use super::tenants;
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

/// What is in force of a tenant. Digests are those that receipts name.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Running {
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
    let snapshot = api.host.snapshot.load();
    let found = snapshot.tenant(&id);
    let found = found.ok_or_else(|| Problem::no_tenant(&tenant))?;
    Ok(Json(Running::of(found)))
}

impl Running {
    fn of(tenant: &Tenant) -> Self {
        let policies = tenant.policies.iter();
        let policies = policies.map(|policy| part(&policy.name, tenant.revision(policy)));
        let lists = tenant.lists.iter();
        let lists = lists.map(|(name, list)| part(name, list.digest()));
        let modules = tenant.modules();
        let modules = modules.filter_map(|(name, digest, standing)| {
            Some(RunningModule {
                name: name.to_string(),
                digest: digest.to_string(),
                state: ModuleStanding::of(standing)?,
            })
        });
        Self {
            policies: sorted(policies),
            lists: sorted(lists),
            modules: sorted(modules),
        }
    }
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

fn part(name: &(impl ToString + ?Sized), digest: crate::digest::Digest) -> RunningPart {
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
