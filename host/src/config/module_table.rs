//! `[[module]]`: the modules of a tenant, each with the revisions of it that there are.

use super::contents::StoredModule;
use super::document::Faults;
use super::reader::{Table, Value};
use super::{ModuleConfig, ModuleContent, OtherRevision, PolicyConfig, keys};
use crate::digest::Digest;
use crate::name::Name;
use crate::policy::Choice;

/// The modules of a tenant in the order of its file.
pub(super) fn read_all(table: &Table<'_>) -> Vec<ModuleConfig> {
    let mut modules: Vec<ModuleConfig> = Vec::new();
    for section in table.sections("module", &keys::MODULE) {
        let name: Option<Name> = section.required("name").and_then(|name| name.parsed());
        let read = module(&section, name);
        let Some(read) = read else { continue };
        match modules.iter().find(|module| module.name == read.name) {
            Some(twin) => {
                let message = format!("{} names a module already, at {}", twin.name, twin.at);
                section.report("name", message);
            }
            None => modules.push(read),
        }
    }
    modules
}

/// `None` has been reported.
fn module(table: &Table<'_>, name: Option<Name>) -> Option<ModuleConfig> {
    if let (Some(contents), Some(name)) = (table.stored(), &name)
        && let Some(stored) = contents.modules.get(name)
    {
        return Some(of_store(table, name.clone(), stored));
    }
    let path = table.required("path");
    let others = table.elements("pinned");
    let others = others.iter().filter_map(other).collect();
    let path = path?;
    Some(ModuleConfig {
        content: content(&path)?,
        others,
        at: path.at(),
        name: name?,
    })
}

fn of_store(table: &Table<'_>, name: Name, stored: &StoredModule) -> ModuleConfig {
    let others = stored.others.iter().map(|digest| OtherRevision {
        content: ModuleContent::Stored(*digest),
        at: table.at(),
    });
    ModuleConfig {
        name,
        content: ModuleContent::Stored(stored.active),
        others: others.collect(),
        at: table.at(),
    }
}

fn other(path: &Value<'_>) -> Option<OtherRevision> {
    Some(OtherRevision {
        content: content(path)?,
        at: path.at(),
    })
}

/// Whether it is too large is the engine's to say, when it is admitted.
fn content(path: &Value<'_>) -> Option<ModuleContent> {
    let bytes = path.file(keys::MODULE_SIZE.max)?;
    let digest = Digest::of(&bytes);
    Some(ModuleContent::Given { bytes, digest })
}

/// A file that no policy pins is one that was forgotten, or a pin that was. Unless there are
/// policies that could not be read.
pub(super) fn check_pins(
    table: &Table<'_>,
    modules: &[ModuleConfig],
    policies: &[PolicyConfig],
    faults: &Faults,
) {
    let is_whole = table.sections("policy", &keys::POLICY).len() == policies.len();
    if table.stored().is_some() || !is_whole {
        return;
    }
    for module in modules {
        let pins: Vec<Digest> = policies
            .iter()
            .filter_map(|read| match &read.policy.option {
                Choice::Module(asked) if asked.module == module.name => asked.revision,
                _ => None,
            })
            .collect();
        for other in &module.others {
            let digest = other.content.digest();
            if !pins.contains(&digest) {
                faults.push(other.at.fault(format_args!(
                    "no policy pins this file: write revision = \"{digest}\" in the policy that does, or remove it here"
                )));
            }
        }
    }
}

impl ModuleContent {
    /// The name of the bytes.
    pub fn digest(&self) -> Digest {
        match self {
            Self::Given { digest, .. } | Self::Stored(digest) => *digest,
        }
    }
}

impl ModuleConfig {
    /// The name of the active revision's bytes.
    pub fn digest(&self) -> Digest {
        self.content.digest()
    }

    /// The revision of this digest, active or not.
    pub fn revision(&self, digest: Digest) -> Option<OtherRevision> {
        if self.digest() == digest {
            return Some(OtherRevision {
                content: self.content.clone(),
                at: self.at.clone(),
            });
        }
        let mut others = self.others.iter();
        others
            .find(|other| other.content.digest() == digest)
            .cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Files;
    use super::*;

    /// A tenant whose module has this `pinned`, and a policy with this `revision`.
    fn files(pinned: &str, revision: &str) -> Files {
        let files = Files::new();
        files.write("tenants/m.wasm", "new");
        files.write("tenants/old.wasm", "old");
        files.write(
            "tenants/a.toml",
            format!(
                "domains = [\"a.example\"]\n[[module]]\nname = \"m\"\npath = \"m.wasm\"\n{pinned}\n\
                 [[policy]]\nname = \"p\"\noption = \"module\"\nmodule = \"m\"\n{revision}\n"
            ),
        );
        files
    }

    #[test]
    fn a_policy_pins_a_revision_that_is_there() {
        let (old, new) = (Digest::of(b"old"), Digest::of(b"new"));
        for (pinned, revision, expected) in [
            ("pinned = [\"old.wasm\"]", old.to_string(), old),
            ("", new.to_string().to_uppercase(), new),
        ] {
            let config = files(pinned, &format!("revision = \"{revision}\"")).read();
            let config = config.expect("no fault");
            let tenant = &config.tenants[0];
            let Choice::Module(asked) = &tenant.policies[0].policy.option else {
                unreachable!("it asks a module");
            };
            assert_eq!(asked.revision, Some(expected));
            assert!(tenant.modules[0].revision(expected).is_some());
        }
    }

    #[test]
    fn pins_that_name_nothing_and_files_that_nobody_pins() {
        let old = Digest::of(b"old");
        let revision = |digest| format!("revision = \"{digest}\"");
        for (pinned, revision, expected) in [
            (
                "",
                revision(old),
                format!(
                    "revision: module \"m\" has no revision {old}: name its file in \"pinned\" of the module"
                ),
            ),
            (
                "pinned = [\"old.wasm\"]",
                String::new(),
                format!(
                    "pinned[0]: no policy pins this file: write revision = \"{old}\" in the policy that does, or remove it here"
                ),
            ),
            (
                "pinned = [\"none.wasm\"]",
                String::new(),
                "none.wasm".to_owned(),
            ),
            (
                "pinned = \"old.wasm\"",
                revision(old),
                "expected an array".to_owned(),
            ),
            (
                "",
                "revision = \"2\"".to_owned(),
                "revision: \"2\" is not a SHA-256 digest".to_owned(),
            ),
        ] {
            let shown = files(pinned, &revision).read().expect_err(&revision);
            assert!(shown.contains(&expected), "{pinned} {revision}: {shown}");
        }
    }
}
