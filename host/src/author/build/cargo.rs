//! Asking cargo: what a crate is, and to build it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use super::target::TARGET;
use super::{BuildError, Project};

/// The cargo that started this program, or else the one on the path.
pub(super) fn program() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// What cargo says on standard output while it builds, of which one line matters.
#[derive(Deserialize)]
struct Line {
    reason: String,
    #[serde(default)]
    manifest_path: PathBuf,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

impl Line {
    /// The module of the package with this manifest.
    fn module(self, manifest: &PathBuf) -> Option<PathBuf> {
        if self.reason != "compiler-artifact" || self.manifest_path != *manifest {
            return None;
        }
        let mut files = self.filenames.into_iter();
        files.find(|file| {
            file.extension()
                .is_some_and(|extension| extension == "wasm")
        })
    }
}

/// Builds the module; where it is. Progress and messages go to standard error from cargo
/// itself, coloured as it finds right.
pub(super) async fn build(project: &Project) -> Result<PathBuf, BuildError> {
    let mut child = Command::new(program())
        .current_dir(&project.root)
        .args(["build", "--release", "--lib", "--target", TARGET])
        .args(["--message-format", "json-render-diagnostics"])
        .arg("--manifest-path")
        .arg(&project.manifest)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(BuildError::NoCargo)?;
    let mut module = None;
    if let Some(stdout) = child.stdout.take() {
        let mut lines = BufReader::new(stdout).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let line: Option<Line> = serde_json::from_str(&line).ok();
            module = line
                .and_then(|line| line.module(&project.manifest))
                .or(module);
        }
    }
    match child.wait().await {
        Ok(status) if status.success() => {
            module.ok_or_else(|| BuildError::NoArtefact(project.name.clone()))
        }
        Ok(_) => Err(BuildError::Cargo(project.name.clone())),
        Err(error) => Err(BuildError::NoCargo(error)),
    }
}
