//! Storage that fails at each call, a disk that is full, and a host that is killed in the
//! middle of its work: never 250 unless the message is there, nothing half-written, and
//! all is well when the cause is gone.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

mod files;
mod kill;

use portcullis_tests::client::Client;
use portcullis_tests::fault::Fault;
use portcullis_tests::hop::Hop;
use portcullis_tests::site::{Host, Site};
use portcullis_tests::tool;

/// Longest wait for clients that send as fast as they can.
const PATIENCE: Duration = Duration::from_secs(60);

const SENDER: &str = "amy@sender.example";
const ANN: &str = "ann@acme.example";
const BEN: &str = "ben@bank.example";
const BOB: &str = "bob@bank.example";

/// More than is held in memory of a message, so that it goes through the spool.
const LONG: usize = 3 << 20;

/// A little more: the spool takes it in a few calls.
const JUST_LONG: usize = (1 << 20) + (200 << 10);

/// Each call with which a message gets into a maildir fails in turn, and in every way
/// that a disk has: the client keeps the message, the next hop's copy is not sent twice,
/// and nothing of it is in `new`.
#[test]
fn each_call_of_a_delivery_fails_once() {
    let hop = Hop::lmtp();
    let host = site(&hop).start();
    let mut sent = Sent::default();
    for (calls, errors, least) in [
        // First, since a maildir that could be written is not looked at for a second.
        ("faccessat,faccessat2,access", &["EROFS"][..], 1),
        ("openat", &["ENOSPC", "EMFILE"], 2),
        ("writev", &["ENOSPC", "EIO"], 1),
        ("fsync", &["EIO", "ENOSPC"], 2),
        ("rename,renameat,renameat2", &["EIO", "ENOSPC"], 1),
    ] {
        for error in errors {
            let failed = (1..).take_while(|nth| {
                let failing = format!("{calls}:error={error}:when={nth}");
                sent.while_failing(&host, &failing, &[], "451 4.3.0 ")
            });
            let failed = failed.count();
            assert!(failed >= least, "{calls}: only {failed} failed");
        }
    }
    sent.assert_each_once(&host.stop().site, &hop);
}

/// The same for a message that is so long that it is kept on disk before it is delivered.
#[test]
fn each_call_of_a_long_delivery_fails() {
    let hop = Hop::lmtp();
    let host = site(&hop).start();
    let spool = host.site().path("data/spool").display().to_string();
    let mut sent = Sent {
        length: LONG,
        ..Sent::default()
    };
    for (failing, path, reply) in [
        ("openat:error=ENOSPC", Some(&*spool), "452 4.3.1 No room"),
        ("openat:error=EIO", Some(&*spool), "451 4.3.0 Message not"),
        ("pwrite64:error=EIO:when=1", None, "451 4.3.0 Message not"),
        ("pwrite64:error=ENOSPC:when=1", None, "452 4.3.1 No room"),
        ("pread64:error=EIO:when=1", None, "451 4."),
        ("pread64:error=EIO:when=2", None, "451 4."),
        ("pread64:error=EIO:when=5+", None, "451 4."),
    ] {
        let paths: Vec<&str> = path.into_iter().collect();
        assert!(
            sent.while_failing(&host, failing, &paths, reply),
            "{failing}"
        );
    }
    sent.assert_each_once(&host.stop().site, &hop);
}

/// Writes of a long message to the spool fail: the first of a thread, then the second, as far
/// as there is one.
#[test]
fn later_writes_to_the_spool_fail() {
    let hop = Hop::lmtp();
    let host = site(&hop).start();
    let mut sent = Sent {
        length: JUST_LONG,
        ..Sent::default()
    };
    for (error, reply) in [
        ("ENOSPC", "452 4.3.1 No room"),
        ("EIO", "451 4.3.0 Message not"),
    ] {
        let failed = (1..).take_while(|nth| {
            let failing = format!("pwrite64:error={error}:when={nth}");
            sent.while_failing(&host, &failing, &[], reply)
        });
        assert!(failed.count() > 0, "{error}: none failed");
    }
    sent.assert_each_once(&host.stop().site, &hop);
}

/// The message is there and cannot be made durable, nor taken away again: it is not
/// answered with 250, and the log says that it may be there twice.
#[test]
fn what_cannot_be_synced_or_removed() {
    let hop = Hop::lmtp();
    let host = site(&hop).start();
    let failing = ["fsync:error=EIO:when=2", "unlink,unlinkat:error=EIO"];
    let fault = Fault::inject(&host, &failing, &[]);
    let reply = deliver(&host, &[ANN], "Subject: x\r\n\r\n");
    assert!(reply.starts_with("451 4.3.0 Message not stored"), "{reply}");
    assert_eq!(fault.end(), 2);
    let log = host.stop().log;
    assert!(
        log.contains("a message that may come again could not be removed"),
        "{log}"
    );
}

/// The ledger's disk fails while recipients come to different ends: the reply is the
/// same, the log says what it means, and while the host runs nothing comes twice.
#[test]
fn a_ledger_that_cannot_be_written_to() {
    for failing in [
        "write:error=ENOSPC",
        "write:error=EIO",
        "fdatasync:error=EIO",
    ] {
        let hop = Hop::lmtp();
        hop.answer(". bob@", &["452 4.2.2 not now", "250 2.0.0 taken"]);
        let host = site(&hop).start();
        let message = "Subject: x\r\n\r\n";
        let file = host.site().path(&format!("data/ledger/{}.ledger", today()));
        let fault = Fault::inject(&host, &[failing], &[&file.display().to_string()]);
        let reply = deliver(&host, &[ANN, BEN, BOB], message);
        assert!(
            reply.starts_with("451 4.3.0 Not delivered to every"),
            "{reply}"
        );
        assert!(fault.end() > 0, "{failing}");
        let reply = deliver(&host, &[ANN, BEN, BOB], message);
        assert!(reply.starts_with("250 2.0.0 "), "{failing}: {reply}");
        assert_eq!((hop.copies(BEN), hop.copies(BOB)), (1, 1), "{failing}");
        let ended = host.stop();
        assert_eq!(ended.site.mail("acme").len(), 1, "{failing}");
        let said = "the ledger could not be kept: copies that were delivered may come twice";
        assert!(ended.log.contains(said), "{failing}: {}", ended.log);
        // What was written before it failed spoils nothing at the next start.
        let host = ended.site.start();
        let reply = deliver(&host, &[ANN], "Subject: y\r\n\r\n");
        assert!(reply.starts_with("250 2.0.0 "), "{failing}: {reply}");
    }
}

/// Mail goes on when receipts cannot be written, and they are written when they can be.
#[test]
fn receipts_that_cannot_be_written() {
    for failing in [
        "write:error=ENOSPC",
        "write:error=EIO",
        "fdatasync:error=EIO",
    ] {
        let hop = Hop::lmtp();
        let files = "[receipts]\nstore = false\nfiles = true";
        let host = site(&hop).settings(files).start();
        let mut sent = Sent::default();
        sent.deliver(&host);
        let file = day_of_receipts(host.site());
        let fault = Fault::inject(&host, &[failing], &[&file.display().to_string()]);
        // What is wrong is said once a second.
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(1500) {
            let reply = sent.deliver(&host);
            assert!(reply.starts_with("250 2.0.0 "), "{failing}: {reply}");
        }
        assert!(fault.end() > 0, "{failing}");
        sent.deliver(&host);
        let ended = host.stop();
        assert!(
            ended
                .log
                .contains("receipts could not be written to the day file"),
            "{failing}"
        );
        let receipts = ended.site.receipts();
        assert_eq!(receipts.len(), 2 * sent.messages.len(), "{failing}");
        let whole = |receipt: &&serde_json::Value| receipt["outcome"]["outcome"] == "delivered";
        assert_eq!(
            receipts.iter().filter(whole).count(),
            receipts.len(),
            "{failing}"
        );
        sent.assert_each_once(&ended.site, &hop);
    }
}

/// The same of receipts in the store, whose log cannot be written or synced.
#[test]
fn receipts_that_the_store_does_not_take() {
    for failing in [
        "pwrite64:error=ENOSPC",
        "pwrite64:error=EIO",
        "fdatasync,fsync:error=EIO",
    ] {
        let hop = Hop::lmtp();
        let host = site(&hop).start();
        let mut sent = Sent::default();
        sent.deliver(&host);
        let log = host.site().path("data/portcullis.db-wal");
        let fault = Fault::inject(&host, &[failing], &[&log.display().to_string()]);
        let begun = Instant::now();
        // However fast the host is: four events of each message have room in memory.
        while begun.elapsed() < Duration::from_millis(2500) {
            if sent.messages.len() >= 500 {
                thread::sleep(Duration::from_millis(10));
                continue;
            }
            let reply = sent.deliver(&host);
            assert!(reply.starts_with("250 2.0.0 "), "{failing}: {reply}");
        }
        assert!(fault.end() > 0, "{failing}");
        sent.deliver(&host);
        let ended = host.stop();
        let said = "receipts could not be written to the store";
        assert!(ended.log.contains(said), "{failing}: {}", ended.log);
        let receipts = ended.site.receipts();
        assert_eq!(receipts.len(), 2 * sent.messages.len(), "{failing}");
        let whole = |receipt: &&serde_json::Value| receipt["outcome"]["outcome"] == "delivered";
        let whole = receipts.iter().filter(whole).count();
        assert_eq!(whole, receipts.len(), "{failing}");
        sent.assert_each_once(&ended.site, &hop);
    }
}

/// A real disk, and a small one: it takes what it can, the client keeps the rest, and
/// when there is room again the rest comes, too.
#[test]
fn a_disk_that_is_full() {
    let hop = Hop::lmtp();
    let host = site(&hop).start_on_a_small_disk(8);
    let mut sent = Sent {
        length: LONG / 2,
        ..Sent::default()
    };
    let refusal = loop {
        let reply = sent.deliver(&host);
        if !reply.starts_with("250 2.0.0 ") {
            break reply;
        }
        assert!(sent.messages.len() < 10, "the disk is larger than it is");
    };
    assert!(refusal.starts_with('4'), "{refusal}");
    // The host gives the room of what it refused back when it is done with it.
    let short = (0..20).find_map(|_| {
        fill(&host.inside("data/fill"));
        let reply = deliver(&host, &[ANN], "Subject: short\r\n\r\n");
        (!reply.starts_with("250 2.0.0 ")).then_some(reply)
    });
    let short = short.expect("there is no room in the end");
    assert!(short.starts_with("451 4.3.0 Message not stored"), "{short}");
    // What the next hop takes needs no room here.
    let passed_on = deliver(&host, &[BEN], "Subject: number 99\r\n\r\n");
    assert!(passed_on.starts_with("250 2.0.0 "), "{passed_on}");
    assert!(files(&host, "data/mail/acme/tmp").is_empty());

    let stored = files(&host, "data/mail/acme/new");
    let whole = contents(&stored);
    for path in stored {
        fs::remove_file(path).expect("the test is the reader of this mail");
    }
    fs::remove_file(host.inside("data/fill")).expect("the test made it");
    let reply = sent.again(&host);
    assert!(reply.starts_with("250 2.0.0 "), "{reply}");
    let rest = contents(&files(&host, "data/mail/acme/new"));
    let mail = copies(whole.into_iter().chain(rest), |_| sent.length);
    let expected: BTreeMap<usize, usize> = (0..sent.messages.len()).map(|n| (n, 1)).collect();
    assert_eq!(
        mail, expected,
        "each message that was answered with 250, once and whole"
    );
    // Receipts that waited for room are there, too, of this message not yet.
    let socket = host.inside("data/admin.sock").display().to_string();
    let url = "http://localhost/v1/receipts?limit=1000";
    let begun = Instant::now();
    loop {
        let found = tool::run("curl", &["-sS", "--unix-socket", &socket, url]).expect_code(0);
        let found: serde_json::Value = serde_json::from_str(&found.stdout).expect("JSON");
        let receipts = found["items"].as_array().expect("receipts").len();
        if receipts >= 2 * sent.messages.len() {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{receipts} receipts");
    }
    host.stop();
}

/// Until there is no octet left.
fn fill(path: &Path) {
    let file = fs::OpenOptions::new().create(true).append(true).open(path);
    let mut file = file.expect("there is room for a name");
    let piece = [0; 4096];
    let full = loop {
        if let Err(error) = file.write_all(&piece) {
            break error;
        }
    };
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull, "{full}");
}

/// The files in a directory of the host's.
fn files(host: &Host, directory: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(host.inside(directory)).expect("the host has made it");
    entries
        .map(|entry| entry.expect("an entry").path())
        .collect()
}

/// What is in these files, but for the short messages.
fn contents(files: &[PathBuf]) -> Vec<String> {
    let read = |path: &PathBuf| tool::text(&fs::read(path).expect("a message can be read"));
    let contents = files.iter().map(read);
    contents
        .filter(|mail| !mail.contains("Subject: short"))
        .collect()
}

fn site(hop: &Hop) -> Site {
    let bank = format!("domains = [\"bank.example\"]\n{}", hop.target(""));
    Site::new()
        .tenant("acme", "domains = [\"acme.example\"]")
        .tenant("bank", &bank)
}

/// Messages to a maildir and a next hop, and what was said of them.
#[derive(Default)]
struct Sent {
    /// Octets in each, about.
    length: usize,
    /// How often each was answered with 250.
    messages: Vec<usize>,
}

impl Sent {
    /// Delivers the next message.
    fn deliver(&mut self, host: &Host) -> String {
        self.messages.push(0);
        self.again(host)
    }

    /// Delivers the same message once more.
    fn again(&mut self, host: &Host) -> String {
        let number = self.messages.len() - 1;
        let reply = deliver(host, &[ANN, BEN], &numbered(number, self.length));
        if reply.starts_with("250") {
            self.messages[number] += 1;
        }
        reply
    }

    /// Delivers a message while calls fail, and once more when they work again. False
    /// when no call failed.
    fn while_failing(&mut self, host: &Host, failing: &str, paths: &[&str], reply: &str) -> bool {
        let fault = Fault::inject(host, &[failing], paths);
        let found = self.deliver(host);
        let failed = fault.end();
        // What fails beside the delivery, such as the ledger's note that all is well now,
        // refuses nothing. That the message is there is seen in the end.
        if failed == 0 || found.starts_with("250 ") {
            assert!(found.starts_with("250 2.0.0 "), "{failing}: {found}");
            return false;
        }
        assert!(found.starts_with(reply), "{failing}: {found}");
        let found = self.again(host);
        assert!(found.starts_with("250 2.0.0 "), "after {failing}: {found}");
        assert_eq!(host.site().maildir("acme", "tmp").len(), 0, "{failing}");
        true
    }

    /// Every message was taken in the end, and is in both places once and whole.
    fn assert_each_once(&self, site: &Site, hop: &Hop) {
        let expected: Vec<usize> = vec![1; self.messages.len()];
        assert_eq!(self.messages, expected);
        let mail = site.mail("acme");
        let stored = copies(
            mail.iter()
                .map(|mail| String::from_utf8_lossy(mail).into_owned()),
            |_| self.length,
        );
        let passed_on = copies(hop.taken().into_iter().map(|taken| taken.content), |_| {
            self.length
        });
        let expected: BTreeMap<usize, usize> = (0..self.messages.len()).map(|n| (n, 1)).collect();
        assert_eq!(stored, expected);
        assert_eq!(passed_on, expected);
    }
}

fn numbered(number: usize, length: usize) -> String {
    let line = format!("this is line {number} of a message\r\n");
    let body = line.repeat(length / line.len() + 1);
    format!("Subject: number {number}\r\n\r\n{body}the end of {number}\r\n")
}

/// How often each message is there; fails the test unless each is whole.
fn copies(
    contents: impl Iterator<Item = String>,
    length: impl Fn(usize) -> usize,
) -> BTreeMap<usize, usize> {
    let mut copies = BTreeMap::new();
    for content in contents {
        let (_, rest) = content.split_once("Subject: number ").expect("a subject");
        let (number, _) = rest.split_once("\r\n").expect("a line");
        let number = number.parse().expect("a number");
        assert!(
            content.ends_with(&numbered(number, length(number))),
            "{number} is not whole"
        );
        *copies.entry(number).or_insert(0) += 1;
    }
    copies
}

/// The reply to the end of data, or the first that is none of success.
fn deliver(host: &Host, recipients: &[&str], message: &str) -> String {
    let mut client = Client::connect(host.address("smtp"));
    client.ehlo();
    client.expect(&format!("MAIL FROM:<{SENDER}>"), "250");
    for recipient in recipients {
        let reply = client.say(&format!("RCPT TO:<{recipient}>"));
        if !reply.starts_with("250") {
            return reply;
        }
    }
    client.expect("DATA", "354");
    client.send(message);
    let reply = client.say(".");
    client.quit();
    reply
}

/// Seconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("after 1970").as_secs()
}

/// Days since 1970.
fn today() -> u64 {
    now() / 86400
}

fn day_of_receipts(site: &Site) -> PathBuf {
    let mut entries = fs::read_dir(site.path("data/receipts")).expect("the host made it");
    let entry = entries.next().expect("the day's file").expect("an entry");
    entry.path()
}
