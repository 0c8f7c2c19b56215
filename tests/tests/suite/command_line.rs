//! The command line over the admin API: over the socket and over the network, for people
//! and for programs, and what its exit codes say.

mod changes;
mod receipts;
mod waiting;

use std::fs;
use std::net::TcpListener;

use portcullis_tests::api::ADDRESS;
use portcullis_tests::certificate::Identity;
use portcullis_tests::haproxy::Haproxy;
use portcullis_tests::program::{portcullis, stock_policy};
use portcullis_tests::site::{Host, Site};
use portcullis_tests::tool::{self, Ran};
use serde_json::Value;

const ACME: &str = "domains = [\"acme.example\"]\ncontact = \"call us\"\n\
    [[module]]\nname = \"partner-list\"\npath = \"../list.wasm\"\n\
    [lists.partners]\nentries = [\"a.example\", \"b.example\", \"c.example\"]\n\
    [lists.routes]\nentries = { \"a.example\" = \"one\" }\n\
    [[policy]]\nname = \"board\"\nto = \"board@acme.example\"\noption = \"enforced\"\n\
    [[policy]]\nname = \"asked\"\nfrom = \"list:partners\"\noption = \"module\"\n\
    module = \"partner-list\"\nsettings = { list = \"partners\" }\nmode = \"monitor\"\n";

fn site() -> Site {
    let wasm = fs::read(stock_policy("partner-list")).expect("it was built");
    Site::new()
        .settings(ADDRESS)
        .file("list.wasm", wasm)
        .tenant("acme", ACME)
        .tenant("bank", "domains = [\"bank.example\"]")
}

/// Runs it with these variables, written as `NAME=value`.
fn run(variables: &[&str], arguments: &[&str]) -> Ran {
    let program = portcullis().display().to_string();
    let all = [variables, &[&program], arguments].concat();
    tool::run("env", &all)
}

/// As the host's owner, over the socket of its configuration.
fn as_owner(host: &Host, arguments: &[&str]) -> Ran {
    let config = host.site().path("portcullis.toml").display().to_string();
    run(&[], &[arguments, &["--config", &config]].concat())
}

fn url(host: &Host) -> String {
    format!("http://{}", host.address("admin"))
}

/// Over the network, with this token.
fn with_token(host: &Host, token: &str, arguments: &[&str]) -> Ran {
    let url = format!("PORTCULLIS_URL={}", url(host));
    let token = format!("PORTCULLIS_TOKEN={token}");
    run(&[&url, &token], arguments)
}

/// A new token of this role of acme, or an operator's.
fn token(host: &Host, role: &str) -> String {
    let name = format!("a-{role}");
    let mut wanted = vec!["token", "create", &name, "--role", role];
    if role != "operator" {
        wanted.extend(["--tenant", "acme"]);
    }
    let made = as_owner(host, &wanted).expect_code(0);
    assert!(made.stderr.contains("made token "), "{}", made.stderr);
    made.stdout.trim().to_owned()
}

fn json(ran: &Ran) -> Vec<Value> {
    let parse = |line| serde_json::from_str(line).expect("a line of JSON");
    ran.stdout.lines().map(parse).collect()
}

/// What is asked, what people see of it, and what programs find at a place in the first
/// line.
const SHOWN: &[(&str, &[&str], &str, &str)] = &[
    (
        "tenant list",
        &["tenant  revision  digest", "acme    1"],
        "/id",
        "acme",
    ),
    (
        "tenant show acme",
        &[
            "# tenant acme, revision 1\n",
            "domains = [\"acme.example\"]",
            "contact = \"call us\"",
        ],
        "/own/contact",
        "call us",
    ),
    (
        "tenant running acme",
        &["policy  board         ", "module  partner-list  "],
        "/policies/0/name",
        "asked",
    ),
    (
        "policy list --tenant acme",
        &[
            "board   1         inbound    everyone       board@acme.example  enforce  enforced\n",
            "asked   1         inbound    list:partners  everyone            monitor  module partner-list\n",
        ],
        "/name",
        "board",
    ),
    (
        "policy show board --tenant acme",
        &[
            "# policy board of tenant acme, revision 1\n",
            "option = \"enforced\"\n",
        ],
        "/document/option",
        "enforced",
    ),
    (
        "list list --tenant acme",
        &["partners  1         3        "],
        "/name",
        "partners",
    ),
    (
        "list show routes --tenant acme",
        &["routes  1         1        "],
        "/name",
        "routes",
    ),
    (
        "list entries partners --tenant acme",
        &["a.example\nb.example\nc.example\n"],
        "/key",
        "a.example",
    ),
    (
        "list entries routes --tenant acme",
        &["a.example => one\n"],
        "/value",
        "one",
    ),
    (
        "explain --tenant acme --from amy@a.example --to board@acme.example --client 192.0.2.1",
        &[
            "applies      board: enforced\n",
            "monitored    asked: asks the module partner-list",
        ],
        "/explanation/in_force",
        "board",
    ),
    (
        "audit --tenant acme --limit 1",
        &[" socket + tenant acme: token a-admin\n"],
        "/who",
        "socket",
    ),
    (
        "token list --tenant acme",
        &["  a-admin   admin   acme    20"],
        "/tenant",
        "acme",
    ),
];

#[test]
fn what_there_is_is_shown_to_people_and_to_programs() {
    let host = site().start();
    let viewer = token(&host, "viewer");
    let operator = token(&host, "operator");
    let admin = token(&host, "admin");
    let socket = host.site().path("data/admin.sock").display().to_string();
    for (line, shown, place, found) in SHOWN {
        let words: Vec<&str> = line.split(' ').collect();
        let over_socket = [&words[..], &["--socket", &socket]].concat();
        for ran in [
            run(&[], &over_socket),
            with_token(&host, &operator, &words),
            with_token(&host, &admin, &words),
        ] {
            let ran = ran.expect_code(0);
            for part in *shown {
                assert!(ran.stdout.contains(part), "{line}: {part}\n{}", ran.stdout);
            }
        }
        let words = [&words[..], &["--json"]].concat();
        let ran = with_token(&host, &admin, &words).expect_code(0);
        assert_eq!(
            json(&ran)[0].pointer(place),
            Some(&Value::from(*found)),
            "{line}: {}",
            ran.stdout
        );
    }
    let node = with_token(&host, &operator, &["node"])
        .expect_code(0)
        .stdout;
    assert!(
        node.starts_with("mx.host.example: portcullis ") && node.ends_with(", 2 tenants\n"),
        "{node}"
    );
    let node = as_owner(&host, &["node", "--json"]).expect_code(0);
    assert_eq!(json(&node)[0]["tenants"], 2);
    // A token of one tenant means it, and sees nobody else's.
    let own = with_token(&host, &viewer, &["policy", "list"])
        .expect_code(0)
        .stdout;
    assert!(own.contains("board"), "{own}");
    let all = with_token(&host, &viewer, &["tenant", "list", "--json"]).expect_code(0);
    assert_eq!(json(&all).len(), 1);
    let several = as_owner(&host, &["policy", "list"]).expect_code(1).stderr;
    assert!(
        several.contains("say whose it is with --tenant"),
        "{several}"
    );
    let few = as_owner(&host, &["tenant", "list", "--json", "--limit", "1"]).expect_code(0);
    assert_eq!(json(&few).len(), 1);
    host.stop();
}

/// More than a page has.
#[test]
fn pages_are_followed_to_their_end() {
    let entries: Vec<String> = (0..2345).map(|n| format!("{n:04}.example")).collect();
    let text = format!("{}\n", entries.join("\n"));
    let host = Site::new()
        .file("many.list", &text)
        .tenant(
            "acme",
            "domains = [\"acme.example\"]\n[lists.many]\nfile = \"../many.list\"\n",
        )
        .start();
    let shown = as_owner(&host, &["list", "entries", "many"])
        .expect_code(0)
        .stdout;
    let (head, rest) = shown.split_once('\n').expect("a first line");
    assert!(
        head.starts_with("# list many of tenant acme, revision "),
        "{head}"
    );
    assert!(rest == text, "{} lines", shown.lines().count());
    let some = as_owner(&host, &["list", "entries", "many", "--limit", "1001"]).expect_code(0);
    assert_eq!(some.stdout.lines().count(), 1001);
    // The audit, which is told newest first, is shown oldest first, here as from the disk.
    let socket = host.site().path("data/admin.sock").display().to_string();
    let asked = run(&[], &["audit", "--socket", &socket])
        .expect_code(0)
        .stdout;
    assert_eq!(asked, as_owner(&host, &["audit"]).expect_code(0).stdout);
    assert!(
        asked.lines().count() > 1 && asked.contains(" files + tenant acme\n"),
        "{asked}"
    );
    host.stop();
}

#[test]
fn what_goes_wrong_is_said_with_an_exit_code() {
    let host = site().start();
    let viewer = token(&host, "viewer");
    let nobody = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let closed = format!("http://{}", nobody.local_addr().expect("it is bound"));
    drop(nobody);
    let smtp = format!("http://{}", host.address("smtp"));
    let none = host.site().path("none.sock").display().to_string();
    let other = host.site().path("list.wasm").display().to_string();
    for (arguments, code, said) in [
        // The command line is wrong.
        (vec!["tenant"], 2, "Usage: portcullis tenant"),
        (vec!["tenant", "show"], 2, "<ID>"),
        (vec!["tenant", "show", "A b"], 2, "\"A b\""),
        (vec!["policy", "show", ".."], 2, "is not a name"),
        (
            vec!["node", "--url", "mx.example"],
            2,
            "is no URL of an admin API",
        ),
        (
            vec!["node", "--url", "http://a:b@mx.example"],
            2,
            "has a user",
        ),
        (
            vec!["node", "--url", &closed, "--socket", "s"],
            2,
            "cannot be used with",
        ),
        (
            vec!["token", "create", "x", "--role", "root"],
            2,
            "\"root\" is not a role",
        ),
        // Nobody is there, or somebody else.
        (
            vec!["node", "--url", &closed],
            1,
            "cannot be asked: Connection refused",
        ),
        (
            vec!["node", "--socket", &none],
            1,
            "none.sock: cannot be asked: No such file",
        ),
        (vec!["node", "--socket", &other], 1, "cannot be asked: "),
        (vec!["node", "--url", &smtp], 1, "did not answer: "),
        (vec!["node", "--url", "http://192.0.2.1"], 1, "in clear"),
        // The host says no.
        (
            vec!["node", "--url", &url(&host), "--token-file", "/dev/null"],
            1,
            "has no token",
        ),
        (
            vec!["node"],
            1,
            "this token is a viewer's, and this is for operators",
        ),
        (
            vec!["tenant", "show", "bank"],
            4,
            "there is no tenant \"bank\"",
        ),
        (vec!["policy", "show", "none"], 4, "has no policy \"none\""),
        (
            vec!["explain", "01KJM3AAAAAAAAAAAAAAAAAAAA"],
            4,
            "there is no receipt",
        ),
        (vec!["apply", "/nowhere"], 1, "for whoever owns the host"),
    ] {
        let ran = with_token(&host, &viewer, &arguments);
        assert_eq!(ran.code, code, "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(said), "{arguments:?}: {}", ran.stderr);
        assert!(
            !ran.stderr.contains(&viewer),
            "{arguments:?}: {}",
            ran.stderr
        );
        assert_eq!(ran.stdout, "", "{arguments:?}");
    }
    let refused = run(&[], &["node", "--url", &url(&host)])
        .expect_code(1)
        .stderr;
    let told = ": this needs a token, and there was none: put it into PORTCULLIS_TOKEN, or into a \
                file that --token-file names\n";
    assert!(refused.ends_with(told), "{refused}");
    host.stop();
}

#[test]
fn a_token_goes_in_tls_to_whom_the_anchors_vouch_for() {
    let site = site();
    let named = Identity::self_signed(&["localhost"]);
    let files = named.write(site.directory(), "front");
    let both = [&files.certificate, &files.key].map(|path| fs::read(path).expect("written"));
    fs::write(site.path("both.pem"), both.concat()).expect("written");
    Identity::self_signed(&["localhost"]).write(site.directory(), "other");
    let host = site.start();
    let bind = format!("ssl crt {}", host.site().path("both.pem").display());
    let proxy = Haproxy::start(host.site().directory(), &bind, host.address("admin"), "");
    let operator = token(&host, "operator");
    let file = host.site().path("token");
    fs::write(&file, operator).expect("written");
    let file = file.display().to_string();
    let port = proxy.address().port();
    let ask = |name: &str, anchors: &[&str]| {
        let url = format!("https://{name}:{port}");
        let words = ["node", "--url", &url, "--token-file", &file];
        run(&[], &[&words, anchors].concat())
    };
    let path = |name: &str| host.site().path(name).display().to_string();
    ask("localhost", &["--ca", &path("front.pem")]).expect_code(0);
    for (name, anchors, said) in [
        ("localhost", vec![], "its certificate is not trusted"),
        (
            "localhost",
            vec!["--ca".to_owned(), path("other.pem")],
            "its certificate is not trusted",
        ),
        (
            "127.0.0.1",
            vec!["--ca".to_owned(), path("front.pem")],
            "its certificate is for localhost",
        ),
        (
            "localhost",
            vec!["--ca".to_owned(), path("list.wasm")],
            "has no certificate",
        ),
    ] {
        let anchors: Vec<&str> = anchors.iter().map(String::as_str).collect();
        let refused = ask(name, &anchors).expect_code(1).stderr;
        assert!(refused.contains(said), "{name} {anchors:?}: {refused}");
    }
    host.stop();
}

#[test]
fn shells_and_man_know_the_command_line() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(&[], &["completions", shell]).expect_code(0).stdout;
        assert!(
            script.contains("rollback") || script.contains("revoke"),
            "{shell}"
        );
    }
    let script = run(&[], &["completions", "bash"]).expect_code(0).stdout;
    // What it completes when this is typed.
    let typed = "COMP_WORDS=(portcullis token r); COMP_CWORD=2; _portcullis portcullis r token; echo \"${COMPREPLY[@]}\"";
    let completed = tool::run_with_input("bash", &[], format!("{script}\n{typed}\n").as_bytes());
    assert_eq!(completed.expect_code(0).stdout, "revoke\n");
    let directory = tempfile::tempdir().expect("there is room");
    let pages = directory.path().join("man1");
    run(&[], &["man", &pages.display().to_string()]).expect_code(0);
    let pages: Vec<_> = fs::read_dir(pages)
        .expect("it was made")
        .map(|page| page.expect("read").path())
        .collect();
    assert!(pages.len() > 30, "{pages:?}");
    for page in pages {
        let page = page.display().to_string();
        let linted = tool::run("mandoc", &["-T", "lint", "-W", "error", &page]);
        assert_eq!((linted.code, linted.stdout.as_str()), (0, ""), "{page}");
        let shown = tool::run("mandoc", &["-T", "ascii", &page])
            .expect_code(0)
            .stdout;
        assert!(
            shown.contains("PORTCULLIS") || shown.contains("portcullis"),
            "{shown}"
        );
    }
}
