//! What differs between two versions of a tenant: shown before it is done, and kept in
//! the audit afterwards. Pure.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde_json::{Value as Json, json};

use crate::address::Domain;
use crate::config::{Object, TenantDocument};
use crate::digest::Digest;
use crate::facts::TenantId;
use crate::lists::List;

/// Largest value that the audit keeps whole, in octets of JSON: nothing of it is ever
/// removed.
const KEPT: usize = 16 << 10;

/// Longest value that is shown in a line, in characters.
const SHOWN: usize = 60;

/// A tenant and its revision in the store.
#[derive(Clone, Debug)]
pub struct Kept {
    /// What it is.
    pub document: Arc<TenantDocument>,
    /// Counts its changes, from one.
    pub revision: i64,
}

/// What becomes of one tenant. There is always a before or an after.
#[derive(Clone, Debug)]
pub struct Edit {
    id: TenantId,
    /// As it was; none where there was no such tenant.
    pub before: Option<Kept>,
    /// As it will be; none where there will be none.
    pub after: Option<Arc<TenantDocument>>,
    /// What differs.
    pub changes: Vec<Change>,
}

/// What a change is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// The tenant itself.
    Tenant,
    /// A key of it.
    Key(String),
    /// A list.
    List(String),
    /// A module.
    Module(String),
    /// A policy.
    Policy(String),
}

/// One difference.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Of what.
    pub what: Subject,
    /// What it was; none where it is new. Lists, modules and PEM texts by
    /// their digests.
    pub was: Option<Json>,
    /// What it is now; none where it is gone.
    pub became: Option<Json>,
    /// The entries that a list gained and lost.
    pub entries: Option<(usize, usize)>,
}

impl Edit {
    /// From the one to the other; none where nothing differs.
    pub fn new(before: Option<Kept>, after: Option<Arc<TenantDocument>>) -> Option<Self> {
        let id = match (&before, &after) {
            (_, Some(after)) => after.id.clone(),
            (Some(before), None) => before.document.id.clone(),
            (None, None) => return None,
        };
        let old = before.as_ref().map(|before| &*before.document);
        let changes = difference(old, after.as_deref());
        (!changes.is_empty()).then_some(Self {
            id,
            before,
            after,
            changes,
        })
    }

    /// The tenant.
    pub fn id(&self) -> &TenantId {
        &self.id
    }

    /// What tells these edits from all others: on which revision each is founded, and what
    /// becomes of it.
    pub fn plan(edits: &[Self]) -> Digest {
        let line = |edit: &Self| {
            let before = edit.before.as_ref().map(|before| before.revision);
            let after = edit.after.as_ref().map(|after| after.digest().to_string());
            format!("{} {before:?} {after:?}\n", edit.id)
        };
        let lines: String = edits.iter().map(line).collect();
        Digest::of(lines.as_bytes())
    }
}

/// Everything that differs. What a new tenant has is new, and what one had that is
/// removed is gone.
fn difference(before: Option<&TenantDocument>, after: Option<&TenantDocument>) -> Vec<Change> {
    let (mut old, mut new) = (parts(before), parts(after));
    same_order(&mut old, &mut new);
    let subjects: BTreeSet<&Subject> = old.iter().chain(&new).map(|(what, _)| what).collect();
    let mut changes: Vec<Change> = subjects
        .into_iter()
        .filter_map(|what| Change::of(what, value(&old, what), value(&new, what)))
        .collect();
    for change in &mut changes {
        if let Subject::List(name) = &change.what {
            change.entries = Some(entries(list(before, name), list(after, name)));
        }
    }
    changes
}

type Parts = Vec<(Subject, Json)>;

/// What orders are called among the keys of a tenant.
const ORDERS: [&str; 2] = ["order of policies", "order of modules"];

/// A document as values that are compared one by one. The places of modules and
/// policies are part of it: which of two policies applies may depend on them.
fn parts(document: Option<&TenantDocument>) -> Parts {
    let Some(document) = document else {
        return Vec::new();
    };
    let domains: Vec<&str> = document.domains.iter().map(Domain::as_str).collect();
    let mut parts = vec![(Subject::Tenant, json!(document.id))];
    let mut key = |key: &str, value: Json| parts.push((Subject::Key(key.to_owned()), value));
    key("domains", json!(domains));
    for (name, value) in document.operator.iter().chain(&document.own) {
        let mut value = value.clone();
        shorten(name, &mut value);
        key(name, value);
    }
    let policies = document.policies.iter().map(name_of).collect::<Vec<_>>();
    let modules = document.modules.iter().map(|m| m.name.as_str()).collect();
    let orders = ORDERS.into_iter().zip([policies, modules]);
    for (name, order) in orders.filter(|(_, order)| order.len() > 1) {
        key(name, json!(order));
    }
    for (name, list) in document.lists.iter() {
        let value = json!({ "digest": list.digest(), "entries": list.len() });
        parts.push((Subject::List(name.to_owned()), value));
    }
    for module in &document.modules {
        let value = json!({ "digest": module.digest() });
        parts.push((Subject::Module(module.name.to_string()), value));
    }
    for policy in &document.policies {
        let name = Subject::Policy(name_of(policy).to_owned());
        parts.push((name, Json::Object(policy.clone())));
    }
    parts
}

/// An order differs where what both have is in another order. That something is new, or is
/// gone, is said of that itself.
fn same_order(old: &mut Parts, new: &mut Parts) {
    for key in ORDERS {
        let subject = Subject::Key(key.to_owned());
        let order = |parts: &Parts| {
            let names = value(parts, &subject).and_then(Json::as_array);
            names.cloned().unwrap_or_default()
        };
        let (was, became) = (order(old), order(new));
        let both = |one: &[Json], other: &[Json]| -> Vec<Json> {
            let both = one.iter().filter(|name| other.contains(name));
            both.cloned().collect()
        };
        if both(&was, &became) == both(&became, &was) {
            old.retain(|(what, _)| *what != subject);
            new.retain(|(what, _)| *what != subject);
        }
    }
}

/// As it is, or only which it is.
fn kept(value: &Json) -> Json {
    let text = value.to_string();
    match text.len() {
        0..=KEPT => value.clone(),
        octets => json!({ "digest": Digest::of(text.as_bytes()), "octets": octets }),
    }
}

/// Puts digests in place of PEM texts: revocation lists have megabytes and are others every
/// hour, and the audit keeps all that ever was.
fn shorten(key: &str, value: &mut Json) {
    let shorten_all = |texts: Option<&mut Json>| {
        let texts = texts.and_then(Json::as_array_mut);
        for text in texts.into_iter().flatten() {
            if let Some(pem) = text.as_str() {
                *text = json!({ "digest": Digest::of(pem.as_bytes()) });
            }
        }
    };
    match key {
        "trust" => {
            for key in ["anchors", "crls"] {
                shorten_all(value.get_mut(key));
            }
        }
        "targets" => {
            let targets = value.as_object_mut().into_iter().flatten();
            for (_, target) in targets {
                shorten_all(target.get_mut("anchors"));
            }
        }
        _ => {}
    }
}

fn value<'a>(parts: &'a Parts, what: &Subject) -> Option<&'a Json> {
    let found = parts.iter().find(|(subject, _)| subject == what);
    found.map(|(_, value)| value)
}

fn list<'a>(document: Option<&'a TenantDocument>, name: &str) -> Option<&'a Arc<List>> {
    document?.lists.get(name)
}

/// How many entries are new or have another value, and how many are gone.
fn entries(before: Option<&Arc<List>>, after: Option<&Arc<List>>) -> (usize, usize) {
    let has = |list: Option<&Arc<List>>, key: &str, value: &str| {
        list.is_some_and(|list| list.get(key) == Some(value))
    };
    let gained = after.into_iter().flat_map(|list| list.entries());
    let lost = before.into_iter().flat_map(|list| list.entries());
    (
        gained
            .filter(|(key, value)| !has(before, key, value))
            .count(),
        lost.filter(|(key, _)| after.is_none_or(|list| list.get(key).is_none()))
            .count(),
    )
}

/// The name in a policy's document, which every one that was read without a fault has.
pub(super) fn name_of(policy: &Object) -> &str {
    policy
        .get("name")
        .and_then(Json::as_str)
        .unwrap_or_default()
}

/// A list as it is kept: an object of JSON, keys sorted.
pub(super) fn list_content(list: &List) -> String {
    let entries = list.entries();
    let entries: Object = entries
        .map(|(key, value)| (key.to_owned(), value.into()))
        .collect();
    Json::Object(entries).to_string()
}

impl Change {
    fn of(what: &Subject, was: Option<&Json>, became: Option<&Json>) -> Option<Self> {
        (was != became).then(|| Self {
            what: what.clone(),
            was: was.map(kept),
            became: became.map(kept),
            entries: None,
        })
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tenant => f.write_str("tenant"),
            Self::Key(key) => f.write_str(key),
            Self::List(name) => write!(f, "list {name}"),
            Self::Module(name) => write!(f, "module {name}"),
            Self::Policy(name) => write!(f, "policy {name}"),
        }
    }
}

impl Edit {
    /// A line for each change; one for a tenant that is new or gone.
    pub fn lines(&self) -> Vec<String> {
        let of_all = |change: &&Change| change.what == Subject::Tenant;
        let whole = self.changes.iter().find(of_all);
        let shown = self
            .changes
            .iter()
            .filter(|change| whole.is_none_or(|whole| whole == *change));
        shown
            .map(|change| Line::of(&self.id, change).to_string())
            .collect()
    }
}

/// A change as people read it: `~ tenant acme: policy partners: option "opportunistic" →
/// "enforced"`.
pub(super) struct Line<'a> {
    pub(super) tenant: &'a str,
    pub(super) what: String,
    pub(super) was: Option<&'a Json>,
    pub(super) became: Option<&'a Json>,
    pub(super) entries: Option<(usize, usize)>,
}

impl<'a> Line<'a> {
    fn of(tenant: &'a TenantId, change: &'a Change) -> Self {
        Self {
            tenant: tenant.as_str(),
            what: change.what.to_string(),
            was: change.was.as_ref(),
            became: change.became.as_ref(),
            entries: change.entries,
        }
    }
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match (self.was, self.became) {
            (None, _) => '+',
            (_, None) => '-',
            _ => '~',
        };
        match self.tenant {
            // What is the operators'.
            "" => write!(f, "{sign} {}", self.what)?,
            tenant if self.what == Subject::Tenant.to_string() => {
                return write!(f, "{sign} tenant {tenant}");
            }
            tenant => write!(f, "{sign} tenant {tenant}: {}", self.what)?,
        }
        if let Some((gained, lost)) = self.entries {
            return write!(f, ": {gained} entries new or changed, {lost} removed");
        }
        match (self.was, self.became) {
            (Some(Json::Object(was)), Some(Json::Object(became))) => parts_of(f, was, became),
            (Some(was), Some(became)) => {
                write!(f, ": {} → {}", Shown(Some(was)), Shown(Some(became)))
            }
            _ => Ok(()),
        }
    }
}

/// The keys that differ.
fn parts_of(f: &mut fmt::Formatter<'_>, was: &Object, became: &Object) -> fmt::Result {
    let keys: BTreeSet<&String> = was.keys().chain(became.keys()).collect();
    let differ = keys
        .into_iter()
        .filter(|key| was.get(*key) != became.get(*key));
    for (index, key) in differ.enumerate() {
        let (was, became) = (Shown(was.get(key)), Shown(became.get(key)));
        let before = if index == 0 { ": " } else { ", " };
        write!(f, "{before}{key} {was} → {became}")?;
    }
    Ok(())
}

/// The beginning of a value.
struct Shown<'a>(Option<&'a Json>);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(value) = self.0 else {
            return f.write_str("(none)");
        };
        let text = value.to_string();
        match text.char_indices().nth(SHOWN) {
            Some((end, _)) => write!(f, "{}…", &text[..end]),
            None => f.write_str(&text),
        }
    }
}
