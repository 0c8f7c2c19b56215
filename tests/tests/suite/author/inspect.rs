//! `portcullis inspect`: any file is looked at, and the verdict is the host's.

use super::*;

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
