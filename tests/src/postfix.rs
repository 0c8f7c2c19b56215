//! A Postfix of the test's own: its configuration, its queue and its log.
//!
//! **Nothing of the machine's own Postfix is used or touched** but its programs and users.
//! What it logs is how a test knows what it has done.

use std::cell::RefCell;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::peer::Peer;
use crate::tool;

/// Longest wait for a line of its log: it tries again within seconds.
const PATIENCE: Duration = Duration::from_secs(90);

/// Lines of its log that a failing test shows.
const SHOWN_LOG: usize = 60;

/// What every Postfix of a test has. It keeps to itself (no aliases, no DNS, no local
/// users), and what it could not deliver it tries again at once.
const MAIN: &str = "\
compatibility_level = 3.6
mail_owner = postfix
setgid_group = postdrop
maillog_file = /dev/stdout
inet_interfaces = loopback-only
inet_protocols = ipv4
mydestination =
alias_maps =
alias_database =
smtp_dns_support_level = disabled
smtp_host_lookup = native
queue_run_delay = 1s
minimal_backoff_time = 1s
maximal_backoff_time = 2s
";

/// Debian's services of a Postfix that is no chroot and listens nowhere.
const MASTER: &str = "\
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
lmtp unix - - n - - lmtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
";

/// A running Postfix. It ends when it goes out of scope.
pub struct Postfix {
    _peer: Peer,
    directory: TempDir,
    address: SocketAddr,
    lines: Receiver<String>,
    log: RefCell<Vec<String>>,
}

impl Postfix {
    /// Starts a Postfix with these lines in its `main.cf`. They are made for its directory,
    /// where files can be put. It listens on a port of its own.
    pub fn start(main: impl Fn(&Path) -> String) -> Self {
        let mut command = Peer::command("postfix");
        let directory = make_directory();
        let address = free_address();
        write_configuration(directory.path(), &main(directory.path()), address);
        let mut child = command
            .arg("-c")
            .arg(directory.path().join("etc"))
            .arg("start-fg")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("unshare is part of util-linux, which every Debian has");
        let stdout = child.stdout.take().expect("standard output is piped");
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // It is read on, so that Postfix never waits for a full pipe.
                let _ = sender.send(line);
            }
        });
        let postfix = Self {
            _peer: Peer::new(child),
            directory,
            address,
            lines,
            log: RefCell::default(),
        };
        postfix.wait_for("start", |line| line.contains(": daemon started "));
        postfix
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A path in its directory.
    pub fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    /// Puts a message into its queue, as a program on its machine does: lines end with LF.
    pub fn submit(&self, sender: &str, recipients: &[&str], message: &str) {
        let etc = self.path("etc").display().to_string();
        let mut arguments = vec!["-C", &etc, "-i", "-f", sender, "--"];
        arguments.extend(recipients);
        tool::run_with_input("sendmail", &arguments, message.as_bytes()).expect_code(0);
    }

    /// Tries all that is in its queue again now.
    pub fn flush(&self) {
        let etc = self.path("etc").display().to_string();
        tool::run("postqueue", &["-c", &etc, "-f"]).expect_code(0);
    }

    /// Waits until its log says this, and gives the line; fails the test when it does not.
    pub fn wait_for(&self, what: &str, is_it: impl Fn(&str) -> bool) -> String {
        let earlier = self.log.borrow().iter().find(|line| is_it(line)).cloned();
        if let Some(line) = earlier {
            return line;
        }
        let deadline = Instant::now() + PATIENCE;
        while let Some(line) = self.next_line(deadline) {
            if is_it(&line) {
                return line;
            }
        }
        let log = self.log.borrow();
        let last = &log[log.len().saturating_sub(SHOWN_LOG)..];
        unreachable!("Postfix did not log {what}:\n{}", last.join("\n"))
    }

    /// Waits until so many messages have left its queue, delivered or bounced.
    pub fn wait_until_removed(&self, messages: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.logged(": removed").len() < messages {
            let line = self.next_line(deadline);
            let log = self.log.borrow();
            let last = &log[log.len().saturating_sub(SHOWN_LOG)..];
            assert!(
                line.is_some(),
                "messages stay in the queue:\n{}",
                last.join("\n")
            );
        }
    }

    /// The lines of its log so far that say this.
    pub fn logged(&self, what: &str) -> Vec<String> {
        let log = self.log.borrow();
        log.iter()
            .filter(|line| line.contains(what))
            .cloned()
            .collect()
    }

    fn next_line(&self, deadline: Instant) -> Option<String> {
        let left = deadline.saturating_duration_since(Instant::now());
        let line = self.lines.recv_timeout(left).ok()?;
        self.log.borrow_mut().push(line.clone());
        Some(line)
    }
}

/// A port that is free, for a program that has to be told its port. The address is one
/// where nobody else of this machine listens, and that no client is given.
pub fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.2:0").expect("there is a port");
    listener.local_addr().expect("it is bound")
}

/// Its processes run as several users, and all have to come through.
fn make_directory() -> TempDir {
    let directory = tempfile::tempdir().expect("there is room for a directory");
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))
        .expect("it is the test's own");
    for part in ["etc", "queue", "data"] {
        fs::create_dir(directory.path().join(part)).expect("the directory is new");
    }
    let data = directory.path().join("data").display().to_string();
    tool::run("chown", &["postfix:", &data]).expect_code(0);
    directory
}

fn write_configuration(directory: &Path, main: &str, address: SocketAddr) {
    let place = directory.display();
    let own = format!("queue_directory = {place}/queue\ndata_directory = {place}/data\n");
    let listening = format!("{address} inet n - n - - smtpd\n");
    for (file, text) in [
        ("main.cf", format!("{MAIN}{own}{main}")),
        ("master.cf", format!("{listening}{MASTER}")),
    ] {
        fs::write(directory.join("etc").join(file), text)
            .expect("the test's directory can be written");
    }
}
