//! Where a policy broke down: a few of the functions that were running, innermost first.
//!
//! Only names are told, and only where the module has them. A backtrace is the same for
//! the same module on the same facts, as the failure is whose text it ends.

use wasmtime::WasmBacktrace;

use super::names::demangled;

/// Frames that are captured: what panics in Rust has some ten of its own on top.
pub(super) const CAPTURED: usize = 24;
/// Frames that are shown.
const SHOWN: usize = 4;
/// What is Rust's own: nobody looks there for the mistake that ended in a panic.
const RUST: [&str; 7] = [
    "core::",
    "std::",
    "alloc::",
    "__rustc::",
    "__rust_",
    "rust_panic",
    "rust_begin_unwind",
];

/// What is the SDK's, around a policy: below it there is nothing of the author's.
const SDK: &str = "portcullis_sdk::__export";
/// How it calls what the line `policy!(…)` exports.
const EXPORTED: &str = " as portcullis_sdk::__export::Policy>::";

/// The functions that a guest was in, such as ` in weekend::day, called by
/// weekend::decide`; empty where there are no names.
pub(super) fn place(error: &wasmtime::Error) -> String {
    let Some(trace) = error.downcast_ref::<WasmBacktrace>() else {
        return String::new();
    };
    let names = trace.frames().iter().filter_map(|frame| frame.func_name());
    shown(names.map(demangled))
}

fn shown(names: impl Iterator<Item = String>) -> String {
    let names = names.skip_while(|name| is_rusts(name)).map_while(own);
    let names: Vec<_> = names.take(SHOWN).collect();
    match names.is_empty() {
        true => String::new(),
        false => format!(" in {}", names.join(", called by ")),
    }
}

fn is_rusts(name: &str) -> bool {
    let name = name.trim_start_matches('<');
    RUST.iter().any(|own| name.starts_with(own))
}

/// What the author has written: that of `policy!` is by the name that it is exported for,
/// since what it calls is most often part of it.
fn own(name: String) -> Option<String> {
    match name.split_once(EXPORTED) {
        Some((exported, function)) => {
            let policy = exported.trim_start_matches('<').split("::").next()?;
            Some(format!("{policy}::{function}"))
        }
        None => (!name.contains(SDK)).then_some(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_the_authors_is_left_out() {
        let decide = "<weekend::_::Exported as portcullis_sdk::__export::Policy>::decide";
        let below = "portcullis_sdk::__export::bindings::_export_decide_cabi";
        for (names, expected) in [
            (
                &["core::panicking::panic", "weekend::day", decide, below][..],
                " in weekend::day, called by weekend::decide",
            ),
            (
                &[
                    "__rustc::rust_panic",
                    "std::panicking::begin",
                    decide,
                    below,
                ],
                " in weekend::decide",
            ),
            // One that is called from without is not the end of what is Rust's own.
            (
                &[
                    "<core::iter::Map<I> as Iterator>::next",
                    "a",
                    "core::b",
                    "c",
                ],
                " in a, called by core::b, called by c",
            ),
            (
                &["a", "b", "c", "d", "e"],
                " in a, called by b, called by c, called by d",
            ),
            (&["rusty::decide"], " in rusty::decide"),
            (&["core::panicking::panic"], ""),
            (&[], ""),
        ] {
            let names = names.iter().map(|name| (*name).to_owned());
            assert_eq!(shown(names), expected);
        }
    }
}
