//! What a policy's crate may be called.

use std::fmt;
use std::str::FromStr;

/// Longest name: what a module may be called on a host.
const LONGEST: usize = crate::name::MAX_NAME;

/// Names that Rust or cargo has for something else, or that the crate depends on.
const TAKEN: [&str; 66] = [
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "build",
    "const",
    "continue",
    "core",
    "crate",
    "deps",
    "do",
    "dyn",
    "else",
    "enum",
    "examples",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "incremental",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "portcullis-sdk",
    "priv",
    "proc-macro",
    "proc_macro",
    "pub",
    "ref",
    "return",
    "schemars",
    "self",
    "serde",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "union",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "yield",
    "portcullis_sdk",
];

/// Name of a policy's crate, which is that of its module on a host, too: lower-case
/// letters, digits and hyphens, beginning with a letter; at most 63 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrateName(String);

/// Not a name for a crate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CrateNameError {
    /// With other characters.
    #[error(
        "{0:?} is no name for a policy's crate: use 1 to {LONGEST} of a-z, 0-9 and '-', beginning with a letter, such as weekend-freeze"
    )]
    Unfit(String),
    /// A name of something else.
    #[error(
        "{0:?} is a word of Rust or of cargo, or a crate that the policy is built with: choose another name"
    )]
    Taken(String),
}

impl CrateName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CrateName {
    type Err = CrateNameError;

    fn from_str(text: &str) -> Result<Self, CrateNameError> {
        let sound = text.len() <= LONGEST
            && text.starts_with(|first: char| first.is_ascii_lowercase())
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if TAKEN.contains(&text) {
            Err(CrateNameError::Taken(text.to_owned()))
        } else if sound {
            Ok(Self(text.to_owned()))
        } else {
            Err(CrateNameError::Unfit(text.to_owned()))
        }
    }
}

impl fmt::Display for CrateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
