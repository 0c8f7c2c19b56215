//! Changing which revision of a module is active. Pure.

use serde_json::Value as Json;

use super::tenant_document::TenantDocument;
use super::{ModuleConfig, ModuleContent, Object, OtherRevision, Position};
use crate::digest::Digest;
use crate::name::Name;

impl TenantDocument {
    /// Makes a revision that the store has the active one. A module that had none comes
    /// behind all others.
    pub fn activate(&mut self, name: &Name, digest: Digest) {
        let at = Position::tenant(&self.id);
        let content = ModuleContent::Stored(digest);
        let mut modules = self.modules.iter_mut();
        let Some(module) = modules.find(|module| module.name == *name) else {
            self.modules.push(ModuleConfig {
                name: name.clone(),
                content,
                others: Vec::new(),
                at,
            });
            return;
        };
        if module.digest() == digest {
            return;
        }
        let before = std::mem::replace(&mut module.content, content);
        module
            .others
            .retain(|other| other.content.digest() != digest);
        // Policies may pin it from now on.
        module.others.push(OtherRevision {
            content: before,
            at,
        });
    }

    /// Takes a module away; false where there is none of this name.
    pub fn remove_module(&mut self, name: &str) -> bool {
        let before = self.modules.len();
        self.modules.retain(|module| module.name.as_str() != name);
        self.modules.len() < before
    }

    /// The names of the policies that ask this module, whichever revision of it.
    pub fn policies_that_ask(&self, module: &str) -> Vec<&str> {
        let asks = |policy: &&Object| policy.get("module").and_then(Json::as_str) == Some(module);
        let asking = self.policies.iter().filter(asks);
        asking
            .filter_map(|policy| policy.get("name")?.as_str())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::sound;
    use super::*;

    #[test]
    fn another_revision_is_active_and_the_one_before_may_be_pinned() {
        let config = sound(
            "[[module]]\nname = \"m\"\npath = \"m.wasm\"\n\
             [[policy]]\nname = \"p\"\noption = \"module\"\nmodule = \"m\"\n",
        );
        let mut document = (*config.tenants[0].document).clone();
        let (first, second) = (document.modules[0].digest(), Digest::of(b"second"));
        let name: Name = "m".parse().expect("a name");
        document.activate(&name, second);
        assert_eq!(document.modules[0].digest(), second);
        assert!(document.modules[0].revision(first).is_some());
        document.activate(&name, first);
        assert_eq!(document.modules[0].digest(), first);
        assert_eq!(document.modules[0].others.len(), 1, "each once");
        document.activate(&"n".parse().expect("a name"), second);
        assert_eq!(document.modules.len(), 2);
        assert_eq!(document.policies_that_ask("m"), ["p"]);
        assert!(document.policies_that_ask("n").is_empty());
        assert!(document.remove_module("n") && !document.remove_module("n"));
    }
}
