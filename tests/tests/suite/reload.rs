//! Loading anew while the host runs: what is taken, what is refused, and that nobody is
//! disturbed by it.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use portcullis_tests::certificate::Identity;
use portcullis_tests::client::{Client, Tls};
use portcullis_tests::fault::Fault;
use portcullis_tests::operate::Manager;
use portcullis_tests::program::{portcullis, stock_policy};
use portcullis_tests::site::{Host, Site};
use portcullis_tests::tool;

const SENDER: &str = "amy@sender.example";
const MESSAGE: &str = "Subject: meanwhile\r\n\r\nthe host is reloaded\r\n";
const METRICS: &str = "[metrics]\naddress = \"127.0.0.1:0\"";

fn site() -> Site {
    Site::new()
        .settings(METRICS)
        .tenant("acme", "domains = [\"acme.example\"]")
}

/// The reply to a recipient, in a transaction of its own.
fn rcpt(client: &mut Client, recipient: &str) -> String {
    client.expect("RSET", "250");
    client.expect(&format!("MAIL FROM:<{SENDER}>"), "250");
    client.say(&format!("RCPT TO:<{recipient}>"))
}

fn done(host: &Host) -> String {
    let ran = host.reload().expect_code(0);
    assert!(ran.stdout.starts_with("reloaded "), "{}", ran.stdout);
    ran.stderr
}

/// What a refused reload says, without the directory of the site.
fn refused(host: &Host) -> String {
    let ran = host.reload().expect_code(1);
    assert_eq!(ran.stdout, "");
    let directory = format!("{}/", host.site().directory().display());
    ran.stderr.replace(&directory, "")
}

#[test]
fn a_tenant_comes_and_goes_and_sessions_stay() {
    let host = site().start();
    let mut client = Client::connect(host.address("smtp"));
    client.ehlo();
    for _ in 0..2 {
        let reply = rcpt(&mut client, "ben@bank.example");
        assert!(reply.starts_with("550 5.7.1 Relaying"), "{reply}");
        host.write("tenants/bank.toml", "domains = [\"bank.example\"]");
        let waiting = done(&host);
        assert_eq!(waiting, "");
        let reply = rcpt(&mut client, "ben@bank.example");
        assert!(reply.starts_with("250"), "{reply}");
        fs::remove_file(host.site().path("tenants/bank.toml")).expect("it is there");
        done(&host);
    }
    client.quit();
    assert_eq!(
        host.metric("reloads_total{what=configuration,result=done}"),
        4.0
    );
    assert_eq!(host.metric("reload_successful{what=configuration}"), 1.0);
    let ended = host.stop();
    let told = ended
        .log
        .matches("the configuration was loaded anew")
        .count();
    assert_eq!(told, 4, "{}", ended.log);
}

#[test]
fn a_hangup_reloads_and_the_service_manager_hears_of_it() {
    let site = site();
    let socket = site.path("manager");
    let manager = Manager::new(&socket);
    let host = site
        .variable("NOTIFY_SOCKET", &socket.display().to_string())
        .start();
    manager.waits_for("READY=1");
    host.write("tenants/bank.toml", "domains = [\"bank.example\"]");
    host.hang_up();
    let reloading = manager.waits_for("RELOADING=1");
    let time = reloading
        .lines()
        .find_map(|l| l.strip_prefix("MONOTONIC_USEC="));
    assert!(
        time.is_some_and(|time| time.parse::<u64>().is_ok()),
        "{reloading}"
    );
    manager.waits_for("READY=1");
    let mut client = Client::connect(host.address("smtp"));
    client.ehlo();
    let reply = rcpt(&mut client, "ben@bank.example");
    assert!(reply.starts_with("250"), "{reply}");
    client.quit();
    // One with faults ends as well.
    host.write("tenants/bank.toml", "domains = []");
    host.hang_up();
    manager.waits_for("RELOADING=1");
    manager.waits_for("READY=1");
    let ended = host.stop();
    let refused = "the new configuration was refused, and what was in force stays";
    assert!(ended.log.contains(refused), "{}", ended.log);
    assert!(
        ended.log.contains("bank.toml:1: domains: "),
        "{}",
        ended.log
    );
}

#[test]
fn a_transaction_keeps_what_it_began_with() {
    let host = site().start();
    let mut client = Client::connect(host.address("smtp"));
    client.ehlo();
    client.expect(&format!("MAIL FROM:<{SENDER}>"), "250");
    client.expect("RCPT TO:<ann@acme.example>", "250");
    host.write(
        "tenants/acme.toml",
        "domains = [\"acme.example\"]\ndefaults = { decision = \"enforced\" }",
    );
    done(&host);
    client.expect("RCPT TO:<art@acme.example>", "250");
    client.expect("DATA", "354");
    client.send(MESSAGE);
    client.expect(".", "250");
    let reply = rcpt(&mut client, "ann@acme.example");
    assert!(reply.starts_with("530"), "the next one does not: {reply}");
    client.quit();
    let ended = host.stop();
    assert_eq!(ended.site.mail("acme").len(), 1);
    let receipt = ended.site.receipt("art@acme.example");
    assert_eq!(receipt["outcome"]["outcome"], "delivered");
}

#[test]
fn faults_are_reported_whole_and_nothing_changes() {
    let (chain, other) = (
        Identity::self_signed(&["mx.host.example"]),
        Identity::self_signed(&["mx.host.example"]),
    );
    let site = site().settings("[[tls.certificate]]\nchain = \"mx.pem\"\nkey = \"mx.key\"");
    chain.write(site.directory(), "mx");
    other.write(site.directory(), "other");
    let host = site.start();

    // Before it is known where the host is.
    host.edit("hostname = ", "hostname == ");
    let told = refused(&host);
    assert!(told.contains("portcullis.toml:1: not TOML"), "{told}");
    let end = "portcullis: the host was not asked: 2 faults\n";
    assert!(told.ends_with(end), "{told}");
    host.edit("hostname == ", "hostname = ");

    // The host sees all others itself, so that its log and its metrics have them.
    let changed_nothing = |told: &str, faults: usize| {
        let plural = if faults == 1 { "" } else { "s" };
        let end = format!("portcullis: {faults} fault{plural}; nothing was changed\n");
        assert!(told.ends_with(&end), "{told}");
        assert_eq!(host.metric("reload_successful{what=configuration}"), 0.0);
    };
    host.edit("[[tls.certificate]]", "[[tls.certificate]");
    let told = refused(&host);
    assert!(told.contains("portcullis.toml:"), "{told}");
    let broken = told.lines().count() - 1;
    changed_nothing(&told, broken);
    host.edit("[[tls.certificate]", "[[tls.certificate]]");
    host.write(
        "tenants/bank.toml",
        "domains = [\"bank.example\"]\ncontat = \"x\"",
    );
    host.write(
        "tenants/acme.toml",
        "domains = [\"acme.example\"]\n[trust]\nanchors = [\"none.pem\"]",
    );
    let told = refused(&host);
    assert!(
        told.contains("tenants/bank.toml:2: contat: unknown key"),
        "{told}"
    );
    assert!(
        told.contains("tenants/acme.toml:3: trust.anchors[0]"),
        "{told}"
    );
    changed_nothing(&told, 2);
    // Certificates, anchors, all at once.
    host.write("tenants/bank.toml", "domains = [\"bank.example\"]");
    host.write("tenants/none.pem", "no certificate");
    host.edit("mx.key", "other.key");
    let told = refused(&host);
    assert!(told.contains("portcullis.toml:"), "{told}");
    assert!(
        told.contains("other.key is not that of the first certificate"),
        "{told}"
    );
    assert!(
        told.contains("tenants/acme.toml:3: trust.anchors[0]"),
        "{told}"
    );
    changed_nothing(&told, 2);

    let mut client = Client::starttls(host.address("smtp"), &Tls::tls13());
    assert_eq!(client.host_certificate(), chain.der());
    assert!(rcpt(&mut client, "ann@acme.example").starts_with("250"));
    assert!(rcpt(&mut client, "ben@bank.example").starts_with("550"));

    host.write("tenants/acme.toml", "domains = [\"acme.example\"]");
    host.edit("other.key", "mx.key");
    done(&host);
    assert!(rcpt(&mut client, "ben@bank.example").starts_with("250"));
    client.quit();
    assert_eq!(host.metric("reload_successful{what=configuration}"), 1.0);
    let ended = host.stop();
    assert_eq!(
        ended
            .log
            .matches("a fault of the new configuration")
            .count(),
        broken + 4
    );
}

/// A module in force is not given up for one that is refused; one that has been refused
/// since the start keeps nobody from reloading.
#[test]
fn a_refused_module_does_not_take_the_place_of_one_that_runs() {
    const ASKS: &str = "[[module]]\nname = \"m\"\npath = \"m.wasm\"\n\
        [[policy]]\nname = \"p\"\noption = \"module\"\nmodule = \"m\"\n\
        settings = { domains = { \"*\" = {} } }\n";
    let module = fs::read(stock_policy("modern-tls")).expect("it was built");
    let site = site()
        .tenant("sound", &format!("domains = [\"sound.example\"]\n{ASKS}"))
        .tenant(
            "broken",
            &format!(
                "domains = [\"broken.example\"]\n{}",
                ASKS.replace("m.wasm", "b.wasm")
            ),
        )
        .file("tenants/m.wasm", module)
        .file("tenants/b.wasm", "no module");
    let host = site.start();
    let mut client = Client::starttls(host.address("smtp"), &Tls::tls13());
    assert!(rcpt(&mut client, "sue@sound.example").starts_with("250"));
    assert!(rcpt(&mut client, "bo@broken.example").starts_with("451"));
    done(&host);
    let good = host.site().path("tenants/m.wasm");
    let kept = fs::read(&good).expect("it is there");
    host.write("tenants/m.wasm", "no module any more");
    let told = refused(&host);
    assert!(
        told.contains("tenants/sound.toml:4: module[0].path"),
        "{told}"
    );
    assert!(
        told.ends_with("portcullis: 1 fault; nothing was changed\n"),
        "{told}"
    );
    assert!(rcpt(&mut client, "sue@sound.example").starts_with("250"));
    fs::write(&good, kept).expect("written");
    done(&host);
    client.quit();
}

#[test]
fn what_waits_for_a_restart_is_named_and_the_rest_is_taken() {
    let host = site()
        .settings("[limits]\nmessage_size = 70_000\nsessions = 9")
        .start();
    host.write("tenants/bank.toml", "domains = [\"bank.example\"]");
    let before = Client::connect(host.address("smtp"));
    host.edit("70_000\nsessions = 9", "80_000\nsessions = 8");
    host.edit("mx.host.example", "mx2.host.example");
    host.edit("127.0.0.1:0\"\ntls", "127.0.0.2:0\"\ntls");
    let waiting = done(&host);
    for key in ["hostname", "listener", "limits.sessions"] {
        let line = format!("portcullis: {key} is changed, which waits for a restart\n");
        assert!(waiting.contains(&line), "{waiting}");
    }
    assert_eq!(
        waiting
            .lines()
            .filter(|line| !line.contains("postmaster"))
            .count(),
        3
    );
    let mut client = Client::connect(host.address("smtp"));
    let extensions = client.ehlo();
    assert!(extensions.contains("SIZE 80000"), "{extensions}");
    assert!(extensions.contains("mx.host.example"), "{extensions}");
    assert!(rcpt(&mut client, "ben@bank.example").starts_with("250"));
    client.quit();
    // A session keeps what it was offered.
    let mut before = before;
    let extensions = before.ehlo();
    assert!(extensions.contains("SIZE 70000"), "{extensions}");
    before.quit();
    let ended = host.stop();
    let warned = "a change of the configuration waits for a restart key=\"limits.sessions\"";
    assert!(ended.log.contains(warned), "{}", ended.log);
}

#[test]
fn the_level_of_the_log_is_taken() {
    let host = site().settings("[log]\nlevel = \"warn\"").start();
    let greet = || Client::connect(host.address("smtp")).quit();
    greet();
    host.edit("\"warn\"", "\"debug\"");
    done(&host);
    greet();
    // The end of a session is logged before the next line of the log.
    done(&host);
    let ended = host.stop();
    assert_eq!(
        ended.log.matches("session began").count(),
        1,
        "{}",
        ended.log
    );
}

/// The same data directory, and other settings: what was asked for is not what would be
/// put in force.
#[test]
fn a_file_that_the_host_does_not_run_on() {
    let host = site().start();
    let other = host.site().path("other.toml");
    fs::copy(host.site().path("portcullis.toml"), &other).expect("copied");
    let ran = tool::run(
        &portcullis().display().to_string(),
        &["reload", "--config", &other.display().to_string()],
    );
    let said = ran.expect_code(1).stderr;
    assert!(said.contains("the host runs on "), "{said}");
    assert!(said.contains("other.toml; nothing was changed"), "{said}");
    done(&host);
}

/// A disk that does not answer holds up its own tenant: not the start, not a reload, and
/// not the mail of others.
#[test]
fn a_disk_that_hangs_holds_up_its_own_tenant() {
    const HANGS: Duration = Duration::from_secs(60);
    let site = site().tenant("bank", "domains = [\"bank.example\"]");
    let hangs = format!(
        "--inject=access,faccessat,faccessat2:delay_enter={}s",
        HANGS.as_secs()
    );
    let disk = site.path("data/mail/bank/tmp").display().to_string();
    let began = Instant::now();
    let calls = site.path("calls").display().to_string();
    let host = site.start_under(&["strace", "-f", "-o", &calls, "-P", &disk, &hangs]);
    assert!(began.elapsed() < HANGS, "the host waited for the disk");
    host.write("tenants/acme.toml", "domains = [\"other.example\"]");
    done(&host);
    let mut client = Client::connect(host.address("smtp"));
    client.ehlo();
    let reply = client.deliver(SENDER, &["ann@other.example"], MESSAGE);
    assert!(reply.starts_with("250"), "{reply}");
    client.quit();
    assert!(began.elapsed() < HANGS, "the reload waited for the disk");
    // The disk was asked: by what makes maildirs, since nobody sent mail there.
    let asked = fs::read_to_string(host.site().path("calls")).expect("strace wrote it");
    assert!(asked.contains("bank/tmp"), "{asked}");
}

#[test]
fn without_a_host_there_is_nobody_to_ask() {
    let site = site();
    let ran = site.run("reload").expect_code(1);
    let told = "portcullis: no host runs on the data directory ";
    assert!(ran.stderr.starts_with(told), "{}", ran.stderr);
    let site = site.start().kill().site;
    let ran = site.run("reload").expect_code(1);
    assert!(ran.stderr.starts_with(told), "{}", ran.stderr);
    // What the killed host left is in nobody's way.
    let host = site.start();
    done(&host);
}

/// What was begun is ended: the store and what is in force are one.
#[test]
fn a_reload_is_ended_when_whoever_asked_has_gone() {
    use std::io::Write;
    use std::os::unix::net::UnixStream;
    let site = site();
    let socket = site.path("manager");
    let manager = Manager::new(&socket);
    let host = site
        .variable("NOTIFY_SOCKET", &socket.display().to_string())
        .start();
    manager.waits_for("READY=1");
    // A module to compile takes longer than going away.
    let module = fs::read(stock_policy("modern-tls")).expect("it was built");
    host.write("tenants/m.wasm", module);
    host.write(
        "tenants/bank.toml",
        "domains = [\"bank.example\"]\n[[module]]\nname = \"m\"\npath = \"m.wasm\"\n",
    );
    let path = host.site().path("data/admin.sock");
    let mut stream = UnixStream::connect(&path).expect("the host listens");
    let request = "POST /v1/reload HTTP/1.1\r\nHost: localhost\r\n\
        Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
    stream.write_all(request.as_bytes()).expect("written");
    manager.waits_for("RELOADING=1");
    drop(stream);
    host.wait_for_metric("reloads_total{what=configuration,result=done}", 1.0);
    let mut client = Client::connect(host.address("smtp"));
    client.ehlo();
    assert!(rcpt(&mut client, "ben@bank.example").starts_with("250"));
    client.quit();
    host.stop();
}

#[test]
fn certificates_are_used_when_their_files_change() {
    let first = Identity::self_signed(&["mx.host.example"]);
    let site = site()
        .listener("inside", "implicit", "ask_client_certificate = false")
        .settings("[[tls.certificate]]\nchain = \"mx.pem\"\nkey = \"mx.key\"");
    first.write(site.directory(), "mx");
    let host = site.start();
    let mut old = Client::starttls(host.address("smtp"), &Tls::tls13());
    assert_eq!(old.host_certificate(), first.der());
    // It began before, and has not shaken hands.
    let mut waiting = Client::connect(host.address("smtp"));
    waiting.ehlo();

    let second = Identity::self_signed(&["mx.host.example"]);
    second.write(host.site().directory(), "mx");
    host.wait_for_metric("reloads_total{what=certificates,result=done}", 1.0);
    for listener in ["smtp", "inside"] {
        let shown = match listener {
            "smtp" => Client::starttls(host.address(listener), &Tls::tls12()),
            _ => Client::implicit(host.address(listener), &Tls::tls13()),
        };
        assert_eq!(shown.host_certificate(), second.der(), "{listener}");
        shown.quit();
    }
    waiting.expect("STARTTLS", "220");
    let waiting = waiting.shake_hands(&Tls::tls13());
    assert_eq!(waiting.host_certificate(), second.der());

    // A broken file changes nothing, and is told of once.
    let directory = host.site().directory().to_owned();
    first.write(&directory, "other");
    for broken in ["no certificate", "-----BEGIN CERTIFICATE-----\nAAAA"] {
        let refused = host.metric("reloads_total{what=certificates,result=refused}");
        host.write("mx.pem", broken);
        host.wait_for_metric(
            "reloads_total{what=certificates,result=refused}",
            refused + 1.0,
        );
        assert_eq!(host.metric("reload_successful{what=certificates}"), 0.0);
        let shown = Client::starttls(host.address("smtp"), &Tls::tls13());
        assert_eq!(shown.host_certificate(), second.der());
        shown.quit();
    }
    // Another one's key.
    fs::copy(directory.join("other.pem"), directory.join("mx.pem")).expect("copied");
    host.wait_for_metric("reloads_total{what=certificates,result=refused}", 3.0);
    // And the key that belongs to it.
    fs::copy(directory.join("other.key"), directory.join("mx.key")).expect("copied");
    host.wait_for_metric("reloads_total{what=certificates,result=done}", 2.0);
    let shown = Client::starttls(host.address("smtp"), &Tls::tls13());
    assert_eq!(shown.host_certificate(), first.der());
    shown.quit();
    let reply = old.deliver(SENDER, &["ann@acme.example"], MESSAGE);
    assert!(reply.starts_with("250"), "{reply}");
    old.quit();
    let ended = host.stop();
    let told = "a new certificate cannot be used, and those that were in use stay";
    assert_eq!(ended.log.matches(told).count(), 3, "{}", ended.log);
}

/// Descriptors run out, and there are some again: the new certificate is the same file
/// still, and is used all the same.
#[test]
fn a_certificate_that_could_not_be_read_for_a_while() {
    let site = site().settings("[[tls.certificate]]\nchain = \"mx.pem\"\nkey = \"mx.key\"");
    Identity::self_signed(&["mx.host.example"]).write(site.directory(), "mx");
    let host = site.start();
    let chain = host.site().path("mx.pem").display().to_string();
    let fault = Fault::inject(&host, &["openat:error=EMFILE"], &[&chain]);
    let second = Identity::self_signed(&["mx.host.example"]);
    second.write(host.site().directory(), "mx");
    host.wait_for_metric("reloads_total{what=certificates,result=refused}", 1.0);
    assert!(fault.end() >= 2, "the file was read, and read again");
    host.wait_for_metric("reloads_total{what=certificates,result=done}", 1.0);
    let shown = Client::starttls(host.address("smtp"), &Tls::tls13());
    assert_eq!(shown.host_certificate(), second.der());
    shown.quit();
    let log = host.stop().log;
    let told = "a new certificate cannot be used, and those that were in use stay";
    assert_eq!(log.matches(told).count(), 1, "{log}");
}

/// A host that began without TLS offers it when the file is mended, in new sessions.
#[test]
fn a_certificate_that_was_broken_at_the_start() {
    let site = site()
        .settings("[[tls.certificate]]\nchain = \"mx.pem\"\nkey = \"mx.key\"")
        .file("mx.pem", "not yet")
        .file("mx.key", "not yet");
    let host = site.start();
    let mut client = Client::connect(host.address("smtp"));
    client.ehlo();
    client.expect("STARTTLS", "454");
    let made = Identity::self_signed(&["mx.host.example"]);
    made.write(host.site().directory(), "mx");
    host.wait_for_metric("reloads_total{what=certificates,result=done}", 1.0);
    let secured = Client::starttls(host.address("smtp"), &Tls::tls13());
    assert_eq!(secured.host_certificate(), made.der());
    secured.quit();
    client.expect("STARTTLS", "454");
    client.quit();
}

/// Clients that check every reply, while certificates and tenants are exchanged a
/// hundred times each.
#[test]
fn a_hundred_rotations_and_a_hundred_reloads_and_no_failed_session() {
    const CLIENTS: usize = 4;
    let site = site().settings("[[tls.certificate]]\nchain = \"tls/mx.pem\"\nkey = \"tls/mx.key\"");
    let directory = site.directory().to_owned();
    let place = |name: &str| {
        let path = directory.join(name);
        fs::create_dir(&path).expect("it is new");
        path
    };
    let first = Identity::self_signed(&["mx.host.example"]);
    first.write(&place("tls-0"), "mx");
    symlink("tls-0", directory.join("tls")).expect("it is new");
    let host = site.start();
    let address = host.address("smtp");
    let (over, delivered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let deliver_until_over = || {
        let resuming = Tls::tls13();
        while !over.load(Relaxed) {
            let mut again = Client::starttls(address, &resuming);
            let mut anew = Client::starttls(address, &Tls::tls12());
            for client in [&mut again, &mut anew] {
                let reply = client.deliver(SENDER, &["ann@acme.example"], MESSAGE);
                assert!(reply.starts_with("250 2.0.0"), "{reply}");
                delivered.fetch_add(1, Relaxed);
            }
            again.quit();
            anew.quit();
        }
    };
    let rotate = |round: usize| {
        let next = Identity::self_signed(&["mx.host.example"]);
        match round % 3 {
            // In place, one file after the other.
            0 => drop(next.write(&directory.join("tls"), "mx")),
            // Beside it, and renamed.
            1 => {
                let files = next.write(&directory.join("tls"), "next");
                for (from, to) in [(files.key, "tls/mx.key"), (files.certificate, "tls/mx.pem")] {
                    fs::rename(from, directory.join(to)).expect("renamed");
                }
            }
            // Another directory behind a link that is swapped.
            _ => {
                let name = format!("tls-{round}");
                next.write(&place(&name), "mx");
                symlink(&name, directory.join("swap")).expect("it is new");
                fs::rename(directory.join("swap"), directory.join("tls")).expect("renamed");
            }
        }
        loop {
            let shown = Client::starttls(address, &Tls::tls13());
            let is_next = shown.host_certificate() == next.der();
            shown.quit();
            if is_next {
                break;
            }
        }
    };
    let reload = |round: usize| {
        let contact = format!("domains = [\"acme.example\"]\ncontact = \"round {round}\"");
        host.write("tenants/acme.toml", contact);
        let bank = host.site().path("tenants/bank.toml");
        match round % 2 {
            0 => fs::write(bank, "domains = [\"bank.example\"]").expect("written"),
            _ => fs::remove_file(bank).expect("it is there"),
        }
        assert_eq!(done(&host), "");
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| scope.spawn(deliver_until_over))
            .collect();
        let operator = scope.spawn(|| {
            (0..100).for_each(|round| {
                rotate(round);
                reload(round);
            });
        });
        let operated = operator.join();
        over.store(true, Relaxed);
        let failed = clients
            .into_iter()
            .filter_map(|client| client.join().err())
            .count();
        assert!(operated.is_ok(), "a rotation or a reload failed");
        assert_eq!(failed, 0, "clients that were answered otherwise");
    });
    let delivered = delivered.into_inner();
    assert!(delivered >= 100, "{delivered} messages");
    for (name, value) in [
        ("reloads_total{what=configuration,result=done}", 100.0),
        ("reloads_total{what=configuration,result=refused}", 0.0),
        ("reloads_total{what=certificates,result=refused}", 0.0),
        ("sessions_ended_total{listener=smtp,how=lost}", 0.0),
        ("sessions_ended_total{listener=smtp,how=closed}", 0.0),
        (
            "sessions_ended_total{listener=smtp,how=handshake-failed}",
            0.0,
        ),
        ("outcomes_total{outcome=delivered}", delivered as f64),
    ] {
        assert_eq!(host.metric(name), value, "{name}");
    }
    assert_eq!(host.stop().site.mail("acme").len(), delivered);
}
