//! Whom the process belongs to: `[process]`.
//!
//! Whether there is such a user is asked by whoever loads the configuration: here
//! nothing but files is read.

use super::reader::{Table, Value};
use super::{Located, ProcessConfig};

/// What the system allows in names that are looked up.
const MAX_NAME: usize = 255;

pub(super) fn process(table: &Table<'_>) -> ProcessConfig {
    let named = |key| table.get(key).and_then(|value| name(&value));
    let config = ProcessConfig {
        user: named("user"),
        group: named("group"),
    };
    if config.group.is_some() && table.get("user").is_none() {
        table.report("group", "a group needs a user beside it: set user, too");
    }
    config
}

fn name(value: &Value<'_>) -> Option<Located<String>> {
    let text = value.text()?;
    if text.is_empty() || text.len() > MAX_NAME || text.contains('\0') {
        value.fault(format_args!("{text:?} is not a name"));
        return None;
    }
    Some(value.located(text.to_owned()))
}
