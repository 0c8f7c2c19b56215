//! Settings of a policy: TOML as written, JSON as the module gets it.

use std::collections::BTreeMap;
use std::fmt::Display;

use serde_json::{Map, Number, Value as Json};
use toml::de::{DeFloat, DeInteger, DeValue};

use super::fault::{Fault, Position};
use super::keys;
use super::reader::{Table, Value, joined, shown};

/// The settings of one policy, and where each of them is written.
#[derive(Clone, Debug)]
pub struct Settings {
    /// As the module gets them: an object.
    pub value: Json,
    /// Where they begin.
    pub at: Position,
    /// Where their parts are, by JSON Pointer (RFC 6901).
    places: BTreeMap<String, Position>,
}

impl Settings {
    /// None, at this policy.
    pub(super) fn empty(policy: &Position) -> Self {
        Self {
            value: Json::Object(Map::new()),
            at: Position {
                key: joined(&policy.key, "settings"),
                ..policy.clone()
            },
            places: BTreeMap::new(),
        }
    }

    /// Those of a policy; `None` has been reported.
    pub(super) fn read(value: &Value<'_>) -> Option<Self> {
        // A schema of settings describes an object.
        let table = value.open(&keys::SETTINGS)?;
        let mut places = BTreeMap::new();
        let json = object(&table, "", &mut places);
        Some(Self {
            value: json?,
            at: value.at(),
            places,
        })
    }

    /// A fault that the module found at this JSON Pointer: reported at that key, or at
    /// the nearest one around it that is written.
    pub fn fault(&self, pointer: &str, message: &str) -> Fault {
        let mut around = pointer;
        while !around.is_empty() {
            if let Some(at) = self.places.get(around) {
                return at.fault(message);
            }
            around = &around[..around.rfind('/').unwrap_or(0)];
        }
        self.at.fault(message)
    }
}

type Places = BTreeMap<String, Position>;

/// Goes on after a fault, so that all of them are reported.
fn object(table: &Table<'_>, pointer: &str, places: &mut Places) -> Option<Json> {
    let entries: Vec<(String, Option<Json>)> = table
        .entries()
        .map(|(key, value)| {
            let escaped = key.replace('~', "~0").replace('/', "~1");
            let json = json(&value, format!("{pointer}/{escaped}"), places);
            (key.to_owned(), json)
        })
        .collect();
    let members = entries
        .into_iter()
        .map(|(key, json)| Some((key, json?)))
        .collect::<Option<_>>();
    members.map(Json::Object)
}

fn array(value: &Value<'_>, pointer: &str, places: &mut Places) -> Option<Json> {
    let elements = value.elements();
    let converted: Vec<Option<Json>> = elements
        .iter()
        .enumerate()
        .map(|(index, element)| json(element, format!("{pointer}/{index}"), places))
        .collect();
    converted
        .into_iter()
        .collect::<Option<_>>()
        .map(Json::Array)
}

fn json(value: &Value<'_>, pointer: String, places: &mut Places) -> Option<Json> {
    let json = match value.node() {
        DeValue::String(text) => Some(Json::from(text.as_ref())),
        DeValue::Boolean(boolean) => Some(Json::Bool(*boolean)),
        DeValue::Datetime(time) => Some(Json::String(time.to_string())),
        DeValue::Integer(integer) => number(value, whole(integer), integer),
        DeValue::Float(float) => number(value, finite(float), float),
        DeValue::Array(_) => array(value, &pointer, places),
        DeValue::Table(_) => object(&value.open(&keys::SETTINGS)?, &pointer, places),
    };
    places.insert(pointer, value.at());
    json
}

fn number(value: &Value<'_>, number: Option<Number>, text: &impl Display) -> Option<Json> {
    if number.is_none() {
        value.fault(format_args!(
            "{} is no number that JSON can carry: use one within 64 bits, or a text",
            shown(&text.to_string())
        ));
    }
    number.map(Json::Number)
}

pub(super) fn whole(integer: &DeInteger<'_>) -> Option<Number> {
    i64::from_str_radix(integer.as_str(), integer.radix())
        .ok()
        .map(Number::from)
}

/// JSON has neither infinity nor NaN.
pub(super) fn finite(float: &DeFloat<'_>) -> Option<Number> {
    float.as_str().parse().ok().and_then(Number::from_f64)
}
