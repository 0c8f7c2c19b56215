//! The modules of a tenant that were admitted, or are still to be: the active revision of
//! each, and the revisions that policies pin.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::pending::{Pending, Wait, does_not_fit};
use crate::digest::Digest;
use crate::engine::{Failure, Module};
use crate::name::Name;
use crate::policy::Consultation;

/// What policies of a tenant may ask.
#[derive(Debug, Default)]
pub(super) struct Modules {
    active: BTreeMap<Name, Held>,
    pinned: BTreeMap<(Name, Digest), Held>,
}

/// A module of a tenant.
#[derive(Clone, Debug)]
pub(crate) enum Held {
    /// It was admitted when the tenant was loaded.
    Loaded {
        module: Arc<Module>,
        /// Settings of policies that it does not take, by their digests.
        unfit: HashSet<Digest>,
    },
    /// It was not compiled then.
    Pending(Arc<Pending>),
}

/// How far a module is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is asked.
    Ready,
    /// It waits to be compiled, or is being.
    Pending,
    /// It is not asked: policies that would fail.
    Refused,
}

impl Held {
    /// One that was admitted.
    pub(super) fn loaded(module: Arc<Module>) -> Self {
        Self::Loaded {
            module,
            unfit: HashSet::new(),
        }
    }

    /// The module, where it was admitted when the tenant was loaded.
    pub(super) fn at_hand(&self) -> Option<&Arc<Module>> {
        match self {
            Self::Loaded { module, .. } => Some(module),
            Self::Pending(_) => None,
        }
    }

    /// Whether neither it nor settings for it were refused.
    pub(super) fn is_whole(&self) -> bool {
        match self {
            Self::Loaded { unfit, .. } => unfit.is_empty(),
            Self::Pending(cell) => cell.refused().is_empty(),
        }
    }

    /// SHA-256 of its bytes.
    pub(crate) fn digest(&self) -> Digest {
        match self {
            Self::Loaded { module, .. } => module.digest(),
            Self::Pending(cell) => cell.digest(),
        }
    }

    pub(super) fn standing(&self) -> Standing {
        match self {
            Self::Loaded { .. } => Standing::Ready,
            Self::Pending(cell) if !cell.is_done() => Standing::Pending,
            Self::Pending(cell) => match cell.compiled() {
                Some(_) => Standing::Ready,
                None => Standing::Refused,
            },
        }
    }

    /// The cell that holds it, where it was not compiled when the tenant was loaded.
    pub(super) fn cell(&self) -> Option<&Arc<Pending>> {
        match self {
            Self::Loaded { .. } => None,
            Self::Pending(cell) => Some(cell),
        }
    }

    /// The module, to be asked with settings of this digest.
    ///
    /// # Errors
    /// That it is refused, does not take the settings, or is not there in time.
    pub(crate) async fn module(&self, settings: Digest, wait: Wait) -> Result<&Module, Failure> {
        match self {
            Self::Loaded { unfit, .. } if unfit.contains(&settings) => Err(does_not_fit()),
            Self::Loaded { module, .. } => Ok(module),
            // It is rare, and its waiting large beside a decision.
            Self::Pending(cell) => {
                let module = Box::pin(cell.module(settings, wait)).await;
                module.map(|module| &**module)
            }
        }
    }
}

impl Modules {
    /// Adds the active revision of a module.
    pub(super) fn activate(&mut self, name: Name, module: Held) {
        self.active.insert(name, module);
    }

    /// Adds a revision that a policy pins.
    pub(super) fn pin(&mut self, name: Name, module: Held) {
        self.pinned.insert((name, module.digest()), module);
    }

    /// What is asked; none where it was refused when the tenant was loaded.
    pub(super) fn get(&self, asked: &Consultation) -> Option<&Held> {
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

    /// A policy's settings are such that it does not take them.
    pub(super) fn refuse_settings(&mut self, asked: &Consultation) {
        let held = match asked.revision {
            None => self.active.get_mut(&asked.module),
            Some(digest) => self.pinned.get_mut(&(asked.module.clone(), digest)),
        };
        if let Some(Held::Loaded { unfit, .. }) = held {
            unfit.insert(asked.settings_digest);
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.active.len() + self.pinned.len()
    }

    /// All of them by name, a module for each revision that is there.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Name, &Held)> {
        let pinned = self.pinned.iter();
        let pinned = pinned.map(|((name, _), module)| (name, module));
        self.active.iter().chain(pinned)
    }

    /// Those that were not compiled when the tenant was loaded.
    pub(super) fn cells(&self) -> impl Iterator<Item = &Arc<Pending>> {
        self.iter().filter_map(|(_, held)| held.cell())
    }
}
