//! Text that a guest wrote, made fit to be kept: bounded, and without control
//! characters that could forge a line or move a terminal's cursor.

use super::outcome::{LogLevel, LogLine};
use crate::unicode::is_misleading;

/// Lines kept of one decision, as documented in the interface.
const LINES: usize = 32;
/// Bytes kept of one text, as documented in the interface.
const BYTES: usize = 1_000;

/// The lines of one decision.
#[derive(Debug, Default)]
pub(super) struct Log {
    lines: Vec<LogLine>,
    dropped: u64,
}

impl Log {
    /// When all lines are taken, a warning takes the place of the last: the text of a
    /// panic comes at the very end.
    pub(super) fn write(&mut self, level: LogLevel, text: &str) {
        if self.lines.len() >= LINES {
            self.dropped += 1;
            if level != LogLevel::Warn {
                return;
            }
            self.lines.pop();
        }
        let text = kept(text);
        self.lines.push(LogLine { level, text });
    }

    /// The newest line, if it is a warning: after a trap, the text of the panic.
    pub(super) fn last_words(&self) -> Option<&str> {
        let last = self.lines.last()?;
        (last.level == LogLevel::Warn).then_some(last.text.as_str())
    }

    /// The lines, and how many were over the limit.
    pub(super) fn finish(self) -> (Vec<LogLine>, u64) {
        (self.lines, self.dropped)
    }
}

/// What is kept of a text: its beginning, at most [`BYTES`], escapes counted. What is
/// kept of that is the same.
pub(super) fn kept(text: &str) -> String {
    // The usual one, at every decision.
    if text.len() <= BYTES && text.bytes().all(|b| (b' '..=b'~').contains(&b)) {
        return text.to_owned();
    }
    let mut kept = String::with_capacity(text.len().min(BYTES));
    for c in text.chars() {
        let before = kept.len();
        if is_misleading(c) {
            kept.extend(c.escape_default());
        } else {
            kept.push(c);
        }
        if kept.len() > BYTES {
            kept.truncate(before);
            break;
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_and_bounded() {
        for (text, expected) in [
            ("plain, schön", "plain, schön"),
            ("two\r\nlines", "two\\r\\nlines"),
            ("\u{1b}[31m", "\\u{1b}[31m"),
            ("\u{202e}gpj", "\\u{202e}gpj"),
            ("a\u{200b}b\u{feff}", "a\\u{200b}b\\u{feff}"),
        ] {
            assert_eq!(kept(text), expected);
            assert_eq!(kept(&kept(text)), expected, "twice");
        }
        assert_eq!(kept(&"x".repeat(5_000)).len(), BYTES);
        assert_eq!(kept(&"ü".repeat(5_000)).len(), BYTES);
        assert_eq!(kept(&"€".repeat(5_000)).len(), 999, "no half characters");
        assert_eq!(kept(&"\n".repeat(5_000)).len(), BYTES);
    }

    #[test]
    fn lines_over_the_limit_are_counted() {
        let mut log = Log::default();
        for _ in 0..40 {
            log.write(LogLevel::Info, "line");
        }
        assert_eq!(log.last_words(), None);
        log.write(LogLevel::Warn, "the end");
        assert_eq!(log.last_words(), Some("the end"));
        let (lines, dropped) = log.finish();
        assert_eq!((lines.len(), dropped), (32, 9));
    }
}
