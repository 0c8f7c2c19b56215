//! What there are many of: a table for people, a line of JSON each for programs.

use std::fmt;
use std::io::{self, IsTerminal, Write};

use anyhow::Context;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::columns;
use crate::receipt::timestamp;
use crate::unicode;

/// Shows these, read as what they are for the table.
pub(super) fn show<T: DeserializeOwned, const N: usize>(
    items: &[Value],
    json: bool,
    head: [&str; N],
    row: impl Fn(T) -> [String; N],
) -> anyhow::Result<()> {
    if json {
        return lines(items.iter().map(Value::to_string));
    }
    let rows: Vec<_> = read(items)?.into_iter().map(row).collect();
    table(head, &rows)
}

/// Shows rows that are read already.
pub(super) fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> anyhow::Result<()> {
    // What is escaped is as wide as it looks.
    let shown: Vec<_> = rows
        .iter()
        .map(|row| row.each_ref().map(|cell| unicode::shown(cell)))
        .collect();
    lines(columns::lines(head, &shown))
}

/// Reads items as what they are.
pub(super) fn read<T: DeserializeOwned>(items: &[Value]) -> anyhow::Result<Vec<T>> {
    let read = items.iter().map(T::deserialize);
    let read: Result<Vec<T>, _> = read.collect();
    read.context("what the host tells is not of this version")
}

/// Writes lines to standard output.
pub(super) fn lines(lines: impl IntoIterator<Item = String>) -> anyhow::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    for line in lines {
        writeln!(out, "{line}")?;
    }
    out.flush().context("standard output")
}

/// Whether what was written was read does not matter: what was found holds all the same, and
/// the exit code says it. A reader that has seen enough, such as `head`, is no failure.
pub(super) fn read_or_not(written: anyhow::Result<()>) -> anyhow::Result<()> {
    match written {
        Err(error) if is_broken_pipe(&error) => Ok(()),
        written => written,
    }
}

/// Whether whoever was to read it has gone.
pub(super) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

/// A line on standard error, beside what is asked for. Whoever does not read it misses it.
pub(super) fn aside(line: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// A line that may be read again: as it is, but for people.
pub(super) fn exact(line: &str) -> String {
    match io::stdout().is_terminal() {
        true => unicode::shown(line),
        false => line.to_owned(),
    }
}

/// A time, in seconds since 1970.
pub(super) fn time(seconds: i64) -> String {
    timestamp(u64::try_from(seconds).unwrap_or(0))
}
