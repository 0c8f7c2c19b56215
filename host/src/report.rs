//! The report that an administrator wants: how a tenant's mail came in a period, by sender.
//!
//! **Pure**: receipts are folded one by one, in their order, into numbers; no store and no
//! clock is asked, and what is shown is a function of the numbers and of when they were
//! made. **Memory is bounded** by the number of senders that are told apart, whatever
//! strangers write into their envelopes; everybody beyond is counted together, so that the
//! totals are exact all the same.
//!
//! A *message* here is a recipient that was decided, as there is a receipt for each; who
//! was refused and comes again is counted each time. Deliberately not here: what a policy
//! would have made of the same mail, which is for a replay to say.

mod days;
pub(crate) mod figures;
mod fold;
mod page;
mod period;
mod summary;
mod tally;
mod traffic;

use serde::{Deserialize, Serialize};

pub use days::Day;
pub use fold::Folding;
pub(crate) use fold::sender;
pub use page::page;
pub use period::{Period, PeriodError};
pub use summary::Summary;
pub use tally::Tally;
pub use traffic::{Certificates, Traffic};

use crate::facts::{Direction, TenantId};
use crate::policy::Moment;
use crate::receipt::scan::Scan;

/// Senders that are told apart, unless it is said otherwise. Each takes about a kilobyte,
/// and a large organisation has mail from some thousand in a month.
pub const SENDERS: usize = 20_000;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inquiry {
    /// Whose mail.
    pub tenant: TenantId,
    /// When it was decided.
    pub period: Period,
    /// Only what goes this way; none for both.
    pub direction: Option<Direction>,
}

/// How a tenant's mail came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Whose mail.
    pub tenant: TenantId,
    /// From this time on.
    pub from: Moment,
    /// Before this time.
    pub to: Moment,
    /// When it was made.
    pub made: Moment,
    /// Only what goes this way; none for both.
    pub direction: Option<Direction>,
    /// Receipts that are not counted.
    pub left_out: LeftOut,
    /// Everything together.
    pub total: Traffic,
    /// One for each direction and domain, those with the most messages first.
    pub senders: Vec<Sender>,
    /// Those beyond the number that is told apart; none where there are none.
    pub others: Option<Traffic>,
    /// One for each day (UTC) of the period, the oldest first.
    pub days: Vec<Day>,
}

/// How many receipts are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// An address was erased from them: they are evidence of nothing any more.
    pub erased: u64,
    /// They are damaged, or another version's.
    pub unreadable: u64,
}

/// Mail of one sender domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sender {
    /// Domain of the envelope sender, as A-labels, or an address literal; `<>` for the null
    /// sender.
    pub sender: String,
    /// Which way the mail goes.
    pub direction: Direction,
    /// Its numbers.
    #[serde(flatten)]
    pub traffic: Traffic,
}

impl LeftOut {
    /// What a scan has passed over.
    pub fn of(scan: &Scan) -> Self {
        Self {
            erased: scan.erased(),
            unreadable: scan.unreadable(),
        }
    }
}

impl Report {
    /// How many senders never came with TLS, of those that are told apart.
    pub fn never_secured(&self) -> usize {
        let never = |sender: &&Sender| sender.traffic.secured() == 0;
        self.senders.iter().filter(never).count()
    }
}

#[cfg(test)]
mod tests;
