//! How an author's commands end where nobody reads what they say, and where they are
//! interrupted.

use std::fs;
use std::io::pipe;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use portcullis_tests::program::portcullis;
use rustix::process::{Pid, Signal, kill_process};

use super::{Desk, VECTORS, partner_list};

/// How long a command may take to begin, where others build and test at the same time.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs it with nobody at the other end of its output, as behind `| head -1` by then.
fn unheard(arguments: &[&str]) -> ExitStatus {
    let closed = || {
        let (reader, writer) = pipe().expect("a pipe");
        drop(reader);
        writer
    };
    Command::new(portcullis())
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(closed())
        .stderr(closed())
        .status()
        .expect("the binary was built")
}

/// What is found is said by the exit code, whoever reads the rest.
#[test]
fn a_verdict_does_not_depend_on_its_reader() {
    let failing = VECTORS.replace("decision = \"default\"", "decision = \"enforced\"");
    let desk = Desk::new(VECTORS);
    desk.write("failing.toml", failing);
    desk.write("broken.wasm", "no module");
    let module = partner_list().display().to_string();
    let [vectors, failing, broken] =
        ["vectors.toml", "failing.toml", "broken.wasm"].map(|name| desk.text(name));
    let asked = |case| ["run", &module, "--vectors", &vectors, "--case", case];
    for (arguments, code) in [
        (&["test", &module, "--vectors", &vectors][..], 0),
        (&["test", &module, "--vectors", &failing], 1),
        (&asked("a partner"), 0),
        (&asked("a list that is not there"), 1),
        (&["inspect", &module], 0),
        (&["inspect", &broken], 1),
    ] {
        let status = unheard(arguments);
        assert_eq!(status.code(), Some(code), "{arguments:?}: {status}");
    }
}

/// What a command has made for itself goes with it.
#[test]
fn an_interrupted_command_leaves_nothing_behind() {
    let desk = Desk::new(VECTORS);
    let temporary = desk.path("temporary");
    fs::create_dir(&temporary).expect("a directory");
    let left = |directory: &Path| fs::read_dir(directory).expect("it is there").count();
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let mut bench = Command::new(portcullis())
            .args(["bench", "--seconds", "600", "--vectors"])
            .arg(desk.path("vectors.toml"))
            .arg(partner_list())
            .env("TMPDIR", &temporary)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary was built");
        let began = Instant::now();
        while left(&temporary) == 0 {
            assert!(began.elapsed() < PATIENCE, "no directory for modules");
            thread::yield_now();
        }
        kill_process(Pid::from_child(&bench), signal).expect("it runs");
        let status = bench.wait().expect("a child can be waited for");
        assert_eq!(status.signal(), None, "{status}");
        assert_eq!(status.code(), Some(code), "{status}");
        assert_eq!(left(&temporary), 0, "{signal:?}");
    }
}
