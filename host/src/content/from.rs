//! The addresses of the header From (RFC 5322, sections 3.4, 3.6.2 and 4.4).
//!
//! **Nothing that the sender writes hides an address behind another**: every `From`
//! field counts, every member of a list or group, folded, commented and in its obsolete
//! forms. **What is no address counts as none**, and is passed over: the next one is
//! read all the same. Names are never taken for addresses, whatever they say.
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

impl Content {
    /// The addresses of its header From, each once; at most [`MAX_ADDRESSES`].
    pub fn header_from(&self) -> Vec<Mailbox> {
        addresses(self.front())
    }
}

fn addresses(front: &[u8]) -> Vec<Mailbox> {
    let mut found = Vec::new();
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
    in_angle: bool,
    /// What stood before was in angle brackets: the rest of this member is no address.
    had_angle: bool,
}

impl List {
    fn read(mut self, value: &str, found: &mut Vec<Mailbox>) {
        let mut rest = value.chars();
        while let Some(part) = next_part(&mut rest) {
            if found.len() >= MAX_ADDRESSES {
                return;
            }
            self.take(part, found);
        }
        self.end_member(found);
    }

    fn take(&mut self, part: Part, found: &mut Vec<Mailbox>) {
        match part {
            Part::Special('<') => {
                self.clear();
                self.in_angle = true;
            }
            Part::Special('>') if self.in_angle => {
                self.end_address(found);
                self.in_angle = false;
                self.had_angle = true;
            }
            // The end of an obsolete route, or of a group's name.
            Part::Special(':') => self.clear(),
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
    fn end_member(&mut self, found: &mut Vec<Mailbox>) {
        if self.in_angle || !self.had_angle {
            self.end_address(found);
        }
        self.clear();
        (self.in_angle, self.had_angle) = (false, false);
    }

    fn end_address(&mut self, found: &mut Vec<Mailbox>) {
        let address = match self.too_many {
            false => address(&self.parts),
            true => None,
        };
        if let Some(address) = address.filter(|address| !found.contains(address)) {
            found.push(address);
        }
        self.clear();
    }

    fn clear(&mut self) {
        self.parts.clear();
        self.too_many = false;
    }
}

/// The next part; none at the end.
fn next_part(rest: &mut Chars<'_>) -> Option<Part> {
    loop {
        let first = rest.next()?;
        return Some(match first {
            c if c.is_ascii_whitespace() => continue,
            '(' => {
                skip_comment(rest);
                continue;
            }
            '"' => Part::Quoted(quoted(rest)),
            '[' => Part::Atom(literal(rest)),
            '<' | '>' | ',' | ';' | ':' | '@' | '.' => Part::Special(first),
            _ => Part::Atom(atom(first, rest)),
        });
    }
}

/// Comments nest (RFC 5322, section 3.2.2); one that does not end takes all that is left.
fn skip_comment(rest: &mut Chars<'_>) {
    let mut depth = 1_usize;
    while depth > 0 {
        match rest.next() {
            Some('\\') => {
                rest.next();
            }
            Some('(') => depth += 1,
            Some(')') => depth -= 1,
            Some(_) => {}
            None => return,
        }
    }
}

/// What is longer than an address is kept no longer: it is none.
fn keep(kept: &mut String, c: char) {
    if kept.len() <= MAX_PATH {
        kept.push(c);
    }
}

fn quoted(rest: &mut Chars<'_>) -> String {
    let mut kept = String::new();
    while let Some(c) = rest.next() {
        match c {
            '"' => break,
            '\\' => rest.next().into_iter().for_each(|c| keep(&mut kept, c)),
            // Folding is no part of what is quoted.
            '\r' | '\n' => {}
            c => keep(&mut kept, c),
        }
    }
    kept
}

fn literal(rest: &mut Chars<'_>) -> String {
    let mut kept = String::from("[");
    for c in rest.by_ref() {
        if !c.is_ascii_whitespace() {
            keep(&mut kept, c);
        }
        if c == ']' {
            break;
        }
    }
    kept
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
    let (local, domain) = (dotted(&parts[..at])?, dotted(&parts[at + 1..])?);
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
