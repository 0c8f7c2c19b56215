//! Command lines, cut from what has been read so far.
//!
//! Only CRLF ends a line. A CR or LF alone is a fault that ends the session: two
//! hosts that disagree about where a line ends can be made to see different mail.

/// Longest command line in octets, CRLF included. RFC 5321, section 4.5.3.1.4, asks
/// for 512; SMTPUTF8 and the parameters of MAIL raise that, and twice the sum is
/// ample.
pub const MAX_LINE: usize = 2048;

/// What the front of a buffer holds.
#[derive(Debug, PartialEq, Eq)]
pub enum Front<'a> {
    /// A line without its CRLF, and how many octets it takes with it.
    Line(&'a [u8], usize),
    /// Not a whole line yet.
    More,
    /// Something that can never become a line.
    Fault(LineFault),
}

/// Why there is no line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineFault {
    /// Over [`MAX_LINE`].
    TooLong,
    /// A CR without LF, or LF without CR.
    BareNewline,
}

/// Looks at the front of what has been read.
pub fn front(buffer: &[u8]) -> Front<'_> {
    let within = &buffer[..buffer.len().min(MAX_LINE)];
    match memchr::memchr2(b'\r', b'\n', within) {
        Some(at) if within[at] == b'\n' => Front::Fault(LineFault::BareNewline),
        Some(at) => match within.get(at + 1) {
            Some(b'\n') => Front::Line(&within[..at], at + 2),
            Some(_) => Front::Fault(LineFault::BareNewline),
            None if buffer.len() >= MAX_LINE => Front::Fault(LineFault::TooLong),
            None => Front::More,
        },
        None if buffer.len() >= MAX_LINE => Front::Fault(LineFault::TooLong),
        None => Front::More,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fronts() {
        let long = vec![b'x'; MAX_LINE];
        for (buffer, expected) in [
            (&b""[..], Front::More),
            (b"NOOP", Front::More),
            (b"NOOP\r", Front::More),
            (b"NOOP\r\nQUIT", Front::Line(b"NOOP", 6)),
            (b"\r\n", Front::Line(b"", 2)),
            (b"NOOP\n", Front::Fault(LineFault::BareNewline)),
            (b"NO\rOP\r\n", Front::Fault(LineFault::BareNewline)),
            (b"NOOP\r\r\n", Front::Fault(LineFault::BareNewline)),
            (b"\nNOOP\r\n", Front::Fault(LineFault::BareNewline)),
            (&long, Front::Fault(LineFault::TooLong)),
        ] {
            assert_eq!(
                front(buffer),
                expected,
                "{:?}",
                String::from_utf8_lossy(buffer)
            );
        }
    }

    #[test]
    fn the_longest_line() {
        let mut line = vec![b'x'; MAX_LINE - 2];
        line.extend_from_slice(b"\r\n");
        assert_eq!(front(&line), Front::Line(&line[..MAX_LINE - 2], MAX_LINE));
        line.insert(0, b'x');
        assert_eq!(front(&line), Front::Fault(LineFault::TooLong));
    }
}
