//! A tenant's named lists: sets and maps of strings, held by the host.
//!
//! A policy asks for one key and pays for the answer, not for the list.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::digest::Digest;

/// Most entries of one list.
pub const MAX_ENTRIES: usize = 100_000;

/// The lists of one tenant, by name.
#[derive(Clone, Debug, Default)]
pub struct Lists(BTreeMap<String, Arc<List>>);

/// A set or a map of strings; the values of a set are empty.
#[derive(Debug)]
pub struct List {
    entries: HashMap<String, String>,
    digest: Digest,
}

impl List {
    /// A list of these entries.
    pub fn new(entries: HashMap<String, String>) -> Self {
        let digest = digest_of(&entries);
        Self { entries, digest }
    }

    /// The value of this key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.entries.get(key).map(String::as_str)
    }

    /// Keys and values, in no useful order.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &str)> {
        let entries = self.entries.iter();
        entries.map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// How many entries it has.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Digest of the entries, the same for the same entries in any order.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

/// Lengths come first, so that no two lists have one encoding.
fn digest_of(entries: &HashMap<String, String>) -> Digest {
    let mut sorted: Vec<_> = entries.iter().collect();
    sorted.sort_unstable();
    let mut encoding = Vec::new();
    for text in sorted.into_iter().flat_map(|(key, value)| [key, value]) {
        encoding.extend_from_slice(&(text.len() as u64).to_be_bytes());
        encoding.extend_from_slice(text.as_bytes());
    }
    Digest::of(&encoding)
}

impl Lists {
    /// The list of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<List>> {
        self.0.get(name)
    }

    /// Puts a list in the place of what had this name.
    pub fn insert(&mut self, name: String, list: Arc<List>) {
        self.0.insert(name, list);
    }

    /// Takes a list away; none where there is none of this name.
    pub fn remove(&mut self, name: &str) -> Option<Arc<List>> {
        self.0.remove(name)
    }

    /// The names and the lists, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Arc<List>)> {
        self.0.iter().map(|(name, list)| (name.as_str(), list))
    }
}

impl<L: Into<Arc<List>>> FromIterator<(String, L)> for Lists {
    fn from_iter<I: IntoIterator<Item = (String, L)>>(lists: I) -> Self {
        let shared = |(name, list): (String, L)| (name, list.into());
        Self(lists.into_iter().map(shared).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[(&str, &str)]) -> List {
        List::new(
            entries
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
        )
    }

    #[test]
    fn digests_tell_lists_apart() {
        assert_eq!(
            list(&[("a", "1"), ("b", "2")]).digest(),
            list(&[("b", "2"), ("a", "1")]).digest()
        );
        // So many that no two of them come in one order by chance.
        let many = |numbers: &mut dyn Iterator<Item = u32>| {
            List::new(numbers.map(|n| (n.to_string(), String::new())).collect()).digest()
        };
        assert_eq!(many(&mut (0..100)), many(&mut (0..100).rev()));
        assert_ne!(list(&[("ab", "c")]).digest(), list(&[("a", "bc")]).digest());
        assert_ne!(list(&[("a", "")]).digest(), list(&[]).digest());
    }
}
