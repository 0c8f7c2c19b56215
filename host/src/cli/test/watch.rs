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
use crate::cli::subject;

/// How often: nobody notices a fifth of a second after saving a file.
const PERIOD: Duration = Duration::from_millis(200);

/// The most files that are looked at: a crate with more has something else below `src`.
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
    let root = subject::root();
    let seen = || seen(arguments, &root);
    loop {
        let before = seen();
        if let Err(error) = super::once(arguments).await {
            eprintln!("portcullis: {error:#}");
        }
        eprintln!("\nwaiting for a change, until interrupted");
        while seen() == before {
            sleep(PERIOD).await;
        }
    }
}

/// What the files are now on which the result depends.
fn seen(arguments: &TestArguments, root: &Path) -> Seen {
    let mut seen = Seen::new();
    let named = arguments.module.iter().chain(&arguments.vectors);
    named.for_each(|file| look(file, &mut seen));
    let parts = match arguments.module {
        Some(_) => &["vectors.toml", "vectors"][..],
        None => &[
            "vectors.toml",
            "vectors",
            "src",
            "Cargo.toml",
            "Cargo.lock",
            "build.rs",
        ][..],
    };
    for part in parts {
        look(&root.join(part), &mut seen);
    }
    seen
}

/// A file, or all below a directory. What cannot be looked at is not there.
fn look(path: &Path, seen: &mut Seen) {
    if seen.len() >= FILES {
        return;
    }
    let Ok(found) = fs::metadata(path) else {
        return;
    };
    if !found.is_dir() {
        let changed = found.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        seen.insert(path.to_owned(), (changed, found.len()));
        return;
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    // A link may lead above itself.
    let entries = entries.filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_symlink()));
    entries.for_each(|entry| look(&entry.path(), seen));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_below_a_directory_is_seen() {
        let directory = tempfile::tempdir().expect("a directory");
        let below = directory.path().join("src/inner");
        fs::create_dir_all(&below).expect("directories");
        let of = || {
            let mut seen = Seen::new();
            look(directory.path(), &mut seen);
            seen
        };
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
}
