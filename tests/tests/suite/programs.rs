//! The programs under test: the host's binary and the policies, built when a test first
//! asks for them. A test that is given none fails and says why; it does not skip.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The host's binary, of the profile that the tests are built with.
pub(crate) fn portcullis() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let directory = profile_directory();
        let mut arguments = vec!["build", "--package", "portcullis", "--bin", "portcullis"];
        if directory.ends_with("release") {
            arguments.push("--release");
        }
        cargo(&arguments);
        directory.join("portcullis")
    })
}

/// A stock policy as plain `cargo build` makes it, or small and optimised.
pub(crate) fn policy(name: &str, optimised: bool) -> PathBuf {
    let mut arguments = vec!["build", "--package", name];
    arguments.extend(["--target", "wasm32-unknown-unknown"]);
    if optimised {
        arguments.extend(["--profile", "guest"]);
    }
    cargo(&arguments);
    let profile = if optimised { "guest" } else { "debug" };
    let target = profile_directory();
    target
        .parent()
        .expect("the target directory")
        .join("wasm32-unknown-unknown")
        .join(profile)
        .join(format!("{}.wasm", name.replace('-', "_")))
}

/// Where cargo put the binary that is running: `target/<profile>/deps/suite-…`.
fn profile_directory() -> PathBuf {
    let own = std::env::current_exe().expect("this binary's path");
    own.ancestors()
        .nth(2)
        .expect("the profile's directory")
        .to_owned()
}

fn cargo(arguments: &[&str]) {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(arguments)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .expect("cargo starts");
    assert!(
        output.status.success(),
        "cargo {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
}
