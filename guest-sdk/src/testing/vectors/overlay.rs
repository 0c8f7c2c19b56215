//! A case's facts laid over those of the file: tables within one another, everything else
//! in the place of what was there.

use toml::de::{DeTable, DeValue};

pub(super) fn overlay<'a>(under: &DeTable<'a>, over: &DeTable<'a>) -> DeTable<'a> {
    let mut laid = under.clone();
    for (key, value) in over {
        let both = match (under.get(key), value.get_ref()) {
            (Some(below), DeValue::Table(above)) => below
                .get_ref()
                .as_table()
                .map(|below| overlay(below, above)),
            _ => None,
        };
        let mut value = value.clone();
        if let Some(both) = both {
            *value.get_mut() = DeValue::Table(both);
        }
        // The key goes too, since it says on which line the value is.
        laid.remove(key);
        laid.insert(key.clone(), value);
    }
    laid
}
