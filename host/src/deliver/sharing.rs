//! Who may share a transaction with whom.
//!
//! The end of data has one reply. So recipients who came to different ends are kept
//! apart when the client tries again: some are accepted, the others get 452 and come
//! in a later transaction. **Whatever fares alike goes together**, so that many
//! recipients who are refused alike need one transaction and not many.
//!
//! **Nobody waits for ever behind somebody who is put off again and again**: whoever
//! made others wait and was put off lets each kind of them go first.

use super::ledger::{RefusalKind, Standing};

/// Most turns that somebody gives to others.
const MAX_TURNS: usize = 8;

/// With whom a recipient may share a transaction: with those whose company is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Company {
    /// With all of whom nothing else is known: the rule.
    Anyone,
    /// With those who were refused for good with these codes.
    Refused(RefusalKind),
    /// With those who were put off again and again.
    Deferred,
    /// With nobody.
    Nobody,
}

/// Who is in a transaction, and who was sent away from it.
#[derive(Debug, Default)]
pub(super) struct Sharing {
    company: Option<Company>,
    /// Each kind once.
    sent_away: Vec<Company>,
}

/// Why a recipient does not come into a transaction now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SentAway {
    /// The others are of another kind.
    Company,
    /// It lets others go first.
    Yields,
}

impl Sharing {
    /// Whether a recipient may come into the transaction.
    pub(super) fn admit(&mut self, standing: &Standing) -> Result<(), SentAway> {
        match self.company {
            None if standing.yields => Err(SentAway::Yields),
            None => Ok(()),
            Some(company) if company == standing.company && company != Company::Nobody => Ok(()),
            Some(_) => {
                let known = self.sent_away.contains(&standing.company);
                if !known || standing.company == Company::Nobody {
                    self.sent_away.push(standing.company);
                }
                self.sent_away.truncate(MAX_TURNS);
                Err(SentAway::Company)
            }
        }
    }

    /// A recipient was sent away from those who are in, for a reason that is not known
    /// here.
    pub(super) fn send_away(&mut self) {
        self.sent_away.push(Company::Nobody);
        self.sent_away.truncate(MAX_TURNS);
    }

    /// A recipient that may come in was accepted.
    pub(super) fn join(&mut self, standing: &Standing) {
        self.company.get_or_insert(standing.company);
    }

    /// How many turns those who are in owe to those who were sent away.
    pub(super) fn turns_owed(&self) -> u8 {
        u8::try_from(self.sent_away.len()).unwrap_or(u8::MAX)
    }
}
