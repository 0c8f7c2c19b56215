//! The host as a service: what systemd is told, the unit file, the user it runs as, and
//! how it ends.

use std::collections::BTreeSet;
use std::fs;
use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use portcullis_tests::certificate::Identity;
use portcullis_tests::client::{Client, Tls};
use portcullis_tests::operate::Manager;
use portcullis_tests::program::{portcullis, stock_policy, workspace};
use portcullis_tests::site::{Host, Site};
use portcullis_tests::tool;

const SENDER: &str = "amy@sender.example";
const MESSAGE: &str = "Subject: served\r\n\r\nby a service\r\n";

/// Exposure that `systemd-analyze security` may find, in tenths; docs/operating.md has
/// the figure.
const EXPOSURE: &str = "15";

/// A tenant whose mail is decided by a module, so that all of the host is at work.
fn site() -> Site {
    let module = fs::read(stock_policy("modern-tls")).expect("it was built");
    Site::new().file("tenants/m.wasm", module).tenant(
        "acme",
        "domains = [\"acme.example\"]\n[[module]]\nname = \"m\"\npath = \"m.wasm\"\n\
         [[policy]]\nname = \"p\"\noption = \"module\"\nmodule = \"m\"\n\
         settings = { domains = { \"*\" = {} } }",
    )
}

fn deliver(host: &Host) {
    let mut client = Client::starttls(host.address("smtp"), &Tls::tls13());
    let reply = client.deliver(SENDER, &["ann@acme.example"], MESSAGE);
    assert!(reply.starts_with("250"), "{reply}");
    client.quit();
}

#[test]
fn the_service_manager_is_told_of_the_whole_life() {
    let site = site().settings("[limits]\ngrace_s = 100");
    let socket = site.path("manager");
    let manager = Manager::new(&socket);
    let host = site
        .variable("NOTIFY_SOCKET", &socket.display().to_string())
        .variable("WATCHDOG_USEC", "200000")
        .start();
    manager.waits_for("READY=1");
    manager.waits_for("WATCHDOG=1");
    let mut client = Client::connect(host.address("smtp"));
    client.ehlo();
    client.expect(&format!("MAIL FROM:<{SENDER}>"), "250");
    client.expect("RCPT TO:<postmaster@acme.example>", "250");
    client.expect("DATA", "354");
    host.terminate();
    let stopping = manager.waits_for("STOPPING=1");
    // Whatever the unit says, the grace period and what comes after it.
    assert!(
        stopping.contains("EXTEND_TIMEOUT_USEC=120000000\n"),
        "{stopping}"
    );
    // It is not killed for being slow to stop.
    manager.waits_for("WATCHDOG=1");
    manager.waits_for("WATCHDOG=1");
    client.send(MESSAGE);
    client.expect(".", "250");
    let ended = host.wait();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.log);
}

#[test]
fn sessions_that_take_longer_than_the_grace_period_are_cut_off() {
    let host = site().settings("[limits]\ngrace_s = 1").start();
    let mut idle = Client::connect(host.address("smtp"));
    let mut stalled = Client::connect(host.address("smtp"));
    stalled.ehlo();
    stalled.expect(&format!("MAIL FROM:<{SENDER}>"), "250");
    stalled.expect("RCPT TO:<postmaster@acme.example>", "250");
    stalled.expect("DATA", "354");
    stalled.send("Subject: half\r\n");
    host.terminate();
    let told = idle.reply();
    assert!(told.starts_with("421 4.3.2 "), "{told}");
    // No second signal: the period ends by itself.
    let told = stalled.reply();
    assert!(told.starts_with("421 4.3.2 "), "{told}");
    let ended = host.wait();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.log);
    let cut = "cutting off the sessions and late deliveries that are left";
    assert!(ended.log.contains(cut), "{}", ended.log);
}

/// A client that sends and does not read makes the host wait for room in the socket. A
/// stop does not wait for that.
#[test]
fn a_client_that_does_not_read_holds_no_stop_up() {
    const GRACE: Duration = Duration::from_secs(40);
    let grace = format!("[limits]\ngrace_s = {}", GRACE.as_secs());
    let host = site().settings(&grace).start();
    let mut deaf = TcpStream::connect(host.address("smtp")).expect("the host listens");
    let mut client = Client::over(deaf.try_clone().expect("a descriptor"));
    assert!(client.reply().starts_with("220 "));
    client.ehlo();
    // Longer than the host, which reads while it can write, ever takes to read more.
    let patience = Some(Duration::from_secs(2));
    deaf.set_write_timeout(patience).expect("it is not zero");
    // A reply to HELP is many times as long as the command, and without a recipient now
    // and then the session would end.
    let begin = format!("MAIL FROM:<{SENDER}>\r\nRCPT TO:<postmaster@acme.example>\r\n");
    let commands = format!("{begin}{}RSET\r\n", "HELP\r\n".repeat(90));
    let blocked = loop {
        if let Err(error) = deaf.write_all(commands.as_bytes()) {
            break error;
        }
    };
    assert_eq!(blocked.kind(), ErrorKind::WouldBlock, "{blocked}");
    host.terminate();
    let began = Instant::now();
    let ended = host.wait();
    assert!(began.elapsed() < GRACE, "{}", ended.log);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.log);
    assert!(!ended.log.contains("cutting off"), "{}", ended.log);
}

/// Content that comes faster than the host takes it is always there to be read: that it
/// is time to end is heard all the same.
#[test]
fn a_client_that_sends_without_end_is_cut_off() {
    let host = site().settings("[limits]\ngrace_s = 1").start();
    let mut endless = TcpStream::connect(host.address("smtp")).expect("the host listens");
    let mut client = Client::over(endless.try_clone().expect("a descriptor"));
    assert!(client.reply().starts_with("220 "));
    client.ehlo();
    client.expect(&format!("MAIL FROM:<{SENDER}>"), "250");
    client.expect("RCPT TO:<postmaster@acme.example>", "250");
    client.expect("DATA", "354");
    let lines = format!("{}\r\n", "x".repeat(70)).repeat(2000);
    let sender = thread::spawn(move || while endless.write_all(lines.as_bytes()).is_ok() {});
    host.terminate();
    let ended = host.wait();
    sender.join().expect("the host has closed");
    assert_eq!(ended.status.code(), Some(0), "{}", ended.log);
    let cut = "cutting off the sessions and late deliveries that are left";
    assert!(ended.log.contains(cut), "{}", ended.log);
    let hang = "while sessions or receipts hang";
    assert!(!ended.log.contains(hang), "{}", ended.log);
}

#[test]
fn a_data_directory_has_one_host() {
    let host = site().start();
    let ran = host.site().run("serve").expect_code(1);
    let told = "another host runs on it: stop that one first";
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
    host.reload().expect_code(0);
    deliver(&host);
}

/// The system's own words stand there once.
#[test]
fn an_address_that_is_taken_is_named() {
    let host = site().start();
    let address = host.address("smtp").to_string();
    let other = Site::default().listener_at(&address, "other", "none", "");
    let told = other.run("serve").expect_code(1).stderr;
    let expected = format!(
        "portcullis: listener \"other\" cannot listen on {address}: Address already in use (os error 98)\n"
    );
    assert!(told.ends_with(&expected), "{told}");
}

/// The unit as it would be installed beside the binary that is tested.
fn unit(directory: &Path) -> PathBuf {
    let unit = workspace().join("dist/portcullis.service");
    let text = fs::read_to_string(unit).expect("it is there");
    let installed = text.replace("/usr/bin/portcullis", &portcullis().display().to_string());
    assert_ne!(installed, text);
    let path = directory.join("portcullis.service");
    fs::write(&path, installed).expect("the test's directory can be written");
    path
}

#[test]
fn systemd_has_nothing_to_object_to_in_the_unit() {
    let directory = tempfile::tempdir().expect("there is room for a directory");
    let unit = unit(directory.path()).display().to_string();
    let ran = tool::run("systemd-analyze", &["verify", "--man=no", &unit]).expect_code(0);
    assert_eq!((ran.stdout, ran.stderr), (String::new(), String::new()));
    let threshold = format!("--threshold={EXPOSURE}");
    let arguments = [
        "security",
        "--offline=true",
        "--no-pager",
        &threshold,
        &unit,
    ];
    let ran = tool::run("systemd-analyze", &arguments).expect_code(0);
    let guide = fs::read_to_string(workspace().join("docs/operating.md")).expect("it is there");
    let found = ran
        .stdout
        .rsplit_once("service: ")
        .map_or("", |(_, found)| found);
    let score = found.split(' ').next().expect("a text has a beginning");
    assert!(
        guide.contains(&format!("is {score} ")),
        "docs/operating.md has not {score}"
    );
}

/// What the unit runs are commands that there are, with arguments that they take.
#[test]
fn the_commands_of_the_unit_work() {
    let host = site().start();
    let unit = fs::read_to_string(unit(host.site().directory())).expect("written");
    let config = host.site().path("portcullis.toml").display().to_string();
    let command = |key: &str| {
        let line = unit.lines().find_map(|line| line.strip_prefix(key));
        let line = line.expect("the unit has it");
        let line = line.replace("/etc/portcullis/portcullis.toml", &config);
        line.split(' ').map(str::to_owned).collect::<Vec<_>>()
    };
    let run = |command: &[String]| {
        let arguments: Vec<&str> = command[1..].iter().map(String::as_str).collect();
        tool::run(&command[0], &arguments)
    };
    run(&command("ExecReload=")).expect_code(0);
    let taken = run(&command("ExecStart=")).expect_code(1);
    assert!(
        taken.stderr.contains("another host runs"),
        "{}",
        taken.stderr
    );
}

/// Whatever the host and its compile worker ask of the kernel, from the start to the
/// end, the unit's filter lets through.
#[test]
fn the_unit_allows_every_system_call_that_is_made() {
    let site = site();
    let summary = site.path("calls");
    let summary_text = summary.display().to_string();
    let host = site.start_under(&[
        "strace",
        "-f",
        "-c",
        "-U",
        "name",
        "-S",
        "name",
        "-o",
        &summary_text,
    ]);
    deliver(&host);
    host.reload().expect_code(0);
    let ended = host.stop();
    let summary = fs::read_to_string(ended.site.path("calls")).expect("strace wrote its summary");
    let rows = summary.lines().map(str::trim);
    let made: BTreeSet<&str> = rows
        .filter(|row| !row.starts_with('-') && !["syscall", "total", ""].contains(row))
        .collect();
    assert!(made.len() > 40 && made.contains("execve"), "{made:?}");
    let unit = fs::read_to_string(workspace().join("dist/portcullis.service"));
    let unit = unit.expect("it is there");
    let filters = unit
        .lines()
        .filter_map(|line| line.strip_prefix("SystemCallFilter="));
    let (mut allowed, mut seen) = (BTreeSet::new(), 0);
    for filter in filters {
        seen += 1;
        let (taken, sets) = match filter.strip_prefix('~') {
            Some(sets) => (false, sets),
            None => (true, filter),
        };
        for call in sets.split(' ').flat_map(expand) {
            if taken {
                allowed.insert(call);
            } else {
                allowed.remove(&call);
            }
        }
    }
    assert_eq!(seen, 3, "the filters of the unit");
    // SQLite hands its log to the owner of the database, but only as root, which the
    // unit's process is not when it opens the store.
    let of_root = |call: &str| is_root() && call == "fchown";
    let refused: Vec<&&str> = made
        .iter()
        .filter(|call| !allowed.contains(**call) && !of_root(call))
        .collect();
    assert!(refused.is_empty(), "{refused:?}");
}

/// The system calls of a set, which may have sets in it.
fn expand(set: &str) -> Vec<String> {
    if !set.starts_with('@') {
        return vec![set.to_owned()];
    }
    let arguments = ["syscall-filter", "--no-pager", set];
    let ran = tool::run("systemd-analyze", &arguments).expect_code(0);
    let lines = ran.stdout.lines().skip(1).map(str::trim);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .flat_map(expand)
        .collect()
}

/// Somebody whom every Debian has.
const NOBODY: &str = "[process]\nuser = \"nobody\"";
const NOBODY_ID: u32 = 65534;

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Hands the site to nobody, as an operator does with the host's directories.
fn hand_over(site: &Site) {
    let directory = site.directory().display().to_string();
    tool::run("chown", &["-R", "nobody", &directory]).expect_code(0);
}

/// Started as root it is root no longer once it listens, in none of its threads and
/// for good, and does all its work all the same. Nobody else can become somebody else,
/// and is told so.
#[test]
fn the_rights_of_root_are_given_up() {
    let site = site().settings(NOBODY);
    if !is_root() {
        let ran = site.run("serve").expect_code(1);
        let told = "only root can become \"nobody\"";
        assert!(ran.stderr.contains(told), "{}", ran.stderr);
        return;
    }
    hand_over(&site);
    let host = site.start();
    let tasks = fs::read_dir(format!("/proc/{}/task", host.pid())).expect("the host runs");
    let mut seen = 0;
    for task in tasks {
        let status = task.expect("an entry").path().join("status");
        let status = fs::read_to_string(status).expect("threads stay");
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let line = line.unwrap_or_default();
            line.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(field("Uid:"), "65534 65534 65534 65534");
        assert_eq!(field("Gid:"), "65534 65534 65534 65534");
        assert_eq!(field("Groups:"), "65534");
        for capabilities in ["CapEff:", "CapPrm:", "CapAmb:"] {
            assert_eq!(field(capabilities), "0000000000000000", "{capabilities}");
        }
        seen += 1;
    }
    assert!(seen > 2, "{seen} threads");
    deliver(&host);
    host.reload().expect_code(0);
    let ended = host.stop();
    let data = ended.site.path("data");
    let owner = |path: &Path| path.metadata().expect("it is there").uid();
    assert_eq!(owner(&data), NOBODY_ID, "root made it, and gave it away");
    for made in [
        "mail/acme/new",
        "portcullis.db",
        "modules",
        "tls/self-signed.pem",
    ] {
        assert_eq!(owner(&data.join(made)), NOBODY_ID, "{made}");
    }
    assert!(
        !ended.log.contains("the host runs as root"),
        "{}",
        ended.log
    );
}

/// A key that only root can read would be missed at the first reload; it is at once.
#[test]
fn what_the_user_cannot_read_is_found_at_the_start() {
    if !is_root() {
        // Nobody but root has what others cannot read and a user to become.
        return the_rights_of_root_are_given_up();
    }
    let site = site()
        .settings(NOBODY)
        .settings("[[tls.certificate]]\nchain = \"mx.pem\"\nkey = \"mx.key\"");
    Identity::self_signed(&["mx.host.example"]).write(site.directory(), "mx");
    hand_over(&site);
    let config = site.write().display().to_string();
    let key = site.path("mx.key").display().to_string();
    tool::run("chown", &["root", &key]).expect_code(0);
    tool::run("chmod", &["600", &key]).expect_code(0);
    let ran = site.run("serve").expect_code(1);
    let fault = format!("{config}:");
    assert!(ran.stderr.contains(&fault), "{}", ran.stderr);
    assert!(
        ran.stderr
            .contains("mx.key\" cannot be read: Permission denied"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr
            .ends_with("as the user in process.user: 1 fault\n"),
        "{}",
        ran.stderr
    );
}

#[test]
fn users_and_groups_have_to_be_there() {
    let site = site().settings("[process]\nuser = \"no-such-user\"\ngroup = \"no-such-group\"");
    for command in ["check", "serve"] {
        let ran = site.run(command).expect_code(1);
        for (key, what) in [
            ("user", "user \"no-such-user\""),
            ("group", "group \"no-such-group\""),
        ] {
            let told = format!("process.{key}: there is no {what}: add it, or name another");
            assert!(ran.stderr.contains(&told), "{}", ran.stderr);
        }
    }
    let site = Site::new().settings("[process]\nuser = \"root\"");
    let ran = site.run("check").expect_code(1);
    assert!(
        ran.stderr
            .contains("process.user: the host must not be root"),
        "{}",
        ran.stderr
    );
}
