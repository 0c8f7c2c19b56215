//! Settings are checked by the modules they are for: by those that are loaded at once, by
//! others when they are compiled.

use std::collections::HashSet;
use std::sync::Arc;

use super::admission::Needed;
use super::{Loader, Refusal};
use crate::config::{PolicyConfig, TenantConfig};
use crate::digest::Digest;
use crate::engine::{AdmissionError, Module, SettingsFault};
use crate::facts::TenantId;
use crate::policy::Choice;
use crate::tenant::modules::{Held, Modules};
use crate::tenant::pending::Check;

impl Loader<'_> {
    /// Nothing to check without settings, or without the module, which was reported or is
    /// asked when it is compiled. A module that cannot be asked about its settings is not to
    /// be asked about mail.
    pub(super) async fn check_settings(
        &mut self,
        tenant: &TenantId,
        read: &PolicyConfig,
        modules: &mut Modules,
    ) {
        let (Choice::Module(consultation), Some(settings)) = (&read.policy.option, &read.settings)
        else {
            return;
        };
        let Some(module) = modules.get(consultation).and_then(Held::at_hand).cloned() else {
            return;
        };
        let key = (module.digest(), consultation.settings_digest);
        let refusal = |fault| Refusal {
            fault,
            tenant: tenant.clone(),
            module: consultation.module.clone(),
            digest: module.digest(),
            is_passing: false,
            is_of_settings: false,
        };
        match self.checked(key, &module, &settings.value).await {
            Ok(found) if found.is_empty() => {}
            Ok(found) => {
                let faults = found.iter().map(|f| settings.fault(&f.path, &f.message));
                self.refused.extend(faults.map(|fault| Refusal {
                    is_of_settings: true,
                    ..refusal(fault)
                }));
                modules.refuse_settings(consultation);
            }
            Err(error) => {
                self.refused.push(Refusal {
                    is_passing: error.is_passing(),
                    ..refusal(settings.at.fault(error))
                });
                modules.remove(consultation);
            }
        }
    }

    async fn checked(
        &mut self,
        key: (Digest, Digest),
        module: &Module,
        settings: &serde_json::Value,
    ) -> Result<Vec<SettingsFault>, AdmissionError> {
        if let Some(known) = self.checked.get(&key) {
            return Ok(known.clone());
        }
        if self.known_to_fit.contains(&key) {
            return Ok(Vec::new());
        }
        let found = self.means.engine.check_settings(module, settings).await?;
        if found.is_empty() {
            self.found_to_fit.push(key);
        }
        self.checked.insert(key, found.clone());
        Ok(found)
    }

    /// What the store knows of the settings of these policies. What cannot be read is not
    /// known.
    pub(super) async fn known(
        &self,
        config: &TenantConfig,
        modules: &Modules,
    ) -> HashSet<(Digest, Digest)> {
        let Some(store) = self.means.store else {
            return HashSet::new();
        };
        let asked = config.policies.iter().filter_map(|read| {
            let Choice::Module(consultation) = &read.policy.option else {
                return None;
            };
            read.settings.as_ref()?;
            let module = modules.get(consultation)?.at_hand()?;
            Some((module.digest(), consultation.settings_digest))
        });
        let asked: HashSet<_> = asked
            .filter(|key| !self.checked.contains_key(key))
            .collect();
        let asked: Vec<_> = asked.into_iter().collect();
        let engine = self.means.engine.judgement();
        store.checked(&asked, engine).await.unwrap_or_default()
    }
}

/// The settings that policies have for this module, each once.
pub(super) fn checks(tenant: &TenantConfig, needed: &Needed) -> Arc<[Check]> {
    let mut known = HashSet::new();
    let checks = tenant.policies.iter().filter_map(|read| {
        let Choice::Module(asked) = &read.policy.option else {
            return None;
        };
        let revision = needed.is_pinned.then(|| needed.revision.content.digest());
        let settings = read.settings.clone()?;
        let is_asked = asked.module == needed.name && asked.revision == revision;
        (is_asked && known.insert(asked.settings_digest)).then_some(Check {
            digest: asked.settings_digest,
            settings,
        })
    });
    checks.collect()
}
