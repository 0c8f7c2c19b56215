//! Other people's programs, each with a bound on its time.
//!
//! **A tool that is not there fails the test** and is named with the Debian package
//! that has it; nothing is skipped.

use std::io::Write;
use std::process::{Child, Command, Stdio};

/// Longest that a tool may run: what tries the whole API takes most of a minute where nothing
/// else runs, and tests run beside it.
const PATIENCE: &str = "300";

/// What `timeout` says when time was up, and when there is no such program.
const TIMED_OUT: i32 = 124;
const NOT_FOUND: i32 = 127;

/// What is in no Debian package that would do.
const PYTHON: [&str; 1] = ["schemathesis"];

/// Programs that the suites use, and the Debian packages that have them.
const PACKAGES: [(&str, &str); 13] = [
    ("swaks", "swaks (with libnet-ssleay-perl)"),
    ("openssl", "openssl"),
    ("curl", "curl"),
    ("python3", "python3"),
    ("strace", "strace"),
    ("postfix", "postfix"),
    ("sendmail", "postfix"),
    ("postqueue", "postfix"),
    ("dovecot", "dovecot-lmtpd"),
    ("haproxy", "haproxy"),
    ("systemd-analyze", "systemd"),
    ("mandoc", "mandoc"),
    ("chromium", "chromium"),
];

/// What a tool left.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Ran {
    /// Fails the test, with all that the tool said, unless the exit code is `code`.
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "stdout:\n{}\nstderr:\n{}",
            self.stdout, self.stderr
        );
        self
    }
}

/// Runs a tool to its end.
pub fn run(program: &str, arguments: &[&str]) -> Ran {
    run_with_input(program, arguments, b"")
}

/// Runs a tool to its end, with this as its standard input.
pub fn run_with_input(program: &str, arguments: &[&str], input: &[u8]) -> Ran {
    let mut child = spawn(program, arguments, Stdio::piped());
    let mut stdin = child.stdin.take().expect("its input is piped");
    // A tool that ends without reading its input is judged by its exit code.
    let _ = stdin.write_all(input);
    drop(stdin);
    let output = child.wait_with_output().expect("a child can be waited for");
    let code = output.status.code().unwrap_or(-1);
    let stderr = text(&output.stderr);
    assert_ne!(
        code,
        NOT_FOUND,
        "{program} is missing: {}\n{stderr}",
        install(program)
    );
    assert_ne!(
        code, TIMED_OUT,
        "{program} {arguments:?} ran over {PATIENCE} s\n{stderr}"
    );
    Ran {
        code,
        stdout: text(&output.stdout),
        stderr,
    }
}

/// Starts a tool to talk with; its standard error goes to `stderr`.
pub fn spawn(program: &str, arguments: &[&str], stderr: Stdio) -> Child {
    require(program);
    Command::new("timeout")
        .args(["-k", "5", PATIENCE, program])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(stderr)
        .spawn()
        .expect("timeout is part of coreutils, which every Debian has")
}

/// Fails the test if the program is not there.
pub fn require(program: &str) {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|directory| directory.join(program).is_file());
    assert!(found, "{program} is missing: {}", install(program));
}

fn install(program: &str) -> String {
    if PYTHON.contains(&program) {
        return "start the tests with tests/run, which installs it".to_owned();
    }
    let package = PACKAGES.iter().find(|(name, _)| *name == program);
    format!(
        "install Debian's package {}",
        package.map_or(program, |(_, package)| package)
    )
}

/// Octets as text, whatever they are.
pub fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}
