//! What an operator does with a running host: edits files, reloads, asks for metrics;
//! and what a service manager hears of it.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::program::portcullis;
use crate::site::Host;
use crate::tool::{self, Ran};

/// Longest wait for what the host does by itself.
const PATIENCE: Duration = Duration::from_secs(60);

impl Host {
    /// Writes a file of the site, while the host runs.
    pub fn write(&self, path: &str, contents: impl AsRef<[u8]>) {
        fs::write(self.site().path(path), contents).expect("the site can be written");
    }

    /// Edits `portcullis.toml`.
    pub fn edit(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.config()).expect("the host has read it, too");
        assert!(text.contains(from), "{from:?} is not in {text}");
        self.write("portcullis.toml", text.replace(from, to));
    }

    /// Runs `portcullis reload`.
    pub fn reload(&self) -> Ran {
        let program = portcullis().display().to_string();
        let config = self.config().display().to_string();
        tool::run(&program, &["reload", "--config", &config])
    }

    /// Asks for a reload as operators did before there were sockets.
    pub fn hang_up(&self) {
        let pid = Pid::from_raw(self.pid()).expect("a process has an id");
        kill_process(pid, Signal::HUP).expect("the host runs");
    }

    /// A sample of the metrics, which have to be on; zero while there is none. The
    /// name is without its prefix, the labels without quotes.
    pub fn metric(&self, name: &str) -> f64 {
        let url = format!("http://{}/metrics", self.address("metrics"));
        let page = tool::run("curl", &["-sS", "--max-time", "60", &url]).expect_code(0);
        let sample = |line: &str| {
            let (found, value) = line.strip_prefix("portcullis_")?.rsplit_once(' ')?;
            (found.replace('"', "") == name).then(|| value.parse().ok())?
        };
        page.stdout.lines().find_map(sample).unwrap_or(0.0)
    }

    /// Waits until a sample has this value.
    pub fn wait_for_metric(&self, name: &str, value: f64) {
        let began = Instant::now();
        loop {
            let found = self.metric(name);
            if found == value {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "{name}: {found}, not {value}");
        }
    }

    fn config(&self) -> PathBuf {
        self.site().path("portcullis.toml")
    }
}

/// A service manager, as far as it listens.
pub struct Manager(UnixDatagram);

impl Manager {
    /// Listens on this socket, which a host finds in its variable `NOTIFY_SOCKET`.
    pub fn new(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).expect("a short path in the test's directory");
        socket
            .set_read_timeout(Some(PATIENCE))
            .expect("the bound is not zero");
        Self(socket)
    }

    /// What it hears next.
    pub fn hears(&self) -> String {
        let mut buffer = [0; 4096];
        let length = self.0.recv(&mut buffer).expect("the host says something");
        tool::text(&buffer[..length])
    }

    /// Passes over what it hears until a message has this line; the whole message.
    pub fn waits_for(&self, line: &str) -> String {
        loop {
            let message = self.hears();
            if message.lines().any(|found| found == line) {
                return message;
            }
        }
    }
}
