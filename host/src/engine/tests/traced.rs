//! What a trace tells of a policy.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::json;
use wasmtime::component::Resource;

use super::guest::{Bench, facts, guest, lists};
use super::kept::{POLICY_0_1_0, everything};
use crate::decision::Requirement;
use crate::engine::bindings::portcullis::policy::{demands, facts as wit, lists as wit_lists};
use crate::engine::budget::Budget;
use crate::engine::host::{Call, Question};
use crate::engine::{Event, Listed, LogLevel, Module, Ran, Trace, told};
use crate::facts::TlsVersion;

async fn trace(bench: &Bench, module: &Module) -> (Ran, Trace) {
    bench.engine.trace(module, "{}", &facts(), &lists()).await
}

fn traced() -> Call {
    let question = Question {
        facts: everything("ann@acme.example"),
        lists: lists(),
    };
    let mut call = Call::new(Some(question), Budget::new(1 << 20), 1);
    call.trace = Some(Vec::new());
    call
}

fn events(call: Call) -> Vec<Event> {
    call.trace.expect("it is traced")
}

/// Every method of the interface's resources, such as `message.sender`.
fn methods(interface: &str) -> BTreeSet<String> {
    let mut resolve = wit_parser::Resolve::default();
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit");
    let (package, _) = resolve.push_dir(wit).expect("the interface");
    let id = resolve.packages[package].interfaces[interface];
    let functions = resolve.interfaces[id].functions.keys();
    let methods = functions.filter_map(|name| name.strip_prefix("[method]"));
    methods.map(str::to_owned).collect()
}

macro_rules! ask {
    ($call:ident, $host:path: $($fact:ident $(($argument:literal))?),*) => {
        $({
            use $host as Host;
            let handle = Resource::new_borrow(0);
            Host::$fact(&mut $call, handle $(, $argument.to_owned())?).expect("it is told");
        })*
    };
}

#[test]
fn every_fact_has_its_name_of_the_interface() {
    let mut call = traced();
    ask!(call, wit::HostCertificate: covers("mx.example"), within("example"));
    let all = told(&everything("ann@acme.example"));
    let names = all.into_iter().chain(events(call)).map(|event| {
        let name = match event {
            Event::Fact { name, .. } => Some(name.to_owned()),
            _ => None,
        };
        name.expect("a fact")
    });
    let names: Vec<_> = names.collect();
    let once: BTreeSet<_> = names.iter().cloned().collect();
    assert_eq!(once, methods("facts"));
    let of_either_purpose = 2;
    assert_eq!(names.len(), once.len() + of_either_purpose);
}

#[test]
fn what_was_told_is_in_it() {
    let mut call = traced();
    ask!(call, wit::HostMessage: client, server, proxied_by, declared_size, header_from, tls);
    ask!(call, wit::HostTls: version);
    ask!(call, wit::HostCertificate: not_before, within("partner.example"));
    let found: Vec<_> = events(call)
        .iter()
        .map(|event| serde_json::to_value(event).expect("JSON"))
        .collect();
    let fact = |name, value| json!({ "kind": "fact", "name": name, "value": value });
    let expected = [
        fact("message.client", json!("192.0.2.1:40000")),
        fact("message.server", json!("[2001:db8::2]:25")),
        fact("message.proxied-by", json!("192.0.2.9:1234")),
        fact("message.declared-size", json!(4096)),
        fact("message.header-from", json!(["alice@partner.example"])),
        fact("message.tls", json!("present")),
        fact("tls.version", json!(0x0304)),
        fact("certificate.not-before", json!(-1)),
        json!({ "kind": "fact", "name": "certificate.within",
            "argument": "partner.example", "value": true }),
    ];
    assert_eq!(found, expected);
}

/// The name of each requirement in the interface is asked of it below.
#[test]
fn every_requirement_is_in_it() {
    let mut call = traced();
    let set = demands::HostRequirements::new(&mut call).expect("a set");
    let handle = || Resource::new_borrow(set.rep());
    let pin = "0a".repeat(32);
    macro_rules! require {
        ($($method:ident $(($argument:expr))?),*) => {
            [$({
                demands::HostRequirements::$method(&mut call, handle() $(, $argument)?)
                    .expect("it is stated");
                format!("requirements.{}", stringify!($method).replace('_', "-"))
            }),*]
        };
    }
    let stated = require!(
        at_least(0x0303),
        post_quantum_key_exchange,
        certificate_presented,
        certificate_trusted,
        certificate_covers("mx.example".to_owned()),
        certificate_within("example".to_owned()),
        certificate_pinned(vec![pin])
    );
    let count = stated.len();
    assert_eq!(BTreeSet::from(stated), methods("demands"));
    let events = events(call);
    assert_eq!(events.len(), count);
    let first = Event::Requirement {
        set: 0,
        requirement: Requirement::AtLeast(TlsVersion::TLS12),
    };
    assert_eq!(events[0], first);
}

#[test]
fn lists_are_in_it_also_those_that_there_are_not() {
    let mut call = traced();
    let mut contains = |list: &str, key: &str| {
        wit_lists::Host::contains(&mut call, list.to_owned(), key.to_owned()).is_ok()
    };
    assert!(contains("partners", "partner.example"));
    assert!(contains("partners", "old.example"));
    assert!(!contains("partner", "partner.example"));
    let asked = |name: &str, key: &str, answer| Event::list(name, key, answer);
    let expected = [
        asked("partners", "partner.example", Listed::Found(String::new())),
        asked("partners", "old.example", Listed::Absent),
        asked("partner", "partner.example", Listed::NoList),
    ];
    assert_eq!(events(call), expected);
}

#[tokio::test]
async fn it_is_in_the_order_of_the_calls_and_tells_of_the_memory() {
    let bench = Bench::new();
    let body = "(call $sender (local.get $message) (i32.const 1024))
        (call $tls (local.get $message) (i32.const 1040))
        (drop (call $tls-version (i32.load (i32.const 1044))))
        (local.set $set (call $set))
        (call $at-least (local.get $set) (i32.const 0x304))
        (drop (memory.grow (i32.const 3)))";
    let (ran, trace) = trace(&bench, &bench.module(&guest(body))).await;
    ran.result.expect("an answer");
    let names = trace.events.iter().map(|event| match event {
        Event::Fact { name, .. } => name,
        Event::Requirement { .. } => "requirement",
        Event::List { .. } | Event::Log(_) => "another",
    });
    let names: Vec<_> = names.collect();
    let expected = [
        "message.sender",
        "message.tls",
        "tls.version",
        "requirement",
    ];
    assert_eq!(names, expected);
    let pages = trace.memory / (64 << 10);
    let without = trace_of("", &bench).await.memory / (64 << 10);
    assert_eq!(pages, without + 3);
    assert!(without > 0);
}

async fn trace_of(body: &str, bench: &Bench) -> Trace {
    trace(bench, &bench.module(&guest(body))).await.1
}

#[tokio::test]
async fn a_policy_is_traced_to_where_it_fails_and_brings_nothing_into_quarantine() {
    let bench = Bench::new();
    let module = bench.module(&guest(
        "(call $sender (local.get $message) (i32.const 1024)) unreachable",
    ));
    for _ in 0..20 {
        let (ran, trace) = trace(&bench, &module).await;
        assert_eq!(ran.result.expect_err("a failure").code(), "trap");
        assert_eq!(trace.events.len(), 1);
    }
    let ran = bench.run(&module).await;
    assert_eq!(ran.result.expect_err("a failure").code(), "trap");
}

/// What a trace tells and what is kept of the same decision are one.
#[tokio::test]
async fn lines_of_the_log_are_in_it() {
    let bench = Bench::new();
    let module = bench.module(POLICY_0_1_0);
    let facts = everything("any@acme.example");
    let (ran, trace) = bench.engine.trace(&module, "{}", &facts, &lists()).await;
    let logged = trace.events.iter().filter_map(|event| match event {
        Event::Log(line) => Some(line.clone()),
        _ => None,
    });
    assert_eq!(logged.collect::<Vec<_>>(), ran.log);
    assert!(
        ran.log.iter().any(|line| line.level == LogLevel::Info),
        "{ran:?}"
    );
}
