//! Changing one part of a tenant's document, as administrators do. Pure.
//!
//! **What is only operators' stays theirs**: the two halves of a document have keys of
//! their own, and what is written into the one is never taken for the other's.

use std::sync::Arc;

use serde_json::Value as Json;

use super::tenant_document::{APART, OPERATOR, Object, TenantDocument};
use crate::facts::TenantId;
use crate::lists::{List, Lists};

/// A part of a tenant that is written as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// What operators write: targets, sources, quotas.
    Operator,
    /// What the tenant writes: contact, defaults, trust and the like.
    Own,
}

/// A part of a document that cannot be kept as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// A key that is not written here.
    #[error("{key}: this is not written here, but {place}")]
    Elsewhere {
        /// Which.
        key: String,
        /// Where it is.
        place: &'static str,
    },
    /// Neither files nor the store can say it.
    #[error("{0}: null is no value: leave the key out")]
    Null(String),
    /// A policy with another name than it is asked for by.
    #[error("name: {given} is not {name:?}, which the path names: leave it out")]
    Name {
        /// In the path.
        name: String,
        /// In the document.
        given: Json,
    },
}

impl TenantDocument {
    /// A tenant with nothing.
    pub fn empty(id: TenantId) -> Self {
        Self {
            id,
            domains: Vec::new(),
            operator: Object::new(),
            own: Object::new(),
            lists: Lists::default(),
            modules: Vec::new(),
            policies: Vec::new(),
        }
    }

    /// Writes one half of it.
    ///
    /// # Errors
    /// When a key in it belongs elsewhere, or has no value.
    pub fn write(&mut self, half: Half, keys: Object) -> Result<(), EditError> {
        for key in keys.keys() {
            let place = match (half, key.as_str()) {
                (_, key) if APART.contains(&key) => Some("beside it"),
                (Half::Own, key) if OPERATOR.contains(&key) => {
                    Some("by operators, as \"operator\"")
                }
                (Half::Operator, key) if !OPERATOR.contains(&key) => Some("as \"own\""),
                _ => None,
            };
            if let Some(place) = place {
                let key = key.clone();
                return Err(EditError::Elsewhere { key, place });
            }
        }
        no_null(&keys)?;
        match half {
            Half::Operator => self.operator = keys,
            Half::Own => self.own = keys,
        }
        Ok(())
    }

    /// The place of a policy.
    pub fn place(&self, policy: &str) -> Option<usize> {
        let named = |document: &Object| document.get("name").and_then(Json::as_str) == Some(policy);
        self.policies.iter().position(named)
    }

    /// Puts a policy in the place of the one of this name, or behind all others, and says
    /// where that is.
    ///
    /// # Errors
    /// When it has another name, or a key without a value.
    pub fn put_policy(&mut self, name: &str, mut policy: Object) -> Result<usize, EditError> {
        no_null(&policy)?;
        match policy.insert("name".to_owned(), name.into()) {
            Some(given) if given != name => {
                let name = name.to_owned();
                return Err(EditError::Name { name, given });
            }
            _ => {}
        }
        match self.place(name) {
            Some(place) => {
                self.policies[place] = policy;
                Ok(place)
            }
            None => {
                self.policies.push(policy);
                Ok(self.policies.len() - 1)
            }
        }
    }

    /// Takes a policy away; false where there is none of this name.
    pub fn remove_policy(&mut self, name: &str) -> bool {
        let place = self.place(name);
        place.map(|place| self.policies.remove(place)).is_some()
    }

    /// Puts a list in the place of the one of this name.
    pub fn put_list(&mut self, name: &str, list: List) {
        self.lists.insert(name.to_owned(), Arc::new(list));
    }
}

fn no_null(keys: &Object) -> Result<(), EditError> {
    let mut keys = keys.iter();
    match keys.find_map(|(key, value)| null_in(key, value)) {
        Some(path) => Err(EditError::Null(path)),
        None => Ok(()),
    }
}

/// The path of the first null.
fn null_in(path: &str, value: &Json) -> Option<String> {
    match value {
        Json::Null => Some(path.to_owned()),
        Json::Array(elements) => {
            let mut elements = elements.iter().enumerate();
            elements.find_map(|(index, value)| null_in(&format!("{path}[{index}]"), value))
        }
        Json::Object(keys) => {
            let mut keys = keys.iter();
            keys.find_map(|(key, value)| null_in(&format!("{path}.{key}"), value))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(json: Json) -> Object {
        serde_json::from_value(json).expect("an object")
    }

    fn tenant() -> TenantDocument {
        TenantDocument::empty("acme".parse().expect("an id"))
    }

    #[test]
    fn no_half_has_the_keys_of_the_other() {
        for (half, key, place) in [
            (Half::Own, "targets", "by operators, as \"operator\""),
            (Half::Own, "sources", "by operators, as \"operator\""),
            (Half::Own, "quotas", "by operators, as \"operator\""),
            (Half::Own, "domains", "beside it"),
            (Half::Own, "policy", "beside it"),
            (Half::Operator, "lists", "beside it"),
            (Half::Operator, "module", "beside it"),
            (Half::Operator, "contact", "as \"own\""),
            (Half::Operator, "trust", "as \"own\""),
        ] {
            let mut tenant = tenant();
            let refused = tenant.write(half, object(json!({ key: {} })));
            let expected = EditError::Elsewhere {
                key: key.to_owned(),
                place,
            };
            assert_eq!(refused, Err(expected), "{half:?} {key}");
            assert!(tenant.own.is_empty() && tenant.operator.is_empty());
        }
    }

    #[test]
    fn nothing_is_null_however_deep() {
        let keys = json!({ "a": 1, "settings": { "list": ["x", { "y": null }] } });
        let refused = tenant().put_policy("p", object(keys));
        assert_eq!(
            refused,
            Err(EditError::Null("settings.list[1].y".to_owned()))
        );
    }

    #[test]
    fn a_policy_keeps_its_place_and_its_name() {
        let mut tenant = tenant();
        for (place, name) in ["a", "b", "c"].into_iter().enumerate() {
            let put = tenant.put_policy(name, object(json!({ "option": "default" })));
            assert_eq!(put, Ok(place));
        }
        let again = object(json!({ "name": "b", "option": "enforced" }));
        assert_eq!(tenant.put_policy("b", again), Ok(1));
        assert_eq!(tenant.policies[1]["option"], "enforced");
        let other = object(json!({ "name": "c", "option": "enforced" }));
        let refused = tenant.put_policy("b", other).expect_err("another name");
        assert_eq!(
            refused.to_string(),
            "name: \"c\" is not \"b\", which the path names: leave it out"
        );
        assert!(tenant.remove_policy("b") && !tenant.remove_policy("b"));
        assert_eq!(tenant.place("c"), Some(1));
    }
}
