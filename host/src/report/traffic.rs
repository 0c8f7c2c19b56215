//! The numbers of some messages.

use serde::{Deserialize, Serialize};

use super::tally::Tally;
use crate::address::Domain;
use crate::decision::{Refusal, Verdict};
use crate::facts::{Facts, Tls};
use crate::policy::Moment;
use crate::receipt::{Monitored, VerdictEvent};

/// What stands in for the group of a key exchange that is not known: of a session of TLS
/// 1.2 that was resumed, or of one that a proxy tells of.
const UNKNOWN: &str = "(not known)";

/// The numbers of some messages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Recipients that were decided.
    pub messages: u64,
    /// Those of them that came in clear, as far as the host may rely on what it is told.
    pub clear: u64,
    /// Those in clear that came over TLS by the word of a proxy that is not trusted.
    pub claimed: u64,
    /// Those over TLS, by its version.
    pub versions: Tally,
    /// The same by the IANA name of the cipher suite.
    pub ciphers: Tally,
    /// The same by the IANA name of the key exchange group.
    pub key_exchanges: Tally,
    /// Those whose key exchange resists a quantum computer.
    pub post_quantum: u64,
    /// What was shown of certificates.
    pub certificates: Certificates,
    /// Those that were refused or put off.
    pub refused: u64,
    /// The same by why.
    pub refusals: Tally,
    /// Those that a policy in monitor mode decided, too.
    pub monitored: u64,
    /// Those of them that were accepted, and that it would have refused.
    pub would_be_refused: u64,
    /// The same by why.
    pub would_be_refusals: Tally,
}

/// How many messages came with a client certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificates {
    /// With one.
    pub presented: u64,
    /// With one that the tenant trusts.
    pub trusted: u64,
    /// With one that is trusted, and covers the sender's domain or names a host below it.
    pub covering: u64,
    /// When the one ends that was seen last; none where none was seen.
    pub last_expires: Option<Moment>,
    /// When the first of those ends that were seen in the period.
    pub first_expires: Option<Moment>,
}

impl Traffic {
    /// Those that came over TLS.
    pub fn secured(&self) -> u64 {
        self.messages.saturating_sub(self.clear)
    }

    /// Those with TLS 1.3.
    pub fn modern(&self) -> u64 {
        self.versions.of("TLS 1.3")
    }

    /// Counts a message by its last decision; what was monitored may be in an earlier one.
    pub(super) fn add(&mut self, event: &VerdictEvent, monitored: &[&Monitored]) {
        self.messages += 1;
        let facts = &event.facts;
        match facts.connection.secured() {
            Some(tls) => self.add_tls(tls, facts),
            None => {
                self.clear += 1;
                self.claimed += u64::from(facts.connection.tls.is_some());
            }
        }
        if let Verdict::Refused(refusal) = &event.verdict {
            self.refused += 1;
            self.refusals.add(refusal.word());
        }
        self.monitored += u64::from(!monitored.is_empty());
        let would = monitored.iter().find_map(|monitored| refusal(monitored));
        if let (Verdict::Accepted, Some(refusal)) = (&event.verdict, would) {
            self.would_be_refused += 1;
            self.would_be_refusals.add(refusal.word());
        }
    }

    fn add_tls(&mut self, tls: &Tls, facts: &Facts) {
        self.versions.add(&tls.version.to_string());
        self.ciphers.add(&tls.cipher_suite);
        let group = tls.key_exchange.as_deref();
        self.key_exchanges.add(group.unwrap_or(UNKNOWN));
        self.post_quantum += u64::from(tls.post_quantum);
        self.certificates.add(facts);
    }
}

impl Certificates {
    fn add(&mut self, facts: &Facts) {
        let Some(certificate) = facts.certificate() else {
            return;
        };
        self.presented += 1;
        self.trusted += u64::from(facts.trusted_certificate().is_some());
        let domain = facts.sender.as_ref().and_then(|sender| sender.domain());
        let covers = |domain: &Domain| facts.covers(domain) || facts.within(domain);
        self.covering += u64::from(domain.is_some_and(covers));
        // One that ended before 1970 ended long ago.
        let ends = Moment::new(u64::try_from(certificate.not_after).unwrap_or_default());
        self.last_expires = Some(ends);
        let first = self.first_expires.map_or(ends, |first| first.min(ends));
        self.first_expires = Some(first);
    }
}

fn refusal(monitored: &Monitored) -> Option<&Refusal> {
    match &monitored.verdict {
        Verdict::Refused(refusal) => Some(refusal),
        Verdict::Accepted => None,
    }
}
