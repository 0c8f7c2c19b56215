//! Commands, parsed from a line (RFC 5321, section 4.1).
//!
//! Lenient where the grammar is harmless (a space after `FROM:`, any name in EHLO),
//! strict where hosts could disagree about an address or a parameter.

use crate::address::{AddressError, Domain, MAX_PATH, Mailbox};
use crate::facts::{Body, Helo, HeloVerb, MailParameters};

/// The third line of what version 2 of the PROXY protocol begins with (section 2.2 of its
/// specification), behind two empty ones.
const PROXY_V2: &[u8] = b"\0";

/// One command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// EHLO or HELO.
    Greet(Helo),
    /// MAIL FROM.
    Mail {
        /// None for the null sender.
        sender: Option<Mailbox>,
        /// The path has characters beyond ASCII.
        international: bool,
        /// What follows the path.
        parameters: MailParameters,
    },
    /// RCPT TO.
    Rcpt {
        /// Whom to.
        recipient: Recipient,
        /// The path has characters beyond ASCII.
        international: bool,
    },
    /// DATA.
    Data,
    /// BDAT (RFC 3030): so many octets of content follow the line.
    Bdat {
        /// How many.
        size: u64,
        /// They are the last of the message.
        last: bool,
    },
    /// STARTTLS (RFC 3207).
    StartTls,
    /// RSET.
    Rset,
    /// NOOP, with anything behind it.
    Noop,
    /// VRFY of something.
    Vrfy,
    /// HELP, with or without a topic.
    Help,
    /// QUIT.
    Quit,
}

/// A forward-path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipient {
    /// A mailbox.
    Mailbox(Mailbox),
    /// `<Postmaster>` without a domain (RFC 5321, section 4.1.1.3).
    Postmaster,
}

/// A protocol that is not SMTP, told by its first words. What follows them is no command
/// either, and to answer each of its lines would only hide what is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// The header of a proxy, version 1 or 2, on a listener that takes none.
    Proxy,
    /// A request of HTTP.
    Http,
}

impl Foreign {
    /// The protocol that octets begin with before anything was said to the client; none when
    /// it may be SMTP.
    pub fn begins(octets: &[u8]) -> Option<Self> {
        if octets.starts_with(b"\r\n\r\n\0\r\nQUIT\n") {
            return Some(Self::Proxy);
        }
        let end = octets
            .iter()
            .position(|octet| matches!(octet, b'\r' | b'\n'));
        match Command::parse(octets.get(..end?)?) {
            Err(CommandError::Foreign(protocol)) => Some(protocol),
            _ => None,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Proxy => "PROXY",
            Self::Http => "HTTP",
        }
    }
}

/// Why a line is no command of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// No such verb.
    #[error("command not recognised")]
    Unknown,
    /// The client speaks another protocol.
    #[error("this is SMTP and not {}", .0.name())]
    Foreign(Foreign),
    /// A verb that RFC 5321 knows and this host does not offer.
    #[error("command not implemented")]
    NotImplemented,
    /// Octets that no command may contain.
    #[error("commands are printable text")]
    NotText,
    /// The wrong shape; this is the right one.
    #[error("syntax: {0}")]
    Syntax(&'static str),
    /// A reverse-path that is none.
    #[error("bad sender: {0}")]
    Sender(AddressError),
    /// A forward-path that is none.
    #[error("bad recipient: {0}")]
    Recipient(AddressError),
    /// BDAT without a length: whatever follows cannot be told from commands.
    #[error("syntax: BDAT octets [LAST]")]
    Bdat,
    /// A parameter with a bad or missing value, or given twice.
    #[error("bad parameter {0}")]
    BadParameter(String),
    /// A parameter of no extension that is offered.
    #[error("parameter {0} is not supported")]
    UnknownParameter(String),
}

impl Command {
    /// Whether a client must wait for the answer before it goes on (RFC 2920, section
    /// 3.1; RFC 3207, section 4.2). Whatever it sent behind is meant for another
    /// protocol, or for a state that the answer may not bring.
    pub fn ends_group(&self) -> bool {
        matches!(self, Self::Greet(_) | Self::Data | Self::StartTls)
    }

    /// Whether the reply may wait for those to the commands that came with it (RFC 2920,
    /// section 3.2). That to the content itself may not: who loses the connection before
    /// it sends the message again.
    pub fn is_grouped(&self) -> bool {
        match self {
            Self::Mail { .. } | Self::Rcpt { .. } | Self::Rset => true,
            // Chunks may be sent without waiting (RFC 3030, section 2).
            Self::Bdat { last, .. } => !last,
            _ => false,
        }
    }

    /// Parses a line without its CRLF.
    ///
    /// # Errors
    /// Why it is no command. [`CommandError::Bdat`] for whatever anybody might take for
    /// BDAT, since octets may follow that are no commands.
    pub fn parse(line: &[u8]) -> Result<Self, CommandError> {
        Self::parse_line(line).map_err(|error| match begins_like_bdat(line) {
            true => CommandError::Bdat,
            false => error,
        })
    }

    fn parse_line(line: &[u8]) -> Result<Self, CommandError> {
        if line == PROXY_V2 {
            return Err(CommandError::Foreign(Foreign::Proxy));
        }
        let text = std::str::from_utf8(line).map_err(|_| CommandError::NotText)?;
        if text.chars().any(|c| c.is_control() && c != '\t') {
            return Err(CommandError::NotText);
        }
        let text = text.trim_end_matches([' ', '\t']);
        let (verb, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
        parse_verb(
            &verb.to_ascii_uppercase(),
            rest.trim_start_matches([' ', '\t']),
        )
    }
}

fn begins_like_bdat(line: &[u8]) -> bool {
    let verb = line.trim_ascii_start().get(..4);
    verb.is_some_and(|verb| verb.eq_ignore_ascii_case(b"BDAT"))
}

fn parse_verb(verb: &str, rest: &str) -> Result<Command, CommandError> {
    match verb {
        "EHLO" => greet(HeloVerb::Ehlo, rest, "EHLO host-name"),
        "HELO" => greet(HeloVerb::Helo, rest, "HELO host-name"),
        "MAIL" => mail(rest),
        "RCPT" => rcpt(rest),
        "DATA" => bare(Command::Data, rest, "DATA"),
        "BDAT" => bdat(rest),
        "STARTTLS" => bare(Command::StartTls, rest, "STARTTLS"),
        "RSET" => bare(Command::Rset, rest, "RSET"),
        "QUIT" => bare(Command::Quit, rest, "QUIT"),
        "NOOP" => Ok(Command::Noop),
        "HELP" => Ok(Command::Help),
        "VRFY" if rest.is_empty() => Err(CommandError::Syntax("VRFY address")),
        "VRFY" => Ok(Command::Vrfy),
        "EXPN" | "TURN" | "SEND" | "SOML" | "SAML" | "ETRN" | "AUTH" => {
            Err(CommandError::NotImplemented)
        }
        "PROXY" => Err(CommandError::Foreign(Foreign::Proxy)),
        "GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "OPTIONS" | "CONNECT" | "PRI" => {
            Err(CommandError::Foreign(Foreign::Http))
        }
        _ => Err(CommandError::Unknown),
    }
}

fn bare(command: Command, rest: &str, syntax: &'static str) -> Result<Command, CommandError> {
    if rest.is_empty() {
        Ok(command)
    } else {
        Err(CommandError::Syntax(syntax))
    }
}

/// A length of more than 64 bits is as absurd as the largest.
fn bdat(rest: &str) -> Result<Command, CommandError> {
    let words = rest.split([' ', '\t']).filter(|word| !word.is_empty());
    let (octets, last) = match words.collect::<Vec<_>>().as_slice() {
        [octets] => (*octets, false),
        [octets, last] if last.eq_ignore_ascii_case("LAST") => (*octets, true),
        _ => return Err(CommandError::Bdat),
    };
    let size = size(octets).ok_or(CommandError::Bdat)?;
    Ok(Command::Bdat { size, last })
}

/// Any word of at most 255 octets: the name is a claim, and refusing odd ones only
/// breaks mail.
fn greet(verb: HeloVerb, rest: &str, syntax: &'static str) -> Result<Command, CommandError> {
    let word =
        !rest.is_empty() && rest.len() <= crate::address::MAX_DOMAIN && !rest.contains([' ', '\t']);
    if !word {
        return Err(CommandError::Syntax(syntax));
    }
    Ok(Command::Greet(Helo {
        verb,
        name: rest.to_owned(),
    }))
}

fn mail(rest: &str) -> Result<Command, CommandError> {
    const SYNTAX: CommandError = CommandError::Syntax("MAIL FROM:<address> [parameters]");
    let (path, rest) = path(rest, "FROM:")
        .ok_or(SYNTAX)?
        .map_err(CommandError::Sender)?;
    let sender = match strip_route(path) {
        "" => None,
        address => Some(address.parse().map_err(CommandError::Sender)?),
    };
    Ok(Command::Mail {
        sender,
        international: !path.is_ascii(),
        parameters: mail_parameters(rest)?,
    })
}

fn rcpt(rest: &str) -> Result<Command, CommandError> {
    const SYNTAX: CommandError = CommandError::Syntax("RCPT TO:<address>");
    let (path, rest) = path(rest, "TO:")
        .ok_or(SYNTAX)?
        .map_err(CommandError::Recipient)?;
    if let Some(parameter) = rest.split_whitespace().next() {
        return Err(CommandError::UnknownParameter(keyword(parameter).0));
    }
    let recipient = match strip_route(path) {
        "" => return Err(SYNTAX),
        name if name.eq_ignore_ascii_case("postmaster") => Recipient::Postmaster,
        address => Recipient::Mailbox(address.parse().map_err(CommandError::Recipient)?),
    };
    Ok(Command::Rcpt {
        recipient,
        international: !path.is_ascii(),
    })
}

/// The path between the angle brackets, and what follows it. The end bracket is the
/// first outside a quoted local part.
fn path<'a>(rest: &'a str, keyword: &str) -> Option<Result<(&'a str, &'a str), AddressError>> {
    let (found, rest) = rest.split_at_checked(keyword.len())?;
    let inner = rest.trim_start_matches(' ').strip_prefix('<')?;
    let end = found
        .eq_ignore_ascii_case(keyword)
        .then(|| closing_bracket(inner))??;
    let (path, rest) = (&inner[..end], &inner[end + 1..]);
    if path.len() + 2 > MAX_PATH {
        return Some(Err(AddressError::LongPath(path.len() + 2)));
    }
    (rest.is_empty() || rest.starts_with([' ', '\t'])).then_some(Ok((path, rest)))
}

fn closing_bracket(inner: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in inner.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '>' if !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

/// Source routes are to be accepted and ignored (RFC 5321, appendix C).
fn strip_route(path: &str) -> &str {
    match path.split_once(':') {
        Some((route, address)) if is_route(route) => address,
        _ => path,
    }
}

fn is_route(route: &str) -> bool {
    route.split(',').all(|hop| {
        hop.strip_prefix('@')
            .is_some_and(|domain| domain.parse::<Domain>().is_ok())
    })
}

fn mail_parameters(rest: &str) -> Result<MailParameters, CommandError> {
    let mut parameters = MailParameters::default();
    for parameter in rest.split_whitespace() {
        let (name, value) = keyword(parameter);
        let fault = || CommandError::BadParameter(name.clone());
        let sound = match (name.as_str(), value) {
            ("SIZE", Some(value)) => set(&mut parameters.size, size(value).ok_or_else(fault)?),
            // Known, and not offered: content would have to be kept as it is.
            ("BODY", Some(value)) if value.eq_ignore_ascii_case("BINARYMIME") => {
                return Err(CommandError::UnknownParameter("BODY=BINARYMIME".into()));
            }
            ("BODY", Some(value)) => set(&mut parameters.body, body(value).ok_or_else(fault)?),
            ("SMTPUTF8", None) => !std::mem::replace(&mut parameters.smtputf8, true),
            ("REQUIRETLS", None) => !std::mem::replace(&mut parameters.requiretls, true),
            ("SIZE" | "BODY" | "SMTPUTF8" | "REQUIRETLS", _) => false,
            _ => return Err(CommandError::UnknownParameter(name)),
        };
        if !sound {
            return Err(fault());
        }
    }
    Ok(parameters)
}

/// Sets what is not set yet; whether it was not.
fn set<T>(slot: &mut Option<T>, value: T) -> bool {
    slot.replace(value).is_none()
}

fn keyword(parameter: &str) -> (String, Option<&str>) {
    match parameter.split_once('=') {
        Some((name, value)) => (name.to_ascii_uppercase(), Some(value)),
        None => (parameter.to_ascii_uppercase(), None),
    }
}

/// Up to 20 digits (RFC 1870, section 3), which may be more than 64 bits: too large
/// either way.
fn size(value: &str) -> Option<u64> {
    let sound = (1..=20).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit());
    sound.then(|| value.parse().unwrap_or(u64::MAX))
}

fn body(value: &str) -> Option<Body> {
    [Body::SevenBit, Body::EightBitMime]
        .into_iter()
        .find(|body| body.as_str().eq_ignore_ascii_case(value))
}

#[cfg(test)]
mod tests;
