//! What a policy is given beside facts: its settings, and the tenant's lists.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value as Json};
use toml::de::DeValue;

use super::facts::is_name;
use super::faults::hint;
use super::reader::{Table, Value};

/// A tenant's lists by name.
pub(super) type Lists = BTreeMap<String, BTreeMap<String, String>>;

/// Settings as the host hands them to a policy; without them, an empty object.
pub(super) fn settings(value: Option<&Value<'_>>) -> Json {
    let empty = Json::Object(Map::new());
    let Some(value) = value else {
        return empty;
    };
    value
        .table()
        .and_then(|table| object(&table))
        .unwrap_or(empty)
}

fn object(table: &Table<'_>) -> Option<Json> {
    let read: Vec<Option<(String, Json)>> = table
        .values()
        .map(|(key, value)| Some((key.to_owned(), json(&value)?)))
        .collect();
    let entries: Option<Map<String, Json>> = read.into_iter().collect();
    entries.map(Json::Object)
}

fn json(value: &Value<'_>) -> Option<Json> {
    match value.node() {
        DeValue::String(text) => Some(Json::String(text.as_ref().to_owned())),
        DeValue::Integer(integer) => {
            let (digits, radix) = (integer.as_str(), integer.radix());
            let number = i64::from_str_radix(digits, radix)
                .map(Number::from)
                .or_else(|_| u64::from_str_radix(digits, radix).map(Number::from));
            value
                .expected(number.ok(), "a number of at most 64 bits")
                .map(Json::Number)
        }
        DeValue::Float(float) => {
            let number = float.as_str().parse().ok().and_then(Number::from_f64);
            value
                .expected(number, "a number that JSON can say")
                .map(Json::Number)
        }
        DeValue::Boolean(value) => Some(Json::Bool(*value)),
        DeValue::Datetime(time) => Some(Json::String(time.to_string())),
        DeValue::Array(_) => value.each(json).map(Json::Array),
        DeValue::Table(_) => object(&value.table()?),
    }
}

/// The lists of the file.
pub(super) fn lists(value: Option<&Value<'_>>) -> Lists {
    let mut lists = Lists::new();
    lay_lists(value, &mut lists);
    lists
}

/// Puts each of these lists in the place of what had its name; `false` takes it away.
pub(super) fn lay_lists(value: Option<&Value<'_>>, lists: &mut Lists) {
    let Some(table) = value.and_then(Value::table) else {
        return;
    };
    for (name, value) in table.values() {
        if !is_name(name) {
            value.fault("not the name of a list: use 1 to 63 of a-z, 0-9 and '-'");
        } else if value.is_absent() {
            if lists.remove(name).is_none() {
                let known = lists.keys().map(String::as_str);
                value.fault(format_args!("there is no such list{}", hint(name, known)));
            }
        } else if let Some(entries) = list(&value) {
            lists.insert(name.to_owned(), entries);
        }
    }
}

/// A set or a map, as in a tenant's file.
fn list(value: &Value<'_>) -> Option<BTreeMap<String, String>> {
    let table = value.table()?;
    table.only(&["entries"]);
    let entries = table.required("entries")?;
    if entries.node().is_array() {
        return entries.each(|key| Some((key.owned()?, String::new())));
    }
    entries.expected(
        entries.node().as_table(),
        "an array of keys, or a table of keys and values",
    )?;
    let read: Vec<Option<(String, String)>> = entries
        .table()?
        .values()
        .map(|(key, value)| Some((key.to_owned(), value.owned()?)))
        .collect();
    read.into_iter().collect()
}
