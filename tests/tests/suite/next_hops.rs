//! Next hops: what they refuse, how they fail, and what becomes of messages whose
//! recipients come to different ends.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use portcullis_tests::client::Client;
use portcullis_tests::hop::{CLOSE, HANG, Hop, LATE, in_the_end};
use portcullis_tests::site::{Host, Site};

const MESSAGE: &str = "Subject: on its way\r\n\r\n.a line with a dot\r\n";
const SENDER: &str = "amy@sender.example";
const ANN: &str = "ann@acme.example";
const BOB: &str = "bob@acme.example";
const BEN: &str = "ben@bank.example";

#[test]
fn a_message_goes_on_as_it_came_with_our_fields_before_it() {
    for hop in [Hop::lmtp(), Hop::smtp()] {
        let host = site("acme", &hop, "").start();
        assert_eq!(begins(&deliver(&host, &[ANN, ANN]), "250 2.0.0 "), Ok(()));
        let taken = hop.taken();
        assert_eq!(taken.len(), 1, "{taken:?}");
        assert!(taken[0].sender.starts_with("<amy@sender.example>"));
        assert_eq!(
            taken[0].recipients,
            [ANN],
            "a repeated recipient counts once"
        );
        let content = &taken[0].content;
        assert!(
            content.starts_with("Received: from client.example "),
            "{content}"
        );
        assert!(
            content.contains("\r\n\tfor <ann@acme.example>;\r\n"),
            "{content}"
        );
        assert!(
            !content.contains("Return-Path"),
            "that is for the last host: {content}"
        );
        assert!(content.ends_with(MESSAGE), "{content}");
        let ended = host.stop();
        let receipts = ended.site.receipts();
        let detail = &receipts[0]["outcome"]["detail"];
        let detail = detail.as_str().expect("a text");
        assert!(detail.ends_with(": 250 2.0.0 taken"), "{detail}");
    }
}

#[test]
fn what_a_next_hop_refuses_at_rcpt_reaches_the_client_in_its_words() {
    let hop = Hop::lmtp();
    hop.answer(
        "RCPT TO:<bob@",
        &["550-5.1.1 no such user\r\n550 5.1.1 here"],
    );
    hop.answer("RCPT TO:<full@", &["452 4.2.2 mailbox full"]);
    let host = site("acme", &hop, "").start();
    let mut client = begin(&host);
    client.expect(&rcpt(ANN), "250 2.1.5 ");
    let refusal = client.expect(&rcpt(BOB), "550 5.1.1 no such user");
    client.expect(&rcpt("full@acme.example"), "452 4.2.2 mailbox full [");
    assert_eq!(begins(&finish(&mut client), "250 2.0.0 "), Ok(()));
    client.quit();
    assert_eq!(hop.taken()[0].recipients, [ANN]);
    let ended = host.stop();
    let receipt = ended.site.receipt(BOB);
    assert!(refusal.ends_with(&format!("[{}]", text(&receipt["verdict"]["id"]))));
    assert_eq!(receipt["outcome"]["outcome"], "refused");
    let detail = text(&receipt["outcome"]["detail"]);
    assert!(detail.contains(": 550 5.1.1 no such user"), "{detail}");
}

#[test]
fn a_next_hop_that_is_down_keeps_nobody_elses_mail() {
    let directory = tempfile::tempdir().expect("there is room for a directory");
    let socket = directory.path().join("lmtp");
    let bank = Hop::lmtp();
    let acme = format!(
        "[targets.inbound]\nkind = \"lmtp\"\naddress = \"unix:{}\"",
        socket.display()
    );
    let host = two(&acme, &bank.target("")).start();
    let mut client = begin(&host);
    client.expect(&rcpt(ANN), "451 4.4.1 Next hop not available");
    client.expect(&rcpt(BEN), "250 2.1.5 ");
    assert_eq!(begins(&finish(&mut client), "250 2.0.0 "), Ok(()));
    client.quit();
    assert_eq!(bank.copies(BEN), 1);
    let up = Hop::unix(&socket);
    assert_eq!(begins(&deliver(&host, &[ANN]), "250 2.0.0 "), Ok(()));
    assert_eq!(up.copies(ANN), 1);
    let ended = host.stop();
    let outcomes: Vec<String> = ended
        .site
        .receipts()
        .iter()
        .map(|r| text(&r["outcome"]["outcome"]))
        .collect();
    assert_eq!(outcomes, ["deferred", "delivered", "delivered"]);
}

/// Wherever a next hop closes, says nothing or talks nonsense: never 250, and the next
/// time all is well. Each failure has a tenant of its own.
#[test]
fn a_next_hop_that_fails_at_each_step() {
    let mut hops = Vec::new();
    let mut site = Site::new();
    for step in ["greeting", "LHLO", "MAIL", "RCPT", "DATA", ". ann"] {
        for failure in [CLOSE, HANG, "what?", "421 4.3.2 closing"] {
            let hop = Hop::lmtp();
            let well = match step {
                "greeting" => "220 hop.example",
                "DATA" => "354 go on",
                _ => "250 2.0.0 taken",
            };
            hop.answer(step, &[failure, well]);
            let number = hops.len();
            let timeouts = "connect_timeout_s = 1\nreply_timeout_s = 1\ndelivery_timeout_s = 1";
            let target = hop.target(timeouts);
            site = site.tenant(
                &format!("t{number}"),
                &format!("domains = [\"t{number}.example\"]\n{target}"),
            );
            hops.push((format!("{step}: {failure}"), hop));
        }
    }
    let host = site.start();
    for (number, (case, hop)) in hops.iter().enumerate() {
        let recipient = format!("ann@t{number}.example");
        let mut client = begin(&host);
        let mut reply = client.say(&rcpt(&recipient));
        if reply.starts_with("250") {
            reply = finish(&mut client);
        }
        assert_eq!(begins(&reply, "451 4.4.1 "), Ok(()), "{case}");
        client.quit();
        let reply = in_the_end(|| deliver(&host, &[&recipient]));
        assert_eq!(begins(&reply, "250 2.0.0 "), Ok(()), "{case}");
        assert_eq!(hop.copies(&recipient), 1, "{case}");
    }
}

/// What a next hop has against the host itself is no reason to let mail bounce.
#[test]
fn a_next_hop_that_wants_something_of_the_host() {
    let hop = Hop::smtp();
    hop.answer(
        "MAIL",
        &["530 5.7.0 Authentication required", "250 2.1.0 ok"],
    );
    let host = site("acme", &hop, "").start();
    let mut client = begin(&host);
    client.expect(&rcpt(ANN), "451 4.4.1 Next hop not available");
    client.quit();
    assert_eq!(begins(&deliver(&host, &[ANN]), "250 2.0.0 "), Ok(()));
    let log = host.stop().log;
    let said = log
        .lines()
        .any(|line| line.contains("ERROR") && line.contains("530 5.7.0 Authentication required"));
    assert!(said, "{log}");
}

/// A client that says nothing keeps no connection that somebody else needs, and loses
/// nothing by it.
#[test]
fn an_idle_client_keeps_no_next_hop_from_others() {
    let hop = Hop::lmtp();
    let host = site("acme", &hop, "connections = 1").start();
    let mut idle = begin(&host);
    idle.expect(&rcpt(ANN), "250 2.1.5 ");
    let begun = Instant::now();
    assert_eq!(begins(&deliver(&host, &[BOB]), "250 2.0.0 "), Ok(()));
    // Without anybody waiting it would be given back after twenty seconds.
    let waited = begun.elapsed();
    assert!(waited < Duration::from_secs(10), "{waited:?}");
    assert_eq!(begins(&finish(&mut idle), "250 2.0.0 "), Ok(()));
    assert_eq!((hop.copies(ANN), hop.copies(BOB)), (1, 1));
    assert_eq!(hop.connections(), 1);
}

/// What a client has earned it hears before the host goes on to what came with it.
#[test]
fn no_reply_waits_for_a_next_hop_that_is_slow() {
    let hop = Hop::lmtp();
    hop.answer("RCPT TO:<slow@", &[HANG]);
    let host = site("acme", &hop, "reply_timeout_s = 90").start();
    let mut client = begin(&host);
    client.expect(&rcpt(ANN), "250 2.1.5 ");
    client.expect("DATA", "354");
    let (ann, slow) = (rcpt(ANN), rcpt("slow@acme.example"));
    let next = format!("MAIL FROM:<{SENDER}>\r\n{ann}\r\n{slow}\r\n");
    client.send(format!("Subject: x\r\n\r\n.\r\n{next}"));
    // Far from the time that the hop is given.
    let soon = Duration::from_secs(30);
    let delivered = client.reply_within(soon).expect("it is delivered");
    assert_eq!(begins(&delivered, "250 2.0.0 Ok: delivered"), Ok(()));
    let sender = client.reply_within(soon).expect("they wait for a moment");
    assert_eq!(begins(&sender, "250 2.1.0 "), Ok(()));
    assert_eq!(begins(&client.reply(), "250 2.1.5 "), Ok(()));
}

/// A last chunk needs no go-ahead, so it may come with the commands before it.
#[test]
fn no_reply_waits_for_a_delivery_that_is_slow() {
    let hop = Hop::lmtp();
    hop.answer(". ann@", &[HANG]);
    let host = site("acme", &hop, "").start();
    let mut client = Client::connect(host.address("smtp"));
    client.ehlo();
    let content = "Subject: x\r\n\r\n";
    let last = format!("BDAT {} LAST\r\n{content}", content.len());
    client.send(format!("MAIL FROM:<{SENDER}>\r\n{}\r\n{last}", rcpt(ANN)));
    // Far from the five minutes that the hop is given.
    let soon = Duration::from_secs(30);
    let sender = client.reply_within(soon).expect("they wait for a moment");
    assert_eq!(begins(&sender, "250 2.1.0 "), Ok(()));
    assert_eq!(begins(&client.reply(), "250 2.1.5 "), Ok(()));
    drop(hop);
    assert_eq!(begins(&client.reply(), "451 4.4.1 "), Ok(()));
}

/// What one target has is in the ledger though another says nothing for as long as the host
/// can wait.
#[test]
fn a_stop_settles_what_it_cuts_off() {
    let hop = Hop::lmtp();
    hop.answer(". ben@", &[HANG, "250 2.0.0 taken"]);
    let host = two("", &hop.target(""))
        .settings("[limits]\ngrace_s = 5")
        .start();
    let mut client = sent(&host, &[ANN, BEN]);
    let begun = Instant::now();
    while host.site().mail("acme").is_empty() && begun.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(20));
    }
    host.terminate();
    let reply = client.reply();
    let mixed = "451 4.3.0 Not delivered to every recipient";
    assert_eq!(begins(&reply, mixed), Ok(()));
    assert_eq!(begins(&client.reply(), "421 4.3.2 "), Ok(()));
    let ended = host.wait();
    assert!(!ended.log.contains("receipts hang"), "{}", ended.log);
    let outcome = &ended.site.receipt(BEN)["outcome"];
    assert_eq!(outcome["outcome"], "deferred");
    let detail = text(&outcome["detail"]);
    assert!(
        detail.ends_with("after the final dot: this host stops, and there was no answer yet"),
        "{detail}"
    );
    let host = ended.site.start();
    assert_eq!(begins(&deliver(&host, &[ANN, BEN]), "250 2.0.0 "), Ok(()));
    assert_eq!(hop.copies(BEN), 1);
    assert_eq!(host.stop().site.mail("acme").len(), 1);
}

/// The same of a hop that has answered for one recipient, and says nothing of the other.
#[test]
fn a_stop_keeps_what_a_hop_has_said_so_far() {
    let hop = Hop::lmtp();
    hop.answer(". bob@", &[HANG, "250 2.0.0 taken"]);
    let host = site("acme", &hop, "")
        .settings("[limits]\ngrace_s = 5")
        .start();
    let mut client = sent(&host, &[ANN, BOB]);
    let begun = Instant::now();
    while hop.copies(ANN) == 0 && begun.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(20));
    }
    host.terminate();
    let mixed = "451 4.3.0 Not delivered to every recipient";
    assert_eq!(begins(&client.reply(), mixed), Ok(()));
    let host = host.wait().site.start();
    assert_eq!(begins(&deliver(&host, &[ANN, BOB]), "250 2.0.0 "), Ok(()));
    assert_eq!((hop.copies(ANN), hop.copies(BOB)), (1, 1));
}

/// A host that stops waits for what a hop says in the end as long as for sessions.
#[test]
fn what_comes_late_comes_once_though_the_host_is_stopped_meanwhile() {
    let hop = Hop::lmtp();
    let late = format!("{LATE}250 2.0.0 taken");
    hop.answer(". ann@", &[&late, "250 2.0.0 taken"]);
    let host = site("acme", &hop, "delivery_timeout_s = 5").start();
    assert_eq!(begins(&deliver(&host, &[ANN]), "451 4.4.1 "), Ok(()));
    host.terminate();
    let ended = host.wait();
    let took = "a next hop took a message after the client had been told to come back";
    assert!(ended.log.contains(took), "{}", ended.log);
    let host = ended.site.start();
    assert_eq!(begins(&deliver(&host, &[ANN]), "250 2.0.0 "), Ok(()));
    assert_eq!(hop.copies(ANN), 1);
}

/// LMTP answers for each recipient; the host has one reply, and a retry delivers what
/// is missing, also after a crash of the host.
#[test]
fn a_retry_delivers_what_is_missing() {
    for crash in [false, true] {
        let hop = Hop::lmtp();
        hop.answer(". bob@", &["452 4.2.2 not now", "250 2.0.0 taken"]);
        let mut host = site("acme", &hop, "").start();
        let mixed = "451 4.3.0 Not delivered to every recipient";
        assert_eq!(begins(&deliver(&host, &[ANN, BOB]), mixed), Ok(()));
        assert_eq!((hop.copies(ANN), hop.copies(BOB)), (1, 0));
        if crash {
            host = host.kill().site.start();
        }
        assert_eq!(begins(&deliver(&host, &[ANN, BOB]), "250 2.0.0 "), Ok(()));
        assert_eq!((hop.copies(ANN), hop.copies(BOB)), (1, 1));
        let ended = host.stop();
        let details: Vec<String> = ended
            .site
            .receipts()
            .iter()
            .map(|r| text(&r["outcome"]["detail"]))
            .collect();
        let last = &details[details.len() - 2..];
        assert_eq!(
            last[0], "delivered before, as the ledger says",
            "{details:?}"
        );
        assert!(last[1].ends_with(": 250 2.0.0 taken"), "{details:?}");
    }
}

/// Those who are refused after data get their own reply in the end.
#[test]
fn a_refusal_among_deliveries_becomes_the_reply() {
    let hop = Hop::lmtp();
    hop.answer(". bob@", &["550 5.7.1 looks like spam"]);
    let host = site("acme", &hop, "").start();
    let mixed = "451 4.3.0 Not delivered to every recipient";
    assert_eq!(begins(&deliver(&host, &[ANN, BOB]), mixed), Ok(()));
    let mut client = begin(&host);
    client.expect(&rcpt(ANN), "250 ");
    client.expect(
        &rcpt(BOB),
        "452 4.5.3 Please send this recipient separately [",
    );
    assert_eq!(begins(&finish(&mut client), "250 2.0.0 "), Ok(()));
    client.expect(&format!("MAIL FROM:<{SENDER}>"), "250");
    client.expect(&rcpt(BOB), "250 ");
    client.expect(&rcpt(ANN), "452 4.5.3 ");
    let refusal = finish(&mut client);
    assert_eq!(begins(&refusal, "550 5.7.1 looks like spam ["), Ok(()));
    client.quit();
    assert_eq!((hop.copies(ANN), hop.copies(BOB)), (1, 0));
    // It is settled: the next message goes to both again.
    hop.answer(". bob@", &["250 2.0.0 taken"]);
    let mut client = begin(&host);
    client.expect(&rcpt(BOB), "250 ");
    client.expect(&rcpt(ANN), "250 ");
    client.expect("DATA", "354");
    client.send("Subject: another\r\n\r\n");
    client.expect(".", "250 2.0.0 ");
}

#[test]
fn one_refusal_for_all_is_the_reply_at_once() {
    for hop in [Hop::lmtp(), Hop::smtp()] {
        hop.answer(".", &["554 5.7.1 no"]);
        let host = site("acme", &hop, "").start();
        assert_eq!(
            begins(&deliver(&host, &[ANN, BOB]), "554 5.7.1 no ["),
            Ok(())
        );
        assert_eq!(
            host.stop().site.receipt(ANN)["outcome"]["outcome"],
            "refused"
        );
    }
}

/// What the message needs and the next hop lacks is found before it is asked.
#[test]
fn a_next_hop_that_cannot_carry_the_message() {
    let hop = Hop::smtp();
    hop.answer("EHLO", &["250 hop.example"]);
    let host = site("acme", &hop, "").start();
    let mut client = Client::connect(host.address("smtp"));
    client.ehlo();
    for (parameter, reply) in [
        (
            "BODY=8BITMIME",
            "550 5.6.3 The next hop does not offer 8BITMIME, which",
        ),
        (
            "SMTPUTF8",
            "550 5.6.7 The next hop does not offer SMTPUTF8, which",
        ),
    ] {
        client.expect(&format!("MAIL FROM:<{SENDER}> {parameter}"), "250");
        client.expect(&rcpt(ANN), reply);
        client.expect("RSET", "250");
    }
    assert_eq!(begins(&deliver(&host, &[ANN]), "250 2.0.0 "), Ok(()));
    assert!(hop.said().iter().all(|said| !said.contains("8BITMIME")));
}

#[test]
fn tenants_with_different_targets_share_a_message() {
    let (acme, bank) = (Hop::lmtp(), Hop::smtp());
    bank.answer(".", &["451 4.3.0 later", "250 2.0.0 taken"]);
    let host = two(&acme.target(""), &bank.target(""))
        .tenant("cafe", "domains = [\"cafe.example\"]")
        .start();
    let all = [ANN, BEN, "cat@cafe.example"];
    assert_eq!(begins(&deliver(&host, &all), "451 4.3.0 "), Ok(()));
    assert_eq!((acme.copies(ANN), bank.copies(BEN)), (1, 0));
    assert_eq!(host.site().mail("cafe").len(), 1);
    assert_eq!(begins(&deliver(&host, &all), "250 2.0.0 "), Ok(()));
    assert_eq!((acme.copies(ANN), bank.copies(BEN)), (1, 1));
    assert_eq!(host.stop().site.mail("cafe").len(), 1);
}

#[test]
fn connections_are_kept_and_shared() {
    let hop = Hop::lmtp();
    let host = two(&hop.target(""), &hop.target("")).start();
    assert_eq!(begins(&deliver(&host, &[ANN]), "250 "), Ok(()));
    assert_eq!(begins(&deliver(&host, &[BEN]), "250 "), Ok(()));
    let mut client = begin(&host);
    client.expect(&rcpt(ANN), "250 ");
    client.expect("RSET", "250 ");
    client.expect(&format!("MAIL FROM:<{SENDER}>"), "250");
    client.expect(&rcpt(BEN), "250 ");
    assert_eq!(begins(&finish(&mut client), "250 "), Ok(()));
    // After RSET the connection is on its way back, so there may be a second.
    assert!(hop.connections() <= 2, "{}", hop.connections());
    assert!(hop.taken().iter().all(|taken| taken.recipients.len() == 1));
}

/// The ledger's disk fails: the client is told the same, the operator that copies may
/// come twice; and while the host runs they do not.
#[test]
fn a_ledger_that_cannot_be_written() {
    let hop = Hop::lmtp();
    hop.answer(". bob@", &["452 4.2.2 not now", "250 2.0.0 taken"]);
    let site = site("acme", &hop, "");
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970");
    let file = site.path(&format!("data/ledger/{}.ledger", since.as_secs() / 86400));
    let file = file.display().to_string();
    let host = site.start_under(&[
        "strace",
        "-f",
        "-o",
        "/dev/null",
        "-P",
        &file,
        "-e",
        "inject=fdatasync:error=EIO",
    ]);
    assert_eq!(
        begins(&deliver(&host, &[ANN, BOB]), "451 4.3.0 Not delivered"),
        Ok(())
    );
    assert_eq!(begins(&deliver(&host, &[ANN, BOB]), "250 2.0.0 "), Ok(()));
    assert_eq!((hop.copies(ANN), hop.copies(BOB)), (1, 1));
    let log = host.stop().log;
    assert!(
        log.contains("copies that were delivered may come twice"),
        "{log}"
    );
}

/// A disk that hangs: the client hears in time, and what comes late comes once.
#[test]
fn a_disk_that_does_not_answer_in_time() {
    let site = Site::new()
        .settings("[delivery]\ndelivery_timeout_s = 1")
        .tenant("acme", "domains = [\"acme.example\"]");
    let new = site.path("data/mail/acme/new").display().to_string();
    let host = site.start_under(&[
        "strace",
        "-f",
        "-o",
        "/dev/null",
        "-P",
        &new,
        "-e",
        "inject=fsync:delay_enter=3000000",
    ]);
    let begun = Instant::now();
    let later = "451 4.3.0 Message not stored";
    assert_eq!(begins(&deliver(&host, &[ANN]), later), Ok(()));
    assert!(
        begun.elapsed() < Duration::from_millis(2900),
        "{:?}",
        begun.elapsed()
    );
    // It is under way still, and then it is known to have arrived.
    assert_eq!(begins(&deliver(&host, &[ANN]), later), Ok(()));
    let mut reply = String::new();
    while begun.elapsed() < Duration::from_secs(30) && !reply.starts_with("250") {
        reply = deliver(&host, &[ANN]);
    }
    assert_eq!(begins(&reply, "250 2.0.0 "), Ok(()));
    assert_eq!(host.stop().site.mail("acme").len(), 1);
}

fn site(tenant: &str, hop: &Hop, more: &str) -> Site {
    let target = hop.target(more);
    Site::new().tenant(
        tenant,
        &format!("domains = [\"{tenant}.example\"]\n{target}"),
    )
}

fn two(acme: &str, bank: &str) -> Site {
    Site::new()
        .tenant("acme", &format!("domains = [\"acme.example\"]\n{acme}"))
        .tenant("bank", &format!("domains = [\"bank.example\"]\n{bank}"))
}

fn rcpt(recipient: &str) -> String {
    format!("RCPT TO:<{recipient}>")
}

/// A client after MAIL.
fn begin(host: &Host) -> Client {
    let mut client = Client::connect(host.address("smtp"));
    client.ehlo();
    client.expect(&format!("MAIL FROM:<{SENDER}>"), "250");
    client
}

/// DATA and the message; the reply to its end.
fn finish(client: &mut Client) -> String {
    client.expect("DATA", "354");
    client.send(MESSAGE.replace("\r\n.", "\r\n.."));
    client.say(".")
}

/// A client that has sent all of a message to these, and has no reply yet.
fn sent(host: &Host, recipients: &[&str]) -> Client {
    let mut client = begin(host);
    for recipient in recipients {
        client.expect(&rcpt(recipient), "250 2.1.5 ");
    }
    client.expect("DATA", "354");
    client.send(MESSAGE.replace("\r\n.", "\r\n.."));
    client.send(".\r\n");
    client
}

fn deliver(host: &Host, recipients: &[&str]) -> String {
    let mut client = Client::connect(host.address("smtp"));
    client.ehlo();
    let reply = client.deliver(SENDER, recipients, MESSAGE);
    client.quit();
    reply
}

fn begins(reply: &str, expected: &str) -> Result<(), String> {
    match reply.starts_with(expected) {
        true => Ok(()),
        false => Err(format!("expected {expected}, got {reply}")),
    }
}

fn text(value: &serde_json::Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
