//! The cost of a decision, in this process: a constant; a module in a fresh store, as on
//! the way of mail; the same module in an instance that is there already, as the floor;
//! and a module that has to be loaded from the cache of compiled ones first.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use portcullis::author::bench::{Asked, Bound, Cost, Samples};
use portcullis::decision::Decision;
use portcullis::engine::{Engine, EngineSettings, Module};
use portcullis::facts::{Facts, TenantId};
use portcullis::lists::{List, Lists};
use serde_json::json;
use tempfile::TempDir;

use crate::site::{self, Programs};

/// What is measured, in the order of the table.
pub(crate) const KINDS: [&str; 4] = [
    "constant",
    "module, fresh store",
    "module, warm (the floor)",
    "module, cold from the cache",
];

/// How often each is asked in a round.
const QUESTIONS: usize = 20_000;
/// Loading takes many times as long.
const COLD_QUESTIONS: usize = 200;
/// No kind takes nearly as long: what bounds a round is the number of its questions.
const TIME: Duration = Duration::from_secs(600);

const SETTINGS: &str = r#"{"list":"partners"}"#;

struct Bench {
    directory: TempDir,
    engine: Arc<Engine>,
    bytes: Vec<u8>,
    module: Arc<Module>,
    asked: Asked,
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
                bench.asked.constant(bound(QUESTIONS / share)).await.cost(),
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
        let asked = Asked {
            settings: SETTINGS.to_owned(),
            facts: facts()?,
            lists: lists(),
        };
        let answer = asked.answer(&engine, &module).await?;
        let is_enforced = matches!(answer.decision, Decision::Enforced(_));
        ensure!(is_enforced, "the module decided {:?}", answer.decision);
        Ok(Self {
            directory,
            engine,
            bytes,
            module,
            asked,
        })
    }

    async fn fresh(&self, questions: usize) -> anyhow::Result<Cost> {
        let asked = self
            .asked
            .fresh(&self.engine, &self.module, bound(questions));
        Ok(asked.await.map(Samples::cost)?)
    }

    async fn warm(&self, questions: usize) -> anyhow::Result<Cost> {
        let asked = self
            .asked
            .warm(&self.engine, &self.module, bound(questions));
        Ok(asked.await.map(Samples::cost)?)
    }

    /// In an engine of its own, which has it loaded for nobody.
    async fn cold(&self, questions: usize) -> anyhow::Result<Cost> {
        let mut settings = EngineSettings::new(self.directory.path().join("modules"));
        settings.worker = "/nonexistent".into();
        let engine = Engine::new(settings)?;
        let (tenant, bound) = (tenant()?, bound(questions));
        let asked = self.asked.cold(&engine, &tenant, &self.bytes, bound);
        Ok(asked.await.map(Samples::cost)?)
    }
}

fn bound(questions: usize) -> Bound {
    let time = TIME;
    Bound { questions, time }
}

fn tenant() -> anyhow::Result<TenantId> {
    Ok("acme".parse()?)
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
