//! What is told of decisions by modules.

use portcullis_tests::program::stock_policy;

use super::*;
use crate::engine::guest::never_answers;

/// A module that is asked leaves its traces: what it used in the metrics, and which it was
/// in the log.
#[test]
fn a_decision_by_a_module_is_measured_and_its_line_names_it() {
    let module = format!("{:?}", stock_policy("partner-list"));
    let host = Site::new()
        .settings(METRICS)
        .settings("[log]\nformat = \"json\"")
        .tenant(
            "acme",
            &format!(
                "domains = [\"acme.example\"]\n\
                 [lists.partners]\nentries = {{ \"sender.example\" = \"tls\" }}\n\
                 [[module]]\nname = \"partner-list\"\npath = {module}\n\
                 [[policy]]\nname = \"partners\"\noption = \"module\"\n\
                 module = \"partner-list\"\nsettings = {{ list = \"partners\" }}"
            ),
        )
        .start();
    let mut client = Client::connect(host.address("smtp"));
    client.ehlo();
    client.expect("MAIL FROM:<amy@other.example>", "250");
    client.expect("RCPT TO:<bob@acme.example>", "250");
    client.quit();
    let found = scrape_until(&host, "decision_duration_seconds_count{kind=module}", 1.0);
    assert_eq!(found["decision_duration_seconds_count{kind=module}"], 1.0);
    assert!(
        found["decision_duration_seconds_sum{kind=module}"] > 0.0,
        "{found:#?}"
    );
    assert_eq!(found["decision_fuel_count"], 1.0);
    assert!(found["decision_fuel_sum"] > 0.0, "{found:#?}");
    assert_eq!(found["engine_modules"], 1.0);
    let ended = host.stop();
    let receipt = ended.site.receipt("bob@acme.example");
    let fuel = receipt["verdict"]["fuel"].as_f64();
    assert_eq!(fuel, Some(found["decision_fuel_sum"]), "{receipt}");
    let lines = ended
        .log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let mut decided = lines.filter(|line: &Value| line["message"] == "decided");
    let line = decided.next().expect("a line about the decision");
    assert_eq!(line["policy.id"], "partners", "{line}");
    let digest = &receipt["verdict"]["policy"]["module"]["digest"];
    assert!(digest.is_string(), "{receipt}");
    assert_eq!(&line["module.digest"], digest, "{line}");
}

/// As long as it is at work its instance is in use.
#[test]
fn an_instance_that_is_at_work_is_counted() {
    let host = Site::new()
        .settings(METRICS)
        .settings("[engine]\nfuel = 10000000000\ndeadline_ms = 10000")
        .file("slow.wasm", never_answers())
        .tenant(
            "acme",
            "domains = [\"acme.example\"]\n\
             [[module]]\nname = \"slow\"\npath = \"../slow.wasm\"\n\
             [[policy]]\nname = \"slow\"\noption = \"module\"\nmodule = \"slow\"",
        )
        .start();
    let mut client = Client::connect(host.address("smtp"));
    client.ehlo();
    client.expect("MAIL FROM:<amy@sender.example>", "250");
    client.send("RCPT TO:<bob@acme.example>\r\n");
    let began = Instant::now();
    let mut most: f64 = 0.0;
    while most < 1.0 && began.elapsed() < PATIENCE {
        most = most.max(scrape(&host)["engine_instances"]);
    }
    assert_eq!(most, 1.0);
    let reply = client.reply();
    assert!(reply.starts_with("451 4.3.0 Policy temporarily"), "{reply}");
    client.quit();
    let found = scrape_until(&host, "engine_instances", 0.0);
    assert_eq!(found["engine_instances"], 0.0);
}
