use super::decisions::{MAX_POLICIES, Sample};
use super::exposition::Exposition;
use super::warnings::tests::warning;
use super::*;
use crate::address::Mailbox;
use crate::decision::{Decision, Refusal, Verdict};
use crate::digest::Digest;
use crate::engine::Usage;
use crate::facts::{Direction, FactSet, Stage, TenantId, sample};
use crate::name::Name;
use crate::receipt::journal::State;
use crate::receipt::{FailureRecord, Monitored, PolicyUsed};
use crate::warnings::Kind;

fn tenant(id: &str) -> TenantId {
    id.parse().expect("a tenant id")
}

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

fn event(policy: Option<&str>, decision: Decision, verdict: Verdict) -> VerdictEvent {
    let recipient: Mailbox = "c@acme.example".parse().expect("a mailbox");
    let facts = sample::clear(&recipient);
    let digest = Digest::of(b"");
    VerdictEvent {
        id: facts.id,
        time: String::new(),
        node: String::new(),
        facts: Arc::new(facts),
        policy: policy.map(|name| PolicyUsed {
            name: name.to_owned(),
            revision: digest,
            ramp: None,
            module: None,
        }),
        trust: digest,
        lists: BTreeMap::new(),
        decision,
        reason: String::new(),
        failure: None,
        resolved: None,
        default_of: None,
        verdict,
        reply: String::new(),
        micros: 0,
        fuel: None,
        log: Vec::new(),
        log_dropped: 0,
        monitored: None,
        lacks: FactSet::default(),
        under: None,
    }
}

/// What this policy would have refused.
fn monitored(policy: &str) -> Monitored {
    let refused = Verdict::Refused(Refusal::Plaintext);
    let enforced = Decision::Enforced(Default::default());
    let event = event(Some(policy), enforced, refused);
    Monitored {
        policy: event.policy.expect("the event names it"),
        decision: event.decision,
        reason: String::new(),
        failure: None,
        resolved: None,
        default_of: None,
        verdict: event.verdict,
        reply: None,
        micros: 0,
        fuel: Some(7),
        log: Vec::new(),
        log_dropped: 0,
    }
}

/// What a policy would have decided is in a count of its own, by what was done in fact.
#[test]
fn monitored_decisions_are_counted_apart() {
    let metrics = Arc::new(Metrics::default());
    let series = metrics
        .decisions
        .tenant(&tenant("acme"), [name("board")].iter());
    let monitored = monitored("board");
    metrics.monitored(
        &series,
        &monitored,
        &event(None, Decision::Default, Verdict::Accepted),
    );
    metrics.monitored(
        &series,
        &monitored,
        &event(None, Decision::Default, Verdict::Accepted),
    );
    metrics.monitored(
        &series,
        &monitored,
        &event(
            None,
            Decision::Default,
            Verdict::Refused(Refusal::PolicyFailed),
        ),
    );
    let page = page(&metrics);
    let labels = r#"tenant="acme",policy="board",direction="inbound",stage="recipient",decision="enforced",verdict="refused",cause="plaintext""#;
    for (in_force, expected) in [("accepted", "2"), ("refused", "1")] {
        let sample =
            format!("portcullis_monitored_decisions_total{{{labels},in_force=\"{in_force}\"}}");
        assert_eq!(line(&page, &sample), Some(expected), "{sample}\nin\n{page}");
    }
    assert!(!page.contains("portcullis_decisions_total{"), "{page}");
    assert_eq!(line(&page, "portcullis_decision_fuel_count"), Some("0"));
}

fn page(metrics: &Arc<Metrics>) -> String {
    let exposition = Exposition {
        metrics: Arc::clone(metrics),
        engine: Usage {
            instances: 1,
            instances_limit: 64,
            waits: 2,
            modules: 3,
            compile_queue: 4,
            work: Arc::default(),
        },
        pending: 5,
        receipts: State {
            written: 5,
            lost: 6,
            write_errors: 7,
            deferred: 11,
            waiting: 8,
            limit: 9,
            is_closed: false,
        },
        log_lines_lost: 10,
    };
    exposition.into_text().expect("memory takes it")
}

fn line<'a>(page: &'a str, begin: &str) -> Option<&'a str> {
    let after = |line: &'a str| line.strip_prefix(begin)?.strip_prefix(' ');
    page.lines().find_map(after)
}

#[test]
fn decisions_are_counted_by_direction_and_stage() {
    let metrics = Arc::new(Metrics::default());
    let series = metrics.decisions.tenant(&tenant("acme"), [].iter());
    for (at, (direction, stage)) in [
        (Direction::Inbound, Stage::Recipient),
        (Direction::Inbound, Stage::Content),
        (Direction::Outbound, Stage::Recipient),
        (Direction::Outbound, Stage::Content),
    ]
    .into_iter()
    .enumerate()
    {
        let mut event = event(None, Decision::Default, Verdict::Accepted);
        let facts = Arc::make_mut(&mut event.facts);
        (facts.direction, facts.stage) = (direction, stage);
        for _ in 0..=at {
            metrics.decided(&series, &event, Duration::ZERO);
        }
    }
    let page = page(&metrics);
    for (direction, stage, expected) in [
        ("inbound", "recipient", "1"),
        ("inbound", "content", "2"),
        ("outbound", "recipient", "3"),
        ("outbound", "content", "4"),
    ] {
        let sample = format!(
            "portcullis_decisions_total{{tenant=\"acme\",policy=\"(none)\",direction=\"{direction}\",\
             stage=\"{stage}\",decision=\"default\",verdict=\"accepted\",cause=\"none\"}}"
        );
        assert_eq!(line(&page, &sample), Some(expected), "{direction} {stage}");
    }
}

#[test]
fn decisions_are_counted_by_policy_decision_and_cause() {
    let metrics = Arc::new(Metrics::default());
    let series = metrics
        .decisions
        .tenant(&tenant("acme"), [name("board")].iter());
    let took = Duration::from_micros(3);
    let accepted = event(Some("board"), Decision::Opportunistic, Verdict::Accepted);
    metrics.decided(&series, &accepted, took);
    metrics.decided(&series, &accepted, took);
    let refused = Verdict::Refused(Refusal::Plaintext);
    metrics.decided(&series, &event(None, Decision::Default, refused), took);
    let mut failed = event(
        Some("board"),
        Decision::Default,
        Verdict::Refused(Refusal::PolicyFailed),
    );
    failed.failure = Some(FailureRecord {
        code: "trap".into(),
        detail: String::new(),
    });
    failed.fuel = Some(1_500);
    metrics.decided(&series, &failed, Duration::from_millis(7));
    let page = page(&metrics);
    for (sample, expected) in [
        (
            r#"decisions_total{tenant="acme",policy="board",direction="inbound",stage="recipient",decision="opportunistic",verdict="accepted",cause="none"}"#,
            "2",
        ),
        (
            r#"decisions_total{tenant="acme",policy="(none)",direction="inbound",stage="recipient",decision="default",verdict="refused",cause="plaintext"}"#,
            "1",
        ),
        (
            r#"decisions_total{tenant="acme",policy="board",direction="inbound",stage="recipient",decision="failed",verdict="refused",cause="policy-failed"}"#,
            "1",
        ),
        (r#"policy_failures_total{failure="trap"}"#, "1"),
        (r#"policy_failures_total{failure="memory"}"#, "0"),
        (
            r#"decision_duration_seconds_bucket{le="0.000005",kind="constant"}"#,
            "3",
        ),
        (
            r#"decision_duration_seconds_bucket{le="0.01",kind="module"}"#,
            "1",
        ),
        (
            r#"decision_duration_seconds_bucket{le="0.005",kind="module"}"#,
            "0",
        ),
        (r#"decision_fuel_bucket{le="2000.0"}"#, "1"),
        ("decision_fuel_sum", "1500.0"),
    ] {
        let sample = format!("portcullis_{sample}");
        assert_eq!(line(&page, &sample), Some(expected), "{sample} in\n{page}");
    }
}

#[test]
fn counts_go_on_when_tenants_are_loaded_again_and_go_with_the_last_snapshot() {
    let metrics = Metrics::default();
    let load = || {
        metrics
            .decisions
            .tenant(&tenant("acme"), [name("board")].iter())
    };
    let accepted = event(Some("board"), Decision::Opportunistic, Verdict::Accepted);
    let before = load();
    before.count(&accepted);
    let after = load();
    drop(before);
    after.count(&accepted);
    let counts = |samples: Vec<Sample>| samples.iter().map(|s| s.count).collect::<Vec<_>>();
    assert_eq!(counts(metrics.decisions.samples()), [2]);
    drop(after);
    assert_eq!(counts(metrics.decisions.samples()), [0; 0]);
}

#[test]
fn policies_beyond_the_limit_are_counted_together() {
    let metrics = Metrics::default();
    let tenants: Vec<_> = (0..MAX_POLICIES + 5)
        .map(|n| {
            metrics
                .decisions
                .tenant(&tenant(&format!("t{n}")), [].iter())
        })
        .collect();
    for series in &tenants {
        series.count(&event(None, Decision::Default, Verdict::Accepted));
    }
    let samples = metrics.decisions.samples();
    assert_eq!(samples.len(), MAX_POLICIES + 1);
    let other = samples.last().expect("some");
    assert_eq!(
        (&*other.tenant, &*other.policy, other.count),
        ("(other)", "(other)", 5)
    );
    // Room that became free is used again.
    drop(tenants);
    let series = metrics.decisions.tenant(&tenant("late"), [].iter());
    series.count(&event(None, Decision::Default, Verdict::Accepted));
    let samples = metrics.decisions.samples();
    assert!(samples.iter().any(|sample| sample.tenant == "late"));
}

#[test]
fn every_failure_of_the_engine_has_a_label() {
    use crate::engine::Failure;
    let limit = Duration::ZERO;
    for failure in [
        Failure::Error(String::new()),
        Failure::Trap(String::new()),
        Failure::OutOfFuel {
            limit: 1,
            place: String::new(),
        },
        Failure::Deadline {
            limit,
            place: String::new(),
        },
        Failure::Overdue { limit },
        Failure::TooMuch(String::new()),
        Failure::UnknownList(String::new()),
        Failure::BadRequirement(String::new()),
        Failure::Unavailable { waited: limit },
        Failure::Quarantined { remaining: limit },
        Failure::Host(String::new()),
    ] {
        let record = FailureRecord {
            code: failure.code().to_owned(),
            detail: String::new(),
        };
        assert_eq!(decisions::failure(&record), failure.code());
    }
}

#[test]
fn certificates_are_replaced_as_a_whole() {
    let metrics = Arc::new(Metrics::default());
    metrics.certificates([("old.example", 1)].into_iter());
    metrics.certificates([("mx.example", 20), ("mx.example", 10)].into_iter());
    let page = page(&metrics);
    let expiry =
        |name| format!("portcullis_certificate_expiry_timestamp_seconds{{certificate={name:?}}}");
    assert_eq!(line(&page, &expiry("mx.example")), Some("10"));
    assert_eq!(line(&page, &expiry("old.example")), None);
}

#[test]
fn sessions_begin_and_end() {
    let metrics = Arc::new(Metrics::default());
    let [quit, closed, lost, failed, _open] = [(); 5].map(|()| metrics.session("smtp"));
    quit.closing(221);
    closed.closing(421);
    failed.handshake_failed();
    drop((quit, closed, lost, failed));
    let page = page(&metrics);
    let ended = |how| {
        let labels = format!("{{listener=\"smtp\",how={how:?}}}");
        line(&page, &format!("portcullis_sessions_ended_total{labels}"))
    };
    for how in session::ENDS {
        assert_eq!(ended(how), Some("1"), "{how}");
    }
    let of = |name| line(&page, &format!("portcullis_{name}{{listener=\"smtp\"}}"));
    assert_eq!(of("sessions_total"), Some("5"));
    assert_eq!(of("sessions_active"), Some("1"));
}

/// The table of the documentation has every metric with its type and labels.
#[test]
fn every_metric_is_documented_and_every_documented_metric_exists() {
    let metrics = Arc::new(Metrics::default());
    let series = metrics
        .decisions
        .tenant(&tenant("acme"), [name("board")].iter());
    let accepted = event(None, Decision::Default, Verdict::Accepted);
    metrics.decided(&series, &accepted, Duration::ZERO);
    metrics.monitored(
        &series,
        &monitored("board"),
        &event(None, Decision::Default, Verdict::Accepted),
    );
    metrics.handshake(&sample::tls());
    metrics.handshake_failed("timed out");
    metrics.limit_hit("sessions");
    metrics.proxy_header_refused("missing");
    metrics.reverse_name("none");
    metrics.reply(250);
    metrics.reloaded("configuration", true);
    metrics.certificates([("mx.example", 10)].into_iter());
    metrics.ramps(vec![RampSample {
        tenant: tenant("acme"),
        policy: name("board"),
        percent: 50,
        is_halted: true,
    }]);
    metrics.delivery(
        "maildir",
        Direction::Inbound,
        Outcome::Delivered,
        Instant::now(),
    );
    drop(metrics.session("smtp"));
    metrics.api.answered("GET", "/v1/node", 200, Duration::ZERO);
    let found = [(tenant("acme"), vec![warning(Kind::SinglePin)])];
    metrics.warnings.set(&found.into(), 7);

    let told = told(&page(&metrics));
    let documented = documented(include_str!("../../../docs/metrics.md"));
    assert!(told.len() > 30, "{told:#?}");
    assert_eq!(told, documented);
}

#[test]
fn the_older_format_names_counters_in_full() {
    let page = "# HELP a_b How many.\n# TYPE a_b counter\na_b_total{c=\"x\"} 1\n\
                # HELP d Now.\n# TYPE d gauge\nd 2\n# EOF\n";
    let expected = "# HELP a_b_total How many.\n# TYPE a_b_total counter\na_b_total{c=\"x\"} 1\n\
                    # HELP d Now.\n# TYPE d gauge\nd 2\n";
    assert_eq!(super::exposition::classic(page), expected);
}

/// Type and labels by name.
type Table = BTreeMap<String, (String, String)>;

fn told(page: &str) -> Table {
    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types
        .map(|line| {
            let (family, kind) = line.split_once(' ').expect("a type");
            let suffix = if kind == "counter" { "_total" } else { "" };
            let name = format!("{family}{suffix}");
            let ends = [" ", "{", "_bucket"];
            let labels = page
                .lines()
                .find(|line| {
                    ends.iter()
                        .any(|end| line.starts_with(&format!("{name}{end}")))
                })
                .unwrap_or_else(|| unreachable!("{name} has no sample"));
            (name, (kind.into(), keys(labels)))
        })
        .collect()
}

fn keys(sample: &str) -> String {
    let Some((_, labels)) = sample.split_once('{') else {
        return String::new();
    };
    let keys = labels.split(',').filter_map(|label| label.split_once('='));
    let keys: Vec<&str> = keys
        .map(|(key, _)| key)
        .filter(|key| *key != "le")
        .collect();
    keys.join(", ")
}

fn documented(text: &str) -> Table {
    let rows = text
        .lines()
        .filter(|line| line.starts_with("| `portcullis_"));
    rows.map(|line| {
        let cells: Vec<String> = line.split('|').map(|c| c.trim().replace('`', "")).collect();
        (cells[1].clone(), (cells[2].clone(), cells[3].clone()))
    })
    .collect()
}

/// Not a benchmark: prints what counting a decision costs, for whoever changes it
/// (`cargo test --lib cost_of_counting -- --nocapture`).
#[test]
fn the_cost_of_counting_a_decision() {
    const ROUNDS: u32 = 100_000;
    let metrics = Metrics::default();
    let series = metrics
        .decisions
        .tenant(&tenant("acme"), [name("board")].iter());
    let accepted = event(Some("board"), Decision::Opportunistic, Verdict::Accepted);
    let began = Instant::now();
    for _ in 0..ROUNDS {
        let started = Instant::now();
        metrics.decided(&series, std::hint::black_box(&accepted), started.elapsed());
    }
    println!("{:?} a decision", began.elapsed() / ROUNDS);
    assert_eq!(metrics.decisions.samples()[0].count, u64::from(ROUNDS));
}
