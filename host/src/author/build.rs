//! From a crate to a component that the host takes: `portcullis build`.
//!
//! ```text
//! cargo build --release --target wasm32-unknown-unknown → module → component → admitted → target/policy/NAME.wasm
//! ```
//!
//! A module that the host would refuse is not written: what lies there was admitted when
//! it was written. The module is made a component in the compile worker, as an upload is.

mod cargo;
mod profile;
mod project;
pub mod target;

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

pub use project::Project;
pub use target::TargetError;

use super::inspect::{Examined, examine};
use super::workbench::{Workbench, WorkbenchError};
use crate::digest::Digest;
use crate::engine::AdmissionError;

/// What was built.
#[derive(Debug)]
pub struct Built {
    /// Where the component lies.
    pub module: PathBuf,
    /// The component: what lies there until somebody builds again.
    pub bytes: Vec<u8>,
    /// Its size in bytes.
    pub size: u64,
    /// SHA-256 of it: what names it on a host.
    pub digest: Digest,
    /// What it is made of.
    pub examined: Examined,
    /// How its crate could make it smaller, or its messages better.
    pub advice: Vec<String>,
}

/// A policy is not built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The directory is not there, or cannot be read.
    #[error("the directory {path} cannot be read: {error}")]
    Directory {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// No crate.
    #[error(
        "there is no Cargo.toml in {0} or above it: make a policy's crate with `portcullis new NAME`, or say with --path where it is"
    )]
    NoCrate(PathBuf),
    /// No cargo.
    #[error("cargo cannot be run: {0}; policies are built with Rust, see https://rustup.rs")]
    NoCargo(io::Error),
    /// Cargo does not understand it.
    #[error("cargo does not understand {manifest}:\n{said}")]
    Manifest {
        /// The file.
        manifest: PathBuf,
        /// Cargo's words.
        said: String,
    },
    /// A workspace.
    #[error(
        "{manifest} is that of a workspace ({}): say with --path which of its packages is the policy",
        packages.join(", ")
    )]
    Workspace {
        /// The file.
        manifest: PathBuf,
        /// The names of its packages.
        packages: Vec<String>,
    },
    /// A program, or a library for Rust alone.
    #[error(
        "the package {name} does not make a module: {manifest} needs\n\n    [lib]\n    crate-type = [\"cdylib\", \"rlib\"]"
    )]
    NoModule {
        /// The package.
        name: String,
        /// Its file.
        manifest: PathBuf,
    },
    /// Rust has no target for it.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// Cargo failed, and has said why.
    #[error("{0} was not built: the messages of cargo above say why")]
    Cargo(String),
    /// Cargo did not, and yet there is nothing.
    #[error(
        "cargo built {0} and names no .wasm file of it: is something in its configuration that changes what is built"
    )]
    NoArtefact(String),
    /// What was built cannot be read, or what it becomes cannot be written.
    #[error("{path}: {error}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The host would not take it.
    #[error("{name} was built, and the host would refuse it: {reason}")]
    Refused {
        /// The package.
        name: String,
        /// What the host would say at upload.
        reason: String,
    },
    /// There is nothing to ask.
    #[error(transparent)]
    Workbench(#[from] WorkbenchError),
    /// The host could not look at it.
    #[error(transparent)]
    Admission(AdmissionError),
}

impl Project {
    /// Builds it with cargo, whose messages go to standard error as they are, makes a
    /// component of it, has the engine look at that, and puts it at
    /// `target/policy/NAME.wasm`, in place of what was there.
    ///
    /// # Errors
    /// [`BuildError::Refused`] where the host would refuse it at upload; the others say what
    /// was missing on the way.
    pub async fn build(&self) -> Result<Built, BuildError> {
        target::add(&self.root)?;
        let module = read(&cargo::build(self).await?)?;
        let bench = Workbench::new()?;
        let component = bench.engine().componentise(&module).await;
        let component = component.map_err(|error| self.refused(error))?;
        let examined = examine(&bench, &component).await;
        let examined = examined.map_err(BuildError::Admission)?;
        if let Err(reason) = &examined.verdict {
            return Err(self.refused(AdmissionError::Refused(reason.clone())));
        }
        let path = self.module();
        write(&path, &component).map_err(|error| BuildError::File {
            path: path.clone(),
            error,
        })?;
        Ok(Built {
            module: path,
            bytes: component,
            size: examined.size,
            digest: examined.digest,
            examined,
            advice: profile::advice(&self.workspace),
        })
    }

    /// Where the component is put.
    pub fn module(&self) -> PathBuf {
        self.target
            .join("policy")
            .join(format!("{}.wasm", self.name))
    }

    fn refused(&self, error: AdmissionError) -> BuildError {
        match error {
            AdmissionError::Refused(reason) => BuildError::Refused {
                name: self.name.clone(),
                reason,
            },
            error => BuildError::Admission(error),
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, BuildError> {
    fs::read(path).map_err(|error| BuildError::File {
        path: path.to_owned(),
        error,
    })
}

/// Whole or not at all: whoever pushes it meanwhile has the one or the other. Who may read
/// it the umask says, as of all that cargo builds: a host may run as another user.
fn write(path: &Path, component: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    let mut file = tempfile::Builder::new()
        .permissions(fs::Permissions::from_mode(0o666))
        .tempfile_in(directory)?;
    file.write_all(component)?;
    file.persist(path)?;
    Ok(())
}
