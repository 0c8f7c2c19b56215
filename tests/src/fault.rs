//! System calls of a running host that fail.
//!
//! `strace` attaches to it and lets calls fail as the kernel would; when it lets go, the
//! cause is gone, and the host is still the same. It counts calls for each thread by
//! itself, so "the second" is the second of a thread.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::NamedTempFile;

use crate::site::Host;
use crate::tool;

/// Calls that fail. They work again when it goes out of scope.
pub struct Fault {
    strace: Child,
    calls: NamedTempFile,
}

impl Fault {
    /// Lets calls fail: `failing` are expressions of `strace --inject`, such as
    /// `fsync:error=EIO:when=1`. Where there are `paths`, only calls about them do.
    pub fn inject(host: &Host, failing: &[&str], paths: &[&str]) -> Self {
        tool::require("strace");
        let calls = NamedTempFile::new().expect("there is room for a file");
        let mut command = Command::new("strace");
        command.args(["-f", "-p", &host.pid().to_string(), "-o"]);
        command.arg(calls.path());
        for failing in failing {
            command.arg(format!("--inject={failing}"));
        }
        for path in paths {
            command.args(["-P", path]);
        }
        let mut strace = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("strace is there");
        let mut stderr = BufReader::new(strace.stderr.take().expect("standard error is piped"));
        let mut said = String::new();
        while !said.contains(" attached") {
            let read = stderr.read_line(&mut said).expect("strace speaks text");
            assert!(read > 0, "strace cannot attach to the host:\n{said}");
        }
        // It is read on, so that strace never waits for a full pipe.
        thread::spawn(move || stderr.read_to_end(&mut Vec::new()));
        Self { strace, calls }
    }

    /// Ends it, and says how many calls have failed.
    pub fn end(mut self) -> usize {
        self.let_go();
        let calls = fs::read(self.calls.path()).expect("strace wrote its log");
        tool::text(&calls).matches("(INJECTED)").count()
    }

    fn let_go(&mut self) {
        // It may be over already, with the host.
        let _ = kill_process(Pid::from_child(&self.strace), Signal::INT);
        let _ = self.strace.wait();
    }
}

impl Drop for Fault {
    fn drop(&mut self) {
        self.let_go();
    }
}
