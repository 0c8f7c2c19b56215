//! Whom a change would refuse: a candidate is asked about the mail of the past, as receipts
//! tell of it, before anything is in force.
//!
//! **Nothing is guessed.** What a receipt does not tell and the candidate's answer depends
//! on is counted by its cause, with a sample ([`Unknown`]). **Mail goes first**: modules are
//! run where an instance is left over, and bring nothing into quarantine. **Memory does not
//! grow with the number of receipts**: they come in pages, and what is kept of senders is
//! bounded. **The same receipts and the same candidate give the same result.**
//!
//! The candidate is taken as if it were in force at one moment: policies are valid then or
//! not, whenever the mail came; what modules are told is the mail's own. Receipts are the
//! tenant's: what its decision means for other recipients of a message, or for another
//! tenant behind it, is not asked.
//!
//! Read in this order: `candidate`, `again` (one receipt), `run` (all of them), `tally` and
//! `findings` (what came of it), `jobs` (who may have one under way). Beside them stands
//! `then`: one decision again by what it was made of, where nothing is a candidate.

mod again;
mod candidate;
mod findings;
mod jobs;
mod run;
mod tally;
mod then;

pub use again::Unknown;
pub use candidate::Candidate;
pub use findings::{Asked, Broken, Findings, Others, Pair, RefusedSender, Undetermined};
pub use jobs::{Ending, Job, JobError, Place, Replays};
pub use run::{Errand, Progress, ReplayError, run};
pub use then::{Past, Rerun, Said, Then};
