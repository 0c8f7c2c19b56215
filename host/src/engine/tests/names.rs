//! Names of functions: where a guest broke down is said with them, and a name section that
//! is broken takes nothing from the module that has it.

use proptest::prelude::*;

use super::guest::{Bench, from_text, guest, guest_with};
use crate::engine::tuning::Effort;
use crate::engine::{scan, worker};

/// Three functions deep, under names as Rust has them.
fn deep(breaks: &str) -> Vec<u8> {
    guest_with(
        &format!(
            "(func $_RNvC7weekend6divide {breaks})
             (func $_ZN7weekend3day17h0123456789abcdefE (call $_RNvC7weekend6divide))"
        ),
        "(call $_ZN7weekend3day17h0123456789abcdefE)",
    )
}

async fn failure(module: &[u8]) -> String {
    let bench = Bench::new();
    let ran = bench.run(&bench.module(module)).await;
    ran.result.expect_err("it breaks down").to_string()
}

#[tokio::test]
async fn a_trap_says_where_it_was() {
    assert_eq!(
        failure(&deep("(drop (i32.div_u (i32.const 1) (i32.const 0)))")).await,
        "the policy trapped: integer divide by zero in weekend::divide, called by weekend::day"
    );
    assert_eq!(
        failure(&deep("(loop $again (br $again))")).await,
        "the policy used up its fuel of 10000000 units (about one per instruction) in weekend::divide, called by weekend::day: it loops, or does too much"
    );
    assert_eq!(
        failure(&deep("(drop (memory.grow (i32.const 1000)))")).await,
        "the policy asked for 69730304 bytes of memory in weekend::divide, called by weekend::day, and may have 8388608: it keeps too much"
    );
    // Where there are no names, nothing is made up.
    let bare = wat_without_names("unreachable");
    assert_eq!(
        failure(&bare).await,
        "the policy trapped: it panicked or aborted (wasm `unreachable` instruction executed)"
    );
}

/// A panic ends in functions of Rust's own, in which nobody looks for a mistake.
#[tokio::test]
async fn the_way_of_a_panic_is_left_out() {
    let panicking = guest_with(
        "(func $__rustc::rust_panic unreachable)
         (func $core::panicking::panic_fmt (call $__rustc::rust_panic))
         (func $weekend::decide (call $core::panicking::panic_fmt))",
        "(call $weekend::decide)",
    );
    let said = failure(&panicking).await;
    assert!(said.ends_with(" executed) in weekend::decide"), "{said}");
}

#[tokio::test]
async fn a_backtrace_is_bounded_and_moves_no_cursor() {
    let long = "x".repeat(5_000);
    let mut fields = format!("(func $\"a\\n{long}\" unreachable)");
    let mut inner = format!("$\"a\\n{long}\"");
    for number in 0..50 {
        fields += &format!("(func $f{number}{long} (call {inner}))");
        inner = format!("$f{number}{long}");
    }
    let said = failure(&guest_with(&fields, &format!("(call {inner})"))).await;
    assert!(said.contains(" executed) in a\\n"), "{said}");
    assert!(said.len() < 1_100, "{}", said.len());
    assert_eq!(said.matches("called by").count(), 3, "{said}");
}

fn wat_without_names(body: &str) -> Vec<u8> {
    let mut module = guest(body);
    // A name section with another name is none.
    let at = module.windows(5).position(|bytes| bytes == b"\x04name");
    module[at.expect("wat writes names") + 1] = b'n' + 1;
    module
}

/// The same without names, and with this in the place of them.
fn with_names(content: &[u8]) -> Vec<u8> {
    let mut module = wat_without_names("");
    module.push(0);
    scan::write_length(content.len() + 5, &mut module);
    module.extend(b"\x04name");
    module.extend(content);
    module
}

#[test]
fn names_stay_within_their_bound() {
    let plain = scan::scan(&wat_without_names(""))
        .expect("a module")
        .bytes
        .len();
    let size = |bytes: &[u8]| scan::scan(bytes).expect("a module").bytes.len() - plain;
    // One function, with a name of one letter.
    let one = with_names(&[1, 4, 1, 0, 1, b'f']);
    assert_eq!(size(&one), 2 + 5 + 6);
    // Locals and what else has names stay out.
    let mut more = vec![1, 4, 1, 0, 1, b'f'];
    more.extend([2, 6, 1, 0, 1, 0, 1, b'l']);
    assert_eq!(size(&with_names(&more)), size(&one));
    // As many as there is room for, and one over it.
    for (length, kept) in [(1_000_000, true), (2_000_000, false)] {
        let fields = format!("(func ${} nop)", "f".repeat(length));
        let found = size(&guest_with(&fields, "")) > length;
        assert_eq!(found, kept, "{length}");
        Bench::new()
            .compile(&guest_with(&fields, ""))
            .expect("admitted");
    }
}

#[test]
fn names_of_a_component_stay_in_its_modules() {
    let module = guest_with("(func $weekend::decide nop)", "");
    let component = worker::component(&module).expect("a component");
    let has = |bytes: &[u8]| bytes.windows(15).any(|text| text == b"weekend::decide");
    assert!(has(&component));
    assert!(has(&scan::scan(&component).expect("a component").bytes));
    let plain = from_text("(module (func $weekend::decide nop))");
    assert!(has(&scan::scan(&plain).expect("a module").bytes));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever its name section is, a module is what it is without.
    #[test]
    fn a_broken_name_section_refuses_nothing(content in prop::collection::vec(any::<u8>(), 0..200)) {
        let admitted = worker::compile(&with_names(&content), 8 << 20, Effort::Bounded);
        let manifest = admitted.map(|artefact| artefact.manifest).map_err(|e| e.to_string());
        prop_assert_eq!(manifest.map(|m| m.name), Ok("hand-made".to_owned()));
    }

    /// The same for one that begins as it should.
    #[test]
    fn nor_does_one_that_is_damaged(place in 0_usize..1_000, octet: u8) {
        let mut content = vec![1, 0x80, 1, 5];
        for index in 0..5 {
            content.extend([index, 22]);
            content.extend(b"_RNvC7weekend6decide__");
        }
        content[1] = (content.len() - 3) as u8 | 0x80;
        content[2] = 0;
        let place = place % content.len();
        content[place] = octet;
        let admitted = worker::compile(&with_names(&content), 8 << 20, Effort::Bounded);
        prop_assert!(admitted.is_ok());
    }
}
