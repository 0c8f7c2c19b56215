//! The module that an author's command is about, and the vectors that go with it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};

use super::check;
use crate::author::build::Project;
use crate::author::inspect;
use crate::author::vectors::{self, Case, Given};
use crate::author::workbench::Workbench;
use crate::config;
use crate::engine::{AdmissionError, Module};
use crate::unicode;

/// A module that the engine has taken.
pub(super) struct Subject {
    /// Where it lies.
    pub(super) path: PathBuf,
    /// Its bytes.
    pub(super) bytes: Vec<u8>,
    /// The engine.
    pub(super) bench: Workbench,
    /// The module in it.
    pub(super) module: Arc<Module>,
    /// How long it took to be compiled, which a process of its own does, and loaded.
    pub(super) compiled: Duration,
}

impl Subject {
    /// Loads this file; without it, builds the crate of this directory and loads what
    /// became of it. The limits are those of a configuration, or the host's defaults.
    pub(super) async fn load(module: Option<&Path>, config: Option<&Path>) -> anyhow::Result<Self> {
        let bench = bench(config)?;
        let path = match module {
            Some(path) => path.to_owned(),
            None => Project::find(Path::new("."))?.build().await?.module,
        };
        let bytes = inspect::read(&path)?;
        let began = Instant::now();
        let admitted = bench.admit(&bytes).await;
        let compiled = began.elapsed();
        let module = admitted.map_err(|error| match error {
            AdmissionError::Refused(reason) => {
                anyhow!("{} would be refused by the host: {reason}", path.display())
            }
            error => error.into(),
        })?;
        Ok(Self {
            path,
            bytes,
            bench,
            module,
            compiled,
        })
    }

    /// For people: what it is.
    pub(super) fn title(&self) -> String {
        let manifest = self.module.manifest();
        let (name, version) = (&manifest.name, &manifest.version);
        let here = std::env::current_dir().unwrap_or_default();
        let path = self.path.strip_prefix(here).unwrap_or(&self.path);
        unicode::shown(&format!("{}: {name} {version}", path.display()))
    }
}

fn bench(config: Option<&Path>) -> anyhow::Result<Workbench> {
    Ok(match config {
        Some(config) => Workbench::with(check::host(config)?.engine)?,
        None => Workbench::new()?,
    })
}

/// The cases of these files; without any, of those that go with the crate of this
/// directory.
pub(super) fn cases(files: &[PathBuf]) -> anyhow::Result<Vec<Case>> {
    let files = match files.is_empty() {
        true => found(&root())?,
        false => files.to_vec(),
    };
    let (mut cases, mut faults) = (Vec::new(), Vec::new());
    for file in &files {
        match vectors::vectors(file) {
            Ok(read) => cases.extend(read),
            Err(fault) => faults.push(fault.to_string()),
        }
    }
    match faults.is_empty() {
        true => Ok(cases),
        false => Err(anyhow!(faults.join("\n"))),
    }
}

/// The case of this name.
pub(super) fn case(files: &[PathBuf], name: &str) -> anyhow::Result<Given> {
    let cases = cases(files)?;
    let known = || cases.iter().map(|case| case.name.as_str());
    let found = cases.iter().find(|case| case.name == name);
    found.map(|case| case.given.clone()).ok_or_else(|| {
        let hint = config::similar(name, known())
            .map(|known| format!("; did you mean {known:?}?"))
            .unwrap_or_default();
        let all: Vec<_> = known().map(|name| format!("{name:?}")).collect();
        anyhow!(
            "there is no case {name:?}{hint}: there are {}",
            all.join(", ")
        )
    })
}

/// The crate's directory; without a crate, this one.
pub(super) fn root() -> PathBuf {
    let here = Path::new(".");
    let project = Project::find(here);
    project.map_or_else(|_| here.to_owned(), |project| relative(project.root))
}

/// As somebody who stands there would write it.
fn relative(root: PathBuf) -> PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    match root.canonicalize().is_ok_and(|root| root == here) {
        true => PathBuf::new(),
        false => root,
    }
}

/// `vectors.toml` and `vectors/*.toml` of this directory.
pub(super) fn found(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let one = root.join("vectors.toml");
    if one.is_file() {
        files.push(one);
    }
    let directory = root.join("vectors");
    if directory.is_dir() {
        let entries = fs::read_dir(&directory);
        let entries = entries.with_context(|| format!("cannot read {}", directory.display()))?;
        let mut more = Vec::new();
        for entry in entries {
            let path = entry?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "toml")
            {
                more.push(path);
            }
        }
        more.sort();
        files.extend(more);
    }
    if files.is_empty() {
        bail!(
            "there are no vectors: write {}, or say with --vectors where they are",
            root.join("vectors.toml").display()
        );
    }
    Ok(files)
}
