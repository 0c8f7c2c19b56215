//! A Dovecot of the test's own, which takes mail by LMTP on a Unix socket.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;

use tempfile::TempDir;

use crate::peer::Peer;
use crate::tool;

/// Where its socket, its users and their mail are. It outlives the program, so that a
/// test can stop it and start it again.
pub struct Mailboxes {
    directory: TempDir,
}

/// A running Dovecot. It ends when it goes out of scope.
pub struct Dovecot(#[expect(dead_code, reason = "it ends when it is dropped")] Peer);

impl Mailboxes {
    /// Mailboxes of these users, such as `ann@acme.example`; nobody else has one.
    pub fn of(users: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("there is room for a directory");
        let path = directory.path();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("it is the test's own");
        let mail = path.join("mail");
        fs::create_dir(&mail).expect("the directory is new");
        let mail = mail.display().to_string();
        tool::run("chown", &["nobody:nogroup", &mail]).expect_code(0);
        let lines: Vec<String> = users.iter().map(|user| format!("{user}::::::\n")).collect();
        fs::write(path.join("users"), lines.concat()).expect("the directory is new");
        fs::write(path.join("dovecot.conf"), configuration(path)).expect("the directory is new");
        Self { directory }
    }

    /// Starts Dovecot on them, and waits until it answers.
    pub fn start(&self) -> Dovecot {
        let mut child = Peer::command("dovecot")
            .args(["-F", "-c"])
            .arg(self.directory.path().join("dovecot.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("unshare is part of util-linux, which every Debian has");
        let mut stderr = BufReader::new(child.stderr.take().expect("standard error is piped"));
        let mut log = String::new();
        while !log.contains(" starting up for lmtp") {
            let read = stderr.read_line(&mut log).expect("its log is text");
            assert!(read > 0, "Dovecot does not start; it logged:\n{log}");
        }
        // It is read on, so that Dovecot never waits for a full pipe.
        thread::spawn(move || stderr.read_to_end(&mut Vec::new()));
        Dovecot(Peer::new(child))
    }

    /// Where it listens.
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("lmtp")
    }

    /// The messages in this user's mailbox.
    pub fn mail(&self, user: &str) -> Vec<String> {
        let new = self.directory.path().join("mail").join(user).join("new");
        let Ok(entries) = fs::read_dir(new) else {
            return Vec::new();
        };
        let read = |path| tool::text(&fs::read(path).expect("a message can be read"));
        entries
            .map(|entry| read(entry.expect("the mailbox can be read").path()))
            .collect()
    }
}

fn configuration(directory: &Path) -> String {
    let place = directory.display();
    format!(
        "protocols = lmtp
base_dir = {place}/run
state_dir = {place}/state
log_path = /dev/stderr
ssl = no
mail_location = maildir:{place}/mail/%u
mail_uid = nobody
mail_gid = nogroup
first_valid_gid = 1
passdb {{
  driver = passwd-file
  args = username_format=%u {place}/users
}}
userdb {{
  driver = passwd-file
  args = username_format=%u {place}/users
}}
service lmtp {{
  unix_listener {place}/lmtp {{
    mode = 0600
  }}
}}
"
    )
}
