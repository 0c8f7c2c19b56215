//! The cost of a decision, in this process: a constant; a module in a fresh store, as on
//! the way of mail; the same module in an instance that is there already, as the floor;
//! and a module that has to be loaded from the cache of compiled ones first.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use portcullis::decision::Decision;
use portcullis::engine::{Engine, EngineSettings, Module, Warm};
use portcullis::facts::{Facts, TenantId};
use portcullis::lists::{List, Lists};
use portcullis::policy::{Choice, Exempt, Policy, Question, select};
use serde_json::json;
use tempfile::TempDir;

use crate::load::percentile;
use crate::site::{self, Programs};

/// What is measured, in the order of the table.
pub(crate) const KINDS: [&str; 4] = [
    "constant",
    "module, fresh store",
    "module, warm (the floor)",
    "module, cold from the cache",
];

/// Median and 99th percentile of one kind in one round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    pub(crate) median: Duration,
    pub(crate) p99: Duration,
}

/// How often each is asked in a round.
const QUESTIONS: usize = 20_000;
/// Loading takes many times as long.
const COLD_QUESTIONS: usize = 200;
/// Questions to one warm instance: a guest's allocator takes nothing back.
const RENEWED: usize = 100;

const SETTINGS: &str = r#"{"list":"partners"}"#;

struct Bench {
    directory: TempDir,
    engine: Arc<Engine>,
    bytes: Vec<u8>,
    module: Arc<Module>,
    facts: Arc<Facts>,
    lists: Arc<Lists>,
}

/// The costs of each kind in each round.
pub(crate) fn measure(
    programs: &Programs,
    memory: &Path,
    rounds: usize,
    quick: bool,
) -> anyhow::Result<Vec<[Cost; KINDS.len()]>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let share = if quick { 10 } else { 1 };
    runtime.block_on(async {
        let bench = Bench::new(programs, memory).await?;
        let mut all = Vec::new();
        for _ in 0..rounds {
            all.push([
                bench.constant(QUESTIONS / share)?,
                bench.fresh(QUESTIONS / share).await?,
                bench.warm(QUESTIONS / share).await?,
                bench.cold(COLD_QUESTIONS / share).await?,
            ]);
        }
        Ok(all)
    })
}

impl Bench {
    async fn new(programs: &Programs, memory: &Path) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir_in(memory)?;
        let mut settings = EngineSettings::new(directory.path().join("modules"));
        settings.worker.clone_from(&programs.host);
        let engine = Engine::new(settings)?;
        let bytes = fs::read(&programs.module).context("the module")?;
        let module = engine.admit(&tenant()?, &bytes).await?;
        Ok(Self {
            directory,
            engine,
            bytes,
            module,
            facts: facts()?,
            lists: lists(),
        })
    }

    /// Finds the policy that applies, which is all that there is to a constant.
    fn constant(&self, questions: usize) -> anyhow::Result<Cost> {
        let policies = constant_policies()?;
        let domains = ["acme.example".parse()?];
        let exempt = Exempt::default();
        let mut took = Vec::with_capacity(questions);
        for _ in 0..questions {
            let began = Instant::now();
            let question = Question::new(&self.facts, &domains, &self.lists);
            let found = std::hint::black_box(select(&policies, &exempt, &question));
            took.push(began.elapsed());
            found.in_force.context("the policy applies")?;
        }
        Ok(Cost::of(&mut took))
    }

    async fn fresh(&self, questions: usize) -> anyhow::Result<Cost> {
        let mut took = Vec::with_capacity(questions);
        for _ in 0..questions {
            let began = Instant::now();
            self.ask(&self.module).await?;
            took.push(began.elapsed());
        }
        Ok(Cost::of(&mut took))
    }

    async fn warm(&self, questions: usize) -> anyhow::Result<Cost> {
        let mut took = Vec::with_capacity(questions);
        let mut warm = Warm::new(&self.engine, &self.module)?;
        for question in 0..questions {
            if question % RENEWED == 0 {
                warm = Warm::new(&self.engine, &self.module)?;
            }
            let began = Instant::now();
            let answer = warm.decide(SETTINGS, &self.facts, &self.lists).await?;
            took.push(began.elapsed());
            expect_enforced(&answer.decision)?;
        }
        Ok(Cost::of(&mut took))
    }

    /// What the engine has loaded is gone with the last who holds it.
    async fn cold(&self, questions: usize) -> anyhow::Result<Cost> {
        let mut settings = EngineSettings::new(self.directory.path().join("modules"));
        settings.worker = "/nonexistent".into();
        let engine = Engine::new(settings)?;
        let mut took = Vec::with_capacity(questions);
        for _ in 0..questions {
            let began = Instant::now();
            let module = engine.admit(&tenant()?, &self.bytes).await?;
            let ran = engine
                .decide(&module, SETTINGS, &self.facts, &self.lists)
                .await;
            took.push(began.elapsed());
            expect_enforced(&ran.result?.decision)?;
        }
        Ok(Cost::of(&mut took))
    }

    async fn ask(&self, module: &Module) -> anyhow::Result<()> {
        let ran = self
            .engine
            .decide(module, SETTINGS, &self.facts, &self.lists)
            .await;
        expect_enforced(&ran.result?.decision)
    }
}

impl Cost {
    fn of(took: &mut [Duration]) -> Self {
        Self {
            median: percentile(took, 50.0),
            p99: percentile(took, 99.0),
        }
    }
}

fn expect_enforced(decision: &Decision) -> anyhow::Result<()> {
    match decision {
        Decision::Enforced(_) => Ok(()),
        other => Err(anyhow!("the module decided {other:?}")),
    }
}

fn tenant() -> anyhow::Result<TenantId> {
    Ok("acme".parse()?)
}

/// One policy that says Opportunistic for everybody.
fn constant_policies() -> anyhow::Result<Vec<Policy>> {
    let opportunistic = Choice::Constant(Decision::Opportunistic);
    Ok(vec![Policy::new("all".parse()?, opportunistic)])
}

fn lists() -> Arc<Lists> {
    let partners = (0..site::PARTNERS).map(|number| (site::partner(number), String::new()));
    let list = ("partners".to_owned(), List::new(partners.collect()));
    Arc::new([list].into_iter().collect())
}

/// A partner's message over TLS 1.3.
fn facts() -> anyhow::Result<Arc<Facts>> {
    let facts = json!({
        "id": "01JD0000000000000000000000",
        "now": 1_700_000_000,
        "stage": "recipient",
        "direction": "inbound",
        "tenant": "acme",
        "connection": {
            "listener": "smtp",
            "client": "192.0.2.1:40000",
            "server": "192.0.2.2:25",
            "proxied_by": null,
            "reverse_name": null,
            "starttls_offered": true,
            "handshake_failure": null,
            "tls": {
                "origin": "socket",
                "version": 0x0304,
                "cipher_suite": "TLS_AES_256_GCM_SHA384",
                "secret_bits": 256,
                "key_exchange": "X25519MLKEM768",
                "post_quantum": true,
                "server_name": "mx.bench.example",
                "resumed": false,
                "client_certificate": "none",
            },
        },
        "helo": { "verb": "EHLO", "name": "client.example" },
        "sender": site::PARTNER,
        "recipient": site::RECIPIENT,
        "recipients_so_far": 0,
        "parameters": { "size": null, "body": null, "smtputf8": false, "requiretls": false },
        "trust": null,
    });
    Ok(Arc::new(serde_json::from_value(facts)?))
}
