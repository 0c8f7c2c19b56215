//! Erasing a person's address from receipts: a mark stands in its place. Pure.
//!
//! Wherever in an event the address is, it is found in the ways in which it is written:
//! in any case, its local part in quotes or not, its domain as A-labels or U-labels. What
//! is another's address is left, also where this one is a part of it.

use serde_json::Value as Json;

use super::filter::parts;
use super::read::Receipt;
use crate::address::Mailbox;
use crate::digest::Digest;

/// What stands in the place of an erased address: an address that nobody can have (RFC
/// 2606, section 2), so that receipts stay what they are.
pub const MARK: &str = "erased@erased.invalid";

/// Finds one address.
#[derive(Clone, Debug)]
pub struct Eraser {
    /// Every way in which it is written, in lower case; the last is the plainest.
    forms: Vec<String>,
    digest: Digest,
}

impl Eraser {
    /// For this address.
    pub fn new(address: &Mailbox) -> Self {
        let (domain, local) = parts(Some(address));
        let bare = unquoted(&local);
        let quoted = format!("\"{}\"", bare.replace('\\', "\\\\").replace('"', "\\\""));
        let (shown, sound) = idna::domain_to_unicode(&domain);
        let shown = if sound.is_ok() { shown } else { domain.clone() };
        let mut forms: Vec<String> = [&local, &bare, &quoted]
            .iter()
            .flat_map(|local| [&domain, &shown].map(|domain| format!("{local}@{domain}")))
            .map(|form| form.to_ascii_lowercase())
            .collect();
        forms.sort();
        forms.dedup();
        Self {
            digest: Digest::of(format!("{bare}@{domain}").as_bytes()),
            forms,
        }
    }

    /// SHA-256 of the address in lower case, its local part without quotes: what the audit
    /// has of it.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Whether it is this one: a domain, and a local part in lower case.
    pub fn is(&self, domain: &str, local: &str) -> bool {
        let form = format!("{local}@{domain}").to_ascii_lowercase();
        self.forms.contains(&form)
    }

    /// Whether a text may have the address in it; one that does not has not.
    pub fn may_be_in(&self, text: &str) -> bool {
        let text = text.to_ascii_lowercase();
        // Quotes are escaped in JSON.
        let mut ends = self.forms.iter().filter_map(|form| form.rsplit_once('@'));
        ends.any(|(_, domain)| text.contains(domain))
    }

    /// Puts the mark in its place in every text of an event; whether there was one.
    pub fn erase(&self, event: &mut Json) -> bool {
        match event {
            Json::String(text) => match self.erased(text) {
                Some(erased) => {
                    *text = erased;
                    true
                }
                None => false,
            },
            Json::Array(values) => self.erase_all(values.iter_mut()),
            Json::Object(values) => self.erase_all(values.values_mut()),
            Json::Null | Json::Bool(_) | Json::Number(_) => false,
        }
    }

    fn erase_all<'a>(&self, events: impl Iterator<Item = &'a mut Json>) -> bool {
        // In all of them, and not in the first alone.
        events
            .map(|event| self.erase(event))
            .filter(|found| *found)
            .count()
            > 0
    }

    /// The text with the mark in its place; none where it is not there.
    fn erased(&self, text: &str) -> Option<String> {
        if let Ok(address) = text.parse::<Mailbox>() {
            let (domain, local) = parts(Some(&address));
            return self.is(&domain, &local).then(|| MARK.to_owned());
        }
        let mut erased = String::with_capacity(text.len());
        let lower = text.to_ascii_lowercase();
        let mut from = 0;
        while let Some((start, end)) = self.next(&lower, from) {
            erased.push_str(&text[from..start]);
            erased.push_str(MARK);
            from = end;
        }
        (from > 0).then(|| erased + &text[from..])
    }

    /// Where it is next, from there on.
    fn next(&self, lower: &str, from: usize) -> Option<(usize, usize)> {
        let places = self.forms.iter().flat_map(|form| {
            let found = lower[from..].match_indices(form.as_str());
            found.map(|(at, form)| (from + at, from + at + form.len()))
        });
        places
            .filter(|(start, end)| stands_alone(&lower[..*start], &lower[*end..]))
            .min_by_key(|(start, end)| (*start, std::cmp::Reverse(*end)))
    }
}

/// Whether what is between these is no part of another address. An apostrophe may be in
/// one, and is a quotation mark more often.
fn stands_alone(before: &str, after: &str) -> bool {
    let joins = |c: char| c.is_alphanumeric() || "!#$%&*+-/=?^_`{|}~.".contains(c);
    let mut after = after.chars();
    let goes_on = match after.next() {
        Some('.' | '-') => after.next().is_some_and(char::is_alphanumeric),
        Some(c) => c.is_alphanumeric() || c == '_',
        None => false,
    };
    !before.ends_with(joins) && !goes_on
}

/// The local part that a quoted string means (RFC 5321, section 4.1.2).
fn unquoted(local: &str) -> String {
    let inner = local.strip_prefix('"').and_then(|l| l.strip_suffix('"'));
    let Some(inner) = inner else {
        return local.to_owned();
    };
    let (mut bare, mut characters) = (String::new(), inner.chars());
    while let Some(c) = characters.next() {
        bare.extend(if c == '\\' {
            characters.next()
        } else {
            Some(c)
        });
    }
    bare
}

impl Receipt {
    /// Whether an address that decided about it was erased.
    pub fn is_erased(&self) -> bool {
        let is_mark = |address: &Mailbox| address.to_string() == MARK;
        match self {
            Self::Decided(first, second, _) => [Some(first), second.as_ref()]
                .into_iter()
                .flatten()
                .any(|event| {
                    let facts = &event.facts;
                    let envelope = facts.sender.iter().chain([&facts.recipient]);
                    envelope.chain(&facts.header_from).any(is_mark)
                }),
            Self::Relay(relay) => relay.sender.iter().chain([&relay.recipient]).any(is_mark),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn eraser(address: &str) -> Eraser {
        Eraser::new(&address.parse().expect("an address"))
    }

    #[test]
    fn the_address_is_found_in_whatever_way_it_is_written() {
        let amy = eraser("Amy@Bücher.example");
        for (text, erased) in [
            ("amy@xn--bcher-kva.example", "erased@erased.invalid"),
            ("AMY@bücher.EXAMPLE", "erased@erased.invalid"),
            ("\"amy\"@xn--bcher-kva.example", "erased@erased.invalid"),
            (
                "550 5.1.1 <amy@xn--bcher-kva.example>: no such user",
                "550 5.1.1 <erased@erased.invalid>: no such user",
            ),
            (
                "'amy@bücher.example', amy@bücher.example. Amy@bücher.example-",
                "'erased@erased.invalid', erased@erased.invalid. erased@erased.invalid-",
            ),
            (
                "mailto:amy@bücher.example?x",
                "mailto:erased@erased.invalid?x",
            ),
        ] {
            assert_eq!(amy.erased(text).as_deref(), Some(erased), "{text}");
            assert!(amy.may_be_in(text), "{text}");
        }
    }

    #[test]
    fn what_is_another_address_stays() {
        let amy = eraser("amy@partner.example");
        for text in [
            "tammy@partner.example",
            "bounces+amy@partner.example",
            "<x.amy@partner.example>",
            "amy@partner.example.org",
            "amy@partner.example-mail.org",
            "amy at partner.example",
            "o'amy@partner.example",
            "",
        ] {
            assert_eq!(amy.erased(text), None, "{text}");
        }
    }

    #[test]
    fn quotes_that_mean_nothing_are_no_other_address() {
        let plain = eraser("amy@a.example");
        let quoted = eraser("\"amy\"@a.example");
        assert_eq!(plain.digest(), quoted.digest());
        let spaced = eraser("\"a b\"@a.example");
        let text = "to <\"A B\"@a.example>";
        assert_eq!(
            spaced.erased(text).as_deref(),
            Some("to <erased@erased.invalid>")
        );
        assert_eq!(plain.erased(text), None);
    }

    #[test]
    fn it_is_erased_wherever_it_is_in_an_event() {
        let amy = eraser("amy@partner.example");
        let mut event = json!({
            "facts": { "sender": "amy@partner.example", "header_from": ["ben@a.example", "amy@partner.example"] },
            "reply": "550 <amy@partner.example> [id]",
            "micros": 7,
            "amy@partner.example": null,
        });
        assert!(amy.erase(&mut event));
        assert!(!amy.erase(&mut event), "there is no more");
        assert_eq!(
            event["facts"]["header_from"],
            json!(["ben@a.example", MARK])
        );
        assert_eq!(event["reply"], format!("550 <{MARK}> [id]"));
    }

    proptest! {
        /// Whatever is around it, it is gone, and all else is there.
        #[test]
        fn nothing_else_is_lost(before in "[^a-z@]{0,20}[ <(]", after in "[>) ][^a-z@]{0,20}") {
            let amy = eraser("amy@partner.example");
            let text = format!("{before}amy@partner.example{after} amy@partner.example");
            let erased = amy.erased(&text).expect("it is there");
            prop_assert_eq!(erased, format!("{before}{MARK}{after} {MARK}"));
        }
    }
}
