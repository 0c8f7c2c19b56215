//! `docs/first-policy.md`, followed literally in an empty directory: from `portcullis new` to
//! a message that is refused and one that is accepted, and back. What stands behind `$` is
//! run, in the order of the page, and has to say what stands below it.
//!
//! Only ports are other ones than the page's: the kernel chooses them. Cargo is not let onto
//! the network, so that what a new crate needs is what this repository is built with.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use portcullis_tests::page::{self, Step};
use portcullis_tests::program::{portcullis, workspace};
use portcullis_tests::tool;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Stands before a block whose command ends with another exit code than 0.
const FAILS: &str = "this fails";

/// Stands before a block whose command finds something that the host keeps a moment after
/// the reply.
const MOMENT: &str = "in a moment";

/// How long such a moment may be, where others build and test at the same time.
const PATIENCE: Duration = Duration::from_secs(60);

/// The page's ports.
const PORTS: [&str; 2] = ["2525", "8925"];

/// What the page promises, with nothing else to do, is a quarter of it. Here others build and
/// test at the same time.
const CEILING: Duration = Duration::from_secs(20 * 60);

/// How a command ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Well,
    Fails,
    InAMoment,
}

/// Whoever reads the page, at their terminals.
struct Reader {
    directory: TempDir,
    host: Option<Host>,
    /// Seconds that each command took.
    took: Vec<(String, f64)>,
}

/// The host in the second terminal, which ends with the test.
struct Host {
    child: Child,
    /// The page's ports, and those that they are here.
    ports: Vec<(&'static str, String)>,
}

impl Drop for Host {
    fn drop(&mut self) {
        let pid = Pid::from_child(&self.child);
        // It may be over already.
        let _ = kill_process(pid, Signal::TERM);
        let _ = self.child.wait();
    }
}

impl Reader {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("there is room for a directory");
        fs::create_dir(directory.path().join("desk")).expect("it is empty");
        fs::write(directory.path().join("state"), "cd \"$DESK\"\n").expect("it can be written");
        Self {
            directory,
            host: None,
            took: Vec::new(),
        }
    }

    /// The empty directory.
    fn desk(&self) -> PathBuf {
        self.directory.path().join("desk")
    }

    /// What is typed, with the ports that are there.
    fn typed(&self, command: &str) -> String {
        let ports = self.host.as_ref().map(|host| host.ports.as_slice());
        let real = |port: &str| {
            let mut known = ports.unwrap_or_default().iter();
            let known = known.find(|(page, _)| *page == port);
            known.map_or("0".to_owned(), |(_, real)| real.clone())
        };
        let replace = |text: String, port: &&str| {
            text.replace(&format!(":{port}"), &format!(":{}", real(port)))
        };
        PORTS.iter().fold(command.to_owned(), replace)
    }

    /// Types a command, which has to say what is written, in a moment at the latest.
    fn types(&mut self, command: &str, written: &[String], how: How) {
        let began = Instant::now();
        loop {
            let said = self.shell(command, how == How::Fails);
            let is_as_written = page::is_said(&said, written);
            if how != How::InAMoment || is_as_written || began.elapsed() > PATIENCE {
                page::compare(command, &said, written);
                break;
            }
        }
        self.took
            .push((command.to_owned(), began.elapsed().as_secs_f64()));
    }

    /// Types it into a shell that is where the one before was, and knows what that had
    /// exported; what it says.
    fn shell(&self, command: &str, fails: bool) -> String {
        let state = self.directory.path().join("state");
        let state = state.display();
        let typed = self.typed(command);
        let script = format!(
            "exec 2>&1\nsource {state}\n{typed}\ncode=$?\n{{ export -p; printf 'cd %q\\n' \"$PWD\"; }} > {state}\nexit $code"
        );
        let ran = run(&script, &self.desk());
        assert_eq!(
            ran.code != 0,
            fails,
            "{typed}: {}\n{}",
            ran.code,
            ran.stdout
        );
        let ports = self.host.iter().flat_map(|host| &host.ports);
        ports.fold(ran.stdout, |said, (page, real)| {
            said.replace(&format!(":{real}"), &format!(":{page}"))
        })
    }

    /// Starts the host, and waits until it is ready.
    fn serves(&mut self, command: &str, written: &[String]) {
        let began = Instant::now();
        let arguments = command.split(' ').skip(1);
        let mut child = Command::new(portcullis())
            .args(arguments)
            .current_dir(self.desk())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary was built");
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut host = Host {
            child,
            ports: Vec::new(),
        };
        let mut said = String::new();
        for line in stdout.lines() {
            let mut line = line.expect("a line");
            if let Some((page, real)) = PORTS.get(host.ports.len()).zip(port_in(&line)) {
                line = line.replace(&real, page);
                host.ports.push((page, real));
            }
            writeln!(said, "{line}").expect("text can be written to");
            if line == "ready" {
                break;
            }
        }
        page::compare(command, &said, written);
        self.took
            .push((command.to_owned(), began.elapsed().as_secs_f64()));
        self.host = Some(host);
    }

    /// How long each step took, on standard error: it is no matter of passing or failing.
    fn reports(&self) -> Duration {
        let mut report = String::from("docs/first-policy.md, followed:\n");
        for (command, seconds) in &self.took {
            let line = command.lines().next().unwrap_or_default();
            writeln!(report, "{seconds:8.2} s  {line}").expect("text can be written to");
        }
        let all = self.took.iter().map(|(_, seconds)| seconds).sum();
        writeln!(report, "{all:8.2} s  in all").expect("text can be written to");
        // Past what the harness captures; a test without a terminal reports to nobody.
        let _ = io::stderr().write_all(report.as_bytes());
        Duration::from_secs_f64(all)
    }
}

/// The port at the end of `listening smtp 127.0.0.1:2525 starttls`.
fn port_in(line: &str) -> Option<String> {
    let address = line.strip_prefix("listening ")?.split(' ').nth(1)?;
    address.rsplit_once(':').map(|(_, port)| port.to_owned())
}

fn run(script: &str, desk: &Path) -> tool::Ran {
    let programs = portcullis().parent().expect("a directory").display();
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("PATH={programs}:{path}");
    let desk = format!("DESK={}", desk.display());
    let toolchain = format!("RUSTUP_TOOLCHAIN={}", toolchain());
    let mut words = vec![path.as_str(), &desk, &toolchain, "CARGO_NET_OFFLINE=true"];
    for variable in [
        "CARGO_TARGET_DIR",
        "RUSTFLAGS",
        "PORTCULLIS_URL",
        "PORTCULLIS_TOKEN",
    ] {
        words.splice(0..0, ["-u", variable]);
    }
    let ceiling = CEILING.as_secs().to_string();
    let output = Command::new("timeout")
        .args(["-k", "5", &ceiling, "env"])
        .args(words)
        .args(["bash", "-c", script])
        .stdin(Stdio::null())
        .output()
        .expect("timeout is part of coreutils, which every Debian has");
    tool::Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: tool::text(&output.stdout),
        stderr: tool::text(&output.stderr),
    }
}

/// The one that the repository is built with, which has the target of policies.
fn toolchain() -> String {
    let file = fs::read_to_string(workspace().join("rust-toolchain.toml"));
    let file = file.expect("the repository names its toolchain");
    let channel = file
        .lines()
        .find_map(|line| line.strip_prefix("channel = "));
    channel.expect("a channel").trim_matches('"').to_owned()
}

#[test]
fn the_page_is_followed_to_its_end() {
    let steps = page::steps("first-policy.md");
    assert!(steps.len() > 20, "{steps:?}");
    // It is built before anybody looks at a clock.
    portcullis();
    let (mut reader, mut how) = (Reader::new(), How::Well);
    for step in steps {
        match step {
            Step::Mark(mark) if mark == FAILS => how = How::Fails,
            Step::Mark(mark) if mark == MOMENT => how = How::InAMoment,
            Step::Mark(mark) => unreachable!("{mark}: nobody knows what to do"),
            Step::Command(command, written) if command.starts_with("portcullis serve") => {
                reader.serves(&command, &written);
            }
            Step::Command(command, written) => {
                reader.types(&command, &written, how);
                how = How::Well;
            }
        }
    }
    let all = reader.reports();
    assert!(all < CEILING, "{all:?}");
}
