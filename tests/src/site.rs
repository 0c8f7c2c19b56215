//! A site: a directory with a configuration, and the host that runs on it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::program::portcullis;
use crate::tool;

/// Longest wait for the host to be ready, which may have modules to compile.
const START: Duration = Duration::from_secs(120);

/// Lines of the host's log that a failing test shows.
const SHOWN_LOG: usize = 20;

/// The configuration of a host, in a directory of the test's own.
pub struct Site {
    directory: TempDir,
    listeners: String,
    settings: String,
    keys: String,
    environment: Vec<(String, String)>,
}

/// A running host. It is killed when it goes out of scope.
pub struct Host {
    site: Option<Site>,
    child: Child,
    /// The host itself, which is not the child where a tracer is.
    pid: Pid,
    addresses: BTreeMap<String, SocketAddr>,
    log: Option<JoinHandle<String>>,
}

/// What a host left behind.
pub struct Ended {
    /// The site, with its data.
    pub site: Site,
    /// How the host ended.
    pub status: ExitStatus,
    /// What it logged.
    pub log: String,
}

/// A site without listeners or tenants.
impl Default for Site {
    fn default() -> Self {
        let directory = tempfile::tempdir().expect("there is room for a directory");
        fs::create_dir(directory.path().join("tenants")).expect("the directory is new");
        Self {
            directory,
            listeners: String::new(),
            settings: String::new(),
            keys: String::new(),
            environment: Vec::new(),
        }
    }
}

impl Site {
    /// A site with one listener, `smtp`, which offers STARTTLS.
    pub fn new() -> Self {
        Self::default().listener("smtp", "starttls", "")
    }

    /// The same without files of tenants: the store has the last word on them.
    pub fn without_files() -> Self {
        let site = Self::new();
        fs::remove_dir(site.path("tenants")).expect("it is empty");
        site
    }

    /// Adds a listener on a port of the kernel's choice; `more` are further keys of it.
    pub fn listener(self, name: &str, tls: &str, more: &str) -> Self {
        self.listener_at("127.0.0.1:0", name, tls, more)
    }

    /// The same at this address and port, so that it is there after a restart.
    pub fn listener_at(mut self, address: &str, name: &str, tls: &str, more: &str) -> Self {
        self.listeners.push_str(&format!(
            "[[listener]]\nname = \"{name}\"\naddress = \"{address}\"\ntls = \"{tls}\"\n{more}\n"
        ));
        self
    }

    /// Adds tables to `portcullis.toml`.
    pub fn settings(mut self, toml: &str) -> Self {
        self.settings.push_str(toml);
        self.settings.push('\n');
        self
    }

    /// Adds a key of `portcullis.toml` that stands in no table.
    pub fn key(mut self, toml: &str) -> Self {
        self.keys.push_str(toml);
        self.keys.push('\n');
        self
    }

    /// Adds a variable to the host's environment.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds a tenant.
    pub fn tenant(self, id: &str, toml: &str) -> Self {
        self.file(&format!("tenants/{id}.toml"), toml)
    }

    /// Adds a file; its path is relative to the site.
    pub fn file(self, path: &str, contents: impl AsRef<[u8]>) -> Self {
        fs::write(self.path(path), contents).expect("the test's directory can be written");
        self
    }

    /// A path in the site.
    pub fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    /// The site's directory.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Writes `portcullis.toml` and gives its path.
    pub fn write(&self) -> PathBuf {
        let config = self.path("portcullis.toml");
        let Self {
            keys,
            listeners,
            settings,
            ..
        } = self;
        let data = self.path("data");
        let toml = format!(
            "hostname = \"mx.host.example\"\ndata_dir = {data:?}\n{keys}\n{listeners}\n{settings}"
        );
        fs::write(&config, toml).expect("the test's directory can be written");
        config
    }

    /// Starts a host on this site and waits until it is ready.
    pub fn start(self) -> Host {
        Host::start(self, &[])
    }

    /// The same under a tracer, such as `strace` with its arguments, which runs the
    /// host as its only child.
    pub fn start_under(self, tracer: &[&str]) -> Host {
        Host::start(self, tracer)
    }

    /// The same with its data on a disk of this many MiB of its own, which is seen
    /// through [`Host::inside`], and gone when the host is.
    ///
    /// The disk is mounted where nobody but the host sees it, so nothing of it is left
    /// behind. That takes root, or a kernel that lets users have namespaces.
    pub fn start_on_a_small_disk(self, size: u32) -> Host {
        let data = self.path("data");
        fs::create_dir(&data).expect("no host has run here");
        let mount = format!("mount -t tmpfs -o size={size}m,mode=700 tmpfs \"$0\" && exec \"$@\"");
        let data = data.display().to_string();
        let mut tracer = vec!["unshare", "--mount", "--fork", "--kill-child"];
        if !rustix::process::geteuid().is_root() {
            tracer.extend(["--user", "--map-root-user"]);
        }
        tracer.extend(["sh", "-c", &mount, &data]);
        self.start_under(&tracer)
    }

    /// Runs a subcommand with `--config` and gives what it said, however it ended.
    pub fn run(&self, subcommand: &str) -> tool::Ran {
        self.run_with(subcommand, &[])
    }

    /// The same with further arguments.
    pub fn run_with(&self, subcommand: &str, arguments: &[&str]) -> tool::Ran {
        let config = self.write().display().to_string();
        let program = portcullis().display().to_string();
        let mut all = vec![subcommand, "--config", &config];
        all.extend(arguments);
        tool::run(&program, &all)
    }

    /// The messages in a tenant's maildir, oldest first.
    pub fn mail(&self, tenant: &str) -> Vec<Vec<u8>> {
        let mut paths = self.maildir(tenant, "new");
        paths.sort();
        paths
            .iter()
            .map(|path| fs::read(path).expect("a message can be read"))
            .collect()
    }

    /// The files in a part of a tenant's maildir: `tmp`, `new` or `cur`.
    pub fn maildir(&self, tenant: &str, part: &str) -> Vec<PathBuf> {
        let directory = self.path("data/mail").join(tenant).join(part);
        let Ok(entries) = fs::read_dir(directory) else {
            return Vec::new();
        };
        entries
            .map(|entry| entry.expect("the maildir can be read").path())
            .collect()
    }

    /// All receipts, oldest first.
    pub fn receipts(&self) -> Vec<Value> {
        self.receipts_by(&[])
    }

    /// The receipts that `portcullis receipts --json` shows with these arguments.
    pub fn receipts_by(&self, arguments: &[&str]) -> Vec<Value> {
        let data = self.path("data").display().to_string();
        let program = portcullis().display().to_string();
        let mut all = vec!["receipts", "--json", "--data-dir", &data];
        all.extend(arguments);
        let ran = tool::run(&program, &all).expect_code(0);
        let parse = |line| serde_json::from_str(line).expect("a receipt is a line of JSON");
        ran.stdout.lines().map(parse).collect()
    }

    /// The receipt of the only decision about this recipient.
    pub fn receipt(&self, recipient: &str) -> Value {
        let all = self.receipts();
        let of = |receipt: &&Value| receipt["verdict"]["facts"]["recipient"] == recipient;
        let found: Vec<&Value> = all.iter().filter(of).collect();
        assert_eq!(found.len(), 1, "receipts of {recipient} in {all:#?}");
        found[0].clone()
    }
}

impl Host {
    fn start(site: Site, tracer: &[&str]) -> Self {
        let config = site.write();
        let program = portcullis();
        let mut command = match tracer {
            [] => Command::new(program),
            [tracer, arguments @ ..] => {
                tool::require(tracer);
                let mut command = Command::new(tracer);
                command.args(arguments).arg(program);
                command
            }
        };
        let mut child = command
            .args(["serve", "--config"])
            .arg(config)
            .envs(site.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary was built");
        let log = read_log(child.stderr.take().expect("standard error is piped"));
        let lines = read_lines(child.stdout.take().expect("standard output is piped"));
        let pid = Pid::from_child(&child);
        let addresses = BTreeMap::new();
        let mut host = Self {
            site: Some(site),
            child,
            pid,
            addresses,
            log: Some(log),
        };
        host.wait_until_ready(&lines);
        if !tracer.is_empty() {
            host.pid = only_child(host.pid).expect("the tracer has one child, the host");
        }
        host
    }

    fn wait_until_ready(&mut self, lines: &Receiver<String>) {
        loop {
            let Ok(line) = lines.recv_timeout(START) else {
                // Whether it waits or is over: end it, to see what it logged.
                let log = self.kill_and_read();
                assert!(log.is_empty(), "the host is not ready; it logged:\n{log}");
                unreachable!("a host that does not start says why");
            };
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["listening", name, address, _tls] => {
                    let address = address.parse().expect("the host shows where it listens");
                    self.addresses.insert((*name).to_owned(), address);
                }
                ["ready"] => return,
                _ => assert!(line.is_empty(), "unexpected on standard output: {line}"),
            }
        }
    }

    /// Where a listener listens.
    pub fn address(&self, listener: &str) -> SocketAddr {
        self.addresses[listener]
    }

    /// Its site.
    pub fn site(&self) -> &Site {
        self.site
            .as_ref()
            .expect("only the end of the host takes the site")
    }

    /// The host's process.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// A path of its site as the host itself sees it.
    pub fn inside(&self, path: &str) -> PathBuf {
        let path = self.site().path(path);
        let path = path
            .strip_prefix("/")
            .expect("directories of tests are absolute");
        PathBuf::from(format!("/proc/{}/root", self.pid())).join(path)
    }

    /// Asks the host to end, as a service manager does.
    pub fn terminate(&self) {
        kill_process(self.pid, Signal::TERM).expect("the host runs");
    }

    /// Asks it to end and waits until it has; fails the test unless it ends well.
    pub fn stop(self) -> Ended {
        self.terminate();
        let ended = self.wait();
        assert_eq!(
            ended.status.code(),
            Some(0),
            "{}\n{}",
            ended.status,
            ended.log
        );
        ended
    }

    /// Ends it as a crash would.
    pub fn kill(self) -> Ended {
        kill_process(self.pid, Signal::KILL).expect("the host runs");
        self.wait()
    }

    /// Waits until it has ended.
    pub fn wait(mut self) -> Ended {
        let status = self.child.wait().expect("a child can be waited for");
        Ended {
            site: self
                .site
                .take()
                .expect("only the end of the host takes the site"),
            status,
            log: join(self.log.take()),
        }
    }

    fn kill_and_read(&mut self) -> String {
        // It may be over already.
        let _ = kill_process(self.pid, Signal::KILL);
        let _ = self.child.kill();
        let _ = self.child.wait();
        join(self.log.take())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if self.site.is_some() {
            let log = self.kill_and_read();
            if thread::panicking() {
                let lines: Vec<&str> = log.lines().collect();
                let last = &lines[lines.len().saturating_sub(SHOWN_LOG)..];
                eprintln!("the host logged at last:\n{}", last.join("\n"));
            }
        }
    }
}

/// The process that a process runs; none when it runs none, or several.
pub(crate) fn only_child(parent: Pid) -> Option<Pid> {
    let parent = parent.as_raw_nonzero();
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
    Pid::from_raw(children.ok()?.trim().parse().ok()?)
}

fn read_lines(stdout: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            // Nobody listens any more once the host is ready; it is read on so that
            // the host never waits for a full pipe.
            let _ = sender.send(line);
        }
    });
    receiver
}

fn read_log(mut stderr: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut log = Vec::new();
        // What could be read until then is worth showing.
        let _ = stderr.read_to_end(&mut log);
        tool::text(&log)
    })
}

fn join(log: Option<JoinHandle<String>>) -> String {
    log.and_then(|log| log.join().ok()).unwrap_or_default()
}
