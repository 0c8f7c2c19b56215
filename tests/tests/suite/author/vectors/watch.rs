//! Trying again when something changes.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use portcullis_tests::program::portcullis;
use portcullis_tests::tool::spawn;
use rustix::process::{Pid, Signal, kill_process};

use super::{Desk, VECTORS, partner_list};

/// Ends with the test.
struct Watching(Child);

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn vectors_are_tried_again_when_they_change_until_interrupted() {
    let desk = Desk::new(VECTORS);
    let [program, module] = [portcullis(), &partner_list()].map(|path| path.display().to_string());
    let vectors = desk.text("vectors.toml");
    let arguments = ["test", &module, "--watch", "--vectors", &vectors];
    // It is ended after a while, and hands on what ends it before.
    let mut watching = Watching(spawn(&program, &arguments, Stdio::piped()));
    let stdout = watching.0.stdout.take().expect("it is piped");
    let lines = BufReader::new(stdout).lines();
    let mut results = lines
        .map(|line| line.expect("text"))
        .filter(|line| line.starts_with("test result: "));
    let mut next = || results.next().expect("a result");
    assert!(next().starts_with("test result: ok. 4 passed"));
    desk.write(
        "vectors.toml",
        VECTORS.replace("decision = \"default\"", "decision = \"enforced\""),
    );
    assert!(next().starts_with("test result: FAILED. 3 passed; 1 failed"));
    // A file with faults is no end of it.
    desk.write("vectors.toml", "[[case]]");
    let stderr = watching.0.stderr.take().expect("it is piped");
    let mut errors = BufReader::new(stderr).lines();
    let told = errors.find(|line| {
        let line = line.as_ref().expect("text");
        line.contains("vectors.toml: line 1: ")
    });
    assert!(told.is_some());
    desk.write("vectors.toml", VECTORS);
    assert!(next().starts_with("test result: ok. 4 passed"));
    let pid = Pid::from_child(&watching.0);
    kill_process(pid, Signal::INT).expect("it runs");
    let status = watching.0.wait().expect("a child can be waited for");
    assert!(status.success(), "{status}");
}
