//! The addresses of the header From (RFC 5322, sections 3.4, 3.6.2 and 4.4).
//!
//! **Nothing that the sender writes hides an address behind another**: every `From`
//! field counts, every member of a list or group, folded, commented and in its obsolete
//! forms. **What is no address counts as none**, and is passed over: the next one is
//! read all the same, and where something may have been meant as an address, or there
//! was too much to read, that is said. Names are never taken for addresses, whatever they
//! say.
//!
//! One pass without recursion, in memory that does not grow with the field: a phrase, a
//! comment or a list may be as long as a header section.

use std::str::Chars;

use super::{Content, header};
use crate::address::{MAX_PATH, Mailbox};

/// Most addresses that are read. Real mail has one, rarely some; receipts keep them all,
/// for each recipient.
pub const MAX_ADDRESSES: usize = 16;

/// Most parts of one address: an octet each at least.
const MAX_PARTS: usize = MAX_PATH;

/// What the `From` fields of a message say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderFrom {
    /// Their addresses, each once; at most [`MAX_ADDRESSES`].
    pub addresses: Vec<Mailbox>,
    /// There are more, or something with an `@` that cannot be read as an address and may
    /// be shown to people as one.
    pub unreadable: bool,
}

impl Content {
    /// What its header From says.
    pub fn header_from(&self) -> HeaderFrom {
        read(self.front())
    }
}

fn read(front: &[u8]) -> HeaderFrom {
    let mut found = HeaderFrom::default();
    for range in header::fields(front) {
        let field = &front[range];
        let Some(name) = header::name(field) else {
            continue;
        };
        if name.eq_ignore_ascii_case(b"From") {
            let text = String::from_utf8_lossy(&field[name.len()..]);
            let (_, value) = text.split_once(':').unwrap_or_default();
            List::default().read(value, &mut found);
        }
    }
    found
}

/// A part of an address list; comments and white space between parts are none.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// Characters that mean nothing but themselves, a domain literal among them.
    Atom(String),
    /// What stands between quotes, without them and their escapes.
    Quoted(String),
    /// One of `<>,;:@.` and `.`.
    Special(char),
}

/// Where the reading of a list stands.
#[derive(Debug, Default)]
struct List {
    /// Parts of what may become an address: a bare one, or what is in angle brackets.
    parts: Vec<Part>,
    /// There are more than an address has.
    too_many: bool,
    /// There is an `@` among them, kept or not.
    has_at: bool,
    in_angle: bool,
    /// What stood before was in angle brackets: the rest of this member is no address.
    had_angle: bool,
}

impl List {
    fn read(mut self, value: &str, found: &mut HeaderFrom) {
        let mut rest = Rest::of(value);
        while let Some(part) = rest.next_part() {
            self.take(part, found);
        }
        self.end_member(found);
        found.unreadable |= rest.hides_an_at;
    }

    fn take(&mut self, part: Part, found: &mut HeaderFrom) {
        self.has_at |= part.has_at();
        match part {
            // What stands before it is a name, or an address that was never closed.
            Part::Special('<') => {
                found.unreadable |= self.in_angle && self.has_at;
                self.clear();
                self.in_angle = true;
            }
            Part::Special('>') if self.in_angle => {
                self.end_address(found);
                self.in_angle = false;
                self.had_angle = true;
            }
            // The end of an obsolete route, or of a group's name.
            Part::Special(':') => {
                found.unreadable |= self.has_at && !self.begins_route();
                self.clear();
            }
            // Routes have commas, too.
            Part::Special(',') if self.in_angle && self.begins_route() => {}
            Part::Special(',' | ';') => self.end_member(found),
            part if self.parts.len() < MAX_PARTS => self.parts.push(part),
            _ => self.too_many = true,
        }
    }

    fn begins_route(&self) -> bool {
        self.parts.first() == Some(&Part::Special('@'))
    }

    /// A bracket that was never closed ends here, too.
    fn end_member(&mut self, found: &mut HeaderFrom) {
        if self.in_angle || !self.had_angle {
            self.end_address(found);
        }
        found.unreadable |= self.has_at;
        self.clear();
        (self.in_angle, self.had_angle) = (false, false);
    }

    fn end_address(&mut self, found: &mut HeaderFrom) {
        let address = match self.too_many {
            false => address(&self.parts),
            true => None,
        };
        match address {
            None => found.unreadable |= self.has_at,
            Some(known) if found.addresses.contains(&known) => {}
            Some(_) if found.addresses.len() >= MAX_ADDRESSES => found.unreadable = true,
            Some(new) => found.addresses.push(new),
        }
        self.clear();
    }

    fn clear(&mut self) {
        self.parts.clear();
        (self.too_many, self.has_at) = (false, false);
    }
}

impl Part {
    /// Whether it may be of an address: where `@` is quoted it is of a name, or of a local
    /// part with an `@` behind it.
    fn has_at(&self) -> bool {
        match self {
            Self::Atom(text) => text.contains('@'),
            Self::Quoted(_) => false,
            Self::Special(c) => *c == '@',
        }
    }
}

/// What is left of a field to read.
struct Rest<'a> {
    text: Chars<'a>,
    /// A quote, comment or literal took all that was left, and an `@` with it.
    hides_an_at: bool,
}

impl<'a> Rest<'a> {
    fn of(value: &'a str) -> Self {
        Self {
            text: value.chars(),
            hides_an_at: false,
        }
    }

    /// The next part; none at the end.
    fn next_part(&mut self) -> Option<Part> {
        loop {
            let first = self.text.next()?;
            return Some(match first {
                c if c.is_ascii_whitespace() => continue,
                '(' => {
                    self.delimited(|rest| ((), skip_comment(rest)));
                    continue;
                }
                '"' => Part::Quoted(self.delimited(quoted)),
                '[' => Part::Atom(self.delimited(literal)),
                '<' | '>' | ',' | ';' | ':' | '@' | '.' => Part::Special(first),
                _ => Part::Atom(atom(first, &mut self.text)),
            });
        }
    }

    /// Reads something that has an end of its own; `read` says whether it found it.
    fn delimited<T>(&mut self, read: impl FnOnce(&mut Chars<'a>) -> (T, bool)) -> T {
        let before = self.text.as_str();
        let (found, ended) = read(&mut self.text);
        self.hides_an_at |= !ended && before.contains('@');
        found
    }
}

/// Comments nest (RFC 5322, section 3.2.2); one that does not end takes all that is left.
fn skip_comment(rest: &mut Chars<'_>) -> bool {
    let mut depth = 1_usize;
    while depth > 0 {
        match rest.next() {
            Some('\\') => {
                rest.next();
            }
            Some('(') => depth += 1,
            Some(')') => depth -= 1,
            Some(_) => {}
            None => return false,
        }
    }
    true
}

/// What is longer than an address is kept no longer: it is none.
fn keep(kept: &mut String, c: char) {
    if kept.len() <= MAX_PATH {
        kept.push(c);
    }
}

fn quoted(rest: &mut Chars<'_>) -> (String, bool) {
    let mut kept = String::new();
    while let Some(c) = rest.next() {
        match c {
            '"' => return (kept, true),
            '\\' => rest.next().into_iter().for_each(|c| keep(&mut kept, c)),
            // Folding is no part of what is quoted.
            '\r' | '\n' => {}
            c => keep(&mut kept, c),
        }
    }
    (kept, false)
}

fn literal(rest: &mut Chars<'_>) -> (String, bool) {
    let mut kept = String::from("[");
    for c in rest.by_ref() {
        if !c.is_ascii_whitespace() {
            keep(&mut kept, c);
        }
        if c == ']' {
            return (kept, true);
        }
    }
    (kept, false)
}

fn atom(first: char, rest: &mut Chars<'_>) -> String {
    let mut kept = String::from(first);
    loop {
        let mut ahead = rest.clone();
        match ahead.next() {
            Some(c) if !c.is_ascii_whitespace() && !"()\"[<>,;:@.".contains(c) => {
                keep(&mut kept, c);
                *rest = ahead;
            }
            Some(_) | None => return kept,
        }
    }
}

/// The address that these parts are, if they are one.
fn address(parts: &[Part]) -> Option<Mailbox> {
    let at = parts.iter().position(|part| *part == Part::Special('@'))?;
    let domain = &parts[at + 1..];
    // The root may be written, as in an envelope.
    let domain = domain.strip_suffix(&[Part::Special('.')]).unwrap_or(domain);
    let (local, domain) = (dotted(&parts[..at])?, dotted(domain)?);
    let local = match local.iter().all(|part| matches!(part, Part::Atom(_))) {
        true => joined(&local),
        false => format!("\"{}\"", escaped(&joined(&local))),
    };
    let bare = domain.iter().all(|part| matches!(part, Part::Atom(_)));
    let text = format!("{local}@{}", joined(&domain));
    // What is no UTF-8 was read as something that nobody wrote.
    let sound = bare && !text.contains(char::REPLACEMENT_CHARACTER);
    text.parse().ok().filter(|_| sound)
}

/// The words of a sequence in which a dot stands between each two of them, and nothing
/// else.
fn dotted(parts: &[Part]) -> Option<Vec<&Part>> {
    let words: Vec<&Part> = parts.iter().step_by(2).collect();
    let mut dots = parts.iter().skip(1).step_by(2);
    let are_words = words.iter().all(|part| !matches!(part, Part::Special(_)));
    let sound = are_words && dots.all(|part| *part == Part::Special('.'));
    (sound && parts.len() % 2 == 1).then_some(words)
}

fn joined(words: &[&Part]) -> String {
    let texts = words.iter().map(|part| match part {
        Part::Atom(text) | Part::Quoted(text) => text.clone(),
        Part::Special(c) => c.to_string(),
    });
    texts.collect::<Vec<_>>().join(".")
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests;
