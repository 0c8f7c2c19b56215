//! Which receipts are looked for. Pure: what a filter means is the same wherever receipts
//! are kept.

use std::convert::Infallible;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::{RelayEvent, VerdictEvent, read::Receipt};
use crate::address::{Domain, Mailbox};
use crate::decision::Verdict;
use crate::facts::{ReceiptId, TenantId};

/// What to look for; everything that is set must hold.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// This receipt.
    pub id: Option<ReceiptId>,
    /// This tenant; refused relaying is no tenant's.
    pub tenant: Option<TenantId>,
    /// This envelope sender.
    pub sender: Option<AddressFilter>,
    /// This envelope recipient.
    pub recipient: Option<AddressFilter>,
    /// A client of this address.
    pub client: Option<IpAddr>,
    /// Decided by this policy: the last time, where it was decided twice.
    pub policy: Option<String>,
    /// Accepted, or refused, in the end.
    pub accepted: Option<bool>,
    /// From this second on, since 1970.
    pub from: Option<u64>,
    /// Before this second, since 1970.
    pub to: Option<u64>,
}

/// An address, or all addresses of a domain. Local parts are compared without their case,
/// for whoever looks for one rarely knows how it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressFilter {
    /// Of the domain, or the address literal; empty for the null sender.
    pub domain: String,
    /// In lower case; none for every local part.
    pub local: Option<String>,
}

/// An address in the parts by which it is looked for: domain, and local part in lower
/// case; both are empty for the null sender.
pub fn parts(address: Option<&Mailbox>) -> (String, String) {
    let Some(address) = address else {
        return (String::new(), String::new());
    };
    let text = address.to_string();
    let (_, domain) = text.rsplit_once('@').unwrap_or_default();
    (domain.to_owned(), address.local().to_lowercase())
}

/// `user@domain` is an address, `domain` every address of it, `<>` the null sender. What
/// is none of these is nobody's.
impl FromStr for AddressFilter {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        if text == "<>" {
            return Ok(Self {
                domain: String::new(),
                local: Some(String::new()),
            });
        }
        if let Ok(address) = text.parse::<Mailbox>() {
            let (domain, local) = parts(Some(&address));
            return Ok(Self {
                domain,
                local: Some(local),
            });
        }
        let domain = text.parse::<Domain>();
        Ok(Self {
            domain: domain.map_or_else(|_| text.to_lowercase(), |domain| domain.to_string()),
            local: None,
        })
    }
}

/// In a form that is read as the same.
impl fmt::Display for AddressFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let domain = &self.domain;
        match self.local.as_deref() {
            Some("") if domain.is_empty() => f.write_str("<>"),
            Some(local) if format!("{local}@{domain}").parse() == Ok(self.clone()) => {
                write!(f, "{local}@{domain}")
            }
            // RFC 5321, section 4.1.2: a Quoted-string.
            Some(local) => {
                let quoted = local.replace('\\', "\\\\").replace('"', "\\\"");
                write!(f, "\"{quoted}\"@{domain}")
            }
            None => f.write_str(domain),
        }
    }
}

impl AddressFilter {
    fn admits(&self, address: Option<&Mailbox>) -> bool {
        let (domain, local) = parts(address);
        self.domain == domain && self.local.as_ref().is_none_or(|wanted| *wanted == local)
    }
}

impl Filter {
    /// The receipt of this id.
    pub fn of(id: ReceiptId) -> Self {
        Self {
            id: Some(id),
            ..Self::default()
        }
    }

    /// The least id that a receipt of these has, and the first that none has any more.
    pub fn ids(&self) -> (Option<ReceiptId>, Option<ReceiptId>) {
        (
            self.from.map(ReceiptId::first_of),
            self.to.map(ReceiptId::first_of),
        )
    }

    /// Whether a receipt passes, as far as its first event shows.
    pub(super) fn admits(&self, receipt: &Receipt) -> bool {
        let id = receipt.id();
        let (first, end) = self.ids();
        self.id.is_none_or(|wanted| wanted == id)
            && first.is_none_or(|first| id >= first)
            && end.is_none_or(|end| id < end)
            && match receipt {
                Receipt::Decided(verdict, ..) => self.admits_verdict(verdict),
                Receipt::Relay(relay) => self.admits_relay(relay),
            }
    }

    fn admits_verdict(&self, verdict: &VerdictEvent) -> bool {
        let facts = &verdict.facts;
        let tenant = self.tenant.as_ref();
        tenant.is_none_or(|tenant| *tenant == facts.tenant)
            && self.admits_envelope(facts.sender.as_ref(), &facts.recipient)
            && self.admits_client(facts.connection.client.ip())
    }

    fn admits_relay(&self, relay: &RelayEvent) -> bool {
        self.tenant.is_none()
            && self.admits_envelope(relay.sender.as_ref(), &relay.recipient)
            && self.admits_client(relay.connection.client.ip())
    }

    fn admits_envelope(&self, sender: Option<&Mailbox>, recipient: &Mailbox) -> bool {
        let (from, to) = (self.sender.as_ref(), self.recipient.as_ref());
        from.is_none_or(|wanted| wanted.admits(sender))
            && to.is_none_or(|wanted| wanted.admits(Some(recipient)))
    }

    fn admits_client(&self, client: IpAddr) -> bool {
        let client = client.to_canonical();
        self.client
            .is_none_or(|wanted| wanted.to_canonical() == client)
    }

    /// Whether it passes by what was decided at last.
    pub(super) fn admits_decision(&self, receipt: &Receipt) -> bool {
        let last = receipt.last();
        let policy = last.and_then(|event| event.policy.as_ref());
        let policy = policy.map(|policy| policy.name.as_str());
        let accepted = last.is_some_and(|event| event.verdict == Verdict::Accepted);
        self.policy
            .as_deref()
            .is_none_or(|wanted| Some(wanted) == policy)
            && self.accepted.is_none_or(|wanted| wanted == accepted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_read_as_the_same() {
        for (text, shown) in [
            ("<>", "<>"),
            ("partner.example", "partner.example"),
            ("Amy@Partner.example", "amy@partner.example"),
            ("\"a b\"@partner.example", "\"a b\"@partner.example"),
            (r#""a\"\\b"@partner.example"#, r#""a\"\\b"@partner.example"#),
            ("amy@[192.0.2.1]", "amy@[192.0.2.1]"),
            ("nobody's", "nobody's"),
        ] {
            let Ok(filter) = text.parse::<AddressFilter>();
            assert_eq!(filter.to_string(), shown);
            assert_eq!(shown.parse(), Ok(filter), "{text}");
        }
    }

    #[test]
    fn addresses_are_found_however_they_are_written() {
        let mailbox = |text: &str| text.parse::<Mailbox>().expect("an address");
        for (wanted, found, expected) in [
            ("amy@partner.example", Some("Amy@Partner.example"), true),
            (
                "AMY@bücher.example",
                Some("amy@xn--bcher-kva.example"),
                true,
            ),
            ("partner.example", Some("amy@partner.example"), true),
            ("partner.example", Some("amy@mx.partner.example"), false),
            ("my@partner.example", Some("amy@partner.example"), false),
            ("amy@partner.example", Some("amy@partmer.example"), false),
            ("[192.0.2.1]", Some("amy@[192.0.2.1]"), true),
            ("<>", None, true),
            ("<>", Some("amy@partner.example"), false),
            ("partner.example", None, false),
            ("no address", Some("amy@partner.example"), false),
        ] {
            let Ok(filter) = wanted.parse::<AddressFilter>();
            let found = found.map(mailbox);
            assert_eq!(
                filter.admits(found.as_ref()),
                expected,
                "{wanted} {found:?}"
            );
        }
    }
}
