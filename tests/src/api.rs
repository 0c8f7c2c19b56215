//! The admin API as administrators use it: curl, over the socket and over the network.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::Client;
use crate::program::{portcullis, stock_policy};
use crate::site::Host;
use crate::tool;

/// Longest wait for a module to be compiled, beside everything else that is.
const PATIENCE: Duration = Duration::from_secs(180);

/// Longest wait for a receipt, which is written behind the reply.
const RECEIPT: Duration = Duration::from_secs(20);

/// The setting that opens the API on a port of the kernel's choice.
pub const ADDRESS: &str = "[admin]\naddress = \"127.0.0.1:0\"";

/// What says that a body is JSON.
pub const JSON: [&str; 2] = ["-H", "Content-Type: application/json"];

/// An answer over HTTP.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub code: u16,
    /// Status line and fields, in lower case.
    pub head: String,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| unreachable!("{e}: {self:?}"))
    }

    /// The same, which has to have this status.
    pub fn expect(self, code: u16) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        self
    }

    /// A field of the head.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// What a problem says.
    pub fn detail(&self) -> String {
        let json = self.json();
        json["detail"]
            .as_str()
            .expect("a problem has one")
            .to_owned()
    }
}

/// Asks with these arguments of curl.
pub fn curl(url: &str, arguments: &[&str]) -> Answer {
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

/// Asks over the network with this token, if it is not empty.
pub fn over_network(host: &Host, path: &str, token: &str, arguments: &[&str]) -> Answer {
    let url = format!("http://{}{path}", host.address("admin"));
    let field = format!("Authorization: Bearer {token}");
    let mut all = arguments.to_vec();
    if !token.is_empty() {
        all.extend(["-H", &field]);
    }
    curl(&url, &all)
}

/// Asks as the host's owner.
pub fn over_socket(host: &Host, path: &str, arguments: &[&str]) -> Answer {
    let socket = host.site().path("data/admin.sock").display().to_string();
    let mut all = vec!["--unix-socket", &socket];
    all.extend(arguments);
    curl(&format!("http://localhost{path}"), &all)
}

/// Arguments that send this body; one that begins with `@` is in a file.
pub fn post(body: &str) -> Vec<&str> {
    [&JSON[..], &["--data-binary", body]].concat()
}

/// The same by another method.
pub fn send<'a>(method: &'a str, body: &'a str) -> Vec<&'a str> {
    [&["-X", method][..], &post(body)].concat()
}

/// The same for what is there, in whatever revision.
pub fn resend<'a>(method: &'a str, body: &'a str) -> Vec<&'a str> {
    [&send(method, body)[..], &["-H", "If-Match: *"]].concat()
}

/// Arguments that remove what is there, in whatever revision.
pub const REMOVE: [&str; 4] = ["-X", "DELETE", "-H", "If-Match: *"];

/// A new token of this role, of this tenant unless it is an operator's: text and id.
pub fn token(host: &Host, role: &str, tenant: &str) -> (String, String) {
    let mut wanted = json!({ "name": format!("a-{role}"), "role": role });
    if role != "operator" {
        wanted["tenant"] = tenant.into();
    }
    let made = over_socket(host, "/v1/tokens", &post(&wanted.to_string())).expect(201);
    let made = made.json();
    let text = |key: &str| made[key].as_str().expect("a text").to_owned();
    (text("token"), text("id"))
}

/// The module of a stock policy.
pub fn stock(policy: &str) -> String {
    stock_policy(policy).display().to_string()
}

/// Arguments that send a file as a module.
pub fn sending(file: &str) -> Vec<String> {
    let kind = "Content-Type: application/wasm";
    let file = format!("@{file}");
    let arguments = ["-X", "PUT", "-H", kind, "--data-binary", &file];
    arguments.map(str::to_owned).into()
}

/// Uploads a module.
pub fn upload(host: &Host, path: &str, token: &str, file: &str) -> Answer {
    let arguments = sending(file);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    over_network(host, path, token, &arguments)
}

/// What becomes of an upload, by its answer.
pub fn settled(host: &Host, token: &str, answer: &Answer) -> Value {
    let location = answer.field("location").expect("where it is");
    let path = format!("{location}?wait=50");
    let began = Instant::now();
    loop {
        let found = over_network(host, &path, token, &[]).expect(200).json();
        let waits =
            ["received", "compiling"].contains(&found["state"].as_str().unwrap_or_default());
        if !waits || began.elapsed() > PATIENCE {
            return found;
        }
    }
}

/// Uploads what is sound, and waits until it is ready; its number.
pub fn ready(host: &Host, path: &str, token: &str, file: &str) -> i64 {
    let answer = upload(host, path, token, file).expect(202);
    let settled = settled(host, token, &answer);
    assert_eq!(settled["state"], "ready", "{settled}");
    settled["number"].as_i64().expect("a number")
}

/// Has mail to this recipient refused in clear; the id of the receipt, when the host can
/// show it, which is a moment after the reply.
pub fn refusal(host: &Host, recipient: &str) -> String {
    let mut client = Client::connect(host.address("smtp"));
    client.ehlo();
    client.expect("MAIL FROM:<amy@sender.example>", "250");
    let reply = client.say(&format!("RCPT TO:<{recipient}>"));
    let (_, id) = reply.rsplit_once('[').expect("the id of the receipt");
    let id = id.trim_end().trim_end_matches(']').to_owned();
    client.quit();
    let program = portcullis().display().to_string();
    let socket = host.site().path("data/admin.sock").display().to_string();
    let began = Instant::now();
    while tool::run(&program, &["receipts", &id, "--socket", &socket]).code != 0 {
        assert!(began.elapsed() < RECEIPT, "no receipt {id}");
    }
    id
}
