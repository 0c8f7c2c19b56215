//! A tenant's webhook: told over real HTTP and TLS, signed, again where it fails, not
//! anew after a restart, and never where the operator does not let it go.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use portcullis_tests::api::{ADDRESS, over_network, over_socket, token};
use portcullis_tests::certificate::Authority;
use portcullis_tests::program::workspace;
use portcullis_tests::receiver::{Received, Receiver};
use portcullis_tests::site::{Host, Site};
use portcullis_tests::tool;

/// Longest wait for what is done in a moment, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Loopback, in clear.
const ALLOWED: &str = "[webhooks]\nallow = [\"127.0.0.0/8\", \"::1\"]\nallow_http = true";

const KEY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const NEXT: &str = "a3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A tenant about whom there is something to warn of without any mail, unless both keys are
/// pinned.
fn tenant(url: &str, pins: &[&str], more: &str) -> String {
    format!(
        "domains = [\"acme.example\"]\n\
         [webhook]\nurl = {url:?}\n{more}\n\
         [[policy]]\nname = \"bank\"\nfrom = \"bank.example\"\noption = \"enforced\"\n\
         require = {{ pins = {pins:?} }}\n"
    )
}

fn site(settings: &str, tenant: &str) -> Site {
    Site::new()
        .settings(ADDRESS)
        .settings(settings)
        .tenant("acme", tenant)
}

/// Gives the tenant a secret, from when on it is told.
fn secret(host: &Host) -> String {
    let path = "/v1/tenants/acme/webhook/secret";
    let made = over_socket(host, path, &["-X", "POST"]).expect(201);
    let made = made.json();
    made["secret"].as_str().expect("a text").to_owned()
}

fn until_logged(host: Host, needle: &str) -> (Site, String) {
    let began = Instant::now();
    let metrics = |host: &Host| {
        let page = host.address("metrics");
        tool::run("curl", &["-s", &format!("http://{page}/metrics")]).stdout
    };
    while !metrics(&host).contains(needle) {
        assert!(began.elapsed() < PATIENCE, "{needle} in {}", metrics(&host));
        thread::yield_now();
    }
    let ended = host.stop();
    (ended.site, ended.log)
}

const METRICS: &str = "[metrics]\naddress = \"127.0.0.1:0\"";

/// The program in the documentation says whether it is signed.
fn is_signed(message: &Received, secret: &str) -> bool {
    let page = fs::read_to_string(workspace().join("docs/report.md")).expect("it is there");
    let program = page.split("```python\n").nth(1).expect("a program");
    let program = program.split("```").next().expect("its end");
    let variables = [
        ("WEBHOOK_SECRET", secret),
        ("WEBHOOK_ID", message.field("webhook-id")),
        ("WEBHOOK_TIMESTAMP", message.field("webhook-timestamp")),
        ("WEBHOOK_SIGNATURE", message.field("webhook-signature")),
    ];
    let variables = variables.map(|(name, value)| format!("{name}={value}"));
    let mut arguments: Vec<&str> = variables.iter().map(String::as_str).collect();
    arguments.extend(["python3", "-c", program]);
    tool::run_with_input("env", &arguments, message.body.as_bytes()).code == 0
}

#[test]
fn a_webhook_is_told_what_appears_and_what_ends_and_nothing_twice() {
    let receiver = Receiver::start();
    let url = receiver.url("127.0.0.1");
    let settings = format!("{ALLOWED}\n{METRICS}");
    let host = site(&settings, &tenant(&url, &[KEY], "")).start();
    let secret = secret(&host);
    let first = receiver.wait(1).remove(0);
    assert_eq!(first.line, "POST /hook?x=1 HTTP/1.1");
    assert_eq!(first.field("content-type"), "application/json");
    let body = first.json();
    assert_eq!(body["type"], "warning.appeared");
    assert_eq!(body["data"]["kind"], "single-pin");
    assert_eq!(body["data"]["policy"], "bank");
    assert!(is_signed(&first, &secret), "{first:?}");
    let forged = Received {
        body: first.body.replace("bank", "bark"),
        ..first.clone()
    };
    assert!(!is_signed(&forged, &secret));
    let old = Received {
        fields: vec![("webhook-timestamp".to_owned(), "1614265330".to_owned())],
        ..first.clone()
    };
    assert!(!is_signed(&old, &secret));

    // It is looked for warnings at each start.
    let (site, _) = until_logged(
        host,
        "portcullis_webhook_attempts_total{result=\"delivered\"} 1",
    );
    let host = site.start();
    let (site, _) = until_logged(host, "portcullis_warnings{tenant=\"acme\"");
    assert_eq!(receiver.received().len(), 1, "it was told before");
    let host = site.tenant("acme", &tenant(&url, &[KEY, NEXT], "")).start();
    let both = receiver.wait(2);
    assert_eq!(both[1].json()["type"], "warning.ended");
    assert_eq!(both[1].json()["data"], body["data"]);
    assert_ne!(both[1].field("webhook-id"), first.field("webhook-id"));
    // A new secret signs from then on.
    let next = self::secret(&host);
    assert_ne!(next, secret);
    host.stop();
}

#[test]
fn what_does_not_arrive_is_tried_again() {
    let receiver = Receiver::start();
    let elsewhere = Receiver::start();
    let away = format!("302 Found\r\nLocation: {}", elsewhere.url("127.0.0.1"));
    receiver.answer(&["500 Internal Server Error", &away]);
    let host = site(ALLOWED, &tenant(&receiver.url("localhost"), &[KEY], "")).start();
    let secret = secret(&host);
    receiver.wait(1);
    // What is to be told outlives the host.
    let host = host.stop().site.start();
    let all = receiver.wait(2);
    assert_eq!(all[0].field("webhook-id"), all[1].field("webhook-id"));
    assert_eq!(all[0].body, all[1].body);
    assert!(all.iter().all(|message| is_signed(message, &secret)));
    host.stop();
    assert!(elsewhere.received().is_empty(), "a redirect is no way");
}

#[test]
fn a_webhook_goes_over_tls_under_the_roots_of_the_host() {
    let authority = Authority::new("Roots");
    let receiver = Receiver::with_tls(&authority.issue(&["localhost"]));
    let impostor = Receiver::with_tls(&Authority::new("Other").issue(&["localhost"]));
    let settings = "[webhooks]\nallow = [\"127.0.0.0/8\", \"::1\"]\n\
                    [tls]\npublic_roots = \"roots.pem\"\n[metrics]\naddress = \"127.0.0.1:0\"";
    for (url, result) in [
        (receiver.url("localhost"), "delivered"),
        (receiver.url("127.0.0.1"), "failed"),
        (impostor.url("localhost"), "failed"),
    ] {
        let host = site(settings, &tenant(&url, &[KEY], ""))
            .file("roots.pem", authority.pem())
            .start();
        secret(&host);
        let counted = format!("portcullis_webhook_attempts_total{{result=\"{result}\"}} 1");
        until_logged(host, &counted);
    }
    assert_eq!(
        (receiver.received().len(), impostor.received().len()),
        (1, 0)
    );
}

#[test]
fn a_webhook_goes_nowhere_in_the_operators_house() {
    let receiver = Receiver::start();
    for (settings, url, said) in [
        ("allow_http = true", receiver.url("127.0.0.1"), "127.0.0.1"),
        (
            "allow_http = true",
            receiver.url("localhost"),
            "where webhooks may not go",
        ),
        (
            "allow_http = true",
            receiver.url("[::ffff:127.0.0.1]"),
            "where webhooks may not go",
        ),
        ("allow_http = true", receiver.url("0.0.0.0"), "0.0.0.0"),
        (
            "allow_http = true",
            "http://169.254.169.254/latest".to_owned(),
            "169.254.169.254",
        ),
        (
            "allow = [\"127.0.0.0/8\"]",
            receiver.url("127.0.0.1"),
            "is not https",
        ),
    ] {
        let settings = format!("[webhooks]\n{settings}\n{METRICS}");
        let host = site(&settings, &tenant(&url, &[KEY], "")).start();
        secret(&host);
        let counted = "portcullis_webhook_attempts_total{result=\"failed\"} 1";
        let (_, log) = until_logged(host, counted);
        assert!(log.contains(said), "{url}: {log}");
    }
    assert!(receiver.received().is_empty());
}

#[test]
fn only_what_is_wanted_is_told_and_only_with_a_secret() {
    let receiver = Receiver::start();
    let url = receiver.url("127.0.0.1");
    let settings = format!("{ALLOWED}\n{METRICS}");
    let host = site(&settings, &tenant(&url, &[KEY], "kinds = [\"never-met\"]")).start();
    let (admin, _) = token(&host, "admin", "acme");
    let (viewer, _) = token(&host, "viewer", "acme");
    let path = "/v1/tenants/acme/webhook/secret";
    over_network(&host, path, &viewer, &["-X", "POST"]).expect(403);
    let made = over_network(&host, path, &admin, &["-X", "POST"]).expect(201);
    assert!(
        made.json()["secret"]
            .as_str()
            .is_some_and(|text| text.starts_with("whsec_"))
    );
    // It is told nowhere else.
    let text = made.json()["secret"].as_str().expect("a text").to_owned();
    for place in ["/v1/tenants/acme", "/v1/audit"] {
        let shown = over_socket(&host, place, &[]).expect(200);
        assert!(!shown.body.contains(&text), "{shown:?}");
    }
    let (site, log) = until_logged(host, "portcullis_warnings{tenant=\"acme\"");
    assert!(!log.contains(&text));
    assert!(receiver.received().is_empty());
    for (url, said) in [
        ("ftp://acme.example/", "it is no URL of a webhook"),
        ("acme.example", "it is no URL of a webhook"),
        (
            "https://amy:secret@acme.example/",
            "has no user and no fragment",
        ),
    ] {
        let site = Site::new().tenant("acme", &tenant(url, &[KEY], ""));
        let ran = site.run("check");
        assert!(ran.code == 1 && ran.stderr.contains(said), "{ran:?}");
    }
    drop(site);
}
