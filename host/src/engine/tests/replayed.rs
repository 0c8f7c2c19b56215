//! Modules that are asked about mail of the past.

use std::pin::pin;
use std::time::Duration;

use tokio::time::timeout;

use super::guest::{Bench, facts, guest, lists};
use crate::engine::{Module, Ran};
use crate::facts::{Fact, FactSet};

async fn replay(bench: &Bench, module: &Module) -> Ran {
    bench.engine.replay(module, "{}", &facts(), &lists()).await
}

#[tokio::test]
async fn breakdowns_bring_nothing_into_quarantine_and_a_quarantine_keeps_nobody_from_asking() {
    let bench = Bench::with(|settings| settings.instances = 8);
    let module = bench.module(&guest("unreachable"));
    let code = |ran: Ran| ran.result.expect_err("a failure").code();
    for _ in 0..20 {
        assert_eq!(code(replay(&bench, &module).await), "trap");
    }
    for _ in 0..10 {
        assert_eq!(code(bench.run(&module).await), "trap");
    }
    assert_eq!(code(bench.run(&module).await), "quarantined");
    assert_eq!(code(replay(&bench, &module).await), "trap");
}

#[tokio::test]
async fn it_waits_until_an_instance_is_left_over() {
    let bench = Bench::with(|settings| settings.instances = 8);
    let module = bench.module(&guest(""));
    let turn = bench.engine.shares.turn_at_once(&module.share);
    let mut waiting = pin!(replay(&bench, &module));
    let soon = Duration::from_millis(50);
    let early = timeout(soon, &mut waiting).await;
    assert!(early.is_err(), "the last one of the share is for mail");
    drop(turn);
    let ran = waiting.await;
    ran.result.expect("an answer");
}

#[tokio::test]
async fn what_it_reads_of_what_may_be_missing_is_noted() {
    let bench = Bench::new();
    for (body, reads) in [
        ("", vec![]),
        (
            "(call $sender (local.get $message) (i32.const 1024))",
            vec![],
        ),
        (
            "(call $reverse-name (local.get $message) (i32.const 1024))",
            vec![Fact::ReverseName],
        ),
    ] {
        let ran = replay(&bench, &bench.module(&guest(body))).await;
        ran.result.expect("an answer");
        assert_eq!(ran.reads, reads.into_iter().collect::<FactSet>(), "{body}");
    }
}
