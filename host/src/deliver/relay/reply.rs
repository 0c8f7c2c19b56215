//! Replies of a next hop (RFC 5321, section 4.2), read without trust in them.
//!
//! **No octets, in any chunking, do more than make a reply or a fault**: lines and
//! replies are bounded, and what is kept of them is printable. Pure: what was read is
//! handed in.

use std::fmt;

use bytes::BytesMut;

use crate::unicode::is_misleading;

/// Longest line, CRLF included. RFC 5321, section 4.5.3.1.5, has 512 and lets
/// extensions have more.
const MAX_LINE: usize = 2048;

/// Most lines of one reply. The longest in use, to EHLO, has some twenty.
const MAX_LINES: usize = 128;

/// Longest reply as a whole: MAX_LINES lines of usual length.
const MAX_REPLY: usize = 16 * 1024;

/// Longest text of a reply that is passed on, in octets: with codes and a receipt's id
/// it has to fit the 512 of one line to our client.
const MAX_TEXT: usize = 400;

/// How much of what was no reply is shown.
const MAX_SHOWN: usize = 80;

/// A reply of a next hop as it may be passed on: bounded and printable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HopReply {
    /// The three digits.
    pub code: u16,
    /// Enhanced status code (RFC 3463), where the next hop gave one of the same class.
    pub enhanced: Option<String>,
    /// Its lines, joined, without codes; at most 400 octets.
    pub text: String,
}

/// What is no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ReplyFault {
    #[error("{0:?} is no reply")]
    Malformed(String),
    #[error("a reply of several lines has both {0} and {1}")]
    Codes(u16, u16),
    #[error("a line of a reply is over {MAX_LINE} octets")]
    LongLine,
    #[error("a reply is over {MAX_LINES} lines or {MAX_REPLY} octets")]
    LongReply,
}

/// A whole reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) code: u16,
    /// Printable, without the three digits; at least one.
    pub(super) lines: Vec<String>,
}

impl Reply {
    /// 2, 3, 4 or 5.
    pub(super) fn class(&self) -> u16 {
        self.code / 100
    }

    /// What may be passed on.
    pub(super) fn into_hop_reply(self) -> HopReply {
        let class = self.class();
        let enhanced = self.lines.first().and_then(|line| enhanced(line, class));
        let enhanced = enhanced.map(ToOwned::to_owned);
        let bare = self.lines.iter().map(|line| match &enhanced {
            Some(code) => line.strip_prefix(code.as_str()).unwrap_or(line).trim(),
            None => line.trim(),
        });
        let filled: Vec<&str> = bare.filter(|line| !line.is_empty()).collect();
        let mut text = filled.join(" / ");
        text.truncate(text.floor_char_boundary(MAX_TEXT));
        HopReply {
            code: self.code,
            enhanced,
            text,
        }
    }
}

/// The enhanced status code at the front of a line, if it is of the reply's class
/// (RFC 2034, section 4).
fn enhanced(line: &str, class: u16) -> Option<&str> {
    let code = line.split(' ').next()?;
    let mut parts = code.split('.');
    let is_class = parts.next()? == class.to_string();
    let mut number = || {
        let part = parts.next()?;
        ((1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit())).then_some(())
    };
    number()?;
    number()?;
    (is_class && parts.next().is_none()).then_some(code)
}

impl fmt::Display for HopReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(enhanced) = &self.enhanced {
            write!(f, " {enhanced}")?;
        }
        if !self.text.is_empty() {
            write!(f, " {}", self.text)?;
        }
        Ok(())
    }
}

/// Replies as they come in.
#[derive(Debug, Default)]
pub(super) struct Replies {
    input: BytesMut,
    /// How much of the input is known to have no end of line.
    searched: usize,
    begun: Option<Reply>,
    /// Of the reply that is begun.
    octets: usize,
}

impl Replies {
    /// Where what was read goes.
    pub(super) fn input(&mut self) -> &mut BytesMut {
        &mut self.input
    }

    /// Nothing came that is not taken.
    pub(super) fn is_empty(&self) -> bool {
        self.input.is_empty() && self.begun.is_none()
    }

    /// The next whole reply, once its end is there.
    pub(super) fn next(&mut self) -> Result<Option<Reply>, ReplyFault> {
        while let Some(end) = self.line_end()? {
            let line = self.input.split_to(end);
            self.searched = 0;
            self.octets += end;
            if let Some(reply) = self.line(line.trim_ascii_end())? {
                self.octets = 0;
                return Ok(Some(reply));
            }
        }
        Ok(None)
    }

    /// Where the first line ends. A LF alone will do: hops that write so mean no harm,
    /// and nothing is smuggled in a reply.
    fn line_end(&mut self) -> Result<Option<usize>, ReplyFault> {
        let found = memchr::memchr(b'\n', &self.input[self.searched..]);
        let end = found.map(|at| self.searched + at + 1);
        self.searched = self.input.len();
        if end.unwrap_or(self.searched) > MAX_LINE {
            return Err(ReplyFault::LongLine);
        }
        Ok(end)
    }

    fn line(&mut self, line: &[u8]) -> Result<Option<Reply>, ReplyFault> {
        let malformed = || ReplyFault::Malformed(shown(line));
        let (code, rest) = code(line).ok_or_else(malformed)?;
        let (is_last, text) = match rest.first() {
            None => (true, rest),
            Some(b' ') => (true, &rest[1..]),
            Some(b'-') => (false, &rest[1..]),
            Some(_) => return Err(malformed()),
        };
        let mut reply = self.begun.take().unwrap_or(Reply {
            code,
            lines: Vec::new(),
        });
        if reply.code != code {
            return Err(ReplyFault::Codes(reply.code, code));
        }
        if reply.lines.len() == MAX_LINES || self.octets > MAX_REPLY {
            return Err(ReplyFault::LongReply);
        }
        reply.lines.push(printable(text));
        if is_last {
            return Ok(Some(reply));
        }
        self.begun = Some(reply);
        Ok(None)
    }
}

fn code(line: &[u8]) -> Option<(u16, &[u8])> {
    let (digits, rest) = line.split_at_checked(3)?;
    let sound = matches!(digits[0], b'2'..=b'5') && digits.iter().all(u8::is_ascii_digit);
    let value = |sum: u16, digit: &u8| sum * 10 + u16::from(digit - b'0');
    sound.then(|| (digits.iter().fold(0, value), rest))
}

/// Text that does nothing to what it is put into.
fn printable(octets: &[u8]) -> String {
    let shown = |c: char| match c {
        '\t' => ' ',
        c if is_misleading(c) || c == char::REPLACEMENT_CHARACTER => '?',
        c => c,
    };
    String::from_utf8_lossy(octets).chars().map(shown).collect()
}

fn shown(octets: &[u8]) -> String {
    printable(&octets[..octets.len().min(MAX_SHOWN)])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Replies, up to the first fault.
    fn read(input: &[u8], chunk: usize) -> (Vec<Reply>, Option<ReplyFault>) {
        let (mut replies, mut read) = (Replies::default(), Vec::new());
        for piece in input.chunks(chunk.max(1)) {
            replies.input().extend_from_slice(piece);
            loop {
                match replies.next() {
                    Ok(Some(reply)) => read.push(reply),
                    Ok(None) => break,
                    Err(fault) => return (read, Some(fault)),
                }
            }
        }
        (read, None)
    }

    fn passed_on(input: &str) -> Option<String> {
        let (mut replies, fault) = read(input.as_bytes(), input.len());
        assert_eq!(fault, None, "{input:?}");
        replies
            .pop()
            .map(|reply| reply.into_hop_reply().to_string())
    }

    #[test]
    fn replies_as_they_are_passed_on() {
        for (input, expected) in [
            ("250 ok\r\n", "250 ok"),
            ("250\r\n", "250"),
            ("250 ok\n", "250 ok"),
            ("550 5.1.1 <a> unknown\r\n", "550 5.1.1 <a> unknown"),
            (
                "550-5.1.1 unknown\r\n550 5.1.1 see x\r\n",
                "550 5.1.1 unknown / see x",
            ),
            ("550-5.1.1 unknown\r\n550 \r\n", "550 5.1.1 unknown"),
            ("452 4.2.2\r\n", "452 4.2.2"),
            ("451 5.1.1 other class\r\n", "451 5.1.1 other class"),
            ("550 5.1 no code\r\n", "550 5.1 no code"),
            ("550 5.1.1.1 no code\r\n", "550 5.1.1.1 no code"),
            ("550 5.1.1234 no code\r\n", "550 5.1.1234 no code"),
            ("250 Grüße\r\n", "250 Grüße"),
            ("250 a\tb\u{1b}[31m\u{202e}\0\r\n", "250 a b?[31m??"),
        ] {
            assert_eq!(passed_on(input).as_deref(), Some(expected), "{input:?}");
        }
        assert_eq!(
            read(b"250 \xff\xfe\r\n", 99).0[0].lines,
            ["??"],
            "not UTF-8"
        );
    }

    #[test]
    fn what_is_no_reply() {
        for input in [
            "\r\n",
            "25\r\n",
            "hello\r\n",
            "099 x\r\n",
            "199 x\r\n",
            "600 x\r\n",
            "2500 x\r\n",
            "250x\r\n",
            "250_x\r\n",
            "-50 x\r\n",
            " 250 x\r\n",
            "\u{0663}50 x\r\n",
        ] {
            let (replies, fault) = read(input.as_bytes(), 99);
            assert!(replies.is_empty(), "{input:?}");
            assert!(matches!(fault, Some(ReplyFault::Malformed(_))), "{input:?}");
        }
        let codes = read(b"250-a\r\n251 b\r\n", 99).1;
        assert_eq!(codes, Some(ReplyFault::Codes(250, 251)));
    }

    #[test]
    fn garbage_is_named_and_bounded() {
        let fault = read(
            &[b"HTTP/1.1 \x1b[2J", &[b'x'; 1000][..], b"\n"].concat(),
            9999,
        )
        .1;
        let text = fault.expect("no reply").to_string();
        assert!(text.starts_with("\"HTTP/1.1 ?[2Jxxx"), "{text}");
        assert!(text.len() < 120, "{text}");
    }

    #[test]
    fn bounds() {
        let long_line = [b"250 ", &[b'x'; MAX_LINE][..]].concat();
        assert_eq!(read(&long_line, 100).1, Some(ReplyFault::LongLine));
        let many = "250-x\r\n".repeat(MAX_LINES + 1);
        assert_eq!(read(many.as_bytes(), 100).1, Some(ReplyFault::LongReply));
        let large = format!("250-{}\r\n", "x".repeat(1000)).repeat(17);
        assert_eq!(read(large.as_bytes(), 100).1, Some(ReplyFault::LongReply));
        let text = passed_on(&format!("250 {}\r\n", "ü".repeat(900)));
        assert_eq!(text.map(|text| text.len()), Some(MAX_TEXT + 4));
    }

    #[test]
    fn a_reply_is_bounded_by_itself() {
        let many = "250 x\r\n".repeat(MAX_LINES * 40);
        let (replies, fault) = read(many.as_bytes(), 100);
        assert_eq!((replies.len(), fault), (MAX_LINES * 40, None));
    }

    proptest! {
        /// Octets give the same replies and the same fault however they are cut.
        #[test]
        fn chunking_changes_nothing(
            input in proptest::collection::vec(
                prop_oneof![
                    4 => proptest::sample::select(b"2345 0-.\r\n".to_vec()),
                    1 => any::<u8>(),
                ],
                0..200,
            ),
            chunk in 1_usize..9,
        ) {
            prop_assert_eq!(read(&input, chunk), read(&input, input.len()));
        }

        /// Whatever came, what is passed on fits and misleads nobody.
        #[test]
        fn what_is_passed_on_is_printable(text in proptest::collection::vec(any::<u8>(), 0..600)) {
            let input = [b"550 ", &text[..], b"\r\n"].concat();
            for reply in read(&input, input.len()).0 {
                let reply = reply.into_hop_reply();
                prop_assert!(reply.text.len() <= MAX_TEXT);
                prop_assert!(!reply.to_string().chars().any(is_misleading));
            }
        }
    }
}
