//! What a replay makes of candidates that break down, of receipts of what is gone, and of
//! requests that cannot be.

use portcullis_tests::api::{over_network, over_socket, post, ready, resend, send, stock, token};
use serde_json::{Value, json};

use super::{ALL, command, enforced, guest_file, host, mail, replayed, start, wait_for};

#[test]
fn a_candidate_that_traps_on_some_receipts_is_told_with_a_sample_and_brings_nobody_into_quarantine()
{
    let host = host();
    let (author, _) = token(&host, "author", "acme");
    let module = "/v1/tenants/acme/modules/checks";
    let number = ready(&host, module, &author, &guest_file(&host));
    let body = json!({ "revision": number }).to_string();
    over_socket(&host, &format!("{module}/active"), &resend("PUT", &body)).expect(200);
    // More than a quarantine takes.
    mail(&host, None, "", &["ann@acme.example"; 25]);
    mail(&host, None, "amy@clear.example", &["ann@acme.example"; 5]);
    wait_for(&host, "acme", 30);
    let asks = json!({ "name": "asks", "option": "module", "module": "checks" });
    let found = replayed(&host, "acme", &json!({ "policy": asks }));
    let result = &found["result"];
    let failure = &result["failures"][0];
    assert_eq!(
        (&failure["code"], &failure["receipts"]),
        (&json!("trap"), &json!(25))
    );
    let sample = failure["sample"].as_str().expect("an id");
    over_socket(&host, &format!("/v1/receipts/{sample}"), &[]).expect(200);
    assert_eq!(result["newly_refused"], 25, "{result}");
    assert_eq!(result["refused"][0]["sender"], Value::Null);
    assert_eq!(result["refused"][0]["by"], json!({ "policy-failed": 25 }));
    // In force it still answers: nothing has noted that it broke down.
    let asks = json!({ "option": "module", "module": "checks", "on_failure": "opportunistic" });
    let policy = "/v1/tenants/acme/policies/asks";
    over_socket(&host, policy, &send("PUT", &asks.to_string())).expect(201);
    let reply = &mail(&host, None, "amy@clear.example", &["ann@acme.example"])[0];
    assert!(reply.starts_with("250"), "{reply}");
    let site = host.stop().site;
    let last = site.receipts().pop().expect("a receipt");
    assert!(last["verdict"]["failure"].is_null(), "{last}");
    assert_eq!(last["verdict"]["policy"]["name"], "asks");
}

#[test]
fn receipts_of_what_is_gone_are_decided_like_any_others() {
    let host = host();
    let (author, _) = token(&host, "author", "acme");
    let module = "/v1/tenants/acme/modules/checks";
    let number = ready(&host, module, &author, &stock("certificate-match"));
    let body = json!({ "revision": number }).to_string();
    over_socket(&host, &format!("{module}/active"), &resend("PUT", &body)).expect(200);
    let asks = json!({ "option": "module", "module": "checks" });
    let policy = "/v1/tenants/acme/policies/asks";
    over_socket(&host, policy, &send("PUT", &asks.to_string())).expect(201);
    let reply = &mail(&host, None, "amy@clear.example", &["ann@acme.example"])[0];
    assert!(reply.starts_with("530"), "{reply}");
    wait_for(&host, "acme", 1);
    for path in [policy, module] {
        over_socket(&host, path, &["-X", "DELETE", "-H", "If-Match: *"]).expect(200);
    }
    let found = replayed(&host, "acme", &json!({ "tenant": {} }));
    assert_eq!(found["result"]["newly_accepted"], 1, "{found}");
    // A tenant that is gone has none, and neither has the next of its name.
    let location = format!(
        "/v1/tenants/acme/replays/{}",
        found["id"].as_str().expect("an id")
    );
    over_socket(&host, &location, &[]).expect(200);
    over_socket(
        &host,
        "/v1/tenants/acme",
        &["-X", "DELETE", "-H", "If-Match: *"],
    )
    .expect(200);
    start(&host, "acme", &enforced()).expect(404);
    let domains = json!({ "domains": ["acme.example"] }).to_string();
    over_socket(&host, "/v1/tenants/acme", &send("PUT", &domains)).expect(201);
    over_socket(&host, &location, &[]).expect(404);
    host.stop();
}

#[test]
fn what_cannot_be_asked_is_said() {
    let host = host();
    let policy = |keys: Value| json!({ "policy": keys });
    for (request, code, said) in [
        (json!({}), 422, "give one candidate"),
        (
            json!({ "without": "a", "policy": {} }),
            422,
            "give one candidate",
        ),
        (json!({ "without": "all" }), 404, "no policy \"all\""),
        (json!({ "other": 1 }), 400, "unknown field `other`"),
        (
            policy(json!({ "option": "enforced" })),
            422,
            "name: is missing",
        ),
        (
            policy(json!({ "name": "all", "option": "enforce" })),
            422,
            "enforced",
        ),
        (
            json!({ "module": { "name": "m", "revision": 1 } }),
            404,
            "no revision",
        ),
        (json!({ "directory": "relative" }), 400, "is not absolute"),
        (json!({ "directory": "/nowhere" }), 422, "1 fault"),
        (
            json!({ "tenant": { "policies": [{ "name": "a", "option": "default" }, { "name": "a" }] } }),
            422,
            "tenant.policies[1]",
        ),
        (
            json!({ "from": "2026-03-02T00:00:00Z", "to": "2026-03-01T00:00:00Z", "without": "a" }),
            422,
            "is not after",
        ),
        (
            json!({ "from": "yesterday", "without": "a" }),
            400,
            "is not a time",
        ),
    ] {
        let answer = start(&host, "acme", &request).expect(code);
        let problem = answer.json().to_string().replace("\\\"", "\"");
        assert!(problem.contains(said), "{request}: {said}: {answer:?}");
    }
    start(&host, "nobody", &enforced()).expect(404);
    over_socket(&host, "/v1/tenants/acme/replays/x", &[]).expect(404);
    let (viewer, _) = token(&host, "viewer", "acme");
    let request = enforced().to_string();
    let path = "/v1/tenants/acme/replays";
    let refused = over_network(&host, path, &viewer, &post(&request)).expect(403);
    assert!(
        refused.detail().contains("this is for authors"),
        "{refused:?}"
    );
    let (other, _) = token(&host, "admin", "bank");
    over_network(&host, path, &other, &post(&request)).expect(404);

    // A period with none is no failure, and says so.
    host.write("all.toml", ALL);
    let file = host.site().path("all.toml").display().to_string();
    let policy = ["--tenant", "acme", "--policy", &file];
    let none = command(&host, &policy).expect_code(0).stdout;
    assert!(
        none.starts_with("there are no receipts of acme from "),
        "{none}"
    );
    let reversed = [
        &policy[..],
        &["--since", "2026-03-02", "--until", "2026-03-01"],
    ]
    .concat();
    let said = command(&host, &reversed).expect_code(1).stderr;
    assert!(said.contains("is not after"), "{said}");
    for (arguments, said) in [
        (vec!["--tenant", "acme"], "required"),
        (
            vec!["--without", "a", "--policy", "b"],
            "cannot be used with",
        ),
        (vec!["--module", "m"], "partner-list@3"),
        (
            vec!["--since", "x", "--without", "a"],
            "how long ago, such as 7d",
        ),
    ] {
        let ran = command(&host, &arguments).expect_code(2);
        assert!(ran.stderr.contains(said), "{arguments:?}: {}", ran.stderr);
    }
    let missing = ["--tenant", "acme", "--without", "a"];
    command(&host, &missing).expect_code(4);
    host.stop();
}
