//! What `policy!` makes, seen from outside: a stock policy is built as an author would
//! build it, and its module is read.

use std::path::{Path, PathBuf};
use std::process::Command;

use wasmparser::{Operator, Parser, Payload};

/// In octets; the numbers of `build.rs`.
const STACK: i32 = 65_536;
const HEAP: u64 = 65_536;

/// A page of memory in octets.
const PAGE: u64 = 65_536;

#[test]
fn a_plain_build_makes_a_module_for_the_host() {
    let module = build("partner-list", "partner_list.wasm");

    let (mut imports, mut exports, mut stack_pointer) = (Vec::new(), Vec::new(), None);
    let (mut memory, mut data) = (0, 0);
    for payload in Parser::new(0).parse_all(&module) {
        match payload.expect("a module of the compiler's is sound") {
            Payload::ImportSection(section) => imports.extend(
                section
                    .into_imports()
                    .map(|import| import.expect("an import").module.to_owned()),
            ),
            Payload::ExportSection(section) => exports.extend(
                section
                    .into_iter()
                    .map(|export| export.expect("an export").name.to_owned()),
            ),
            Payload::MemorySection(section) => {
                let only = section.into_iter().next().expect("a memory");
                memory = only.expect("a memory").initial * PAGE;
            }
            Payload::DataSection(section) => {
                data = section
                    .into_iter()
                    .map(|segment| segment.expect("a segment").data.len() as u64)
                    .sum();
            }
            Payload::GlobalSection(section) => stack_pointer = Some(first_value(section)),
            _ => {}
        }
    }

    // The linker puts the stack pointer first, and the stack at the bottom of memory.
    assert_eq!(stack_pointer, Some(STACK));
    // A decision that fits into the heap never grows the memory.
    let taken = u64::try_from(STACK).expect("it is positive") + data;
    assert!(
        memory >= taken + HEAP,
        "{memory} octets, {taken} of them taken"
    );
    for import in imports {
        assert!(import.starts_with("portcullis:policy/"), "imports {import}");
    }
    for export in ["about@0.1.0#describe", "secure-receipt@0.1.0#decide"] {
        let name = format!("portcullis:policy/{export}");
        assert!(exports.contains(&name), "does not export {name}");
    }
}

fn first_value(globals: wasmparser::GlobalSectionReader<'_>) -> i32 {
    let first = globals
        .into_iter()
        .next()
        .expect("a module has a stack pointer")
        .expect("a global");
    match first.init_expr.get_operators_reader().read() {
        Ok(Operator::I32Const { value }) => value,
        other => unreachable!("a stack pointer begins as a constant, not {other:?}"),
    }
}

/// Builds a stock policy for wasm32 without optimisation, and reads its module. No
/// warning may reach the author, least of all that of the linker argument.
fn build(package: &str, module: &str) -> Vec<u8> {
    let target = target_directory();
    let output = Command::new(env!("CARGO"))
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .args(["build", "--locked", "--target", "wasm32-unknown-unknown"])
        .args(["--package", package, "--target-dir"])
        .arg(&target)
        .output()
        .expect("cargo runs, since it built this test");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(!said.contains("warning"), "{said}");
    std::fs::read(target.join("wasm32-unknown-unknown/debug").join(module))
        .expect("the module that was just built")
}

/// This test is `target/debug/deps/…`; sharing the directory spares a second build.
fn target_directory() -> PathBuf {
    let test = std::env::current_exe().expect("the test has a path");
    let target = test.ancestors().nth(3).expect("three directories up");
    target.to_owned()
}
