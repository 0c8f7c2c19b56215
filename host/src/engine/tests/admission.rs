//! What is admitted, and the words in which the rest is refused.

use expect_test::expect_file;

use super::guest::{Bench, from_text, from_text_against, guest, guest_with};
use crate::engine::tuning::Effort;
use crate::engine::{componentise, scan, unserved, worker};

fn refusal(bytes: &[u8]) -> String {
    match Bench::new().compile(bytes) {
        Ok(_) => "admitted".to_owned(),
        Err(refused) => refused.to_string(),
    }
}

#[test]
fn bad_uploads_are_refused_in_words() {
    let artefact = Bench::new()
        .compile(&guest(""))
        .expect("a guest")
        .artefact()
        .to_vec();
    let other = |from: &str, to: &str| {
        let text = include_str!("../../../../tests/guests/guest.wat")
            .replace("{body}", "")
            .replace("{fields}", "");
        let changed = text.replace(from, to);
        assert_ne!(changed, text, "{from} is there");
        from_text(&changed)
    };
    let importing = |what: &str| {
        let import = format!("(module\n(import {what} (func (param i32 i32) (result i32)))\n");
        other("(module\n", &import)
    };
    let mut cut = guest("");
    cut.truncate(cut.len() / 2);
    let mut said = String::new();
    for (name, bytes) in [
        ("empty", Vec::new()),
        ("text", b"hello".to_vec()),
        ("wat", b" (module)".to_vec()),
        ("elf", b"\x7fELF\x02\x01".to_vec()),
        ("precompiled", artefact),
        ("cut", cut),
        (
            "a library",
            from_text("(module (memory (export \"memory\") 1))"),
        ),
        (
            "wasi",
            importing("\"wasi_snapshot_preview1\" \"random_get\""),
        ),
        (
            "javascript",
            importing("\"__wbindgen_placeholder__\" \"now\""),
        ),
        ("a stranger", importing("\"env\" \"now\"")),
        ("newer", other("lists@0.1.0", "lists@0.2.0")),
        ("older", other("lists@0.1.0", "lists@0.0.1")),
        (
            "an interface that is not",
            other("policy/lists@", "policy/magic@"),
        ),
        (
            "without about",
            other("policy/about@0.1.0#", "policy/anything@0.1.0#"),
        ),
        (
            "a function that is not",
            other("\"lookup\"", "\"look-behind\""),
        ),
        (
            "another signature",
            other(
                "\"lookup\" (func $lookup (param i32",
                "\"lookup\" (func $lookup (param i64",
            ),
        ),
        (
            "without check-settings",
            other("about@0.1.0#check-settings", "about@0.1.0#nothing"),
        ),
        (
            "start loops",
            guest_with("(func $start (loop $l (br $l))) (start $start)", ""),
        ),
        ("a newer SDK", newer()),
        ("a component of a newer SDK", component(&newer())),
        ("a newer signature", other_signature()),
        (
            "simd",
            guest_with("(func (drop (v128.const i32x4 0 0 0 0)))", ""),
        ),
        ("tail calls", guest_with("(func $f (return_call $f))", "")),
        ("exceptions", guest_with("(tag)", "")),
        ("garbage collection", guest_with("(type (struct))", "")),
        ("describe traps", other("(i32.const 128))", "unreachable)")),
        (
            "no schema",
            guest_with("(data (i32.const 80) \"nothing at all...\")", ""),
        ),
    ] {
        said += &format!("{name}: {}\n", refusal(&bytes));
    }
    expect_file!["refusals.txt"].assert_eq(&said);
}

/// A guest that was built where messages have one fact more, and two functions of lists came
/// later.
fn newer() -> Vec<u8> {
    let text = include_str!("../../../../tests/guests/guest.wat")
        .replace("{body}", "")
        .replace("{fields}", "");
    let lists = "portcullis:policy/lists@0.1.0";
    let imports = ["look-behind", "count"].map(|function| {
        format!("(import \"{lists}\" \"{function}\" (func (param i32 i32) (result i32)))\n")
    });
    let text = text.replace("(module\n", &format!("(module\n{}", imports.concat()));
    let functions =
        "  look-behind: func(name: string) -> bool;\n  count: func(name: string) -> u32;\n";
    let end = "-> option<string>;\n";
    from_text_against("lists.wit", end, &format!("{end}{functions}"), &text)
}

/// A guest that was built where a function takes more than here.
fn other_signature() -> Vec<u8> {
    let text = include_str!("../../../../tests/guests/guest.wat")
        .replace("{body}", "")
        .replace("{fields}", "");
    let contains = "\"contains\" (func $contains (param i32";
    let text = text.replace(contains, &format!("{contains} i32"));
    let from = "contains: func(name: string, key: string)";
    let to = "contains: func(name: string, key: string, exact: bool)";
    from_text_against("lists.wit", from, to, &text)
}

fn component(module: &[u8]) -> Vec<u8> {
    let scanned = scan::scan(module).expect("a module");
    componentise::componentise(scanned).expect("a component")
}

/// Every function that this host serves is one that it is known to serve.
#[test]
fn what_is_served_is_not_named_as_missing() {
    let bench = Bench::new();
    for module in [guest(""), newer()] {
        let component =
            wasmtime::component::Component::from_binary(&bench.engine.wasm, &component(&module));
        let missing = unserved::unserved(&component.expect("compilable"));
        let expected = "portcullis:policy/lists: look-behind, portcullis:policy/lists: count";
        let is_newer = module != guest("");
        assert_eq!(missing.as_deref(), is_newer.then_some(expected));
    }
}

/// What a panic of the SDK's does: a warning, then a trap.
#[tokio::test]
async fn a_panic_outside_of_a_decision_keeps_its_text() {
    let panic = "(call $log (i32.const 2) (i32.const 16) (i32.const 9)) unreachable)";
    let panicking = |export: &str, constant: &str| {
        let text = include_str!("../../../../tests/guests/guest.wat")
            .replace("{body}", "")
            .replace("{fields}", "");
        let whole = text.replace(constant, panic);
        assert_ne!(whole, text, "{export} is there");
        from_text(&whole)
    };
    let refusal = refusal(&panicking("describe", "(i32.const 128))"));
    assert!(refusal.starts_with("asked to describe itself, the policy trapped: "));
    assert!(refusal.ends_with(": hand-made"), "{refusal}");

    let bench = Bench::new();
    let module = bench.module(&panicking("check-settings", "(i32.const 512))"));
    let limits = bench.engine.limits();
    let failure = module.program.linked.check("{}", limits).await;
    let failure = failure.expect_err("a panic").to_string();
    assert!(failure.ends_with(": hand-made"), "{failure}");
}

/// The name is at 16.
#[test]
fn what_an_upload_says_cannot_move_a_cursor() {
    for (name, fields, expected) in [
        (
            "a control character in the name",
            "(data (i32.const 16) \"\\1b[2J\")",
            "a name with characters that control or hide text: \\u{1b}[2J-made",
        ),
        (
            "an override in the name",
            "(data (i32.const 16) \"\\e2\\80\\ae\")",
            "a name with characters that control or hide text: \\u{202e}d-made",
        ),
    ] {
        let refusal = refusal(&guest_with(fields, ""));
        assert!(refusal.contains(expected), "{name}: {refusal}");
    }
    let long = worker::Report::Refused("\u{1b}\n".repeat(10_000));
    let worker::Report::Refused(reason) = long.bounded() else {
        unreachable!("a refusal stays one");
    };
    assert!(reason.starts_with("\\u{1b}\\n") && reason.len() <= 1_000);
}

#[test]
fn bombs_are_refused_by_the_scan() {
    let nested = |loops: usize, locals: usize| {
        let locals = "(local i64) ".repeat(locals);
        format!(
            "(func {locals}{}{})",
            "(loop ".repeat(loops),
            ")".repeat(loops)
        )
    };
    let blocks = format!("(func {}{})", "(block ".repeat(1_001), ")".repeat(1_001));
    for (name, fields, expected) in [
        (
            "1,000 nested loops of 500 locals",
            nested(1_000, 500),
            "65 nested loops, over the limit of 64",
        ),
        (
            "1,001 nested blocks",
            blocks,
            "1001 nested blocks, over the limit of 1000",
        ),
        (
            "10,001 locals",
            nested(1, 10_001),
            "10001 locals in one function, over the limit of 10000",
        ),
        (
            "101 functions of 10,000 locals",
            nested(0, 10_000).repeat(101),
            " locals, over the limit of 1000000",
        ),
        (
            "50,000 more functions",
            "(func)".repeat(50_000),
            "functions, over the limit of 50000",
        ),
        (
            "1,001 globals",
            "(global i32 (i32.const 0))".repeat(1_000),
            "1001 globals, over the limit of 1000",
        ),
        (
            "nine tables",
            "(table 1 funcref)".repeat(9),
            "9 tables, over the limit of 8",
        ),
        (
            "10,001 segments",
            "(data (i32.const 0) \"x\")".repeat(10_000),
            "segments, over the limit of 10000",
        ),
    ] {
        let refusal = refusal(&guest_with(&fields, ""));
        assert!(refusal.contains(expected), "{name}: {refusal}");
    }
}

#[test]
fn features_that_policies_do_not_need_are_off() {
    for (name, fields) in [
        ("two memories", "(memory 1)"),
        ("simd", "(func (drop (v128.const i32x4 0 0 0 0)))"),
        ("tail calls", "(func $f (return_call $f))"),
        ("exceptions", "(tag)"),
        ("garbage collection", "(type (struct))"),
    ] {
        let refused = Bench::new().compile(&guest_with(fields, ""));
        assert!(refused.is_err(), "{name}");
    }
}

#[test]
fn module_and_component_are_both_admitted() {
    let module = guest("");
    let scanned = scan::scan(&module).expect("a module");
    let component = componentise::componentise(scanned).expect("a component");
    for bytes in [module, component] {
        let compiled = Bench::new().compile(&bytes).expect("admitted");
        assert_eq!(compiled.manifest().name, "hand-made");
        assert_eq!(compiled.manifest().settings_schema, r#"{"type": "object"}"#);
    }
}

#[test]
fn debug_information_is_stripped() {
    let module = guest("");
    let heavy = guest_with(
        &format!("(@custom \".debug_info\" \"{}\")", "x".repeat(13 << 20)),
        "",
    );
    let light = scan::scan(&module).expect("a module");
    let stripped = scan::scan(&heavy).expect("a module");
    assert_eq!(light.bytes.len(), stripped.bytes.len());
    Bench::new().compile(&heavy).expect("admitted");
}

/// Whatever is cut off, the answer is a refusal; whatever is flipped, the scan ends.
/// What flips do to the tools behind it (wit-component overruns its stack on some) is
/// tested where it belongs: in the worker's process.
#[test]
fn damaged_uploads_never_panic() {
    let module = guest("");
    for length in 0..module.len() {
        let cut = worker::compile(&module[..length], 8 << 20, Effort::Bounded);
        let refusal = cut.map(|_| ()).expect_err("cut").to_string();
        // Cut between two sections, it is whole and lacks what came behind.
        let said = [
            "this file is empty",
            "this is not WebAssembly",
            "damaged or cut short",
            "exports nothing of",
        ];
        assert!(
            said.iter().any(|words| refusal.contains(words))
                || refusal.contains("cannot be made a component"),
            "cut at {length}: {refusal}"
        );
    }
    for place in 0..module.len() {
        let mut flipped = module.clone();
        flipped[place] ^= 0x55;
        if let Ok(scanned) = scan::scan(&flipped) {
            assert!(
                scanned.bytes.len() <= module.len() + 16,
                "flipped at {place}"
            );
        }
    }
}

#[test]
fn artefacts_load_whatever_the_effort() {
    let bench = Bench::new();
    let bounded = worker::compile(&guest(""), 8 << 20, Effort::Bounded).expect("admitted");
    let compiled = crate::engine::cache::Compiled::by_worker(bounded.manifest, bounded.code);
    let digest = crate::digest::Digest::of(b"bounded");
    bench.engine.load(digest, &compiled).expect("loadable");
}
