//! File descriptors: too few for the limits, and none left.

use std::fs;

use portcullis_tests::client::Client;
use portcullis_tests::site::{Host, Site};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::{MESSAGE, RECIPIENT, SENDER};

fn site() -> Site {
    Site::new().tenant("acme", "domains = [\"acme.example\"]")
}

/// Runs a program as a child, after a `ulimit`.
fn under(ulimit: &str) -> [String; 4] {
    let script = format!("ulimit {ulimit} && \"$@\"; exit $?");
    ["sh".into(), "-c".into(), script, "sh".into()]
}

fn start(site: Site, ulimit: &str) -> Host {
    let wrapper = under(ulimit);
    site.start_under(&wrapper.each_ref().map(String::as_str))
}

/// How many descriptors the host may have, soft and hard.
fn limits(host: &Host) -> (u64, u64) {
    let limits = fs::read_to_string(format!("/proc/{}/limits", host.pid()))
        .expect("Linux shows the limits of a process");
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))
        .expect("open files are limited");
    let mut numbers = line
        .split_whitespace()
        .map(|word| word.parse().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    (next(), next())
}

#[test]
fn a_soft_limit_is_no_limit() {
    let host = start(site(), "-S -n 300");
    let (soft, hard) = limits(&host);
    assert!(hard > 300, "the tests need a hard limit over 300: {hard}");
    assert_eq!(soft, hard);
    host.stop();
}

#[test]
fn a_host_that_may_open_few_files_takes_few_sessions_and_says_so() {
    let host = start(site(), "-n 276");
    let smtp = host.address("smtp");
    let ten: Vec<Client> = (0..9).map(|_| Client::connect(smtp)).collect();
    // The tenth of ten makes room, and the eleventh makes none.
    let more: Vec<String> = (0..40)
        .map(|_| Client::connect_silently(smtp).reply())
        .collect();
    assert!(
        more.iter()
            .all(|reply| reply.starts_with("220") || reply.starts_with("421 4.3.2"))
    );
    drop(ten);
    let log = host.stop().log;
    assert!(
        log.contains("limits.sessions needs more descriptors"),
        "{log}"
    );
    for part in [
        "sessions=2000",
        "descriptors=276",
        "needed=4256",
        "taken=10",
    ] {
        assert!(log.contains(part), "{part} in {log}");
    }
}

fn open_files(host: &Host) -> u64 {
    let open = fs::read_dir(format!("/proc/{}/fd", host.pid()));
    open.expect("Linux shows the open files of a process")
        .count() as u64
}

/// Lets the host have so many more descriptors, and no more.
fn allow(host: &Host, more: u64) {
    let most = Some(open_files(host) + more);
    let limit = Rlimit {
        current: most,
        maximum: most,
    };
    prlimit(Pid::from_raw(host.pid()), Resource::Nofile, limit).expect("the host is ours");
}

#[test]
fn descriptors_that_run_out() {
    let host = site().settings("[limits]\nsessions = 100").start();
    let smtp = host.address("smtp");
    let mut sending = Client::connect(smtp);
    sending.ehlo();
    let begin = |client: &mut Client| {
        client.expect(&format!("MAIL FROM:<{SENDER}>"), "250");
        client.expect(&format!("RCPT TO:<{RECIPIENT}>"), "250");
        client.expect("DATA", "354");
    };
    begin(&mut sending);
    allow(&host, 5);
    // The kernel connects them all, and the host can take five.
    let mut crowd: Vec<Client> = (0..20).map(|_| Client::connect_silently(smtp)).collect();
    for client in &mut crowd[..5] {
        assert!(client.reply().starts_with("220"));
    }
    sending.send(MESSAGE);
    sending.expect(".", "451 4.3.0 ");
    // A long one needs a file before its end, too.
    begin(&mut sending);
    sending.send("Subject: long\r\n\r\n");
    sending.send("0123456789abcdef\r\n".repeat(1 << 17));
    sending.expect(".", "451 4.3.0 ");
    drop(crowd);
    // The host has taken all of them when it greets the one behind them.
    let mut client = Client::connect(smtp);
    client.ehlo();
    for client in [&mut client, &mut sending] {
        let reply = client.deliver(SENDER, &[RECIPIENT], MESSAGE);
        assert!(reply.starts_with("250"), "{reply}");
    }
    client.quit();
    sending.quit();
    let ended = host.stop();
    assert_eq!(ended.site.mail("acme").len(), 2);
    assert_eq!(ended.site.maildir("acme", "tmp").len(), 0);
    let lines = ended.log.matches("a connection could not be accepted");
    assert!((1..300).contains(&lines.count()), "{}", ended.log);
}
