//! Replies, and the one place where refusals get their codes and words.
//!
//! Codes are those of RFC 5321 section 4.2 with the enhanced codes of RFC 3463.

use std::borrow::Cow;

use super::chunk::{MAX_SMALL, SMALL};
use super::command::{CommandError, Foreign};
use super::data::ContentFault;
use super::line::{LineFault, MAX_LINE};
use crate::content::{FRONT, MAX_ADDRESSES};
use crate::decision::Refusal;
use crate::deliver::{Capability, DeliveryError, Ending, RelayError};
use crate::facts::ReceiptId;
use crate::listen::Limit;
use crate::receipt::RelayCause;

/// Longest text of a reply line: 512 octets less code, enhanced code and CRLF
/// (RFC 5321, section 4.5.3.1.5).
const MAX_TEXT: usize = 490;

/// What a receipt's id and its brackets take of that.
const ID_TEXT: usize = 30;

/// Most names of a certificate that a reply shows: enough to see whose it is.
const SHOWN_NAMES: usize = 3;

/// A reply of one or more lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    enhanced: Cow<'static, str>,
    lines: Vec<Cow<'static, str>>,
}

impl Reply {
    /// A reply of one line; `enhanced` is empty where there is no such code.
    pub fn new(
        code: u16,
        enhanced: impl Into<Cow<'static, str>>,
        text: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            code,
            enhanced: enhanced.into(),
            lines: vec![text.into()],
        }
    }

    /// A reply of several lines.
    pub fn lines(
        code: u16,
        enhanced: impl Into<Cow<'static, str>>,
        lines: Vec<Cow<'static, str>>,
    ) -> Self {
        Self {
            code,
            enhanced: enhanced.into(),
            lines,
        }
    }

    /// The three digits.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// Whether it says yes (2yz or 3yz).
    pub fn is_positive(&self) -> bool {
        self.code < 400
    }

    /// Writes it as it goes over the wire.
    pub fn write(&self, out: &mut Vec<u8>) {
        let frame = "250- \r\n".len() + self.enhanced.len();
        let lengths = self.lines.iter().map(|line| frame + line.len());
        // Once for all of it: a session that waits keeps no room for replies.
        out.reserve(lengths.sum());
        for (index, line) in self.lines.iter().enumerate() {
            let is_last = index + 1 == self.lines.len();
            out.extend_from_slice(&self.digits());
            out.push(if is_last { b' ' } else { b'-' });
            self.write_line(line, out);
            out.extend_from_slice(b"\r\n");
        }
    }

    fn digits(&self) -> [u8; 3] {
        // A code has three, so each of these is less than ten.
        [100, 10, 1].map(|place| b'0' + (self.code / place % 10) as u8)
    }

    fn write_line(&self, line: &str, out: &mut Vec<u8>) {
        if !self.enhanced.is_empty() {
            out.extend_from_slice(self.enhanced.as_bytes());
            out.push(b' ');
        }
        out.extend_from_slice(printable(line).as_bytes());
    }
}

/// For receipts and logs: the lines, joined.
impl std::fmt::Display for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ", self.code)?;
        if !self.enhanced.is_empty() {
            write!(f, "{} ", self.enhanced)?;
        }
        let joined;
        let text = match self.lines.as_slice() {
            [only] => only.as_ref(),
            lines => {
                joined = lines.join(" / ");
                joined.as_str()
            }
        };
        f.write_str(&printable(text))
    }
}

/// Replies are ASCII without controls, whatever text went into them.
fn printable(text: &str) -> Cow<'_, str> {
    if text.len() <= MAX_TEXT && text.bytes().all(|octet| matches!(octet, b' '..=b'~')) {
        return text.into();
    }
    let shown = |c: char| if (' '..='~').contains(&c) { c } else { '?' };
    text.chars().map(shown).take(MAX_TEXT).collect()
}

/// Refuses a recipient. Ends with the receipt's id, so that a bounce leads to it.
pub fn refused(refusal: &Refusal, contact: Option<&str>, receipt: ReceiptId) -> Reply {
    let (code, enhanced, text) = refusal_text(refusal);
    let with_id = |text: &str| Cow::from(with_receipt(text, Some(receipt)));
    let lines = match contact {
        Some(contact) => vec![Cow::from(text), with_id(contact)],
        None => vec![with_id(&text)],
    };
    Reply::lines(code, enhanced, lines)
}

fn refusal_text(refusal: &Refusal) -> (u16, &'static str, String) {
    let permanent = |text: String| (550, "5.7.1", text);
    match refusal {
        Refusal::Plaintext => (530, "5.7.0", "Must issue a STARTTLS command first".into()),
        Refusal::PlaintextOnly => permanent("This route requires encryption (TLS)".into()),
        Refusal::TlsUnavailable => (451, "4.7.0", "TLS temporarily not available".into()),
        Refusal::ClaimedTls => permanent(
            "This route requires encryption (TLS) up to this host; that of the proxy in front \
             of it does not count here"
                .into(),
        ),
        Refusal::Version { found, required } => permanent(format!(
            "This route requires {required}; this session is {found}"
        )),
        Refusal::NotPostQuantum { found } => permanent(format!(
            "This route requires a post-quantum key exchange; this session has {}",
            found.as_deref().unwrap_or("an unknown one")
        )),
        Refusal::NoCertificate { asked: true } => {
            permanent("This route requires a client certificate".into())
        }
        Refusal::NoCertificate { asked: false } => permanent(
            "This route requires a client certificate, and this port does not ask for one".into(),
        ),
        Refusal::ClaimedCertificate => permanent(
            "This route requires a client certificate; yours went to the proxy in front of \
             this host, which has not seen it"
                .into(),
        ),
        Refusal::Untrusted { detail } => permanent(format!(
            "This route requires a trusted client certificate; yours is not: {detail}"
        )),
        Refusal::WrongName { required, found } => permanent(format!(
            "This route requires a client certificate for {required}; yours is for {}",
            names(found)
        )),
        Refusal::PinMismatch { found } => permanent(format!(
            "This route requires a pinned client certificate; the key of yours is {found}"
        )),
        Refusal::PolicyFailed => (451, "4.3.0", "Policy temporarily unavailable".into()),
    }
}

/// Receipts are not taken, and so many wait that those of another recipient have no room.
pub fn no_room_for_receipts() -> Reply {
    Reply::new(
        451,
        "4.3.0",
        "Receipts cannot be kept just now, please try again later",
    )
}

/// A header From that policies have to read and cannot.
pub fn unreadable_from(receipt: ReceiptId) -> Reply {
    let text = format!(
        "The From field is not a list of at most {MAX_ADDRESSES} addresses, and policies here have to read it"
    );
    Reply::new(550, "5.6.0", with_receipt(&text, Some(receipt)))
}

fn names(found: &[String]) -> String {
    match found {
        [] => "no DNS name".into(),
        found if found.len() <= SHOWN_NAMES => found.join(", "),
        found => format!(
            "{} and {} more",
            found[..SHOWN_NAMES].join(", "),
            found.len() - SHOWN_NAMES
        ),
    }
}

/// Nobody here owns the recipient's domain.
pub fn relaying_denied(because: &RelayCause, receipt: Option<ReceiptId>) -> Reply {
    let text = match because {
        RelayCause::Foreign => "Relaying denied",
        RelayCause::NoTarget { .. } => {
            "Relaying denied: the sender's tenant has no outbound target here"
        }
        RelayCause::Unclear => {
            "Relaying denied: several tenants send from here, and the null sender is none of theirs"
        }
    };
    Reply::new(550, "5.7.1", with_receipt(text, receipt))
}

/// A line that is no command.
pub fn bad_command(error: &CommandError) -> Reply {
    let (code, enhanced) = match error {
        CommandError::Unknown | CommandError::Foreign(_) => (500, "5.5.1"),
        CommandError::NotImplemented => (502, "5.5.1"),
        CommandError::NotText => (500, "5.5.2"),
        CommandError::Syntax(_) | CommandError::Bdat => (501, "5.5.4"),
        CommandError::Sender(_) => (501, "5.1.7"),
        CommandError::Recipient(_) => (501, "5.1.3"),
        CommandError::BadParameter(_) => (501, "5.5.4"),
        CommandError::UnknownParameter(_) => (555, "5.5.4"),
    };
    Reply::new(code, enhanced, capitalised(error.to_string()))
}

/// Another protocol than SMTP. The session ends with it.
pub fn foreign(protocol: Foreign) -> Reply {
    let text = match protocol {
        Foreign::Proxy => "No PROXY header is taken here; closing connection",
        Foreign::Http => "This is SMTP and not HTTP; closing connection",
    };
    Reply::new(500, "5.5.1", text)
}

/// Octets that are no line. The session ends with it.
pub fn bad_line(fault: LineFault) -> Reply {
    match fault {
        LineFault::TooLong => Reply::new(
            500,
            "5.5.2",
            format!("Line over {MAX_LINE} octets; closing connection"),
        ),
        LineFault::BareNewline => Reply::new(
            500,
            "5.5.2",
            "Bare CR or LF: lines end with CRLF; closing connection",
        ),
    }
}

/// Commands in error, or to no purpose, beyond the limit. The session ends with it.
pub fn too_many_errors() -> Reply {
    limited(Limit::Errors)
}

/// Octets behind a command whose answer the client must wait for. The session ends
/// with it.
pub fn pipelined() -> Reply {
    Reply::new(
        554,
        "5.5.1",
        "Wait for the reply before you send more; closing connection",
    )
}

/// A client that talks before it is greeted (RFC 5321, section 3.1).
pub fn early() -> Reply {
    Reply::new(
        554,
        "5.5.1",
        "You must wait for the greeting; closing connection",
    )
}

/// The host is stopping. The session ends with it.
pub fn shutting_down() -> Reply {
    Reply::new(
        421,
        "4.3.2",
        "Service shutting down, please try again later",
    )
}

/// A limit is reached. No session begins, or the session ends with it.
pub fn limited(limit: Limit) -> Reply {
    let (enhanced, text) = match limit {
        Limit::Sessions => ("4.3.2", "Too many sessions, please try again later"),
        Limit::MakeRoom => (
            "4.3.2",
            "Making room for other clients, please try again later",
        ),
        Limit::ClientSessions => (
            "4.7.0",
            "Too many sessions from your address, please try again later",
        ),
        Limit::NetworkSessions => (
            "4.7.0",
            "Too many sessions from your network, please try again later",
        ),
        Limit::ClientSessionRate => (
            "4.7.0",
            "Too many new sessions from your address, please try again later",
        ),
        Limit::ClientHandshakeRate => (
            "4.7.0",
            "Too many TLS handshakes from your address, please try again later",
        ),
        Limit::Errors => ("4.7.0", "Too many errors, closing connection"),
    };
    Reply::new(421, enhanced, text)
}

/// The client took too long. The session ends with it.
pub fn timeout() -> Reply {
    Reply::new(421, "4.4.2", "Timeout, closing connection")
}

/// Content that is refused as a whole; the receipt is that of the first recipient.
pub fn bad_content(fault: ContentFault, limit: u64, receipt: Option<ReceiptId>) -> Reply {
    let (code, enhanced, text) = match fault {
        ContentFault::TooLarge => (
            552,
            "5.3.4",
            format!("Message over the limit of {limit} octets"),
        ),
        ContentFault::BareNewline => (
            550,
            "5.5.2",
            "Bare CR or LF in the message: lines end with CRLF".into(),
        ),
        ContentFault::Nul => (550, "5.6.0", "NUL in the message".into()),
        ContentFault::LongHeader => (
            552,
            "5.3.4",
            format!("Header section over the limit of {FRONT} octets"),
        ),
        ContentFault::TooManyChunks => (
            550,
            "5.5.0",
            format!("Over {MAX_SMALL} chunks of less than {SMALL} octets"),
        ),
        ContentFault::NotKept => (
            451,
            "4.3.0",
            "Message not stored, please try again later".into(),
        ),
        ContentFault::NoRoom => (
            452,
            "4.3.1",
            "No room for the message just now, please try again later".into(),
        ),
    };
    Reply::new(code, enhanced, with_receipt(&text, receipt))
}

/// A recipient who does not get the message, or not now; the receipt is that of the
/// first recipient concerned. A next hop's refusal keeps its code and its words.
pub fn undelivered(error: &DeliveryError, receipt: Option<ReceiptId>) -> Reply {
    let (code, enhanced, text): (u16, Cow<'static, str>, String) = match error {
        DeliveryError::Loop { .. } => (554, "5.4.6".into(), capitalised(error.to_string())),
        DeliveryError::Storage { .. }
        | DeliveryError::Timeout { .. }
        | DeliveryError::UnderWay
        | DeliveryError::Unnamed
        | DeliveryError::Lost(_) => (
            451,
            "4.3.0".into(),
            "Message not stored, please try again later".into(),
        ),
        DeliveryError::Apart | DeliveryError::OneTenant => (
            452,
            "4.5.3".into(),
            "Please send this recipient separately".into(),
        ),
        DeliveryError::Relay { source, .. } => of_next_hop(source),
    };
    Reply::new(code, enhanced, with_receipt(&text, receipt))
}

fn of_next_hop(error: &RelayError) -> (u16, Cow<'static, str>, String) {
    let lacks = |enhanced: &'static str, text: &str| (550, enhanced.into(), text.into());
    match error {
        RelayError::Refused(reply) => {
            // 421 would say that this session ends, too.
            let code = if reply.code == 421 { 451 } else { reply.code };
            let generic = if code >= 500 { "5.0.0" } else { "4.0.0" };
            let enhanced = reply.enhanced.clone().map_or(generic.into(), Cow::from);
            (code, enhanced, reply.text.clone())
        }
        RelayError::Lacks(Capability::EightBitMime) => lacks(
            "5.6.3",
            "The next hop does not offer 8BITMIME, which this message needs",
        ),
        RelayError::Lacks(Capability::SmtpUtf8) => lacks(
            "5.6.7",
            "The next hop does not offer SMTPUTF8, which this message needs",
        ),
        RelayError::Lacks(Capability::RequireTls) => lacks(
            "5.7.30",
            "The next hop does not offer REQUIRETLS, which this message needs",
        ),
        RelayError::Unavailable { .. } | RelayError::Unanswered { .. } => (
            451,
            "4.4.1".into(),
            "Next hop not available, please try again later".into(),
        ),
    }
}

/// The reply to the end of data: one for all recipients.
pub fn delivered(ending: &Ending, receipt: Option<ReceiptId>) -> Reply {
    match ending {
        Ending::Delivered => Reply::new(250, "2.0.0", with_receipt("Ok: delivered", receipt)),
        Ending::Failed(error) => undelivered(error, receipt),
        Ending::Mixed => Reply::new(
            451,
            "4.3.0",
            with_receipt(
                "Not delivered to every recipient, please try again later",
                receipt,
            ),
        ),
    }
}

/// Ends with the receipt's id, whatever the length of the text.
fn with_receipt(text: &str, receipt: Option<ReceiptId>) -> String {
    let kept: String = text.chars().take(MAX_TEXT - ID_TEXT).collect();
    match receipt {
        Some(receipt) => format!("{kept} [{receipt}]"),
        None => kept,
    }
}

fn capitalised(text: String) -> String {
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(reply: &Reply) -> String {
        let mut out = Vec::new();
        reply.write(&mut out);
        String::from_utf8(out).expect("replies are ASCII")
    }

    #[test]
    fn several_lines() {
        let reply = Reply::lines(250, "", vec!["mx.example".into(), "PIPELINING".into()]);
        assert_eq!(wire(&reply), "250-mx.example\r\n250 PIPELINING\r\n");
    }

    #[test]
    fn texts_cannot_break_a_line_or_the_limit() {
        let evil = Refusal::Untrusted {
            detail: format!("a\r\n250 ok\u{1f4a3}{}", "x".repeat(600)),
        };
        let id = ReceiptId::new(std::time::UNIX_EPOCH);
        let text = wire(&refused(&evil, None, id));
        assert!(text.ends_with(&format!("[{id}]\r\n")), "{text}");
        assert_eq!(text.matches("\r\n").count(), 1);
        assert!(text.len() <= 512, "{}", text.len());
    }

    #[test]
    fn any_text_is_cut_to_what_a_line_may_have() {
        let letters = |count| "x".repeat(count);
        for (text, shown) in [
            (letters(MAX_TEXT), letters(MAX_TEXT)),
            (letters(MAX_TEXT + 1), letters(MAX_TEXT)),
            (
                format!("\u{e9}{}", letters(MAX_TEXT)),
                format!("?{}", letters(MAX_TEXT - 1)),
            ),
            ("a \t~\u{7f}".to_owned(), "a ?~?".to_owned()),
        ] {
            let reply = Reply::new(250, "2.0.0", text);
            assert_eq!(wire(&reply), format!("250 2.0.0 {shown}\r\n"));
            assert_eq!(reply.to_string(), format!("250 2.0.0 {shown}"));
        }
    }

    #[test]
    fn a_contact_stands_before_the_receipt() {
        let id = ReceiptId::new(std::time::UNIX_EPOCH);
        let text = wire(&refused(
            &Refusal::Plaintext,
            Some("see https://a.example/tls"),
            id,
        ));
        assert_eq!(
            text,
            format!(
                "530-5.7.0 Must issue a STARTTLS command first\r\n530 5.7.0 see https://a.example/tls [{id}]\r\n"
            )
        );
    }
}
