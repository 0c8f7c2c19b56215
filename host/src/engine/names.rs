//! Names of functions, which are an upload's words like all others in it: bounded, and
//! without characters that could move a cursor.

use std::fmt::{self, Write};

use super::log::kept;

/// Longest name that is shown, in bytes: generic functions of Rust have names of a page.
const SHOWN: usize = 160;

/// The name of a function as its author wrote it: Rust's are demangled, without their
/// hashes. A longer one is cut.
pub fn demangled(name: &str) -> String {
    let mut shown = Shown(String::new());
    // What is over the limit is not even made: mangled names can be bombs.
    let whole = write!(shown, "{:#}", rustc_demangle::demangle(name));
    let end = if whole.is_err() { "…" } else { "" };
    kept(&(shown.0 + end))
}

/// Takes text up to the limit, and ends whoever writes more.
struct Shown(String);

impl Write for Shown {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            if self.0.len() + character.len_utf8() > SHOWN {
                return Err(fmt::Error);
            }
            self.0.push(character);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_were_written() {
        for (name, expected) in [
            ("_RNvC7weekend6decide", "weekend::decide"),
            ("_ZN7weekend6decide17h0123456789abcdefE", "weekend::decide"),
            ("decide", "decide"),
            ("", ""),
            ("a\nb\u{202e}", "a\\nb\\u{202e}"),
            ("_RNvC7week", "_RNvC7week"),
        ] {
            assert_eq!(demangled(name), expected);
        }
        let long = demangled(&"ä".repeat(1_000));
        assert_eq!(long, "ä".repeat(80) + "…");
    }
}
