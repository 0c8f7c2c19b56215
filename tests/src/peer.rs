//! Mail systems of other people, run as they are, by root: their masters give each job to
//! a user with fewer rights. **A test that is not run by root fails and says so.**

use std::process::{Child, Command};

use rustix::process::{Pid, Signal, kill_process};

use crate::{site, tool};

/// A running program with all that it has started. It ends when this goes out of scope.
///
/// It is the first process of a namespace of processes, so that none of them outlives it,
/// however the test ends.
pub(crate) struct Peer(Child);

impl Peer {
    /// Prepares a program to be run so.
    pub(crate) fn command(program: &str) -> Command {
        tool::require(program);
        assert!(
            rustix::process::geteuid().is_root(),
            "{program} can be started by root alone: run the tests as root, or all but these \
             with `tests/run -- --skip peers`"
        );
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "--kill-child", program]);
        command
    }

    /// What runs now.
    pub(crate) fn new(child: Child) -> Self {
        Self(child)
    }
}

impl Drop for Peer {
    /// When this returns, none of its processes is left.
    fn drop(&mut self) {
        let outside = Pid::from_child(&self.0);
        match site::only_child(outside) {
            // Whoever started it waits for it, and it for all others.
            Some(first) => drop(kill_process(first, Signal::KILL)),
            None => drop(self.0.kill()),
        }
        let _ = self.0.wait();
    }
}
