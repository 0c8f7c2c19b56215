//! What cannot be: every fault is said by its key, and nothing of it is kept.

use std::fs;

use portcullis_tests::api::{REMOVE, over_network, over_socket, resend, send, token};
use serde_json::json;

use super::{large_list, put};
use crate::api::managed;

#[test]
fn what_cannot_be_is_refused_by_its_key() {
    let host = managed();
    let (admin, _) = token(&host, "admin", "acme");
    let key = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";
    let most = format!("@{}", large_list(&host, 100_001));
    let huge = host.site().path("huge");
    let _ = fs::write(&huge, vec![b'x'; (16 << 20) + 1]);
    let huge = format!("@{}", huge.display());
    let many = host.site().path("many");
    let _ = fs::write(&many, format!("{{\"x\":[{}0]}}", "[0],".repeat(200_000)));
    let many = format!("@{}", many.display());
    let long = json!({ "entries": ["x".repeat(513)] }).to_string();
    let text = |body| {
        vec![
            "-X",
            "PUT",
            "-H",
            "Content-Type: text/plain",
            "--data-binary",
            body,
        ]
    };
    for (path, arguments, code, said) in [
        (
            "policies/board",
            resend("PUT", "{\"option\":\"enforce\"}"),
            422,
            "option: \"enforce\"",
        ),
        (
            "policies/board",
            resend("PUT", "{\"optoin\":\"enforced\"}"),
            422,
            "there are 2 faults",
        ),
        (
            "policies/board",
            resend("PUT", "{\"option\":null}"),
            422,
            "option: null is no value",
        ),
        ("policies/board", resend("PUT", "[]"), 400, "expected a map"),
        (
            "policies/board",
            resend("PUT", "{\"option\":\"enforced\",\"name\":\"x\"}"),
            422,
            "is not \"board\"",
        ),
        (
            "policies/Board",
            send("PUT", "{\"option\":\"enforced\"}"),
            422,
            "name: \"Board\" is not a name",
        ),
        (
            "policies/new",
            send("PUT", "{\"option\":\"module\",\"module\":\"none\"}"),
            422,
            "module: ",
        ),
        (
            "policies/asked",
            resend(
                "PUT",
                "{\"from\":\"never.example\",\"option\":\"module\",\"module\":\"partner-list\",\"settings\":{\"list\":7}}",
            ),
            422,
            "settings.list: ",
        ),
        (
            "policies/new",
            send(
                "PUT",
                "{\"option\":\"enforced\",\"valid_from\":\"2026-12-31T00:00:00Z\",\"valid_until\":\"2026-01-01T00:00:00Z\"}",
            ),
            422,
            "valid_until: ",
        ),
        (
            "policies/new",
            send("PUT", "{\"option\":\"enforced\",\"from\":\"list:none\"}"),
            422,
            "from: ",
        ),
        (
            "policies/new?dry=1",
            send("PUT", "{}"),
            400,
            "unknown field `dry`",
        ),
        (
            "policies/new",
            vec!["-X", "PUT", "--data", "x"],
            415,
            "send JSON",
        ),
        ("policies/none", REMOVE.to_vec(), 404, "no policy \"none\""),
        (
            "lists/partners",
            resend("PUT", "{\"entries\":[\"a.example\",\"a.example\"]}"),
            422,
            "is there twice",
        ),
        (
            "lists/partners",
            resend("PUT", "{\"entries\":[\"a\",7]}"),
            400,
            "entries[1]: 7 is not text",
        ),
        (
            "lists/partners",
            resend("PUT", "{\"entries\":7}"),
            400,
            "entries: 7 is neither",
        ),
        (
            "lists/Partners",
            send("PUT", "{\"entries\":[]}"),
            422,
            "\"Partners\" is not a name",
        ),
        (
            "lists/new",
            text(&most),
            422,
            "line 100001: the list is over the limit of 100000 entries",
        ),
        ("lists/new", text(&huge), 413, "16777216 bytes"),
        ("own", resend("PUT", &many), 413, "more than 200000 values"),
        (
            "lists/new",
            send("PUT", &long),
            422,
            "the key has 513 octets, over the limit of 512",
        ),
        (
            "lists/none",
            send("PATCH", "{\"entries\":{}}"),
            404,
            "no list \"none\"",
        ),
        ("lists/none", REMOVE.to_vec(), 404, "no list \"none\""),
        (
            "own",
            resend("PUT", "{\"targets\":{}}"),
            422,
            "targets: this is not written here, but by operators",
        ),
        (
            "own",
            resend("PUT", "{\"domains\":[\"bank.example\"]}"),
            422,
            "domains: this is not written here",
        ),
        (
            "own",
            resend("PUT", "{\"contact\":\"two\\nlines\"}"),
            422,
            "contact: ",
        ),
        (
            "own",
            resend(
                "PUT",
                &json!({ "trust": { "anchors": ["/etc/hostname"] } }).to_string(),
            ),
            422,
            "names no files",
        ),
        (
            "own",
            resend("PUT", &json!({ "trust": { "anchors": [key] } }).to_string()),
            422,
            "private key",
        ),
    ] {
        let answer = over_network(
            &host,
            &format!("/v1/tenants/acme/{path}"),
            &admin,
            &arguments,
        );
        assert_eq!(answer.code, code, "{path} {arguments:?}: {answer:?}");
        let detail = answer.detail();
        assert!(detail.contains(said), "{path} {arguments:?}: {detail}");
    }
    for (path, body, code, said) in [
        ("none", json!({ "domains": [] }), 422, "at least one domain"),
        (
            "none",
            json!({ "domains": ["bank.example"] }),
            409,
            "domain bank.example belongs to tenant bank",
        ),
        (
            "none",
            json!({ "domains": ["BANK.Example"] }),
            409,
            "domain bank.example belongs to tenant bank",
        ),
        ("none", json!({ "domains": ["a b"] }), 422, "domains[0]: "),
        (
            "none",
            json!({ "domains": ["a.example", "A.example"] }),
            422,
            "taken already",
        ),
        ("None", json!({ "domains": ["a.example"] }), 400, "\"None\""),
        (
            "none",
            json!({ "domains": ["a.example"], "operator": { "contact": "x" } }),
            422,
            "contact: this is not written here, but as \"own\"",
        ),
        (
            "none",
            json!({ "domains": ["a.example"], "operator": { "sources": {} , "target": {} } }),
            422,
            "target: ",
        ),
    ] {
        let answer = put(&host, &format!("/v1/tenants/{path}"), &body);
        assert_eq!(answer.code, code, "{path} {body}: {answer:?}");
        assert!(answer.detail().contains(said), "{path} {body}: {answer:?}");
    }
    // A domain is the same in whatever way it is written.
    put(
        &host,
        "/v1/tenants/idn",
        &json!({ "domains": ["BÜCHER.example"] }),
    )
    .expect(201);
    put(
        &host,
        "/v1/tenants/idn2",
        &json!({ "domains": ["xn--bcher-kva.example"] }),
    )
    .expect(409);
    // Nothing of all that was kept.
    let tenant = over_socket(&host, "/v1/tenants/acme", &[]).expect(200);
    assert_eq!(tenant.field("etag"), Some("\"1\""));
    let nobody = over_socket(&host, "/v1/tenants/none", &[]);
    assert_eq!(nobody.code, 404);
    // A list that a policy reads is in use.
    let policy = json!({ "option": "enforced", "from": "list:partners" });
    put(&host, "/v1/tenants/acme/policies/listed", &policy).expect(201);
    let used = over_socket(&host, "/v1/tenants/acme/lists/partners", &REMOVE).expect(422);
    let said = "policy \"listed\": from: ";
    assert!(used.detail().starts_with(said), "{used:?}");
    host.stop();
}

/// Whichever way it is that what is over it comes.
#[test]
fn what_is_over_a_quota_is_refused_by_its_name() {
    let host = managed();
    let quotas = |policies: u32| {
        json!({
            "domains": ["small.example"],
            "operator": { "quotas": { "policies": policies, "list_entries": 2 } },
        })
        .to_string()
    };
    over_socket(&host, "/v1/tenants/small", &send("PUT", &quotas(1))).expect(201);
    let (admin, _) = token(&host, "admin", "small");
    let ask = |path: &str, arguments: &[&str]| {
        over_network(
            &host,
            &format!("/v1/tenants/small/{path}"),
            &admin,
            arguments,
        )
    };
    let policy = "{\"option\":\"enforced\"}";
    ask("policies/one", &send("PUT", policy)).expect(201);
    ask(
        "lists/a",
        &send("PUT", "{\"entries\":[\"a.example\",\"b.example\"]}"),
    )
    .expect(201);
    let entries =
        "lists: 3 entries of lists are over the tenant's quota of 2 (quotas.list_entries)";
    for (path, arguments, said) in [
        (
            "policies/two",
            send("PUT", policy),
            "policy: 2 policies are over the tenant's quota of 1 (quotas.policies)",
        ),
        (
            "lists/b",
            send("PUT", "{\"entries\":[\"c.example\"]}"),
            entries,
        ),
        (
            "lists/a",
            resend("PUT", "{\"entries\":[\"a\",\"b\",\"c\"]}"),
            entries,
        ),
        (
            "lists/a",
            send("PATCH", "{\"entries\":{\"c.example\":\"\"}}"),
            entries,
        ),
        (
            "own",
            resend("PUT", "{\"quotas\":{\"policies\":9}}"),
            "quotas: this is not written here, but by operators",
        ),
        (
            "own",
            resend("PUT", "{\"sources\":{\"networks\":[\"192.0.2.1\"]}}"),
            "sources: this is not written here, but by operators",
        ),
    ] {
        let refused = ask(path, &arguments).expect(422);
        assert!(refused.detail().starts_with(said), "{path}: {refused:?}");
    }
    // What is over nothing is taken, and nothing of the rest was.
    ask("policies/one", &resend("PUT", "{\"option\":\"default\"}")).expect(200);
    let patch = "{\"entries\":{\"a.example\":null,\"c.example\":\"\"}}";
    ask("lists/a", &send("PATCH", patch)).expect(200);
    assert_eq!(ask("lists/a", &[]).expect(200).json()["entries"], 2);
    ask("lists/b", &[]).expect(404);
    ask("policies/two", &[]).expect(404);
    // An operator gives more, and does not take away what is there.
    over_socket(&host, "/v1/tenants/small", &resend("PUT", &quotas(2))).expect(200);
    ask("policies/two", &send("PUT", policy)).expect(201);
    let less = over_socket(&host, "/v1/tenants/small", &resend("PUT", &quotas(1))).expect(422);
    assert!(less.detail().contains("2 policies are over"), "{less:?}");
    host.stop();
}

/// It is no fault, but whoever writes it hears of it, and nobody else.
#[test]
fn servers_of_two_tenants_are_warned_of() {
    let host = managed();
    let (admin, _) = token(&host, "admin", "bank");
    let sources = |domain: &str, network: &str| {
        let operator = json!({ "sources": { "networks": [network] } });
        json!({ "domains": [domain], "operator": operator }).to_string()
    };
    let own = "{\"contact\":\"call us\"}".to_owned();
    let shared = "tenant bank: sources: 192.0.2.7/32 is a source of acme as well";
    for (path, body, said) in [
        ("acme", sources("acme.example", "192.0.2.0/24"), None),
        ("bank", sources("bank.example", "198.51.100.7"), None),
        (
            "bank?dry_run=true",
            sources("bank.example", "192.0.2.7"),
            Some(shared),
        ),
        ("bank", sources("bank.example", "192.0.2.7"), Some(shared)),
        // It was said.
        ("bank", sources("bank.example", "192.0.2.7"), None),
    ] {
        let path = format!("/v1/tenants/{path}");
        let answer = over_socket(&host, &path, &resend("PUT", &body)).expect(200);
        let warnings = answer.json()["warnings"].clone();
        let warnings: Vec<String> = serde_json::from_value(warnings).expect("lines");
        let found = warnings.first().map(String::as_str).unwrap_or_default();
        assert_eq!(
            warnings.len(),
            usize::from(said.is_some()),
            "{path}: {warnings:?}"
        );
        assert!(
            found.starts_with(said.unwrap_or_default()),
            "{path}: {found}"
        );
    }
    let answer = over_network(&host, "/v1/tenants/bank/own", &admin, &resend("PUT", &own));
    assert_eq!(answer.expect(200).json()["warnings"], json!([]));
    // On the command line it is beside the changes.
    let club = host.site().path("club.json");
    let _ = fs::write(&club, sources("club.example", "192.0.2.0/28"));
    let club = club.display().to_string();
    let made = host.site().run_with("tenant", &["set", "club", &club]);
    let made = made.expect_code(0);
    for other in ["acme", "bank"] {
        let said = format!("is a source of {other} as well");
        assert!(made.stderr.contains(&said), "{}", made.stderr);
    }
    assert!(
        made.stderr.starts_with("warning: tenant club: "),
        "{}",
        made.stderr
    );
    assert!(made.stdout.starts_with("+ tenant club"), "{}", made.stdout);
    // And so it is for a tree.
    let tree = host.site().path("tree");
    let text = "domains = [\"bank.example\"]\n[sources]\nnetworks = [\"192.0.2.9\"]\n";
    let _ = fs::write(tree.join("tenants/bank.toml"), text);
    let text = "domains = [\"acme.example\"]\n[sources]\nnetworks = [\"192.0.2.8/31\"]\n";
    let _ = fs::write(tree.join("tenants/acme.toml"), text);
    let tree = tree.display().to_string();
    let applied = host.site().run_with("apply", &[&tree]).expect_code(0);
    let said = "warning: tenant bank: sources: 192.0.2.9/32 is a source of acme as well";
    assert!(applied.stderr.contains(said), "{}", applied.stderr);
    host.stop();
}
