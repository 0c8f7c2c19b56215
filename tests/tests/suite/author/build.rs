//! `portcullis build`: from a crate to what a host takes, and what stands in the way.

use super::*;

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

    // A program reads the same.
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

/// Compiled from nothing in another place; and whoever may read what they build may read it.
#[test]
fn the_same_crate_makes_the_same_bytes_wherever_it_is_built() {
    let made = made();
    let elsewhere = tempfile::tempdir().expect("a directory");
    let target = elsewhere.path().display().to_string();
    let script = format!("umask 027; exec '{}' build", portcullis().display());
    let variables = [("CARGO_TARGET_DIR", target.as_str())];
    let built =
        run_program(Path::new("sh"), &made.path(), &["-c", &script], &variables).expect_code(0);
    assert!(built.stderr.contains("Compiling serde"), "{}", built.stderr);
    let module = elsewhere.path().join("policy/weekend.wasm");
    let [here, there] = [made.module(), module.clone()].map(|path| fs::read(path).expect("it"));
    assert_eq!(Digest::of(&here), Digest::of(&there));
    let mode = fs::metadata(module).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
}

/// Every command that builds takes the directory of the crate.
#[test]
fn a_crate_is_named_from_elsewhere() {
    let made = made();
    let here = made.directory.path();
    let of = |command: &[&str]| {
        let arguments = [command, &["--path", "weekend"]].concat();
        run(here, &arguments).expect_code(0).stdout
    };
    let tested = of(&["test"]);
    assert!(
        tested.contains(" cases of weekend/vectors.toml\n"),
        "{tested}"
    );
    assert!(of(&["inspect"]).contains("  policy     weekend 0.1.0\n"));
    let asked = of(&["run", "--case", "a partner needs TLS"]);
    assert!(asked.contains("decision   enforced\n"), "{asked}");
    let asked = of(&["bench", "--seconds", "1"]);
    assert!(
        asked.contains("asked about case \"a partner needs TLS\"\n"),
        "{asked}"
    );
    // A module is of no crate.
    let module = made.module().display().to_string();
    run(here, &["inspect", &module, "--path", "weekend"]).expect_code(2);
}

/// Where there is no crate, or not a sound one, that is what is wrong, not that it has no
/// vectors.
#[test]
fn what_is_wrong_with_the_crate_is_said_before_its_vectors() {
    let home = tempfile::tempdir().expect("a directory");
    let here = home.path();
    said(
        here,
        &["test"],
        &expect![[r#"
        portcullis: there is no Cargo.toml in HERE or above it: make a policy's crate with `portcullis new NAME`, or say with --path where it is
    "#]],
    );
    library(&here.join("plain"), "plain", "edition = \"2024\"", "");
    said(
        here,
        &["test", "--path", "plain"],
        &expect![[r#"
        portcullis: the package plain does not make a module: HERE/plain/Cargo.toml needs

            [lib]
            crate-type = ["cdylib", "rlib"]
    "#]],
    );
    library(&here.join("policy"), "policy", MODULE, "");
    said(
        here,
        &["test", "--path", "policy"],
        &expect![[r#"
        portcullis: there are no vectors: write policy/vectors.toml, or say with --vectors where they are
    "#]],
    );
    // A module may be tested wherever one is.
    let module = stock_policy("partner-list").display().to_string();
    said(
        here,
        &["test", &module],
        &expect![[r#"
        portcullis: there are no vectors: write vectors.toml, or say with --vectors where they are
    "#]],
    );
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

    // Nor does one whose example is one.
    let example = "edition = \"2024\"\n[[example]]\nname = \"policy\"\ncrate-type = [\"cdylib\"]";
    library(&here.join("shown"), "shown", example, "");
    write(&here.join("shown/examples/policy.rs"), "");
    let ran = run(here, &["build", "--path", "shown"]).expect_code(1);
    let said_of = "portcullis: the package shown does not make a module: ";
    assert!(ran.stderr.starts_with(said_of), "{}", ran.stderr);

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
