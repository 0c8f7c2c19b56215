//! From a core module to a component, with a check of the interface in the uploader's
//! words before the tools that would say it in theirs.

use wit_component::ComponentEncoder;

use super::scan::{Kind, Scanned};

/// The package that a policy imports from and exports.
const PACKAGE: &str = "portcullis:policy/";
/// What this host serves of it. Only the first two numbers count before 1.0.
const SERVED: &str = "0.1";
/// The version of it that is served in full.
const VERSION: &str = "0.1.0";
/// The interfaces of it that a policy may import.
const IMPORTS: [&str; 5] = ["facts", "demands", "lists", "log", "types"];
/// Those that it must export.
const EXPORTS: [&str; 2] = ["secure-receipt", "about"];

/// Why a module does not fit the interface.
#[derive(Debug, thiserror::Error)]
pub(super) enum InterfaceError {
    #[error(
        "this module imports `{import}`, and a policy may import only {PACKAGE}*: no clock, randomness, files, network or environment{hint}"
    )]
    Import { import: String, hint: &'static str },
    #[error(
        "this module needs {PACKAGE}{interface}@{version}; this host serves {SERVED}: {remedy} rebuild against {SERVED}"
    )]
    Version {
        interface: String,
        version: String,
        remedy: &'static str,
    },
    #[error(
        "this module imports {PACKAGE}{0}, which this host does not have: upgrade the host, or leave out what needs it"
    )]
    Unknown(String),
    #[error(
        "this module exports nothing of {PACKAGE}*, so it is no policy: the line `policy!(…)` of portcullis-sdk makes it one, in a crate with crate-type = [\"cdylib\"]"
    )]
    NoExports,
    #[error(
        "this module exports nothing of {PACKAGE}{0}: a policy exports secure-receipt and about, as the line `policy!(…)` of portcullis-sdk does"
    )]
    Missing(&'static str),
    #[error(
        "this module cannot be made a component: {0}; build it with portcullis-sdk or wit-bindgen"
    )]
    Encode(String),
}

/// The finished component.
pub(super) fn componentise(scanned: Scanned) -> Result<Vec<u8>, InterfaceError> {
    check(&scanned.imports, &scanned.exports)?;
    match scanned.kind {
        Kind::Component => Ok(scanned.bytes),
        Kind::Module => ComponentEncoder::default()
            .module(&scanned.bytes)
            .and_then(|encoder| encoder.validate(true).encode())
            .map_err(|error| InterfaceError::Encode(cause(&format!("{error:#}")))),
    }
}

/// What is wrong, without the steps of the tool that found it.
fn cause(text: &str) -> String {
    let steps = "failed to decode world from module: module was not valid: ";
    text.strip_prefix(steps).unwrap_or(text).to_owned()
}

/// Imports first: what a stranger imports says more of what it is than that it exports
/// nothing of ours.
fn check(imports: &[String], exports: &[String]) -> Result<(), InterfaceError> {
    check_imports(imports)?;
    check_exports(exports)
}

fn check_imports(imports: &[String]) -> Result<(), InterfaceError> {
    for import in imports {
        let (interface, version) = ours(import).ok_or_else(|| InterfaceError::Import {
            import: shown(import),
            hint: hint(import),
        })?;
        check_version(interface, version)?;
        if !IMPORTS.contains(&interface) {
            return Err(InterfaceError::Unknown(shown(interface)));
        }
    }
    Ok(())
}

fn check_exports(exports: &[String]) -> Result<(), InterfaceError> {
    let ours: Vec<_> = exports
        .iter()
        .filter_map(|export| ours(export.split('#').next()?))
        .collect();
    if ours.is_empty() {
        return Err(InterfaceError::NoExports);
    }
    for (interface, version) in &ours {
        check_version(interface, version)?;
    }
    for required in EXPORTS {
        if !ours.iter().any(|(interface, _)| *interface == required) {
            return Err(InterfaceError::Missing(required));
        }
    }
    Ok(())
}

/// Interface and version, if it is of our package. Core modules may carry the mark of
/// the newer naming scheme in front.
fn ours(name: &str) -> Option<(&str, &str)> {
    let name = name.strip_prefix("cm32p2|").unwrap_or(name);
    let rest = name.strip_prefix(PACKAGE)?;
    Some(rest.split_once('@').unwrap_or((rest, "")))
}

/// How this host calls an interface that a component imports, if it is of our package:
/// `portcullis:policy/facts@0.1.4` is served as `portcullis:policy/facts@0.1.0`.
pub(super) fn as_served(import: &str) -> Option<String> {
    let (interface, _) = ours(import)?;
    Some(format!("{PACKAGE}{interface}@{VERSION}"))
}

fn check_version(interface: &str, version: &str) -> Result<(), InterfaceError> {
    let series = series(version);
    if series == series_of_host() {
        return Ok(());
    }
    Err(InterfaceError::Version {
        interface: shown(interface),
        version: shown(version),
        remedy: if series > series_of_host() {
            "upgrade the host or"
        } else {
            "this host no longer serves the older one,"
        },
    })
}

/// The two numbers that decide; zeros where there are none.
fn series(version: &str) -> (u64, u64) {
    let mut numbers = version.split('.').map(|n| n.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

fn series_of_host() -> (u64, u64) {
    series(SERVED)
}

/// What the usual strangers come from.
fn hint(import: &str) -> &'static str {
    if import.starts_with("wasi") {
        "; build for wasm32-unknown-unknown, not for wasi"
    } else if import.starts_with("__wbindgen") || import == "wbg" {
        "; a dependency uses wasm-bindgen: switch off its `js` or `wasm-bindgen` feature"
    } else {
        ""
    }
}

/// A name that came from an upload, short enough for a message.
fn shown(name: &str) -> String {
    super::log::kept(name).chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(imports: &[&str], exports: &[&str]) -> String {
        let owned = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        match check(&owned(imports), &owned(exports)) {
            Ok(()) => "fits".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn faults_are_in_the_uploaders_words() {
        let whole = [
            "portcullis:policy/secure-receipt@0.1.0#decide",
            "portcullis:policy/about@0.1.0#describe",
        ];
        for (imports, exports, expected) in [
            (
                &[
                    "portcullis:policy/facts@0.1.0",
                    "portcullis:policy/log@0.1.4",
                ][..],
                &whole[..],
                "fits",
            ),
            (
                &["wasi:clocks/wall-clock@0.2.0"],
                &whole,
                "this module imports `wasi:clocks/wall-clock@0.2.0`, and a policy may import only portcullis:policy/*: no clock, randomness, files, network or environment; build for wasm32-unknown-unknown, not for wasi",
            ),
            (
                &["env"],
                &["_start"],
                "this module imports `env`, and a policy may import only portcullis:policy/*: no clock, randomness, files, network or environment",
            ),
            (
                &["portcullis:policy/facts@0.3.0"],
                &whole,
                "this module needs portcullis:policy/facts@0.3.0; this host serves 0.1: upgrade the host or rebuild against 0.1",
            ),
            (
                &["portcullis:policy/facts@0.0.9"],
                &whole,
                "this module needs portcullis:policy/facts@0.0.9; this host serves 0.1: this host no longer serves the older one, rebuild against 0.1",
            ),
            (
                &["portcullis:policy/magic@0.1.0"],
                &whole,
                "this module imports portcullis:policy/magic, which this host does not have: upgrade the host, or leave out what needs it",
            ),
            (
                &[],
                &["memory", "run"],
                "this module exports nothing of portcullis:policy/*, so it is no policy: the line `policy!(…)` of portcullis-sdk makes it one, in a crate with crate-type = [\"cdylib\"]",
            ),
            (
                &[],
                &whole[..1],
                "this module exports nothing of portcullis:policy/about: a policy exports secure-receipt and about, as the line `policy!(…)` of portcullis-sdk does",
            ),
        ] {
            assert_eq!(checked(imports, exports), expected);
        }
    }
}
