//! Who may do what with the admin API: every route of its description, with every role.

use portcullis_tests::api::{
    over_network, over_socket, ready, resend, send, sending, stock, token,
};
use portcullis_tests::site::Host;
use serde_json::json;

use super::api::{managed, refusal};

/// Who may do what: the least role, nobody's, or only the owner's over the socket. A route
/// without a row fails the test.
const ROUTES: &[(&str, Option<&str>)] = &[
    ("get /v1/openapi.json", None),
    ("get /v1/node", Some("operator")),
    ("get /v1/running", Some("operator")),
    ("post /v1/reload", Some("operator")),
    ("post /v1/apply", Some("owner")),
    ("get /v1/tenants", Some("viewer")),
    ("get /v1/tenants/{tenant}", Some("viewer")),
    ("put /v1/tenants/{tenant}", Some("operator")),
    ("delete /v1/tenants/{tenant}", Some("operator")),
    ("put /v1/tenants/{tenant}/own", Some("admin")),
    ("get /v1/tenants/{tenant}/running", Some("viewer")),
    ("get /v1/tenants/{tenant}/policies", Some("viewer")),
    ("get /v1/tenants/{tenant}/policies/{policy}", Some("viewer")),
    ("put /v1/tenants/{tenant}/policies/{policy}", Some("admin")),
    (
        "delete /v1/tenants/{tenant}/policies/{policy}",
        Some("admin"),
    ),
    ("get /v1/tenants/{tenant}/lists", Some("viewer")),
    ("get /v1/tenants/{tenant}/lists/{list}", Some("viewer")),
    (
        "get /v1/tenants/{tenant}/lists/{list}/entries",
        Some("viewer"),
    ),
    ("put /v1/tenants/{tenant}/lists/{list}", Some("admin")),
    ("patch /v1/tenants/{tenant}/lists/{list}", Some("admin")),
    ("delete /v1/tenants/{tenant}/lists/{list}", Some("admin")),
    ("get /v1/tenants/{tenant}/modules", Some("viewer")),
    ("get /v1/tenants/{tenant}/modules/{module}", Some("viewer")),
    ("put /v1/tenants/{tenant}/modules/{module}", Some("author")),
    (
        "delete /v1/tenants/{tenant}/modules/{module}",
        Some("author"),
    ),
    (
        "get /v1/tenants/{tenant}/modules/{module}/revisions/{number}",
        Some("viewer"),
    ),
    (
        "put /v1/tenants/{tenant}/modules/{module}/active",
        Some("author"),
    ),
    (
        "post /v1/tenants/{tenant}/modules/{module}/rollback",
        Some("author"),
    ),
    (
        "get /v1/tenants/{tenant}/modules/{module}/shadow",
        Some("viewer"),
    ),
    (
        "put /v1/tenants/{tenant}/modules/{module}/shadow",
        Some("author"),
    ),
    (
        "delete /v1/tenants/{tenant}/modules/{module}/shadow",
        Some("author"),
    ),
    ("post /v1/tenants/{tenant}/dry-runs", Some("author")),
    ("post /v1/tenants/{tenant}/replays", Some("author")),
    ("get /v1/tenants/{tenant}/replays/{id}", Some("viewer")),
    ("delete /v1/tenants/{tenant}/replays/{id}", Some("author")),
    ("post /v1/tenants/{tenant}/explanations", Some("viewer")),
    ("get /v1/tenants/{tenant}/report", Some("viewer")),
    ("get /v1/tenants/{tenant}/warnings", Some("viewer")),
    ("post /v1/tenants/{tenant}/webhook/secret", Some("admin")),
    ("get /v1/receipts", Some("viewer")),
    ("get /v1/receipts/{receipt}", Some("viewer")),
    ("get /v1/receipts/{receipt}/explanation", Some("viewer")),
    ("post /v1/receipts/{receipt}/rerun", Some("author")),
    ("post /v1/erasures", Some("admin")),
    ("get /v1/audit", Some("admin")),
    ("get /v1/tokens", Some("admin")),
    ("post /v1/tokens", Some("admin")),
    ("get /v1/tokens/{id}", Some("admin")),
    ("delete /v1/tokens/{id}", Some("admin")),
];

/// A module that nobody asks.
const SPARE: &str = "spare";

/// The least first.
const ROLES: [&str; 4] = ["viewer", "author", "admin", "operator"];

/// What is asked of a route: its path with real names, and the arguments of curl.
fn question(host: &Host, route: &str, receipt: &str) -> (String, Vec<String>) {
    let (method, path) = route.split_once(' ').expect("a method and a path");
    // There may be a hundred, and each may be revoked once.
    let spare = match path.contains("{id}") || path.ends_with("/replays") {
        true if path.contains("/replays") => replayed(host),
        true => token(host, "viewer", "acme").1,
        false => String::new(),
    };
    let path = path
        .replace("{tenant}", "acme")
        .replace("{policy}", "board")
        .replace("{list}", "partners")
        .replace("{module}", SPARE)
        .replace("{number}", "1")
        .replace("{receipt}", receipt)
        .replace("{id}", &spare);
    let body = match path.rsplit('/').next() {
        _ if path == "/v1/tokens" => json!({ "name": "made", "role": "viewer", "tenant": "acme" }),
        Some("explanations") => {
            json!({ "from": "amy@sender.example", "to": "board@acme.example", "client": "192.0.2.1" })
        }
        Some("erasures") => json!({ "address": "nobody@sender.example" }),
        Some("acme") => json!({ "domains": ["acme.example"] }),
        Some("apply") => json!({ "directory": "/nowhere" }),
        Some("own") => json!({ "contact": "postmaster" }),
        Some("active" | "shadow") => json!({ "revision": 1 }),
        Some("dry-runs") => json!({ "module": SPARE, "revision": 1, "receipt": receipt }),
        Some("replays") => json!({ "without": "board" }),
        Some("board") => json!({ "option": "default" }),
        Some("partners") => json!({ "entries": { "a.example": "" } }),
        _ => json!({}),
    };
    let (body, upper) = (body.to_string(), method.to_uppercase());
    if method == "put" && path.ends_with(SPARE) {
        return (path, sending(&stock("partner-list")));
    }
    let mut arguments = match method {
        "get" | "delete" => vec!["-X", upper.as_str()],
        _ => send(&upper, &body),
    };
    // Whoever may, only sees what would change, so that all of them meet the same.
    let may_be_tried = matches!(method, "put" | "patch")
        || method == "delete" && spare.is_empty()
        || path.ends_with("/rollback");
    let path = match may_be_tried {
        true => {
            arguments.extend(["-H", "If-Match: *"]);
            format!("{path}?dry_run=true")
        }
        false => path,
    };
    let arguments = arguments.into_iter().map(str::to_owned).collect();
    (path, arguments)
}

/// A replay that has ended, so that another may begin; its id.
fn replayed(host: &Host) -> String {
    let body = json!({ "without": "board" }).to_string();
    let path = "/v1/tenants/acme/replays";
    let begun = loop {
        let begun = over_socket(host, path, &send("POST", &body));
        if begun.code != 429 {
            break begun.expect(202).json();
        }
    };
    let id = begun["id"].as_str().expect("an id").to_owned();
    over_socket(host, &format!("{path}/{id}?wait=50"), &[]).expect(200);
    id
}

/// A module that nobody asks, with two revisions that were active.
fn keep_spare(host: &Host) {
    let (author, _) = token(host, "author", "acme");
    let path = format!("/v1/tenants/acme/modules/{SPARE}");
    for (number, policy) in [(1, "partner-list"), (2, "modern-tls")] {
        assert_eq!(ready(host, &path, &author, &stock(policy)), number);
        let body = json!({ "revision": number }).to_string();
        let active = format!("{path}/active");
        over_network(host, &active, &author, &resend("PUT", &body)).expect(200);
    }
}

#[test]
fn who_may_do_what() {
    let host = managed();
    keep_spare(&host);
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
            let may = least.is_none_or(|least| least != "owner" && rank(role) >= rank(least));
            assert_eq!(answer.code < 300, may, "{route} as {role}: {answer:?}");
            assert!(may || answer.code == 403, "{route} as {role}: {answer:?}");
        }
        let answer = ask(&other);
        // Of what it names nothing is there, and what it lists or erases has nothing of
        // another's.
        let named = route.contains('{') || route == "post /v1/tokens";
        let expected = match *least {
            None => 200,
            Some(_) if named => 404,
            Some("operator" | "owner") => 403,
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
