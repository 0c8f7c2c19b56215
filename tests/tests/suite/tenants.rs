//! Tenants do not feel each other: each recipient is answered by its own tenant's
//! policy and trust, in one transaction as in many.

use std::sync::Arc;

use portcullis_tests::certificate::{Authority, Identity};
use portcullis_tests::client::{Client, Tls};
use portcullis_tests::site::Site;

const MESSAGE: &str = "Subject: for two tenants\r\n\r\none message\r\n";

#[test]
fn one_refuses_and_the_other_accepts() {
    let host = Site::new()
        .tenant("acme", "domains = [\"acme.example\"]")
        .tenant(
            "bank",
            "domains = [\"bank.example\"]\ncontact = \"see https://bank.example/tls\"\n\
             [defaults]\ndecision = \"enforced\"",
        )
        .start();
    let mut client = Client::connect(host.address("smtp"));
    client.ehlo();
    client.expect("MAIL FROM:<amy@sender.example>", "250");
    client.expect("RCPT TO:<ann@acme.example>", "250 2.1.5 Recipient ok");
    let refused = client.expect("RCPT TO:<ben@bank.example>", "530-5.7.0 Must issue");
    client.expect("RCPT TO:<art@acme.example>", "250 2.1.5 Recipient ok");
    client.expect("DATA", "354");
    client.send(MESSAGE);
    client.expect(".", "250");
    client.quit();
    let site = host.stop().site;
    assert_eq!((site.mail("acme").len(), site.mail("bank").len()), (1, 0));
    assert!(site.mail("acme")[0].ends_with(MESSAGE.as_bytes()));
    for (recipient, verdict, outcome) in [
        ("ann@acme.example", "accepted", "delivered"),
        ("art@acme.example", "accepted", "delivered"),
    ] {
        let receipt = site.receipt(recipient);
        assert_eq!(receipt["verdict"]["verdict"], verdict, "{recipient}");
        assert_eq!(receipt["outcome"]["outcome"], outcome, "{recipient}");
        assert_eq!(receipt["verdict"]["facts"]["tenant"], "acme");
        assert_eq!(receipt["verdict"]["default_of"], "host");
    }
    let receipt = site.receipt("ben@bank.example");
    assert_eq!(receipt["verdict"]["verdict"]["refused"], "plaintext");
    assert_eq!(receipt["verdict"]["default_of"], "tenant");
    assert!(receipt["outcome"].is_null());
    // The contact is the last line, and the receipt's id the last word.
    let id = receipt["verdict"]["id"]
        .as_str()
        .expect("a receipt has an id");
    let last = format!("530 5.7.0 see https://bank.example/tls [{id}]");
    assert_eq!(refused.lines().last(), Some(last.as_str()));
}

#[test]
fn both_accept_and_each_has_its_own_copy() {
    let host = Site::new()
        .tenant("acme", "domains = [\"acme.example\"]")
        .tenant("bank", "domains = [\"bank.example\"]")
        .start();
    let mut client = Client::connect(host.address("smtp"));
    client.ehlo();
    let both = ["ann@acme.example", "ben@bank.example"];
    let reply = client.deliver("amy@sender.example", &both, MESSAGE);
    assert!(reply.starts_with("250"), "{reply}");
    client.quit();
    let site = host.stop().site;
    for (tenant, own, other) in [("acme", both[0], both[1]), ("bank", both[1], both[0])] {
        let mail = site.mail(tenant);
        assert_eq!(mail.len(), 1, "{tenant}");
        let text = String::from_utf8_lossy(&mail[0]);
        assert!(text.contains(&format!("Delivered-To: {own}\r\n")), "{text}");
        assert!(
            !text.contains(other),
            "a tenant does not learn of the other: {text}"
        );
    }
}

/// One certificate, one session: trusted by one tenant, pinned by another, accepted as
/// self-signed by nobody, unknown to a third.
#[test]
fn each_judges_the_same_certificate_by_its_own_trust() {
    let authority = Authority::new("Partner CA");
    let identity = Arc::new(authority.issue(&["mx.partner.example"]));
    let pins = format!("pins = [{:?}]", identity.pin());
    let host = Site::new()
        .file("ca.pem", authority.pem())
        .tenant(
            "anchor",
            &trusting("anchor.example", "anchors = [\"../ca.pem\"]"),
        )
        .tenant("pin", &trusting("pin.example", &pins))
        .tenant("stranger", &trusting("stranger.example", ""))
        .start();
    let mut client = Client::starttls(host.address("smtp"), &Tls::post_quantum().with(&identity));
    client.expect("MAIL FROM:<amy@partner.example>", "250");
    client.expect("RCPT TO:<a@anchor.example>", "250");
    client.expect(
        "RCPT TO:<a@stranger.example>",
        "550 5.7.1 This route requires a trusted",
    );
    client.expect("RCPT TO:<a@pin.example>", "250");
    client.expect("DATA", "354");
    client.send(MESSAGE);
    client.expect(".", "250");
    client.quit();
    let site = host.stop().site;
    for (recipient, state) in [
        ("a@anchor.example", "trusted"),
        ("a@pin.example", "pinned"),
        ("a@stranger.example", "untrusted"),
    ] {
        let receipt = site.receipt(recipient);
        assert_eq!(
            receipt["verdict"]["facts"]["trust"]["client"]["state"],
            state
        );
    }
    assert_eq!(site.mail("stranger").len(), 0);
    let verified = |tenant: &str| String::from_utf8_lossy(&site.mail(tenant)[0]).into_owned();
    assert!(verified("anchor").contains("x-tls=pass"));
    assert!(verified("pin").contains("x-tls=pass"));
}

#[test]
fn self_signed_certificates_count_where_the_tenant_says_so() {
    let identity = Arc::new(Identity::self_signed(&["mx.partner.example"]));
    let host = Site::new()
        .tenant(
            "open",
            &trusting("open.example", "self_signed = \"accept\""),
        )
        .tenant(
            "shut",
            &trusting("shut.example", "self_signed = \"refuse\""),
        )
        .start();
    let mut client = Client::starttls(host.address("smtp"), &Tls::tls12().with(&identity));
    client.expect("MAIL FROM:<amy@partner.example>", "250");
    client.expect("RCPT TO:<a@open.example>", "250");
    client.expect(
        "RCPT TO:<a@shut.example>",
        "550 5.7.1 This route requires a trusted",
    );
    client.quit();
}

#[test]
fn nobody_relays() {
    let host = Site::new()
        .tenant("acme", "domains = [\"acme.example\"]")
        .start();
    let mut client = Client::connect(host.address("smtp"));
    client.ehlo();
    client.expect("MAIL FROM:<ann@acme.example>", "250");
    for stranger in [
        "x@elsewhere.example",
        "x@sub.acme.example",
        "x%elsewhere.example@mx.host.example",
        "postmaster",
    ] {
        client.expect(
            &format!("RCPT TO:<{stranger}>"),
            "550 5.7.1 Relaying denied [",
        );
    }
    client.expect("DATA", "554 5.5.1 No valid recipients");
    client.quit();
    let receipts = host.stop().site.receipts();
    assert_eq!(receipts.len(), 4);
    assert_eq!(receipts[0]["relay"]["recipient"], "x@elsewhere.example");
    assert_eq!(receipts[0]["relay"]["sender"], "ann@acme.example");
}

/// `portcullis receipts` finds one receipt by the id in the reply, and many by filters.
#[test]
fn receipts_are_found_by_id_and_by_filter() {
    let host = Site::new()
        .tenant("acme", "domains = [\"acme.example\"]")
        .tenant(
            "bank",
            "domains = [\"bank.example\"]\n[defaults]\ndecision = \"enforced\"",
        )
        .start();
    let mut client = Client::connect(host.address("smtp"));
    client.ehlo();
    client.expect("MAIL FROM:<>", "250");
    client.expect("RCPT TO:<ann@acme.example>", "250");
    let refused = client.expect("RCPT TO:<ben@bank.example>", "530");
    client.quit();
    let site = host.stop().site;
    let id = refused
        .rsplit_once('[')
        .map_or("", |(_, id)| id.trim_end_matches(']'));
    for (filter, found) in [
        (vec![id], 1),
        (vec!["--tenant", "acme"], 1),
        (vec!["--refused"], 1),
        (vec!["--accepted"], 1),
        (vec!["--sender", "<>"], 2),
        (vec!["--recipient", "bank.example"], 1),
        (vec!["--recipient", "ann@acme.example", "--refused"], 0),
        (vec!["--last", "1"], 1),
        (vec!["--client", "127.0.0.1"], 2),
        (vec!["--client", "192.0.2.1"], 0),
        (vec!["--since", "2026-01-01"], 2),
        (vec!["--until", "2026-01-01T00:00:00Z"], 0),
    ] {
        assert_eq!(site.receipts_by(&filter).len(), found, "{filter:?}");
    }
    assert_eq!(
        site.receipts_by(&[id])[0]["verdict"]["facts"]["tenant"],
        "bank"
    );
}

/// A tenant who enforces trusted certificates.
fn trusting(domain: &str, trust: &str) -> String {
    format!(
        "domains = [\"{domain}\"]\n[trust]\n{trust}\n\
         [[policy]]\nname = \"all\"\noption = \"enforced\"\nrequire = {{ certificate = \"trusted\" }}\n"
    )
}
