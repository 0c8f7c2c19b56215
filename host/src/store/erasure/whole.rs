//! All of a receipt in which an address may be: its columns, and its events as texts. Pure.
//!
//! **It is not read as a receipt**: one that is damaged, or another version's, has addresses
//! all the same, and is erased from as well as any other.

use serde_json::Value as Json;

use crate::receipt::eraser::{Eraser, MARK};
use crate::store::receipt_columns::{self, Later, Texts};
use crate::store::receipt_entry::Row;

/// An address in two columns.
pub(super) type Columns = (String, String);

/// What the statements give and take: the texts of the events, sender and recipient.
pub(in crate::store) type Columned = (
    String,
    String,
    String,
    Option<String>,
    Option<String>,
    String,
    String,
    String,
    String,
);

/// A receipt that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct Whole {
    pub(in crate::store) id: String,
    verdict: String,
    pub(in crate::store) sender: Columns,
    pub(in crate::store) recipient: Columns,
    pub(in crate::store) event: String,
    pub(in crate::store) content: Option<String>,
    pub(in crate::store) outcome: Option<String>,
}

impl From<Columned> for Whole {
    fn from(row: Columned) -> Self {
        let (id, verdict, event, content, outcome, domain, local, to_domain, to_local) = row;
        Self {
            id,
            verdict,
            sender: (domain, local),
            recipient: (to_domain, to_local),
            event,
            content,
            outcome,
        }
    }
}

impl Whole {
    /// Whether it may have the address; one that does not has not.
    pub(super) fn may_have(&self, eraser: &Eraser) -> bool {
        let texts = std::iter::once(&self.event);
        let mut texts = texts.chain(&self.content).chain(&self.outcome);
        [&self.sender, &self.recipient]
            .into_iter()
            .any(|(domain, local)| eraser.is(domain, local))
            || texts.any(|text| eraser.may_be_in(text))
    }

    /// Puts the mark in its place; whether it was there.
    pub(super) fn erase(&mut self, eraser: &Eraser) -> bool {
        let columns = [&mut self.sender, &mut self.recipient];
        let is_named = columns
            .into_iter()
            .map(|columns| erase_columns(columns, eraser))
            .fold(false, |any, one| any | one);
        let texts = [
            Some(&mut self.event),
            self.content.as_mut(),
            self.outcome.as_mut(),
        ];
        texts
            .into_iter()
            .flatten()
            .map(|text| erase_text(text, eraser, is_named))
            .fold(is_named, |any, one| any | one)
    }

    /// Whether it can be read as a receipt.
    pub(super) fn is_readable(&self) -> bool {
        let texts: Texts = (
            self.id.clone(),
            self.verdict.clone(),
            self.event.clone(),
            self.content.clone(),
            self.outcome.clone(),
        );
        receipt_columns::receipt(texts).is_ok()
    }
}

/// Erases from a receipt that is about to be written.
pub(super) fn erase_row(row: &mut Row, eraser: &Eraser) {
    let Row {
        sender,
        recipient,
        event,
        content,
        outcome,
        ..
    } = row;
    erase_columns(sender, eraser);
    erase_columns(recipient, eraser);
    let texts = [Some(event), content.as_mut(), outcome.as_mut()];
    for text in texts.into_iter().flatten() {
        erase_text(text, eraser, false);
    }
}

/// The same of what follows a receipt.
pub(super) fn erase_later(later: &mut Later, eraser: &Eraser) {
    let (Later::Content { event, .. } | Later::Outcome { event, .. }) = later;
    erase_text(event, eraser, false);
}

fn erase_columns(columns: &mut Columns, eraser: &Eraser) -> bool {
    let is_there = eraser.is(&columns.0, &columns.1);
    if is_there {
        let (local, domain) = MARK.split_once('@').unwrap_or_default();
        *columns = (domain.to_owned(), local.to_owned());
    }
    is_there
}

/// What is no JSON is not searched, for nobody knows where an address in it begins: where it
/// may have one the mark is all that is left of it.
fn erase_text(text: &mut String, eraser: &Eraser, is_named: bool) -> bool {
    if let Ok(mut event) = serde_json::from_str::<Json>(text) {
        let is_there = eraser.erase(&mut event);
        if is_there {
            *text = event.to_string();
        }
        return is_there;
    }
    let is_there = is_named || eraser.may_be_in(text);
    if is_there {
        *text = Json::from(MARK).to_string();
    }
    is_there
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(event: &str, sender: (&str, &str)) -> Whole {
        let columns = |(domain, local): (&str, &str)| (domain.to_owned(), local.to_owned());
        Whole {
            id: "1".to_owned(),
            verdict: "accepted".to_owned(),
            sender: columns(sender),
            recipient: columns(("acme.example", "ben")),
            event: event.to_owned(),
            content: None,
            outcome: None,
        }
    }

    #[test]
    fn what_cannot_be_read_is_erased_from_as_well() {
        let eraser = Eraser::new(&"amy@partner.example".parse().expect("a mailbox"));
        let amy = ("partner.example", "amy");
        let mark = ("erased.invalid", "erased");
        let whole_mark = "\"erased@erased.invalid\"";
        for (event, sender, erased, to) in [
            // JSON, and no receipt: what is another's stays.
            (
                "{\"facts\":[\"amy@partner.example\",\"bob@partner.example\"]}",
                amy,
                "{\"facts\":[\"erased@erased.invalid\",\"bob@partner.example\"]}",
                mark,
            ),
            // Cut off, before the address and within it.
            ("{\"facts\":", amy, whole_mark, mark),
            (
                "{\"facts\":\"amy@partner.example\"",
                ("b.example", "b"),
                whole_mark,
                ("b.example", "b"),
            ),
        ] {
            let mut row = whole(event, sender);
            assert!(row.may_have(&eraser) && row.erase(&eraser), "{event}");
            assert_eq!(row, whole(erased, to), "{event}");
            assert!(!row.is_readable(), "{event}");
            // And once more there is nothing.
            assert!(!row.erase(&eraser), "{event}");
        }
        for (event, sender) in [
            (
                "{\"facts\":\"bob@partner.example\"}",
                ("partner.example", "bob"),
            ),
            ("{\"facts\":", ("other.example", "amy")),
        ] {
            let mut row = whole(event, sender);
            assert!(!row.erase(&eraser), "{event}");
            assert_eq!(row, whole(event, sender));
        }
    }
}
