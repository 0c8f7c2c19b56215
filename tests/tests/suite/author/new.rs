//! `portcullis new`: a crate that builds and passes its own tests, whole or not at all.

use super::*;

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
fn the_template_is_formatted_as_rust_is() {
    let template = workspace().join("host/src/author/scaffold/template/policy.rs");
    let formatted = Command::new("rustfmt")
        .args(["--edition", "2024", "--check"])
        .arg(template)
        .output()
        .expect("rustfmt is there");
    assert!(formatted.status.success(), "{}", text(&formatted.stdout));
}
