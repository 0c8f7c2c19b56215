//! What a replay asks: a change, written as changes are, and loaded without being made.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::address::Domain;
use crate::admin::access::Caller;
use crate::admin::problem::Problem;
use crate::admin::shapes::NameText;
use crate::admin::{Api, dry_runs, lists, policies, reload, uploads};
use crate::config::{Half, Object, TenantDocument};
use crate::facts::TenantId;
use crate::name::Name;
use crate::replay::Candidate;

/// What would be.
#[derive(Debug)]
pub(super) enum Proposal {
    Policy(Object),
    Without(Name),
    Module(CandidateRevision),
    Tenant(CandidateTenant),
    Directory(PathBuf),
}

/// A revision that is ready.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::admin) struct CandidateRevision {
    /// The module's name.
    #[schema(value_type = NameText)]
    name: Name,
    /// The number of the revision.
    #[schema(minimum = 1)]
    revision: i64,
}

/// A tenant. What is left out stays as it is; modules do.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::admin) struct CandidateTenant {
    /// Its domains.
    domains: Option<Vec<String>>,
    /// What operators write.
    #[schema(value_type = Option<Object>)]
    operator: Option<Object>,
    /// What the tenant writes.
    #[schema(value_type = Option<Object>)]
    own: Option<Object>,
    /// All policies, each with its name, in the order of their creation.
    #[schema(value_type = Option<Vec<Object>>)]
    policies: Option<Vec<Object>>,
    /// Lists by name, in the place of those or beside the others: an array of keys, or an
    /// object of keys and values.
    #[schema(value_type = Option<BTreeMap<String, lists::Entries>>)]
    lists: Option<BTreeMap<String, Value>>,
}

impl Proposal {
    pub(super) async fn load(
        self,
        api: &Api,
        who: &Caller,
        tenant: &TenantId,
        at: u64,
    ) -> Result<Candidate, Problem> {
        // As many are loaded at a time as changes are.
        let _place = api.places.acquire().await;
        let reloader = &api.reloader;
        match self {
            Self::Policy(keys) => {
                let loaded = reloader.candidate(tenant, at, |document| with_policy(document, keys));
                loaded.await.map_err(Problem::of_policy)
            }
            Self::Without(name) => {
                let loaded = reloader.candidate(tenant, at, |document| without(document, &name));
                loaded.await
            }
            Self::Module(revision) => revision.load(api, tenant, at).await,
            Self::Tenant(sent) => {
                let loaded = reloader.candidate(tenant, at, |document| sent.write(document));
                loaded.await
            }
            Self::Directory(directory) => of_tree(api, who, tenant, at, &directory).await,
        }
    }
}

fn with_policy(mut document: TenantDocument, keys: Object) -> Result<TenantDocument, Problem> {
    let name = keys.get("name").and_then(Value::as_str);
    let name = name.map(str::to_owned).ok_or_else(|| {
        Problem::impossible("name: is missing: it says in the place of which policy this is")
    })?;
    document.put_policy(&name, keys)?;
    Ok(document)
}

fn without(mut document: TenantDocument, policy: &Name) -> Result<TenantDocument, Problem> {
    match document.remove_policy(policy.as_str()) {
        true => Ok(document),
        false => Err(Problem::not_found(format!(
            "tenant {:?} has no policy {:?}",
            document.id.as_str(),
            policy.as_str()
        ))),
    }
}

async fn of_tree(
    api: &Api,
    who: &Caller,
    tenant: &TenantId,
    at: u64,
    directory: &Path,
) -> Result<Candidate, Problem> {
    if !who.is_owner() {
        return Err(Problem::forbidden(
            "directory: this is for whoever owns the host: ask over its socket, without a token",
        ));
    }
    if !directory.is_absolute() {
        return Err(Problem::bad(format!(
            "directory: {directory:?} is not absolute, and the host has a working directory of its own"
        )));
    }
    let loaded = api.reloader.candidate_of_tree(tenant, at, directory);
    let loaded = loaded.await.map_err(|error| reload::refused(&error))?;
    loaded.ok_or_else(|| {
        Problem::impossible(format!(
            "directory: {directory:?} has no tenant {:?}: applied, it would remove it",
            tenant.as_str()
        ))
    })
}

impl CandidateRevision {
    async fn load(&self, api: &Api, tenant: &TenantId, at: u64) -> Result<Candidate, Problem> {
        let Self { name, revision } = self;
        let (_, digest) = uploads::ready(api, tenant, name.as_str(), *revision).await?;
        let _loaded = dry_runs::admitted(api, tenant, digest).await?;
        let loaded = api.reloader.candidate(tenant, at, |mut document| {
            document.activate(name, digest);
            Ok::<_, Problem>(document)
        });
        let loaded = loaded.await;
        let names = policies::names(api, tenant);
        loaded.map_err(|problem| problem.naming(&names))
    }
}

impl CandidateTenant {
    fn write(self, mut document: TenantDocument) -> Result<TenantDocument, Problem> {
        if let Some(domains) = self.domains {
            document.domains = parsed(&domains)?;
        }
        for (half, keys) in [(Half::Operator, self.operator), (Half::Own, self.own)] {
            if let Some(keys) = keys {
                document.write(half, keys)?;
            }
        }
        if let Some(policies) = self.policies {
            document.policies.clear();
            for (index, keys) in policies.into_iter().enumerate() {
                document = with_policy(document, keys)?;
                if document.policies.len() == index {
                    return Err(Problem::impossible(format!(
                        "tenant.policies[{index}]: another has the same name"
                    )));
                }
            }
        }
        for (name, entries) in self.lists.into_iter().flatten() {
            document.put_list(&name, lists::of_entries(&entries)?);
        }
        Ok(document)
    }
}

fn parsed(domains: &[String]) -> Result<Vec<Domain>, Problem> {
    let domains = domains.iter().enumerate().map(|(index, domain)| {
        let parsed: Result<Domain, _> = domain.parse();
        parsed.map_err(|error| Problem::impossible(format!("tenant.domains[{index}]: {error}")))
    });
    domains.collect()
}
