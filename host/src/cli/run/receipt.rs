//! The facts of a receipt, and the settings and lists that went with them, as far as they
//! are known.
//!
//! A receipt has its facts whole. Its settings are known where the policy is kept as it
//! was then, or is still the same; its lists are those of now, and where they differ from
//! those of then that is said.

use std::path::Path;
use std::sync::Arc;

use anyhow::bail;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::author::vectors::Given;
use crate::cli::api::{ApiArguments, Ask, Client, Target, items};
use crate::cli::receipts::no_receipt;
use crate::cli::{check, rows};
use crate::config::{Config, TenantConfig};
use crate::facts::ReceiptId;
use crate::lists::{List, Lists};
use crate::policy::Choice;
use crate::receipt::VerdictEvent;
use crate::receipt::filter::Filter;
use crate::receipt::read::Receipt;
use crate::receipt::source::Source;

/// A receipt that was found.
pub(super) struct Past {
    event: Box<VerdictEvent>,
    /// The running host that has it, which is asked for lists when they are wanted.
    host: Option<Client>,
    /// Why there are no settings.
    without_settings: Option<&'static str>,
}

/// A receipt as a host tells it.
#[derive(Deserialize)]
struct Events {
    verdict: Option<Box<VerdictEvent>>,
    content: Option<Box<VerdictEvent>>,
    policy: Option<Value>,
}

/// An entry of a list as a host tells it.
#[derive(Deserialize)]
struct Entry {
    key: String,
    value: String,
}

impl Past {
    /// Finds it on this machine, or has a running host tell it, and what was asked then.
    pub(super) async fn find(api: &ApiArguments, id: ReceiptId) -> anyhow::Result<(Given, Self)> {
        match api.target()? {
            Target::Config(path) => Self::on_disk(&path, id).await,
            Target::Url(_) | Target::Socket(_) => Self::told(Client::new(api)?, id).await,
        }
    }

    async fn on_disk(path: &Path, id: ReceiptId) -> anyhow::Result<(Given, Self)> {
        let config = check::whole(path).await?;
        let source = Source::open(&config).await?;
        let Some(receipt) = source.one(&Filter::of(id)).await? else {
            bail!(no_receipt(id, &source));
        };
        let policy = source.policy(&receipt).await?;
        let policy = policy.and_then(|text| serde_json::from_str(&text).ok());
        let event = decided(receipt)?;
        let tenant = tenant(&config, &event);
        let settings = policy
            .as_ref()
            .and_then(settings_of)
            .or_else(|| settings_now(tenant?, &event));
        let lists = tenant.map(|tenant| Arc::new(tenant.lists.clone()));
        let past = Self::new(event, None);
        Ok(past.given(settings, lists.unwrap_or_default()))
    }

    async fn told(client: Client, id: ReceiptId) -> anyhow::Result<(Given, Self)> {
        let ask = Ask::get(&["receipts", &id.to_string()]);
        let events: Events = client.send(ask).await?.json()?;
        let Events {
            verdict,
            content,
            policy,
        } = events;
        let Some(verdict) = verdict else {
            bail!(NO_POLICY);
        };
        let event = decided(Receipt::Decided(verdict, content, None))?;
        let past = Self::new(event, Some(client));
        Ok(past.given(policy.as_ref().and_then(settings_of), Arc::default()))
    }

    fn new(event: Box<VerdictEvent>, host: Option<Client>) -> Self {
        Self {
            event,
            host,
            without_settings: None,
        }
    }

    fn given(mut self, settings: Option<Value>, lists: Arc<Lists>) -> (Given, Self) {
        let by_module = self.event.policy.as_ref().map(|used| used.module.is_some());
        self.without_settings = match (&settings, by_module) {
            (Some(_), _) => None,
            (None, Some(true)) => Some("the settings of then are not known any more"),
            (None, _) => Some("no module decided it then"),
        };
        let given = Given {
            facts: Arc::clone(&self.event.facts),
            settings: settings.unwrap_or_else(|| Value::Object(Map::new())),
            lists,
        };
        (given, self)
    }

    /// The lists with one more, which the module asked for: as a running host has it.
    pub(super) async fn with(
        &self,
        lists: &Lists,
        name: &str,
    ) -> anyhow::Result<Option<Arc<Lists>>> {
        let Some(host) = &self.host else {
            return Ok(None);
        };
        // What the tenant had not then it is not given now.
        if lists.get(name).is_some() || !self.event.lists.contains_key(name) {
            return Ok(None);
        }
        let tenant = self.event.facts.tenant.as_str();
        let ask = Ask::get(&["tenants", tenant, "lists", name, "entries"]);
        let entries: Vec<Entry> = rows::read(&items(host, ask, None).await?)?;
        let entries = entries.into_iter().map(|e| (e.key, e.value));
        let mut more = lists.clone();
        more.insert(name.to_owned(), Arc::new(List::new(entries.collect())));
        Ok(Some(Arc::new(more)))
    }

    /// Says on standard error what the module was given that is not what was there then.
    pub(super) fn say_notes(&self, given: &Given, has_other_settings: bool) {
        for (name, list) in given.lists.iter() {
            let then = self.event.lists.get(name);
            if then.is_none_or(|then| *then != list.digest()) {
                rows::aside(format_args!(
                    "note: the list {name} is not what it was then"
                ));
            }
        }
        if let Some(why) = self.without_settings.filter(|_| !has_other_settings) {
            rows::aside(format_args!(
                "note: {why}: the module is given none, unless --settings has them"
            ));
        }
    }
}

const NO_POLICY: &str =
    "no policy was asked for this receipt: no tenant has the recipient's domain";

/// The last decision of it.
fn decided(receipt: Receipt) -> anyhow::Result<Box<VerdictEvent>> {
    let id = receipt.id();
    if receipt.is_erased() {
        bail!("an address of receipt {id} was erased, so a module cannot be asked about it");
    }
    match receipt {
        Receipt::Decided(first, second, _) => Ok(second.unwrap_or(first)),
        Receipt::Relay(_) => bail!(NO_POLICY),
    }
}

fn tenant<'a>(config: &'a Config, event: &VerdictEvent) -> Option<&'a TenantConfig> {
    let mut tenants = config.tenants.iter();
    tenants.find(|tenant| tenant.id == event.facts.tenant)
}

/// Those of a policy that asks a module, as it is kept.
fn settings_of(policy: &Value) -> Option<Value> {
    let text = policy.pointer("/option/module/settings")?.as_str()?;
    serde_json::from_str(text).ok()
}

/// Those that the policy has now, where they are those of then.
fn settings_now(tenant: &TenantConfig, event: &VerdictEvent) -> Option<Value> {
    let used = event.policy.as_ref()?;
    let then = used.module.as_ref()?.settings;
    let mut policies = tenant.policies.iter().map(|read| &read.policy);
    let policy = policies.find(|policy| policy.name.as_str() == used.name)?;
    match &policy.option {
        Choice::Module(asked) if asked.settings_digest == then => {
            serde_json::from_str(&asked.settings).ok()
        }
        _ => None,
    }
}
