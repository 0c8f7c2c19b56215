//! The content of a message, from after DATA to CRLF.CRLF (RFC 5321, section 4.5.2).
//!
//! **Only CRLF.CRLF ends data**, in any chunking. A CR or LF alone, a NUL, or too
//! many octets do not end it: the reader goes on to the true end, keeps nothing more,
//! and [`Data::finish`] says what was wrong. Any other rule lets a client smuggle a
//! second message past this host or the next.

use memchr::memchr3;

use crate::content::KeepError;

/// Why content is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentFault {
    /// Over the size limit.
    TooLarge,
    /// A CR without LF, or LF without CR.
    BareNewline,
    /// A NUL, which no body type of ours permits (RFC 6152, section 3).
    Nul,
    /// The header section is longer than [`FRONT`](crate::content::FRONT), so it cannot
    /// be searched for what only we may write.
    LongHeader,
    /// In too many small chunks.
    TooManyChunks,
    /// The host has no room for it.
    NoRoom,
    /// The host's disk does not take it.
    NotKept,
}

impl From<KeepError> for ContentFault {
    fn from(error: KeepError) -> Self {
        match error {
            KeepError::NoRoom => Self::NoRoom,
            KeepError::LongHeader => Self::LongHeader,
            KeepError::Disk => Self::NotKept,
        }
    }
}

impl ContentFault {
    /// The first fault counts, but a bare newline before all: it may be an attack.
    pub(super) fn or_worse(self, earlier: Option<Self>) -> Self {
        match earlier {
            Some(earlier) if self != Self::BareNewline => earlier,
            _ => self,
        }
    }
}

/// Reads the content of one message.
#[derive(Debug)]
pub struct Data {
    state: State,
    kept: u64,
    limit: u64,
    fault: Option<ContentFault>,
}

/// Whether the end has been seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// All input is taken, and the end is not in it.
    More,
    /// The end was found after this many octets of the input.
    End(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    LineStart,
    Middle,
    /// A CR in or at the end of a line.
    Cr,
    /// A dot at the start of a line.
    Dot,
    /// That dot and a CR.
    DotCr,
    End,
}

impl Data {
    /// Content of at most `limit` octets, dots removed.
    pub fn new(limit: u64) -> Self {
        Self {
            state: State::LineStart,
            kept: 0,
            limit,
            fault: None,
        }
    }

    /// Takes what was read, and puts what is to be kept into `kept`. After
    /// [`Progress::End`] it takes nothing more.
    pub fn push(&mut self, input: &[u8], kept: &mut Vec<u8>) -> Progress {
        // At once, and not line by line.
        kept.reserve(input.len());
        let mut at = 0;
        while at < input.len() && self.state != State::End {
            at += match self.state {
                State::LineStart | State::Middle => self.run(&input[at..], kept),
                _ => self.step(input[at], kept),
            };
        }
        if self.state == State::End {
            Progress::End(at)
        } else {
            Progress::More
        }
    }

    /// What is wrong so far.
    pub fn fault(&self) -> Option<ContentFault> {
        self.fault
    }

    /// What is wrong, once the end has been found.
    ///
    /// # Errors
    /// The fault for which the message is refused.
    pub fn finish(self) -> Result<(), ContentFault> {
        self.fault.map_or(Ok(()), Err)
    }

    /// Takes octets up to the next that means something; at least one.
    fn run(&mut self, input: &[u8], kept: &mut Vec<u8>) -> usize {
        if self.state == State::LineStart && input[0] == b'.' {
            self.state = State::Dot;
            return 1;
        }
        let plain = memchr3(b'\r', b'\n', 0, input).unwrap_or(input.len());
        if input[plain..].starts_with(b"\r\n") {
            // A whole line, or the rest of one.
            self.keep(&input[..plain + 2], kept);
            self.state = State::LineStart;
            return plain + 2;
        }
        self.keep(&input[..plain], kept);
        if plain > 0 {
            self.state = State::Middle;
        }
        let Some(special) = input.get(plain) else {
            return plain;
        };
        match special {
            b'\r' => self.state = State::Cr,
            b'\n' => self.stray(ContentFault::BareNewline),
            _ => self.stray(ContentFault::Nul),
        }
        plain + 1
    }

    /// Takes one octet in a state that waits for a particular one.
    fn step(&mut self, octet: u8, kept: &mut Vec<u8>) -> usize {
        match (self.state, octet) {
            (State::Cr, b'\n') => {
                self.keep(b"\r\n", kept);
                self.state = State::LineStart;
                1
            }
            (State::DotCr, b'\n') => {
                self.state = State::End;
                1
            }
            (State::Dot, b'\r') => {
                self.state = State::DotCr;
                1
            }
            // The dot was stuffing: what follows it is an ordinary part of the line.
            (State::Dot, _) => {
                self.state = State::Middle;
                0
            }
            // The CR stands alone; whatever follows may be another.
            _ => {
                self.stray(ContentFault::BareNewline);
                0
            }
        }
    }

    fn keep(&mut self, octets: &[u8], kept: &mut Vec<u8>) {
        if self.fault.is_some() {
            return;
        }
        self.kept += octets.len() as u64;
        if self.kept > self.limit {
            return self.refuse(ContentFault::TooLarge);
        }
        kept.extend_from_slice(octets);
    }

    /// What follows a stray octet is not at the start of a line.
    fn stray(&mut self, fault: ContentFault) {
        self.refuse(fault);
        self.state = State::Middle;
    }

    fn refuse(&mut self, fault: ContentFault) {
        self.fault = Some(fault.or_worse(self.fault));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads `input` in one piece: content or fault, and where the end was.
    fn read(input: &[u8], limit: u64) -> Option<(Result<Vec<u8>, ContentFault>, usize)> {
        let (mut data, mut kept) = (Data::new(limit), Vec::new());
        match data.push(input, &mut kept) {
            Progress::End(at) => Some((data.finish().map(|()| kept), at)),
            Progress::More => None,
        }
    }

    #[test]
    fn contents() {
        for (input, content) in [
            (".\r\n", ""),
            ("a\r\n.\r\n", "a\r\n"),
            ("..\r\n.\r\n", ".\r\n"),
            ("...a\r\n.\r\n", "..a\r\n"),
            (".a\r\n.\r\n", "a\r\n"),
            ("a.\r\n.\r\n", "a.\r\n"),
            ("\r\n\r\n.\r\n", "\r\n\r\n"),
        ] {
            assert_eq!(
                read(input.as_bytes(), 99),
                Some((Ok(content.into()), input.len())),
                "{input:?}"
            );
        }
    }

    #[test]
    fn what_must_not_end_data() {
        for input in [
            "a\n.\n",
            "a\r\n.\n",
            "a\n.\r\n",
            "a\r.\r\n",
            "a\r\n.\r",
            "a\r\r\n.x",
            "\n.\r\n",
            ".\n",
            "a\r\n.\r.\r\n",
            "\0.\r\n",
        ] {
            assert_eq!(read(input.as_bytes(), 99), None, "{input:?}");
            let whole = format!("{input}\r\n.\r\nQUIT\r\n");
            let (content, end) = read(whole.as_bytes(), 99).expect("the true end");
            assert_eq!(&whole[end..], "QUIT\r\n", "{input:?}");
            if input != "a\r\n.\r" {
                assert!(
                    content.is_err() || input == "a\r\r\n.x",
                    "{input:?}: {content:?}"
                );
            }
        }
    }

    #[test]
    fn too_large_is_read_to_its_end() {
        assert_eq!(
            read(b"abc\r\n.\r\nNOOP", 4),
            Some((Err(ContentFault::TooLarge), 8))
        );
        assert_eq!(read(b"ab\r\n.\r\n", 4), Some((Ok(b"ab\r\n".to_vec()), 7)));
    }

    /// Where the first CRLF.CRLF is; the CRLF of the DATA line itself counts.
    fn true_end(input: &[u8]) -> Option<usize> {
        let with_data_line = [b"\r\n", input].concat();
        with_data_line
            .windows(5)
            .position(|w| w == b"\r\n.\r\n")
            .map(|at| at + 3)
    }

    proptest! {
        /// For any bytes in any chunking, the message ends only at CRLF.CRLF.
        #[test]
        fn ends_only_at_crlf_dot_crlf(
            input in proptest::collection::vec(proptest::sample::select(b"\r\n.a\0".to_vec()), 0..60),
            chunk in 1_usize..7,
        ) {
            let mut data = Data::new(1000);
            let mut end = None;
            for (index, piece) in input.chunks(chunk).enumerate() {
                if let Progress::End(at) = data.push(piece, &mut Vec::new()) {
                    end = Some(index * chunk + at);
                    break;
                }
            }
            prop_assert_eq!(end, true_end(&input));
            if end.is_some() {
                let stray = |bytes: &[u8]| {
                    let text = String::from_utf8_lossy(bytes).replace("\r\n", "");
                    text.contains(['\r', '\n', '\0'])
                };
                prop_assert_eq!(data.finish().is_err(), stray(&input[..end.unwrap_or(0)]));
            }
        }
    }
}
