//! The header section of a message, field by field.
//!
//! Nothing here judges: what is no field is passed over, and the section ends where it
//! is empty, whatever stands in it before.

use std::ops::Range;

/// Whether the first line would continue the field before it: there is no header section.
pub fn is_headless(front: &[u8]) -> bool {
    matches!(front.first(), Some(b' ' | b'\t'))
}

/// Where the fields stand in the front of a message, in order, folded lines and CRLFs
/// included.
pub fn fields(front: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    let headless = is_headless(front);
    std::iter::from_fn(move || {
        if headless {
            return None;
        }
        let start = at;
        at += field_length(&front[start..])?;
        Some(start..at)
    })
}

/// A field's name; white space before the colon is obsolete and still read.
pub fn name(field: &[u8]) -> Option<&[u8]> {
    let colon = memchr::memchr(b':', field)?;
    Some(field[..colon].trim_ascii_end())
}

/// The length of the field at the front, folded lines and CRLFs included; none at the
/// end of the header section.
fn field_length(content: &[u8]) -> Option<usize> {
    if content.is_empty() || content.starts_with(b"\r\n") {
        return None;
    }
    let mut end = line_length(content);
    while content
        .get(end)
        .is_some_and(|octet| matches!(octet, b' ' | b'\t'))
    {
        end += line_length(&content[end..]);
    }
    Some(end)
}

fn line_length(content: &[u8]) -> usize {
    memchr::memchr(b'\n', content).map_or(content.len(), |at| at + 1)
}
