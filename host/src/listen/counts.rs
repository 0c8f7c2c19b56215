//! How many sessions there are of each client, or of each network.
//!
//! **Bounded** by the number of sessions: whoever has none is not in the table.

use std::collections::HashMap;
use std::net::IpAddr;

/// Sessions by where they come from.
#[derive(Debug)]
pub(super) struct Counts {
    most: usize,
    sessions: HashMap<IpAddr, usize>,
}

impl Counts {
    /// At most so many of each.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            sessions: HashMap::new(),
        }
    }

    /// Whether there may be one more.
    pub(super) fn has_room(&self, of: IpAddr) -> bool {
        self.sessions.get(&of).copied().unwrap_or(0) < self.most
    }

    /// One more.
    pub(super) fn enter(&mut self, of: IpAddr) {
        *self.sessions.entry(of).or_default() += 1;
    }

    /// One less.
    pub(super) fn leave(&mut self, of: IpAddr) {
        if let Some(count) = self.sessions.get_mut(&of) {
            *count -= 1;
            if *count == 0 {
                self.sessions.remove(&of);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }
}
