//! The module that an author's command is about, and the vectors that go with it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};

use super::check;
use crate::author::build::{BuildError, Built, Project};
use crate::author::inspect;
use crate::author::vectors::{self, Case, Given};
use crate::author::workbench::Workbench;
use crate::config;
use crate::engine::{AdmissionError, Module};
use crate::unicode;

/// Which module, and whose vectors go with it.
#[derive(clap::Args)]
#[group(skip)]
pub(super) struct SubjectArguments {
    /// The module or component; without it, that of the crate is built.
    module: Option<PathBuf>,
    /// The directory of the crate.
    #[arg(long, value_name = "DIR", default_value = ".")]
    path: PathBuf,
}

/// A module that is not looked at yet.
pub(super) struct Found {
    /// Where it lies.
    pub(super) path: PathBuf,
    /// Its bytes, which are read once: whatever is built meanwhile, what was tested is what
    /// is pushed.
    pub(super) bytes: Vec<u8>,
}

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

impl SubjectArguments {
    /// The file that is named, if one is.
    pub(super) fn file(&self) -> Option<&Path> {
        self.module.as_deref()
    }

    /// Builds the crate.
    pub(super) async fn build(&self) -> anyhow::Result<Built> {
        Ok(Project::find(&self.path)?.build().await?)
    }

    /// Loads the file that is named; without one, what becomes of the crate. The limits are
    /// those of a configuration, or the host's defaults.
    pub(super) async fn load(&self, config: Option<&Path>) -> anyhow::Result<Subject> {
        let found = match &self.module {
            Some(path) => Found {
                path: path.clone(),
                bytes: inspect::read(path)?,
            },
            None => self.build().await?.into(),
        };
        Subject::load(found, config).await
    }

    /// The cases of these files; without any, of those that go with the crate. Where there
    /// are none, and no crate either, it is the crate that is missing.
    pub(super) fn cases(&self, files: &[PathBuf]) -> anyhow::Result<Vec<Case>> {
        if !files.is_empty() {
            return read(files);
        }
        let root = self.root();
        let files = found(&root)?;
        if !files.is_empty() {
            return read(&files);
        }
        if self.module.is_none() {
            self.project()?;
        }
        bail!(
            "there are no vectors: write {}, or say with --vectors where they are",
            root.join("vectors.toml").display()
        );
    }

    /// The case of this name.
    pub(super) fn case(&self, files: &[PathBuf], name: &str) -> anyhow::Result<Given> {
        let cases = self.cases(files)?;
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

    /// The files of vectors that go with the crate.
    pub(super) fn found(&self) -> anyhow::Result<Vec<PathBuf>> {
        found(&self.root())
    }

    /// The crate's directory; without a crate, the one that is said.
    pub(super) fn root(&self) -> PathBuf {
        match self.project() {
            Ok(project) => relative(project.root),
            Err(_) if self.path == Path::new(".") => PathBuf::new(),
            Err(_) => self.path.clone(),
        }
    }

    /// The crate.
    pub(super) fn project(&self) -> Result<Project, BuildError> {
        Project::find(&self.path)
    }
}

impl From<Built> for Found {
    fn from(built: Built) -> Self {
        Self {
            path: built.module,
            bytes: built.bytes,
        }
    }
}

impl Subject {
    /// Has the engine take it.
    pub(super) async fn load(found: Found, config: Option<&Path>) -> anyhow::Result<Self> {
        let bench = bench(config)?;
        let Found { path, bytes } = found;
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
        let path = relative(self.path.clone());
        unicode::shown(&format!("{}: {name} {version}", path.display()))
    }
}

fn bench(config: Option<&Path>) -> anyhow::Result<Workbench> {
    Ok(match config {
        Some(config) => Workbench::with(check::host(config)?.engine)?,
        None => Workbench::new()?,
    })
}

/// The cases of these files.
fn read(files: &[PathBuf]) -> anyhow::Result<Vec<Case>> {
    let (mut cases, mut faults) = (Vec::new(), Vec::new());
    for file in files {
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

/// As somebody who stands here would write it.
pub(super) fn relative(path: PathBuf) -> PathBuf {
    let here = std::env::current_dir().and_then(|here| here.canonicalize());
    let here = here.unwrap_or_default();
    path.strip_prefix(here).map(Path::to_owned).unwrap_or(path)
}

/// `vectors.toml` and `vectors/*.toml` of this directory.
fn found(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
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
    Ok(files)
}
