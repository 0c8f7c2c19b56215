//! Replies of a next hop.

use std::fmt;

/// A reply of a next hop as it may be passed on: bounded and printable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HopReply {
    /// The three digits.
    pub code: u16,
    /// Enhanced status code (RFC 3463), where the next hop gave one of the same class.
    pub enhanced: Option<String>,
    /// Its lines, joined, without codes.
    pub text: String,
}

impl fmt::Display for HopReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(enhanced) = &self.enhanced {
            write!(f, " {enhanced}")?;
        }
        if !self.text.is_empty() {
            write!(f, " {}", self.text)?;
        }
        Ok(())
    }
}
