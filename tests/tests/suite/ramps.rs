//! Ramps: who is enforced depends on time and domain alone, and a ramp that refuses too much
//! is halted where it stands.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use portcullis_tests::api::{ADDRESS, over_socket, send};
use portcullis_tests::client::Client;
use portcullis_tests::program::portcullis;
use portcullis_tests::site::{Host, Site};
use portcullis_tests::tool::{self, Ran};
use serde_json::{Value, json};

/// Seconds.
const DAY: u64 = 86_400;

/// Longest until a ramp is looked at, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

const POLICY: &str = "/v1/tenants/acme/policies/partners";

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("it is after 1970").as_secs()
}

/// RFC 3339, as Debian's date writes it.
fn time(unix_seconds: u64) -> String {
    let at = format!("@{unix_seconds}");
    let arguments = ["--utc", "--date", &at, "+%Y-%m-%dT%H:%M:%SZ"];
    let ran = tool::run("date", &arguments).expect_code(0);
    ran.stdout.trim().to_owned()
}

/// Seconds since 1970 of a time in a policy.
fn seconds(time: &Value) -> u64 {
    let time = time.as_str().expect("a time");
    let ran = tool::run("date", &["--date", time, "+%s"]).expect_code(0);
    ran.stdout.trim().parse().expect("a number")
}

/// A host with one tenant, whose only policy enforces TLS for half of all sender domains.
fn half_way(halt_above: Option<u64>) -> Host {
    let site =
        Site::without_files().settings(&format!("{ADDRESS}\n[metrics]\naddress = \"127.0.0.1:0\""));
    let host = site.start();
    let domains = json!({ "domains": ["acme.example"] }).to_string();
    over_socket(&host, "/v1/tenants/acme", &send("PUT", &domains)).expect(201);
    let mut ramp = json!({ "start": time(now() - DAY), "end": time(now() + DAY) });
    if let Some(percent) = halt_above {
        ramp["halt_above"] = percent.into();
    }
    let policy = json!({ "option": "enforced", "ramp": ramp }).to_string();
    over_socket(&host, POLICY, &send("PUT", &policy)).expect(201);
    host
}

fn sender(number: usize) -> String {
    format!("amy@d{number}.example")
}

/// What senders in clear are told: true where it is to use TLS.
fn refused(host: &Host, numbers: std::ops::Range<usize>) -> Vec<bool> {
    let mut client = Client::connect(host.address("smtp"));
    client.ehlo();
    let told = numbers.map(|number| {
        client.expect(&format!("MAIL FROM:<{}>", sender(number)), "250");
        let reply = client.say("RCPT TO:<ben@acme.example>");
        client.expect("RSET", "250");
        assert!(
            reply.starts_with("250") || reply.starts_with("530 5.7.0"),
            "{reply}"
        );
        reply.starts_with("530")
    });
    let told = told.collect();
    client.quit();
    told
}

/// The place of a sender's domain, in millionths, as docs/policies.md defines it.
fn place(number: usize) -> u64 {
    let text = format!("partners\0d{number}.example");
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    let first: [u8; 8] = digest.as_ref()[..8].try_into().expect("it has 32 octets");
    ((u128::from(u64::from_be_bytes(first)) * 1_000_000) >> 64)
        .try_into()
        .expect("it is less than a million")
}

fn policy(host: &Host) -> Value {
    over_socket(host, POLICY, &[]).expect(200).json()["document"].clone()
}

fn as_owner(host: &Host, arguments: &[&str]) -> Ran {
    let config = host.site().path("portcullis.toml").display().to_string();
    let all = [arguments, &["--config", &config]].concat();
    tool::run(&portcullis().display().to_string(), &all)
}

fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn half_of_the_domains_are_enforced_and_they_stay_the_same() {
    let host = half_way(None);
    let expected: Vec<bool> = (0..60).map(|number| place(number) < 500_000).collect();
    let told = refused(&host, 0..60);
    // None is so near to the middle that the time of this test would matter.
    assert_eq!(told, expected);
    assert!(told.contains(&true) && told.contains(&false));

    // Another start of the host says the same of everybody.
    let host = host.stop().site.start();
    assert_eq!(refused(&host, 0..60), expected);

    // Receipts have where the ramp stood, for those who are enforced and for the others.
    let receipt = |number: usize| {
        let path = format!("/v1/receipts?sender={}&limit=1", sender(number));
        wait_for("a receipt", || {
            let found = over_socket(&host, &path, &[]).expect(200).json();
            let event = found["items"][0]["verdict"].clone();
            (!event.is_null()).then_some(event)
        })
    };
    for (number, is_enforced) in expected.iter().enumerate().take(4) {
        let event = receipt(number);
        let used = match is_enforced {
            true => &event["policy"],
            false => &event["monitored"]["policy"],
        };
        assert_eq!(used["name"], "partners", "{event}");
        assert_eq!(used["ramp"]["place"], place(number), "{event}");
        let share = used["ramp"]["share"].as_u64().expect("a share");
        assert!((500_000..510_000).contains(&share), "{event}");
    }

    // So does the question which policy applies.
    let sender = sender(
        expected
            .iter()
            .position(|it| !it)
            .expect("one is monitored"),
    );
    let arguments = [
        "explain",
        "--from",
        &sender,
        "--to",
        "ben@acme.example",
        "--client",
        "192.0.2.1",
        "--tenant",
        "acme",
    ];
    let shown = as_owner(&host, &arguments).expect_code(0).stdout;
    assert!(shown.contains("monitor (50 %)"), "{shown}");
    host.stop();
}

#[test]
fn a_ramp_that_refuses_too_much_is_halted_and_goes_on_when_it_is_told_to() {
    let host = half_way(Some(5));
    let told = refused(&host, 0..60);
    let count = told.iter().filter(|refused| **refused).count();
    assert!(count > 3, "{count} of 60 are not too much");
    let halted = wait_for("it is not halted", || {
        let ramp = policy(&host)["ramp"].clone();
        ramp["halted"].as_str().map(str::to_owned)
    });

    // It is a change like any other, and known to whoever watches the host.
    let audit = over_socket(&host, "/v1/audit?tenant=acme", &[])
        .expect(200)
        .json();
    let entries = audit["items"].as_array().expect("a page");
    let entry = entries.iter().find(|entry| entry["who"] == "host (ramp)");
    let entry = entry.unwrap_or_else(|| unreachable!("{audit}"));
    assert!(entry.to_string().contains(&halted), "{entry}");
    wait_for("the metrics do not say so", || {
        let page = tool::run(
            "curl",
            &[
                "-sS",
                &format!("http://{}/metrics", host.address("metrics")),
            ],
        );
        let line = "portcullis_ramp_halted{tenant=\"acme\",policy=\"partners\"} 1";
        page.stdout.contains(line).then_some(())
    });

    // It stands: the share is that of the moment when it was halted.
    assert_eq!(refused(&host, 0..60), told);
    let ramp = policy(&host)["ramp"].clone();
    let [start, end, halted] = ["start", "end", "halted"].map(|key| seconds(&ramp[key]));
    let stood = (halted - start) * 1_000_000 / (end - start);
    let number = told.iter().position(|refused| *refused);
    let number = number.expect("one is refused");
    wait_for("no receipt has the share", || {
        let path = format!("/v1/receipts?sender={}&limit=1", sender(number));
        let found = over_socket(&host, &path, &[]).expect(200).json();
        (found["items"][0]["verdict"]["policy"]["ramp"]["share"] == stood).then_some(())
    });

    // It goes on from where it stood.
    as_owner(&host, &["policy", "enforce", "partners", "--resume"]).expect_code(0);
    let ramp = policy(&host)["ramp"].clone();
    assert_eq!(ramp["halted"], Value::Null);
    assert_eq!(ramp["halt_above"], 5);
    // What it was halted for is no reason to halt it again; what comes now is.
    assert!(ramp["resumed"].is_string(), "{ramp}");
    assert_eq!(refused(&host, 0..60), told);
    wait_for("it is not halted again", || {
        policy(&host)["ramp"].get("halted").map(drop)
    });
    let log = host.stop().log;
    assert!(
        log.contains("a ramp refused too much and was halted"),
        "{log}"
    );
}

#[test]
fn a_policy_is_enforced_by_steps_from_the_command_line() {
    let host = half_way(None);
    let enforce = |more: &[&str]| as_owner(&host, &[&["policy", "enforce"], more].concat());
    enforce(&[
        "partners",
        "--ramp",
        "14d",
        "--halt-above",
        "3",
        "--start",
        "2031-01-01T00:00:00Z",
    ])
    .expect_code(0);
    let expected = json!({
        "start": "2031-01-01T00:00:00Z",
        "end": "2031-01-15T00:00:00Z",
        "halt_above": 3,
    });
    assert_eq!(policy(&host)["ramp"], expected);
    assert_eq!(refused(&host, 0..3), [false; 3]);
    let refusal = enforce(&["partners", "--resume"]);
    assert_ne!(refusal.code, 0);
    assert!(
        refusal.stderr.contains("its ramp was not halted"),
        "{}",
        refusal.stderr
    );
    enforce(&["partners"]).expect_code(0);
    assert_eq!(policy(&host)["ramp"], Value::Null);
    assert_eq!(refused(&host, 0..3), [true; 3]);
    let none = enforce(&["nobody"]);
    assert!(none.stderr.contains("nobody"), "{}", none.stderr);
    host.stop();
}
