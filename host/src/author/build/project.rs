//! The crate of a policy, as cargo sees it.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use super::{BuildError, cargo};

/// The crate of a policy.
#[derive(Clone, Debug)]
pub struct Project {
    /// The directory of its `Cargo.toml`.
    pub root: PathBuf,
    /// The package's name.
    pub name: String,
    /// Where cargo builds.
    pub target: PathBuf,
    /// Its `Cargo.toml`.
    pub(super) manifest: PathBuf,
    /// The `Cargo.toml` that has the profiles.
    pub(super) workspace: PathBuf,
}

/// What `cargo metadata` says, as far as it matters.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    target_directory: PathBuf,
    workspace_root: PathBuf,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    /// Of the library its crate types; of an example, whatever it becomes, `example`.
    kind: Vec<String>,
}

impl Project {
    /// The crate that this directory is in: as for cargo, the nearest `Cargo.toml` at or
    /// above it says which.
    ///
    /// # Errors
    /// Where there is none, or it does not make a module.
    pub fn find(directory: &Path) -> Result<Self, BuildError> {
        let manifest = nearest_manifest(directory)?;
        let metadata = metadata(&manifest)?;
        let packages = metadata.packages;
        let found = packages.iter().find(|one| one.manifest_path == manifest);
        let Some(package) = found else {
            let packages = packages.into_iter().map(|package| package.name).collect();
            return Err(BuildError::Workspace { manifest, packages });
        };
        if !package.targets.iter().any(Target::is_module) {
            let name = package.name.clone();
            return Err(BuildError::NoModule { name, manifest });
        }
        Ok(Self {
            root: manifest.parent().unwrap_or(directory).to_owned(),
            name: package.name.clone(),
            target: metadata.target_directory,
            workspace: metadata.workspace_root.join("Cargo.toml"),
            manifest,
        })
    }
}

impl Target {
    fn is_module(&self) -> bool {
        self.kind.iter().any(|kind| kind == "cdylib")
    }
}

fn nearest_manifest(directory: &Path) -> Result<PathBuf, BuildError> {
    let whole = directory.canonicalize();
    let whole = whole.map_err(|error| BuildError::Directory {
        path: directory.to_owned(),
        error,
    })?;
    let mut manifests = whole.ancestors().map(|above| above.join("Cargo.toml"));
    let found = manifests.find(|manifest| manifest.is_file());
    found.ok_or(BuildError::NoCrate(whole))
}

fn metadata(manifest: &Path) -> Result<Metadata, BuildError> {
    let asked = Command::new(cargo::program())
        .current_dir(manifest.parent().unwrap_or(Path::new("/")))
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .arg("--manifest-path")
        .arg(manifest)
        .output()
        .map_err(BuildError::NoCargo)?;
    let fault = |said: String| BuildError::Manifest {
        manifest: manifest.to_owned(),
        said,
    };
    if !asked.status.success() {
        let said = String::from_utf8_lossy(&asked.stderr);
        return Err(fault(said.trim_end().to_owned()));
    }
    serde_json::from_slice(&asked.stdout).map_err(|error| fault(error.to_string()))
}
