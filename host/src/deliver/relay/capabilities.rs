//! What a next hop says that it can do, in its reply to EHLO or LHLO.
//!
//! Only what is used: recipients are asked one by one as the client names them, so
//! there is nothing for PIPELINING to put together; content is lines, so DATA carries
//! all that CHUNKING could; and an enhanced status code shows itself.

use super::reply::Reply;

/// Service extensions of a next hop; none for one that only knows HELO.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Capabilities {
    /// RFC 1870. Its limit is left to the hop, which answers MAIL by it.
    pub(super) size: bool,
    /// RFC 6152.
    pub(super) eight_bit_mime: bool,
    /// RFC 6531.
    pub(super) smtputf8: bool,
    /// RFC 3207.
    pub(super) starttls: bool,
    /// RFC 8689.
    pub(super) requiretls: bool,
}

impl Capabilities {
    /// From a positive reply. Its first line is a greeting.
    pub(super) fn of(reply: &Reply) -> Self {
        let mut capabilities = Self::default();
        for line in reply.lines.iter().skip(1) {
            let keyword = line.split([' ', '=']).next().unwrap_or_default();
            match keyword.to_ascii_uppercase().as_str() {
                "SIZE" => capabilities.size = true,
                "8BITMIME" => capabilities.eight_bit_mime = true,
                "SMTPUTF8" => capabilities.smtputf8 = true,
                "STARTTLS" => capabilities.starttls = true,
                "REQUIRETLS" => capabilities.requiretls = true,
                _ => {}
            }
        }
        capabilities
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[&str]) -> Capabilities {
        let lines = lines.iter().map(ToString::to_string).collect();
        Capabilities::of(&Reply { code: 250, lines })
    }

    #[test]
    fn keywords() {
        assert_eq!(
            of(&["SIZE greets you", "X", ""]),
            Capabilities::default(),
            "the first line is none"
        );
        let some = of(&["mx", "size 1000", "8bitmime", "SMTPUTF8X", "X STARTTLS"]);
        assert_eq!(
            some,
            Capabilities {
                size: true,
                eight_bit_mime: true,
                ..Capabilities::default()
            }
        );
        let others = of(&["mx", "STARTTLS", "REQUIRETLS", "SMTPUTF8"]);
        assert!(others.starttls && others.requiretls && others.smtputf8);
    }
}
