//! What receipts, tenants and sessions go by.

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::name::{Name, NameError};

/// Id of a receipt: a ULID, so that ids sort by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReceiptId(ulid::Ulid);

impl ReceiptId {
    /// A fresh id for this moment.
    pub fn new(now: SystemTime) -> Self {
        Self(ulid::Ulid::from_datetime(now))
    }
}

impl ReceiptId {
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
