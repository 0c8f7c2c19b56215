//! What the tests run: the binaries, and the stock policies as modules.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use crate::tool::text;

/// The crates below `policies-wasm/`.
pub const STOCK_POLICIES: [&str; 4] = [
    "partner-list",
    "certificate-match",
    "pinned-partners",
    "modern-tls",
];

/// Where guests are linked.
const GUEST_TARGET: &str = "wasm32-unknown-unknown";

/// The binary `portcullis` of the profile that the tests are built with, built if it is
/// not fresh.
pub fn portcullis() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| binary("portcullis"))
}

/// The benchmark with its load generator, likewise.
pub fn benchmark() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| binary("portcullis-bench"))
}

fn binary(name: &str) -> PathBuf {
    let directory = profile_directory();
    let mut arguments = vec!["build", "--bin", name];
    if directory.ends_with("release") {
        arguments.push("--release");
    }
    cargo(&arguments);
    directory.join(name)
}

/// The module of a stock policy, small and optimised, built if it is not fresh.
pub fn stock_policy(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let directory = BUILT.get_or_init(|| build_policies(&STOCK_POLICIES, "guest"));
    directory.join(module(name))
}

/// The module of a policy of the cookbook, likewise.
pub fn cookbook_policy(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let directory = BUILT.get_or_init(|| build_guests(&["-p", "cookbook", "--examples"], "guest"));
    directory.join("examples").join(module(name))
}

/// The module of a stock policy as plain `cargo build` makes it.
pub fn unoptimised_policy(name: &str) -> PathBuf {
    build_policies(&[name], "dev").join(module(name))
}

fn build_policies(names: &[&str], profile: &str) -> PathBuf {
    let packages: Vec<&str> = names.iter().flat_map(|name| ["-p", name]).collect();
    build_guests(&packages, profile)
}

/// Builds what these arguments of cargo say; the directory where it is.
fn build_guests(what: &[&str], profile: &str) -> PathBuf {
    add_guest_target();
    let build = ["build", "--profile", profile, "--target", GUEST_TARGET];
    cargo(&[&build[..], what].concat());
    let directory = if profile == "dev" { "debug" } else { profile };
    target_directory().join(GUEST_TARGET).join(directory)
}

fn module(name: &str) -> String {
    format!("{}.wasm", name.replace('-', "_"))
}

/// The root of the workspace.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the manifest of this crate is in a directory below the workspace")
}

fn add_guest_target() {
    let has =
        run(Command::new("rustc").args(["--print", "target-libdir", "--target", GUEST_TARGET]));
    if has.status.success() && Path::new(text(&has.stdout).trim()).is_dir() {
        return;
    }
    let added = Command::new("rustup")
        .args(["target", "add", GUEST_TARGET])
        .current_dir(workspace())
        .output();
    assert!(
        added.is_ok_and(|output| output.status.success()),
        "the policies need a target that is not installed: rustup target add {GUEST_TARGET}"
    );
}

fn cargo(arguments: &[&str]) {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = run(Command::new(program)
        .args(arguments)
        .arg("--target-dir")
        .arg(target_directory()));
    assert!(
        output.status.success(),
        "cargo {} failed:\n{}",
        arguments.join(" "),
        text(&output.stderr)
    );
}

fn run(command: &mut Command) -> Output {
    command
        .current_dir(workspace())
        .output()
        .expect("the toolchain that built this test is there")
}

/// Such as `target/debug`: two above the test, which is in `deps`.
fn profile_directory() -> PathBuf {
    let test = std::env::current_exe().expect("a process knows its executable");
    test.ancestors()
        .nth(2)
        .expect("cargo puts tests into target/PROFILE/deps")
        .to_owned()
}

/// Where cargo builds.
pub fn target_directory() -> PathBuf {
    profile_directory()
        .parent()
        .expect("cargo puts profiles below the target directory")
        .to_owned()
}
