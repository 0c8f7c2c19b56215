//! Warnings before mail breaks: what an administrator should do today, so that nobody is
//! refused tomorrow.
//!
//! **A pure function** of the policies, of the evidence that receipts are folded into, and
//! of the time; [`watch`] has it looked at now and then beside the mail. Deliberately not
//! here: what a warning leads to. Nothing is changed by one.

mod certificate;
mod evidence;
mod failing;
mod pins;
pub mod watch;
pub mod webhook;

use serde::{Deserialize, Serialize};

pub use evidence::{Evidence, RECENT};
use evidence::{Met, Seen};

use crate::facts::{ReceiptId, TenantId};
use crate::name::Name;
use crate::policy::{Moment, Policy};

/// Seconds of receipts that are looked at. Whoever writes more rarely than once a month is
/// not known by them.
pub const PERIOD: u64 = 30 * 86_400;

/// Days within which a certificate's end is warned of, unless it is said otherwise.
pub const USUAL_DAYS: u32 = 30;

/// Most such days.
pub const MAX_DAYS: u32 = 365;

/// Something to be done before mail breaks, or since it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// What it is.
    pub kind: Kind,
    /// How urgent it is.
    pub severity: Severity,
    /// Since when it is so; none where nothing tells.
    pub since: Option<Moment>,
    /// Whose policy.
    pub tenant: TenantId,
    /// Which.
    pub policy: Name,
    /// Domain of the envelope sender whom it is about; none for all of the policy's.
    pub sender: Option<String>,
    /// What is wrong, and what to do.
    pub text: String,
    /// A receipt that shows it; none where it shows in none.
    pub receipt: Option<ReceiptId>,
}

/// What a warning is about, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// It was met, and is not any more.
    BeganToFail,
    /// What is required was never met.
    NeverMet,
    /// A certificate will end without which mail is refused.
    CertificateExpires,
    /// A pin has no other beside it for the next key.
    SinglePin,
}

/// How urgent it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Mail is refused, or will be within a week.
    Critical,
    /// It will be unless something is done.
    Warning,
    /// It will be some day.
    Notice,
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Inquiry {
    /// The time, in seconds since 1970.
    pub now: u64,
    /// Days within which the end of a certificate is warned of.
    pub within_days: u32,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::CertificateExpires,
        Self::SinglePin,
        Self::NeverMet,
        Self::BeganToFail,
    ];

    /// As in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CertificateExpires => "certificate-expires",
            Self::SinglePin => "single-pin",
            Self::NeverMet => "never-met",
            Self::BeganToFail => "began-to-fail",
        }
    }
}

impl Severity {
    /// As in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
            Self::Notice => "notice",
        }
    }
}

/// Everything to warn of, the most urgent first.
pub fn warnings<'a>(
    tenant: &TenantId,
    policies: impl Iterator<Item = &'a Policy>,
    evidence: &Evidence,
    inquiry: Inquiry,
) -> Vec<Warning> {
    let applies = |policy: &&Policy| policy.enabled && !policy.valid.is_over(inquiry.now);
    let mut all: Vec<Warning> = policies
        .filter(applies)
        .flat_map(|policy| {
            let about = About { tenant, policy };
            let senders = evidence.of(policy.name.as_str());
            let mut found: Vec<_> = pins::single(&about).into_iter().collect();
            found.extend(certificate::ending(&about, &senders, inquiry));
            found.extend(failing::found(&about, &senders));
            found
        })
        .collect();
    all.sort_by_cached_key(|w| (w.severity, w.kind, w.policy.clone(), w.sender.clone()));
    all
}

/// Whose policy a warning is about.
struct About<'a> {
    tenant: &'a TenantId,
    policy: &'a Policy,
}

impl About<'_> {
    fn warning(&self, kind: Kind, severity: Severity, text: String) -> Warning {
        Warning {
            kind,
            severity,
            since: None,
            tenant: self.tenant.clone(),
            policy: self.policy.name.clone(),
            sender: None,
            text,
            receipt: None,
        }
    }
}

#[cfg(test)]
mod tests;
