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

/// Chunks of fewer octets are counted: they cost more as commands than as content.
pub const SMALL: u64 = 1024;

/// Most of these in one message. A client that sends line by line gets a letter through;
/// one that sends octet by octet is stopped.
pub const MAX_SMALL: usize = 1000;

/// Reads the chunks of one message.
#[derive(Debug)]
pub struct Chunks {
    limit: u64,
    taken: u64,
    small: usize,
    after_cr: bool,
    fault: Option<ContentFault>,
}

impl Chunks {
    /// Content of at most `limit` octets.
    pub fn new(limit: u64) -> Self {
        Self {
            limit,
            taken: 0,
            small: 0,
            after_cr: false,
            fault: None,
        }
    }

    /// Takes the length of the next chunk. One that goes over the limit need not come
    /// before it is refused, though it is read all the same.
    pub fn begin(&mut self, size: u64, last: bool) {
        if self.taken.saturating_add(size) > self.limit {
            self.refuse(ContentFault::TooLarge);
        }
        if size < SMALL && !last {
            self.small += 1;
        }
        if self.small > MAX_SMALL {
            self.refuse(ContentFault::TooManyChunks);
        }
    }

    /// Takes octets of that chunk, and puts those that are to be kept into `kept`.
    pub fn push(&mut self, input: &[u8], kept: &mut Vec<u8>) {
        self.check(input);
        self.taken += input.len() as u64;
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

/// Most octets of one chunk, or of all that follow a refused one, that are read to be
/// thrown away.
pub fn most_readable(limit: u64) -> u64 {
    limit.saturating_mul(ABSURD)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::smtp::data::{Data, Progress};

    fn read(pieces: &[&[u8]], limit: u64) -> Result<Vec<u8>, ContentFault> {
        let (mut chunks, mut kept) = (Chunks::new(limit), Vec::new());
        for piece in pieces {
            chunks.begin(piece.len() as u64, false);
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

    #[test]
    fn a_chunk_that_is_too_much_is_refused_before_it_comes() {
        let mut chunks = Chunks::new(10);
        chunks.begin(10, false);
        chunks.push(b"1234567890", &mut Vec::new());
        assert_eq!(chunks.fault(), None);
        for size in [1, u64::MAX] {
            let mut chunks = Chunks {
                taken: 10,
                ..Chunks::new(10)
            };
            chunks.begin(size, true);
            assert_eq!(chunks.fault(), Some(ContentFault::TooLarge), "{size}");
        }
    }

    #[test]
    fn small_chunks_are_counted() {
        let mut chunks = Chunks::new(u64::MAX);
        for _ in 0..MAX_SMALL {
            chunks.begin(SMALL, false);
            chunks.begin(0, false);
        }
        chunks.begin(1, true);
        assert_eq!(chunks.fault(), None);
        chunks.begin(SMALL - 1, false);
        assert_eq!(chunks.fault(), Some(ContentFault::TooManyChunks));
    }

    proptest! {
        /// In any chunks, content is taken or refused as DATA would.
        #[test]
        fn as_data_would(
            lines in proptest::collection::vec("[.a\0\r\n]{0,6}", 0..8),
            cuts in proptest::collection::vec(0_usize..9, 0..40),
        ) {
            let content: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
            let mut rest = content.as_bytes();
            let mut pieces = Vec::new();
            for cut in cuts {
                let (piece, behind) = rest.split_at(cut.min(rest.len()));
                pieces.push(piece);
                rest = behind;
            }
            pieces.push(rest);
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
