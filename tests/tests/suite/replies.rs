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
        for part in [code, enhanced].into_iter().chain(text.split('…')) {
            assert!(
                sources.contains(part),
                "{part:?} of {reply:?} is in no source"
            );
        }
    }
}

#[test]
fn every_refusal_of_the_hosts_is_on_the_page() {
    let page = page().to_lowercase();
    let refusals = refusals();
    assert!(refusals.len() > 50, "{refusals:#?}");
    let is_there = |text: &&String| {
        let text = text.to_lowercase();
        // What stands between braces is found out at run time.
        let mut parts = text.split(['{', '}']).step_by(2);
        parts.all(|part| page.contains(part.trim()))
    };
    let missing: Vec<&String> = refusals.iter().filter(|text| !is_there(text)).collect();
    assert!(missing.is_empty(), "docs/replies.md lacks {missing:#?}");
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

/// The words of all refusals: what stands behind an enhanced code, what is said of
/// commands that are none, and of those that come at the wrong time.
fn refusals() -> Vec<String> {
    let sources = sources();
    let code: Vec<&str> = sources
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with("//"))
        .collect();
    let code = code.join(" ");
    // Code, then a text, then code, and so on.
    let parts: Vec<&str> = code.split('"').collect();
    let mut refusals = Vec::new();
    for at in (1..parts.len()).step_by(2) {
        let before = parts[at - 1];
        let behind_code = at > 2 && is_refusal(parts[at - 3], parts[at - 2]) && is_next(before);
        let called = before
            .rsplit_once("out_of_order(")
            .is_some_and(|(_, arguments)| !arguments.contains([')', ';']));
        let named = before.ends_with("CHUNKS_HAVE_BEGUN: &str = ");
        if (behind_code || called || named) && !is_enhanced(parts[at]) {
            refusals.push(parts[at].to_owned());
        }
    }
    let commands = source("smtp/command.rs");
    let errors = commands.split("#[error(\"").skip(1);
    refusals.extend(errors.filter_map(|rest| rest.split('"').next().map(ToOwned::to_owned)));
    refusals
}

fn is_enhanced(text: &str) -> bool {
    let mut parts = text.split('.');
    parts
        .by_ref()
        .take(3)
        .all(|part| part.parse::<u16>().is_ok())
        && text.matches('.').count() == 2
}

/// VRFY alone has a code of success and does not do what it is asked to.
fn is_refusal(before: &str, text: &str) -> bool {
    is_enhanced(text) && (!text.starts_with('2') || before.trim_end().ends_with("252,"))
}

/// Whether nothing stands between an enhanced code and its text that counts.
fn is_next(between: &str) -> bool {
    let words = [".into()", "format!(", "with_receipt(", ",", " "];
    let rest = words
        .iter()
        .fold(between.to_owned(), |rest, word| rest.replace(word, ""));
    rest.is_empty()
}

fn source(file: &str) -> String {
    let path = workspace().join("host/src").join(file);
    let text = fs::read_to_string(path).expect("the source is there");
    let (code, _) = text
        .split_once("\n#[cfg(test)]\nmod tests {")
        .unwrap_or((&text, ""));
    code.to_owned()
}

/// The files that words of replies stand in.
fn sources() -> String {
    let sources = [
        "smtp/reply.rs",
        "smtp/session.rs",
        "smtp/session/content.rs",
        "smtp/session/envelope.rs",
        "smtp/command.rs",
        "smtp/drive.rs",
        "listen.rs",
        "deliver.rs",
    ]
    .map(source)
    .concat();
    // A text that goes on in the next line is one text.
    let lines: Vec<&str> = sources.split("\\\n").map(str::trim_start).collect();
    lines.concat()
}
