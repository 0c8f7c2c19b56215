//! `[quotas]`: how much a tenant may keep. Operators write it, for a tenant that changes
//! the rest by itself; so whatever is over a quota is a fault wherever it comes from.

use super::keys::{self, Number};
use super::list_table::ListTable;
use super::reader::Table;
use super::{ModuleConfig, ModuleContent, Object};

/// How many modules a tenant may have, how many revisions of each, and how large all are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModuleQuotas {
    /// Modules, active or not.
    pub modules: i64,
    /// Revisions of each, at least one.
    pub revisions: i64,
    /// Bytes of all revisions of all modules.
    pub bytes: i64,
}

impl ModuleQuotas {
    /// Those in the operator's part of a tenant, which was read without a fault.
    pub fn of(operator: &Object) -> Self {
        let quotas = operator.get("quotas");
        let quota = |number: &Number| {
            let set = quotas.and_then(|quotas| quotas.get(number.key)?.as_u64());
            i64::try_from(set.unwrap_or(number.default)).unwrap_or(i64::MAX)
        };
        Self {
            modules: quota(&keys::MODULES),
            revisions: quota(&keys::MODULE_REVISIONS),
            bytes: quota(&keys::MODULE_BYTES),
        }
    }
}

/// How many receipts of a tenant are kept, and for how many days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// At most so many.
    pub receipts: u64,
    /// At most so long; none where the host says it.
    pub days: Option<u64>,
}

impl Retention {
    /// Unless a tenant has its own.
    pub const DEFAULT: Self = Self {
        receipts: keys::RECEIPT_COUNT.default,
        days: None,
    };

    /// Of the part of a tenant that operators write.
    pub fn of(operator: &Object) -> Self {
        let quotas = operator.get("quotas");
        let number = |key| quotas.and_then(|quotas| quotas.get(key)?.as_u64());
        Self {
            receipts: number(keys::RECEIPT_COUNT.key).unwrap_or(Self::DEFAULT.receipts),
            days: number(keys::RECEIPT_DAYS.key),
        }
    }
}

/// Reports what is over its quota, where it is written.
pub(super) fn check(
    tenant: &Table<'_>,
    lists: &[ListTable],
    modules: &[ModuleConfig],
    policies: usize,
) {
    let quotas = tenant.section("quotas", &keys::QUOTAS);
    // The store holds it to these, which has them all.
    quotas.number(&keys::MODULE_REVISIONS);
    quotas.number(&keys::RECEIPT_COUNT);
    quotas.number(&keys::RECEIPT_DAYS);
    let entries = lists.iter().map(ListTable::len).sum();
    let bytes = modules.iter().map(bytes).sum();
    for (key, quota, found, what) in [
        ("module", &keys::MODULES, modules.len(), "modules"),
        ("module", &keys::MODULE_BYTES, bytes, "bytes of modules"),
        ("policy", &keys::POLICIES, policies, "policies"),
        ("lists", &keys::LIST_ENTRIES, entries, "entries of lists"),
    ] {
        let limit = quotas.number(quota);
        if found as u64 > limit {
            let name = quota.key;
            let message =
                format!("{found} {what} are over the tenant's quota of {limit} (quotas.{name})");
            tenant.report(key, message);
        }
    }
}

/// What a file brings along. Of what is in the store the store knows it.
fn bytes(module: &ModuleConfig) -> usize {
    let others = module.others.iter().map(|other| &other.content);
    let all = std::iter::once(&module.content).chain(others);
    all.map(|content| match content {
        ModuleContent::Given { bytes, .. } => bytes.len(),
        ModuleContent::Stored(_) => 0,
    })
    .sum()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Files, faults_of, sound};
    use crate::digest::Digest;

    #[test]
    fn what_is_over_a_quota_is_a_fault() {
        let policy = |name| format!("[[policy]]\nname = \"{name}\"\noption = \"default\"\n");
        let lists = "[lists.a]\nentries = [\"a.example\", \"b.example\"]\n\
                     [lists.b]\nentries = { \"c.example\" = \"\" }\n";
        let all = format!("{}{}{lists}", policy("one"), policy("two"));
        for (quotas, expected) in [
            (
                "policies = 1",
                "policy: 2 policies are over the tenant's quota of 1 (quotas.policies)",
            ),
            (
                "list_entries = 2",
                "lists: 3 entries of lists are over the tenant's quota of 2 (quotas.list_entries)",
            ),
            (
                "modules = 100000",
                "quotas.modules: 100000 is not within 0 to 10000",
            ),
        ] {
            let found = faults_of(&format!("[quotas]\n{quotas}\n{all}"));
            assert!(
                found.ends_with(expected) && found.lines().count() == 1,
                "{found}"
            );
        }
        sound(&format!(
            "[quotas]\npolicies = 2\nlist_entries = 3\nmodules = 0\n{all}"
        ));
    }

    #[test]
    fn what_files_bring_along_is_held_to_the_bytes() {
        let files = Files::new();
        files.write("tenants/m.wasm", vec![b'm'; 40_000]);
        files.write("tenants/old.wasm", vec![b'o'; 40_000]);
        let tenant = |quota: u32| {
            let digest = Digest::of(&[b'o'; 40_000]);
            format!(
                "domains = [\"a.example\"]\n[quotas]\nmodule_bytes = {quota}\n\
                 [[module]]\nname = \"m\"\npath = \"m.wasm\"\npinned = [\"old.wasm\"]\n\
                 [[policy]]\nname = \"p\"\noption = \"module\"\nmodule = \"m\"\nrevision = \"{digest}\"\n"
            )
        };
        files.write("tenants/a.toml", tenant(79_999));
        let refused = files.read().expect_err("a quota");
        assert!(
            refused.ends_with(
                "module: 80000 bytes of modules are over the tenant's quota of 79999 (quotas.module_bytes)"
            ),
            "{refused}"
        );
        files.write("tenants/a.toml", tenant(80_000));
        assert!(files.read().is_ok());
    }
}
