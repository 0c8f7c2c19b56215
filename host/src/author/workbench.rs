//! An engine for an author: the host's, at its default limits, with compiled modules in a
//! directory that is gone when it is.

use std::path::PathBuf;
use std::sync::Arc;

use crate::engine::{AdmissionError, Engine, EngineError, EngineSettings, Module};
use crate::facts::TenantId;

/// Decisions at one time: an author asks for one after the other, and some at once only
/// where that is measured.
const INSTANCES: u32 = 8;

/// An engine with its directory.
pub struct Workbench {
    engine: Arc<Engine>,
    /// Whose the modules are: on an author's machine there is one.
    tenant: TenantId,
    _cache: tempfile::TempDir,
}

impl Workbench {
    /// Starts an engine.
    ///
    /// # Errors
    /// When there is no room for its directory, or its limits do not fit the machine.
    pub fn new() -> Result<Self, WorkbenchError> {
        Self::with(EngineSettings::new(PathBuf::new()))
    }

    /// The same with the limits of a host. Of where it keeps compiled modules, nothing is
    /// touched.
    ///
    /// # Errors
    /// As [`Self::new`] has them.
    pub fn with(mut settings: EngineSettings) -> Result<Self, WorkbenchError> {
        let cache = tempfile::Builder::new()
            .prefix("portcullis-author-")
            .tempdir()?;
        settings.cache = cache.path().join("modules");
        settings.instances = INSTANCES;
        Ok(Self {
            engine: Engine::new(settings)?,
            tenant: "author"
                .parse()
                .expect("lower-case letters are a tenant's id"),
            _cache: cache,
        })
    }

    /// Admits a module, as the host does at upload.
    ///
    /// # Errors
    /// As [`Engine::admit`] has them.
    pub async fn admit(&self, bytes: &[u8]) -> Result<Arc<Module>, AdmissionError> {
        self.engine.admit(&self.tenant, bytes).await
    }

    /// Whose its modules are.
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// The engine.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }
}

/// There is no engine to ask.
#[derive(Debug, thiserror::Error)]
pub enum WorkbenchError {
    /// No directory for compiled modules.
    #[error("there is no room for compiled modules in the directory for temporary files: {0}")]
    Directory(#[from] std::io::Error),
    /// It does not start.
    #[error(transparent)]
    Engine(#[from] EngineError),
}
