//! The modules of a tenant that were admitted: the active revision of each, and the revisions
//! that policies pin.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::digest::Digest;
use crate::engine::Module;
use crate::name::Name;
use crate::policy::Consultation;

/// What policies of a tenant may ask.
#[derive(Debug, Default)]
pub(super) struct Modules {
    active: BTreeMap<Name, Arc<Module>>,
    pinned: BTreeMap<(Name, Digest), Arc<Module>>,
}

impl Modules {
    /// Adds the active revision of a module.
    pub(super) fn activate(&mut self, name: Name, module: Arc<Module>) {
        self.active.insert(name, module);
    }

    /// Adds a revision that a policy pins.
    pub(super) fn pin(&mut self, name: Name, module: Arc<Module>) {
        self.pinned.insert((name, module.digest()), module);
    }

    /// What is asked; none where it was refused.
    pub(super) fn get(&self, asked: &Consultation) -> Option<&Arc<Module>> {
        match asked.revision {
            None => self.active.get(&asked.module),
            Some(digest) => self.pinned.get(&(asked.module.clone(), digest)),
        }
    }

    /// Takes away what cannot be asked after all.
    pub(super) fn remove(&mut self, asked: &Consultation) {
        match asked.revision {
            None => self.active.remove(&asked.module),
            Some(digest) => self.pinned.remove(&(asked.module.clone(), digest)),
        };
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.active.len() + self.pinned.len()
    }

    /// All of them by name, a module for each revision that is there.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Name, &Arc<Module>)> {
        let pinned = self.pinned.iter();
        let pinned = pinned.map(|((name, _), module)| (name, module));
        self.active.iter().chain(pinned)
    }
}
