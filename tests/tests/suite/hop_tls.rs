//! TLS towards next hops: what counts as verified, and that nothing goes in clear where
//! it must not.

use portcullis_tests::certificate::{Authority, Identity};
use portcullis_tests::client::{Client, Tls};
use portcullis_tests::hop::{CLOSE, Hop};
use portcullis_tests::site::{Host, Site};

const MESSAGE: &str = "Subject: sealed\r\n\r\nfor the next hop alone\r\n";
const SENDER: &str = "amy@sender.example";
const ANN: &str = "ann@acme.example";
const NAME: &str = "mail.internal.example";

/// What may be said before TLS: nothing of it is of any message.
const BEFORE_TLS: [&str; 3] = ["EHLO mx.host.example", "LHLO mx.host.example", "STARTTLS"];

#[test]
fn a_hop_with_the_right_name_gets_all_of_it_in_tls() {
    for hop in [Hop::smtp(), Hop::lmtp()] {
        let authority = Authority::new("Internal CA");
        hop.show(&authority.issue(&["other.internal.example", NAME]));
        let host = verified(&hop, &authority).start();
        assert!(deliver(&host).starts_with("250 2.0.0 "));
        assert!(deliver(&host).starts_with("250 2.0.0 "));
        assert_eq!(hop.copies(ANN), 2);
        assert!(hop.taken()[1].content.ends_with(MESSAGE));
        assert_eq!(hop.connections(), 1, "connections in TLS are kept, too");
        assert_eq!(hop.said_in_clear().len(), 2, "{:?}", hop.said_in_clear());
        assert_only_before_tls(&hop, "the right name");
    }
}

/// Whatever is wrong with the next hop's TLS: the client keeps the message, nothing of
/// it went in clear, the log says what it is, and once it is mended mail flows.
#[test]
fn a_hop_that_is_not_verified_gets_nothing() {
    let authority = Authority::new("Internal CA");
    let unknown = Authority::new("Unknown CA");
    let good = authority.issue(&[NAME]);
    for (case, shown, said) in [
        (
            "wrong name",
            authority.issue(&["mail.other.example"]),
            "its certificate is for mail.other.example, not for mail.internal.example",
        ),
        (
            "unknown authority",
            unknown.issue(&[NAME]),
            "its certificate is not trusted: ",
        ),
        (
            "expired",
            authority.issue_expired(&[NAME]),
            "its certificate is not trusted: ",
        ),
        (
            "self-signed",
            Identity::self_signed(&[NAME]),
            "its certificate is not trusted: ",
        ),
    ] {
        let hop = Hop::smtp();
        hop.show(&shown);
        let host = verified(&hop, &authority).start();
        assert_refused(&host, case);
        assert_only_before_tls(&hop, case);
        hop.show(&good);
        assert!(deliver(&host).starts_with("250 2.0.0 "), "{case}");
        let log = host.stop().log;
        assert!(log.contains(said), "{case}: {log}");
    }
}

#[test]
fn a_hop_that_does_not_come_to_tls_gets_nothing() {
    let injected = "220 go ahead\r\n250 2.0.0 said in clear";
    for (case, rule, answer, said) in [
        (
            "no STARTTLS",
            "EHLO",
            "250-hop.example\r\n250 8BITMIME",
            "it does not offer STARTTLS",
        ),
        (
            "STARTTLS refused",
            "STARTTLS",
            "454 4.7.0 not now",
            "454 4.7.0 not now",
        ),
        (
            "closes at STARTTLS",
            "STARTTLS",
            CLOSE,
            "the connection was closed",
        ),
        (
            "a reply behind that to STARTTLS",
            "STARTTLS",
            injected,
            "it speaks without being asked",
        ),
    ] {
        let authority = Authority::new("Internal CA");
        let hop = Hop::smtp();
        hop.show(&authority.issue(&[NAME]));
        hop.answer(rule, &[answer]);
        let host = verified(&hop, &authority).start();
        assert_refused(&host, case);
        assert_only_before_tls(&hop, case);
        hop.forget(rule);
        assert!(deliver(&host).starts_with("250 2.0.0 "), "{case}");
        let log = host.stop().log;
        assert!(log.contains(said), "{case}: {log}");
    }
}

/// Any certificate will do, and where TLS cannot be had the message goes in clear: that
/// is what opportunistic means, and the log says when it was tried in vain.
#[test]
fn opportunistic_tls_takes_what_it_gets() {
    let stranger = Identity::self_signed(&["somebody.example"]);
    let log_of = |hop: &Hop| {
        let host = site(hop, "").start();
        assert!(deliver(&host).starts_with("250 2.0.0 "));
        assert_eq!(hop.copies(ANN), 1);
        host.stop().log
    };
    let in_vain = "TLS with a next hop failed; going on in clear";

    let hop = Hop::smtp();
    hop.show(&stranger);
    assert!(!log_of(&hop).contains(in_vain));
    assert_only_before_tls(&hop, "TLS with a stranger");

    let hop = Hop::smtp();
    let log = log_of(&hop);
    assert!(log.contains("a next hop offers no TLS: mail goes to it in clear"));
    assert!(!log.contains(in_vain), "none was offered");

    let hop = Hop::smtp();
    hop.answer("EHLO", &["250-hop.example\r\n250 STARTTLS"]);
    hop.answer("STARTTLS", &["454 4.7.0 not now"]);
    let log = log_of(&hop);
    assert!(log.contains(in_vain), "{log}");
    assert!(log.contains("454 4.7.0 not now"), "{log}");
    assert_eq!(hop.connections(), 1, "the same goes on");

    // It says that it could, and hangs up on the first octet of TLS.
    let hop = Hop::smtp();
    hop.answer("EHLO", &["250-hop.example\r\n250 STARTTLS"]);
    hop.answer("STARTTLS", &["220 go ahead"]);
    assert!(log_of(&hop).contains(in_vain));
    assert_eq!(hop.connections(), 2);
}

/// RFC 8689: inside TLS, to a hop that is verified and says the keyword.
#[test]
fn a_message_that_requires_tls_all_the_way() {
    let authority = Authority::new("Internal CA");
    let offers = "250-hop.example\r\n250-STARTTLS\r\n250 REQUIRETLS";
    let lacks = "250-hop.example\r\n250 STARTTLS";
    let refusal = "550 5.7.30 The next hop does not offer REQUIRETLS, which this message needs [";
    for (case, tls, extensions, reply) in [
        ("verified and offered", "verified", offers, "250 2.1.5 "),
        ("not offered", "verified", lacks, refusal),
        ("not verified", "opportunistic", offers, refusal),
    ] {
        let hop = Hop::smtp();
        hop.show(&authority.issue(&[NAME]));
        hop.answer("EHLO", &[extensions]);
        let host = match tls {
            "verified" => verified(&hop, &authority),
            _ => site(&hop, ""),
        }
        .start();
        let mut client = Client::starttls(host.address("smtp"), &Tls::tls13());
        client.expect(&format!("MAIL FROM:<{SENDER}> REQUIRETLS"), "250");
        let found = client.say(&format!("RCPT TO:<{ANN}>"));
        assert!(found.starts_with(reply), "{case}: {found}");
        client.expect("RSET", "250");
        // Mail that does not need it goes there all the same.
        assert!(client.deliver(SENDER, &[ANN], MESSAGE).starts_with("250 "));
        let keyword = hop.said().iter().any(|said| said.ends_with(" REQUIRETLS"));
        assert_eq!(keyword, reply.starts_with("250"), "{case}");
    }
}

fn site(hop: &Hop, more: &str) -> Site {
    let timeouts = "connect_timeout_s = 5\nreply_timeout_s = 5\ndelivery_timeout_s = 5";
    let target = hop.target(&format!("{timeouts}\n{more}"));
    Site::new().tenant("acme", &format!("domains = [\"acme.example\"]\n{target}"))
}

fn verified(hop: &Hop, authority: &Authority) -> Site {
    let tls = format!("tls = \"verified\"\nname = \"{NAME}\"\nanchors = [\"../ca.pem\"]");
    site(hop, &tls).file("ca.pem", authority.pem())
}

/// The reply to RCPT if that is a refusal, else to the end of data.
fn deliver(host: &Host) -> String {
    let mut client = Client::connect(host.address("smtp"));
    client.ehlo();
    client.expect(&format!("MAIL FROM:<{SENDER}>"), "250");
    let reply = client.say(&format!("RCPT TO:<{ANN}>"));
    if !reply.starts_with("250") {
        return reply;
    }
    client.expect("DATA", "354");
    client.send(MESSAGE);
    client.say(".")
}

fn assert_refused(host: &Host, case: &str) {
    let reply = deliver(host);
    let later = "451 4.4.1 Next hop not available, please try again later [";
    assert!(reply.starts_with(later), "{case}: {reply}");
}

fn assert_only_before_tls(hop: &Hop, case: &str) {
    let said = hop.said_in_clear();
    assert!(!said.is_empty(), "{case}");
    let other = said
        .iter()
        .find(|said| !BEFORE_TLS.contains(&said.as_str()));
    assert_eq!(other, None, "{case}: in clear");
}
