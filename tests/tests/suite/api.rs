//! The admin API: what it tells, and what it says of bad requests.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::thread;
use std::time::{Duration, Instant};

use portcullis_tests::api::{ADDRESS, over_network, over_socket, post, resend, token};
use portcullis_tests::client::Client;
use portcullis_tests::program::{portcullis, stock_policy};
use portcullis_tests::site::{Host, Site};
use portcullis_tests::tool;
use serde_json::{Value, json};

const ACME: &str = "domains = [\"acme.example\"]\ncontact = \"only-acme-knows\"\n\
    [[module]]\nname = \"partner-list\"\npath = \"../list.wasm\"\n\
    [lists.partners]\nentries = [\"a.example\", \"b.example\", \"c.example\"]\n\
    [[policy]]\nname = \"board\"\nto = \"board@acme.example\"\noption = \"enforced\"\n\
    [[policy]]\nname = \"all\"\noption = \"opportunistic\"\n\
    [[policy]]\nname = \"asked\"\nfrom = \"never.example\"\noption = \"module\"\n\
    module = \"partner-list\"\nsettings = { list = \"partners\" }\n";

pub(super) fn site() -> Site {
    let wasm = fs::read(stock_policy("partner-list")).expect("it was built");
    Site::new()
        .settings(ADDRESS)
        .file("list.wasm", wasm)
        .tenant("acme", ACME)
        .tenant("bank", "domains = [\"bank.example\"]")
}

/// A host whose tenants are kept by its store: the same.
pub(super) fn managed() -> Host {
    let wasm = fs::read(stock_policy("partner-list")).expect("it was built");
    let site = Site::without_files().settings(ADDRESS);
    fs::create_dir_all(site.path("tree/tenants")).expect("the test's directory can be written");
    let site = site
        .file("tree/list.wasm", wasm)
        .file("tree/tenants/acme.toml", ACME)
        .file("tree/tenants/bank.toml", "domains = [\"bank.example\"]");
    let host = site.start();
    let tree = host.site().path("tree").display().to_string();
    host.site().run_with("apply", &[&tree]).expect_code(0);
    host
}

/// The receipt of mail to the board, which is refused in clear.
pub(super) fn refusal(host: &Host) -> String {
    let mut client = Client::connect(host.address("smtp"));
    client.ehlo();
    client.expect("MAIL FROM:<amy@sender.example>", "250");
    let reply = client.say("RCPT TO:<board@acme.example>");
    let (_, id) = reply.rsplit_once('[').expect("the id of the receipt");
    let id = id.trim_end().trim_end_matches(']').to_owned();
    client.quit();
    let began = Instant::now();
    // Receipts are written a moment later.
    while over_socket(host, &format!("/v1/receipts/{id}"), &[]).code != 200 {
        assert!(began.elapsed() < Duration::from_secs(20), "no receipt {id}");
        thread::yield_now();
    }
    id
}

#[test]
fn bad_requests_are_answered_with_what_is_wrong() {
    let host = site().start();
    let (admin, _) = token(&host, "admin", "acme");
    let large = host.site().path("large");
    let _ = fs::write(&large, format!("{{\"name\":\"{}\"}}", "x".repeat(70_000)));
    let large = format!("@{}", large.display());
    let past = r#"{"name":"a","role":"viewer","expires":"2020-01-01T00:00:00Z"}"#;
    for (path, arguments, code, said) in [
        ("/v1/nothing", vec![], 404, "openapi.json"),
        ("/v1/tenants/acme/", vec![], 404, "openapi.json"),
        ("/v1/tenants/", vec![], 404, ""),
        ("/v1/tenants", vec!["-X", "PUT"], 405, "use GET"),
        ("/v1/tenants", vec!["-X", "TRACE"], 405, "use GET"),
        ("/v1/tenants/%ff", vec![], 400, "UTF-8"),
        ("/v1/tenants/%00", vec![], 404, "no tenant"),
        ("/v1/tenants/ACME", vec![], 404, "no tenant"),
        (
            "/v1/tenants/acme/policies/none",
            vec![],
            404,
            "no policy \"none\"",
        ),
        (
            "/v1/tenants/acme/lists/none",
            vec![],
            404,
            "no list \"none\"",
        ),
        (
            "/v1/tenants/acme/lists/none/entries",
            vec![],
            404,
            "no list",
        ),
        ("/v1/tenants/acme/modules/none", vec![], 404, "no module"),
        ("/v1/receipts/none", vec![], 404, "no receipt \"none\""),
        (
            "/v1/receipts/01KJM3AAAAAAAAAAAAAAAAAAAA",
            vec![],
            404,
            "no receipt",
        ),
        ("/v1/tokens/none", vec![], 404, "no token"),
        (
            "/v1/tenants/acme/policies?limit=0",
            vec![],
            400,
            "limit: 0 is not from 1 to 1000",
        ),
        ("/v1/tenants/acme/policies?limit=x", vec![], 400, "limit"),
        (
            "/v1/tenants/acme/policies?after=x",
            vec![],
            400,
            "after: \"x\"",
        ),
        (
            "/v1/audit?tenants=acme",
            vec![],
            400,
            "unknown field `tenants`",
        ),
        ("/v1/audit?tenant=bank", vec![], 404, "no tenant \"bank\""),
        ("/v1/tokens?tenant=bank", vec![], 404, "no tenant \"bank\""),
        (
            "/v1/tokens",
            vec!["--data", "x"],
            415,
            "x-www-form-urlencoded",
        ),
        ("/v1/tokens", vec!["-X", "POST"], 415, "no content type"),
        ("/v1/tokens", post("{\n"), 400, "line 2 column 0"),
        ("/v1/tokens", post("{} x"), 400, "missing field"),
        (
            "/v1/tokens",
            post(r#"{"nam":"a"}"#),
            400,
            "nam: unknown field `nam`",
        ),
        (
            "/v1/tokens",
            post(r#"{"name":"A b","role":"viewer"}"#),
            400,
            "name: \"A b\" is not a name",
        ),
        (
            "/v1/tokens",
            post(r#"{"name":"a","role":"root"}"#),
            400,
            "role: \"root\" is not a role",
        ),
        (
            "/v1/tokens",
            post(r#"{"name":"a","role":"operator"}"#),
            403,
            "makes none of an operator",
        ),
        (
            "/v1/tokens",
            post(r#"{"name":"a","role":"viewer","tenant":"bank"}"#),
            404,
            "no tenant",
        ),
        (
            "/v1/tokens",
            post(past),
            422,
            "expires: 2020-01-01T00:00:00Z is not after now",
        ),
        ("/v1/tokens", post(&large), 413, "65536 bytes"),
        (
            "/v1/tenants/acme/explanations",
            post(r#"{"to":"nobody","client":"::1"}"#),
            400,
            "to: ",
        ),
        (
            "/v1/tenants/acme/explanations",
            post(r#"{"to":"a@b.example","client":"x"}"#),
            400,
            "client: ",
        ),
    ] {
        let answer = over_network(&host, path, &admin, &arguments);
        assert_eq!(answer.code, code, "{path} {arguments:?}: {answer:?}");
        assert!(
            answer
                .head
                .contains("content-type: application/problem+json"),
            "{answer:?}"
        );
        let problem = answer.json();
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(detail.contains(said), "{path} {arguments:?}: {detail}");
        assert_eq!(problem["status"], code, "{problem}");
    }
    let head = over_network(&host, "/v1/tenants", "", &["-X", "PUT"])
        .expect(405)
        .head;
    assert!(head.contains("\r\nallow: get"), "{head}");
    let head = over_network(&host, "/v1/tenants", "", &[]).expect(401).head;
    assert!(head.contains("\r\nwww-authenticate: bearer"), "{head}");
    let basic = ["-H", "Authorization: Basic YTpi"];
    over_network(&host, "/v1/tenants", "", &basic).expect(401);
    over_socket(&host, "/v1/tenants", &basic).expect(401);
    let unsaid = post(r#"{"name":"a","role":"viewer"}"#);
    let answer = over_socket(&host, "/v1/tokens", &unsaid).expect(422);
    assert!(answer.body.contains("say whose token it is"), "{answer:?}");
    let unknown = post(r#"{"name":"a","role":"viewer","tenant":"none"}"#);
    over_socket(&host, "/v1/tokens", &unknown).expect(404);
    host.stop();
}

#[test]
fn the_socket_is_the_owners_and_tokens_outlive_a_restart() {
    let host = site().start();
    let mode = fs::metadata(host.site().path("data/admin.sock")).expect("it is there");
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
    over_socket(&host, "/v1/node", &[]).expect(200);
    let (viewer, id) = token(&host, "viewer", "acme");
    // Who shows a token is whom the token says, there too.
    let field = format!("Authorization: Bearer {viewer}");
    over_socket(&host, "/v1/node", &["-H", &field]).expect(403);
    let audit = over_socket(&host, "/v1/audit?limit=1", &[])
        .expect(200)
        .json();
    let change = &audit["items"][0];
    assert_eq!(
        (&change["who"], &change["tenant"]),
        (&json!("socket"), &json!("acme"))
    );
    assert_eq!(change["change"], "+ tenant acme: token a-viewer");
    assert_eq!(change["became"]["id"], id);

    let ended = host.stop();
    assert!(!ended.log.contains(&viewer), "{}", ended.log);
    assert!(ended.log.contains("a token for the admin API was made"));
    let site = ended.site;
    assert!(!site.path("data/admin.sock").exists());
    let kept = fs::read(site.path("data/portcullis.db")).expect("the store");
    let held = |text: &str| kept.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(
        held(&id) && !held(&viewer),
        "the store has the digest alone"
    );

    let host = site.start();
    over_network(&host, "/v1/tenants/acme", &viewer, &[]).expect(200);
    over_socket(&host, &format!("/v1/tokens/{id}"), &["-X", "DELETE"]).expect(204);
    over_socket(&host, &format!("/v1/tokens/{id}"), &["-X", "DELETE"]).expect(404);
    over_network(&host, "/v1/tenants/acme", &viewer, &[]).expect(401);
    let site = host.stop().site;
    let audit = site
        .run_with("audit", &["--tenant", "acme"])
        .expect_code(0)
        .stdout;
    assert!(
        audit.contains("socket - tenant acme: token a-viewer"),
        "{audit}"
    );
}

#[test]
fn files_and_trees_are_loaded_over_http() {
    let host = site().start();
    let (operator, _) = token(&host, "operator", "");
    let ask = |path: &str, body: Value| over_socket(&host, path, &post(&body.to_string()));
    let done = over_network(&host, "/v1/reload", &operator, &post("{}")).expect(200);
    let done = done.json();
    assert_eq!(
        (&done["tenants"], &done["waiting"]),
        (&json!(2), &json!([]))
    );
    let file = host.site().path("portcullis.toml");
    assert_eq!(done["file"], file.display().to_string());
    ask("/v1/reload", json!({ "file": file })).expect(200);
    let other = ask("/v1/reload", json!({ "file": "/etc/hosts" })).expect(409);
    assert!(other.body.contains("the host runs on "), "{other:?}");
    // What has faults names all of them, and changes nothing.
    let bank = "domains = [\"bank.example\"]\ncontat = \"x\"\nx = 1";
    host.write("tenants/bank.toml", bank);
    let refused = ask("/v1/reload", json!({})).expect(422).json();
    assert_eq!(refused["detail"], "2 faults; nothing was changed");
    let faults = refused["faults"].as_array().expect("faults");
    let first = faults[0].as_str().expect("a text");
    assert!(
        first.contains("bank.toml:2: contat: unknown key"),
        "{refused}"
    );
    assert_eq!(faults.len(), 2);
    // The files have the last word, and a tree is for the owner alone.
    let tree = json!({ "directory": host.site().directory() });
    let refused = ask("/v1/apply", tree.clone()).expect(409);
    assert!(refused.body.contains("have the last word"), "{refused:?}");
    let relative = ask("/v1/apply", json!({ "directory": "tenants" })).expect(400);
    assert!(relative.body.contains("is not absolute"), "{relative:?}");
    let field = format!("Authorization: Bearer {operator}");
    let tree = tree.to_string();
    let mut with_token = post(&tree);
    with_token.extend(["-H", &field]);
    over_socket(&host, "/v1/apply", &with_token).expect(403);
    host.stop();
}

#[test]
fn a_token_ends_when_it_was_said_to_and_with_its_tenant() {
    let host = site().start();
    let (bank, _) = token(&host, "viewer", "bank");
    let soon = over_socket(&host, "/v1/tokens", &post(&soon()))
        .expect(201)
        .json();
    let soon = soon["token"].as_str().expect("a token").to_owned();
    let began = Instant::now();
    while over_network(&host, "/v1/tenants", &soon, &[]).code != 401 {
        assert!(began.elapsed() < Duration::from_secs(30), "it does not end");
        thread::yield_now();
    }
    over_network(&host, "/v1/tenants/bank", &bank, &[]).expect(200);
    fs::remove_file(host.site().path("tenants/bank.toml")).expect("it is there");
    host.site().run("reload").expect_code(0);
    over_network(&host, "/v1/tenants/bank", &bank, &[]).expect(401);
    host.stop();
}

/// A token that is good for a few seconds.
fn soon() -> String {
    let date = ["-u", "-d", "5 seconds", "+%Y-%m-%dT%H:%M:%SZ"];
    let end = tool::run("date", &date).expect_code(0).stdout;
    json!({ "name": "soon", "role": "viewer", "tenant": "acme", "expires": end.trim() }).to_string()
}

#[test]
fn tenants_and_what_they_have_are_told() {
    let host = site().start();
    let (viewer, _) = token(&host, "viewer", "acme");
    let get = |path: &str| over_network(&host, path, &viewer, &[]).expect(200);
    let tenant = get("/v1/tenants/acme");
    assert!(tenant.head.contains("\r\netag: \"1\""), "{tenant:?}");
    let tenant = tenant.json();
    assert_eq!(tenant["domains"], json!(["acme.example"]));
    assert_eq!(tenant["own"]["contact"], "only-acme-knows");
    let own = get("/v1/tenants").json();
    assert_eq!(own["items"].as_array().map(Vec::len), Some(1), "{own}");
    let all = over_socket(&host, "/v1/tenants", &[]).expect(200).json();
    assert_eq!(all["items"].as_array().map(Vec::len), Some(2), "{all}");
    let policies = pages(&host, "/v1/tenants/acme/policies", &viewer);
    let names: Vec<&Value> = policies.iter().map(|policy| &policy["name"]).collect();
    assert_eq!(names, ["board", "all", "asked"]);
    let board = get("/v1/tenants/acme/policies/board").json();
    assert_eq!(board["document"]["option"], "enforced");
    let entries = pages(&host, "/v1/tenants/acme/lists/partners/entries", &viewer);
    let keys: Vec<&Value> = entries.iter().map(|entry| &entry["key"]).collect();
    assert_eq!(keys, ["a.example", "b.example", "c.example"]);
    let list = get("/v1/tenants/acme/lists/partners").json();
    assert_eq!(list["entries"], 3);
    let module = get("/v1/tenants/acme/modules/partner-list").json();
    assert_eq!(module["revisions"][0]["who"], "files");
    let running = get("/v1/tenants/acme/running").json();
    assert_eq!(
        (&running["revision"], &running["digest"]),
        (&json!(1), &tenant["digest"])
    );
    assert_eq!(running["trust"].as_str().map(str::len), Some(64));
    assert_eq!(running["modules"][0]["revision"], 1);
    assert_eq!(running["modules"][0]["state"], "ready");
    assert_eq!(running["modules"][0]["digest"], module["digest"]);
    assert_eq!(running["lists"][0]["digest"], list["digest"]);
    let node = over_socket(&host, "/v1/node", &[]).expect(200).json();
    assert_eq!(
        (&node["tenants"], &node["modules_pending"]),
        (&json!(2), &json!(0))
    );
    host.stop();
}

/// Which revision of everything is in force: that of the last change, and what of it the
/// store does not have is no number.
#[test]
fn a_node_tells_which_revision_of_all_tenants_it_runs() {
    let host = managed();
    let (operator, _) = token(&host, "operator", "");
    let own = json!({ "defaults": { "decision": "enforced" } }).to_string();
    let path = "/v1/tenants/bank/own";
    over_socket(&host, path, &resend("PUT", &own)).expect(200);
    let kept = over_socket(&host, "/v1/tenants/bank", &[]).expect(200);
    let kept = kept.json();
    let running = over_socket(&host, "/v1/tenants/bank/running", &[]).expect(200);
    let running = running.json();
    assert_eq!(
        (&running["revision"], &kept["revision"]),
        (&json!(2), &json!(2))
    );
    let all = pages(&host, "/v1/running", &operator);
    let expected = [
        json!({ "id": "acme", "revision": 1, "digest": all[0]["digest"], "policies": 3,
            "lists": 1, "modules": 1, "modules_pending": 0 }),
        json!({ "id": "bank", "revision": 2, "digest": kept["digest"], "policies": 0,
            "lists": 0, "modules": 0, "modules_pending": 0 }),
    ];
    assert_eq!(all, expected);
    host.stop();
}

/// All of it, an item at a time.
fn pages(host: &Host, path: &str, token: &str) -> Vec<Value> {
    let (mut items, mut after) = (Vec::new(), String::new());
    loop {
        let url = format!("{path}?limit=1{after}");
        let page = over_network(host, &url, token, &[]).expect(200).json();
        items.extend(page["items"].as_array().expect("items").iter().cloned());
        assert!(items.len() < 10, "it has no end: {items:?}");
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return items,
        }
    }
}

#[test]
fn a_refusal_is_found_by_its_id_and_explained() {
    let host = site().start();
    let id = refusal(&host);
    let (viewer, _) = token(&host, "viewer", "acme");
    let get = |path: &str| over_network(&host, path, &viewer, &[]).expect(200).json();
    let receipt = get(&format!("/v1/receipts/{id}"));
    assert_eq!(receipt["verdict"]["policy"]["name"], "board");
    let explained = get(&format!("/v1/receipts/{id}/explanation"));
    assert_eq!(explained["explanation"]["in_force"], "board");
    let others = json!({ "to": "ben@acme.example", "client": "192.0.2.1" }).to_string();
    let path = "/v1/tenants/acme/explanations";
    let explained = over_network(&host, path, &viewer, &post(&others))
        .expect(200)
        .json();
    assert_eq!(explained["explanation"]["in_force"], "all");
    let candidates = explained["explanation"]["candidates"].as_array();
    assert_eq!(candidates.map(Vec::len), Some(3), "{explained}");
    // Relaying that was denied is nobody's but the operators'.
    let mut client = Client::connect(host.address("smtp"));
    client.ehlo();
    client.expect("MAIL FROM:<amy@sender.example>", "250");
    let reply = client.say("RCPT TO:<ben@elsewhere.example>");
    let (_, id) = reply.rsplit_once('[').expect("the id of the receipt");
    let path = format!("/v1/receipts/{}", id.trim_end().trim_end_matches(']'));
    let began = Instant::now();
    while over_socket(&host, &path, &[]).code != 200 {
        assert!(began.elapsed() < Duration::from_secs(20), "no {path}");
        thread::yield_now();
    }
    over_network(&host, &path, &viewer, &[]).expect(404);
    over_socket(&host, &format!("{path}/explanation"), &[]).expect(404);
    client.quit();
    host.stop();
}

#[test]
fn the_description_is_printed_and_served_alike() {
    let host = site().start();
    let served = over_network(&host, "/v1/openapi.json", "", &[])
        .expect(200)
        .json();
    let ran = tool::run(&portcullis().display().to_string(), &["openapi"]).expect_code(0);
    let printed: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(served, printed);
    host.stop();
}

#[test]
fn silent_strangers_keep_nobody_out_for_long_and_the_owner_not_at_all() {
    let host = site().start();
    let silent: Vec<_> = (0..80)
        .map(|_| Client::connect_silently(host.address("admin")))
        .collect();
    over_socket(&host, "/v1/node", &[]).expect(200);
    over_network(&host, "/v1/openapi.json", "", &[]).expect(200);
    drop(silent);
    host.stop();
}
