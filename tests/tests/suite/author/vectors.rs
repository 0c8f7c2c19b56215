//! A policy asked by its author: `run`, `test` and `bench`, with compiled modules in the
//! real engine.

mod costs;
mod endings;
mod receipts;
mod watch;

use std::fs;
use std::path::{Path, PathBuf};

use portcullis_tests::program::{
    STOCK_POLICIES, cookbook_policy, portcullis, stock_policy, workspace,
};
use portcullis_tests::tool::{self, Ran};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::engine::guest::{guest, guest_with_schema, never_answers, traps_for_the_null_sender};

const VECTORS: &str = r#"
[settings]
list = "partners"

[lists.partners]
entries = { "partner.example" = "within", "bad.example" = "withn" }

[facts]
sender = "amy@partner.example"
tls = {}

[[case]]
name = "a partner"
expect = { decision = "enforced", requirements = ["certificate-within partner.example"] }

[[case]]
name = "a stranger"
facts = { sender = "amy@stranger.example" }
expect = { decision = "default", reason = "stranger.example is not in list partners" }

[[case]]
name = "a slip in the list"
facts = { sender = "amy@bad.example" }
expect = { fails = "is no requirement: write tls" }

[[case]]
name = "a list that is not there"
lists = { partners = false }
expect = { fails = "the list \"partners\"" }
"#;

/// A directory with a file of vectors and others that a test needs.
struct Desk(TempDir);

impl Desk {
    fn new(vectors: &str) -> Self {
        let desk = Self(tempfile::tempdir().expect("there is room for a directory"));
        desk.write("vectors.toml", vectors);
        desk
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).expect("the directory is there");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Tries these vectors of the desk with this module.
    fn test(&self, module: &Path, more: &[&str]) -> Ran {
        let (module, vectors) = (module.display().to_string(), self.text("vectors.toml"));
        let ran = command(&[&["test", &module, "--vectors", &vectors], more].concat());
        self.without_directory(ran)
    }

    /// What is said is the same wherever the desk is.
    fn without_directory(&self, mut ran: Ran) -> Ran {
        let root = format!("{}/", self.0.path().display());
        ran.stdout = ran.stdout.replace(&root, "");
        ran.stderr = ran.stderr.replace(&root, "");
        ran
    }
}

fn command(arguments: &[&str]) -> Ran {
    tool::run(&portcullis().display().to_string(), arguments)
}

fn partner_list() -> PathBuf {
    stock_policy("partner-list")
}

/// What stands before the first line that has this, which is left out of a comparison.
fn from<'t>(text: &'t str, mark: &str) -> &'t str {
    &text[text.find(mark).expect(text)..]
}

#[test]
fn vectors_that_hold_are_told_with_what_they_have_seen() {
    let desk = Desk::new(VECTORS);
    let ran = desk.test(&partner_list(), &[]).expect_code(0);
    let (cases, result) = ran.stdout.split_once("\ntest result: ").expect("a result");
    let expected = "\
running 4 cases of vectors.toml
case a partner ... ok
case a stranger ... ok
case a slip in the list ... ok
case a list that is not there ... ok

coverage:
  decisions  default 1, opportunistic never, enforced 1
  failures   error 1, unknown-list 1
  facts      message.sender
  lists      partners
  requires   certificate-within
";
    assert_eq!(from(cases, "running"), expected);
    assert!(
        result.starts_with("ok. 4 passed; 0 failed; in "),
        "{result}"
    );
    assert_eq!(ran.stderr, "");
}

/// The same vectors that `cargo test` tries natively: they hold, and come to every decision
/// that the policy's source has, and to no other.
#[test]
fn vectors_of_the_repository_hold_for_the_compiled_policies() {
    let policies = workspace().join("policies-wasm");
    let stock = STOCK_POLICIES.map(|name| {
        let of = policies.join(name);
        let source = of.join("src/lib.rs");
        (stock_policy(name), of.join("vectors.toml"), source)
    });
    let cookbook = fs::read_dir(policies.join("cookbook/vectors")).expect("it is there");
    let cookbook = cookbook.map(|entry| {
        let vectors = entry.expect("it can be read").path();
        let name = vectors.file_stem().expect("it has a name");
        let name = name.to_string_lossy().into_owned();
        let source = policies.join(format!("cookbook/examples/{name}.rs"));
        (cookbook_policy(&name), vectors, source)
    });
    for (module, vectors, source) in stock.into_iter().chain(cookbook) {
        let arguments = [&module, &vectors].map(|path| path.display().to_string());
        let ran = command(&["test", &arguments[0], "--vectors", &arguments[1]]).expect_code(0);
        let source = fs::read_to_string(source).expect("a policy has its source");
        let all = ["default", "opportunistic", "enforced"];
        let expected = all.map(|decision| source.contains(&format!("Answer::{decision}(")));
        let coverage = from(&ran.stdout, "  decisions  ");
        let coverage = coverage.lines().next().unwrap_or_default();
        let seen = all.map(|decision| !coverage.contains(&format!("{decision} never")));
        assert_eq!(seen, expected, "{}: {coverage}", arguments[1]);
    }
}

#[test]
fn a_vector_that_does_not_hold_shows_the_difference_and_what_the_module_did() {
    let vectors = VECTORS.replace(
        "requirements = [\"certificate-within p",
        "requirements = [\"certificate-within other.p",
    );
    let vectors = vectors.replace("reason = \"stranger", "reason = \"a stranger");
    let desk = Desk::new(&vectors);
    let ran = desk.test(&partner_list(), &[]).expect_code(1);
    let expected = r#"failures:

---- a partner (vectors.toml:12) ----
              expected                                      found
requirements  ["certificate-within other.partner.example"]  ["certificate-within partner.example"]

it        what                                answer
read      message.sender                      "amy@partner.example"
asked     list partners: "partner.example"    "within"
required  certificate-within partner.example

of the case             not read
message.tls             present
tls.origin              "socket"
"#;
    let failures = from(&ran.stdout, "failures:");
    assert!(failures.starts_with(expected), "{failures}");
    let second = r#"---- a stranger (vectors.toml:16) ----
        expected                                      found
reason  "a stranger.example is not in list partners"  "stranger.example is not in list partners"
"#;
    assert!(failures.contains(second), "{failures}");
    assert!(failures.contains(" units of fuel, "), "{failures}");
    let result = "test result: FAILED. 2 passed; 2 failed; in ";
    assert!(failures.contains(result), "{failures}");
    assert!(
        ran.stdout.contains("case a partner ... FAILED"),
        "{}",
        ran.stdout
    );
}

#[test]
fn cases_are_chosen_by_a_part_of_their_names() {
    let desk = Desk::new(VECTORS);
    let ran = desk
        .test(&partner_list(), &["--", "list", "partner"])
        .expect_code(0);
    let result = "3 passed; 0 failed; 1 filtered out; in ";
    assert!(ran.stdout.contains(result), "{}", ran.stdout);
    let ran = desk
        .test(&partner_list(), &["--", "partner", "strangr"])
        .expect_code(1);
    let said =
        "portcullis: no case has \"strangr\" in its name: there are \"a partner\", \"a stranger\"";
    assert!(ran.stderr.starts_with(said), "{}", ran.stderr);
}

/// All that is wrong with vectors is said at once, with its place, before anything is tried.
#[test]
fn vectors_with_faults_are_not_tried() {
    let vectors = VECTORS
        .replace("tls = {}", "tls = {}\nsendr = \"x@y.example\"")
        .replace(
            "{ sender = \"amy@stranger.example\" }",
            "{ sender = \"amy\", helo_verb = \"EHLOO\" }",
        );
    let desk = Desk::new(&vectors);
    let ran = desk.test(&partner_list(), &[]).expect_code(1);
    assert_eq!(ran.stdout, "");
    for said in [
        "vectors.toml: line 11: ",
        "sendr",
        "did you mean \"sender\"",
        "line 19: ",
        "EHLOO",
    ] {
        assert!(ran.stderr.contains(said), "{said}: {}", ran.stderr);
    }
    for (vectors, said) in [
        ("", "there is no case"),
        (
            "[[case]]\nname = \"a\"\nexpect = { decision = \"enforce\" }",
            "did you mean \"enforced\"",
        ),
        ("[[case]\n", "line 1: "),
    ] {
        desk.write("vectors.toml", vectors);
        let ran = desk.test(&partner_list(), &[]).expect_code(1);
        assert!(ran.stderr.contains(said), "{said}: {}", ran.stderr);
    }
    let missing = desk.text("none.toml");
    let module = partner_list().display().to_string();
    let ran = command(&["test", &module, "--vectors", &missing]).expect_code(1);
    assert!(
        ran.stderr
            .contains("none.toml cannot be read: No such file"),
        "{}",
        ran.stderr
    );
}

/// A policy that gives no answer is what a case may expect, and what is found where it does
/// not.
#[test]
fn modules_that_break_down_say_how() {
    let desk = Desk::new(
        "[[case]]\nname = \"one\"\nfacts = { sender = \"\" }\nexpect = { decision = \"default\" }\n",
    );
    for (module, found) in [
        (
            traps_for_the_null_sender(),
            "no answer: the policy trapped: ",
        ),
        (
            never_answers(),
            "no answer: the policy used up its fuel of 10000000 units",
        ),
    ] {
        desk.write("module.wasm", module);
        let ran = desk.test(&desk.path("module.wasm"), &[]).expect_code(1);
        assert!(ran.stdout.contains(found), "{found}: {}", ran.stdout);
    }
    desk.write(
        "vectors.toml",
        "[[case]]\nname = \"one\"\nexpect = { fails = \"used up its fuel\" }\n",
    );
    desk.test(&desk.path("module.wasm"), &[]).expect_code(0);
    // By an operator's limits it has less.
    desk.write("portcullis.toml", "hostname = \"mx.example\"\n[[listener]]\nname = \"smtp\"\naddress = \"127.0.0.1:0\"\ntls = \"none\"\n[engine]\nfuel = 54321\n");
    desk.write(
        "vectors.toml",
        "[[case]]\nname = \"one\"\nexpect = { fails = \"its fuel of 54321 units\" }\n",
    );
    let config = desk.text("portcullis.toml");
    desk.test(&desk.path("module.wasm"), &["--config", &config])
        .expect_code(0);
}

/// A host takes no policy with settings that its module does not: such a case has none to
/// be asked with.
#[test]
fn settings_are_held_against_the_schema_of_the_module() {
    let desk = Desk::new(
        "[[case]]\nname = \"one\"\nsettings = { n = \"text\" }\nexpect = { decision = \"default\" }\n",
    );
    let schema = r#"{"type":"object","properties":{"n":{"type":"integer"}}}"#;
    desk.write("module.wasm", guest_with_schema(schema));
    let ran = desk.test(&desk.path("module.wasm"), &[]).expect_code(1);
    let found = "no answer: no policy can have these settings: /n: ";
    assert!(ran.stdout.contains(found), "{}", ran.stdout);
    assert!(
        ran.stdout.contains("failures   settings 1"),
        "{}",
        ran.stdout
    );
    let (module, facts) = (desk.text("module.wasm"), desk.text("facts.toml"));
    desk.write("facts.toml", "[facts]\n");
    for (settings, said) in [
        ("{ \"n\": 1,", "settings: EOF while parsing"),
        ("\"text\"", "settings: "),
        ("n = ", "settings: "),
    ] {
        desk.write("settings", settings);
        let arguments = [
            "run",
            &module,
            "--facts",
            &facts,
            "--settings",
            &desk.text("settings"),
        ];
        let ran = desk.without_directory(command(&arguments)).expect_code(1);
        assert!(ran.stderr.contains(said), "{settings}: {}", ran.stderr);
    }
    desk.write("settings", "n = 1");
    command(&[
        "run",
        &module,
        "--facts",
        &facts,
        "--settings",
        &desk.text("settings"),
    ])
    .expect_code(0);
}

/// Whatever the file is, it is refused in words, and nothing breaks down.
#[test]
fn files_that_are_no_modules_are_refused() {
    let desk = Desk::new(VECTORS);
    let whole = guest("");
    let cuts = [0, 1, 4, 7, 8, 20, whole.len() / 2, whole.len() - 1];
    for cut in cuts {
        desk.write("module.wasm", &whole[..cut]);
        let ran = desk.test(&desk.path("module.wasm"), &[]).expect_code(1);
        let said = "portcullis: module.wasm would be refused by the host: ";
        assert!(ran.stderr.starts_with(said), "{cut}: {}", ran.stderr);
        assert_eq!(ran.stdout, "", "{cut}");
    }
    let ran = desk.test(&desk.path("none.wasm"), &[]).expect_code(1);
    assert!(
        ran.stderr.contains("none.wasm cannot be read"),
        "{}",
        ran.stderr
    );
}

#[test]
fn one_decision_is_shown_with_all_that_the_module_did_for_it() {
    let desk = Desk::new(VECTORS);
    let (before, _) = VECTORS.split_once("[[case]]").expect("cases");
    desk.write("facts.toml", before);
    let (module, facts, vectors) = (
        partner_list().display().to_string(),
        desk.text("facts.toml"),
        desk.text("vectors.toml"),
    );
    let ran = command(&["run", &module, "--facts", &facts]).expect_code(0);
    let expected = r#"decision   enforced
requires   certificate-within partner.example
because    partner.example is in list partners: within
cost       "#;
    assert!(
        from(&ran.stdout, "decision").starts_with(expected),
        "{}",
        ran.stdout
    );
    let trace = r#"
it        what                                answer
read      message.sender                      "amy@partner.example"
asked     list partners: "partner.example"    "within"
required  certificate-within partner.example
"#;
    assert!(ran.stdout.ends_with(trace), "{}", ran.stdout);

    let ran = command(&["run", &module, "--facts", &facts, "--json"]).expect_code(0);
    let found: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let trace = json!([
        { "kind": "fact", "name": "message.sender", "value": "amy@partner.example" },
        { "kind": "list", "name": "partners", "key": "partner.example", "answer": "found", "value": "within" },
        { "kind": "requirement", "set": 0, "requirement": { "within": "partner.example" } },
    ]);
    assert_eq!(found["trace"], trace);
    assert_eq!(found["decision"], "enforced");
    assert_eq!(found["failure"], Value::Null);
    for number in ["fuel", "memory"] {
        assert!(
            found[number].as_u64().is_some_and(|n| n > 0),
            "{number}: {found}"
        );
    }

    // A case of vectors, and one that gives no answer.
    let asked = |case: &str| command(&["run", &module, "--vectors", &vectors, "--case", case]);
    asked("a stranger").expect_code(0);
    let ran = asked("a list that is not there").expect_code(1);
    for said in [
        "decision   none: what the policy has as on_failure applies\n",
        "failure    the policy asked for the list \"partners\", which the tenant does not have",
        "asked  list partners: \"partner.example\"  there is no list of this name\n",
    ] {
        assert!(ran.stdout.contains(said), "{said}: {}", ran.stdout);
    }
    let ran = asked("a strangr").expect_code(1);
    assert!(
        ran.stderr.contains("did you mean \"a stranger\"?"),
        "{}",
        ran.stderr
    );
    // A file of facts has no cases.
    let ran = command(&["run", &module, "--facts", &vectors]).expect_code(1);
    assert!(ran.stderr.contains("case"), "{}", ran.stderr);
    command(&["run", &module]).expect_code(2);
}
