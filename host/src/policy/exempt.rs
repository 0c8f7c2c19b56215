//! Recipients whose mail no policy is asked about: whoever cannot send otherwise must be
//! able to say so.
//!
//! Only recipients in the tenant's own domains are exempt: what goes to somebody else's
//! postmaster is mail like any other.

use serde::{Deserialize, Serialize};

use super::scope::{is_postmaster, is_same};
use crate::address::{Domain, Mailbox};

/// Whom a tenant exempts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exempt {
    /// The postmaster of each of its domains (RFC 5321, section 4.5.1).
    pub postmaster: bool,
    /// Where it asks for reports about its TLS (RFC 8460, section 3): they have to
    /// arrive when TLS does not work.
    pub tls_reports: Vec<Mailbox>,
}

/// Why a recipient is exempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exemption {
    /// It is the postmaster.
    Postmaster,
    /// It takes reports about TLS.
    TlsReports,
}

impl Default for Exempt {
    fn default() -> Self {
        Self {
            postmaster: true,
            tls_reports: Vec::new(),
        }
    }
}

impl Exempt {
    /// Why this recipient is exempt at the tenant of these domains; none where it is not.
    pub fn of(&self, recipient: &Mailbox, domains: &[Domain]) -> Option<Exemption> {
        let domain = recipient.domain()?;
        if self.postmaster && is_postmaster(recipient) && domains.contains(domain) {
            return Some(Exemption::Postmaster);
        }
        let mut reports = self.tls_reports.iter();
        reports
            .any(|address| is_same(address, recipient))
            .then_some(Exemption::TlsReports)
    }
}

impl Exemption {
    /// In the words of a receipt.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Postmaster => "the postmaster is exempt",
            Self::TlsReports => "the address for TLS reports is exempt",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_exempt() {
        let mailbox = |text: &str| text.parse::<Mailbox>().expect("a mailbox");
        let domains = ["acme.example".parse().expect("a domain")];
        let reports = vec![mailbox("tls@acme.example")];
        let postmaster = Some(Exemption::Postmaster);
        for (postmaster_is, recipient, exemption) in [
            (true, "postmaster@acme.example", postmaster),
            (true, "PostMaster@ACME.example", postmaster),
            (true, "\"postmaster\"@acme.example", postmaster),
            (true, "\"Post\\master\"@acme.example", postmaster),
            (true, "\"postmaster \"@acme.example", None),
            (true, "postmaster@other.example", None),
            (true, "postmaster@sub.acme.example", None),
            (true, "ann@acme.example", None),
            (false, "postmaster@acme.example", None),
            (false, "\"TLS\"@acme.example", Some(Exemption::TlsReports)),
            (false, "tls@sub.acme.example", None),
        ] {
            let exempt = Exempt {
                postmaster: postmaster_is,
                tls_reports: reports.clone(),
            };
            let found = exempt.of(&mailbox(recipient), &domains);
            assert_eq!(found, exemption, "{recipient}");
        }
    }
}
