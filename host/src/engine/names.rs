//! Names of functions: what a module keeps of them, and how they are shown.
//!
//! A trap without them is a number. They are an upload's words like all others in it:
//! bounded, read here and written anew before any tool sees them, and shown without
//! characters that could move a cursor. **A name section refuses nothing**: one that is
//! broken, or too large, is as good as none.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use wasmparser::{CustomSectionReader, KnownCustom, Name};

use super::log::kept;
use super::scan::write_length;

/// The custom section that has names (WebAssembly's core specification, appendix).
pub(super) const SECTION: &str = "name";
/// Its part that has those of functions.
const FUNCTIONS: u8 = 1;
/// Most that a module keeps of names, in bytes: an unoptimised build of a policy has two
/// hundred thousand, an embedded interpreter half a million.
pub(super) const KEPT: usize = 1 << 20;
/// Longest name that is shown, in bytes: generic functions of Rust have names of a page.
const SHOWN: usize = 160;

/// What is kept of a name section, written anew: the names of functions, if all of them
/// can be read and they come to no more bytes than this.
pub(super) fn functions(section: &CustomSectionReader<'_>, most: usize) -> Option<Vec<u8>> {
    let names = read(section)?;
    let mut map = Vec::new();
    write_length(names.len(), &mut map);
    for (index, name) in names {
        write_length(index as usize, &mut map);
        write_text(name, &mut map);
        if map.len() > most {
            return None;
        }
    }
    let mut content = Vec::new();
    write_text(SECTION, &mut content);
    content.push(FUNCTIONS);
    write_length(map.len(), &mut content);
    content.extend(map);
    (content.len() <= most).then_some(content)
}

fn read<'a>(section: &CustomSectionReader<'a>) -> Option<BTreeMap<u32, &'a str>> {
    let KnownCustom::Name(parts) = section.as_known() else {
        return None;
    };
    for part in parts {
        if let Name::Function(map) = part.ok()? {
            let names = map.into_iter().map(|naming| {
                let naming = naming.ok()?;
                Some((naming.index, naming.name))
            });
            return names.collect();
        }
    }
    None
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    write_length(text.len(), out);
    out.extend_from_slice(text.as_bytes());
}

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
