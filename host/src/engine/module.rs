//! An admitted module.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::breaker::Breaker;
use super::run::Program;
use super::share::Share;
use crate::digest::Digest;
use crate::facts::TenantId;

/// A module that one tenant may ask. Two tenants who upload the same bytes share the
/// code and nothing else: each has its own share of the engine and its own quarantine.
pub struct Module {
    pub(super) tenant: TenantId,
    pub(super) program: Arc<Program>,
    pub(super) share: Arc<Share>,
    pub(super) breaker: Breaker,
}

/// What a module says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Name of the policy.
    pub name: String,
    /// Version of the policy.
    pub version: String,
    /// One sentence for the administrator.
    pub description: String,
    /// JSON Schema of the settings, as JSON text.
    pub settings_schema: String,
}

/// A fault in a policy's settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{}{}{message}", path, if path.is_empty() { "" } else { ": " })]
pub struct SettingsFault {
    /// JSON Pointer (RFC 6901) of what is at fault; empty for the whole, and where the
    /// module's own check says the path within its message.
    pub path: String,
    /// What is wrong.
    pub message: String,
}

impl Module {
    /// SHA-256 of the bytes that were uploaded.
    pub fn digest(&self) -> Digest {
        self.program.digest
    }

    /// What it says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.program.manifest
    }

    /// The tenant it was admitted for.
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// Size of the compiled code in bytes.
    pub fn compiled_size(&self) -> usize {
        self.program.size
    }
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Module")
            .field("tenant", &self.tenant)
            .field("digest", &self.program.digest)
            .field("manifest", &self.program.manifest)
            .finish_non_exhaustive()
    }
}
