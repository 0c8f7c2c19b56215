//! Puts the SDK into the binary, so that `portcullis new` makes a crate that builds
//! wherever it is: writes the list of its files, for `author::scaffold`.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// From this package.
const SDK: &str = "../guest-sdk";

fn main() -> io::Result<()> {
    let package = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    // The interface is a link in the SDK's directory, and cargo does not follow links.
    for watched in [SDK, "../wit", "build.rs"] {
        println!("cargo:rerun-if-changed={watched}");
    }
    let mut files = Vec::new();
    list(&package.join(SDK), Path::new(""), &mut files)?;
    files.sort();
    let mut source = String::from("&[\n");
    for file in files {
        let path = package.join(SDK).join(&file);
        let line = writeln!(source, "    ({file:?}, include_str!({path:?})),");
        line.map_err(io::Error::other)?;
    }
    source.push(']');
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::write(out.join("sdk.rs"), source)
}

/// All files below a directory, links followed, but none that are hidden or were built.
fn list(root: &Path, below: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(below))? {
        let name = entry?.file_name();
        let path = below.join(&name);
        if name.to_string_lossy().starts_with('.') || name == "target" {
            continue;
        }
        if root.join(&path).is_dir() {
            list(root, &path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}
