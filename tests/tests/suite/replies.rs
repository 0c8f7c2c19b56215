//! The tables of `docs/replies.md`, played against the real host: every decision on
//! every connection, and the words of every reply.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use portcullis_tests::certificate::{Authority, Identity};
use portcullis_tests::client::{Client, Tls};
use portcullis_tests::program::{stock_policy, workspace};
use portcullis_tests::site::{Host, Site};

#[test]
fn every_decision_on_every_connection_gets_the_documented_reply() {
    let page = Page::read();
    let keys = Keys::new();
    let host = site(&page, &keys).start();
    let keyless = site(&page, &keys)
        .file("no-certificate", "not PEM\n")
        .settings("[[tls.certificate]]\nchain = \"no-certificate\"\nkey = \"no-certificate\"")
        .start();
    let mut wrong = Vec::new();
    for (column, name) in page.connections.iter().enumerate() {
        let mut client = connect(name, &keys, &host, &keyless);
        client.expect("MAIL FROM:<amy@sender.example>", "250");
        for (row, (decision, cells)) in page.rows.iter().enumerate() {
            let found = client.say(&format!("RCPT TO:<row-{row}@acme.example>"));
            let expected = &page.replies[&cells[column]];
            if !is(&found, expected) {
                wrong.push(format!(
                    "{decision} × {name}: expected {expected}, found {found}"
                ));
            }
        }
        client.quit();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_other_reply_of_the_page_is_one_of_the_hosts() {
    let sources = sources().to_lowercase();
    let rows = table(&page(), "| reply | to |");
    assert!(rows.len() > 10, "the table is there");
    for row in rows {
        let reply = row[0].trim_matches('`').to_lowercase();
        let (code, rest) = reply.split_once(' ').expect("a code");
        let (enhanced, text) = rest.split_once(' ').expect("an enhanced code");
        // In the sources these numbers have names.
        let text = text
            .replace("2048", "{max_line}")
            .replace("1000", "{max_small}")
            .replace("1024", "{small}")
            .replace("at most 16", "at most {max_addresses}");
        for part in [code, enhanced, &text] {
            assert!(
                sources.contains(part),
                "{part:?} of {reply:?} is in no source"
            );
        }
    }
}

/// What the page says.
struct Page {
    connections: Vec<String>,
    /// Each decision with its cells.
    rows: Vec<(String, Vec<String>)>,
    /// What a cell stands for.
    replies: BTreeMap<String, String>,
}

impl Page {
    fn read() -> Self {
        let page = page();
        let head = page
            .lines()
            .find(|line| line.starts_with("| decision |"))
            .expect("the page has the table of decisions");
        let rows: Vec<_> = table(&page, "| decision |")
            .into_iter()
            .map(|mut cells| (cells.remove(0), cells))
            .collect();
        let replies = table(&page, "| cell | reply |")
            .into_iter()
            .map(|cells| (cells[0].clone(), cells[1].trim_matches('`').to_owned()))
            .collect();
        let connections = cells(head)[1..].to_vec();
        assert!(
            rows.len() >= 13 && connections.len() >= 12,
            "the whole table is there"
        );
        Self {
            connections,
            rows,
            replies,
        }
    }
}

/// The certificates of the columns.
struct Keys {
    authority: Authority,
    identities: BTreeMap<&'static str, Arc<Identity>>,
}

impl Keys {
    fn new() -> Self {
        let authority = Authority::new("Partner CA");
        let unknown = Authority::new("Unknown CA");
        let partner = ["mx.partner.example"];
        let identities = [
            ("unknown", unknown.issue(&partner)),
            ("self", Identity::self_signed(&partner)),
            ("other", authority.issue(&["mx.other.example"])),
            ("right", authority.issue(&partner)),
            ("pinned", Identity::self_signed(&partner)),
        ];
        let shared = identities.map(|(name, identity)| (name, Arc::new(identity)));
        Self {
            authority,
            identities: shared.into(),
        }
    }
}

fn site(page: &Page, keys: &Keys) -> Site {
    Site::new()
        .listener("clear", "none", "")
        .listener("unasked", "starttls", "ask_client_certificate = false")
        .file("ca.pem", keys.authority.pem())
        .tenant("acme", &tenant(page, keys))
}

/// One policy for each row, for one recipient.
fn tenant(page: &Page, keys: &Keys) -> String {
    let mut toml = format!(
        "domains = [\"acme.example\"]\n\
         [trust]\nanchors = [\"../ca.pem\"]\n\
         [lists.broken]\nentries = {{ \"sender.example\" = \"no requirement\" }}\n\
         [[module]]\nname = \"partner-list\"\npath = {:?}\n",
        stock_policy("partner-list")
    );
    let pin = format!("{:?}", keys.identities["pinned"].pin());
    for (row, (decision, _)) in page.rows.iter().enumerate() {
        toml.push_str(&format!(
            "[[policy]]\nname = \"row-{row}\"\nto = \"row-{row}@acme.example\"\n{}\n",
            policy(decision).replace("\"…\"", &pin)
        ));
    }
    toml
}

/// The keys of a policy, from the code in a row's first cell.
fn policy(decision: &str) -> String {
    let code: Vec<&str> = decision.split('`').skip(1).step_by(2).collect();
    match code.as_slice() {
        // The list has a value that partner-list does not know: the policy fails.
        ["module", on_failure] => format!(
            "option = \"module\"\nmodule = \"partner-list\"\n\
             settings = {{ list = \"broken\" }}\n{on_failure}"
        ),
        [option, require] => format!("option = {option:?}\nrequire = {{ {require} }}"),
        [option] => format!("option = {option:?}"),
        _ => String::new(),
    }
}

fn connect(name: &str, keys: &Keys, host: &Host, keyless: &Host) -> Client {
    let tls = match name {
        "clear" => return in_clear(host, "smtp"),
        "no TLS" => return in_clear(host, "clear"),
        "no key" => return in_clear(keyless, "smtp"),
        "1.2" => Tls::tls12(),
        "1.3" => Tls::tls13(),
        _ => Tls::post_quantum(),
    };
    match keys.identities.get(name) {
        Some(identity) => Client::starttls(host.address("smtp"), &tls.with(identity)),
        None if name == "unasked" => Client::starttls(host.address("unasked"), &tls),
        None => Client::starttls(host.address("smtp"), &tls),
    }
}

fn in_clear(host: &Host, listener: &str) -> Client {
    let mut client = Client::connect(host.address(listener));
    client.ehlo();
    client
}

/// Whether this is that reply: `…` is anything, and refusals end with a receipt's id.
fn is(found: &str, expected: &str) -> bool {
    let text = match found
        .strip_suffix(']')
        .and_then(|text| text.rsplit_once(" ["))
    {
        Some((text, id)) if id.len() == 26 => text,
        Some(_) => return false,
        None if found.starts_with("250") => found,
        None => return false,
    };
    match expected.split_once('…') {
        Some((front, back)) => text.starts_with(front) && text.ends_with(back),
        None => text == expected,
    }
}

fn page() -> String {
    fs::read_to_string(workspace().join("docs/replies.md")).expect("the page is there")
}

/// The rows of the table whose head begins so.
fn table(page: &str, head: &str) -> Vec<Vec<String>> {
    page.lines()
        .skip_while(|line| !line.starts_with(head))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(cells)
        .collect()
}

fn cells(line: &str) -> Vec<String> {
    line.trim_matches('|')
        .split('|')
        .map(|cell| cell.trim().to_owned())
        .collect()
}

/// The files that words of replies stand in.
fn sources() -> String {
    let host = workspace().join("host/src");
    let sources = [
        "smtp/reply.rs",
        "smtp/session.rs",
        "smtp/session/content.rs",
        "smtp/session/envelope.rs",
        "smtp/drive.rs",
        "listen.rs",
        "deliver.rs",
    ]
    .map(|file| fs::read_to_string(host.join(file)).expect("the source is there"))
    .concat();
    // A text that goes on in the next line is one text.
    let lines: Vec<&str> = sources.split("\\\n").map(str::trim_start).collect();
    lines.concat()
}
