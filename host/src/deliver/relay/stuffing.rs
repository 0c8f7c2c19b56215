//! Content as it goes over the wire (RFC 5321, section 4.5.2): a dot at the start of a
//! line is doubled, and a line with a dot alone ends it.
//!
//! **Content cannot end itself**: every line that begins with a dot is given another,
//! wherever content is cut, and content whose last line has no end gets one.

use memchr::memmem;

/// Doubles dots. Pure: pieces in, octets out.
#[derive(Debug)]
pub(super) struct Stuffing {
    last: [u8; 2],
}

impl Stuffing {
    /// Before any content, which is the start of a line.
    pub(super) fn new() -> Self {
        Self { last: *b"\r\n" }
    }

    /// Puts a piece of the content behind what is in `out`.
    pub(super) fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        if self.last[1] == b'\n' && piece.first() == Some(&b'.') {
            out.push(b'.');
        }
        let mut at = 0;
        // Content has no LF without CR. If it had one, a hop might take a line to end
        // there; so a dot behind any LF is doubled.
        for line_end in memmem::find_iter(piece, b"\n.") {
            out.extend_from_slice(&piece[at..=line_end]);
            out.push(b'.');
            at = line_end + 1;
        }
        out.extend_from_slice(&piece[at..]);
        self.last = match piece {
            [.., before, last] => [*before, *last],
            [last] => [self.last[1], *last],
            [] => self.last,
        };
    }

    /// Ends the content.
    pub(super) fn finish(&self, out: &mut Vec<u8>) {
        if self.last != *b"\r\n" {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b".\r\n");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::smtp::data::{Data, Progress};

    fn stuffed(content: &[u8], chunk: usize) -> Vec<u8> {
        let (mut stuffing, mut out) = (Stuffing::new(), Vec::new());
        for piece in content.chunks(chunk.max(1)) {
            stuffing.push(piece, &mut out);
        }
        stuffing.finish(&mut out);
        out
    }

    #[test]
    fn contents() {
        for (content, wire) in [
            ("", ".\r\n"),
            ("a\r\n", "a\r\n.\r\n"),
            ("a", "a\r\n.\r\n"),
            (".", "..\r\n.\r\n"),
            (".\r\n", "..\r\n.\r\n"),
            ("..\r\n.a\r\n", "...\r\n..a\r\n.\r\n"),
            ("a\r\n.\r\nQUIT\r\n", "a\r\n..\r\nQUIT\r\n.\r\n"),
            ("a.\r\nb.c\r\n", "a.\r\nb.c\r\n.\r\n"),
            ("\r\n\r\n", "\r\n\r\n.\r\n"),
        ] {
            for chunk in 1..=content.len().max(1) {
                let out = stuffed(content.as_bytes(), chunk);
                assert_eq!(String::from_utf8_lossy(&out), wire, "in pieces of {chunk}");
            }
        }
    }

    proptest! {
        /// What the host's own reader of content makes of it is what went in.
        #[test]
        fn a_reader_gets_it_back(
            lines in proptest::collection::vec("[.a]{0,4}", 0..12),
            chunk in 1_usize..6,
            ended in any::<bool>(),
        ) {
            let mut content = lines.join("\r\n");
            if ended || content.ends_with('\n') {
                content.push_str("\r\n");
            }
            let wire = stuffed(content.as_bytes(), chunk);
            let (mut data, mut kept) = (Data::new(1000), Vec::new());
            prop_assert_eq!(data.push(&wire, &mut kept), Progress::End(wire.len()));
            let read = data.finish().map(|()| kept);
            if !content.is_empty() && !content.ends_with("\r\n") {
                content.push_str("\r\n");
            }
            prop_assert_eq!(read, Ok(content.into_bytes()));
        }

        /// Neither does anything else end it.
        #[test]
        fn no_content_ends_early(
            content in proptest::collection::vec(proptest::sample::select(b"\r\n.a".to_vec()), 0..40),
            chunk in 1_usize..6,
        ) {
            let wire = stuffed(&content, chunk);
            for end in ["\r\n.\r\n", "\n.\n", "\n.\r\n", "\r\n.\n"] {
                let early = memmem::find(&wire[..wire.len() - 3], end.as_bytes());
                prop_assert_eq!(early, None);
            }
        }
    }
}
