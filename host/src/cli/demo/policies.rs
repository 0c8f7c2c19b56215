//! Builds the stock policies from this clone.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use crate::author::build::target::{self, TARGET};

/// The stock policies, by the name of their crates.
const STOCK: [&str; 4] = [
    "partner-list",
    "certificate-match",
    "pinned-partners",
    "modern-tls",
];

/// Builds them; the directory that holds the modules.
pub(super) fn build() -> anyhow::Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    ensure!(
        root.join("policies-wasm").is_dir(),
        "the demo builds the stock policies, and needs the clone it was built from: {} is gone",
        root.display()
    );
    target::add(&root)?;
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
