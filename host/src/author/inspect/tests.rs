//! What is read of any bytes.

use proptest::prelude::*;

use super::anatomy::{Anatomy, Form};

/// A policy of the interface's first version, as cargo and `wit-bindgen` made it.
const KEPT: &[u8] = include_bytes!("../../../../tests/fixtures/policy-0.1.0.wasm");

fn module(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("WebAssembly text")
}

#[test]
fn a_module_is_taken_apart() {
    let bytes = module(
        r#"(module
            (import "portcullis:policy/log@0.1.4" "write" (func $write (param i32 i32 i32)))
            (import "wasi" "clock" (func $clock))
            (memory (export "memory") 1)
            (func $_RNvC7weekend6decide nop nop nop nop)
            (func $small)
            (data (i32.const 0) "twelve bytes")
            (@custom "note" "abc"))"#,
    );
    let anatomy = Anatomy::read(&bytes).expect("a module");
    assert_eq!(anatomy.form, Form::Module);
    assert_eq!(
        Vec::from_iter(anatomy.imports),
        ["portcullis:policy/log@0.1.4", "wasi"]
    );
    assert_eq!(Vec::from_iter(anatomy.exports), ["memory"]);
    assert_eq!(Vec::from_iter(anatomy.interface), ["0.1.4"]);
    assert_eq!(anatomy.function_count, 2);
    let functions: Vec<_> = anatomy
        .functions
        .iter()
        .map(|function| (function.name.as_deref(), function.number, function.size))
        .collect();
    // Imported functions have the first numbers.
    assert_eq!(
        functions,
        [(Some("weekend::decide"), 2, 6), (Some("small"), 3, 2)]
    );
    let size = |name: &str| {
        let found = anatomy.sections.iter().find(|section| section.name == name);
        found.map(|section| section.size)
    };
    assert!(size("data") > Some(12) && size("note") > Some(3));
    assert!(anatomy.sections.is_sorted_by(|a, b| a.size >= b.size));
}

#[test]
fn functions_of_the_modules_of_a_component_keep_their_names_apart() {
    let bytes = module(
        "(component
            (core module (func $first nop))
            (core module (func $second nop nop) (func $third)))",
    );
    let anatomy = Anatomy::read(&bytes).expect("a component");
    assert_eq!(anatomy.form, Form::Component);
    let names: Vec<_> = anatomy
        .functions
        .iter()
        .map(|function| function.name.as_deref().unwrap_or_default())
        .collect();
    assert_eq!(names, ["second", "first", "third"]);
}

/// A module has one name section, and what is kept of all of them is what is shown.
#[test]
fn names_are_kept_of_what_is_shown_and_once() {
    // The first section counts; the second would name function 0 anew.
    let mut twice = module("(module (func $first nop))");
    let at = twice
        .windows(4)
        .position(|four| four == b"name")
        .expect("a section")
        - 3;
    let again: Vec<u8> = twice[at..].to_vec();
    let again = String::from_utf8(again)
        .expect("ASCII")
        .replace("first", "other");
    twice.extend(again.as_bytes());
    let anatomy = Anatomy::read(&twice).expect("a module");
    assert_eq!(anatomy.functions[0].name.as_deref(), Some("first"));

    // A thousand small functions of one module, and as many larger ones of the next, whose
    // numbers are the same.
    let functions = |name: &str, body: &str| {
        let all = (0..1_000).map(|number| format!("(func ${name}{number} {body})"));
        all.collect::<String>()
    };
    let (small, large) = (functions("small", "nop"), functions("large", "nop nop"));
    let bytes = module(&format!(
        "(component (core module {small}) (core module {large}))"
    ));
    let anatomy = Anatomy::read(&bytes).expect("a component");
    assert_eq!(anatomy.function_count, 2_000);
    assert_eq!(anatomy.functions.len(), 1_000);
    for function in anatomy.functions {
        assert_eq!(function.name, Some(format!("large{}", function.number)));
    }
}

/// What is cut is damaged or, between two sections, a smaller module; never a panic.
#[test]
fn a_module_that_is_cut_anywhere_is_read_or_refused() {
    let small = module("(module (func $a (nop)) (memory 1) (data (i32.const 0) \"x\"))");
    let mut damaged = 0;
    for length in 0..small.len() {
        match Anatomy::read(&small[..length]) {
            Ok(_) => {}
            Err(reason) if length < 8 => assert_eq!(reason, "this is not WebAssembly", "{length}"),
            Err(reason) => {
                damaged += 1;
                assert!(
                    reason.starts_with("this WebAssembly is damaged or cut short: "),
                    "{length}: {reason}"
                );
            }
        }
    }
    assert!(damaged > 20, "{damaged}");
    for length in (0..KEPT.len()).step_by(101) {
        let _ = Anatomy::read(&KEPT[..length]);
    }
}

#[test]
fn names_that_cannot_be_read_are_none() {
    // A name section whose first subsection is longer than the section.
    let mut bytes = module("(module (func nop))");
    bytes.extend(b"\0\x07\x04name\x01\x7f");
    let anatomy = Anatomy::read(&bytes).expect("a module");
    assert_eq!(anatomy.functions[0].name, None);
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(changes in prop::collection::vec((any::<u16>(), any::<u8>()), 1..8)) {
        let mut bytes = KEPT.to_vec();
        for (place, octet) in changes {
            let place = usize::from(place) % bytes.len();
            bytes[place] = octet;
        }
        if let Ok(anatomy) = Anatomy::read(&bytes) {
            let sum: usize = anatomy.sections.iter().map(|section| section.size).sum();
            prop_assert!(sum <= bytes.len());
        }
    }
}
