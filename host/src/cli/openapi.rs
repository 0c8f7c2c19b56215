//! `portcullis openapi`.

use std::io::{self, Write};

use anyhow::Context;

/// Prints the description of the admin API, as a running host serves it.
pub(super) fn openapi() -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(&crate::admin::description())?;
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").context("standard output")
}
