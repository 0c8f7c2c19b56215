//! A tenant's document as files: the other way round of `tenant_file`. Pure.
//!
//! **Reading these files gives an equal document**: whatever lines cannot say stands in
//! the tenant's own file.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

use super::ModuleConfig;
use super::tenant_document::{Object, TenantDocument};
use crate::digest::Digest;
use crate::lists::List;

/// Digits of a digest that tell a module's revisions apart, as people write them.
const DIGITS: usize = 16;

/// A file of a tree, relative to the directory of tenants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeFile {
    /// Where.
    pub path: PathBuf,
    /// What is in it.
    pub content: FileContent,
}

/// What is in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileContent {
    /// This text.
    Text(String),
    /// The bytes of this module.
    Module(Digest),
}

/// A document as TOML cannot say it.
#[derive(Debug, thiserror::Error)]
#[error("tenant {tenant} cannot be written as TOML: {reason}")]
pub struct TreeError {
    tenant: String,
    reason: toml::ser::Error,
}

impl TenantDocument {
    /// As files: `ID.toml`, and what it names in a directory `ID` beside it.
    ///
    /// # Errors
    /// When it holds what TOML has no word for, which nothing has that was ever read.
    pub fn files(&self) -> Result<Vec<TreeFile>, TreeError> {
        let mut tree = Tree {
            id: self.id.to_string(),
            files: Vec::new(),
        };
        let mut table = self.table();
        tree.take_texts(table.get_mut("trust"), "anchors", "anchor");
        tree.take_texts(table.get_mut("trust"), "crls", "crl");
        let targets = table.get_mut("targets").and_then(Json::as_object_mut);
        for (name, target) in targets.into_iter().flatten() {
            tree.take_texts(Some(target), "anchors", &format!("{name}-anchor"));
        }
        if let Some(lists) = table.get_mut("lists").and_then(Json::as_object_mut) {
            for (name, list) in self.lists.iter() {
                lists.insert(name.to_owned(), tree.list(name, list));
            }
        }
        if !self.modules.is_empty() {
            let modules = self.modules.iter();
            let modules = modules.map(|module| tree.module(module, self.pinned(module)));
            table.insert("module".to_owned(), modules.collect());
        }
        tree.own_file(&table)?;
        Ok(tree.files)
    }
}

struct Tree {
    id: String,
    files: Vec<TreeFile>,
}

impl Tree {
    /// Puts a file into the tenant's directory; how the tenant's file names it.
    fn add(&mut self, name: &str, content: FileContent) -> String {
        let path = format!("{}/{name}", self.id);
        self.files.push(TreeFile {
            path: PathBuf::from(&path),
            content,
        });
        path
    }

    /// Puts names of files in place of texts.
    fn take_texts(&mut self, table: Option<&mut Json>, key: &str, name: &str) {
        let texts = table.and_then(|table| table.get_mut(key)?.as_array_mut());
        for (number, text) in (1..).zip(texts.into_iter().flatten()) {
            if let Some(pem) = text.as_str() {
                let content = FileContent::Text(pem.to_owned());
                *text = Json::from(self.add(&format!("{name}-{number}.pem"), content));
            }
        }
    }

    fn list(&mut self, name: &str, list: &List) -> Json {
        match lines(list) {
            Some(lines) => {
                let path = self.add(&format!("{name}.list"), FileContent::Text(lines));
                json!({ "file": path })
            }
            None => {
                let entries: Object = list
                    .entries()
                    .map(|(key, value)| (key.to_owned(), value.into()))
                    .collect();
                json!({ "entries": entries })
            }
        }
    }

    fn module(&mut self, module: &ModuleConfig, pinned: BTreeSet<Digest>) -> Json {
        let name = module.name.as_str();
        let content = FileContent::Module(module.digest());
        let path = self.add(&format!("{name}.wasm"), content);
        let mut json = json!({ "name": name, "path": path });
        if !pinned.is_empty() {
            let paths = pinned.into_iter().map(|digest| {
                // No name of a module has a dot.
                let beginning: String = digest.to_string().chars().take(DIGITS).collect();
                let name = format!("{name}.{beginning}.wasm");
                self.add(&name, FileContent::Module(digest))
            });
            json["pinned"] = paths.collect::<Vec<_>>().into();
        }
        json
    }

    fn own_file(&mut self, table: &Object) -> Result<(), TreeError> {
        let text = toml::to_string_pretty(table).map_err(|reason| TreeError {
            tenant: self.id.clone(),
            reason,
        })?;
        self.files.push(TreeFile {
            path: Path::new(&self.id).with_added_extension("toml"),
            content: FileContent::Text(text),
        });
        Ok(())
    }
}

/// A list as lines, by key; none where an entry does not come back from its line.
fn lines(list: &List) -> Option<String> {
    let mut entries: Vec<(&str, &str)> = list.entries().collect();
    entries.sort_unstable();
    let mut text = String::new();
    for (key, value) in entries {
        let fits = is_word(key)
            && !key.starts_with(['#', '\u{feff}'])
            && !key.contains(['\t'])
            && !key.contains("=>")
            && (value.is_empty() || is_word(value));
        if !fits {
            return None;
        }
        text.push_str(key);
        if !value.is_empty() {
            text.push_str(" => ");
            text.push_str(value);
        }
        text.push('\n');
    }
    Some(text)
}

/// Whether nothing of it is lost at the ends or by the end of the line.
fn is_word(text: &str) -> bool {
    !text.is_empty() && text.trim() == text && !text.contains(['\n', '\r'])
}
