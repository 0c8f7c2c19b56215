//! How far a session has come: what counts when room is needed for others.

use super::{Session, State};
use crate::listen::Standing;

impl Session {
    /// How far it has come by what is under way. What was before is not known here.
    pub fn standing(&self) -> Standing {
        match &self.state {
            State::Connected | State::Securing | State::Closed => Standing::Connected,
            State::Transaction(envelope) if envelope.permits.is_empty() => Standing::Greeted,
            State::Greeted(_) | State::Spoiled(_) | State::Deciding(_) => Standing::Greeted,
            State::Transaction(_)
            | State::Offering(..)
            | State::Content(_)
            | State::Chunk(..)
            | State::Chunks(..)
            | State::Reviewing(_)
            | State::Delivering(_) => Standing::Engaged,
        }
    }
}
