//! Whose addresses a policy is about, and which way the mail goes.
//!
//! Domains are compared in their normal form. Local parts are compared without regard
//! to ASCII case and to quoting: `CEO@` and `"ceo"@` reach the mailbox of `ceo@`, so
//! neither may escape a policy written for it. Nothing here allocates.
//!
//! The null sender of a bounce is nobody's address, and so is a header From without an
//! address: it matches `everyone`, and `external`, since the tenant's own people never
//! send as nobody.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Question;
use crate::address::{AddressError, Domain, MAX_DOMAIN, MAX_LOCAL_PART, Mailbox};
use crate::facts::{Direction, Stage};
use crate::lists::{List, Lists};
use crate::name::{Name, NameError};

/// The words that mean a group of addresses by themselves.
const WORDS: [(&str, Who); 3] = [
    ("everyone", Who::Everyone),
    ("internal", Who::Internal),
    ("external", Who::External),
];

/// Which mail a policy is about, as the tenant sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Directions {
    /// To the tenant.
    #[default]
    Inbound,
    /// From the tenant.
    Outbound,
    /// Either.
    Both,
}

/// Which addresses count as the sender's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BasedOn {
    /// The envelope sender: the return address.
    #[default]
    Envelope,
    /// Those of the header From, which are there at the end of data.
    Header,
    /// Either: the envelope sender from RCPT TO on, and the header From at the end of
    /// data.
    Both,
}

/// Whose address a policy is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Who {
    /// Every address, and the null sender.
    #[default]
    Everyone,
    /// In one of the tenant's domains.
    Internal,
    /// Outside them, and the null sender.
    External,
    /// In this domain.
    Domain(Domain),
    /// In a domain below this one.
    Below(Domain),
    /// In this list of the tenant: the address, its domain, or, with a dot before it,
    /// a domain above that.
    List(Name),
    /// This address alone.
    Address(Mailbox),
}

/// Why a text is no [`Who`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WhoError {
    /// Neither a word nor a domain.
    #[error(
        "{text:?} is neither \"everyone\", \"internal\", \"external\", a domain (\"example.com\", \
         or \".example.com\" for the domains below it), \"list:NAME\" nor an address{hint}"
    )]
    Unknown {
        /// As written.
        text: String,
        /// The word that was perhaps meant.
        hint: String,
    },
    /// After `list:`.
    #[error(transparent)]
    List(#[from] NameError),
    /// With an `@`.
    #[error(transparent)]
    Address(#[from] AddressError),
}

/// How much of the world a [`Who`] takes in; the narrower is the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Extent {
    /// Everyone.
    Everyone,
    /// Internal or external: never both match one address.
    Side,
    /// By length in octets: of two domains that match one address the longer is the
    /// narrower.
    Domain(usize),
    /// A list, however long.
    List,
    /// One address.
    Address,
}

impl Directions {
    /// The word in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
            Self::Both => "both",
        }
    }

    /// Whether mail that goes this way is meant.
    pub fn includes(self, direction: Direction) -> bool {
        match self {
            Self::Inbound => direction == Direction::Inbound,
            Self::Outbound => direction == Direction::Outbound,
            Self::Both => true,
        }
    }
}

impl Who {
    /// Whether one of the addresses that count as the sender's is meant. A header From
    /// without an address counts as the null sender does.
    pub(super) fn includes_sender(&self, based_on: BasedOn, question: &Question<'_>) -> bool {
        let envelope = || self.includes(question.sender, question);
        let header = || match (question.stage, question.header_from) {
            (Stage::Recipient, _) => false,
            (Stage::Content, []) => self.includes(None, question),
            (Stage::Content, addresses) => addresses
                .iter()
                .any(|address| self.includes(Some(address), question)),
        };
        match based_on {
            BasedOn::Envelope => envelope(),
            BasedOn::Header => header(),
            BasedOn::Both => envelope() || header(),
        }
    }

    /// Whether this address is meant; none is nobody's.
    pub(super) fn includes(&self, mailbox: Option<&Mailbox>, question: &Question<'_>) -> bool {
        let domain = mailbox.and_then(Mailbox::domain);
        let internal = || domain.is_some_and(|domain| question.domains.contains(domain));
        match self {
            Self::Everyone => true,
            Self::Internal => internal(),
            Self::External => !internal(),
            Self::Domain(named) => domain == Some(named),
            Self::Below(named) => domain.is_some_and(|domain| domain.is_below(named)),
            Self::List(name) => mailbox.is_some_and(|m| is_listed(question.lists, name, m)),
            Self::Address(named) => mailbox.is_some_and(|mailbox| is_same(mailbox, named)),
        }
    }

    pub(super) fn extent(&self) -> Extent {
        match self {
            Self::Everyone => Extent::Everyone,
            Self::Internal | Self::External => Extent::Side,
            Self::Domain(domain) => Extent::Domain(domain.as_str().len()),
            Self::Below(domain) => Extent::Domain(domain.as_str().len() + 1),
            Self::List(_) => Extent::List,
            Self::Address(_) => Extent::Address,
        }
    }
}

/// Whether two mailboxes are one, whatever their case and quoting.
pub(super) fn is_same(a: &Mailbox, b: &Mailbox) -> bool {
    match (a.domain(), b.domain()) {
        (Some(one), Some(other)) => one == other && folded(a).cmp(folded(b)) == Ordering::Equal,
        _ => a == b,
    }
}

/// Whether this is the postmaster, in any case (RFC 5321, section 4.5.1) and however it is
/// quoted.
pub(super) fn is_postmaster(mailbox: &Mailbox) -> bool {
    folded(mailbox).eq("postmaster".chars())
}

/// The local part without quotes, in lower case.
fn folded(mailbox: &Mailbox) -> impl Iterator<Item = char> {
    let local = mailbox.local();
    let quoted = local.strip_prefix('"').and_then(|l| l.strip_suffix('"'));
    let mut characters = quoted.unwrap_or(local).chars();
    std::iter::from_fn(move || match characters.next()? {
        '\\' if quoted.is_some() => characters.next(),
        other => Some(other),
    })
    .map(|c| c.to_ascii_lowercase())
}

/// Whether the tenant's list names this mailbox.
fn is_listed(lists: &Lists, name: &Name, mailbox: &Mailbox) -> bool {
    let Some(list) = lists.get(name.as_str()) else {
        return false;
    };
    let mut key = Key::default();
    let written = key.write(mailbox).is_ok();
    (written && list.get(key.as_str()).is_some())
        || mailbox
            .domain()
            .is_some_and(|domain| names_domain(list, domain.as_str()))
}

/// Looks for the domain itself, and for `.example.com` of each domain above it.
fn names_domain(list: &List, domain: &str) -> bool {
    let above = domain.match_indices('.').map(|(dot, _)| &domain[dot..]);
    std::iter::once(domain)
        .chain(above)
        .any(|key| list.get(key).is_some())
}

/// An address as it stands in a list, built on the stack: a recipient must not cost
/// an allocation for each policy.
struct Key {
    bytes: [u8; Self::CAPACITY],
    length: usize,
}

impl Key {
    const CAPACITY: usize = MAX_LOCAL_PART + 1 + MAX_DOMAIN;

    fn write(&mut self, mailbox: &Mailbox) -> fmt::Result {
        use fmt::Write;
        let Some(domain) = mailbox.domain() else {
            return write!(self, "{mailbox}");
        };
        folded(mailbox).try_for_each(|c| self.write_char(c))?;
        write!(self, "@{domain}")
    }

    fn as_str(&self) -> &str {
        // Only whole strings were appended, so this is never the default.
        std::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }
}

impl Default for Key {
    fn default() -> Self {
        Self {
            bytes: [0; Self::CAPACITY],
            length: 0,
        }
    }
}

impl fmt::Write for Key {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        let room = self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

/// Checks a key of a list that policies use as a group.
///
/// # Errors
/// When no address could ever match it; says how to write it.
pub fn is_group_key(key: &str) -> Result<(), String> {
    let normal = if key.contains('@') {
        let mailbox: Mailbox = key.parse().map_err(|e: AddressError| e.to_string())?;
        let mut normal = Key::default();
        match normal.write(&mailbox) {
            Ok(()) => normal.as_str().to_owned(),
            Err(fmt::Error) => return Err(format!("{key:?} is too long for an address")),
        }
    } else {
        let dot = if key.starts_with('.') { "." } else { "" };
        let domain: Result<Domain, _> = key[dot.len()..].parse();
        format!("{dot}{}", domain.map_err(|e| e.to_string())?)
    };
    if key == normal {
        return Ok(());
    }
    Err(format!("{key:?} matches nothing: write {normal:?}"))
}

impl FromStr for Who {
    type Err = WhoError;

    fn from_str(text: &str) -> Result<Self, WhoError> {
        if let Some((_, who)) = WORDS.iter().find(|(word, _)| *word == text) {
            return Ok(who.clone());
        }
        if let Some(list) = text.strip_prefix("list:") {
            return Ok(Self::List(list.parse()?));
        }
        if text.contains('@') {
            return Ok(Self::Address(text.parse()?));
        }
        let unknown = |hint: Option<&str>| WhoError::Unknown {
            text: text.to_owned(),
            hint: hint
                .map(|word| format!("; did you mean {word:?}?"))
                .unwrap_or_default(),
        };
        if let Some(parent) = text.strip_prefix('.') {
            return parent.parse().map(Self::Below).map_err(|_| unknown(None));
        }
        // A misspelt word would be taken for a domain of one label, and match nobody.
        let words = WORDS.iter().map(|(word, _)| *word);
        if let Some(word) = crate::config::similar(text, words) {
            return Err(unknown(Some(word)));
        }
        text.parse().map(Self::Domain).map_err(|_| unknown(None))
    }
}

impl TryFrom<String> for Who {
    type Error = WhoError;

    fn try_from(text: String) -> Result<Self, WhoError> {
        text.parse()
    }
}

impl From<Who> for String {
    fn from(who: Who) -> Self {
        who.to_string()
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everyone => f.write_str("everyone"),
            Self::Internal => f.write_str("internal"),
            Self::External => f.write_str("external"),
            Self::Domain(domain) => write!(f, "{domain}"),
            Self::Below(domain) => write!(f, ".{domain}"),
            Self::List(name) => write!(f, "list:{name}"),
            Self::Address(mailbox) => write!(f, "{mailbox}"),
        }
    }
}
