//! The admin API: who may do what, what is answered, and what is said of bad requests.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::thread;
use std::time::{Duration, Instant};

use portcullis_tests::client::Client;
use portcullis_tests::program::{portcullis, stock_policy};
use portcullis_tests::site::{Host, Site};
use portcullis_tests::tool;
use serde_json::{Value, json};

const ADDRESS: &str = "[admin]\naddress = \"127.0.0.1:0\"";

const ACME: &str = "domains = [\"acme.example\"]\ncontact = \"only-acme-knows\"\n\
    [[module]]\nname = \"partner-list\"\npath = \"../list.wasm\"\n\
    [lists.partners]\nentries = [\"a.example\", \"b.example\", \"c.example\"]\n\
    [[policy]]\nname = \"board\"\nto = \"board@acme.example\"\noption = \"enforced\"\n\
    [[policy]]\nname = \"all\"\noption = \"opportunistic\"\n\
    [[policy]]\nname = \"asked\"\nfrom = \"never.example\"\noption = \"module\"\n\
    module = \"partner-list\"\nsettings = { list = \"partners\" }\n";

/// Who may do what: the least role, or nobody's. A route without a row fails the test.
const ROUTES: &[(&str, Option<&str>)] = &[
    ("get /v1/openapi.json", None),
    ("get /v1/node", Some("operator")),
    ("get /v1/tenants", Some("viewer")),
    ("get /v1/tenants/{tenant}", Some("viewer")),
    ("get /v1/tenants/{tenant}/running", Some("viewer")),
    ("get /v1/tenants/{tenant}/policies", Some("viewer")),
    ("get /v1/tenants/{tenant}/policies/{policy}", Some("viewer")),
    ("get /v1/tenants/{tenant}/lists", Some("viewer")),
    ("get /v1/tenants/{tenant}/lists/{list}", Some("viewer")),
    (
        "get /v1/tenants/{tenant}/lists/{list}/entries",
        Some("viewer"),
    ),
    ("get /v1/tenants/{tenant}/modules", Some("viewer")),
    ("get /v1/tenants/{tenant}/modules/{module}", Some("viewer")),
    ("post /v1/tenants/{tenant}/explanations", Some("viewer")),
    ("get /v1/receipts/{receipt}", Some("viewer")),
    ("get /v1/receipts/{receipt}/explanation", Some("viewer")),
    ("get /v1/audit", Some("admin")),
    ("get /v1/tokens", Some("admin")),
    ("post /v1/tokens", Some("admin")),
    ("get /v1/tokens/{id}", Some("admin")),
    ("delete /v1/tokens/{id}", Some("admin")),
];

/// The least first.
const ROLES: [&str; 4] = ["viewer", "author", "admin", "operator"];

fn site() -> Site {
    let wasm = fs::read(stock_policy("partner-list")).expect("it was built");
    Site::new()
        .settings(ADDRESS)
        .file("list.wasm", wasm)
        .tenant("acme", ACME)
        .tenant("bank", "domains = [\"bank.example\"]")
}

/// An answer over HTTP.
#[derive(Debug)]
struct Answer {
    code: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| unreachable!("{e}: {self:?}"))
    }

    fn expect(self, code: u16) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        self
    }
}

/// Asks with these arguments of curl.
fn curl(url: &str, arguments: &[&str]) -> Answer {
    let mut all = vec!["-sS", "-i", "--max-time", "60", "--path-as-is"];
    all.extend(arguments);
    all.push(url);
    let ran = tool::run("curl", &all).expect_code(0);
    let (mut head, mut body) = ran.stdout.split_once("\r\n\r\n").expect("a head");
    // A large body is asked for first.
    if head.starts_with("HTTP/1.1 100") {
        (head, body) = body.split_once("\r\n\r\n").expect("another head");
    }
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Answer {
        code: code.expect("a status line has a code"),
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    }
}

fn over_network(host: &Host, path: &str, token: &str, arguments: &[&str]) -> Answer {
    let url = format!("http://{}{path}", host.address("admin"));
    let field = format!("Authorization: Bearer {token}");
    let mut all = arguments.to_vec();
    if !token.is_empty() {
        all.extend(["-H", &field]);
    }
    curl(&url, &all)
}

fn over_socket(host: &Host, path: &str, arguments: &[&str]) -> Answer {
    let socket = host.site().path("data/admin.sock").display().to_string();
    let mut all = vec!["--unix-socket", &socket];
    all.extend(arguments);
    curl(&format!("http://localhost{path}"), &all)
}

const JSON: [&str; 2] = ["-H", "Content-Type: application/json"];

fn post(body: &str) -> Vec<&str> {
    [&JSON[..], &["--data-binary", body]].concat()
}

/// A new token of this role, of this tenant unless it is an operator's: text and id.
fn token(host: &Host, role: &str, tenant: &str) -> (String, String) {
    let mut wanted = json!({ "name": format!("a-{role}"), "role": role });
    if role != "operator" {
        wanted["tenant"] = tenant.into();
    }
    let made = over_socket(host, "/v1/tokens", &post(&wanted.to_string())).expect(201);
    let made = made.json();
    let text = |key: &str| made[key].as_str().expect("a text").to_owned();
    (text("token"), text("id"))
}

/// The receipt of mail to the board, which is refused in clear.
fn refusal(host: &Host) -> String {
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

/// What is asked of a route: its path with real names, and the arguments of curl.
fn question(host: &Host, route: &str, receipt: &str) -> (String, Vec<String>) {
    let (method, path) = route.split_once(' ').expect("a method and a path");
    // There may be a hundred, and each may be revoked once.
    let spare = if path.contains("{id}") {
        token(host, "viewer", "acme").1
    } else {
        String::new()
    };
    let path = path
        .replace("{tenant}", "acme")
        .replace("{policy}", "board")
        .replace("{list}", "partners")
        .replace("{module}", "partner-list")
        .replace("{receipt}", receipt)
        .replace("{id}", &spare);
    let body = match path.as_str() {
        "/v1/tokens" => json!({ "name": "made", "role": "viewer", "tenant": "acme" }),
        _ => {
            json!({ "from": "amy@sender.example", "to": "board@acme.example", "client": "192.0.2.1" })
        }
    };
    let mut arguments = vec!["-X".to_owned(), method.to_uppercase()];
    if method == "post" {
        let body = body.to_string();
        arguments.extend(post(&body).into_iter().map(str::to_owned));
    }
    (path, arguments)
}

#[test]
fn who_may_do_what() {
    let host = site().start();
    let receipt = refusal(&host);
    let described = over_network(&host, "/v1/openapi.json", "", &[]).expect(200);
    let described = described.json();
    let paths = described["paths"].as_object().expect("paths");
    let routes = paths.iter().flat_map(|(path, item)| {
        let methods = item.as_object().expect("methods").keys();
        methods.map(move |method| format!("{method} {path}"))
    });
    let callers = ROLES.map(|role| (role, token(&host, role, "acme").0));
    let (revoked, id) = token(&host, "operator", "");
    over_socket(&host, &format!("/v1/tokens/{id}"), &["-X", "DELETE"]).expect(204);
    let (other, _) = token(&host, "admin", "bank");
    for route in routes {
        let mut rows = ROUTES.iter();
        let row = rows.find(|(known, _)| *known == route);
        let (_, least) = row.unwrap_or_else(|| unreachable!("who may {route}?"));
        let ask = |token: &str| {
            let (path, arguments) = question(&host, &route, &receipt);
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            over_network(&host, &path, token, &arguments)
        };
        let rank = |role: &str| ROLES.iter().position(|known| *known == role);
        for unknown in ["", "portcullis_00", &revoked] {
            let answer = ask(unknown);
            let expected = if least.is_none() { 200 } else { 401 };
            assert_eq!(answer.code, expected, "{route}: {answer:?}");
        }
        for (role, token) in &callers {
            let answer = ask(token);
            let may = least.is_none_or(|least| rank(role) >= rank(least));
            assert_eq!(answer.code < 300, may, "{route} as {role}: {answer:?}");
            assert!(may || answer.code == 403, "{route} as {role}: {answer:?}");
        }
        let answer = ask(&other);
        // Of what it names nothing is there, and what it lists has nothing of another's.
        let named = route.contains('{') || route.starts_with("post");
        let expected = match *least {
            None => 200,
            Some("operator") => 403,
            Some(_) if named => 404,
            Some(_) => 200,
        };
        assert_eq!(answer.code, expected, "{route}: {answer:?}");
        assert!(!answer.body.contains("only-acme-knows"), "{route}");
        if !named && least.is_some() {
            assert!(!answer.body.contains("acme"), "{route}: {answer:?}");
        }
    }
    host.stop();
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
            400,
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
    let answer = over_socket(&host, "/v1/tokens", &unsaid).expect(400);
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
    assert_eq!(running["modules"][0]["digest"], module["digest"]);
    assert_eq!(running["lists"][0]["digest"], list["digest"]);
    let node = over_socket(&host, "/v1/node", &[]).expect(200).json();
    assert_eq!(node["tenants"], 2);
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

#[test]
fn an_address_that_others_reach_is_refused() {
    let remote = "[admin]\naddress = \"0.0.0.0:8925\"\n";
    let ran = Site::new().settings(remote).run("check").expect_code(1);
    assert!(
        ran.stderr
            .contains("admin.address: 0.0.0.0:8925 is no loopback address"),
        "{}",
        ran.stderr
    );
}
