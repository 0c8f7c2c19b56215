//! An admitted module.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::breaker::Breaker;
use super::log::kept;
use super::run::Program;
use super::share::Share;
use crate::digest::Digest;
use crate::facts::TenantId;
use crate::unicode::is_misleading;

/// Faults reported of one policy's settings: enough to mend them.
pub(super) const FAULTS: usize = 20;

/// A module that one tenant may ask. Two tenants who upload the same bytes share the
/// code and nothing else: each has its own share of the engine and its own quarantine.
pub struct Module {
    pub(super) tenant: TenantId,
    pub(super) program: Arc<Program>,
    pub(super) share: Arc<Share>,
    pub(super) breaker: Breaker,
    /// Of the runs whose decision is only recorded.
    pub(super) monitor: Breaker,
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

/// A manifest that cannot be kept and shown.
#[derive(Debug, thiserror::Error)]
pub(super) enum ManifestError {
    #[error("its manifest has a {what} of {found} bytes: {allowed}")]
    Length {
        what: &'static str,
        found: usize,
        allowed: &'static str,
    },
    #[error("its manifest has a {what} with characters that control or hide text: {found}")]
    Misleading { what: &'static str, found: String },
}

impl Manifest {
    /// What goes into receipts, lists and pages is bounded and can be seen. The schema
    /// is never shown, and may have lines.
    pub(super) fn check(&self) -> Result<(), ManifestError> {
        let shown = [
            ("name", &self.name, 1..=100, "1 to 100 are allowed"),
            ("version", &self.version, 1..=50, "1 to 50 are allowed"),
            (
                "description",
                &self.description,
                0..=1_000,
                "up to 1,000 are allowed",
            ),
        ];
        for (what, text, range, allowed) in shown {
            check_length(what, text, &range, allowed)?;
            if text.contains(is_misleading) {
                let found = kept(text);
                return Err(ManifestError::Misleading { what, found });
            }
        }
        let schema = &self.settings_schema;
        let allowed = "1 to 65,536 are allowed";
        check_length("settings schema", schema, &(1..=65_536), allowed)
    }
}

fn check_length(
    what: &'static str,
    text: &str,
    range: &RangeInclusive<usize>,
    allowed: &'static str,
) -> Result<(), ManifestError> {
    let found = text.len();
    if range.contains(&found) {
        return Ok(());
    }
    Err(ManifestError::Length {
        what,
        found,
        allowed,
    })
}

impl SettingsFault {
    /// A fault in the words of a tenant's schema or module: bounded and escaped.
    pub(super) fn new(path: &str, message: &str) -> Self {
        Self {
            path: kept(path),
            message: kept(message),
        }
    }
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
