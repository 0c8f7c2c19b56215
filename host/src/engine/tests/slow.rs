//! Guests that take their time, and what the others notice of it.

use std::time::{Duration, Instant};

use wasmtime::component::Component;

use super::guest::{Bench, facts, guest, guest_with, lists};
use crate::engine::run::Linked;
use crate::engine::{EngineSettings, Failure, Question, componentise, scan};

/// Given fuel without end, time alone bounds it, looked at once per bulk operation.
const SLOW: &str =
    "(loop $l (memory.fill (i32.const 8192) (i32.const 0) (i32.const 4000000)) (br $l))";

fn slow(settings: &mut EngineSettings, deadline: u64) {
    settings.fuel = u64::MAX >> 1;
    settings.deadline = Duration::from_millis(deadline);
}

#[tokio::test]
async fn time_is_bounded_where_fuel_is_not() {
    let bench = Bench::with(|settings| slow(settings, 30));
    let started = Instant::now();
    let ran = bench.run(&bench.module(&guest(SLOW))).await;
    assert_eq!(
        ran.result.expect_err("too slow").to_string(),
        "the policy ran longer than 30 ms: it does too much for one recipient"
    );
    assert!(started.elapsed() < Duration::from_secs(5));
}

/// Nothing has run for a while, and the thread that measures time sleeps.
#[tokio::test]
async fn time_is_bounded_after_a_rest() {
    let bench = Bench::with(|settings| slow(settings, 30));
    let module = bench.module(&guest(SLOW));
    let ticker = &bench.engine.ticker;
    for _ in 0..2 {
        let rest = async {
            while !ticker.is_asleep() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let rested = tokio::time::timeout(Duration::from_secs(60), rest).await;
        rested.expect("it sleeps where nothing runs");
        let ran = bench.run(&module).await;
        assert!(matches!(ran.result, Err(Failure::Deadline { .. })));
        assert!(!ticker.is_asleep(), "something has just run");
    }
}

/// On one thread: a guest that goes on and on lets others run meanwhile.
#[tokio::test]
async fn a_slow_guest_yields() {
    let bench = Bench::with(|settings| slow(settings, 200));
    let (slow, fast) = (bench.module(&guest(SLOW)), bench.module(&guest("")));
    let mut finished = Vec::new();
    let engine = &bench.engine;
    let (facts, lists) = (facts(), lists());
    let slow = engine.decide(&slow, "{}", &facts, &lists);
    let fast = async {
        tokio::task::yield_now().await;
        // A share of its own, as another tenant has.
        fast.program
            .linked
            .decide(
                "{}",
                Question {
                    facts: facts.clone(),
                    lists: lists.clone(),
                },
                engine.limits(),
            )
            .await
    };
    tokio::pin!(slow, fast);
    while finished.len() < 2 {
        tokio::select! {
            biased;
            ran = &mut slow, if !finished.contains(&"slow") => {
                assert!(ran.result.is_err());
                finished.push("slow");
            }
            ran = &mut fast, if !finished.contains(&"fast") => {
                assert!(ran.result.is_ok());
                finished.push("fast");
            }
        }
    }
    assert_eq!(finished, ["fast", "slow"]);
}

/// Admission would not let it in: it holds the thread until it is made.
#[test]
fn a_slow_start_is_ended_before_others_notice() {
    let bench = Bench::with(|settings| slow(settings, 5_000));
    let bytes = guest_with(&format!("(func $start {SLOW}) (start $start)"), "");
    let scanned = scan::scan(&bytes).expect("a module");
    let component = componentise::componentise(scanned).expect("a component");
    let component = Component::new(&bench.engine.wasm, component).expect("it compiles");
    let linked = Linked::new(&component, bench.engine.ticker.clone()).expect("a policy");
    let limits = bench.engine.limits();
    let mut store = linked.store(None, limits);
    let failure = linked.decider(&mut store, limits).err();
    assert_eq!(
        failure.expect("it goes on and on").to_string(),
        "the policy ran longer than 30 ms in start: it does too much for one recipient"
    );
}

/// Another task takes the thread for longer than the guest is waited for.
#[tokio::test]
async fn a_busy_host_gives_up_and_blames_nobody() {
    let bench = Bench::with(|settings| slow(settings, 30));
    let module = bench.module(&guest(SLOW));
    let busy = async {
        loop {
            let began = Instant::now();
            while began.elapsed() < Duration::from_millis(400) {
                std::hint::spin_loop();
            }
            tokio::task::yield_now().await;
        }
    };
    let ran = tokio::select! {
        ran = bench.run(&module) => ran,
        () = busy => unreachable!("it never ends"),
    };
    let failure = ran.result.expect_err("too late");
    let limit = Duration::from_millis(300);
    assert_eq!(failure, Failure::Overdue { limit });
    assert_eq!(failure.code(), "deadline");
    assert!(!failure.is_breakdown());
}

/// Two questions at once past the shares, which keep to the number of instances.
#[tokio::test]
async fn what_the_host_lacks_is_not_the_guests_doing() {
    let bench = Bench::with(|settings| {
        slow(settings, 100);
        settings.instances = 1;
    });
    let module = bench.module(&guest(SLOW));
    let ask = || {
        let question = Question {
            facts: facts(),
            lists: lists(),
        };
        let linked = &module.program.linked;
        linked.decide("{}", question, bench.engine.limits())
    };
    let (first, second) = tokio::join!(ask(), ask());
    assert_eq!(first.result.expect_err("slow").code(), "deadline");
    let failure = second.result.expect_err("no instance");
    assert_eq!(failure.code(), "host", "{failure}");
    assert!(!failure.is_breakdown());
}

#[tokio::test]
async fn waiting_for_an_instance_is_bounded() {
    let bench = Bench::with(|settings| {
        slow(settings, 100);
        settings.instances = 1;
        settings.wait = Duration::from_millis(20);
    });
    let module = bench.module(&guest(SLOW));
    let (first, second) = tokio::join!(bench.run(&module), bench.run(&module));
    assert_eq!(first.result.expect_err("slow").code(), "deadline");
    assert_eq!(
        second.result.expect_err("no instance").code(),
        "unavailable"
    );
}
