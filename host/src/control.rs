//! The control socket: how `portcullis reload` and `apply` ask the running host.
//!
//! A socket in the data directory, so that whoever finds the host's data finds the
//! host, and a socket and not a signal, so that whoever asks is told what became of it:
//! "done" means that it is in force. **Only the host's own user and root may ask**: the
//! file is theirs alone, and the kernel is asked who it is. One question and one answer
//! for each connection, a line of JSON each, bounded in size and number.

mod ask;
mod listen;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use ask::{AskError, ask};
pub use listen::{BindError, Bound, Control};

/// The socket's name in the data directory.
const SOCKET: &str = "control.sock";

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Question {
    /// Load the configuration, all tenants and the certificates anew.
    Reload {
        /// From this file, which has to be the one that the host was started with.
        file: PathBuf,
    },
    /// Make the store equal to a tree of files.
    Apply {
        /// The configuration, as for a reload.
        file: PathBuf,
        /// The tree.
        directory: PathBuf,
        /// Only say what would change.
        dry_run: bool,
    },
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// It is in force.
    Done {
        /// The configuration's file, as the host names it.
        file: PathBuf,
        /// How many tenants there are now.
        tenants: usize,
        /// Keys whose new value waits for a restart.
        waiting: Vec<String>,
    },
    /// The store is equal to the tree, and in force; or would be.
    Applied {
        /// A line for each change.
        changes: Vec<String>,
        /// Microseconds from the question until it was in force; none where it was not
        /// to be.
        micros: Option<u64>,
    },
    /// Nothing has changed, for these faults.
    Refused {
        /// A line each, as `check` shows them.
        faults: Vec<String>,
    },
    /// Nothing has changed, for another reason.
    Failed {
        /// Which.
        reason: String,
    },
}

/// Where the socket of a host with this data directory is.
fn path(data_dir: &Path) -> PathBuf {
    data_dir.join(SOCKET)
}
