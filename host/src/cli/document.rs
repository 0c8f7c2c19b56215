//! Documents of tenants, policies and lists: read from a file or standard input, as TOML
//! or JSON, and shown as TOML that can be read again.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use serde_json::{Map, Number, Value};

use super::rows;

/// The most that a host takes, in bytes: the largest module that one may be set to.
const LIMIT: u64 = 256 << 20;

/// What is in this file; `-` is standard input.
pub(super) fn bytes(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = match path.to_str() {
        Some("-") => io::stdin().lock().take(LIMIT + 1).read_to_end(&mut bytes),
        _ => File::open(path).and_then(|file| file.take(LIMIT + 1).read_to_end(&mut bytes)),
    };
    let read = read.with_context(|| format!("cannot read {}", named(path)))?;
    if read as u64 > LIMIT {
        bail!(
            "{} has more than {LIMIT} bytes, which no host takes",
            named(path)
        );
    }
    Ok(bytes)
}

fn named(path: &Path) -> String {
    match path.to_str() {
        Some("-") => "standard input".to_owned(),
        _ => path.display().to_string(),
    }
}

/// The document in this file.
pub(super) fn object(path: &Path) -> anyhow::Result<Map<String, Value>> {
    Ok(draft(path, "")?.keys)
}

/// A document that somebody may have been shown, and has edited.
pub(super) struct Draft {
    pub(super) keys: Map<String, Value>,
    /// What it was then, if it says so.
    pub(super) seen: Option<Seen>,
}

/// What something was when it was shown.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) revision: i64,
    /// Where that stands.
    place: String,
}

impl Seen {
    /// In the first line of this text from a file, where it is what `show` says of this, such
    /// as `policy partners of tenant acme`, and of nothing else.
    pub(super) fn in_comment(path: &Path, text: &str, of: &str) -> Option<Self> {
        let line = text.lines().next()?.trim_end();
        let line = line.strip_prefix("# ")?.strip_prefix(of)?;
        let revision = line.strip_prefix(", revision ")?;
        Some(Self::new(path, revision.parse().ok()?))
    }

    pub(super) fn new(path: &Path, revision: i64) -> Self {
        Self {
            revision,
            place: named(path),
        }
    }

    /// What to do where it is something else by now.
    pub(super) fn hint(&self) -> String {
        let Self { revision, place } = self;
        format!(
            "{place} has revision {revision}: show what is there now, or name its revision with \
             --if-match to write this in its place"
        )
    }
}

/// The document in this file, and the revision that it says it was shown with as this.
pub(super) fn draft(path: &Path, of: &str) -> anyhow::Result<Draft> {
    let text = String::from_utf8(bytes(path)?);
    let text = text.with_context(|| format!("{} is not UTF-8", named(path)))?;
    Ok(Draft {
        keys: parse(&text).with_context(|| named(path))?,
        seen: Seen::in_comment(path, &text, of),
    })
}

/// Whether it is JSON: no TOML begins with a brace.
pub(super) fn is_json(text: &[u8]) -> bool {
    text.trim_ascii_start().first() == Some(&b'{')
}

fn parse(text: &str) -> anyhow::Result<Map<String, Value>> {
    if is_json(text.as_bytes()) {
        return Ok(serde_json::from_str(text)?);
    }
    let table: toml::Table = text
        .parse()
        .map_err(|error: toml::de::Error| anyhow!("{}", error.to_string().trim_end()))?;
    json_of(table)
}

fn json_of(table: toml::Table) -> anyhow::Result<Map<String, Value>> {
    let entries = table.into_iter();
    entries
        .map(|(key, value)| {
            let value = json(value).with_context(|| key.clone())?;
            Ok((key, value))
        })
        .collect()
}

fn json(value: toml::Value) -> anyhow::Result<Value> {
    Ok(match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(integer) => integer.into(),
        toml::Value::Boolean(boolean) => Value::Bool(boolean),
        toml::Value::Datetime(time) => Value::String(time.to_string()),
        toml::Value::Array(values) => Value::Array(
            values
                .into_iter()
                .map(json)
                .collect::<anyhow::Result<_>>()?,
        ),
        toml::Value::Table(table) => Value::Object(json_of(table)?),
        toml::Value::Float(float) => match Number::from_f64(float) {
            Some(number) => Value::Number(number),
            None => bail!("{float} is no number that a host takes"),
        },
    })
}

/// Shows it as TOML, behind a comment that says what it is.
pub(super) fn show(comment: &str, document: Map<String, Value>) -> anyhow::Result<()> {
    let text = toml(comment, document)?;
    rows::lines(text.lines().map(rows::exact))
}

fn toml(comment: &str, document: Map<String, Value>) -> anyhow::Result<String> {
    let text = toml::to_string_pretty(&without_null(Value::Object(document)))?;
    Ok(format!("# {comment}\n{text}"))
}

/// TOML has none; a key without a value is not there.
fn without_null(value: Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.into_iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(key, value)| (key, without_null(value)))
                .collect(),
        ),
        Value::Array(values) => Value::Array(values.into_iter().map(without_null).collect()),
        value => value,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn toml_and_json_say_the_same() {
        for (text, expected) in [
            ("", json!({})),
            (" {\"a\": 1}\n", json!({ "a": 1 })),
            (
                "a = 1\n[b]\nc = [1.5, true]",
                json!({ "a": 1, "b": { "c": [1.5, true] } }),
            ),
            (
                "valid_from = 2026-12-01T00:00:00+01:00",
                json!({ "valid_from": "2026-12-01T00:00:00+01:00" }),
            ),
        ] {
            let found = parse(text).expect(text);
            assert_eq!(Value::Object(found.clone()), expected, "{text}");
            let shown = toml("as it is", found).expect("TOML");
            let again = parse(&shown).expect("what is shown can be read");
            assert_eq!(Value::Object(again), expected, "{shown}");
        }
    }

    #[test]
    fn a_revision_is_that_of_what_was_shown() {
        let found = |text: &str| {
            let seen = Seen::in_comment(Path::new("p"), text, "policy p of tenant acme");
            seen.map(|seen| seen.revision)
        };
        let shown = toml("policy p of tenant acme, revision 7", Map::new()).expect("TOML");
        assert_eq!(found(&shown), Some(7));
        assert_eq!(
            found("# policy p of tenant acme, revision 7\r\nx = 1"),
            Some(7)
        );
        for other in [
            "",
            "option = \"default\"",
            "# policy pp of tenant acme, revision 7",
            "# policy p of tenant acme2, revision 7",
            "# policy p of tenant acme, revision 7 or 8",
            "# policy p of tenant acme",
            "\n# policy p of tenant acme, revision 7",
        ] {
            assert_eq!(found(other), None, "{other:?}");
        }
    }

    #[test]
    fn what_is_neither_is_said_by_its_place() {
        for (text, said) in [
            ("a = ", "line 1, column 5"),
            ("{\"a\": }", "line 1 column 7"),
            ("a = nan", "a: NaN is no number"),
            ("{} x", "trailing characters"),
        ] {
            let error = format!("{:#}", parse(text).expect_err(text));
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
