//! What administrators do in their first weeks, over HTTP and SMTP, from the first tenant
//! to the question why something was refused.

use std::thread;
use std::time::{Duration, Instant};

use portcullis_tests::api::{
    ADDRESS, Answer, over_network, over_socket, ready, resend, send, stock, token,
};
use portcullis_tests::client::{Client, Tls};
use portcullis_tests::site::{Host, Site};
use serde_json::{Value, json};

const PARTNER: &str = "amy@partner.example";
const STRANGER: &str = "zoe@stranger.example";

/// One who asks with a token.
struct Person<'a> {
    host: &'a Host,
    token: String,
}

impl<'a> Person<'a> {
    fn new(host: &'a Host, role: &str, tenant: &str) -> Self {
        let (token, _) = token(host, role, tenant);
        Self { host, token }
    }

    fn ask(&self, path: &str, arguments: &[&str]) -> Answer {
        over_network(self.host, path, &self.token, arguments)
    }

    fn get(&self, path: &str) -> Value {
        self.ask(path, &[]).expect(200).json()
    }

    /// Writes something that is not there yet.
    fn make(&self, path: &str, body: &Value) {
        let made = self.ask(path, &send("PUT", &body.to_string())).expect(201);
        assert!(made.json()["in_force_ms"].is_number(), "{made:?}");
    }

    /// Writes what is there, as it was seen.
    fn rewrite(&self, path: &str, body: &Value) -> Answer {
        let seen = self.ask(path, &[]).expect(200);
        let tag = format!("If-Match: {}", seen.field("etag").expect("a revision"));
        let body = body.to_string();
        let arguments = [&send("PUT", &body)[..], &["-H", &tag]].concat();
        self.ask(path, &arguments)
    }
}

fn rcpt(mut client: Client, sender: &str) -> String {
    client.expect(&format!("MAIL FROM:<{sender}>"), "250");
    let reply = client.say("RCPT TO:<ben@acme.example>");
    client.quit();
    reply
}

fn in_clear(host: &Host, sender: &str) -> String {
    let mut client = Client::connect(host.address("smtp"));
    client.ehlo();
    rcpt(client, sender)
}

fn over_tls(host: &Host, sender: &str) -> String {
    rcpt(
        Client::starttls(host.address("smtp"), &Tls::tls13()),
        sender,
    )
}

fn begins(reply: &str, code: &str) {
    assert!(reply.starts_with(code), "{code}: {reply}");
}

/// The receipt whose id ends this reply. It is kept a moment later.
fn receipt_of(reply: &str) -> String {
    let (_, id) = reply.rsplit_once('[').expect("the id of the receipt");
    id.trim_end().trim_end_matches(']').to_owned()
}

fn wait_for_receipt(person: &Person<'_>, id: &str) -> Value {
    let began = Instant::now();
    loop {
        let answer = person.ask(&format!("/v1/receipts/{id}"), &[]);
        if answer.code == 200 {
            return answer.json();
        }
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "{id}: {answer:?}"
        );
        thread::yield_now();
    }
}

#[test]
fn an_administrator_lives_with_policies() {
    let host = Site::without_files().settings(ADDRESS).start();
    // The operator makes two tenants, and a token for each of three people.
    for tenant in ["acme", "bank"] {
        let domains = json!({ "domains": [format!("{tenant}.example")] }).to_string();
        let path = format!("/v1/tenants/{tenant}");
        over_socket(&host, &path, &send("PUT", &domains)).expect(201);
    }
    let amy = Person::new(&host, "admin", "acme");
    let author = Person::new(&host, "author", "acme");
    let bob = Person::new(&host, "admin", "bank");

    // She refuses what comes in clear, then allows a partner.
    begins(&in_clear(&host, PARTNER), "250");
    amy.make(
        "/v1/tenants/acme/policies/all",
        &json!({ "option": "enforced" }),
    );
    begins(&in_clear(&host, PARTNER), "530");
    begins(&over_tls(&host, PARTNER), "250");
    amy.make(
        "/v1/tenants/acme/lists/partners",
        &json!({ "entries": ["partner.example"] }),
    );
    let lax = json!({ "from": "list:partners", "option": "opportunistic" });
    amy.make("/v1/tenants/acme/policies/partners", &lax);
    begins(&in_clear(&host, PARTNER), "250");
    begins(&in_clear(&host, STRANGER), "530");

    // A policy of their own, built from a stock one: uploaded, active, asked.
    let module = "/v1/tenants/acme/modules/checks";
    let first = ready(&host, module, &author.token, &stock("partner-list"));
    let activate = |number: i64| {
        let body = json!({ "revision": number }).to_string();
        author.ask(&format!("{module}/active"), &resend("PUT", &body))
    };
    activate(first).expect(200);
    let asks = json!({ "from": "list:partners", "option": "module", "module": "checks", "settings": { "list": "partners" } });
    amy.rewrite("/v1/tenants/acme/policies/partners", &asks)
        .expect(200);
    begins(&in_clear(&host, PARTNER), "530");
    begins(&over_tls(&host, PARTNER), "250");

    // A second revision has to take the settings; then it decides, and is rolled back.
    let second = ready(&host, module, &author.token, &stock("certificate-match"));
    let refused = activate(second).expect(422);
    assert!(refused.detail().contains("settings"), "{refused:?}");
    let asks =
        json!({ "from": "list:partners", "option": "module", "module": "checks", "settings": {} });
    amy.rewrite("/v1/tenants/acme/policies/partners", &asks)
        .expect(200);
    activate(second).expect(200);
    let without_certificate = over_tls(&host, PARTNER);
    begins(&without_certificate, "5");
    let back = author.ask(
        &format!("{module}/rollback"),
        &["-X", "POST", "-H", "If-Match: *"],
    );
    back.expect(200);
    begins(&over_tls(&host, PARTNER), "250");

    // The partner's administrator calls, and reads the end of the reply to her.
    let id = receipt_of(&without_certificate);
    let receipt = wait_for_receipt(&amy, &id);
    assert_eq!(
        receipt["verdict"]["policy"]["name"], "partners",
        "{receipt}"
    );
    let explained = amy.get(&format!("/v1/receipts/{id}/explanation"));
    assert_eq!(
        explained["explanation"]["in_force"], "partners",
        "{explained}"
    );

    // Every step is in the audit, with who took it.
    let audit = amy.get("/v1/audit?limit=1000");
    let steps: Vec<(&str, &str)> = audit["items"]
        .as_array()
        .expect("items")
        .iter()
        .rev()
        .filter_map(|step| Some((step["who"].as_str()?, step["change"].as_str()?)))
        .collect();
    let mut rest = steps.iter();
    for (who, change) in [
        ("socket", "+ tenant acme"),
        ("token a-admin", "+ tenant acme: policy all"),
        ("token a-admin", "+ tenant acme: list partners"),
        ("token a-admin", "+ tenant acme: policy partners"),
        ("token a-author", "module checks"),
        ("token a-admin", "~ tenant acme: policy partners"),
        ("token a-author", "module checks"),
        ("token a-admin", "~ tenant acme: policy partners"),
        ("token a-author", "module checks"),
        ("token a-author", "module checks"),
    ] {
        let found = rest.any(|(by, line)| by.starts_with(who) && line.contains(change));
        assert!(found, "{who}: {change} in {steps:#?}");
    }

    // And nothing of it is there for anybody else.
    for path in [
        "/v1/tenants/acme",
        "/v1/tenants/acme/policies",
        "/v1/tenants/acme/lists/partners/entries",
        module,
        &format!("/v1/receipts/{id}"),
        &format!("/v1/receipts/{id}/explanation"),
        "/v1/audit?tenant=acme",
    ] {
        bob.ask(path, &[]).expect(404);
    }
    for path in ["/v1/tenants", "/v1/audit", "/v1/tokens"] {
        let own = bob.ask(path, &[]).expect(200);
        assert!(!own.body.contains("acme"), "{path}: {own:?}");
    }
    host.stop();
}
