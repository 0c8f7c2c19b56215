//! How fast a change is asked about the mail of the past, and how much memory that takes:
//! for a hundred thousand receipts and for a million, of a constant and of a module.
//!
//! Receipts are the host's own, as in `receipts`, and are written into the store of a host
//! that does not run. Each replay has a host of its own, which has both cores: what is
//! measured is the host, and nobody else has anything to do meanwhile.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use portcullis::receipt::VerdictEvent;
use portcullis::store::{ReceiptWriter, Store};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::api;
use crate::load::{self, Plan};
use crate::receipts;
use crate::server::Server;
use crate::site::{PARTNERS, Programs, RECIPIENT, STRANGER, partner};

/// Receipts in the store.
const SIZES: [usize; 2] = [100_000, 1_000_000];

/// Of a batch that is written.
const BATCH: usize = 2048;

/// What is asked, in the order of the table.
pub(crate) const CANDIDATES: [&str; 2] = ["a constant", "a module"];

/// One replay.
#[derive(Clone, Copy)]
pub(crate) struct Replayed {
    pub(crate) took: Duration,
    /// Resident memory before, and at its highest, in KiB.
    pub(crate) before: u64,
    pub(crate) peak: u64,
}

/// The replays of one size: candidates in each round.
pub(crate) struct Size {
    pub(crate) receipts: usize,
    pub(crate) rounds: Vec<[Replayed; CANDIDATES.len()]>,
}

/// Measures some rounds, all on the disk.
pub(crate) fn measure(
    programs: &Programs,
    disk: &Path,
    rounds: usize,
    quick: bool,
) -> anyhow::Result<Vec<Size>> {
    let sizes = SIZES.map(|size| if quick { size / 10 } else { size });
    let sizes = sizes.into_iter().map(|receipts| {
        let site = Site::make(programs, disk)?;
        site.fill(receipts)?;
        let rounds = (0..rounds).map(|_| {
            Ok([
                site.replay(receipts, &json!({ "option": "enforced" }))?,
                site.replay(receipts, &asks())?,
            ])
        });
        let rounds: anyhow::Result<Vec<_>> = rounds.collect();
        Ok(Size {
            receipts,
            rounds: rounds?,
        })
    });
    sizes.collect()
}

fn asks() -> Value {
    json!({ "option": "module", "module": "partner-list", "settings": { "list": "partners" } })
}

struct Site<'a> {
    programs: &'a Programs,
    directory: TempDir,
}

impl<'a> Site<'a> {
    fn make(programs: &'a Programs, disk: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(disk).with_context(|| disk.display().to_string())?;
        let directory = tempfile::Builder::new()
            .prefix("portcullis-bench-")
            .tempdir_in(disk)?;
        let site = Self {
            programs,
            directory,
        };
        fs::create_dir(site.path("tenants"))?;
        let config = "hostname = \"mx.bench.example\"\ndata_dir = \"data\"\n\
                      [[listener]]\nname = \"smtp\"\naddress = \"127.0.0.1:0\"\n\
                      [delivery]\nkind = \"discard\"\n[log]\nlevel = \"error\"\n";
        fs::write(site.path("portcullis.toml"), config)?;
        let list: String = (0..PARTNERS).map(|number| partner(number) + "\n").collect();
        fs::write(site.path("tenants/partners.txt"), list)?;
        let tenant = format!(
            "domains = [\"acme.example\"]\n[lists.partners]\nfile = \"partners.txt\"\n\
             [[module]]\nname = \"partner-list\"\npath = {:?}\n",
            programs.module
        );
        fs::write(site.path("tenants/acme.toml"), tenant)?;
        Ok(site)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn start(&self) -> anyhow::Result<Server> {
        let config = self.path("portcullis.toml").display().to_string();
        Server::start_on_both_cores(&self.programs.host, &["serve", "--config", &config])
    }

    /// Writes so many receipts behind one of real mail.
    fn fill(&self, receipts: usize) -> anyhow::Result<()> {
        let server = self.start()?;
        load::run(&Plan {
            address: server.address(),
            tls: None,
            connections: 1,
            messages: 1,
            per_connection: 1,
            size: 4096,
            sender: STRANGER.to_owned(),
            recipient: RECIPIENT.to_owned(),
        })?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let data = self.path("data");
        let model = runtime.block_on(receipts::newest(&data))?;
        drop(server);
        runtime.block_on(write(&model, &data, receipts - 1))
    }

    /// Asks a candidate about all of them.
    fn replay(&self, receipts: usize, policy: &Value) -> anyhow::Result<Replayed> {
        let server = self.start()?;
        let before = server.memory()?;
        let socket = self.path("data/admin.sock");
        let mut policy = policy.clone();
        policy["name"] = "all".into();
        let request = json!({ "policy": policy }).to_string();
        let began = Instant::now();
        let path = "/v1/tenants/acme/replays";
        let begun = api::ask(&socket, "POST", path, &request)?;
        let id = begun["id"].as_str();
        let id = id.with_context(|| format!("it did not begin: {begun}"))?;
        let ended = loop {
            let found = api::ask(&socket, "GET", &format!("{path}/{id}?wait=50"), "")?;
            if found["state"] != "running" {
                break found;
            }
        };
        let took = began.elapsed();
        let asked = ended["result"]["receipts"].as_u64();
        ensure!(
            asked == u64::try_from(receipts).ok() && ended["result"]["undetermined"] == 0,
            "{receipts} were to be asked about: {ended}"
        );
        Ok(Replayed {
            took,
            before,
            peak: server.peak_memory()?,
        })
    }
}

async fn write(model: &VerdictEvent, data: &Path, receipts: usize) -> anyhow::Result<()> {
    let mut writer = ReceiptWriter::new(Store::open(data).await?);
    let numbers: Vec<usize> = (0..receipts).collect();
    for numbers in numbers.chunks(BATCH) {
        let batch = numbers.iter().map(|n| receipts::event(model, *n));
        let batch: anyhow::Result<Vec<_>> = batch.collect();
        writer.write(&batch?).await?;
    }
    writer.close().await;
    Ok(())
}
