//! Asking a host's admin API over its socket.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::Context;
use serde_json::Value;

/// What it answers, in whatever revision of what it is about. An empty body is none.
pub(crate) fn ask(socket: &Path, method: &str, path: &str, body: &str) -> anyhow::Result<Value> {
    let mut api = UnixStream::connect(socket)?;
    write!(
        api,
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nIf-Match: *\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut said = String::new();
    api.read_to_string(&mut said)?;
    let (_, json) = said.split_once("\r\n\r\n").unwrap_or_default();
    serde_json::from_str(json).with_context(|| format!("{method} {path}: {said:?}"))
}
