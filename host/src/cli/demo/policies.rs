//! Builds the stock policies from this clone.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};

/// The stock policies, by the name of their crates.
const STOCK: [&str; 4] = [
    "partner-list",
    "certificate-match",
    "pinned-partners",
    "modern-tls",
];

const TARGET: &str = "wasm32-unknown-unknown";

/// Builds them; the directory that holds the modules.
pub(super) fn build() -> anyhow::Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    ensure!(
        root.join("policies-wasm").is_dir(),
        "the demo builds the stock policies, and needs the clone it was built from: {} is gone",
        root.display()
    );
    add_target()?;
    eprintln!("Building the stock policies ...");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(&root)
        .args(["build", "--quiet", "--profile", "guest", "--target", TARGET]);
    for name in STOCK {
        cargo.args(["--package", name]);
    }
    let built = cargo.status().context("cargo cannot be run")?;
    ensure!(built.success(), "the stock policies do not build");
    Ok(target_directory()?.join(TARGET).join("guest"))
}

/// This program lies in `<target directory>/<profile>/`.
fn target_directory() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe()?;
    let directory = program
        .ancestors()
        .nth(2)
        .context("this program lies nowhere")?;
    Ok(directory.to_owned())
}

/// A toolchain without the target says so only when it cannot find `core`.
fn add_target() -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sysroot = Command::new("rustc")
        .current_dir(root)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
        .context("rustc cannot be run")?;
    let libraries = PathBuf::from(String::from_utf8_lossy(&sysroot.stdout).trim());
    if sysroot.status.success() && libraries.is_dir() {
        return Ok(());
    }
    eprintln!("Adding the target {TARGET} ...");
    let added = Command::new("rustup")
        .current_dir(root)
        .args(["target", "add", TARGET])
        .status();
    if !added.is_ok_and(|status| status.success()) {
        bail!("policies are built for {TARGET}; add it with: rustup target add {TARGET}");
    }
    Ok(())
}
