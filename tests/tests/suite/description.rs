//! The description of the admin API, tried by a program that knows nothing else: what is
//! described is answered as it is described, and nothing that is sent is the host's fault.

use std::fs;

use portcullis_tests::api::{over_socket, token};
use portcullis_tests::program::workspace;
use portcullis_tests::tool;

use super::api::{managed, refusal};

/// Changes of tenants that a trial of thousands of requests makes at the least; it tries
/// most of them without making them.
const CHANGES: usize = 20;

#[test]
fn the_host_answers_as_it_describes() {
    let host = managed();
    let receipt = refusal(&host);
    let (text, id) = token(&host, "operator", "");
    tool::require("schemathesis");
    let files = workspace().join("tests/description");
    let settings = fs::read_to_string(files.join("schemathesis.toml"));
    let settings = settings.expect("a file of the suite");
    let receipts = format!("[dictionaries.receipts]\nvalues = [{receipt:?}]\n");
    host.write("schemathesis.toml", settings + "\n" + &receipts);
    let hooks = files.join("hooks.py").display().to_string();
    let directory = host.site().directory().display().to_string();
    let url = format!("http://{}/v1/openapi.json", host.address("admin"));
    let ran = tool::run(
        "env",
        &[
            &format!("--chdir={directory}"),
            &format!("SCHEMATHESIS_HOOKS={hooks}"),
            &format!("OWN_TOKEN={id}"),
            "schemathesis",
            "run",
            &url,
            "-H",
            &format!("Authorization: Bearer {text}"),
        ],
    );
    ran.expect_code(0);

    // What it stood on is there, and it was not turned away all the time.
    over_socket(&host, "/v1/tenants/acme/modules/partner-list", &[]).expect(200);
    over_socket(&host, "/v1/tenants/bank", &[]).expect(200);
    over_socket(&host, &format!("/v1/tokens/{id}"), &[]).expect(200);
    let audit = over_socket(&host, "/v1/audit?limit=1000", &[]).expect(200);
    let audit = audit.json();
    let who = format!("token a-operator ({id})");
    let is_change = |change: &&serde_json::Value| {
        let what = change["what"].as_str();
        change["who"] == who && what.is_some_and(|what| !what.starts_with("token "))
    };
    let all = audit["items"].as_array().expect("a page has items");
    let made = all.iter().filter(is_change).count();
    assert!(made >= CHANGES, "{made} changes in {audit:#}");
    host.stop();
}
