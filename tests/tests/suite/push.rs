//! `portcullis push`: from a crate to a revision on a host in one go, and whatever may fail on
//! the way.

use std::fs;
use std::io::pipe;
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use portcullis::digest::Digest;
use portcullis_tests::api::ADDRESS;
use portcullis_tests::program::{portcullis, stock_policy, target_directory, workspace};
use portcullis_tests::site::{Host, Site};
use portcullis_tests::tool::{self, Ran};
use serde_json::Value;

/// A host with a tenant, and an author who has a crate.
struct Desk {
    host: Host,
    author: String,
}

impl Desk {
    fn new() -> Self {
        let host = Site::without_files().settings(ADDRESS).start();
        host.write("acme.toml", "domains = [\"acme.example\"]\n");
        let mut desk = Self {
            host,
            author: String::new(),
        };
        let tenant = desk.path("acme.toml");
        desk.owner(&["tenant", "set", "acme", &tenant]);
        desk.author = desk.token("author");
        desk
    }

    fn path(&self, name: &str) -> String {
        self.host.site().path(name).display().to_string()
    }

    /// As the host's owner.
    fn owner(&self, arguments: &[&str]) -> Ran {
        let config = self.path("portcullis.toml");
        let program = portcullis().display().to_string();
        tool::run(&program, &[arguments, &["--config", &config]].concat()).expect_code(0)
    }

    fn token(&self, role: &str) -> String {
        let wanted = ["token", "create", role, "--role", role, "--tenant", "acme"];
        self.owner(&wanted).stdout.trim().to_owned()
    }

    /// In this directory, with this token.
    fn run(&self, directory: &str, token: &str, arguments: &[&str]) -> Ran {
        let url = format!("PORTCULLIS_URL=http://{}", self.host.address("admin"));
        let token = format!("PORTCULLIS_TOKEN={token}");
        // What policies are built with is built once for all of these tests.
        let target = format!("CARGO_TARGET_DIR={}", target().display());
        let program = portcullis().display().to_string();
        let head = [
            "-C",
            directory,
            &url,
            &token,
            &target,
            "CARGO_NET_OFFLINE=true",
        ];
        tool::run("env", &[&head[..], &[&program], arguments].concat())
    }

    fn push(&self, arguments: &[&str]) -> Ran {
        self.run(
            &self.path("meadow"),
            &self.author,
            &[&["push"], arguments].concat(),
        )
    }

    /// The revisions of a module, newest first, and the active one.
    fn revisions(&self, module: &str) -> (Vec<i64>, Option<i64>) {
        let shown = self.owner(&["module", "show", module, "--json"]).stdout;
        let shown: Value = serde_json::from_str(&shown).expect("JSON");
        let revisions = shown["revisions"].as_array().expect("revisions").iter();
        let numbers = revisions.filter_map(|one| one["number"].as_i64());
        (numbers.collect(), shown["active"].as_i64())
    }

    fn edit(&self, file: &str, from: &str, to: &str) {
        let path = format!("meadow/{file}");
        let text = fs::read_to_string(self.host.site().path(&path)).expect("it is there");
        assert!(text.contains(from), "{from:?} is not in {text}");
        self.host.write(&path, text.replace(from, to));
    }
}

fn target() -> PathBuf {
    target_directory().join("author")
}

/// What each step is called, and what it says without how long it took.
fn steps(ran: &Ran) -> Vec<(&str, &str)> {
    let lines = ran.stdout.lines().take_while(|line| !line.is_empty());
    let split = |line| -> Option<(&str, &str)> {
        let (step, rest) = str::split_once(line, ' ')?;
        let (what, seconds) = rest.trim_start().rsplit_once(" (")?;
        assert!(seconds.ends_with(" s)"), "{line}");
        Some((step, what))
    };
    lines.map(|line| split(line).expect("a step")).collect()
}

fn says(ran: &Ran, part: &str) {
    assert!(
        ran.stderr.contains(part),
        "{part}:\n{}\n{}",
        ran.stdout,
        ran.stderr
    );
}

#[test]
fn a_crate_is_built_tested_and_pushed_in_one_go() {
    let desk = Desk::new();
    let site = desk.host.site().directory().display().to_string();
    desk.run(&site, &desk.author, &["new", "meadow"])
        .expect_code(0);

    // Who does not know the tenant, or is not known there, hears it before anything is built.
    let early = desk.push(&["--tenant", "bank"]).expect_code(4);
    says(
        &early,
        "portcullis: nothing was uploaded: there is no tenant \"bank\"",
    );
    let meadow = desk.path("meadow");
    let unknown = desk.run(&meadow, "unknown", &["push", "--tenant", "acme"]);
    let unknown = unknown.expect_code(1);
    says(
        &unknown,
        "portcullis: nothing was uploaded: this token is not known here",
    );
    for ran in [early, unknown] {
        assert!(!ran.stderr.contains("Compiling"), "{}", ran.stderr);
    }

    let first = desk.push(&[]).expect_code(0);
    let said = steps(&first);
    let names: Vec<&str> = said.iter().map(|(step, _)| *step).collect();
    assert_eq!(names, ["built", "tested", "uploaded", "compiled"]);
    assert!(said[0].1.contains("policy/meadow.wasm, "), "{said:?}");
    assert!(said[1].1.ends_with(" cases hold"), "{said:?}");
    assert_eq!(said[2].1, "revision 1 of meadow of tenant acme");
    let next = "portcullis module activate meadow 1";
    assert!(first.stdout.contains(next), "{}", first.stdout);
    assert_eq!(desk.revisions("meadow"), (vec![1], None));

    // The same bytes are no second revision.
    let again = ["--activate", "--tenant", "acme"];
    let again = desk.push(&again).expect_code(0);
    let said = steps(&again);
    let known = "nothing: revision 1 of meadow of tenant acme has these bytes";
    assert_eq!(said[2], ("uploaded", known));
    assert_eq!(said[4], ("activated", "revision 1, in the place of none"));
    assert!(
        again
            .stdout
            .contains("portcullis policy set NAME FILE --tenant acme  "),
        "{}",
        again.stdout
    );
    assert_eq!(desk.revisions("meadow"), (vec![1], Some(1)));
    let again = desk.push(&["--activate"]).expect_code(0);
    let said = steps(&again);
    assert_eq!(said[4], ("activated", "revision 1 was active already"));

    // What does not pass its vectors stays here, and so does what does not compile.
    desk.edit("vectors.toml", "\"default\"", "\"opportunistic\"");
    let failed = desk.push(&["--activate"]).expect_code(1);
    says(&failed, "portcullis: nothing was uploaded: ");
    says(
        &failed,
        " cases failed (--no-test pushes it all the same)\n",
    );
    says(&failed, "opportunistic");
    let names: Vec<&str> = steps(&failed).iter().map(|(step, _)| *step).collect();
    assert_eq!(names, ["built"]);
    desk.edit("vectors.toml", "decision =", "decison =");
    let failed = desk.push(&[]).expect_code(1);
    says(&failed, "nothing was uploaded: it cannot be tested");
    says(&failed, "decison");
    assert_eq!(failed.stdout, "", "nothing was built for that");
    desk.edit("src/lib.rs", "policy!(decide", "policy!(decode");
    let failed = desk.push(&["--no-test"]).expect_code(1);
    says(&failed, "error[E0425]");
    says(
        &failed,
        "portcullis: nothing was uploaded: meadow was not built",
    );
    assert_eq!(desk.revisions("meadow"), (vec![1], Some(1)));

    // A second revision is tried beside the first, untested.
    desk.edit("src/lib.rs", "policy!(decode", "policy!(decide");
    desk.edit("src/lib.rs", "needs TLS", "must have TLS");
    let tried = desk
        .push(&["--no-test", "--shadow", "--json"])
        .expect_code(0);
    let lines = tried.stdout.lines();
    let lines = lines.map(|line| serde_json::from_str(line).expect("JSON"));
    let lines: Vec<Value> = lines.collect();
    let names: Vec<&str> = lines
        .iter()
        .filter_map(|one| one["step"].as_str())
        .collect();
    assert_eq!(names, ["built", "uploaded", "compiled", "shadowed"]);
    assert_eq!(lines[1]["revision"], 2);
    assert_eq!(lines[1]["known"], false);
    assert!(
        lines.iter().all(|line| line["seconds"].is_number()),
        "{lines:?}"
    );
    let shadow = desk.owner(&["module", "shadow", "meadow"]).stdout;
    assert!(
        shadow.starts_with("revision 2 of meadow is tried since "),
        "{shadow}"
    );
    assert_eq!(desk.revisions("meadow"), (vec![2, 1], Some(1)));
    desk.host.stop();
}

/// The file may be another one by the time that it is uploaded; here it is a pipe, which
/// tells its bytes once.
#[test]
fn what_is_uploaded_is_what_was_tested() {
    let desk = Desk::new();
    let site = desk.host.site().directory().display().to_string();
    let fifo = desk.path("module.wasm");
    tool::run("mkfifo", &[&fifo]).expect_code(0);
    let bytes = fs::read(stock_policy("partner-list")).expect("it was built");
    let digest = Digest::of(&bytes).to_string();
    let written = {
        let fifo = fifo.clone();
        thread::spawn(move || fs::write(fifo, bytes))
    };
    let vectors = workspace().join("policies-wasm/partner-list/vectors.toml");
    let vectors = vectors.display().to_string();
    let pushed = ["push", &fifo, "--vectors", &vectors, "--name", "checks"];
    let pushed = desk.run(&site, &desk.author, &pushed).expect_code(0);
    let names: Vec<&str> = steps(&pushed).iter().map(|(step, _)| *step).collect();
    assert_eq!(names, ["tested", "uploaded", "compiled"]);
    written.join().expect("a thread").expect("it was read");
    let shown = desk.owner(&["module", "show", "checks", "--json"]).stdout;
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!(shown["revisions"][0]["digest"], *digest);
    desk.host.stop();
}

/// Every step is taken, whether it is heard of or not.
#[test]
fn a_push_does_not_end_with_its_reader() {
    let desk = Desk::new();
    let (reader, writer) = pipe().expect("a pipe");
    drop(reader);
    let status = Command::new(portcullis())
        .args(["push", "--no-test", "--activate", "--name", "checks"])
        .arg(stock_policy("partner-list"))
        .env(
            "PORTCULLIS_URL",
            format!("http://{}", desk.host.address("admin")),
        )
        .env("PORTCULLIS_TOKEN", &desk.author)
        .stdout(writer)
        .status()
        .expect("the binary was built");
    assert!(status.success(), "{status}");
    assert_eq!(desk.revisions("checks"), (vec![1], Some(1)));
    desk.host.stop();
}

/// What the host says no to, after what was done until then.
#[test]
fn what_fails_on_the_host_changes_nothing_there() {
    let desk = Desk::new();
    let site = desk.host.site().directory().display().to_string();
    let push = |token: &str, arguments: &[&str]| {
        desk.run(&site, token, &[&["push", "--no-test"], arguments].concat())
    };
    let (author, viewer) = (&desk.author, desk.token("viewer"));
    let list = stock_policy("partner-list").display().to_string();
    let other = stock_policy("modern-tls").display().to_string();
    let under = ["--name", "checks", "--activate"];

    // Nobody may, nobody is there, nothing goes by that name.
    let refused = push(&viewer, &[&list]).expect_code(1);
    says(
        &refused,
        "portcullis: not uploaded: this token is a viewer's",
    );
    assert_eq!(refused.stdout, "");
    let nowhere = push(author, &[&list, "--tenant", "bank"]).expect_code(4);
    says(
        &nowhere,
        "portcullis: nothing was uploaded: there is no tenant \"bank\"",
    );
    let none = desk.path("none.sock");
    let unasked = push(author, &[&list, "--socket", &none]).expect_code(1);
    says(&unasked, "none.sock: cannot be asked");
    let both = push(author, &[&list, "--shadow", "--activate"]).expect_code(2);
    says(&both, "cannot be used with");
    let file = push(author, &[&desk.path("none.wasm")]).expect_code(1);
    says(&file, "nothing was uploaded: cannot read ");
    let untested = desk.run(&site, author, &["push", &list]).expect_code(1);
    says(
        &untested,
        "nothing was uploaded: it cannot be tested (--no-test pushes it untested): ",
    );
    let no_crate = push(author, &[]).expect_code(1);
    says(
        &no_crate,
        "nothing was uploaded: there is no Cargo.toml in ",
    );

    // What is no module is refused when the host looks at it.
    desk.host.write("broken.wasm", "no module");
    let refused = push(author, &[&desk.path("broken.wasm"), "--activate"]).expect_code(1);
    says(
        &refused,
        "portcullis: uploaded, and what decides is as it was: revision 1 of broken is refused: ",
    );
    let names: Vec<&str> = steps(&refused).iter().map(|(step, _)| *step).collect();
    assert_eq!(names, ["uploaded"]);

    // Nothing to be tried beside.
    let alone = push(author, &[&list, "--name", "checks", "--shadow"]).expect_code(1);
    says(
        &alone,
        "portcullis: revision 1 is ready, and none is active: ",
    );
    push(author, &[&[list.as_str()], &under[..]].concat()).expect_code(0);

    // A policy asks it, whose settings the next one does not take.
    desk.host.write("partners.list", "a.example => tls\n");
    desk.host.write(
        "asks.toml",
        "option = \"module\"\nmodule = \"checks\"\nsettings = { list = \"partners\" }\n",
    );
    let (entries, policy) = (desk.path("partners.list"), desk.path("asks.toml"));
    desk.owner(&["list", "set", "partners", &entries]);
    desk.owner(&["policy", "set", "asks", &policy]);
    let refused = push(author, &[&[other.as_str()], &under[..]].concat()).expect_code(1);
    says(
        &refused,
        "revision 2 is ready, and revision 1 decides as before: ",
    );
    says(&refused, "policy \"asks\": settings");
    assert_eq!(desk.revisions("checks"), (vec![2, 1], Some(1)));

    // The same again, once that is mended, goes on from there.
    desk.owner(&["policy", "remove", "asks"]);
    let mended = push(author, &[&[other.as_str()], &under[..]].concat()).expect_code(0);
    let said = steps(&mended);
    let known = "nothing: revision 2 of checks of tenant acme has these bytes";
    assert_eq!(said[0], ("uploaded", known));
    assert_eq!(said[2], ("activated", "revision 2, in the place of 1"));
    desk.host.write(
        "asks.toml",
        "option = \"module\"\nmodule = \"checks\"\nsettings = { domains = {} }\n",
    );
    desk.owner(&["policy", "set", "asks", &policy]);
    let same = push(author, &[&[other.as_str()], &under[..]].concat()).expect_code(0);
    let next = "portcullis receipts --policy asks --since 1h";
    assert!(same.stdout.contains(next), "{}", same.stdout);
    desk.host.stop();
}
