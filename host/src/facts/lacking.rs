//! Facts that may be missing where somebody is asked again about mail of the past, and who
//! reads them.
//!
//! **What is missing is not guessed**: a receipt of an older host has no key for a fact that
//! came later, which is another thing than that there was nothing. Whoever adds a fact that
//! may be none adds it here, with its key in receipts.

use std::fmt;

/// A fact that may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fact {
    /// Addresses of the header From: of mail that did not come so far.
    HeaderFrom,
    /// What the tenant's trust says of a certificate: of another trust than then.
    Trust,
    /// The proxy in front.
    ProxiedBy,
    /// The client's name in reverse DNS.
    ReverseName,
    /// The last handshake that the client failed.
    HandshakeFailure,
}

/// Some of them.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct FactSet(u8);

impl Fact {
    /// All, in their order.
    pub const ALL: [Self; 5] = [
        Self::HeaderFrom,
        Self::Trust,
        Self::ProxiedBy,
        Self::ReverseName,
        Self::HandshakeFailure,
    ];

    /// As in the interface.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HeaderFrom => "header-from",
            Self::Trust => "trust",
            Self::ProxiedBy => "proxied-by",
            Self::ReverseName => "reverse-name",
            Self::HandshakeFailure => "handshake-failure",
        }
    }

    /// The key that every receipt has whose host knew of the fact, with what stands around
    /// it; none where that is known otherwise.
    fn key(self) -> Option<&'static str> {
        match self {
            Self::HeaderFrom | Self::Trust => None,
            Self::ProxiedBy => Some("\"proxied_by\":"),
            Self::ReverseName => Some("\"reverse_name\":"),
            Self::HandshakeFailure => Some("\"handshake_failure\":"),
        }
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl FactSet {
    /// Those of which an event, as JSON, does not know. (A quotation mark in a text of it
    /// has a backslash before it, and is none of a key.)
    pub fn lacking(event: &str) -> Self {
        let lacks = |fact: &Fact| fact.key().is_some_and(|key| !event.contains(key));
        Fact::ALL.into_iter().filter(lacks).collect()
    }

    /// Adds one.
    pub fn insert(&mut self, fact: Fact) {
        self.0 |= fact.bit();
    }

    /// Whether it is among them.
    pub fn contains(self, fact: Fact) -> bool {
        self.0 & fact.bit() != 0
    }

    /// The first that both have.
    pub fn first_in(self, other: Self) -> Option<Fact> {
        let both = Self(self.0 & other.0);
        Fact::ALL.into_iter().find(|fact| both.contains(*fact))
    }
}

impl FromIterator<Fact> for FactSet {
    fn from_iter<I: IntoIterator<Item = Fact>>(facts: I) -> Self {
        let mut all = Self::default();
        facts.into_iter().for_each(|fact| all.insert(fact));
        all
    }
}

impl fmt::Debug for FactSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = Fact::ALL.iter().filter(|fact| self.contains(**fact));
        f.debug_set().entries(all).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::sample;

    #[test]
    fn what_a_receipt_does_not_know_is_not_nothing() {
        let recipient = "ann@acme.example".parse().expect("a mailbox");
        let mut facts = sample::clear(&recipient);
        // What looks like a key in a text is none.
        facts.helo.name = "\"reverse_name\":".to_owned();
        let whole = serde_json::to_string(&facts).expect("JSON");
        assert_eq!(FactSet::lacking(&whole), FactSet::default());
        let older = whole.replace("\"reverse_name\":null,", "");
        assert_ne!(older, whole);
        let lacks = FactSet::lacking(&older);
        assert_eq!(lacks, [Fact::ReverseName].into_iter().collect());
        let reads = [Fact::Trust, Fact::ReverseName].into_iter().collect();
        assert_eq!(lacks.first_in(reads), Some(Fact::ReverseName));
        assert_eq!(lacks.first_in([Fact::Trust].into_iter().collect()), None);
    }
}
