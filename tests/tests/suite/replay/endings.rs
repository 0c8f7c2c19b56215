//! What ends a replay before its end, and what does not.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use portcullis_tests::api::{over_socket, ready, resend, token};
use portcullis_tests::program::portcullis;
use portcullis_tests::site::Host;
use portcullis_tests::tool;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::{PATIENCE, ended, enforced, host_with, location, mail, replayed, start, wait_for};

/// A host whose tenant acme has receipts for a while: each is asked of a module that takes
/// its time.
fn with_much_to_do() -> (Host, Value) {
    let host = host_with("[engine]\ninstances = 4\nfuel = 1000000000\ndeadline_ms = 5000\n");
    let (author, _) = token(&host, "author", "acme");
    host.write("slow.wasm", crate::engine::guest::spins(3_000_000));
    let file = host.site().path("slow.wasm").display().to_string();
    let module = "/v1/tenants/acme/modules/slow";
    let number = ready(&host, module, &author, &file);
    let body = json!({ "revision": number }).to_string();
    over_socket(&host, &format!("{module}/active"), &resend("PUT", &body)).expect(200);
    mail(
        &host,
        None,
        "amy@clear.example",
        &["ann@acme.example"; 2_000],
    );
    wait_for(&host, "acme", 2_000);
    let asks = json!({ "name": "slow", "option": "module", "module": "slow" });
    (host, json!({ "policy": asks }))
}

#[test]
fn a_replay_ends_when_it_is_cancelled_when_its_tenant_goes_and_when_the_host_stops() {
    let (host, slow) = with_much_to_do();
    let begun = start(&host, "acme", &slow).expect(202);
    // One at a time of each tenant; another tenant's is none of it.
    let busy = start(&host, "acme", &enforced()).expect(429);
    let location = location(&begun);
    let (_, id) = location.rsplit_once('/').expect("it ends with the id");
    assert!(
        busy.detail().contains(&format!("replay {id} of")),
        "{busy:?}"
    );
    replayed(&host, "bank", &enforced());
    let cancelled = over_socket(&host, &location, &["-X", "DELETE"])
        .expect(200)
        .json();
    assert_eq!(cancelled["state"], "cancelled", "{cancelled}");
    assert!(cancelled["result"].is_null());
    assert!(cancelled["done"].as_u64() < Some(2_000), "{cancelled}");
    assert_eq!(cancelled["of"], 2_000);
    // What has ended stays as it is, and the next may begin.
    let again = over_socket(&host, &location, &["-X", "DELETE"])
        .expect(200)
        .json();
    assert_eq!(again["state"], "cancelled");
    assert_eq!(
        replayed(&host, "acme", &enforced())["result"]["newly_refused"],
        2_000
    );

    // On the command line Ctrl-C cancels it on the host.
    host.write("slow.json", slow["policy"].to_string());
    let config = host.site().path("portcullis.toml").display().to_string();
    let file = host.site().path("slow.json").display().to_string();
    let child = Command::new(portcullis())
        .args([
            "replay", "--config", &config, "--tenant", "acme", "--policy", &file,
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary was built");
    let began = Instant::now();
    // What is nonsense takes nobody's turn.
    let reversed = json!({ "from": "2026-03-02T00:00:00Z", "to": "2026-03-01T00:00:00Z" });
    while start(&host, "acme", &reversed).code != 429 {
        assert!(began.elapsed() < PATIENCE, "it never began");
    }
    let pid = Pid::from_child(&child);
    kill_process(pid, Signal::INT).expect("it runs");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(1));
    let said = tool::text(&output.stderr);
    assert!(said.contains("cancelled, here and on the host"), "{said}");
    replayed(&host, "acme", &enforced());

    // A tenant that is removed takes its replay with it; the host does not wait for one.
    start(&host, "acme", &slow).expect(202);
    over_socket(
        &host,
        "/v1/tenants/acme",
        &["-X", "DELETE", "-H", "If-Match: *"],
    )
    .expect(200);
    host.stop();
}

#[test]
fn a_host_that_stops_does_not_wait_for_a_replay() {
    let (host, slow) = with_much_to_do();
    start(&host, "acme", &slow).expect(202);
    let began = Instant::now();
    host.stop();
    assert!(began.elapsed() < Duration::from_secs(30));
}

/// Retention takes receipts away while they are gone over: a host looks what is over when it
/// starts. Each of them is there or not.
#[test]
fn retention_takes_nothing_from_a_replay_but_receipts() {
    let (host, slow) = with_much_to_do();
    let quota = json!({
        "domains": ["acme.example"],
        "operator": { "quotas": { "receipt_count": 1_000 } },
    });
    let path = "/v1/tenants/acme";
    over_socket(&host, path, &resend("PUT", &quota.to_string())).expect(200);
    let host = host.stop().site.start();
    let found = ended(&host, &start(&host, "acme", &slow).expect(202));
    assert_eq!(found["state"], "done", "{found}");
    let result = &found["result"];
    let receipts = result["receipts"].as_u64().expect("a number");
    assert!((1_000..=2_000).contains(&receipts), "{result}");
    assert_eq!(result["unchanged"], receipts, "{result}");
    wait_for(&host, "acme", 1_000);
    host.stop();
}
