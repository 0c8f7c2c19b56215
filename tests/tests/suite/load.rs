//! The load generator of the benchmark, against the host: it sends what it says it does,
//! and no reply that it did not expect passes for speed.

use portcullis_tests::certificate::Identity;
use portcullis_tests::program::benchmark;
use portcullis_tests::site::{Host, Site};
use portcullis_tests::tool::{self, Ran};
use serde_json::Value;

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

/// What is said of sizes, resumption and client certificates is so.
#[test]
fn it_sends_what_it_is_told_to_as_whom_it_is_told_to() {
    let site = Site::new().tenant("acme", "domains = [\"acme.example\"]");
    let client = Identity::self_signed(&["mx.client.example"]);
    let files = client.write(site.directory(), "client");
    let host = site.start();
    let certificate = files.certificate.display().to_string();
    let key = files.key.display().to_string();
    let shown = ["--certificate", &certificate, "--key", &key];
    for (recipient, more) in [
        ("anew", &[][..]),
        ("resumed", &["--resume"]),
        ("shown", &shown),
    ] {
        let recipient = format!("{recipient}@acme.example");
        let all = [
            &["--tls", "starttls", "--messages", "9", "--size", "9000"][..],
            &["--recipient", &recipient],
            more,
        ];
        load(&host, "smtp", &all.concat()).expect_code(0);
    }
    let ended = host.stop();
    let receipts = ended.site.receipts();
    let of = |recipient: &str| -> Vec<&Value> {
        let facts = receipts.iter().map(|receipt| &receipt["verdict"]["facts"]);
        let to = format!("{recipient}@acme.example");
        let facts = facts.filter(|facts| facts["recipient"] == to.as_str());
        facts.map(|facts| &facts["connection"]["tls"]).collect()
    };
    let resumed = |recipient| {
        let all = of(recipient);
        let resumed = all.iter().filter(|tls| tls["resumed"] == true).count();
        (resumed, all.len())
    };
    assert_eq!(resumed("anew"), (0, 9));
    // Three sessions at a time begin before there is one to resume.
    let (some, all) = resumed("resumed");
    assert!(some >= 3 && all == 9, "{some} of {all}");
    let with = |recipient| {
        let all = of(recipient).into_iter();
        all.filter(|tls| tls["client_certificate"]["given"].is_object())
            .count()
    };
    assert_eq!((with("anew"), with("shown")), (0, 9));
    for mail in ended.site.mail("acme") {
        let text = String::from_utf8_lossy(&mail);
        let (_, sent) = text.split_once("From: <").expect("its header");
        let length = "From: <".len() + sent.len();
        // The last line has three octets at least.
        assert!((9000..9003).contains(&length), "{length}");
    }
}
