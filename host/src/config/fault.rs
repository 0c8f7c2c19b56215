//! What is wrong with the configuration, and where.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::facts::TenantId;

/// Where something is written.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The file, as the operator would name it.
    pub file: Arc<Path>,
    /// Line, from one; none for the file as a whole.
    pub line: Option<usize>,
    /// Dotted path of the key, such as `policy[2].from`; empty where there is none.
    pub key: String,
}

/// A value and where it is written, for what is found wrong with it later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where it is.
    pub at: Position,
}

/// One fault of the configuration. Sorts by file and line.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("{at}: {message}")]
pub struct Fault {
    /// Where.
    pub at: Position,
    /// What is wrong, and what to do about it.
    pub message: String,
}

impl Position {
    /// A file as a whole.
    pub fn file(file: &Path) -> Self {
        Self {
            file: file.into(),
            line: None,
            key: String::new(),
        }
    }

    /// A tenant of the store as a whole.
    pub fn tenant(id: &TenantId) -> Self {
        Self::file(Path::new(&format!("tenant {id}")))
    }

    /// A fault that is found here.
    pub fn fault(&self, message: impl fmt::Display) -> Fault {
        Fault {
            at: self.clone(),
            message: message.to_string(),
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
