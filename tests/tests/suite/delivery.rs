//! 250 means kept: the order of system calls, storage that fails, and hosts that end.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use portcullis_tests::client::Client;
use portcullis_tests::site::{Host, Site};

const MESSAGE: &str = "Subject: kept\r\n\r\nor not answered with 250\r\n";
const SENDER: &str = "amy@sender.example";
const BOTH: [&str; 2] = ["ann@acme.example", "ben@bank.example"];

/// Every file is synced before it is renamed, its directory after that, and the client
/// hears 250 after all of it. The tenants' maildirs are worked on at one time.
#[test]
fn synced_renamed_synced_and_only_then_answered() {
    let site = site();
    let calls = site.path("calls");
    let host = traced(
        site,
        &calls,
        "fsync,fdatasync,rename,renameat,renameat2,write,writev,sendto,sendmsg",
    );
    let reply = deliver(&host, &BOTH);
    assert!(reply.starts_with("250"), "{reply}");
    let ended = host.stop();
    let calls = fs::read_to_string(&calls).expect("strace wrote its log");
    let of_interest: Vec<&str> = calls.lines().filter_map(event).collect();
    for tenant in ["acme", "bank"] {
        let expected = ["sync TENANT/tmp", "rename TENANT", "sync TENANT/new", "250"];
        let expected = expected.map(|event| event.replace("TENANT", tenant));
        let of_tenant = |event: &&&str| event.contains(tenant) || **event == "250";
        let found: Vec<&str> = of_interest.iter().filter(of_tenant).copied().collect();
        assert_eq!(found, expected, "{calls}");
    }
    assert_eq!(
        (ended.site.mail("acme").len(), ended.site.mail("bank").len()),
        (1, 1)
    );
}

/// Each reply, or group of replies to what was sent together, is one write, which does not
/// wait to fill a segment.
#[test]
fn each_reply_or_group_of_replies_leaves_in_one_write() {
    let site = site();
    let calls = site.path("calls");
    let host = traced(site, &calls, "setsockopt,write,writev,sendto,sendmsg");
    let mut client = Client::connect(host.address("smtp"));
    client.ehlo();
    let mail = format!("MAIL FROM:<{SENDER}>\r\n");
    let recipients = BOTH.map(|recipient| format!("RCPT TO:<{recipient}>\r\n"));
    client.send(format!("{mail}{}DATA\r\n", recipients.concat()));
    for code in ["250", "250", "250", "354"] {
        let reply = client.reply();
        assert!(reply.starts_with(code), "{reply}");
    }
    // The next message's sender may come behind the content (RFC 2920, section 3.1).
    client.send(format!("{MESSAGE}.\r\n{mail}RSET\r\n"));
    for code in ["250 2.0.0 Ok: delivered", "250 2.1.0", "250 2.0.0"] {
        let reply = client.reply();
        assert!(reply.starts_with(code), "{reply}");
    }
    client.quit();
    // It holds the site, and with it the log.
    let _ended = host.stop();
    let calls = fs::read_to_string(&calls).expect("strace wrote its log");
    let said: Vec<&str> = calls.lines().filter_map(said).collect();
    let expected = [
        "220 ",
        "250-",
        "250 2.1.0",
        "250 2.0.0",
        "250 2.1.0",
        "221 ",
    ];
    assert_eq!(said.len(), expected.len(), "{said:?}");
    for (said, expected) in said.iter().zip(expected) {
        assert!(said.starts_with(expected), "{said:?}");
    }
    let to_client = calls.lines().find(|line| line.contains("\"220 "));
    let socket = to_client.and_then(descriptor).expect("a greeting");
    let at_once = calls
        .lines()
        .any(|line| line.contains("TCP_NODELAY, [1]") && descriptor(line) == Some(socket));
    assert!(at_once, "{calls}");
}

/// A host whose system calls of these names are written to a file, with what they are about.
fn traced(site: Site, calls: &Path, names: &str) -> Host {
    let (calls, names) = (calls.display().to_string(), format!("trace={names}"));
    let options = ["-f", "-y", "-s", "64", "-o", &calls, "-e", &names];
    site.start_under(&[&["strace"], &options[..]].concat())
}

/// Whatever part of a maildir is broken, and whenever it breaks: the client keeps the
/// message, the other tenant has it, and when the maildir is mended both have it once.
#[test]
fn a_maildir_that_cannot_be_written() {
    for broken in ["acme/tmp", "acme/new", "bank/tmp", "bank/new"] {
        let host = site().start();
        let mut client = Client::connect(host.address("smtp"));
        client.ehlo();
        client.expect(&format!("MAIL FROM:<{SENDER}>"), "250");
        for recipient in BOTH {
            client.expect(&format!("RCPT TO:<{recipient}>"), "250");
        }
        client.expect("DATA", "354");
        let part = host.site().path("data/mail").join(broken);
        replace_by_file(&part);
        client.send(MESSAGE);
        let reply = client.say(".");
        assert!(
            reply.starts_with("451 4.3.0 Not delivered to every recipient"),
            "{broken}: {reply}"
        );
        client.quit();
        let others = if broken.starts_with("acme") {
            (0, 1)
        } else {
            (1, 0)
        };
        assert_eq!(copies(host.site()), others, "{broken}");
        fs::remove_file(&part).expect("the test put it there");
        let reply = deliver(&host, &BOTH);
        assert!(reply.starts_with("250"), "{broken}: {reply}");
        let ended = host.stop();
        assert_eq!(copies(&ended.site), (1, 1), "{broken}");
        for tenant in ["acme", "bank"] {
            assert_eq!(ended.site.maildir(tenant, "tmp").len(), 0, "{broken}");
        }
    }
}

#[test]
fn a_maildir_that_is_broken_takes_no_recipient() {
    let host = site().start();
    let maildir = host.site().path("data/mail/acme");
    fs::remove_dir_all(&maildir).expect("the host has made it");
    fs::write(&maildir, "in the way").expect("the test's directory can be written");
    let mut client = Client::connect(host.address("smtp"));
    client.ehlo();
    client.expect(&format!("MAIL FROM:<{SENDER}>"), "250");
    client.expect("RCPT TO:<ann@acme.example>", "451 4.3.0 Message not stored");
    client.expect("RCPT TO:<ben@bank.example>", "250");
    client.expect("DATA", "354");
    client.send(MESSAGE);
    client.expect(".", "250");
    client.quit();
    let ended = host.stop();
    assert_eq!(
        ended.site.mail("bank").len(),
        1,
        "the other tenant's mail is not held up"
    );
}

#[test]
fn a_message_under_way_is_finished_when_the_host_is_asked_to_end() {
    let host = site().start();
    let address = host.address("smtp");
    let mut idle = Client::connect(address);
    let mut sending = Client::connect(address);
    sending.ehlo();
    sending.expect(&format!("MAIL FROM:<{SENDER}>"), "250");
    sending.expect("RCPT TO:<ann@acme.example>", "250");
    sending.expect("DATA", "354");
    sending.send("Subject: kept\r\n\r\n");
    host.terminate();
    // When the idle session has been told, the signal has arrived.
    let told = idle.reply();
    assert!(told.starts_with("421 4.3.2 "), "{told}");
    assert!(idle.is_closed());
    sending.send("or not answered with 250\r\n.\r\n");
    let reply = sending.reply();
    assert!(reply.starts_with("250 "), "{reply}");
    let told = sending.reply();
    assert!(told.starts_with("421 4.3.2 "), "{told}");
    assert!(sending.is_closed());
    let ended = host.wait();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.log);
    let mail = ended.site.mail("acme");
    assert_eq!(mail.len(), 1);
    assert!(mail[0].ends_with(MESSAGE.as_bytes()));
    assert_eq!(
        ended.site.receipt("ann@acme.example")["outcome"]["outcome"],
        "delivered"
    );
}

/// Between two chunks there are commands, and the message is under way all the same.
#[test]
fn a_message_in_chunks_is_finished_when_the_host_is_asked_to_end() {
    let host = site().start();
    let mut idle = Client::connect(host.address("smtp"));
    let mut sending = Client::connect(host.address("smtp"));
    sending.ehlo();
    sending.expect(&format!("MAIL FROM:<{SENDER}>"), "250");
    sending.expect("RCPT TO:<ann@acme.example>", "250");
    let (first, last) = MESSAGE.split_at(MESSAGE.len() / 2);
    sending.send(format!("BDAT {}\r\n{first}", first.len()));
    let reply = sending.reply();
    assert!(reply.starts_with("250 2.0.0 "), "{reply}");
    host.terminate();
    let told = idle.reply();
    assert!(
        told.starts_with("421 4.3.2 "),
        "the signal has arrived: {told}"
    );
    sending.send(format!("BDAT {} LAST\r\n{last}", last.len()));
    let reply = sending.reply();
    assert!(reply.starts_with("250 2.0.0 Ok: delivered"), "{reply}");
    let told = sending.reply();
    assert!(told.starts_with("421 4.3.2 "), "{told}");
    assert!(sending.is_closed());
    let ended = host.wait();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.log);
    let mail = ended.site.mail("acme");
    assert_eq!(mail.len(), 1);
    assert!(mail[0].ends_with(MESSAGE.as_bytes()));
}

#[test]
fn a_message_that_does_not_end_is_cut_off_and_recorded() {
    for (begin, content) in [
        ("DATA\r\n", "Subject: half\r\n"),
        ("BDAT 15\r\nSubject: half\r\n", ""),
    ] {
        let host = site().start();
        let mut idle = Client::connect(host.address("smtp"));
        let mut stalled = Client::connect(host.address("smtp"));
        stalled.ehlo();
        stalled.expect(&format!("MAIL FROM:<{SENDER}>"), "250");
        stalled.expect("RCPT TO:<ann@acme.example>", "250");
        stalled.send(begin);
        let begun = stalled.reply();
        assert!(begun.starts_with(['2', '3']), "{begun}");
        stalled.send(content);
        host.terminate();
        assert!(
            idle.reply().starts_with("421 4.3.2 "),
            "the signal has arrived"
        );
        host.terminate();
        let told = stalled.reply();
        assert!(told.starts_with("421 4.3.2 "), "{told}");
        let ended = host.wait();
        assert_eq!(ended.status.code(), Some(0), "{}", ended.log);
        assert_eq!(copies(&ended.site), (0, 0));
        let outcome = &ended.site.receipt("ann@acme.example")["outcome"];
        assert_eq!(outcome["outcome"], "abandoned", "{outcome}");
        assert_eq!(outcome["reply"], told.as_str(), "{outcome}");
    }
}

#[test]
fn mail_and_receipts_are_not_for_every_user() {
    let host = site().start();
    deliver(&host, &BOTH);
    let ended = host.stop();
    let mut looked_at = 0;
    let mut directories = vec![ended.site.path("data")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).expect("the host has made it") {
            let path = entry.expect("an entry").path();
            let mode = path.metadata().expect("it is there").permissions().mode();
            assert_eq!(mode & 0o007, 0, "{} has mode {mode:o}", path.display());
            looked_at += 1;
            if path.is_dir() {
                directories.push(path);
            }
        }
    }
    assert!(looked_at > 10, "only {looked_at} files and directories");
}

#[test]
fn a_crash_after_250_loses_nothing() {
    let host = site().start();
    let reply = deliver(&host, &BOTH);
    assert!(reply.starts_with("250"), "{reply}");
    let ended = host.kill();
    assert_eq!(copies(&ended.site), (1, 1));
    // The same site serves again, without repairs.
    let host = ended.site.start();
    let reply = deliver(&host, &BOTH);
    assert!(reply.starts_with("250"), "{reply}");
    assert_eq!(copies(&host.stop().site), (2, 2));
}

#[test]
fn what_is_discarded_is_said_to_be() {
    let host = site().settings("[delivery]\nkind = \"discard\"").start();
    let reply = deliver(&host, &["ann@acme.example"]);
    assert!(reply.starts_with("250"), "{reply}");
    let ended = host.stop();
    assert_eq!(copies(&ended.site), (0, 0));
    let receipt = ended.site.receipt("ann@acme.example");
    assert_eq!(receipt["outcome"]["outcome"], "delivered");
    assert_eq!(receipt["outcome"]["detail"], "discarded");
    for tenant in ["acme", "bank"] {
        let warned = ended
            .log
            .lines()
            .any(|line| line.contains("is accepted and thrown away") && line.contains(tenant));
        assert!(warned, "{}", ended.log);
    }
}

fn site() -> Site {
    Site::new()
        .tenant("acme", "domains = [\"acme.example\"]")
        .tenant("bank", "domains = [\"bank.example\"]")
}

fn deliver(host: &Host, recipients: &[&str]) -> String {
    let mut client = Client::connect(host.address("smtp"));
    client.ehlo();
    let reply = client.deliver(SENDER, recipients, MESSAGE);
    client.quit();
    reply
}

fn copies(site: &Site) -> (usize, usize) {
    (site.mail("acme").len(), site.mail("bank").len())
}

/// Breaks a directory for everybody, root included.
fn replace_by_file(directory: &Path) {
    fs::remove_dir(directory).expect("it is empty");
    fs::write(directory, "in the way").expect("the test's directory can be written");
}

/// What a line of strace's log has that is said to a client.
fn said(line: &str) -> Option<&str> {
    let (call, text) = line.split_once('"')?;
    let answers = call.contains("socket:") || call.contains("TCP:");
    let is_reply = text.starts_with(|c: char| c.is_ascii_digit());
    (answers && is_reply).then_some(text)
}

/// Which socket or file a call is about.
fn descriptor(line: &str) -> Option<&str> {
    let (_, arguments) = line.split_once('(')?;
    arguments.split_once(',').map(|(first, _)| first)
}

/// What a line of strace's log says about delivery. Resumed calls and syncs of what is
/// not mail say nothing.
fn event(line: &str) -> Option<&'static str> {
    let in_maildir = |part: &str| line.contains(&format!("/mail/{part}"));
    let syncs = line.contains("fsync(") || line.contains("fdatasync(");
    if line.contains("rename") && !line.contains("resumed>") {
        return [("acme/new", "rename acme"), ("bank/new", "rename bank")]
            .into_iter()
            .find_map(|(part, event)| in_maildir(part).then_some(event));
    }
    if syncs && in_maildir("") {
        return [
            // A directory on its way into being is not yet one with mail.
            ("acme/tmp/", "sync acme/tmp"),
            ("bank/tmp/", "sync bank/tmp"),
            ("acme/new>", "sync acme/new"),
            ("bank/new>", "sync bank/new"),
        ]
        .into_iter()
        .find_map(|(part, event)| in_maildir(part).then_some(event));
    }
    let answers = line.contains("socket:") || line.contains("TCP:");
    (answers && line.contains("\"250 2.0.0 Ok: delivered")).then_some("250")
}
