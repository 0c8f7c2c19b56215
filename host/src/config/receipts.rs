//! `[receipts]`: where receipts are kept, and for how long.

use super::keys;
use super::reader::Table;

/// Where receipts are kept, and for how long; in one place at least.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptsConfig {
    /// In the store, where they are looked for.
    pub store: bool,
    /// In day files of JSON lines.
    pub files: bool,
    /// For so many days, at least one; a tenant may have another number.
    pub keep_days: u32,
}

pub(super) fn receipts(table: &Table<'_>) -> Option<ReceiptsConfig> {
    let store = table.boolean("store", true);
    let files = table.boolean("files", false);
    if !store && !files {
        table.report(
            "store",
            "receipts have to be kept somewhere: set files = true, or leave store out",
        );
    }
    Some(ReceiptsConfig {
        store,
        files,
        keep_days: u32::try_from(table.number(&keys::KEEP_DAYS)).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::Files;

    #[test]
    fn receipts_are_kept_somewhere() {
        for (text, expected) in [
            ("", Ok((true, false))),
            ("files = true", Ok((true, true))),
            ("store = false\nfiles = true", Ok((false, true))),
            (
                "store = false",
                Err("receipts.store: receipts have to be kept somewhere"),
            ),
        ] {
            let files = Files::new();
            files.write("portcullis.toml", format!("[receipts]\n{text}\n"));
            let read = files
                .read()
                .map(|config| (config.receipts.store, config.receipts.files));
            match (read, expected) {
                (Err(found), Err(expected)) => assert!(found.contains(expected), "{found}"),
                (found, expected) => assert_eq!(found, expected.map_err(str::to_owned)),
            }
        }
    }
}
