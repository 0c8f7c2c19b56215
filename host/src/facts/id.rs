//! What receipts, tenants and sessions go by.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::name::{Name, NameError};

/// Id of a receipt: a ULID, so that ids sort by time, and those of one millisecond in the
/// order in which they were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReceiptId(ulid::Ulid);

impl ReceiptId {
    /// A fresh id for this moment.
    pub fn new(now: SystemTime) -> Self {
        /// How many there were: the first of the bits behind the time. The other 48 stay
        /// random.
        static MADE: AtomicU32 = AtomicU32::new(0);
        const RANDOM: u128 = (1 << 48) - 1;
        let fresh = ulid::Ulid::from_datetime(now);
        let ordinal = u128::from(MADE.fetch_add(1, Ordering::Relaxed)) << 48;
        let rest = ordinal | (fresh.random() & RANDOM);
        Self(ulid::Ulid::from_parts(fresh.timestamp_ms(), rest))
    }

    /// No id of a receipt that was made at this second since 1970, or later, is less.
    pub fn first_of(unix_seconds: u64) -> Self {
        // The time of an id has 48 bits.
        const LAST: u64 = (1 << 48) - 1;
        let milliseconds = unix_seconds.saturating_mul(1000).min(LAST);
        Self(ulid::Ulid::from_parts(milliseconds, 0))
    }

    /// When it was made, in seconds since 1970.
    pub fn made(&self) -> u64 {
        self.0.timestamp_ms() / 1000
    }
}

/// Not the id of a receipt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the id of a receipt: give the 26 letters and digits that end an SMTP reply")]
pub struct ReceiptIdError(String);

impl FromStr for ReceiptId {
    type Err = ReceiptIdError;

    fn from_str(text: &str) -> Result<Self, ReceiptIdError> {
        text.parse()
            .map(Self)
            .map_err(|_| ReceiptIdError(text.to_owned()))
    }
}

impl fmt::Display for ReceiptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Id of a session in the log: a ULID, as receipts have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionId(ulid::Ulid);

impl SessionId {
    /// A fresh id for this moment.
    pub fn new(now: SystemTime) -> Self {
        Self(ulid::Ulid::from_datetime(now))
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Id of a tenant: a name, which its file, its maildir and its metrics have.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TenantId(Name);

impl TenantId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for TenantId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        text.parse().map(Self)
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn ids_sort_by_time_and_by_the_order_of_their_making() {
        let at = |milliseconds| UNIX_EPOCH + Duration::from_millis(milliseconds);
        let ids = [1000, 1000, 1000, 1001, 2000].map(|time| ReceiptId::new(at(time)));
        assert!(ids.is_sorted_by(|one, other| one < other), "{ids:?}");
        let second = ReceiptId::first_of(1);
        assert!(ids.iter().all(|id| *id >= second), "{ids:?}");
        assert!(ids[3] < ReceiptId::first_of(2) && ids[4] >= ReceiptId::first_of(2));
        // A clock that was set back says so.
        assert!(ReceiptId::new(at(999)) < second);
    }
}
