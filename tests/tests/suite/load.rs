//! The load generator of the benchmark, against the host: it sends what it says it does,
//! and no reply that it did not expect passes for speed.

use portcullis_tests::program::benchmark;
use portcullis_tests::site::{Host, Site};
use portcullis_tests::tool::{self, Ran};

fn host() -> Host {
    Site::new()
        .listener("smtps", "implicit", "")
        .tenant("acme", "domains = [\"acme.example\"]")
        .start()
}

fn load(host: &Host, listener: &str, arguments: &[&str]) -> Ran {
    let address = host.address(listener).to_string();
    let program = benchmark().display().to_string();
    let mut all = vec!["load", &address, "--connections", "3"];
    all.extend(arguments);
    tool::run(&program, &all)
}

#[test]
fn every_message_that_it_counts_has_arrived() {
    let host = host();
    for (listener, tls) in [
        ("smtp", "none"),
        ("smtp", "starttls"),
        ("smtps", "implicit"),
    ] {
        let arguments = ["--tls", tls, "--messages", "10", "--per-connection", "2"];
        let recipient = format!("{tls}@acme.example");
        let ran = load(
            &host,
            listener,
            &[&arguments[..], &["--recipient", &recipient]].concat(),
        );
        let said = ran.expect_code(0).stdout;
        assert!(said.starts_with("10 messages in "), "{said}");
        assert_eq!(said.contains("handshake"), tls != "none", "{said}");
    }
    let ended = host.stop();
    let mail = ended.site.mail("acme");
    assert_eq!(mail.len(), 30);
    for tls in ["none", "starttls", "implicit"] {
        let to = format!("Delivered-To: {tls}@acme.example\r\n");
        let arrived = mail
            .iter()
            .filter(|message| String::from_utf8_lossy(message).contains(&to));
        assert_eq!(arrived.count(), 10, "{tls}");
    }
}

#[test]
fn a_reply_that_is_not_expected_ends_it() {
    let host = host();
    let ran = load(&host, "smtp", &["--recipient", "bob@foreign.example"]);
    let said = ran.expect_code(1).stderr;
    let expected = "portcullis-bench: \"RCPT TO:<bob@foreign.example>\" got \"550 5.7.1 ";
    assert!(said.starts_with(expected), "{said}");
    assert!(said.trim_end().ends_with(", expected 250"), "{said}");
}
