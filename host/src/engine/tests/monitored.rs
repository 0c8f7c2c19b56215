//! Modules that are asked what they would decide stand in nobody's way.

use std::time::Duration;

use super::guest::{Bench, facts, guest, lists};
use crate::engine::{Failure, Module, Ran};

async fn monitor(bench: &Bench, module: &Module) -> Ran {
    bench.engine.monitor(module, "{}", &facts(), &lists()).await
}

#[tokio::test]
async fn breakdowns_are_counted_apart() {
    let bench = Bench::with(|settings| settings.instances = 8);
    let module = bench.module(&guest("unreachable"));
    let code = |ran: Ran| ran.result.expect_err("a failure").code();
    for _ in 0..10 {
        assert_eq!(code(monitor(&bench, &module).await), "trap");
    }
    assert_eq!(code(monitor(&bench, &module).await), "quarantined");
    assert_eq!(code(bench.run(&module).await), "trap", "asked all the same");
}

#[tokio::test]
async fn it_waits_for_no_instance_and_takes_none_that_is_the_last() {
    // Two for each tenant.
    let bench = Bench::with(|settings| {
        settings.instances = 8;
        settings.wait = Duration::from_millis(20);
    });
    let module = bench.module(&guest(""));
    let turn = bench.engine.shares.turn_at_once(&module.share);
    assert!(turn.is_some());
    let waited = Duration::ZERO;
    let failure = monitor(&bench, &module).await.result;
    assert_eq!(
        failure.expect_err("no instance"),
        Failure::Unavailable { waited }
    );
    assert_eq!(bench.engine.usage().waits, 0);
    drop(turn);
    monitor(&bench, &module).await.result.expect("an answer");
}
