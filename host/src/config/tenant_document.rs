//! A tenant as the store keeps it: what stands in its file, with the contents in place
//! of the names of files.
//!
//! **A document means the same wherever it is**: the store's is written out as TOML and
//! read by the reader of files, so that there is one schema and one judgement. Two
//! documents are equal when nothing that the reader reads differs; comments, the order
//! of keys and the names of files are the file's own.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value as Json, json};
use toml::de::DeValue;

use super::contents::{Contents, Stored, StoredModule};
use super::document::{Document, Faults};
use super::fault::Position;
use super::host::Domains;
use super::reader::Table;
use super::settings::{finite, whole};
use super::{Config, Fault, MAX_PEM, ModuleConfig, TenantConfig, keys, tenant_file};
use crate::address::Domain;
use crate::digest::Digest;
use crate::facts::TenantId;
use crate::lists::Lists;
use crate::name::Name;

/// Keys that only operators write, beside the domains.
pub(super) const OPERATOR: [&str; 3] = ["targets", "sources", "quotas"];

/// Keys that the store keeps apart.
pub(super) const APART: [&str; 4] = ["domains", "lists", "module", "policy"];

/// An object of JSON.
pub type Object = Map<String, Json>;

/// A tenant as the store keeps it.
#[derive(Clone, Debug)]
pub struct TenantDocument {
    /// Its id.
    pub id: TenantId,
    /// In the order of the file.
    pub domains: Vec<Domain>,
    /// What operators write: targets and the like.
    pub operator: Object,
    /// What the tenant writes: contact, defaults, trust with its PEM texts, and the like.
    pub own: Object,
    /// Its lists.
    pub lists: Lists,
    /// In the order of the file.
    pub modules: Vec<ModuleConfig>,
    /// In the order of their creation, which is that of the file.
    pub policies: Vec<Object>,
}

impl TenantDocument {
    /// That of what was read without a fault.
    pub(super) fn of(
        table: &Table<'_>,
        id: TenantId,
        domains: &[Domain],
        lists: Lists,
        modules: &[ModuleConfig],
    ) -> Self {
        let (mut operator, mut own, mut policies) = (Object::new(), Object::new(), Vec::new());
        for (key, value) in table.entries() {
            let mut json = json_of(value.node());
            inline(key, &mut json, table.contents());
            match key {
                "policy" => policies = objects(json),
                key if APART.contains(&key) => {}
                key if OPERATOR.contains(&key) => drop(operator.insert(key.to_owned(), json)),
                key => drop(own.insert(key.to_owned(), json)),
            }
        }
        Self {
            id,
            domains: domains.to_vec(),
            operator,
            own,
            lists,
            modules: modules.to_vec(),
            policies,
        }
    }

    /// What tells it from another version of it.
    pub fn digest(&self) -> Digest {
        let lists = self.lists.iter();
        let modules = self.modules.iter();
        let all = json!({
            "domains": self.domains.iter().map(Domain::as_str).collect::<Vec<_>>(),
            "operator": self.operator,
            "own": self.own,
            "lists": lists.map(|(name, list)| json!([name, list.digest()])).collect::<Vec<_>>(),
            "modules": modules.map(|module| json!([module.name, module.digest()])).collect::<Vec<_>>(),
            "policies": self.policies,
        });
        Digest::of(all.to_string().as_bytes())
    }

    /// Digests of the revisions of a module that its policies pin, beside the active one.
    pub fn pinned(&self, module: &ModuleConfig) -> BTreeSet<Digest> {
        let mut pins = pins(&self.policies, module.name.as_str());
        pins.remove(&module.digest());
        pins
    }

    /// Everything but the contents of lists and modules, as a file has it.
    pub fn table(&self) -> Object {
        let mut table: Object = self.operator.clone();
        table.extend(self.own.clone());
        let domains: Vec<_> = self.domains.iter().map(Domain::as_str).collect();
        table.insert("domains".to_owned(), json!(domains));
        let lists = self.lists.iter();
        let lists: Object = lists
            .map(|(name, _)| (name.to_owned(), json!({})))
            .collect();
        let modules: Vec<_> = self
            .modules
            .iter()
            .map(|module| json!({ "name": module.name }))
            .collect();
        // A file leaves out what is empty, and so it is nothing.
        if !lists.is_empty() {
            table.insert("lists".to_owned(), lists.into());
        }
        for (key, tables) in [("module", modules), ("policy", policies(&self.policies))] {
            if !tables.is_empty() {
                table.insert(key.to_owned(), tables.into());
            }
        }
        table
    }

    fn stored(&self) -> Stored {
        Stored {
            lists: self.lists.clone(),
            modules: self.modules.iter().map(stored_module).collect(),
        }
    }
}

fn stored_module(module: &ModuleConfig) -> (Name, StoredModule) {
    let others = module.others.iter();
    let stored = StoredModule {
        active: module.digest(),
        others: others.map(|other| other.content.digest()).collect(),
    };
    (module.name.clone(), stored)
}

/// Digests of the revisions of this module that policies pin.
pub fn pins<'a>(policies: impl IntoIterator<Item = &'a Object>, module: &str) -> BTreeSet<Digest> {
    let text = |policy: &'a Object, key: &str| policy.get(key).and_then(Json::as_str);
    policies
        .into_iter()
        .filter(|policy| text(policy, "module") == Some(module))
        .filter_map(|policy| text(policy, "revision")?.parse().ok())
        .collect()
}

impl Config {
    /// Reads tenants of the store, as if they stood in files.
    ///
    /// # Errors
    /// Every fault of all of them, by tenant and key.
    pub fn read_stored(
        &self,
        documents: &[Arc<TenantDocument>],
    ) -> Result<Vec<TenantConfig>, Vec<Fault>> {
        let (faults, mut domains) = (Faults::default(), Domains::new());
        let tenants = documents
            .iter()
            .filter_map(|document| {
                self.read_table(document, &document.table(), &mut domains, &faults)
            })
            .collect();
        let faults = faults.into_sorted();
        if faults.is_empty() {
            Ok(tenants)
        } else {
            Err(faults)
        }
    }

    fn read_table(
        &self,
        kept: &TenantDocument,
        table: &Object,
        domains: &mut Domains,
        faults: &Faults,
    ) -> Option<TenantConfig> {
        let name = format!("tenant {}", kept.id);
        let name = Path::new(&name);
        let text = match toml::to_string(table) {
            Ok(text) => text,
            Err(error) => {
                faults.push(Position::file(name).fault(format_args!("not as TOML: {error}")));
                return None;
            }
        };
        let document = Document::stored(name, &text, kept.stored(), faults);
        let table = Table::root(&document, &keys::TENANT, faults);
        let id = Some(kept.id.clone());
        tenant_file::tenant(&table, id, domains, Some(&self.target), faults)
    }
}

fn policies(policies: &[Object]) -> Vec<Json> {
    policies.iter().cloned().map(Json::Object).collect()
}

fn objects(json: Json) -> Vec<Object> {
    let Json::Array(elements) = json else {
        return Vec::new();
    };
    let objects = elements.into_iter().filter_map(|element| match element {
        Json::Object(object) => Some(object),
        _ => None,
    });
    objects.collect()
}

/// Puts contents in place of the names of files.
fn inline(key: &str, json: &mut Json, contents: &Contents) {
    match key {
        "trust" => {
            for key in ["anchors", "crls"] {
                inline_texts(json.get_mut(key), contents);
            }
        }
        "targets" => {
            let targets = json.as_object_mut().into_iter().flatten();
            for (_, target) in targets {
                inline_texts(target.get_mut("anchors"), contents);
                make_absolute(target.get_mut("address"), contents);
            }
        }
        _ => {}
    }
}

fn inline_texts(names: Option<&mut Json>, contents: &Contents) {
    let names = names.and_then(Json::as_array_mut).into_iter().flatten();
    for name in names {
        // What cannot be read has been reported.
        let read = name
            .as_str()
            .and_then(|name| contents.pem(name, MAX_PEM).ok());
        if let Some(pem) = read {
            *name = Json::from(&*pem.text);
        }
    }
}

/// A socket that is named relative to the file.
fn make_absolute(address: Option<&mut Json>, contents: &Contents) {
    let Some(address) = address else { return };
    let path = address.as_str().and_then(|text| text.strip_prefix("unix:"));
    let path = path.and_then(|path| std::path::absolute(contents.resolve(path)).ok());
    if let Some(path) = path.as_deref().and_then(Path::to_str) {
        *address = Json::from(format!("unix:{path}"));
    }
}

/// TOML as JSON. What JSON cannot say has been reported.
fn json_of(value: &DeValue<'_>) -> Json {
    match value {
        DeValue::String(text) => Json::from(text.as_ref()),
        DeValue::Boolean(boolean) => Json::Bool(*boolean),
        DeValue::Datetime(time) => Json::String(time.to_string()),
        DeValue::Integer(integer) => whole(integer).map_or(Json::Null, Json::Number),
        DeValue::Float(float) => finite(float).map_or(Json::Null, Json::Number),
        DeValue::Array(array) => array
            .iter()
            .map(|element| json_of(element.get_ref()))
            .collect(),
        DeValue::Table(table) => table
            .iter()
            .map(|(key, value)| (key.get_ref().to_string(), json_of(value.get_ref())))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Files, sound};
    use super::*;

    /// The faults of a document of the store with this key.
    fn faults_of(key: &str, value: Json) -> String {
        let config = sound("[lists.l]\nentries = [\"a.example\"]\n");
        let document = &config.tenants[0].document;
        let mut table = document.table();
        table.insert(key.to_owned(), value);
        let faults = Faults::default();
        config.read_table(document, &table, &mut Domains::new(), &faults);
        let faults = faults.into_sorted();
        let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
        lines.join("\n")
    }

    #[test]
    fn a_document_of_the_store_opens_no_file() {
        let no_file = "what is kept in the store names no files: give the text itself";
        for (key, value, expected) in [
            (
                "trust",
                json!({ "anchors": ["/etc/hostname"] }),
                format!("tenant a: trust.anchors[0]: {no_file}"),
            ),
            (
                "lists",
                json!({ "other": { "file": "/etc/hostname" }, "l": {} }),
                format!("tenant a: lists.other.file: {no_file}"),
            ),
            (
                "module",
                json!([{ "name": "m", "path": "/etc/hostname" }]),
                format!("tenant a: module[0].path: {no_file}"),
            ),
            (
                "targets",
                json!({ "inbound": { "kind": "lmtp", "address": "unix:run/lmtp" } }),
                "tenant a: targets.inbound.address: give the whole path, from \"/\" on".to_owned(),
            ),
            (
                "policy",
                json!([{ "name": "p", "option": "module" }]),
                "tenant a: policy[0]: \"module\" is missing".to_owned(),
            ),
        ] {
            assert_eq!(faults_of(key, value), expected, "{key}");
        }
    }

    #[test]
    fn no_private_key_comes_into_the_store() {
        let files = Files::new();
        let certificate = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
        for kind in ["", "ENCRYPTED ", "RSA "] {
            let key = format!("-----BEGIN {kind}PRIVATE KEY-----\r\nMAA=\r\n");
            files.write("tenants/both.pem", format!("{certificate}{key}"));
            files.write(
                "tenants/a.toml",
                "domains = [\"a.example\"]\n[trust]\nanchors = [\"both.pem\"]\n",
            );
            let shown = files.read().expect_err("it has a key");
            assert!(
                shown.contains("both.pem has a private key in it"),
                "{shown}"
            );
            let text = json!({ "anchors": [format!("{certificate}{key}")] });
            let shown = faults_of("trust", text);
            let expected = "tenant a: trust.anchors[0]: the text has a private key in it";
            assert!(shown.starts_with(expected), "{shown}");
        }
    }

    #[test]
    fn a_text_may_stand_where_a_file_is_named() {
        let files = Files::new();
        let pem = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
        files.write("tenants/ca.pem", pem);
        let tenant = |domain: &str, anchor: &str| {
            format!("domains = [\"{domain}\"]\n[trust]\nanchors = [{anchor:?}]\n")
        };
        files.write("tenants/a.toml", tenant("a.example", "ca.pem"));
        files.write("tenants/b.toml", tenant("b.example", pem));
        let config = files.read().expect("no fault");
        let [named, given] = [0, 1].map(|tenant| &config.tenants[tenant]);
        assert_eq!(named.document.own, given.document.own);
        let text = |tenant: &TenantConfig| tenant.trust.anchors[0].value.text.clone();
        assert_eq!(text(named), text(given));
    }
}
