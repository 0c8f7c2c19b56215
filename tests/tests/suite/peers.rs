//! Real mail systems on both sides: a Postfix that relays its queue through the host, a
//! Postfix and a Dovecot as next hops.
//!
//! Their configurations are those of `docs/next-hops.md`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use portcullis_tests::certificate::Authority;
use portcullis_tests::client::{Client, Tls};
use portcullis_tests::dovecot::Mailboxes;
use portcullis_tests::hop::{Hop, Taken};
use portcullis_tests::postfix::{Postfix, free_address};
use portcullis_tests::program::stock_policy;
use portcullis_tests::site::Site;

const SENDER: &str = "amy@sender.example";
const ANN: &str = "ann@acme.example";
const BOB: &str = "bob@acme.example";
const BEN: &str = "ben@bank.example";
const CAT: &str = "cat@cafe.example";
/// Whom the tenant's policy protects with something that this Postfix does not have.
const BOARD: &str = "board@bank.example";

const MESSAGES: usize = 100;

/// A hundred messages to recipients of three tenants, one of whom cannot be delivered to
/// at first, while another's policy fails, and the host is restarted in between: the
/// queue is empty in the end, and everybody has each message once.
#[test]
fn the_queue_of_a_postfix_goes_through_the_host() {
    let authority = Authority::new("Test CA");
    let home = Hop::lmtp();
    let directory = tempfile::tempdir().expect("there is room for a directory");
    let socket = directory.path().join("lmtp");
    let address = free_address().to_string();
    let site = Site::default().listener_at(&address, "smtp", "starttls", "");
    let host = three_tenants(site, &authority, &socket).start();
    let postfix = Postfix::start(|directory| relaying(directory, &authority, &address, &home));

    submit(&postfix, 0..MESSAGES / 2);
    postfix.wait_for("our 451 4.4.1", |line| {
        line.contains("to=<ann@acme.example>") && line.contains(" 451 4.4.1 Next hop not available")
    });
    postfix.wait_for("our 451 4.3.0", |line| {
        line.contains("to=<cat@cafe.example>") && line.contains(" 451 4.3.0 Policy temporarily")
    });
    let acme = Hop::unix(&socket);
    acme.answer(". bob@", &["452 4.2.2 not now", "250 2.0.0 taken"]);
    submit(&postfix, MESSAGES / 2..MESSAGES);
    postfix.wait_for("a delivery to acme", |line| {
        line.contains("to=<ann@acme.example>") && line.contains("status=sent")
    });
    let site = host.stop().site;
    let host = site.tenant("cafe", &cafe("tls")).start();
    postfix.flush();
    // The last message has a recipient who is refused, and that bounces.
    postfix.wait_until_removed(MESSAGES + 1);

    assert!(
        !postfix
            .logged("Verified TLS connection established to")
            .is_empty()
    );
    let ended = host.stop();
    let site = &ended.site;
    let of = |recipient: &str| {
        acme.taken()
            .iter()
            .filter(|t| t.recipients == [recipient])
            .map(subject)
            .collect()
    };
    assert_each_once(ANN, of(ANN));
    assert_each_once(BOB, of(BOB));
    for (recipient, tenant) in [(BEN, "bank"), (CAT, "cafe")] {
        let mail = site.mail(tenant);
        assert_each_once(recipient, mail.iter().map(|mail| number(mail)).collect());
    }
    let bounces = home.taken();
    assert_eq!(bounces.len(), 1, "{bounces:?}");
    assert_eq!(bounces[0].recipients, [SENDER]);
    let refused = site.receipt(BOARD);
    let id = refused["verdict"]["id"].as_str().expect("a text");
    let bounce = &bounces[0].content;
    assert!(bounce.contains("550 5.7.1 This route"), "{bounce}");
    assert!(bounce.contains(&format!("[{id}]")), "{id}: {bounce}");
}

/// What the real thing offers, refuses and says, over TLS that is verified.
#[test]
fn a_postfix_as_the_next_hop() {
    let authority = Authority::new("Internal CA");
    let store = Hop::lmtp();
    let international = "250-store.example\r\n250-8BITMIME\r\n250 SMTPUTF8";
    store.answer("LHLO", &[international]);
    let postfix = Postfix::start(|directory| receiving(directory, &authority, &store));
    let target = format!(
        "[targets.inbound]\nkind = \"smtp\"\naddress = \"{}\"\ntls = \"verified\"\n\
         name = \"mail.internal.example\"\nanchors = [\"../ca.pem\"]",
        postfix.address()
    );
    let host = Site::new()
        .file("ca.pem", authority.pem())
        .tenant("acme", &format!("domains = [\"acme.example\"]\n{target}"))
        .start();
    let mut client = Client::starttls(host.address("smtp"), &Tls::tls13());

    let eight_bits = "Subject: grüße\r\n\r\n.ein Punkt und ein ü\r\n";
    client.expect(&format!("MAIL FROM:<{SENDER}> BODY=8BITMIME"), "250");
    client.expect(&rcpt(ANN), "250 2.1.5 ");
    let refusal = client.expect(&rcpt("nobody@acme.example"), "550 5.1.1 ");
    assert!(
        refusal.contains("User unknown in relay recipient table ["),
        "{refusal}"
    );
    client.expect("DATA", "354");
    client.send(eight_bits.replace("\r\n.", "\r\n.."));
    client.expect(".", "250 2.0.0 Ok: delivered");

    client.expect(
        &format!("MAIL FROM:<{SENDER}> SMTPUTF8 BODY=8BITMIME"),
        "250",
    );
    client.expect(&rcpt("jürgen@acme.example"), "250 2.1.5 ");
    client.expect("DATA", "354");
    client.send(eight_bits.replace("\r\n.", "\r\n.."));
    client.expect(".", "250 2.0.0 Ok: delivered");

    client.expect(&format!("MAIL FROM:<{SENDER}> REQUIRETLS"), "250");
    client.expect(
        &rcpt(ANN),
        "550 5.7.30 The next hop does not offer REQUIRETLS",
    );
    client.expect("RSET", "250");
    client.expect(&format!("MAIL FROM:<{SENDER}> SIZE=200000"), "250");
    client.expect(&rcpt(ANN), "552 5.3.4 Message size exceeds fixed limit [");
    client.expect("RSET", "250");

    postfix.wait_until_removed(2);
    let taken = store.taken();
    assert_eq!(taken[0].recipients, [ANN]);
    assert_eq!(taken[1].recipients, ["jürgen@acme.example"]);
    for taken in &taken {
        assert!(taken.content.ends_with(eight_bits), "{}", taken.content);
    }
    let in_tls = postfix.logged("TLS connection established from");
    assert!(
        in_tls.iter().all(|line| line.contains("TLSv1.3")),
        "{in_tls:?}"
    );
    assert_eq!(in_tls.len(), 1, "a connection is used again: {in_tls:?}");

    drop(postfix);
    client.expect(&format!("MAIL FROM:<{SENDER}>"), "250");
    client.expect(&rcpt(ANN), "451 4.4.1 Next hop not available");
}

/// A store that answers for each recipient, and knows who has a mailbox.
#[test]
fn a_dovecot_as_the_next_hop() {
    let mailboxes = Mailboxes::of(&[ANN, BOB]);
    let dovecot = mailboxes.start();
    let socket = mailboxes.socket();
    let target = format!(
        "[targets.inbound]\nkind = \"lmtp\"\naddress = \"unix:{}\"",
        socket.display()
    );
    let host = Site::new()
        .tenant("acme", &format!("domains = [\"acme.example\"]\n{target}"))
        .start();
    let mut client = Client::starttls(host.address("smtp"), &Tls::tls13());
    client.expect(
        &format!("MAIL FROM:<{SENDER}> BODY=8BITMIME REQUIRETLS"),
        "250",
    );
    client.expect(&rcpt(ANN), "250 2.1.5 ");
    let unknown = client.expect(&rcpt("nobody@acme.example"), "550 5.1.1 ");
    assert!(
        unknown.contains("User doesn't exist: nobody@acme.example ["),
        "{unknown}"
    );
    client.expect(&rcpt(BOB), "250 2.1.5 ");
    let message = "Subject: grüße\r\n\r\n.ein Punkt und ein ü\r\n";
    client.expect("DATA", "354");
    client.send(message.replace("\r\n.", "\r\n.."));
    client.expect(".", "250 2.0.0 Ok: delivered");
    for user in [ANN, BOB] {
        let mail = mailboxes.mail(user);
        assert_eq!(mail.len(), 1, "{user}");
        // Dovecot keeps lines as Unix does.
        assert!(
            mail[0].ends_with(&message.replace("\r\n", "\n")),
            "{}",
            mail[0]
        );
    }
    client.expect(&format!("MAIL FROM:<{SENDER}> SMTPUTF8"), "250");
    client.expect(&rcpt(ANN), "550 5.6.7 The next hop does not offer SMTPUTF8");
    client.expect("RSET", "250");

    drop(dovecot);
    client.expect(&format!("MAIL FROM:<{SENDER}>"), "250");
    client.expect(&rcpt(ANN), "451 4.4.1 Next hop not available");
    client.expect("RSET", "250");
    let _dovecot = mailboxes.start();
    let reply = client.deliver(SENDER, &[ANN], message);
    assert!(reply.starts_with("250 2.0.0 "), "{reply}");
    assert_eq!(mailboxes.mail(ANN).len(), 2);
}

/// `acme` has a next hop at this socket, `bank` and `cafe` have maildirs.
fn three_tenants(site: Site, authority: &Authority, socket: &Path) -> Site {
    authority
        .issue(&["mx.host.example"])
        .write(site.directory(), "mx");
    let acme = format!(
        "domains = [\"acme.example\"]\n[targets.inbound]\nkind = \"lmtp\"\naddress = \"unix:{}\"",
        socket.display()
    );
    let bank = "domains = [\"bank.example\"]\n[[policy]]\nname = \"board\"\n\
                to = \"board@bank.example\"\noption = \"enforced\"\n\
                require = { certificate = \"trusted\" }";
    site.settings("[[tls.certificate]]\nchain = \"mx.pem\"\nkey = \"mx.key\"")
        .tenant("acme", &acme)
        .tenant("bank", bank)
        .tenant("cafe", &cafe("no requirement"))
}

/// Its policy fails unless the list says something that the module knows.
fn cafe(agreed: &str) -> String {
    format!(
        "domains = [\"cafe.example\"]\n\
         [lists.partners]\nentries = {{ \"sender.example\" = \"{agreed}\" }}\n\
         [[module]]\nname = \"partner-list\"\npath = {:?}\n\
         [[policy]]\nname = \"partners\"\noption = \"module\"\nmodule = \"partner-list\"\n\
         settings = {{ list = \"partners\" }}",
        stock_policy("partner-list")
    )
}

/// A Postfix that sends everything to the host and believes nobody else; its own mail,
/// which bounces are, goes home.
fn relaying(directory: &Path, authority: &Authority, host: &str, home: &Hop) -> String {
    let anchors = directory.join("ca.pem");
    fs::write(&anchors, authority.pem()).expect("the test's directory can be written");
    let (address, port) = host.rsplit_once(':').expect("an address and a port");
    format!(
        "myhostname = mail.sender.example
relayhost = [{address}]:{port}
smtp_tls_security_level = secure
smtp_tls_secure_cert_match = mx.host.example
smtp_tls_CAfile = {}
smtp_tls_loglevel = 1
transport_maps = inline:{{ sender.example=lmtp:inet:{} }}
",
        anchors.display(),
        home.address()
    )
}

/// A Postfix that takes mail for a domain in TLS, and hands it to a store.
fn receiving(directory: &Path, authority: &Authority, store: &Hop) -> String {
    let files = authority
        .issue(&["mail.internal.example"])
        .write(directory, "mail");
    format!(
        "myhostname = mail.internal.example
smtpd_peername_lookup = no
local_header_rewrite_clients =
smtpd_tls_security_level = encrypt
smtpd_tls_chain_files = {}, {}
smtpd_tls_loglevel = 1
smtpd_relay_restrictions = reject_unauth_destination
message_size_limit = 100000
relay_domains = acme.example
relay_recipient_maps = inline:{{ {{ann@acme.example=ok}} {{jürgen@acme.example=ok}} }}
transport_maps = inline:{{ acme.example=lmtp:inet:{} }}
",
        files.key.display(),
        files.certificate.display(),
        store.address()
    )
}

fn submit(postfix: &Postfix, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let recipients = recipients(number);
        let message = format!("Subject: number {number}\n\nthis is {number}\n");
        postfix.submit(SENDER, &recipients, &message);
    }
}

fn recipients(number: usize) -> Vec<&'static str> {
    let mut recipients = match number % 4 {
        0 => vec![ANN, BOB],
        1 => vec![ANN, BEN],
        2 => vec![BEN, CAT],
        _ => vec![ANN, BOB, BEN, CAT],
    };
    if number == MESSAGES - 1 {
        recipients.push(BOARD);
    }
    recipients
}

fn assert_each_once(recipient: &str, found: Vec<usize>) {
    let mut times = BTreeMap::new();
    for number in found {
        *times.entry(number).or_insert(0) += 1;
    }
    let sent = (0..MESSAGES).filter(|number| recipients(*number).contains(&recipient));
    let expected: BTreeMap<usize, i32> = sent.map(|number| (number, 1)).collect();
    assert_eq!(
        times, expected,
        "{recipient}: message and how often it is there"
    );
}

fn subject(taken: &Taken) -> usize {
    number(taken.content.as_bytes())
}

fn number(mail: &[u8]) -> usize {
    let text = String::from_utf8_lossy(mail);
    let (_, rest) = text.split_once("\r\nSubject: number ").expect("a subject");
    let (number, _) = rest.split_once("\r\n").expect("a line");
    number.parse().expect("a number")
}

fn rcpt(recipient: &str) -> String {
    format!("RCPT TO:<{recipient}>")
}
