//! What a replay found, as it is told.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a replay found. Receipts are counted, of which a message has one for each
/// recipient. A verdict is `accepted`, or the kind of refusal as receipts have it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Findings {
    /// Differences of the candidate from what is in force.
    pub changes: Vec<String>,
    /// What of it has no effect at that time, though somebody may expect it.
    pub notes: Vec<String>,
    /// All that there were in the period.
    pub receipts: u64,
    /// Passed over, since an address in them was erased.
    pub erased: u64,
    /// Passed over, since they could not be read.
    pub unreadable: u64,
    /// Of which it is not known what the candidate would have decided.
    pub undetermined: u64,
    /// With the same verdict as then.
    pub unchanged: u64,
    /// Accepted then, and refused by the candidate.
    pub newly_refused: u64,
    /// Refused then, and accepted by the candidate.
    pub newly_accepted: u64,
    /// Refused by both, for another reason.
    pub refused_otherwise: u64,
    /// By the verdict then and the candidate's, most receipts first.
    pub pairs: Vec<Pair>,
    /// Of all that the candidate would refuse: those that it would ask for TLS. What the
    /// client does then no record can know.
    pub asked: Asked,
    /// Whom it would refuse, by volume: each sender domain with its count.
    pub refused: Vec<RefusedSender>,
    /// The rest, where there were too many sender domains to be told apart or shown.
    pub others: Option<Others>,
    /// What is not known, by its cause.
    pub undetermined_by: Vec<Undetermined>,
    /// Where modules gave no answer, by code. What that means to mail is in the verdict.
    pub failures: Vec<Broken>,
}

/// A verdict then, and the candidate's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pair {
    /// Then.
    pub was: String,
    /// The candidate's.
    pub would_be: String,
    /// How many.
    pub receipts: u64,
    /// Ids of the first of them.
    pub samples: Vec<String>,
}

/// Mail that would be asked for TLS: refused in clear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Asked {
    /// How much.
    pub receipts: u64,
    /// Of that, from sender domains that came in TLS too in the period.
    pub of_senders_in_tls: u64,
    /// Of that, from clients that came in TLS too, for the same sender domain.
    pub of_clients_in_tls: u64,
}

/// Somebody whom the candidate would refuse.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefusedSender {
    /// Domain of the envelope sender; null is the null sender.
    pub sender: Option<String>,
    /// All that came from it.
    pub receipts: u64,
    /// Of that, in TLS.
    pub in_tls: u64,
    /// What would be refused.
    pub refused: u64,
    /// Of that, what was accepted then.
    pub newly_refused: u64,
    /// Of which it is not known.
    pub undetermined: u64,
    /// What would be refused, by kind.
    pub by: BTreeMap<String, u64>,
    /// What would be asked for TLS.
    pub asked: Asked,
}

/// Senders that are not told apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Others {
    /// Those among them that are known, and of whom others have more refused.
    pub senders_not_shown: u64,
    /// All that came from them.
    pub receipts: u64,
    /// What would be refused.
    pub refused: u64,
    /// Of that, what was accepted then.
    pub newly_refused: u64,
    /// What would be asked for TLS by those who are not known.
    pub asked: u64,
}

/// What is not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Undetermined {
    /// In a word.
    pub cause: String,
    /// In words.
    pub detail: String,
    /// How many.
    pub receipts: u64,
    /// Id of the first of them.
    pub sample: String,
}

/// Where modules gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Broken {
    /// As in receipts, such as `trap`.
    pub code: String,
    /// Of the first, in words.
    pub detail: String,
    /// How many.
    pub receipts: u64,
    /// Id of the first of them.
    pub sample: String,
}
