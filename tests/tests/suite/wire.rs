//! Bad input on the wire. Each test shows the reply, that nothing of it was delivered,
//! and that the host serves the next client as if nothing had been.

use std::net::SocketAddr;
use std::time::Duration;

use portcullis_tests::client::{Client, Tls};
use portcullis_tests::site::{Ended, Host, Site};

const MESSAGE: &str = "Subject: sound\r\n\r\nas it should be\r\n";
const SENDER: &str = "amy@sender.example";
const RECIPIENT: &str = "bob@acme.example";

#[test]
fn a_client_that_talks_before_the_greeting() {
    let host = site()
        .listener("patient", "none", "greeting_delay_ms = 10000")
        .start();
    let mut client = Client::connect_silently(host.address("patient"));
    client.send("EHLO early.example\r\n");
    assert_eq!(
        client.reply(),
        "554 5.5.1 You must wait for the greeting; closing connection"
    );
    assert!(client.is_closed());
    still_sound(host, 0);
}

#[test]
fn lines_that_are_none() {
    for (octets, reply) in [
        (
            vec![b'x'; 4096],
            "500 5.5.2 Line over 2048 octets; closing connection",
        ),
        (b"NOOP\nQUIT\r\n".to_vec(), "500 5.5.2 Bare CR or LF"),
        (b"NOOP\rQUIT\r\n".to_vec(), "500 5.5.2 Bare CR or LF"),
        (
            b"MAIL FROM:<a@b.example>\nRCPT TO:<bob@acme.example>\r\n".to_vec(),
            "500 5.5.2 Bare",
        ),
    ] {
        let host = site().start();
        let mut client = Client::connect(host.address("smtp"));
        client.ehlo();
        // The host may close before it has read everything.
        let _ = client.try_send(&octets);
        let found = client.reply();
        assert!(found.starts_with(reply), "{found}");
        assert!(client.is_closed());
        still_sound(host, 0);
    }
}

#[test]
fn nul_in_a_command() {
    let host = site().start();
    let mut client = Client::connect(host.address("smtp"));
    client.ehlo();
    client.send(b"MAIL FROM:<a\0b@sender.example>\r\n");
    let reply = client.reply();
    assert!(reply.starts_with("50"), "{reply}");
    client.quit();
    still_sound(host, 0);
}

#[test]
fn unknown_commands_until_it_is_enough() {
    let host = site().settings("[limits]\nerrors = 2").start();
    let mut client = Client::connect(host.address("smtp"));
    let replies = ["HELP", "Y", "X", "X"].map(|command| client.say(command));
    assert!(client.is_closed());
    let codes: Vec<&str> = replies.iter().map(|reply| &reply[..3]).collect();
    assert_eq!(codes, ["214", "500", "500", "421"], "{replies:?}");
    still_sound(host, 0);
}

#[test]
fn a_first_line_that_continues_the_hosts_own_fields() {
    let host = site().start();
    let mut client = Client::connect(host.address("smtp"));
    client.ehlo();
    let forged = "\t dkim=pass header.d=bank.example\r\nSubject: x\r\n\r\n";
    let reply = client.deliver("a@sender.example", &["ann@acme.example"], forged);
    assert!(reply.starts_with("250"), "{reply}");
    client.quit();
    let mail = host.stop().site.mail("acme");
    let text = String::from_utf8_lossy(&mail[0]).into_owned();
    let (header, body) = text.split_once("\r\n\r\n").expect("a header and a body");
    assert!(
        header.ends_with("x-tls=none (received in clear)"),
        "{header}"
    );
    assert!(body.starts_with(forged), "{body}");
}

#[test]
fn the_postmaster_without_a_domain() {
    let host = site().key("postmaster = \"ann@acme.example\"").start();
    let mut client = Client::connect(host.address("smtp"));
    client.ehlo();
    let reply = client.deliver("a@sender.example", &["PostMaster"], "Help.\r\n");
    assert!(reply.starts_with("250"), "{reply}");
    client.quit();
    let ended = host.stop();
    assert_eq!(ended.site.mail("acme").len(), 1);
    ended.site.receipt("ann@acme.example");
}

/// Whoever cannot send over TLS must be able to say so (RFC 5321, section 4.5.1).
#[test]
fn the_postmaster_of_a_tenant_who_enforces_tls() {
    let all = "domains = [\"bank.example\"]\n[[policy]]\nname = \"all\"\noption = \"enforced\"";
    let host = site().tenant("bank", all).start();
    let mut client = Client::connect(host.address("smtp"));
    client.ehlo();
    client.expect(&format!("MAIL FROM:<{SENDER}>"), "250");
    client.expect("RCPT TO:<ann@bank.example>", "530");
    client.expect("RCPT TO:<Postmaster@bank.example>", "250");
    client.quit();
}

#[test]
fn content_that_does_not_wait_for_the_answer() {
    let host = site().start();
    let mut client = Client::connect(host.address("smtp"));
    client.ehlo();
    client.send("MAIL FROM:<a@sender.example>\r\nRCPT TO:<x@foreign.example>\r\nDATA\r\nMAIL FROM:<evil@sender.example>\r\n");
    let replies: Vec<String> = (0..3).map(|_| client.reply()[..3].to_owned()).collect();
    assert_eq!(replies, ["250", "550", "554"]);
    assert!(client.is_closed());
    still_sound(host, 0);
}

#[test]
fn a_line_that_trickles_in() {
    let host = site().settings("[limits]\ncommand_timeout_s = 1").start();
    let mut client = Client::connect(host.address("smtp"));
    // An octet well within the time for a command, and again, and again: ten times as
    // long as a whole command may take.
    let told = (0..33).find_map(|_| {
        client.try_send(b"N").ok()?;
        client.reply_within(Duration::from_millis(300))
    });
    let told = told.expect("the host says goodbye before it hangs up");
    assert!(told.starts_with("421 4.4.2 "), "{told}");
    still_sound(host, 0);
}

#[test]
fn commands_behind_starttls() {
    let host = site().start();
    let mut client = Client::connect(host.address("smtp"));
    client.ehlo();
    client.send("STARTTLS\r\nMAIL FROM:<evil@sender.example>\r\n");
    assert_eq!(
        client.reply(),
        "554 5.5.1 Wait for the reply before you send more; closing connection"
    );
    assert!(client.is_closed());
    still_sound(host, 0);
}

/// What was said in clear does not count behind STARTTLS.
#[test]
fn what_was_said_in_clear_is_forgotten() {
    let host = site().start();
    let mut client = Client::connect(host.address("smtp"));
    client.ehlo();
    client.expect("MAIL FROM:<amy@sender.example>", "250");
    client.expect("RCPT TO:<bob@acme.example>", "250");
    client.expect("STARTTLS", "220");
    let mut client = client.shake_hands(&Tls::tls13());
    client.expect("MAIL FROM:<amy@sender.example>", "503");
    client.ehlo();
    client.expect("DATA", "503");
    client.quit();
    let ended = still_sound(host, 0);
    let abandoned = outcomes(&ended)
        .iter()
        .filter(|outcome| *outcome == "abandoned")
        .count();
    assert_eq!(abandoned, 1);
}

#[test]
fn a_client_that_vanishes_in_the_middle_of_data() {
    let host = site().start();
    let mut client = in_data(host.address("smtp"));
    client.send("Subject: half\r\n\r\nhalf a mess");
    client.vanish();
    let ended = still_sound(host, 0);
    assert_eq!(outcomes(&ended), ["abandoned", "delivered"]);
    assert_eq!(
        ended.site.maildir("acme", "tmp").len(),
        0,
        "nothing is left in tmp"
    );
}

#[test]
fn garbage_for_a_handshake() {
    let host = site().listener("smtps", "implicit", "").start();
    let mut client = Client::connect(host.address("smtp"));
    client.ehlo();
    client.expect("STARTTLS", "220");
    client.send(b"\x16\x03\x01\xff\xff not a handshake");
    client.vanish();
    let mut client = Client::connect(host.address("smtp"));
    client.ehlo();
    client.expect("STARTTLS", "220");
    client.send("MAIL FROM:<evil@sender.example>\r\n");
    client.drain();
    let mut client = Client::connect_silently(host.address("smtps"));
    client.send("EHLO plain.example\r\n");
    client.drain();
    still_sound(host, 0);
}

#[test]
fn messages_that_are_too_large() {
    let host = site().settings("[limits]\nmessage_size = 65536").start();
    let mut client = Client::connect(host.address("smtp"));
    let extensions = client.ehlo();
    assert!(extensions.contains("SIZE 65536"), "{extensions}");
    client.expect("MAIL FROM:<amy@sender.example> SIZE=65537", "552 5.3.4");
    let large = "0123456789abcdef".repeat(4) + "\r\n";
    let reply = client.deliver(SENDER, &[RECIPIENT], &large.repeat(1000));
    assert!(
        reply.starts_with("552 5.3.4 Message over the limit of 65536 octets"),
        "{reply}"
    );
    // The session goes on: the end of the message was found.
    let reply = client.deliver(SENDER, &[RECIPIENT], MESSAGE);
    assert!(reply.starts_with("250"), "{reply}");
    client.quit();
    let ended = still_sound(host, 1);
    assert_eq!(outcomes(&ended), ["refused", "delivered", "delivered"]);
}

/// Every way to end data that some host somewhere has taken for an end, followed by
/// what would then be a second message. Here it is one message, and refused.
#[test]
fn smuggled_messages() {
    for end in [
        "\n.\n",
        "\n.\r\n",
        "\r\n.\n",
        "\r.\r",
        "\r.\r\n",
        "\r\n.\r",
        "\n.\r",
        "\r.\n",
        "\r\r\n.\r\r\n",
        "\r\n\0.\r\n",
    ] {
        let host = site().start();
        let mut client = in_data(host.address("smtp"));
        client.send("Subject: outer\r\n\r\nouter");
        client.send(end);
        client.send("MAIL FROM:<evil@sender.example>\r\nRCPT TO:<bob@acme.example>\r\n");
        client.send("DATA\r\nSubject: smuggled\r\n\r\nsmuggled\r\n.\r\n");
        let reply = client.reply();
        let expected = if end.contains('\0') {
            "550 5.6.0"
        } else {
            "550 5.5.2"
        };
        assert!(reply.starts_with(expected), "{end:?}: {reply}");
        // One reply to it all: the next is that to the next command.
        client.quit();
        let ended = still_sound(host, 0);
        assert_eq!(outcomes(&ended), ["refused", "delivered"], "{end:?}");
    }
}

#[test]
fn a_client_that_falls_silent() {
    let host = site()
        .settings("[limits]\ncommand_timeout_s = 1\ndata_timeout_s = 1")
        .start();
    let mut client = Client::connect(host.address("smtp"));
    client.send("NO");
    assert_eq!(client.reply(), "421 4.4.2 Timeout, closing connection");
    assert!(client.is_closed());
    let mut client = in_data(host.address("smtp"));
    client.send("Subject: slow\r\n");
    assert_eq!(client.reply(), "421 4.4.2 Timeout, closing connection");
    assert!(client.is_closed());
    let ended = still_sound(host, 0);
    assert_eq!(outcomes(&ended), ["abandoned", "delivered"]);
}

#[test]
fn a_handshake_that_never_comes() {
    let host = site().settings("[limits]\nhandshake_timeout_s = 1").start();
    let mut client = Client::connect(host.address("smtp"));
    client.ehlo();
    client.expect("STARTTLS", "220");
    assert!(client.is_closed());
    still_sound(host, 0);
}

#[test]
fn too_many_sessions_and_recipients() {
    let host = site()
        .settings("[limits]\nsessions = 1\nrecipients = 100")
        .start();
    let mut first = Client::connect(host.address("smtp"));
    let mut second = Client::connect_silently(host.address("smtp"));
    let reply = second.reply();
    assert_eq!(reply, "421 4.3.2 Too many sessions, please try again later");
    assert!(second.is_closed());
    first.ehlo();
    first.expect("MAIL FROM:<amy@sender.example>", "250");
    for number in 0..100 {
        first.expect(&format!("RCPT TO:<r{number}@acme.example>"), "250");
    }
    first.expect(
        "RCPT TO:<r100@acme.example>",
        "452 4.5.3 Too many recipients",
    );
    first.expect("RSET", "250");
    let reply = first.deliver(SENDER, &[RECIPIENT], MESSAGE);
    assert!(reply.starts_with("250"), "{reply}");
    drop(first);
    host.stop();
}

#[test]
fn a_mail_loop() {
    let host = site().start();
    let mut client = Client::connect(host.address("smtp"));
    client.ehlo();
    let looping = "Received: from a by b\r\n".repeat(51) + MESSAGE;
    let reply = client.deliver(SENDER, &[RECIPIENT], &looping);
    assert!(reply.starts_with("554 5.4.6 Mail loop"), "{reply}");
    client.quit();
    let ended = still_sound(host, 0);
    assert_eq!(outcomes(&ended), ["refused", "delivered"]);
}

fn site() -> Site {
    Site::new().tenant("acme", "domains = [\"acme.example\"]")
}

/// A client that is to send content.
fn in_data(address: SocketAddr) -> Client {
    let mut client = Client::connect(address);
    client.ehlo();
    client.expect("MAIL FROM:<amy@sender.example>", "250");
    client.expect("RCPT TO:<bob@acme.example>", "250");
    client.expect("DATA", "354");
    client
}

/// Delivers one message more, stops the host, and shows that it has `before` messages
/// and that one.
fn still_sound(host: Host, before: usize) -> Ended {
    let mut client = Client::connect(host.address("smtp"));
    client.ehlo();
    let reply = client.deliver(SENDER, &[RECIPIENT], MESSAGE);
    assert!(reply.starts_with("250"), "{reply}");
    client.quit();
    let ended = host.stop();
    let mail = ended.site.mail("acme");
    assert_eq!(mail.len(), before + 1);
    for message in mail {
        assert!(message.ends_with(MESSAGE.as_bytes()));
    }
    ended
}

/// The outcomes of all receipts, oldest first.
fn outcomes(ended: &Ended) -> Vec<String> {
    let receipts = ended.site.receipts();
    let outcomes = receipts
        .iter()
        .map(|receipt| receipt["outcome"]["outcome"].as_str());
    outcomes
        .map(|outcome| outcome.unwrap_or("none").to_owned())
        .collect()
}
