//! Handshakes that fail, and what is known of them when the client comes back.

use std::time::{Duration, Instant};

use portcullis_tests::client::Client;
use portcullis_tests::program::workspace;
use portcullis_tests::site::{Host, Site};
use portcullis_tests::tool;
use serde_json::Value;

use super::metrics::scrape;

/// Longest wait for what is counted behind a client's back.
const PATIENCE: Duration = Duration::from_secs(30);

/// A tenant whose policy logs every fact that it can see.
fn site() -> Site {
    let module = workspace().join("tests/fixtures/policy-0.1.0.wasm");
    Site::new()
        .listener("smtps", "implicit", "")
        .listener("proxied", "starttls", "proxy_from = [\"127.0.0.1\"]")
        .settings("[metrics]\naddress = \"127.0.0.1:0\"")
        .tenant(
            "acme",
            &format!(
                "domains = [\"acme.example\"]\n[[module]]\nname = \"all\"\npath = {module:?}\n\
                 [[policy]]\nname = \"all\"\noption = \"module\"\nmodule = \"all\"\n"
            ),
        )
}

/// `openssl s_client`, which does not get through.
fn fail(host: &Host, listener: &str, arguments: &[&str]) {
    let address = host.address(listener).to_string();
    let mut all = vec!["s_client", "-connect", &address];
    all.extend(arguments);
    tool::run("openssl", &all).expect_code(1);
    counted(host);
}

/// Waits until the host has counted the only failure.
fn counted(host: &Host) {
    let began = Instant::now();
    let is_failure = |name: &str| name.starts_with("tls_handshake_failures_total");
    while !scrape(host).keys().any(|name| is_failure(name)) {
        assert!(began.elapsed() < PATIENCE, "no failure is counted");
    }
}

/// The failure in the receipt of the next message, in clear, and the lines of the
/// module that saw it.
fn afterwards(host: Host) -> (Value, String) {
    let mut client = Client::connect(host.address("smtp"));
    client.ehlo();
    client.expect("MAIL FROM:<amy@partner.example>", "250");
    client.expect("RCPT TO:<opportunistic@acme.example>", "250");
    client.quit();
    let receipt = host.stop().site.receipt("opportunistic@acme.example");
    let verdict = &receipt["verdict"];
    let failure = verdict["facts"]["connection"]["handshake_failure"].clone();
    (failure, verdict["log"].to_string())
}

fn knows(failure: &Value, log: &str, reason: &str) {
    assert_eq!(failure["reason"], reason);
    assert!(failure["at"].as_u64().is_some_and(|at| at > 1_700_000_000));
    let told = format!("handshake-failure-reason=Some(\\\"{reason}\\\")");
    assert!(log.contains(&told), "{log}");
    assert!(log.contains("handshake-failure-age=Some("), "{log}");
}

/// What its hello lacks is looked for before its version.
const TOO_OLD: &str = "no signature scheme in common";

const TLS_1_1: [&str; 3] = ["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"];

#[test]
fn a_version_that_is_too_old_by_starttls() {
    let host = site().start();
    let arguments = [&["-starttls", "smtp"], &TLS_1_1[..]].concat();
    fail(&host, "smtp", &arguments);
    let (failure, log) = afterwards(host);
    knows(&failure, &log, TOO_OLD);
}

#[test]
fn a_version_that_is_too_old_with_implicit_tls() {
    let host = site().start();
    fail(&host, "smtps", &TLS_1_1);
    let (failure, log) = afterwards(host);
    knows(&failure, &log, TOO_OLD);
}

#[test]
fn a_certificate_whose_key_is_too_short() {
    let host = site().start();
    let directory = host.site().directory().to_owned();
    let path = |name: &str| directory.join(name).display().to_string();
    let (certificate, key) = (path("short.pem"), path("short.key"));
    let make = "req -x509 -newkey rsa:1024 -nodes -subj /CN=short -days 2 -out";
    let mut arguments: Vec<&str> = make.split(' ').collect();
    arguments.extend([certificate.as_str(), "-keyout", &key]);
    tool::run("openssl", &arguments).expect_code(0);
    // OpenSSL does not show such a certificate itself, unless it is told to.
    let shown = ["-cert", &certificate, "-key", &key];
    let lax = ["-cipher", "DEFAULT@SECLEVEL=0", "-tls1_2"];
    let arguments = [&["-starttls", "smtp"], &shown[..], &lax].concat();
    fail(&host, "smtp", &arguments);
    let (failure, log) = afterwards(host);
    let reason = "client certificate: RSA key of 1024 bits";
    let found = failure["reason"].as_str().expect("a reason");
    assert!(found.starts_with(reason), "{found}");
    assert!(log.contains(reason), "{log}");
}

/// Behind a proxy the client is whom the header names, not the proxy.
#[test]
fn a_failure_is_that_of_the_client_behind_a_proxy() {
    let host = site().start();
    let through = |client: &str| {
        let mut connection = Client::connect_silently(host.address("proxied"));
        connection.send(format!("PROXY TCP4 {client} 198.51.100.25 50000 25\r\n"));
        let greeting = connection.reply();
        assert!(greeting.starts_with("220 "), "{greeting}");
        connection.ehlo();
        connection
    };
    let mut failing = through("192.0.2.7");
    failing.expect("STARTTLS", "220");
    failing.send("this is no handshake\r\n");
    failing.drain();
    counted(&host);
    let mut neighbour = through("192.0.2.8");
    neighbour.expect("MAIL FROM:<amy@partner.example>", "250");
    neighbour.expect("RCPT TO:<tls@acme.example>", "530");
    neighbour.quit();
    let mut back = through("192.0.2.7");
    back.expect("MAIL FROM:<amy@partner.example>", "250");
    back.expect("RCPT TO:<opportunistic@acme.example>", "250");
    back.quit();
    let site = host.stop().site;
    let failure = |recipient| {
        let receipt = site.receipt(recipient);
        receipt["verdict"]["facts"]["connection"]["handshake_failure"].clone()
    };
    assert_eq!(failure("tls@acme.example"), Value::Null);
    let known = failure("opportunistic@acme.example");
    assert_eq!(known["reason"], "not TLS");
}
