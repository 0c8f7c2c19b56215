use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use super::*;

/// Keeps what is written.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl io::Write for Kept {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Kept {
    fn text(&self) -> String {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&kept).into_owned()
    }
}

/// Does something hostile in either format, and gives what was logged.
fn logged(format: Format) -> String {
    const HOSTILE: &str = "a\n2026-01-01 ERROR forged\u{1b}[31m\u{202e}b\"\u{7f}\u{200b}";
    let kept = Kept::default();
    let writer = kept.clone();
    let make = move || writer.clone();
    let filter = Filter::new(Level::Info.targets());
    let act = || {
        let session = tracing::error_span!("session", session.id = 7, client.addr = %HOSTILE);
        let _in = session.enter();
        let recipient = tracing::info_span!("recipient", tenant.id = HOSTILE);
        let _in = recipient.enter();
        tracing::info!(reply = HOSTILE, shown = %HOSTILE, debug = ?HOSTILE, "said {HOSTILE}");
        tracing::debug!("not at this level");
        tracing::info!(target: "rustls", "not of this program");
    };
    match format {
        Format::Text => {
            tracing::subscriber::with_default(text::subscriber(filter, make, false), act);
        }
        Format::Json => tracing::subscriber::with_default(json::subscriber(filter, make), act),
    }
    kept.text()
}

#[test]
fn nothing_forges_a_line_or_moves_a_cursor() {
    for format in [Format::Text, Format::Json] {
        let log = logged(format);
        let line = log.strip_suffix('\n').expect("a line");
        let misleads = line.chars().find(|c| crate::unicode::is_misleading(*c));
        assert_eq!(misleads, None, "in {log:?}");
        assert!(line.contains("forged"), "{log}");
    }
}

#[test]
fn a_line_of_text_has_the_fields_of_its_spans() {
    let log = logged(Format::Text);
    for part in [
        " INFO session{session.id=7 client.addr=a\\n2026-01-01 ERROR forged\\u{1b}[31m\\u{202e}b",
        "recipient{tenant.id=\"a\\n",
        "said a\\n2026",
        " shown=a\\n2026",
    ] {
        assert!(log.contains(part), "{part:?} in {log}");
    }
}

/// Whether they go to a terminal or not, lines are the same but for the colours.
#[test]
fn a_line_of_text_is_as_the_library_writes_it() {
    let act = || {
        tracing::warn!("in no span");
        let outer = tracing::error_span!("outer", text = "a \"b\" c", none = None::<u8>, n = 7);
        let _in = outer.enter();
        tracing::error!(yes = true, shown = %"x y", debug = ?Some("z"), "it is {}", "said");
        let empty = tracing::info_span!("empty");
        let _in = empty.enter();
        tracing::info!(only = 1.5);
        tracing::debug!("not at this level");
    };
    let lines = |colour| {
        let kept = Kept::default();
        let writer = kept.clone();
        let make = move || writer.clone();
        let filter = Filter::new(Level::Info.targets());
        let subscriber = text::subscriber(filter, make, colour);
        tracing::subscriber::with_default(subscriber, act);
        let text = without_colours(&kept.text());
        let lines = text.lines().map(|line| {
            let (time, rest) = line.split_once(' ').expect("the time first");
            assert!(time.ends_with('Z'), "{line}");
            rest.to_owned()
        });
        lines.collect::<Vec<_>>()
    };
    let plain = lines(false);
    assert_eq!(plain.len(), 3, "{plain:#?}");
    assert_eq!(plain, lines(true));
}

/// Without the sequences that begin with an escape and end with an `m`.
fn without_colours(text: &str) -> String {
    let mut pieces = text.split('\u{1b}');
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |plain, piece| {
        plain + piece.split_once('m').map_or("", |(_, rest)| rest)
    })
}

#[test]
fn a_line_of_json_is_one_flat_object_with_the_true_texts() {
    let log = logged(Format::Json);
    let line: Value = serde_json::from_str(&log).expect("JSON");
    let hostile = "a\n2026-01-01 ERROR forged\u{1b}[31m\u{202e}b\"\u{7f}\u{200b}";
    assert_eq!(line["session.id"], 7);
    for field in ["client.addr", "tenant.id", "reply", "shown"] {
        assert_eq!(line[field], hostile, "{field}");
    }
    assert_eq!(line["message"], format!("said {hostile}"));
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["target"], module_path!());
    assert!(
        line["timestamp"]
            .as_str()
            .is_some_and(|at| at.ends_with('Z'))
    );
}

/// The page has every line that is there to be read, and no other.
#[test]
fn every_line_from_info_on_is_documented() {
    let mut logged = Vec::new();
    lines_of(
        &std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut logged,
    );
    let page = include_str!("../../../docs/logs.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let mut documented: Vec<(String, String)> = rows
        .filter_map(|row| {
            let (message, rest) = row.split_once("` |")?;
            let level = rest.split('|').next()?.trim();
            // The other table is of fields.
            let is_level = ["error", "warn", "info"].contains(&level);
            is_level.then(|| (message.to_owned(), level.to_owned()))
        })
        .collect();
    for list in [&mut logged, &mut documented] {
        list.sort();
        list.dedup();
    }
    assert!(logged.len() > 20, "the sources were read: {logged:#?}");
    assert_eq!(logged, documented);
}

/// Message and level of every tracing macro in the sources below a directory.
fn lines_of(directory: &std::path::Path, found: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(directory).expect("the sources") {
        let path = entry.expect("an entry").path();
        let is_test = path.to_string_lossy().contains("tests");
        if path.is_dir() {
            lines_of(&path, found);
        } else if !is_test && path.extension().is_some_and(|extension| extension == "rs") {
            let source = std::fs::read_to_string(&path).expect("a source");
            for level in ["error", "warn", "info"] {
                for call in source.split(&format!("tracing::{level}!(")).skip(1) {
                    found.push((message(call), level.to_owned()));
                }
            }
        }
    }
}

/// The last text of a macro's arguments: before the parenthesis that ends them.
fn message(call: &str) -> String {
    let mut depth = 1;
    let mut text = None;
    let mut quoted: Option<String> = None;
    for character in call.chars() {
        match (&mut quoted, character) {
            (Some(inside), '"') => {
                text = Some(std::mem::take(inside));
                quoted = None;
            }
            (Some(inside), other) => inside.push(other),
            (None, '"') => quoted = Some(String::new()),
            (None, '(') => depth += 1,
            (None, ')') if depth == 1 => break,
            (None, ')') => depth -= 1,
            (None, _) => {}
        }
    }
    text.unwrap_or_default()
}

#[test]
fn the_level_changes_while_the_log_runs() {
    let (kept, filter) = (Kept::default(), Filter::new(Level::Warn.targets()));
    let writer = kept.clone();
    let act = || {
        for level in [Level::Warn, Level::Debug, Level::Error, Level::Info] {
            filter.set(level.targets());
            tracing::debug!("debug at {level:?}");
            tracing::info!("info at {level:?}");
            tracing::warn!("warn at {level:?}");
            tracing::warn!(target: "hickory_net", "of a library at {level:?}");
        }
    };
    let subscriber = text::subscriber(filter.clone(), move || writer.clone(), false);
    tracing::subscriber::with_default(subscriber, act);
    let text = kept.text();
    let lines: Vec<&str> = text
        .lines()
        .filter_map(|line| line.split_once("tests: "))
        .map(|(_, line)| line)
        .collect();
    let expected = [
        "warn at Warn",
        "debug at Debug",
        "info at Debug",
        "warn at Debug",
        "info at Info",
        "warn at Info",
    ];
    assert_eq!(lines, expected, "{text}");
}

#[test]
fn a_level_that_is_misspelt_silences_nothing() {
    for (text, sound) in [
        ("debug", true),
        ("WARN,portcullis::engine=debug", true),
        ("portcullis", true),
        ("portcullis=trace", true),
        ("wran", false),
        ("info,wran", false),
        ("", false),
        ("portcullis=verbose", false),
        ("portcullis=", false),
        ("[session]=debug", false),
    ] {
        assert_eq!(super::directives(text).is_ok(), sound, "{text:?}");
    }
    let spaced = super::directives(" warn , portcullis::engine=debug ").expect("it is sound");
    assert!(spaced.would_enable("portcullis::engine", &tracing::Level::DEBUG));
    assert!(spaced.would_enable("rustls", &tracing::Level::WARN));
}
