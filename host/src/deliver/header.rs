//! The header section of a message that passes through.

use crate::content::header;

/// More than this many `Received` fields are a loop (RFC 5321, section 6.3, asks for
/// at least 100 where it is counted without looking; sites agree on 50 as no route
/// of real mail is half as long).
pub(super) const MAX_RECEIVED: usize = 50;

/// What the header section holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Scan {
    /// How many `Received` fields there are.
    pub(super) received: usize,
    /// Where fields stand that must go: octet ranges, in order.
    pub(super) forged: Vec<std::ops::Range<usize>>,
    /// The first line would continue the field before it: there is no header section.
    pub(super) headless: bool,
}

/// Scans the header section: counts `Received`, and finds what only we may write:
/// `Authentication-Results` that claim to be ours (RFC 8601, section 5), and
/// `Return-Path` (RFC 5321, section 4.4).
pub(super) fn scan(content: &[u8], authserv_id: &str) -> Scan {
    let mut scan = Scan {
        received: 0,
        forged: Vec::new(),
        headless: header::is_headless(content),
    };
    for range in header::fields(content) {
        let field = &content[range.clone()];
        match header::name(field) {
            Some(name) if name.eq_ignore_ascii_case(b"Received") => scan.received += 1,
            Some(name) if name.eq_ignore_ascii_case(b"Return-Path") => scan.forged.push(range),
            Some(name)
                if name.eq_ignore_ascii_case(b"Authentication-Results")
                    && claims(&field[name.len()..], authserv_id) =>
            {
                scan.forged.push(range);
            }
            _ => {}
        }
    }
    scan
}

/// Whether the value (from the colon on) begins with our id: comments and folds may
/// stand before it, and it may be quoted.
fn claims(after_name: &[u8], authserv_id: &str) -> bool {
    let text = String::from_utf8_lossy(after_name);
    let value = skip_comments(text.trim_start().trim_start_matches(':'));
    let id = match value.strip_prefix('"') {
        Some(quoted) => quoted
            .split('"')
            .next()
            .unwrap_or_default()
            .replace('\\', ""),
        None => value
            .split(|c: char| c.is_whitespace() || matches!(c, ';' | '('))
            .next()
            .unwrap_or_default()
            .to_owned(),
    };
    id.trim_end_matches('.').eq_ignore_ascii_case(authserv_id)
}

/// Skips white space and comments, which nest (RFC 5322, section 3.2.2).
fn skip_comments(text: &str) -> &str {
    let mut depth = 0_usize;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if depth > 0 => escaped = true,
            '(' => depth += 1,
            ')' if depth > 0 => depth -= 1,
            c if depth == 0 && !c.is_whitespace() => return &text[at..],
            _ => {}
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forged_results_are_found_however_they_are_written() {
        for (field, forged) in [
            ("Authentication-Results: mx.example; spf=pass", true),
            ("authentication-results:mx.example;spf=pass", true),
            ("Authentication-Results : MX.Example 1; none", true),
            (
                "Authentication-Results: (a (nested\\) one)) mx.example; none",
                true,
            ),
            ("Authentication-Results:\r\n\tmx.example;\r\n x=y", true),
            ("Authentication-Results: \"mx.example\"; none", true),
            ("Authentication-Results: mx.example.; none", true),
            ("Authentication-Results: other.example; x=mx.example", false),
            ("Authentication-Results: mx.example.org; none", false),
            ("X-Authentication-Results: mx.example; none", false),
            ("Return-Path: <other@other.example>", true),
            ("X-Return-Path: <other@other.example>", false),
        ] {
            let content =
                format!("A: b\r\n{field}\r\nC: d\r\n\r\nAuthentication-Results: mx.example\r\n");
            let found = scan(content.as_bytes(), "mx.example").forged;
            let expected = forged.then_some(6..6 + field.len() + 2);
            let expected: Vec<_> = expected.into_iter().collect();
            assert_eq!(found, expected, "{field:?}");
        }
    }

    /// Else the client would write the end of our last field.
    #[test]
    fn a_first_line_that_continues_something_is_no_header() {
        for content in [" dkim=pass\r\nA: b\r\n\r\n", "\tdkim=pass\r\n"] {
            assert!(scan(content.as_bytes(), "mx").headless, "{content:?}");
        }
        assert!(!scan(b"A: b\r\n c\r\n", "mx").headless);
    }

    #[test]
    fn received_is_counted_in_the_header_alone() {
        let content = b"Received: a\r\n b\r\nSubject: x\r\nRECEIVED: c\r\n\r\nReceived: d\r\n";
        assert_eq!(scan(content, "mx").received, 2);
        assert_eq!(scan(b"", "mx").received, 0);
        assert_eq!(scan(b"no header at all", "mx").received, 0);
    }
}
