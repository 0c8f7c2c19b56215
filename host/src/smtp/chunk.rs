//! Content that comes in chunks (BDAT, RFC 3030).
//!
//! A chunk has a length instead of an end, so nothing is stuffed and nothing can be
//! smuggled past the end. **The rule about CR and LF is that of [`data`](super::data)
//! all the same**: the next host may get the message by DATA.

use memchr::memchr3;

use super::data::ContentFault;

/// A chunk over the limit of a message by this factor is not read: whoever announces
/// it means no mail.
const ABSURD: u64 = 2;

/// Reads the chunks of one message.
#[derive(Debug)]
pub struct Chunks {
    limit: u64,
    kept: u64,
    after_cr: bool,
    fault: Option<ContentFault>,
}

impl Chunks {
    /// Content of at most `limit` octets.
    pub fn new(limit: u64) -> Self {
        Self {
            limit,
            kept: 0,
            after_cr: false,
            fault: None,
        }
    }

    /// Takes octets of a chunk, and puts those that are to be kept into `kept`.
    pub fn push(&mut self, input: &[u8], kept: &mut Vec<u8>) {
        self.check(input);
        self.kept += input.len() as u64;
        if self.kept > self.limit {
            self.refuse(ContentFault::TooLarge);
        }
        if self.fault.is_none() {
            kept.extend_from_slice(input);
        }
    }

    /// What is wrong so far.
    pub fn fault(&self) -> Option<ContentFault> {
        self.fault
    }

    /// What is wrong, once the last chunk has been read.
    ///
    /// # Errors
    /// The fault for which the message is refused.
    pub fn finish(mut self) -> Result<(), ContentFault> {
        if self.after_cr {
            self.refuse(ContentFault::BareNewline);
        }
        self.fault.map_or(Ok(()), Err)
    }

    fn check(&mut self, input: &[u8]) {
        let mut rest = input;
        if self.after_cr && !rest.is_empty() {
            self.after_cr = false;
            match rest.strip_prefix(b"\n") {
                Some(behind) => rest = behind,
                None => self.refuse(ContentFault::BareNewline),
            }
        }
        while let Some(at) = memchr3(b'\r', b'\n', 0, rest) {
            let special = rest[at];
            rest = &rest[at + 1..];
            match (special, rest.first()) {
                (b'\r', Some(b'\n')) => rest = &rest[1..],
                (b'\r', None) => self.after_cr = true,
                (0, _) => self.refuse(ContentFault::Nul),
                _ => self.refuse(ContentFault::BareNewline),
            }
        }
    }

    fn refuse(&mut self, fault: ContentFault) {
        self.fault = Some(fault.or_worse(self.fault));
    }
}

/// Whether a chunk of this size is read at all, to be taken or thrown away.
pub fn is_readable(size: u64, limit: u64) -> bool {
    size <= limit.saturating_mul(ABSURD)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::smtp::data::{Data, Progress};

    fn read(pieces: &[&[u8]], limit: u64) -> Result<Vec<u8>, ContentFault> {
        let (mut chunks, mut kept) = (Chunks::new(limit), Vec::new());
        for piece in pieces {
            chunks.push(piece, &mut kept);
        }
        chunks.finish().map(|()| kept)
    }

    #[test]
    fn chunks_may_be_cut_anywhere() {
        for (pieces, expected) in [
            (&[b"a\r" as &[u8], b"\nb\r\n"] as &[&[u8]], Ok("a\r\nb\r\n")),
            (&[b"a\r", b"", b"\n"], Ok("a\r\n")),
            (&[b".\r\n", b".\r\n"], Ok(".\r\n.\r\n")),
            (&[b"no end"], Ok("no end")),
            (&[], Ok("")),
            (&[b"a\r", b"b"], Err(ContentFault::BareNewline)),
            (&[b"a\r"], Err(ContentFault::BareNewline)),
            (&[b"a\n"], Err(ContentFault::BareNewline)),
            (&[b"a\0"], Err(ContentFault::Nul)),
            (&[b"a\0", b"\n"], Err(ContentFault::BareNewline)),
            (&[b"123456789", b"01"], Err(ContentFault::TooLarge)),
            (&[b"1234567890"], Ok("1234567890")),
        ] {
            let expected = expected.map(|text| text.as_bytes().to_vec());
            assert_eq!(read(pieces, 10), expected, "{pieces:?}");
        }
    }

    proptest! {
        /// In any chunks, content is taken or refused as DATA would.
        #[test]
        fn as_data_would(
            lines in proptest::collection::vec("[.a\0\r\n]{0,6}", 0..8),
            size in 1_usize..9,
        ) {
            let content: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
            let pieces: Vec<&[u8]> = content.as_bytes().chunks(size).collect();
            let stuffed = if content.starts_with('.') { format!(".{content}") } else { content.clone() };
            let stuffed = stuffed.replace("\r\n.", "\r\n..") + ".\r\n";
            let (mut data, mut kept) = (Data::new(20), Vec::new());
            prop_assert_eq!(data.push(stuffed.as_bytes(), &mut kept), Progress::End(stuffed.len()));
            let (chunked, whole) = (read(&pieces, 20), data.finish().map(|()| kept));
            let smuggles = |fault: &Result<_, _>| *fault == Err(ContentFault::BareNewline);
            prop_assert_eq!(smuggles(&chunked), smuggles(&whole));
            prop_assert_eq!(chunked.ok(), whole.ok());
        }
    }
}
