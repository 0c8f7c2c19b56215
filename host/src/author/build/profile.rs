//! Whether a crate's release profile makes a module small.

use std::fs;
use std::path::Path;

use toml::{Table, Value};

/// What the profile of `portcullis new` has, and what each is good for.
const WANTED: [(&str, &[&str], &str); 4] = [
    (
        "opt-level",
        &["s", "z"],
        "opt-level = \"s\" makes the module smaller",
    ),
    (
        "lto",
        &["true", "fat"],
        "lto = true leaves out what is never called",
    ),
    (
        "codegen-units",
        &["1"],
        "codegen-units = 1 makes the module smaller",
    ),
    (
        "strip",
        &["debuginfo"],
        "strip = \"debuginfo\" keeps the names of functions, which a trap is shown with, and nothing else",
    ),
];

/// What to write into `[profile.release]` of this manifest; nothing where it is as it
/// should be, or cannot be read, which is cargo's to say.
pub(super) fn advice(manifest: &Path) -> Vec<String> {
    let text = fs::read_to_string(manifest).unwrap_or_default();
    text.parse()
        .map(|table| missing(&table))
        .unwrap_or_default()
}

fn missing(manifest: &Table) -> Vec<String> {
    let profile = manifest.get("profile").and_then(|all| all.get("release"));
    let set = |key| profile.and_then(|profile| profile.get(key));
    let unfit = WANTED
        .iter()
        .filter(|(key, fit, _)| !set(key).is_some_and(|value| fit.contains(&&*text(value))));
    unfit.map(|(_, _, advice)| (*advice).to_owned()).collect()
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_small_module_is_said() {
        for (profile, expected) in [
            (
                "opt-level = \"s\"\nlto = true\ncodegen-units = 1\nstrip = \"debuginfo\"",
                &[][..],
            ),
            (
                "opt-level = \"z\"\nlto = \"fat\"\ncodegen-units = 1\nstrip = \"debuginfo\"",
                &[],
            ),
            (
                "opt-level = 3\nlto = \"thin\"\ncodegen-units = 1\nstrip = true",
                &["opt-level", "lto", "strip"],
            ),
            ("", &["opt-level", "lto", "codegen-units", "strip"]),
        ] {
            let manifest = format!("[profile.release]\n{profile}\n");
            let missing = missing(&manifest.parse().expect("TOML"));
            let keys: Vec<_> = missing
                .iter()
                .map(|advice| advice.split(' ').next().unwrap_or_default())
                .collect();
            assert_eq!(keys, expected, "{profile}");
        }
        assert_eq!(missing(&Table::new()).len(), WANTED.len());
    }
}
