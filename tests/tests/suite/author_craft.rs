//! What a policy's author does with the real binary: a new crate is built and looked at,
//! and whatever is wrong on the way is said in words that are fixed here.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use expect_test::{Expect, expect};
use portcullis::digest::Digest;
use portcullis_tests::client::Client;
use portcullis_tests::program::{portcullis, stock_policy, target_directory, workspace};
use portcullis_tests::site::Site;
use portcullis_tests::tool::{Ran, text};
use serde_json::Value;
use tempfile::TempDir;

use crate::engine::guest;

/// A crate as `portcullis new` makes it, built once for all tests.
struct Made {
    directory: TempDir,
    built: Ran,
}

impl Made {
    fn path(&self) -> PathBuf {
        self.directory.path().join("weekend")
    }

    /// The component that was built.
    fn module(&self) -> PathBuf {
        self.directory.path().join("weekend.wasm")
    }
}

fn made() -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    MADE.get_or_init(|| {
        let directory = tempfile::tempdir().expect("a directory");
        run(directory.path(), &["new", "weekend"]).expect_code(0);
        let built = run(&directory.path().join("weekend"), &["build"]).expect_code(0);
        // Another test may build one of that name in the same target directory.
        let module = policy_directory().join("weekend.wasm");
        fs::copy(module, directory.path().join("weekend.wasm")).expect("it was built");
        Made { directory, built }
    })
}

/// Where crates of these tests are built: what they depend on is built once, and has been
/// fetched with the stock policies, since here there is no network.
fn built_in() -> PathBuf {
    stock_policy("partner-list");
    target_directory().join("author")
}

fn policy_directory() -> PathBuf {
    built_in().join("policy")
}

/// Runs it in this directory, without a network.
fn run(directory: &Path, arguments: &[&str]) -> Ran {
    run_with(directory, arguments, &[])
}

fn run_with(directory: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
    let output = Command::new(portcullis())
        .current_dir(directory)
        .args(arguments)
        .env("CARGO_TARGET_DIR", built_in())
        .env("CARGO_NET_OFFLINE", "true")
        .env("CARGO_TERM_COLOR", "never")
        .env_remove("CARGO")
        .envs(variables.iter().copied())
        .output()
        .expect("the binary was built");
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
    }
}

/// What it says of a crate or file, with the test's directory left out.
fn said(directory: &Path, arguments: &[&str], expected: &Expect) {
    let ran = run(directory, arguments).expect_code(1);
    expected.assert_eq(&without(&ran.stderr, directory));
}

fn without(said: &str, directory: &Path) -> String {
    let whole = directory.canonicalize().expect("it is there");
    said.replace(&whole.display().to_string(), "HERE")
}

fn write(path: &Path, contents: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().expect("a file")).expect("a directory");
    fs::write(path, contents).expect("a file");
}

/// A library of this name with these lines in its manifest.
fn library(directory: &Path, name: &str, more: &str, source: &str) {
    let manifest =
        format!("[package]\nname = \"{name}\"\nversion = \"1.2.3\"\n{more}\n[workspace]\n");
    write(&directory.join("Cargo.toml"), manifest);
    write(&directory.join("src/lib.rs"), source);
}

const MODULE: &str =
    "edition = \"2024\"\n[lib]\ncrate-type = [\"cdylib\"]\n[profile.release]\npanic = \"abort\"";

#[test]
fn a_new_crate_is_built_to_what_a_host_takes() {
    let made = made();
    let bytes = fs::read(made.module()).expect("it was built");
    let digest = Digest::of(&bytes).to_string();
    let shown = &made.built.stdout;
    let first = shown.lines().next().unwrap_or_default();
    assert!(
        first.contains("policy/weekend.wasm: a component of "),
        "{shown}"
    );
    for line in [
        &format!("  sha256     {digest}"),
        "  interface  0.1.0",
        "  imports    portcullis:policy/",
        "  policy     weekend 0.1.0",
        "Domains whose mail must arrive over TLS, with all domains below them.",
    ] {
        assert!(shown.contains(line), "{line}:\n{shown}");
    }
    // Cargo's own words, and no advice: the profile is as it should be.
    assert!(made.built.stderr.contains("Finished `release` profile"));
    assert!(
        !made.built.stderr.contains("note: "),
        "{}",
        made.built.stderr
    );
    assert!(bytes.len() < 400_000, "{}", bytes.len());

    // A program reads the same, and the same crate makes the same bytes.
    let again = run(&made.path(), &["build", "--json"]).expect_code(0);
    let json: Value = serde_json::from_str(&again.stdout).expect("JSON");
    assert_eq!(json["digest"], *digest);
    assert_eq!(json["form"], "component");
    assert_eq!(json["refused"], Value::Null);
    assert_eq!(json["manifest"]["name"], "weekend");
    assert_eq!(
        json["settings_schema"]["properties"]["domains"]["description"],
        "Domains whose mail must arrive over TLS, with all domains below them."
    );
    assert_eq!(
        json["path"],
        policy_directory()
            .join("weekend.wasm")
            .display()
            .to_string()
    );
}

/// Its unit test is its vectors, without WebAssembly.
#[test]
fn a_new_crate_passes_its_own_tests() {
    let cargo = Command::new("cargo")
        .current_dir(made().path())
        .args(["test", "--lib", "--offline"])
        .env("CARGO_TARGET_DIR", built_in())
        .output()
        .expect("cargo is there");
    let (stdout, stderr) = (text(&cargo.stdout), text(&cargo.stderr));
    assert!(cargo.status.success(), "{stdout}\n{stderr}");
    assert!(stdout.contains("test tests::vectors ... ok"), "{stdout}");
    // The policy and the SDK in it are without warnings.
    assert!(!stderr.contains("warning"), "{stderr}");
}

#[test]
fn a_new_crate_is_no_member_of_what_lies_above_it() {
    let above = tempfile::tempdir().expect("a directory");
    write(
        &above.path().join("Cargo.toml"),
        "[workspace]\nmembers = [\"*\"]\n",
    );
    run(above.path(), &["new", "inner"]).expect_code(0);
    let metadata = Command::new("cargo")
        .current_dir(above.path().join("inner"))
        .args([
            "metadata",
            "--offline",
            "--no-deps",
            "--format-version",
            "1",
        ])
        .output()
        .expect("cargo is there");
    let metadata: Value = serde_json::from_slice(&metadata.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    assert_eq!(packages.len(), 1, "the SDK in it is none either");
    assert_eq!(packages[0]["name"], "inner");
}

#[test]
fn new_refuses_what_would_not_build_and_what_is_there() {
    let home = tempfile::tempdir().expect("a directory");
    let here = home.path();
    fs::create_dir(here.join("weekend")).expect("a directory");
    said(
        here,
        &["new", "weekend"],
        &expect![[r#"
        portcullis: weekend is there already, and nothing of it was changed: name another, or say with --path where the crate goes
    "#]],
    );
    said(
        here,
        &["new", "policy", "--path", "no/such/place"],
        &expect![[r#"
            portcullis: there is no directory HERE/no/such to put it in: make it first
        "#]],
    );
    for name in ["Weekend", "fn", "../weekend", ""] {
        let ran = run(here, &["new", name]).expect_code(2);
        assert!(
            ran.stderr.contains(&format!("{name:?} is ")),
            "{}",
            ran.stderr
        );
    }
    let left = fs::read_dir(here).expect("a directory").count();
    assert_eq!(left, 1, "nothing was written");
}

#[test]
fn build_says_what_is_no_policys_crate() {
    let home = tempfile::tempdir().expect("a directory");
    let here = home.path();
    said(
        here,
        &["build"],
        &expect![[r#"
        portcullis: there is no Cargo.toml in HERE or above it: make a policy's crate with `portcullis new NAME`, or say with --path where it is
    "#]],
    );
    said(
        here,
        &["build", "--path", "missing"],
        &expect![[r#"
        portcullis: the directory missing cannot be read: No such file or directory (os error 2)
    "#]],
    );

    write(&here.join("broken/Cargo.toml"), "[package]\nname = 7\n");
    let broken = run(here, &["build", "--path", "broken"]).expect_code(1);
    let broken = without(&broken.stderr, here);
    assert!(
        broken
            .starts_with("portcullis: cargo does not understand HERE/broken/Cargo.toml:\nerror: "),
        "{broken}"
    );

    library(&here.join("plain"), "plain", "edition = \"2024\"", "");
    said(
        here,
        &["build", "--path", "plain"],
        &expect![[r#"
        portcullis: the package plain does not make a module: HERE/plain/Cargo.toml needs

            [lib]
            crate-type = ["cdylib", "rlib"]
    "#]],
    );

    let several = here.join("several");
    write(
        &several.join("Cargo.toml"),
        "[workspace]\nmembers = [\"one\", \"two\"]\nresolver = \"3\"\n",
    );
    for name in ["one", "two"] {
        let manifest = format!("[package]\nname = \"{name}\"\n");
        write(&several.join(name).join("Cargo.toml"), manifest);
        write(&several.join(name).join("src/lib.rs"), "");
    }
    said(
        here,
        &["build", "--path", "several"],
        &expect![[r#"
        portcullis: HERE/several/Cargo.toml is that of a workspace (one, two): say with --path which of its packages is the policy
    "#]],
    );
}

#[test]
fn build_says_what_is_no_policy() {
    let home = tempfile::tempdir().expect("a directory");
    let here = home.path();
    library(
        here,
        "no-policy",
        MODULE,
        "#[unsafe(no_mangle)]\npub extern \"C\" fn answer() -> i32 {\n    42\n}\n",
    );
    let ran = run(here, &["build"]).expect_code(1);
    let last = ran.stderr.lines().last().unwrap_or_default();
    expect![[r#"portcullis: no-policy was built, and the host would refuse it: this module exports nothing of portcullis:policy/*, so it is no policy: the line `policy!(…)` of portcullis-sdk makes it one, in a crate with crate-type = ["cdylib"]"#]].assert_eq(last);
    assert!(!policy_directory().join("no-policy.wasm").exists());
}

/// The compiler's own words come through, and what was built before stays.
#[test]
fn a_crate_that_does_not_compile_is_told_in_the_compilers_words() {
    let home = tempfile::tempdir().expect("a directory");
    library(
        home.path(),
        "broken-policy",
        MODULE,
        "fn decide() -> u8 { \"text\" }\n",
    );
    let kept = policy_directory().join("broken-policy.wasm");
    write(&kept, "as it was");
    let ran = run(home.path(), &["build"]).expect_code(1);
    let rustc = [
        "error[E0308]: mismatched types",
        "--> src/lib.rs:1:21",
        "expected `u8`, found `&str`",
    ];
    for words in rustc {
        assert!(ran.stderr.contains(words), "{words}:\n{}", ran.stderr);
    }
    let last = ran.stderr.lines().last().unwrap_or_default();
    expect!["portcullis: broken-policy was not built: the messages of cargo above say why"]
        .assert_eq(last);
    assert_eq!(ran.stdout, "");
    assert_eq!(fs::read_to_string(kept).expect("a file"), "as it was");
}

#[test]
fn a_profile_that_makes_no_small_module_is_said() {
    let home = tempfile::tempdir().expect("a directory");
    let here = home.path();
    run(here, &["new", "large"]).expect_code(0);
    let manifest = here.join("large/Cargo.toml");
    let text = fs::read_to_string(&manifest).expect("a manifest");
    let larger = text
        .replace("opt-level = \"s\"", "opt-level = 2")
        .replace("strip = \"debuginfo\"", "strip = true");
    fs::write(&manifest, larger).expect("a manifest");
    let ran = run(here, &["build", "--path", "large"]).expect_code(0);
    let notes: Vec<_> = ran
        .stderr
        .lines()
        .filter(|line| line.starts_with("note: "))
        .collect();
    expect![[r#"
        note: in [profile.release], opt-level = "s" makes the module smaller
        note: in [profile.release], strip = "debuginfo" keeps the names of functions, which a trap is shown with, and nothing else"#]].assert_eq(&notes.join("\n"));
}

/// A toolchain without the target is made of the one that is here, whose `rustc` says where
/// the target would be; that rustup is not there, or has no network, is what it says then.
#[test]
fn a_target_that_is_missing_is_added_or_the_one_command_is_said() {
    let home = tempfile::tempdir().expect("a directory");
    let here = home.path();
    library(here, "policy", MODULE, "");
    let tools = here.join("tools");
    let tool = |name: &str, script: &str| {
        let path = tools.join(name);
        write(&path, format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a file");
    };
    tool(
        "rustc",
        "echo /nowhere/lib/rustlib/wasm32-unknown-unknown/lib",
    );
    tool("cargo", &format!("exec {:?} \"$@\"", which("cargo")));
    let path = tools.display().to_string();
    let build = || {
        let ran = run_with(here, &["build"], &[("PATH", &path)]).expect_code(1);
        without(&ran.stderr, here)
    };
    expect![[r#"
        Adding the target wasm32-unknown-unknown ...
        portcullis: this Rust does not have the target wasm32-unknown-unknown, which policies are built for, and there is no rustup to add it: install Rust with https://rustup.rs, or the target as your distribution has it (Debian: apt-get install libstd-rust-dev-wasm32)
    "#]].assert_eq(&build());
    tool(
        "rustup",
        "echo 'error: could not download file: no route to host' >&2; exit 1",
    );
    expect![[r#"
        Adding the target wasm32-unknown-unknown ...
        error: could not download file: no route to host
        portcullis: policies are built for wasm32-unknown-unknown, and rustup could not add it, as it says above: with a network, run

            rustup target add wasm32-unknown-unknown
    "#]].assert_eq(&build());
}

fn which(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found = std::env::split_paths(&path).map(|directory| directory.join(program));
    found.find(|path| path.is_file()).expect("it is installed")
}

#[test]
fn any_file_is_looked_at() {
    let home = tempfile::tempdir().expect("a directory");
    let here = home.path();
    let policy = fs::read(stock_policy("partner-list")).expect("it was built");
    write(&here.join("empty.wasm"), "");
    write(&here.join("text.wasm"), "hello\n");
    write(&here.join("policy.wat"), "(module)");
    write(&here.join("cut.wasm"), &policy[..policy.len() / 2]);
    write(&here.join("header.wasm"), &policy[..8]);
    let large = fs::File::create(here.join("large.wasm")).expect("a file");
    large.set_len(100 << 20).expect("a file with nothing in it");
    let mut all = String::new();
    for name in [
        "missing.wasm",
        "empty.wasm",
        "text.wasm",
        "policy.wat",
        "cut.wasm",
        "header.wasm",
        "large.wasm",
    ] {
        let ran = run(here, &["inspect", name]).expect_code(1);
        all += &ran.stderr;
    }
    expect![[r#"
        portcullis: missing.wasm cannot be read: No such file or directory (os error 2)
        portcullis: empty.wasm would be refused by the host: this file is empty: build the policy again
        portcullis: text.wasm would be refused by the host: this is not WebAssembly: take the .wasm file that `portcullis build` or cargo wrote
        portcullis: policy.wat would be refused by the host: this is WebAssembly in text form: take the .wasm file made from it
        portcullis: cut.wasm would be refused by the host: this WebAssembly is damaged or cut short: unexpected end-of-file (at offset 0x20431); copy or build it again
        portcullis: header.wasm would be refused by the host: this module exports nothing of portcullis:policy/*, so it is no policy: the line `policy!(…)` of portcullis-sdk makes it one, in a crate with crate-type = ["cdylib"]
        portcullis: large.wasm would be refused by the host: this module has 104857600 bytes, over the limit of 16777216: `portcullis build` makes it small, `portcullis inspect` shows what is large in it
    "#]].assert_eq(&all);
}

#[test]
fn a_module_is_shown_with_what_makes_it_large() {
    let made = made();
    let module = made.module().display().to_string();
    let ran = run(
        made.path().as_path(),
        &["inspect", &module, "--functions", "3"],
    )
    .expect_code(0);
    for words in [
        ": a component of ",
        "  exports    portcullis:policy/about@0.1.0",
        "             portcullis:policy/secure-receipt@0.1.0",
        "\nsection ",
        "\ncode ",
        "\nfunction (3 of ",
    ] {
        assert!(ran.stdout.contains(words), "{words}:\n{}", ran.stdout);
    }
    let ran = run(made.path().as_path(), &["inspect", &module, "--json"]).expect_code(0);
    let json: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let functions = json["functions"].as_array().expect("functions");
    let named = functions
        .iter()
        .filter_map(|function| function["name"].as_str());
    let named: Vec<_> = named.collect();
    assert!(
        named.iter().any(|name| name.starts_with("weekend::")),
        "{named:?}"
    );
    let sizes = functions
        .iter()
        .filter_map(|function| function["size"].as_u64());
    assert!(sizes.is_sorted_by(|a, b| a >= b));
    let sections = json["sections"].as_array().expect("sections");
    let sum: u64 = sections
        .iter()
        .filter_map(|section| section["size"].as_u64())
        .sum();
    let size = json["size"].as_u64().expect("a size");
    assert!(sum <= size && sum > size * 95 / 100, "{sum} of {size}");
}

/// Without a module, the crate's own is built; a module of another interface is refused as
/// the host refuses it.
#[test]
fn what_a_host_would_say_is_the_verdict() {
    let made = made();
    let ran = run(&made.path(), &["inspect"]).expect_code(0);
    assert!(
        ran.stdout.contains("policy     weekend 0.1.0"),
        "{}",
        ran.stdout
    );
    let stranger = made.directory.path().join("stranger.wasm");
    write(&stranger, guest::without_about());
    let said = run(&made.path(), &["inspect", &stranger.display().to_string()]).expect_code(1);
    assert!(said.stdout.contains("a core module of"), "{}", said.stdout);
    let words = without(&said.stderr, made.directory.path());
    expect![[r#"
        portcullis: HERE/stranger.wasm would be refused by the host: this module exports nothing of portcullis:policy/about: a policy exports secure-receipt and about, as the line `policy!(…)` of portcullis-sdk does
    "#]].assert_eq(&words);
}

/// The text of a panic, and the functions that led to it, are in the receipt.
#[test]
fn a_panic_is_in_the_receipt_with_its_place() {
    let home = tempfile::tempdir().expect("a directory");
    let here = home.path().join("panics");
    run(home.path(), &["new", "panics"]).expect_code(0);
    let lib = here.join("src/lib.rs");
    let source = fs::read_to_string(&lib).expect("the policy");
    let (used, rest) = source
        .split_once("/// Asked for every recipient.")
        .expect("decide");
    let panics = format!(
        "{used}#[inline(never)]\nfn share(of: usize) -> usize {{\n    100 / of\n}}\n\n/// Asked for every recipient.{rest}"
    );
    let panics = panics.replace(
        "let mut requirements",
        "message.debug(&share(settings.domains.len() - 1).to_string());\n    let mut requirements",
    );
    fs::write(&lib, panics).expect("the policy");
    run(&here, &["build"]).expect_code(0);
    let module = fs::read(policy_directory().join("panics.wasm")).expect("it was built");
    let site = Site::new().file("panics.wasm", module).tenant(
        "acme",
        "domains = [\"acme.example\"]\n[[module]]\nname = \"panics\"\npath = \"../panics.wasm\"\n\
         [[policy]]\nname = \"panics\"\noption = \"module\"\nmodule = \"panics\"\n\
         on_failure = \"defer\"\nsettings = { domains = [\"partner.example\"] }\n",
    );
    let host = site.start();
    let mut client = Client::connect(host.address("smtp"));
    client.ehlo();
    client.expect("MAIL FROM:<amy@partner.example>", "250");
    client.expect("RCPT TO:<ben@acme.example>", "451 4.3.0");
    client.quit();
    let ended = host.stop();
    let receipt = ended.site.receipts().pop().expect("a receipt");
    let shown = receipt.to_string();
    for words in [
        "the policy trapped: ",
        " in panics::share, called by panics::decide",
        "attempt to divide by zero",
        "src/lib.rs:",
    ] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    let log = ended.log;
    assert!(log.contains("in panics::share, called by"), "{log}");
}

#[test]
fn the_template_is_formatted_as_rust_is() {
    let template = workspace().join("host/src/author/scaffold/template/policy.rs");
    let formatted = Command::new("rustfmt")
        .args(["--edition", "2024", "--check"])
        .arg(template)
        .output()
        .expect("rustfmt is there");
    assert!(formatted.status.success(), "{}", text(&formatted.stdout));
}
