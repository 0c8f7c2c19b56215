//! What a guest may do, and what becomes of one that does more.

use std::sync::Arc;
use std::time::Duration;

use expect_test::expect_file;

use super::guest::{Bench, facts, guest, guest_with};
use crate::decision::{Decision, Requirement};
use crate::engine::{Failure, LogLevel, Ran};
use crate::facts::TlsVersion;
use crate::lists::{List, Lists};

async fn run(body: &str) -> Ran {
    let bench = Bench::new();
    bench.run(&bench.module(&guest(body))).await
}

/// Puts this text where the scratch of a body is.
fn text(text: &str) -> String {
    let mut stores = String::new();
    for (place, byte) in text.bytes().enumerate() {
        stores += &format!(
            "(i32.store8 (i32.const {}) (i32.const {byte}))",
            1024 + place
        );
    }
    stores
}

/// Repeats a body this many times.
fn times(count: u32, body: &str) -> String {
    format!(
        "(loop $again {body}
           (local.set $i (i32.add (local.get $i) (i32.const 1)))
           (br_if $again (i32.lt_u (local.get $i) (i32.const {count}))))"
    )
}

#[tokio::test]
async fn answers() {
    let covers = text("MX.Partner.example");
    for (body, expected) in [
        (String::new(), Decision::Default),
        (
            "(i32.store8 (i32.const 260) (i32.const 1))".to_owned(),
            Decision::Opportunistic,
        ),
        (
            format!(
                "{covers}
                (local.set $set (call $set))
                (call $at-least (local.get $set) (i32.const 0x304))
                (call $covers (local.get $set) (i32.const 1024) (i32.const 18))
                (i32.store8 (i32.const 260) (i32.const 2))
                (i32.store (i32.const 264) (local.get $set))"
            ),
            Decision::Enforced(
                [
                    Requirement::AtLeast(TlsVersion::TLS13),
                    Requirement::Covers("mx.partner.example".parse().expect("a domain")),
                ]
                .into_iter()
                .collect(),
            ),
        ),
    ] {
        let answer = run(&body).await.result.expect("an answer");
        assert_eq!(answer.decision, expected);
    }
}

#[tokio::test]
async fn facts_and_lists_are_read() {
    // The reason is the sender; the requirement is the version in use.
    let ran = run("(call $sender (local.get $message) (i32.const 1024))
        (i32.store (i32.const 268) (i32.load (i32.const 1028)))
        (i32.store (i32.const 272) (i32.load (i32.const 1032)))
        (call $tls (local.get $message) (i32.const 1040))
        (local.set $set (call $set))
        (call $at-least (local.get $set) (call $tls-version (i32.load (i32.const 1044))))
        (i32.store8 (i32.const 260) (i32.const 2))
        (i32.store (i32.const 264) (local.get $set))")
    .await;
    let answer = ran.result.expect("an answer");
    assert_eq!(answer.reason, "alice@partner.example");
    let expected = [Requirement::AtLeast(TlsVersion::TLS13)];
    assert_eq!(
        answer.decision,
        Decision::Enforced(expected.into_iter().collect())
    );

    for (key, expected) in [
        ("partner.example", Decision::Opportunistic),
        ("stranger.example", Decision::Default),
    ] {
        let (name, length) = (text(&format!("partners{key}")), key.len());
        let ran = run(&format!(
            "{name}
            (i32.store8 (i32.const 260)
              (call $contains (i32.const 1024) (i32.const 8) (i32.const 1032) (i32.const {length})))"
        ))
        .await;
        assert_eq!(ran.result.expect("an answer").decision, expected, "{key}");
    }
}

#[tokio::test]
async fn whatever_goes_wrong_is_a_failure() {
    let unknown_list = format!(
        "{}(drop (call $contains (i32.const 1024) (i32.const 8) (i32.const 0) (i32.const 0)))",
        text("misspelt")
    );
    let no_name = format!(
        "{}(call $covers (call $set) (i32.const 1024) (i32.const 3))",
        text("a b")
    );
    let aliases = format!(
        "{}(call $pinned (call $set) (i32.const 1024) (i32.const 4000))",
        // 4,000 texts of 64 KiB in one place.
        times(
            4_000,
            "(i32.store
               (i32.add (i32.const 1028) (i32.mul (local.get $i) (i32.const 8)))
               (i32.const 65536))"
        )
    );
    let requirements = times(65, "(call $at-least (local.get $set) (i32.const 0x304))");
    let mut said = String::new();
    for (name, body, code) in [
        ("trap", "unreachable".to_owned(), "trap"),
        (
            "division",
            "(drop (i32.div_u (i32.const 1) (i32.const 0)))".to_owned(),
            "trap",
        ),
        (
            "out of bounds",
            "(drop (i32.load (i32.const -8)))".to_owned(),
            "trap",
        ),
        (
            "error",
            format!(
                "{}(i32.store8 (i32.const 256) (i32.const 1)) (i32.store (i32.const 260) (i32.const 1024)) (i32.store (i32.const 264) (i32.const 4))",
                text("no\r\n")
            ),
            "error",
        ),
        ("loop", "(loop $l (br $l))".to_owned(), "out-of-fuel"),
        (
            "recursion",
            "(call $recurse (i32.const 0))".to_owned(),
            "trap",
        ),
        (
            "growth",
            "(drop (memory.grow (i32.const 1000)))".to_owned(),
            "memory",
        ),
        (
            "long reason",
            "(i32.store (i32.const 272) (i32.const 2000000))".to_owned(),
            "too-much",
        ),
        ("aliased list", aliases, "too-much"),
        (
            "requirements",
            format!("(local.set $set (call $set)){requirements}"),
            "too-much",
        ),
        ("sets", times(65, "(drop (call $set))"), "too-much"),
        (
            "lookups",
            format!(
                "{}{}",
                text("partners"),
                times(
                    1_001,
                    "(drop (call $contains (i32.const 1024) (i32.const 8) (i32.const 0) (i32.const 0)))"
                )
            ),
            "too-much",
        ),
        (
            "log without end",
            times(
                1_000,
                "(call $log (i32.const 0) (i32.const 8192) (i32.const 100000))",
            ),
            "too-much",
        ),
        (
            "handles",
            times(1_000, "(call $tls (local.get $message) (i32.const 1024))"),
            "too-much",
        ),
        (
            "facts",
            format!("{TLS}{}", times(10_000, VERSION)),
            "too-much",
        ),
        ("unknown list", unknown_list, "unknown-list"),
        ("no name", no_name, "bad-requirement"),
        (
            "a decision that there is not",
            "(i32.store8 (i32.const 260) (i32.const 7))".to_owned(),
            "trap",
        ),
        (
            "a reason that is no text",
            format!(
                "{}(i32.store (i32.const 268) (i32.const 1024)) (i32.store (i32.const 272) (i32.const 1))",
                "(i32.store8 (i32.const 1024) (i32.const 255))"
            ),
            "trap",
        ),
        (
            "forged handle",
            "(call $at-least (i32.const 77) (i32.const 0))".to_owned(),
            "trap",
        ),
    ] {
        let bench = Bench::new();
        let module = bench.module(&guest_with(
            "(func $recurse (param i32) (call $recurse (local.get 0)) (drop (local.get 0)))",
            &body,
        ));
        let failure = bench.run(&module).await.result.expect_err(name);
        assert_eq!(failure.code(), code, "{name}: {failure}");
        said += &format!("{name}: {failure}\n");
    }
    let limit = Duration::from_millis(100);
    for (name, failure) in [
        (
            "time",
            Failure::Deadline {
                limit,
                place: String::new(),
            },
        ),
        ("a busy host", Failure::Overdue { limit: limit * 10 }),
        ("no instance", Failure::Unavailable { waited: limit }),
        ("quarantine", Failure::Quarantined { remaining: limit }),
    ] {
        said += &format!("{name}: {failure}\n");
    }
    expect_file!["failures.txt"].assert_eq(&said);
}

/// The TLS session, kept for [`VERSION`] to ask for.
const TLS: &str = "(call $tls (local.get $message) (i32.const 1024))
    (local.set $set (i32.load (i32.const 1028)))";
const VERSION: &str = "(drop (call $tls-version (local.get $set)))";

/// The sender is 21 bytes, so 9,000 of them are well below the limit on text.
#[tokio::test]
async fn many_facts_are_not_too_many() {
    let sender = "(call $sender (local.get $message) (i32.const 1024))
        (global.set $heap (i32.const 4096))";
    // How long it takes is not the question, on a host that is not optimised.
    let bench = Bench::with(|settings| settings.deadline = Duration::from_secs(10));
    for body in [
        times(9_000, sender),
        format!("{TLS}{}", times(9_000, VERSION)),
    ] {
        let ran = bench.run(&bench.module(&guest(&body))).await;
        ran.result.expect("an answer");
    }
}

#[tokio::test]
async fn what_a_guest_is_told_is_bounded() {
    let lookup = "(call $lookup (i32.const 1024) (i32.const 4) (i32.const 1024) (i32.const 4) (i32.const 1040))
        (global.set $heap (i32.const 4096))";
    let list = List::new([("long".to_owned(), "x".repeat(10_000))].into());
    let lists: Arc<Lists> = Arc::new([("long".to_owned(), list)].into_iter().collect());
    let bench = Bench::new();
    for (times_asked, is_fine) in [(400, true), (500, false)] {
        let body = format!("{}{}", text("long"), times(times_asked, lookup));
        let module = bench.module(&guest(&body));
        let ran = bench.engine.decide(&module, "{}", &facts(), &lists).await;
        let told = ran
            .result
            .map_or_else(|failure| failure.to_string(), |_| String::new());
        assert_eq!(told.is_empty(), is_fine, "{told}");
        assert!(
            is_fine || told.ends_with("told over 4194304 bytes of text"),
            "{told}"
        );
    }
}

#[tokio::test]
async fn a_loop_uses_all_its_fuel() {
    let ran = run("(loop $l (br $l))").await;
    assert!(ran.result.is_err());
    assert!((9_999_000..=10_000_000).contains(&ran.fuel), "{}", ran.fuel);
}

#[tokio::test]
async fn log_lines_are_bounded_and_escaped() {
    let log = times(
        40,
        "(call $log (i32.const 2) (i32.const 1024) (i32.const 5000))",
    );
    let ran = run(&format!("{}{log}", text("a\nb"))).await;
    assert!(ran.result.is_ok());
    assert_eq!((ran.log.len(), ran.log_dropped), (32, 8));
    let line = &ran.log[0];
    assert_eq!(line.level, LogLevel::Warn);
    assert!(line.text.starts_with("a\\nb\\u{0}"), "{}", line.text);
    assert!(line.text.len() <= 1_000);
}

#[tokio::test]
async fn nothing_is_left_from_one_decision_to_the_next() {
    let bench = Bench::new();
    let module = bench.module(&guest_with(
        "(global $count (mut i32) (i32.const 0))",
        "(global.set $count (i32.add (global.get $count) (i32.const 1)))
        (i32.store (i32.const 1024) (i32.add (i32.load (i32.const 1024)) (global.get $count)))
        (local.set $set (call $set))
        (call $at-least (local.get $set) (i32.load (i32.const 1024)))
        (i32.store8 (i32.const 260) (i32.const 2))
        (i32.store (i32.const 264) (local.get $set))",
    ));
    let first = bench.run(&module).await;
    let expected = [Requirement::AtLeast(TlsVersion(1))];
    for _ in 0..20 {
        let ran = bench.run(&module).await;
        assert_eq!(ran.fuel, first.fuel, "the same work costs the same");
        let answer = ran.result.expect("an answer");
        assert_eq!(
            answer.decision,
            Decision::Enforced(expected.iter().cloned().collect())
        );
    }
    assert!(first.fuel > 0);
}

#[tokio::test]
async fn a_module_that_keeps_trapping_is_quarantined() {
    let bench = Bench::new();
    let module = bench.module(&guest("unreachable"));
    for _ in 0..10 {
        let failure = bench.run(&module).await.result.expect_err("a trap");
        assert_eq!(failure.code(), "trap");
    }
    let failure = bench.run(&module).await.result.expect_err("quarantine");
    assert_eq!(failure.code(), "quarantined");
    let other = bench.module(&guest("unreachable"));
    let failure = bench.run(&other).await.result.expect_err("a trap");
    assert_eq!(
        failure.code(),
        "trap",
        "another tenant's quarantine is its own"
    );
}
