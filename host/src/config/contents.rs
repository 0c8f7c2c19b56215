//! What a document names instead of holding it: PEM texts, lists, modules.
//!
//! A file names other files, relative to itself. A document of the store names nothing
//! outside of the store: **no path in it is ever opened**, since whoever writes there is
//! a tenant's administrator, and the files are the host's.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::read::read;
use crate::digest::Digest;
use crate::lists::{List, Lists};
use crate::name::Name;

/// How every PEM text begins, and no path.
const PEM: &str = "-----BEGIN ";

/// A PEM text, and what messages call it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pem {
    /// Its file, or that it is none.
    pub name: Arc<Path>,
    /// What is in it. Only comments of a PEM file can be anything else than ASCII.
    pub text: Arc<str>,
}

/// Where the contents of a document are.
pub(super) enum Contents {
    /// In files beside this one. One that was read is not read again, so that what was
    /// checked is what is kept.
    Files {
        beside: PathBuf,
        read: RefCell<BTreeMap<PathBuf, Bytes>>,
    },
    /// In the store, by the names of the document's own.
    Store(Stored),
}

/// Contents of a document of the store.
#[derive(Clone, Debug, Default)]
pub(super) struct Stored {
    pub(super) lists: Lists,
    pub(super) modules: BTreeMap<Name, StoredModule>,
}

/// A module of the store.
#[derive(Clone, Debug)]
pub(super) struct StoredModule {
    /// The revision that is active.
    pub(super) active: Digest,
    /// Others that policies may pin.
    pub(super) others: Vec<Digest>,
}

impl Stored {
    /// The list of this name.
    pub(super) fn list(&self, name: &str) -> Option<Arc<List>> {
        self.lists.get(name).map(Arc::clone)
    }
}

impl Contents {
    /// Of a file.
    pub(super) fn of_file(file: &Path) -> Self {
        Self::Files {
            beside: file.parent().unwrap_or(Path::new("")).to_owned(),
            read: RefCell::default(),
        }
    }

    /// A path as the document means it.
    pub(super) fn resolve(&self, path: &str) -> PathBuf {
        match self {
            Self::Files { beside, .. } => beside.join(path),
            Self::Store(_) => path.into(),
        }
    }

    /// Those of the store; none of a file.
    pub(super) fn stored(&self) -> Option<&Stored> {
        match self {
            Self::Store(stored) => Some(stored),
            Self::Files { .. } => None,
        }
    }

    /// What a path names; text that is PEM itself names nothing.
    pub(super) fn pem(&self, text: &str, limit: u64) -> Result<Pem, String> {
        let pem = if text.contains(PEM) {
            Pem {
                name: Path::new("the text").into(),
                text: text.into(),
            }
        } else {
            let bytes = self.file(text, limit)?;
            Pem {
                name: self.resolve(text).into(),
                text: String::from_utf8_lossy(&bytes).into(),
            }
        };
        if has_private_key(&pem.text) {
            let name = pem.name.display();
            return Err(format!(
                "{name} has a private key in it, which would be kept in the store and in copies of it: leave only certificates and revocation lists there"
            ));
        }
        Ok(pem)
    }

    /// The bytes of a file.
    pub(super) fn file(&self, path: &str, limit: u64) -> Result<Bytes, String> {
        let Self::Files { read: known, .. } = self else {
            return Err(
                "what is kept in the store names no files: give the text itself".to_owned(),
            );
        };
        if path.is_empty() || path.contains('\0') {
            return Err(format!("{path:?} is not a path"));
        }
        let path = self.resolve(path);
        if let Some(bytes) = known.borrow().get(&path) {
            return Ok(bytes.clone());
        }
        let bytes: Bytes = read(&path, limit).map_err(shown)?.into();
        known.borrow_mut().insert(path, bytes.clone());
        Ok(bytes)
    }
}

/// Of whatever kind: PKCS #8, encrypted or not, or the older ones (RFC 7468, sections 10
/// and 11).
fn has_private_key(text: &str) -> bool {
    let mut sections = text.split(PEM).skip(1);
    sections.any(|section| {
        let label = section.lines().next();
        label.is_some_and(|label| label.trim_end().ends_with("PRIVATE KEY-----"))
    })
}

fn shown(error: impl Display) -> String {
    error.to_string()
}
