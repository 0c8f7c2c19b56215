//! A store that another program has locked for writing, as `sqlite3` does in the middle of
//! a transaction.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::tool;

const SCRIPT: &str = "import sqlite3, sys\n\
    c = sqlite3.connect(sys.argv[1], isolation_level=None)\n\
    c.execute('BEGIN IMMEDIATE')\n\
    print('locked', flush=True)\n\
    sys.stdin.read()\n";

/// The lock. It is free again when this goes out of scope.
pub struct Locked(Child);

impl Locked {
    /// Takes it, of the store in this file.
    pub fn take(store: &Path) -> Self {
        tool::require("python3");
        let mut other = Command::new("python3")
            .args(["-c", SCRIPT])
            .arg(store)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 is there");
        let stdout = other.stdout.take().expect("it is piped");
        let mut line = String::new();
        let read = BufReader::new(stdout).read_line(&mut line);
        assert!(read.is_ok() && line == "locked\n", "{line:?}");
        Self(other)
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // It ends with its input.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
