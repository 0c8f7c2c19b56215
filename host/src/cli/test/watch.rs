//! Trying again when a file changes.
//!
//! Files are looked at a few times a second: a crate of a policy has a few dozen, and no
//! way to be told of changes works on every file system that people build on.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use tokio::signal;
use tokio::time::sleep;

use super::TestArguments;
use crate::cli::subject::relative;
use crate::cli::{in_words, rows};

/// How often: nobody notices a fifth of a second after saving a file.
const PERIOD: Duration = Duration::from_millis(200);

/// What cargo resolves a crate to, which a build may write.
const LOCK: &str = "Cargo.lock";

/// The most files that are looked at: a crate with more has something else in it.
const FILES: usize = 10_000;

/// When each file was changed the last time, and its size.
type Seen = BTreeMap<PathBuf, (SystemTime, u64)>;

/// Tries all cases now and after every change, until interrupted.
pub(super) async fn run(arguments: &TestArguments) -> anyhow::Result<ExitCode> {
    let interrupted = signal::ctrl_c();
    tokio::select! {
        biased;
        interrupted = interrupted => interrupted?,
        never = again(arguments) => never,
    }
    Ok(ExitCode::SUCCESS)
}

async fn again(arguments: &TestArguments) {
    let watched = Watched::of(arguments);
    loop {
        let before = watched.seen();
        if let Err(error) = super::once(arguments).await {
            rows::aside(format_args!("portcullis: {}", in_words(&error)));
        }
        let before = watched.after_build(before);
        rows::aside("\nwaiting for a change, until interrupted");
        while watched.seen() == before {
            sleep(PERIOD).await;
        }
    }
}

/// The files on which the result depends.
struct Watched {
    /// The files that are named.
    named: Vec<PathBuf>,
    /// The crate's directory.
    root: PathBuf,
    /// Where cargo builds; none where nothing is built, and of the crate its vectors count.
    target: Option<PathBuf>,
}

impl Watched {
    fn of(arguments: &TestArguments) -> Self {
        let (subject, vectors) = (&arguments.subject, &arguments.vectors);
        let root = subject.root();
        let target = match (subject.file(), subject.project()) {
            (Some(_), _) => None,
            (None, Ok(project)) => Some(relative(project.target)),
            (None, Err(_)) => Some(root.join("target")),
        };
        let named = subject.file().into_iter().map(Path::to_owned);
        Self {
            named: named.chain(vectors.iter().cloned()).collect(),
            root,
            target,
        }
    }

    /// What they were before a build. Cargo writes one of them anew where that is needed,
    /// which is nobody's change.
    fn after_build(&self, mut before: Seen) -> Seen {
        if self.target.is_some() {
            look(&self.root.join(LOCK), &mut before);
        }
        before
    }

    /// What they are now.
    fn seen(&self) -> Seen {
        let mut seen = Seen::new();
        self.named.iter().for_each(|file| look(file, &mut seen));
        match &self.target {
            Some(target) => below(&self.root, target, &mut seen),
            None => {
                look(&self.root.join("vectors.toml"), &mut seen);
                below(&self.root.join("vectors"), Path::new(""), &mut seen);
            }
        }
        seen
    }
}

/// All below a directory but this one, and but what is hidden: editors keep what is unsaved
/// there, and version control what it does.
fn below(directory: &Path, but: &Path, seen: &mut Seen) {
    let here = match directory.as_os_str().is_empty() {
        true => Path::new("."),
        false => directory,
    };
    for entry in fs::read_dir(here).into_iter().flatten().flatten() {
        let path = directory.join(entry.file_name());
        let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if is_hidden || path == but || seen.len() >= FILES {
            continue;
        }
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => below(&path, but, seen),
            // A link to a directory may lead above itself.
            Ok(kind) if kind.is_symlink() && path.is_dir() => {}
            _ => look(&path, seen),
        }
    }
}

/// A file. What cannot be looked at is not there.
fn look(path: &Path, seen: &mut Seen) {
    match fs::metadata(path) {
        Ok(found) => {
            let changed = found.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            seen.insert(path.to_owned(), (changed, found.len()));
        }
        Err(_) => {
            seen.remove(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_below_a_directory_is_seen() {
        let directory = tempfile::tempdir().expect("a directory");
        let below = directory.path().join("src/inner");
        fs::create_dir_all(&below).expect("directories");
        let watched = Watched {
            named: Vec::new(),
            root: directory.path().to_owned(),
            target: Some(directory.path().join("built")),
        };
        let of = || watched.seen();
        let nothing = of();
        assert!(nothing.is_empty());
        fs::write(below.join("lib.rs"), "a").expect("a file");
        let one = of();
        assert_ne!(one, nothing);
        assert_eq!(one, of());
        fs::write(below.join("lib.rs"), "ab").expect("a file");
        let two = of();
        assert_ne!(two, one);
        fs::remove_file(below.join("lib.rs")).expect("no file");
        assert_eq!(of(), nothing);
    }

    /// What the help says: a file of the crate, wherever it is.
    #[test]
    fn the_crate_is_watched_but_what_is_built_and_what_is_hidden() {
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path();
        let mut watched = Watched {
            named: vec![root.join("elsewhere.toml")],
            root: root.to_owned(),
            target: Some(root.join("built")),
        };
        let write = |name: &str| {
            let path = root.join(name);
            fs::create_dir_all(path.parent().expect("a file")).expect("directories");
            fs::write(path, name).expect("a file");
        };
        let unseen = ["built/release/a.wasm", ".git/index", "src/.lib.rs.swp"];
        let seen = [
            "Cargo.lock",
            "Cargo.toml",
            "build.rs",
            "rules/countries.txt",
            "sdk/src/lib.rs",
            "src/lib.rs",
            "vectors/more.toml",
            "vectors.toml",
        ];
        unseen.into_iter().chain(seen).for_each(write);
        std::os::unix::fs::symlink(root, root.join("src/above")).expect("a link");
        let paths = |watched: &Watched| {
            let seen = watched.seen().into_keys();
            let names = seen.map(|path| path.strip_prefix(root).map(Path::to_owned));
            names.collect::<Result<Vec<_>, _>>().expect("below it")
        };
        assert_eq!(paths(&watched), seen.map(PathBuf::from));
        // What cargo writes is no change, and what somebody else writes meanwhile is one.
        let before = watched.seen();
        fs::write(root.join(LOCK), "written by cargo").expect("a file");
        assert_eq!(watched.after_build(before.clone()), watched.seen());
        fs::write(root.join("src/lib.rs"), "written meanwhile").expect("a file");
        assert_ne!(watched.after_build(before), watched.seen());
        // With a module, nothing is built.
        watched.target = None;
        let vectors = ["vectors/more.toml", "vectors.toml"];
        assert_eq!(paths(&watched), vectors.map(PathBuf::from));
    }
}
