//! Behind proxies: whose connection it is, what a proxy says of TLS, and headers that
//! are none.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_tests::certificate::{Authority, Identity};
use portcullis_tests::client::{Client, Tls};
use portcullis_tests::haproxy::Haproxy;
use portcullis_tests::program::stock_policy;
use portcullis_tests::site::{Ended, Host, Site};
use serde_json::Value;

use super::metrics::scrape;

const SENDER: &str = "amy@partner.example";
const RECIPIENT: &str = "bob@acme.example";
const MESSAGE: &str = "Subject: through a proxy\r\n\r\nit arrives\r\n";

const PROXIED: &str = "proxy_from = [\"127.0.0.1\"]";
const TRUSTED: &str = "proxy_from = [\"127.0.0.0/8\"]\ntrust_proxy_tls = true";

const LINE: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.25 50000 25\r\n";
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The same addresses.
const ADDRESSES: [u8; 12] = [192, 0, 2, 7, 198, 51, 100, 25, 0xc3, 0x50, 0, 25];

/// Longest wait for what is counted behind a client's back.
const PATIENCE: Duration = Duration::from_secs(30);

/// One listener behind a proxy, and a tenant whose board wants TLS and whose partners
/// in one network have to use it.
fn site(tls: &str, more: &str) -> Site {
    Site::default().listener("smtp", tls, more).tenant(
        "acme",
        "domains = [\"acme.example\"]\n\
         [[policy]]\nname = \"board\"\nto = \"board@acme.example\"\noption = \"enforced\"\n\
         [[policy]]\nname = \"new\"\nto = \"new@acme.example\"\noption = \"enforced\"\n\
         require = { tls = \"1.3\" }\n\
         [[policy]]\nname = \"known\"\nto = \"known@acme.example\"\noption = \"enforced\"\n\
         require = { certificate = \"presented\" }\n\
         [[policy]]\nname = \"network\"\nto = \"ann@acme.example\"\n\
         sources = [\"192.0.2.0/24\"]\noption = \"enforced\"\n",
    )
}

/// A header of version 2.
fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).expect("a length");
    [SIGNATURE, &[command, family], &length.to_be_bytes(), block].concat()
}

fn element(kind: u8, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).expect("a length");
    [&[kind], &length.to_be_bytes()[..], value].concat()
}

/// A header that says that the client used this version of TLS and showed a certificate.
fn claim(version: &[u8]) -> Vec<u8> {
    let details = [
        element(0x21, version),
        element(0x22, b"mx.partner.example"),
        element(0x23, b"ECDHE-RSA-AES256-GCM-SHA384"),
    ];
    let ssl = [&[0x03, 0, 0, 0, 0], details.concat().as_slice()].concat();
    v2(0x21, 0x11, &[&ADDRESSES, &element(0x20, &ssl)[..]].concat())
}

/// A client behind a proxy that says this, past its greeting.
fn behind(host: &Host, header: &[u8]) -> Client {
    let mut client = Client::connect_silently(host.address("smtp"));
    client.send(header);
    let greeting = client.reply();
    assert!(greeting.starts_with("220 "), "{greeting}");
    client
}

fn send(mut client: Client) {
    client.ehlo();
    let reply = client.deliver(SENDER, &[RECIPIENT], MESSAGE);
    assert!(reply.starts_with("250"), "{reply}");
    client.quit();
}

/// What the receipt has of the connection, and the fields above the message.
fn arrived(host: Host) -> (Value, String) {
    let ended = host.stop();
    let mail = ended.site.mail("acme");
    assert_eq!(mail.len(), 1);
    let text = String::from_utf8_lossy(&mail[0]).into_owned();
    let (trace, _) = text.split_once("Subject:").expect("the message is there");
    let receipt = ended.site.receipt(RECIPIENT);
    let seen = receipt["verdict"]["facts"]["connection"].clone();
    (seen, trace.to_owned())
}

/// What the host says to a recipient of this name.
fn told(client: &mut Client, name: &str) -> String {
    client.expect(&format!("MAIL FROM:<{SENDER}>"), "250");
    let reply = client.say(&format!("RCPT TO:<{name}@acme.example>"));
    client.expect("RSET", "250");
    reply
}

fn through_the_proxy(seen: &Value, trace: &str) {
    assert_eq!(seen["client"], "192.0.2.7:50000");
    assert_eq!(seen["server"], "198.51.100.25:25");
    let proxy: SocketAddr = seen["proxied_by"]
        .as_str()
        .and_then(|address| address.parse().ok())
        .expect("a proxy");
    assert!(proxy.ip().is_loopback(), "{proxy}");
    assert!(
        trace.contains("from client.example ([192.0.2.7])\r\n\t(through the proxy [127.0.0.1])"),
        "{trace}"
    );
}

#[test]
fn a_header_says_whose_connection_it_is() {
    for header in [LINE, &v2(0x21, 0x11, &ADDRESSES)] {
        let host = site("starttls", PROXIED).start();
        let mut client = behind(&host, header);
        client.ehlo();
        let reply = told(&mut client, "ann");
        assert!(reply.starts_with("530"), "by its network: {reply}");
        send(client);
        let (seen, trace) = arrived(host);
        through_the_proxy(&seen, &trace);
        assert_eq!(seen["tls"], Value::Null);
    }
}

#[test]
fn a_header_comes_before_tls_of_either_kind() {
    let host = site("implicit", PROXIED).start();
    let mut client = Client::connect_silently(host.address("smtp"));
    // In two pieces, and TLS right behind.
    client.send(&LINE[..20]);
    client.send(&LINE[20..]);
    let mut client = client.shake_hands(&Tls::tls13());
    let greeting = client.reply();
    assert!(greeting.starts_with("220 "), "{greeting}");
    send(client);
    let (seen, trace) = arrived(host);
    through_the_proxy(&seen, &trace);
    assert_eq!(seen["tls"]["origin"], "socket");

    let host = site("starttls", PROXIED).start();
    let mut client = behind(&host, &claim(b"TLSv1.2"));
    client.ehlo();
    client.expect("STARTTLS", "220");
    send(client.shake_hands(&Tls::tls13()));
    let (seen, trace) = arrived(host);
    through_the_proxy(&seen, &trace);
    assert_eq!(seen["tls"]["origin"], "socket");
    assert_eq!(seen["tls"]["version"], 0x0304);
    assert!(!trace.contains("the proxy says"), "{trace}");
}

#[test]
fn connections_of_the_proxys_own() {
    for header in [
        b"PROXY UNKNOWN\r\n".to_vec(),
        v2(0x20, 0x00, b""),
        v2(0x20, 0x11, &ADDRESSES),
    ] {
        let host = site("starttls", PROXIED).start();
        send(behind(&host, &header));
        let (seen, trace) = arrived(host);
        let client = seen["client"].as_str().expect("an address");
        assert!(client.starts_with("127.0.0.1:"), "{client}");
        assert_eq!(seen["proxied_by"], Value::Null);
        assert!(!trace.contains("proxy"), "{trace}");
    }
}

#[test]
fn a_claim_that_is_not_trusted_is_kept_and_counts_for_nothing() {
    let policy = stock_policy("modern-tls");
    let module = format!(
        "domains = [\"module.example\"]\n[[module]]\nname = \"m\"\npath = {policy:?}\n\
         [[policy]]\nname = \"m\"\noption = \"module\"\nmodule = \"m\"\n\
         settings = {{ domains = {{ \"*\" = {{ minimum = \"1.2\" }} }} }}\n"
    );
    let host = site("none", PROXIED).tenant("module", &module).start();
    let mut client = behind(&host, &claim(b"TLSv1.3"));
    let offered = client.ehlo();
    assert!(!offered.contains("REQUIRETLS"), "{offered}");
    for name in ["board", "new", "known"] {
        let reply = told(&mut client, name);
        let text = "550 5.7.1 This route requires encryption (TLS) up to this host; that of the \
                    proxy in front of it does not count here [";
        assert!(reply.starts_with(text), "{reply}");
    }
    client.expect(&format!("MAIL FROM:<{SENDER}>"), "250");
    let reply = client.say("RCPT TO:<bob@module.example>");
    assert!(reply.starts_with("550 5.7.1"), "{reply}");
    client.expect("RSET", "250");
    send(client);
    let (seen, trace) = arrived(host);
    through_the_proxy(&seen, &trace);
    assert_eq!(seen["tls"]["origin"], "proxy");
    assert_eq!(seen["tls"]["version"], 0x0304);
    assert!(trace.contains("(the proxy says: using TLSv1.3"), "{trace}");
    assert!(trace.contains("with ESMTP id"), "{trace}");
    assert!(trace.contains("x-tls=none"), "{trace}");
}

#[test]
fn a_claim_that_is_trusted_counts_as_tls_and_never_as_a_certificate() {
    let require = format!("{TRUSTED}\nprivate = true\nrequire_tls = true");
    let host = site("starttls", &require).start();
    let mut client = behind(&host, &claim(b"TLSv1.2"));
    let offered = client.ehlo();
    assert!(!offered.contains("STARTTLS"), "{offered}");
    client.expect("STARTTLS", "503");
    let expected = [
        ("board", "250 2.1.5"),
        (
            "new",
            "550 5.7.1 This route requires TLS 1.3; this session is TLS 1.2",
        ),
        (
            "known",
            "550 5.7.1 This route requires a client certificate; yours went to the proxy in \
             front of this host, which has not seen it [",
        ),
    ];
    for (name, reply) in expected {
        let found = told(&mut client, name);
        assert!(found.starts_with(reply), "{found}");
    }
    send(client);
    // One without TLS is in clear, whatever the operator trusts.
    let mut clear = behind(&host, LINE);
    clear.ehlo();
    clear.expect(&format!("MAIL FROM:<{SENDER}>"), "530");
    clear.quit();
    let (seen, trace) = arrived(host);
    let tls = &seen["tls"];
    assert_eq!(tls["origin"], "trusted-proxy");
    assert_eq!(tls["cipher_suite"], "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384");
    let claimed = &tls["client_certificate"]["claimed"];
    assert_eq!(claimed["common_name"], "mx.partner.example");
    assert_eq!(claimed["verified"], true);
    assert!(trace.contains("with ESMTPS id"), "{trace}");
    assert!(
        trace.contains("x-tls=neutral (the proxy says) smtp.tls-version=TLSv1.2"),
        "{trace}"
    );
}

/// Limits are those of the clients, not of the proxy that all of them come through.
#[test]
fn limits_count_whom_the_header_names() {
    let limits = "[limits]\nclient_sessions = 1\nexempt = []";
    let host = site("starttls", PROXIED).settings(limits).start();
    let first = behind(&host, LINE);
    let mut second = Client::connect_silently(host.address("smtp"));
    second.send(LINE);
    let reply = second.reply();
    assert!(reply.starts_with("421 4.7.0"), "{reply}");
    assert!(second.is_closed());
    let other = b"PROXY TCP4 192.0.2.8 198.51.100.25 50000 25\r\n";
    let third = behind(&host, other);
    first.quit();
    third.quit();
}

/// Each is closed without a word, and as soon as it can be told; then the next client is
/// served.
#[test]
fn headers_that_are_none() {
    let metrics = "[metrics]\naddress = \"127.0.0.1:0\"";
    let host = site("starttls", PROXIED).settings(metrics).start();
    let sum = [&ADDRESSES, &element(0x03, &[1, 2, 3, 4])[..]].concat();
    let cases: [(&[u8], &str); 9] = [
        (b"EHLO client.example\r\n", "missing"),
        (b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", "missing"),
        (&[b'P'; 4096], "missing"),
        (b"PROXY TCP4 192.0.2.7 x 1 2\r\n", "malformed"),
        (b"PROXY TCP4 192.0.2.7 192.0.2.8 1 65536\r\n", "malformed"),
        (&[&b"PROXY UNKNOWN "[..], &[b'x'; 200]].concat(), "too-long"),
        (&v2(0x21, 0x11, &[0; 4097]), "too-long"),
        (&v2(0x21, 0x11, &ADDRESSES[1..]), "malformed"),
        (&v2(0x21, 0x11, &sum), "checksum"),
    ];
    for (octets, _) in &cases {
        let mut client = Client::connect_silently(host.address("smtp"));
        // The host may close before it has all.
        let _ = client.try_send(octets);
        assert!(client.is_closed(), "{octets:?}");
    }
    let name = |word: &str| format!("proxy_headers_refused_total{{reason={word}}}");
    for (word, count) in [
        ("missing", 3.0),
        ("malformed", 3.0),
        ("too-long", 2.0),
        ("checksum", 1.0),
    ] {
        assert_eq!(scrape(&host).get(&name(word)), Some(&count), "{word}");
    }
    send(behind(&host, LINE));
    let (ended, _) = log_of(host);
    for why in [
        "no PROXY",
        "malformed PROXY",
        "PROXY header too long",
        "wrong checksum",
    ] {
        assert!(ended.log.contains(why), "{}", ended.log);
    }
}

/// On a listener that takes none, each of its lines would be answered, and the client would
/// take those answers for its own. A request of HTTP may have a message within.
#[test]
fn what_is_not_smtp_ends_a_session_and_is_told_of() {
    let host = site("starttls", "").start();
    let header = v2(0x21, 0x11, &ADDRESSES);
    let no_header = "500 5.5.1 No PROXY header is taken here; closing connection";
    let cases: [(&[u8], usize, &str); 3] = [
        (LINE, 0, no_header),
        (&header, 2, no_header),
        (
            b"POST / HTTP/1.1\r\n",
            0,
            "500 5.5.1 This is SMTP and not HTTP; closing connection",
        ),
    ];
    for (octets, lines, told) in cases {
        let mut client = Client::connect(host.address("smtp"));
        client.send(octets);
        client.send(b"EHLO client.example\r\n");
        for _ in 0..lines {
            let reply = client.reply();
            assert_eq!(reply, "500 5.5.1 Command not recognised", "{octets:?}");
        }
        assert_eq!(client.reply(), told, "{octets:?}");
        assert!(client.is_closed());
    }
    let (ended, _) = log_of(host);
    for protocol in ["PROXY", "HTTP"] {
        let said = format!("a client does not speak SMTP protocol=\"{protocol}\"");
        assert!(ended.log.contains(&said), "{}", ended.log);
    }
    assert!(ended.log.contains("listener=smtp}"), "{}", ended.log);

    // Where clients have to wait for the greeting they hear the same.
    let host = site("starttls", "greeting_delay_ms = 10000").start();
    for octets in [LINE, &header] {
        let mut client = Client::connect_silently(host.address("smtp"));
        client.send(octets);
        assert_eq!(client.reply(), no_header, "{octets:?}");
        assert!(client.is_closed());
    }
    let said = "a client does not speak SMTP protocol=\"PROXY\"";
    let log = host.stop().log;
    assert!(log.contains(said), "{log}");
}

#[test]
fn a_header_that_does_not_come_is_not_waited_for() {
    let host = site("starttls", PROXIED).start();
    let began = Instant::now();
    let mut silent = Client::connect_silently(host.address("smtp"));
    let mut half = Client::connect_silently(host.address("smtp"));
    half.send(&LINE[..10]);
    assert!(silent.is_closed() && half.is_closed());
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(3), "{took:?}");
    send(behind(&host, LINE));
    let (ended, _) = log_of(host);
    let lines = ended.log.matches("no PROXY header in time").count();
    assert!((1..=2).contains(&lines), "{}", ended.log);
}

#[test]
fn headers_from_elsewhere_leave_few_lines() {
    let elsewhere = "proxy_from = [\"192.0.2.0/24\", \"2001:db8::/32\"]";
    let host = site("starttls", elsewhere).start();
    let began = Instant::now();
    for _ in 0..50 {
        for header in [LINE, &v2(0x21, 0x11, &ADDRESSES), b""] {
            let mut client = Client::connect_silently(host.address("smtp"));
            let _ = client.try_send(header);
            assert!(client.is_closed());
        }
    }
    let seconds = began.elapsed().as_secs() as usize;
    let ended = host.stop();
    let lines = ended.log.matches("not a proxy of this listener").count();
    // Everybody can do that: it is no way to fill a disk.
    assert!(lines >= 1 && lines <= seconds + 2, "{}", ended.log);
    assert!(ended.site.receipts().is_empty());
}

fn log_of(host: Host) -> (Ended, usize) {
    let ended = host.stop();
    let mail = ended.site.mail("acme").len();
    (ended, mail)
}

/// The real one, with all that it can say, in front of TLS that it ends itself.
#[test]
fn haproxy_that_ends_tls() {
    let authority = Authority::new("Partner CA");
    let identity = Arc::new(authority.issue(&["mx.partner.example"]));
    let host = site("none", TRUSTED)
        .file("ca.pem", authority.pem())
        .start();
    let directory = host.site().directory().to_owned();
    let files = Identity::self_signed(&["mx.acme.example"]).write(&directory, "balancer");
    let read = |path| std::fs::read_to_string(path).expect("it was written");
    let both = read(&files.certificate) + &read(&files.key);
    std::fs::write(directory.join("balancer.both"), both).expect("it can be written");
    let bind = format!(
        "ssl crt {} ca-file {} verify optional",
        directory.join("balancer.both").display(),
        directory.join("ca.pem").display()
    );
    let with = "send-proxy-v2-ssl-cn proxy-v2-options ssl,cert-cn,ssl-cipher,authority,crc32c";
    let haproxy = Haproxy::start(&directory, &bind, host.address("smtp"), with);

    let tls = Tls::tls13().with(&identity);
    let mut client = Client::implicit(haproxy.address(), &tls);
    client.ehlo();
    let (board, known) = (told(&mut client, "board"), told(&mut client, "known"));
    assert!(board.starts_with("250"), "{board}");
    assert!(known.starts_with("550 5.7.1"), "{known}");
    send(client);

    drop(haproxy);
    let (seen, trace) = arrived(host);
    let client = seen["client"].as_str().expect("an address");
    let proxy = seen["proxied_by"].as_str().expect("an address");
    assert!(client.starts_with("127.0.0.1:") && client != proxy);
    let tls = &seen["tls"];
    assert_eq!(tls["origin"], "trusted-proxy");
    assert_eq!(tls["version"], 0x0304);
    assert_eq!(tls["cipher_suite"], "TLS_AES_256_GCM_SHA384");
    assert_eq!(tls["secret_bits"], 256);
    assert_eq!(tls["server_name"], "mx.host.example");
    let claimed = &tls["client_certificate"]["claimed"];
    assert_eq!(claimed["common_name"], "mx.partner.example");
    assert_eq!(claimed["verified"], true);
    assert!(trace.contains("the proxy says: using TLSv1.3"), "{trace}");
}

/// The real one in front of STARTTLS, which goes through it; and its health checks.
#[test]
fn haproxy_that_passes_on() {
    let metrics = "[metrics]\naddress = \"127.0.0.1:0\"";
    for with in ["send-proxy", "send-proxy-v2 proxy-v2-options crc32c"] {
        let host = site("starttls", PROXIED).settings(metrics).start();
        let directory = host.site().directory().to_owned();
        let with = format!("{with} check check-send-proxy inter 200ms");
        let haproxy = Haproxy::start(&directory, "", host.address("smtp"), &with);
        send(Client::starttls(haproxy.address(), &Tls::post_quantum()));
        let began = Instant::now();
        let checks = "sessions_ended_total{listener=smtp,how=quit}";
        while scrape(&host)[checks] < 3.0 {
            assert!(began.elapsed() < PATIENCE, "{with}: no health check");
        }
        drop(haproxy);
        let (seen, _) = arrived(host);
        assert!(seen["proxied_by"].is_string(), "{seen}");
        assert_eq!(seen["tls"]["origin"], "socket");
        assert_eq!(seen["tls"]["post_quantum"], true);
    }
}
