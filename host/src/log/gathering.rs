//! Lines that come soon after one another are written together.

use std::io::{self, BufWriter, Write};
use std::time::Duration;

/// How long lines gather behind those that were just written. A thread that wakes for
/// each line costs a busy host more than the line.
const GATHER: Duration = Duration::from_millis(50);

/// Octets that are written at once: as much as a pipe takes.
const PIECE: usize = 64 * 1024;

/// A writer that is flushed when nothing waits: it then writes at once what has come,
/// and lets what comes next gather for a moment.
#[derive(Debug)]
pub(super) struct Gathering<W: Write>(BufWriter<W>);

impl<W: Write> Gathering<W> {
    pub(super) fn new(inner: W) -> Self {
        Self(BufWriter::with_capacity(PIECE, inner))
    }
}

impl<W: Write> Write for Gathering<W> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        let written = self.0.flush();
        std::thread::sleep(GATHER);
        written
    }
}
