//! The client's name in reverse DNS: what is answered, what is not, and what is forged.

use std::time::{Duration, Instant};

use portcullis_tests::client::Client;
use portcullis_tests::dns::{Answer, NameServer};
use portcullis_tests::program::workspace;
use portcullis_tests::site::{Host, Site};
use serde_json::{Value, json};

use super::metrics::scrape;

const REVERSE: &str = "7.2.0.192.in-addr.arpa";
const RECIPIENT: &str = "opportunistic@acme.example";

/// A host behind a proxy, so that clients have addresses that have names, and a tenant
/// whose policy logs every fact that it can see.
fn site(dns: &str) -> Site {
    let module = workspace().join("tests/fixtures/policy-0.1.0.wasm");
    Site::default()
        .listener("smtp", "starttls", "proxy_from = [\"127.0.0.1\"]")
        .settings("[metrics]\naddress = \"127.0.0.1:0\"")
        .settings(dns)
        .tenant(
            "acme",
            &format!(
                "domains = [\"acme.example\"]\n[[module]]\nname = \"all\"\npath = {module:?}\n\
                 [[policy]]\nname = \"all\"\noption = \"module\"\nmodule = \"all\"\n"
            ),
        )
}

fn asking(server: &NameServer, timeout: u32) -> Site {
    site(&format!(
        "[dns]\nreverse_names = true\nservers = [\"{}\"]\ntimeout_ms = {timeout}",
        server.address()
    ))
}

/// A client from an address that the proxy tells, past its greeting.
fn client(host: &Host, line: &str) -> Client {
    let mut client = Client::connect_silently(host.address("smtp"));
    client.send(format!("PROXY {line}\r\n"));
    let greeting = client.reply();
    assert!(greeting.starts_with("220 "), "{greeting}");
    client.ehlo();
    client
}

const FROM_V4: &str = "TCP4 192.0.2.7 198.51.100.25 50000 25";
const FROM_V6: &str = "TCP6 2001:db8::7 2001:db8::25 50000 25";

fn send(mut client: Client) {
    let message = "Subject: from somewhere\r\n\r\nit arrives\r\n";
    let reply = client.deliver("amy@partner.example", &[RECIPIENT], message);
    assert!(reply.starts_with("250"), "{reply}");
    client.quit();
}

/// The name in the receipt, what the module saw, and the fields above the message.
fn arrived(host: Host) -> (Value, String, String) {
    let site = host.stop().site;
    let mail = site.mail("acme");
    assert_eq!(mail.len(), 1);
    let text = String::from_utf8_lossy(&mail[0]).into_owned();
    let receipt = site.receipt(RECIPIENT);
    let verdict = &receipt["verdict"];
    let name = verdict["facts"]["connection"]["reverse_name"].clone();
    (name, verdict["log"].to_string(), text)
}

fn counted(host: &Host, result: &str) -> Option<f64> {
    let name = format!("reverse_names_total{{result={result}}}");
    scrape(host).get(&name).copied()
}

#[test]
fn a_name_that_resolves_back() {
    let known = [
        (REVERSE, Answer::names(&["MX.partner.example"])),
        ("mx.partner.example", Answer::address("192.0.2.7")),
    ];
    let server = NameServer::start(&known);
    let host = asking(&server, 10_000).start();
    send(client(&host, FROM_V4));
    assert_eq!(server.asked(), [REVERSE, "mx.partner.example"]);
    // What is known is not asked again.
    let mut again = client(&host, FROM_V4);
    again.expect("MAIL FROM:<>", "250");
    again.expect("RCPT TO:<tls@acme.example>", "530");
    again.quit();
    assert_eq!(server.asked().len(), 2);
    assert_eq!(counted(&host, "confirmed"), Some(2.0));
    let (name, log, text) = arrived(host);
    assert_eq!(
        name,
        json!({ "name": "mx.partner.example", "confirmed": true })
    );
    let seen = "reverse-name=Some(\\\"mx.partner.example\\\") reverse-name-confirmed=true";
    assert!(log.contains(seen), "{log}");
    let from = "Received: from client.example (mx.partner.example [192.0.2.7])\r\n";
    assert!(text.contains(from), "{text}");
}

#[test]
fn a_name_of_an_address_of_ipv6() {
    let reverse = format!("7.{}8.b.d.0.1.0.0.2.ip6.arpa", "0.".repeat(23));
    let known = [
        (reverse.as_str(), Answer::names(&["mx.partner.example"])),
        ("mx.partner.example", Answer::address("2001:db8::7")),
    ];
    let server = NameServer::start(&known);
    let host = asking(&server, 10_000).start();
    send(client(&host, FROM_V6));
    let (name, _, text) = arrived(host);
    assert_eq!(name["confirmed"], true, "{:?}", server.asked());
    assert!(
        text.contains("(mx.partner.example [IPv6:2001:db8::7])"),
        "{text}"
    );
}

#[test]
fn a_name_that_does_not_resolve_back() {
    for known in [
        vec![
            (REVERSE, Answer::names(&["mail.bank.example"])),
            ("mail.bank.example", Answer::address("203.0.113.9")),
        ],
        // Nobody has that name at all.
        vec![(REVERSE, Answer::names(&["mail.bank.example"]))],
    ] {
        let server = NameServer::start(&known);
        let host = asking(&server, 10_000).start();
        send(client(&host, FROM_V4));
        assert_eq!(counted(&host, "unconfirmed"), Some(1.0));
        let (name, log, text) = arrived(host);
        assert_eq!(
            name,
            json!({ "name": "mail.bank.example", "confirmed": false })
        );
        assert!(log.contains("reverse-name-confirmed=false"), "{log}");
        assert!(
            text.contains("Received: from client.example ([192.0.2.7])\r\n"),
            "{text}"
        );
    }
}

#[test]
fn of_several_names_the_first_ones_are_followed() {
    let names = ["a.example", "b.example", "c.example", "d.example"];
    for (resolves, expected) in [
        (
            "c.example",
            json!({ "name": "c.example", "confirmed": true }),
        ),
        (
            "d.example",
            json!({ "name": "a.example", "confirmed": false }),
        ),
    ] {
        let known = [
            (REVERSE, Answer::names(&names)),
            (resolves, Answer::address("192.0.2.7")),
        ];
        let server = NameServer::start(&known);
        let host = asking(&server, 10_000).start();
        send(client(&host, FROM_V4));
        assert_eq!(arrived(host).0, expected);
    }
}

/// Mail flows without a name, and what is wrong is counted.
#[test]
fn answers_that_are_none() {
    let label = |octets: &[u8]| Answer::Names(vec![vec![octets.to_vec(), b"example".to_vec()]]);
    let cases = [
        (None, "none"),
        (Some(Answer::Silence), "timed-out"),
        (Some(Answer::AnotherId), "timed-out"),
        (Some(Answer::Names(vec![])), "none"),
        (Some(label(b"a b")), "none"),
        (Some(label(b"a\r\nX-Forged: yes")), "none"),
        (Some(label(b"\xff\0")), "none"),
        (Some(Answer::Octets(vec![0xff; 600])), ""),
        (Some(Answer::Octets(vec![])), ""),
        (
            Some(Answer::Octets(vec![0x81, 0x80, 0xff, 0xff, 0xff, 0xff])),
            "",
        ),
    ];
    for (answer, result) in cases {
        let known: Vec<_> = answer.into_iter().map(|answer| (REVERSE, answer)).collect();
        let server = NameServer::start(&known);
        let host = asking(&server, 500).start();
        send(client(&host, FROM_V4));
        if !result.is_empty() {
            // Mail does not wait for a look-up to say that it took too long.
            let patience = Instant::now() + Duration::from_secs(10);
            while counted(&host, result).is_none() && Instant::now() < patience {}
            assert_eq!(counted(&host, result), Some(1.0), "{result}");
        }
        assert!(!server.asked().is_empty());
        let (name, log, text) = arrived(host);
        assert_eq!(name, Value::Null);
        assert!(log.contains("reverse-name=None"), "{log}");
        assert!(text.contains("([192.0.2.7])"), "{text}");
    }
}

/// The greeting and everything up to the first recipient come while nobody has answered;
/// that recipient waits.
#[test]
fn a_slow_answer_holds_up_nobody_but_the_first_recipient() {
    let known = [
        (REVERSE, Answer::names(&["mx.partner.example"])),
        ("mx.partner.example", Answer::address("192.0.2.7")),
    ];
    let mut server = NameServer::held(&known);
    let host = asking(&server, 10_000).start();
    let mut slow = client(&host, FROM_V4);
    slow.expect("MAIL FROM:<amy@partner.example>", "250");
    slow.expect("RSET", "250");
    server.release();
    send(slow);
    assert_eq!(arrived(host).0["confirmed"], true);
}

#[test]
fn nobody_is_asked_unless_the_operator_says_so() {
    let server = NameServer::start(&[]);
    let host = site(&format!("[dns]\nservers = [\"{}\"]", server.address())).start();
    send(client(&host, FROM_V4));
    assert_eq!(arrived(host).0, Value::Null);
    assert!(server.asked().is_empty());
}
