//! Reports, as `report` makes them.

use std::collections::BTreeMap;

use utoipa::ToSchema;

use super::texts::{NameText, Side, Time};

/// How a tenant's mail came.
#[derive(ToSchema)]
#[schema(as = Report)]
pub(in crate::admin) struct ReportNumbers {
    #[schema(value_type = NameText)]
    tenant: String,
    /// From this time on.
    #[schema(value_type = Time)]
    from: String,
    /// Before this time.
    #[schema(value_type = Time)]
    to: String,
    /// When it was made.
    #[schema(value_type = Time)]
    made: String,
    /// Only what goes this way; null for both.
    #[schema(required = true)]
    direction: Option<Side>,
    /// Receipts that are not counted.
    left_out: LeftOutNumbers,
    /// Everything together.
    total: TrafficNumbers,
    /// One for each direction and domain, those with the most messages first; at most
    /// 20,000 domains.
    senders: Vec<SenderNumbers>,
    /// All beyond them; null where there are none.
    #[schema(required = true)]
    others: Option<TrafficNumbers>,
    /// Each day (UTC) of the period, the oldest first.
    days: Vec<DayNumbers>,
}

/// How many receipts are not counted.
#[derive(ToSchema)]
#[schema(as = ReportLeftOut)]
pub(super) struct LeftOutNumbers {
    /// An address was erased from them.
    erased: u64,
    /// They are damaged, or another version's.
    unreadable: u64,
}

/// Mail of one sender domain.
#[derive(ToSchema)]
#[schema(as = ReportSender)]
pub(super) struct SenderNumbers {
    /// Domain of the envelope sender, or an address literal; `<>` for the null sender.
    sender: String,
    direction: Side,
    #[serde(flatten)]
    traffic: TrafficNumbers,
}

/// The numbers of some messages. A message is a recipient that was decided.
#[derive(ToSchema)]
#[schema(as = ReportTraffic)]
pub(super) struct TrafficNumbers {
    messages: u64,
    /// Of them, in clear.
    clear: u64,
    /// Of those in clear, over TLS by the word of a proxy that is not trusted.
    claimed: u64,
    /// Over TLS, by version.
    versions: BTreeMap<String, u64>,
    /// Over TLS, by IANA name of the cipher suite.
    ciphers: BTreeMap<String, u64>,
    /// Over TLS, by IANA name of the group; `(not known)` where it is not.
    key_exchanges: BTreeMap<String, u64>,
    /// With a key exchange that resists a quantum computer.
    post_quantum: u64,
    certificates: CertificateNumbers,
    /// Refused or put off.
    refused: u64,
    /// The same by why, such as `plaintext` or `untrusted`.
    refusals: BTreeMap<String, u64>,
    /// Decided by a policy in monitor mode, too.
    monitored: u64,
    /// Accepted, and refused had that policy been in force.
    would_be_refused: u64,
    /// The same by why.
    would_be_refusals: BTreeMap<String, u64>,
}

/// Messages by what was shown of client certificates.
#[derive(ToSchema)]
#[schema(as = ReportCertificates)]
pub(super) struct CertificateNumbers {
    presented: u64,
    /// The tenant trusts it.
    trusted: u64,
    /// It is trusted, and covers the sender's domain or names a host below it.
    covering: u64,
    /// When the one ends that was seen last.
    #[schema(value_type = Option<Time>, required = true)]
    last_expires: Option<String>,
    /// When the first of all ends that were seen.
    #[schema(value_type = Option<Time>, required = true)]
    first_expires: Option<String>,
}

/// A day's messages.
#[derive(ToSchema)]
#[schema(as = ReportDay)]
pub(super) struct DayNumbers {
    /// Which day (UTC).
    #[schema(format = Date)]
    day: String,
    /// Accepted over TLS.
    secured: u64,
    /// Accepted in clear.
    clear: u64,
    /// Refused.
    refused: u64,
}
