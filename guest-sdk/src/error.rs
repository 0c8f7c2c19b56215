//! Why a policy could not decide.

use std::fmt;

/// Why a policy could not decide: a text for the administrator.
///
/// Anything that can be displayed becomes one by `?` or `into()`, so a policy needs no
/// error type of its own. The host treats an error like a trap: the policy's
/// on-failure applies, and the text is in the receipt.
///
/// ```
/// use portcullis_sdk::Result;
///
/// fn port(text: &str) -> Result<u16> {
///     if text.is_empty() {
///         return Err("the port is empty".into());
///     }
///     Ok(text.parse()?)
/// }
/// assert_eq!(port("").expect_err("empty").as_str(), "the port is empty");
/// ```
// It implements neither Display nor Error, else the conversion below would overlap
// with the identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(String);

/// What a policy returns: by default an [`Answer`](crate::Answer), or an [`Error`].
pub type Result<T = crate::Answer, E = Error> = core::result::Result<T, E>;

impl Error {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Says where: `context: error`.
    pub fn context(self, context: impl fmt::Display) -> Self {
        Self(format!("{context}: {}", self.0))
    }
}

impl<T: fmt::Display> From<T> for Error {
    fn from(fault: T) -> Self {
        Self(fault.to_string())
    }
}
