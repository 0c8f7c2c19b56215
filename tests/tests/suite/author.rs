//! What a policy's author does with the real binary: a new crate is built, looked at and
//! asked, and whatever is wrong on the way is said in words that are fixed here.

mod build;
mod inspect;
mod new;
mod vectors;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use expect_test::{Expect, expect};
use portcullis::digest::Digest;
use portcullis_tests::client::Client;
use portcullis_tests::program::{portcullis, stock_policy, target_directory, workspace};
use portcullis_tests::site::Site;
use portcullis_tests::tool::{Ran, text};
use serde_json::Value;
use tempfile::TempDir;

use crate::engine::guest;

/// A crate as `portcullis new` makes it, built once for all tests.
struct Made {
    directory: TempDir,
    built: Ran,
}

impl Made {
    fn path(&self) -> PathBuf {
        self.directory.path().join("weekend")
    }

    /// The component that was built.
    fn module(&self) -> PathBuf {
        self.directory.path().join("weekend.wasm")
    }
}

fn made() -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    MADE.get_or_init(|| {
        let directory = tempfile::tempdir().expect("a directory");
        run(directory.path(), &["new", "weekend"]).expect_code(0);
        let built = run(&directory.path().join("weekend"), &["build"]).expect_code(0);
        // Another test may build one of that name in the same target directory.
        let module = policy_directory().join("weekend.wasm");
        fs::copy(module, directory.path().join("weekend.wasm")).expect("it was built");
        Made { directory, built }
    })
}

/// Where crates of these tests are built: what they depend on is built once, and has been
/// fetched with the stock policies, since here there is no network.
fn built_in() -> PathBuf {
    stock_policy("partner-list");
    target_directory().join("author")
}

fn policy_directory() -> PathBuf {
    built_in().join("policy")
}

/// Runs it in this directory, without a network.
fn run(directory: &Path, arguments: &[&str]) -> Ran {
    run_with(directory, arguments, &[])
}

fn run_with(directory: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
    run_program(portcullis(), directory, arguments, variables)
}

fn run_program(
    program: &Path,
    directory: &Path,
    arguments: &[&str],
    variables: &[(&str, &str)],
) -> Ran {
    let output = Command::new(program)
        .current_dir(directory)
        .args(arguments)
        .env("CARGO_TARGET_DIR", built_in())
        .env("CARGO_NET_OFFLINE", "true")
        .env("CARGO_TERM_COLOR", "never")
        .env_remove("CARGO")
        .envs(variables.iter().copied())
        .output()
        .expect("the binary was built");
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
    }
}

/// What it says of a crate or file, with the test's directory left out.
fn said(directory: &Path, arguments: &[&str], expected: &Expect) {
    let ran = run(directory, arguments).expect_code(1);
    expected.assert_eq(&without(&ran.stderr, directory));
}

fn without(said: &str, directory: &Path) -> String {
    let whole = directory.canonicalize().expect("it is there");
    said.replace(&whole.display().to_string(), "HERE")
}

fn write(path: &Path, contents: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().expect("a file")).expect("a directory");
    fs::write(path, contents).expect("a file");
}

/// A library of this name with these lines in its manifest.
fn library(directory: &Path, name: &str, more: &str, source: &str) {
    let manifest =
        format!("[package]\nname = \"{name}\"\nversion = \"1.2.3\"\n{more}\n[workspace]\n");
    write(&directory.join("Cargo.toml"), manifest);
    write(&directory.join("src/lib.rs"), source);
}

const MODULE: &str =
    "edition = \"2024\"\n[lib]\ncrate-type = [\"cdylib\"]\n[profile.release]\npanic = \"abort\"";
