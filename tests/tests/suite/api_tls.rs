//! The admin API over TLS: with its own certificate, and never in clear.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use portcullis_tests::api::{over_socket, token};
use portcullis_tests::certificate::Authority;
use portcullis_tests::client::Client;
use portcullis_tests::program::portcullis;
use portcullis_tests::site::{Host, Site};
use portcullis_tests::tool::{self, Ran};

const NAME: &str = "api.host.example";

const SETTINGS: &str = "[admin]\naddress = \"127.0.0.1:0\"\n\
    [admin.tls]\nchain = \"api.pem\"\nkey = \"api.key\"";

/// What curl says of a certificate that it does not trust.
const UNTRUSTED: i32 = 60;

/// A site whose API has a certificate of this authority.
fn site(authority: &Authority) -> Site {
    let site = Site::new()
        .settings(SETTINGS)
        .tenant("acme", "domains = [\"acme.example\"]");
    let names = [NAME, "127.0.0.1"];
    authority.issue(&names).write(site.directory(), "api");
    fs::write(site.path("ca.pem"), authority.pem()).expect("the site can be written");
    site
}

/// Asks over this scheme, trusting the authority in this file of the site.
fn ask(host: &Host, scheme: &str, trusted: &str, arguments: &[&str]) -> Ran {
    let port = host.address("admin").port();
    let trusted = host.site().path(trusted).display().to_string();
    let resolve = format!("{NAME}:{port}:127.0.0.1");
    let url = format!("{scheme}://{NAME}:{port}/v1/tenants");
    let mut all = vec!["-sS", "--max-time", "20", "--cacert", &trusted];
    all.extend(["--resolve", &resolve]);
    all.extend(arguments);
    all.push(&url);
    tool::run("curl", &all)
}

/// Waits until it is answered so.
fn wait_for(host: &Host, trusted: &str, code: i32) {
    let began = Instant::now();
    while ask(host, "https", trusted, &[]).code != code {
        let waited = began.elapsed();
        assert!(waited < Duration::from_secs(20), "{trusted}: not {code}");
        thread::yield_now();
    }
}

#[test]
fn tokens_go_over_tls_alone() {
    let host = site(&Authority::new("ours")).start();
    host.write("other.pem", Authority::new("other").pem());
    let (viewer, _) = token(&host, "viewer", "acme");
    let bearer = format!("Authorization: Bearer {viewer}");
    for versions in [
        ["--tlsv1.3", "--tls-max", "1.3"],
        ["--tlsv1.2", "--tls-max", "1.2"],
    ] {
        let arguments = [&versions[..], &["-H", &bearer]].concat();
        let answer = ask(&host, "https", "ca.pem", &arguments).expect_code(0);
        assert!(answer.stdout.contains("\"id\":\"acme\""), "{answer:?}");
    }
    // The command line as well.
    host.write("token", &viewer);
    let path = |name: &str| host.site().path(name).display().to_string();
    let url = format!("https://{}", host.address("admin"));
    let file = path("token");
    let list = ["tenant", "list", "--url", &url, "--token-file", &file];
    let program = portcullis().display().to_string();
    let trusting = |ca: &str| tool::run(&program, &[&list[..], &["--ca", &path(ca)]].concat());
    let listed = trusting("ca.pem").expect_code(0);
    assert!(listed.stdout.contains("acme"), "{listed:?}");
    trusting("other.pem").expect_code(1);

    let unknown = ask(&host, "https", "ca.pem", &[]).expect_code(0);
    assert!(unknown.stdout.contains("\"status\":401"), "{unknown:?}");
    ask(&host, "https", "other.pem", &["-H", &bearer]).expect_code(UNTRUSTED);
    let clear = ask(&host, "http", "ca.pem", &["-H", &bearer]);
    assert_ne!(clear.code, 0, "{clear:?}");
    assert!(!clear.stdout.contains("HTTP/1.1"), "{clear:?}");
    assert!(!clear.stdout.contains("acme"), "{clear:?}");
    host.stop();
}

#[test]
fn a_new_certificate_is_used_when_its_files_change() {
    let host = site(&Authority::new("first")).start();
    ask(&host, "https", "ca.pem", &[]).expect_code(0);
    // Whoever writes half of it changes nothing.
    let whole = fs::read(host.site().path("api.pem")).expect("it was written");
    host.write("api.pem", "half");
    let said = "the admin API's new certificate cannot be used, and the one that was in use stays";
    let next = Authority::new("next");
    host.write("next.pem", next.pem());
    ask(&host, "https", "ca.pem", &[]).expect_code(0);
    host.write("api.pem", whole);
    ask(&host, "https", "ca.pem", &[]).expect_code(0);
    // With the key of another it cannot be used, and that is said.
    let other = next
        .issue(&[NAME])
        .write(host.site().directory(), "next-api");
    fs::copy(&other.certificate, host.site().path("api.pem")).expect("copied");
    ask(&host, "https", "ca.pem", &[]).expect_code(0);
    fs::copy(&other.key, host.site().path("api.key")).expect("copied");
    wait_for(&host, "next.pem", 0);
    ask(&host, "https", "ca.pem", &[]).expect_code(UNTRUSTED);
    let ended = host.stop();
    let used = "the admin API's new certificate is in use";
    assert!(ended.log.contains(used), "{}", ended.log);
    assert!(ended.log.matches(said).count() <= 2, "{}", ended.log);
}

#[test]
fn without_a_certificate_nobody_gets_in_and_mail_does() {
    let ours = Authority::new("ours");
    let site = site(&ours);
    let good = fs::read(site.path("api.pem")).expect("it was written");
    let site = site.file("api.pem", "nothing");
    let ran = site.run("check").expect_code(1);
    let fault = "portcullis.toml:";
    assert!(
        ran.stderr.contains(fault) && ran.stderr.contains("api.pem"),
        "{}",
        ran.stderr
    );
    let host = site.start();
    for scheme in ["https", "http"] {
        let refused = ask(&host, scheme, "ca.pem", &[]);
        assert_ne!(refused.code, 0, "{refused:?}");
    }
    over_socket(&host, "/v1/node", &[]).expect(200);
    let mut client = Client::connect(host.address("smtp"));
    client.ehlo();
    client.expect("MAIL FROM:<amy@sender.example>", "250");
    client.expect("RCPT TO:<ben@acme.example>", "250");
    client.quit();
    host.write("api.pem", good);
    wait_for(&host, "ca.pem", 0);
    let ended = host.stop();
    let said = "the admin API's certificate cannot be used, so nobody can ask at its address";
    assert!(ended.log.contains(said), "{}", ended.log);
}

#[test]
fn silent_strangers_keep_nobody_out_for_long() {
    let host = site(&Authority::new("ours")).start();
    let silent: Vec<_> = (0..80)
        .map(|_| Client::connect_silently(host.address("admin")))
        .collect();
    over_socket(&host, "/v1/node", &[]).expect(200);
    ask(&host, "https", "ca.pem", &[]).expect_code(0);
    drop(silent);
    host.stop();
}

#[test]
fn what_the_address_may_be() {
    let ours = Authority::new("ours");
    let check = |admin: &str, code| {
        let site = Site::new()
            .settings(admin)
            .tenant("acme", "domains = [\"acme.example\"]");
        ours.issue(&[NAME]).write(site.directory(), "api");
        site.run("check").expect_code(code).stderr
    };
    let tls = "[admin.tls]\nchain = \"api.pem\"\nkey = \"api.key\"";
    let remote = "[admin]\naddress = \"0.0.0.0:8925\"\n";
    check(&format!("{remote}{tls}"), 0);
    for (admin, said) in [
        (
            remote.to_owned(),
            "admin.address: 0.0.0.0:8925 is no loopback address",
        ),
        (
            tls.to_owned(),
            "admin.tls: there is no address that could speak TLS: set admin.address",
        ),
        (
            format!("{remote}[admin.tls]\nchain = \"api.pem\""),
            "admin.tls: \"key\" is missing",
        ),
        (
            format!("{remote}[admin.tls]\nchain = \"api.pem\"\nkey = \"none.key\""),
            "none.key",
        ),
    ] {
        let found = check(&admin, 1);
        assert!(found.contains(said), "{admin}: {found}");
    }
}
